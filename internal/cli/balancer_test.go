package cli_test

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// twoReplicas is a deployment whose second replica is seen in what is counted.
const twoReplicas = "deployment: {replicas: 2, workers: 1, pool: 4}"

// TestExternalBalancer runs behind a balancer that is there before and after the run, a
// real nginx that names no replica. TestRunLosesAnAgent runs without any balancer.
func TestExternalBalancer(t *testing.T) {
	s := newScene(t)
	ports := freePorts(t, 3)
	front := startBalancer(t, s, ports[0], ports[1:])
	text := strings.Replace(planText("go-nethttp", 1, "warmup: 0s"), "deployment: {replicas: 1, workers: 2, pool: 4}", twoReplicas, 1)
	s.write("p.yaml", text+fmt.Sprintf("balancer: {kind: external, url: %q, replica_ports: [%d, %d]}\n", front, ports[1], ports[2]))
	e, r, last := s.measured("run", "p.yaml")
	e.nothingLeft(time.Second)
	if info := r.Run().Balancer; info.Kind != "external" {
		t.Errorf("balancer %+v", info)
	}
	if len(last) != 1 {
		t.Fatalf("%d trials", len(last))
	}
	trial := last[0].said
	witness := trial.Phases[len(trial.Phases)-1].Witness
	if witness.BalancerTotal >= 0 || witness.DatabaseReads == 0 {
		t.Errorf("witness %+v: nobody counts at a foreign balancer, the database does", witness)
	}
	for i, replica := range trial.Replicas {
		if want := fmt.Sprintf("127.0.0.1:%d", ports[1+i]); replica.Address != want {
			t.Errorf("replica %d at %s, want %s", i, replica.Address, want)
		}
	}
	if c, err := net.Dial("tcp", strings.TrimPrefix(front, "http://")); err != nil {
		t.Errorf("the external balancer was ended: %v", err)
	} else {
		c.Close()
	}
}

// freePorts are ports nobody listens on.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var out []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, l.Addr().(*net.TCPAddr).Port)
	}
	return out
}

// startBalancer starts an nginx at a port before others, and returns its URL.
func startBalancer(t *testing.T, s *scene, port int, behind []int) string {
	t.Helper()
	dir := t.TempDir()
	var servers strings.Builder
	for _, p := range behind {
		fmt.Fprintf(&servers, "server 127.0.0.1:%d; ", p)
	}
	config := s.write("front.conf", fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
  access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  upstream replicas { %[2]s keepalive 8; }
  server { listen 127.0.0.1:%[3]d;
    location / { proxy_pass http://replicas; proxy_http_version 1.1; proxy_set_header Connection ""; } } }
`, dir, servers.String(), port))
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx"
	}
	cmd := exec.Command(path, "-p", dir, "-c", config, "-e", filepath.Join(dir, "error.log"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for range 250 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return "http://" + address
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("nginx does not listen")
	return ""
}
