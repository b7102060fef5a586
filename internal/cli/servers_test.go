package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// webServer is a private nginx.
type webServer struct {
	address string
	cmd     *exec.Cmd
	ended   chan struct{}
}

// freeAddress is one on loopback that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serve starts an nginx with these lines in its server block; serveAt does at an address,
// and skips where that is taken.
func serve(t *testing.T, s *scene, lines string) *webServer {
	t.Helper()
	return serveAt(t, s, freeAddress(t), lines)
}

func serveAt(t *testing.T, s *scene, address, lines string) *webServer {
	t.Helper()
	if l, err := net.Listen("tcp", address); err != nil {
		t.Skipf("SKIPPED: the plan names %s: %v", address, err)
	} else {
		l.Close()
	}
	dir, err := os.MkdirTemp(s.dir, "nginx-")
	if err != nil {
		t.Fatal(err)
	}
	var temporary strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "scgi", "uwsgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s;\n", kind, dir)
	}
	ssl := ""
	if strings.Contains(lines, "ssl_certificate") {
		ssl = " ssl"
	}
	config := fmt.Sprintf("daemon off; master_process off; pid %s/pid; error_log %s/log;\nevents {}\nhttp { access_log off; keepalive_requests 1000000;\nlimit_req_zone $uri zone=few:1m rate=200r/s;\n%sserver { listen %s%s;\n%s } }\n",
		dir, dir, &temporary, address, ssl, lines)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx = "/usr/sbin/nginx"
	}
	w := &webServer{address: address, ended: make(chan struct{})}
	w.cmd = exec.Command(nginx, "-p", dir, "-c", filepath.Join(dir, "conf"), "-e", filepath.Join(dir, "log"))
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { w.cmd.Wait(); close(w.ended) }()
	t.Cleanup(w.kill)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return w
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Fatalf("nginx does not listen at %s: %v\n%s", address, err, log)
		}
	}
}

func (w *webServer) kill() {
	w.cmd.Process.Kill()
	<-w.ended
}

// serversText is a plan of running servers: name, address with path, and further keys of each.
func serversText(targets [][3]string, more ...string) string {
	var b strings.Builder
	b.WriteString("name: e2e\nblocks: 1\nwarmup: 0s\ntargets:\n")
	for _, t := range targets {
		fmt.Fprintf(&b, "  - {name: %s, kind: url, url: \"http://%s\"%s}\n", t[0], t[1], t[2])
	}
	return b.String() + strings.Join(more, "\n") + "\n"
}

const shortClosed = "phases: [{name: closed, model: closed, connections: 4, duration: 500ms}]"

// reasonsOf are the reasons of all trials, by target, without those that a busy machine gives.
func reasonsOf(t *testing.T, r *record.Reader) map[string][]record.Reason {
	t.Helper()
	out := map[string][]record.Reason{}
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			t.Fatal(err)
		}
		out[trial.Target] = append(out[trial.Target], notMachine(trial.Reasons)...)
	}
	return out
}

// TestServers compares a server with the same one behind two more.
// What is checked here holds of trials that a busy machine had refused as well.
func TestServers(t *testing.T) {
	s := aloneScene(t) // see TestRun
	fast := serve(t, s, "location /ping { return 200 'pong at $arg_x'; }")
	middle := serve(t, s, "location / { proxy_pass http://"+fast.address+"; }")
	slow := serve(t, s, "location / { proxy_pass http://"+middle.address+"; }")
	s.write("p.yaml", serversText([][3]string{
		{"near", fast.address + "/ping?x=1", ", expect: {body: pong at 1}"},
		{"far", slow.address + "/ping?x=2", ", expect: {status: 200, body: pong at 2}"},
	}, "pilot: 500ms", `phases:
  - {name: closed, model: closed, connections: 4, duration: 1s}
  - {name: open, model: open, rate_of_pilot: 0.1, connections: 8, duration: 500ms, reconnect: true, check_share: 1}`))
	e, last, _ := s.tried("run", "--short", "p.yaml")
	r := s.open()
	e.nothingLeft(time.Second)
	s.noFiles()
	wantAll(t, "stdout", e.stdout.String(), "no verdict: a short run", "near", "far")
	whole := s.run(0, "report", "--full", s.theRun()).stdout.String()
	wantAll(t, "whole report", whole, "1 block of 1.5 s of 2 running servers on ", "shared core", ": near and far (short)",
		"all counts are the agents' own (no\nsecond witness)", "Servers as requested", "pong at 1", "bodies checked")
	for _, no := range []string{"rows", "hit ratio", "fill of the table", "Database", "balancer", "Replica", "CPU per answer", "Versions"} {
		if text := e.stdout.String() + whole; strings.Contains(text, no) {
			t.Errorf("the report of running servers speaks of %q:\n%s", no, text)
		}
	}
	if text := e.stderr.String(); strings.Contains(text, "starting") || strings.Contains(text, "stopping") || complaints(text) != "" {
		t.Errorf("something was started, or it complains:\n%s", text)
	}
	private(t, s.theRun())
	run := r.Run()
	if run.Status != record.Complete || run.Pilot == nil || run.Database.Kind != "" || run.Balancer.Kind != "" {
		t.Errorf("run.json: %s, pilot %v, database %v, balancer %v", run.Status, run.Pilot, run.Database, run.Balancer)
	}
	if pilot := run.Pilot; (pilot.Slowest == "far") != (pilot.Throughput["far"] <= pilot.Throughput["near"]) {
		t.Errorf("pilot: %v", pilot)
	}
	if near := run.Targets[0]; near.Kind != record.KindURL || near.Address != fast.address || near.Expect.Status != 200 || near.Pool != nil {
		t.Errorf("target %+v", near)
	}
	servers(t, last, run.Pilot.Slowest == "far") // else the machine was too busy to distinguish them
	var raw map[string]map[string]any
	data, err := os.ReadFile(filepath.Join(s.theRun(), "run.json"))
	if json.Unmarshal(data, &raw); err != nil || raw["run"]["database"] != nil || raw["run"]["balancer"] != nil || raw["run"]["targets"].([]any)[0].(map[string]any)["replicas"] != nil {
		t.Errorf("run.json holds what there was not: %v\n%s", err, data)
	}
	again := s.run(0, "run", "--resume", s.theRun())
	wantAll(t, "resume", again.stderr.String(), "is complete: nothing to do")
	wantAll(t, "markdown", s.run(0, "report", "--format", "markdown", s.theRun()).stdout.String(), "2 running servers")
}

// servers checks what the trials of running servers hold, and that the near one answered more, where that can be seen.
func servers(t *testing.T, all []attempt, quiet bool) {
	t.Helper()
	ok := map[string]int64{}
	for _, state := range all {
		trial := state.said
		if len(trial.Replicas)+len(trial.Commands) > 0 || trial.Nonce != "" || len(trial.Checks) != 6 {
			t.Errorf("%s: replicas %v, commands %v, nonce %q, checks %v", state.Folder, trial.Replicas, trial.Commands, trial.Nonce, trial.Checks)
		}
		for _, p := range trial.Phases {
			if w := p.Witness; w.DatabaseReads != -1 || w.BalancerTotal != -1 || w.Connections != -1 {
				t.Errorf("%s: somebody witnessed: %+v", state.Folder, w)
			}
		}
		for line, err := range state.Loads() {
			if err != nil {
				t.Fatal(err)
			}
			if line.Phase == 1 {
				ok[trial.Target] += line.Books.OK
			}
			if line.Phase == 2 && line.Checked != line.Books.Answered() {
				t.Errorf("%s: %d bodies checked of %d answers", state.Folder, line.Checked, line.Books.Answered())
			}
		}
	}
	if quiet && ok["near"] <= ok["far"] || ok["near"] == 0 || ok["far"] == 0 {
		t.Errorf("answers in the closed phase: %v; the far one is behind two more servers", ok)
	}
}

// TestServersThatFail has one server that is right, and one of each kind that is not.
func TestServersThatFail(t *testing.T) {
	s := newScene(t)
	pong := serve(t, s, "location / { return 200 pong; }")
	good := serve(t, s, "location /500 { return 500; } location /moved { return 302 /; } location / { return 200 pong; }"+
		" location /limited { limit_req zone=few burst=60 nodelay; proxy_pass http://"+pong.address+"; }"+
		" location /busy { limit_req zone=few burst=60 nodelay; error_page 503 =200 @busy; proxy_pass http://"+pong.address+"; }"+
		" location @busy { return 200 busy; }")
	s.write("p.yaml", serversText([][3]string{
		{"good", good.address + "/", ""},
		{"down", freeAddress(t) + "/", ""},
		{"failing", good.address + "/500", ""},
		{"other", good.address + "/", ", expect: {body: ping}"},
		{"moved", good.address + "/moved", ""},
		{"moving", good.address + "/moved", ", expect: {status: 302}"},
		{"limited", good.address + "/limited", ""},
		{"busy", good.address + "/busy", ", expect: {body: pong}"},
	}, shortClosed))
	v := s.run(1, "verify", "p.yaml")
	wantAll(t, "stdout", v.stdout.String(),
		"good: http://"+good.address+"/ answers as expected\n", "down: http://", "does not answer as expected: 1 of 1 checks failed", "connection refused",
		"moving: http://"+good.address+"/moved answers as expected\n", "limited: http://"+good.address+"/limited answers as expected\n",
		"500 in 20 of 20 answers, not 200", "302 in 20 of 20 answers, not 200", `does not hold "ping" in 20 of 20 answers, it is "pong"`)
	wantAll(t, "stderr", v.stderr.String(), "bakeoff: error: a target does not keep the contract: down, failing, other, moved\n")

	e := s.run(0, "run", "--short", "p.yaml")
	e.nothingLeft(time.Second)
	reasons := reasonsOf(t, s.open())
	for target, want := range map[string]record.Reason{
		"down":    {Code: "no-answer", Text: "does not answer before the load: dial tcp"},
		"failing": {Code: "contract", Text: `the first is "status": 500 in 4 of 4 answers, not 200`},
		"other":   {Code: "contract", Text: `the first is "body": does not hold "ping"`},
		"moved":   {Code: "contract", Text: `the first is "status": 302 in 4 of 4 answers, not 200`},
	} {
		got := reasons[target]
		if len(got) != 1 || got[0].Code != want.Code || !strings.Contains(got[0].Text, want.Text) {
			t.Errorf("%s: %v, want %v", target, got, want)
		}
	}
	// Right as long as little is asked of them.
	for target, class := range map[string]string{"limited": "(status 503 ", "busy": "; wrong body"} {
		if got := reasons[target]; len(got) == 0 || got[0].Code != "wrong-answers" || !strings.Contains(got[0].Text, class) {
			t.Errorf("%s: %v", target, got)
		}
	}
	for _, target := range []string{"good", "moving"} {
		if got := reasons[target]; len(got) > 0 {
			t.Errorf("%s: %v", target, got)
		}
	}
	wantAll(t, "report", s.run(0, "report", "--full", s.theRun()).stdout.String(), "down has a valid trial in 0 of 1 block", "no-answer: http://")
}

// TestServerDown repeats the trials of a server that does not answer, and says that too few are valid.
func TestServerDown(t *testing.T) {
	s := newScene(t)
	good := serve(t, s, "location / { return 200 pong; }")
	s.write("p.yaml", serversText([][3]string{{"good", good.address, ""}, {"down", freeAddress(t), ""}}, shortClosed))
	e := s.run(4, "run", "p.yaml")
	wantAll(t, "stderr", e.stderr.String(), "bakeoff: error: a target lacks enough valid trials: ", "down has none in 1 of 1 block\n")
	if got := reasonsOf(t, s.open())["down"]; len(got) != 3 || got[2].Code != "no-answer" {
		t.Errorf("down: %v", got)
	}
}

// TestServerKilled ends a server in the middle of its load.
func TestServerKilled(t *testing.T) {
	s := newScene(t)
	dying := serve(t, s, "location / { return 200 pong; }")
	s.write("p.yaml", serversText([][3]string{{"dying", dying.address, ""}}, strings.Replace(shortClosed, "500ms", "4s", 1)))
	e := s.start("run", "p.yaml")
	e.awaitLoad(1)
	dying.kill()
	e.wantStatus(4, time.Minute)
	e.nothingLeft(time.Second)
	reasons := reasonsOf(t, s.open())["dying"]
	var text []string
	for _, r := range reasons {
		text = append(text, r.Code+": "+r.Text)
	}
	wantAll(t, "reasons", strings.Join(text, "\n"), "wrong-answers: phase closed: ", "refused", "no-answer: http://"+dying.address+" does not answer after the load")
}

// TestServersInterrupted ends a run with Ctrl-C and resumes it; the servers run on.
func TestServersInterrupted(t *testing.T) {
	s := newScene(t)
	web := serve(t, s, "location / { return 200 pong; }")
	s.write("p.yaml", serversText([][3]string{{"a", web.address, ""}, {"b", web.address, ""}}, strings.Replace(shortClosed, "500ms", "2s", 1)))
	e := s.start("run", "--short", "p.yaml")
	e.await("closed: 4 connections for 2s", 2)
	e.signal(syscall.SIGINT)
	e.wantStatus(130, 15*time.Second)
	e.nothingLeft(0)
	s.noFiles()
	wantAll(t, "stdout", e.stdout.String(), "ABORTED: interrupted")
	if n := ended(t, s.open()); n != 1 {
		t.Errorf("%d trials ended", n)
	}
	s.run(0, "run", "--resume", s.theRun())
	r := s.open()
	if n := ended(t, r); r.Run().Status != record.Complete || n != 2 {
		t.Errorf("after --resume: %s, %d trials ended", r.Run().Status, n)
	}
	if web.cmd.ProcessState != nil {
		t.Error("the server was ended")
	}
}

// TestServersTLS loads over TLS, by agents that are given the certificates to trust.
func TestServersTLS(t *testing.T) {
	s := newScene(t)
	certificate(t, s)
	web := serve(t, s, "ssl_certificate "+s.path("cert")+"; ssl_certificate_key "+s.path("key")+"; location / { return 200 pong; }")
	_, port, _ := net.SplitHostPort(web.address)
	text := serversText([][3]string{{"a", "localhost:" + port + "/x", ", expect: {body: pong}"}}, "agents: {engine: http}", shortClosed)
	s.write("p.yaml", strings.ReplaceAll(text, "http://", "https://"))
	wantAll(t, "stdout", s.run(1, "verify", "p.yaml").stdout.String(), "certificate")
	trusting := strings.Replace(text, "expect:", "tls: {ca_file: cert}, expect:", 1)
	s.write("q.yaml", strings.ReplaceAll(trusting, "http://", "https://"))
	s.measured("run", "--short", "q.yaml")
	wantAll(t, "stderr", s.run(2, "verify", s.write("r.yaml", strings.ReplaceAll(strings.ReplaceAll(trusting, "ca_file: cert", "ca_file: missing"), "http://", "https://"))).stderr.String(), "target a: load: authorities: open", "missing: no such file")
	s.env = append(s.env, "SSL_CERT_FILE="+s.path("cert"))
	s.run(0, "verify", "p.yaml")
}

// certificate makes the files cert and key of localhost.
func certificate(t *testing.T, s *scene) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s.write("cert", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	s.write("key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// twoServer is an nginx that answers 418 to anything but HTTP/2, on an address with TLS and on
// one without; the server's own address speaks HTTP/1.1 over TLS.
func twoServer(t *testing.T, s *scene) (web *webServer, plain, secure string) {
	t.Helper()
	certificate(t, s)
	s.env = append(s.env, "SSL_CERT_FILE="+s.path("cert"))
	plain, encrypted := freeAddress(t), freeAddress(t)
	web = serve(t, s, fmt.Sprintf(`listen %s http2; listen %s ssl http2; ssl_certificate %s; ssl_certificate_key %s;
location / { if ($server_protocol != HTTP/2.0) { return 418; } return 200 $server_protocol; }`, plain, encrypted, s.path("cert"), s.path("key")))
	_, port, _ := net.SplitHostPort(encrypted)
	return web, "http://" + plain + "/", "https://localhost:" + port + "/"
}

// TestLoadHTTP2 speaks HTTP/2 to a real nginx, with and without TLS.
func TestLoadHTTP2(t *testing.T) {
	s := newScene(t)
	web, plain, secure := twoServer(t, s)
	for _, url := range []string{plain, secure} {
		for _, agents := range []string{"1", "2"} {
			r := s.load("--http2", "--rate", "300", "--connections", "8", "--duration", "1s", "--agents", agents, url)
			if r.Planned != 300 || r.OK != r.Sent || r.OK < 250 { // a busy machine may come too late for a few
				t.Errorf("%s, agents %s: %+v", url, agents, r.loadJSON)
			}
		}
		if r := s.load("--http2", "--connections", "4", "--duration", "300ms", url); r.OK != r.Sent || r.OK < 20 {
			t.Errorf("%s, closed: %+v", url, r.loadJSON)
		}
	}
	if r := s.load("--connections", "2", "--duration", "300ms", secure); r.Bad != r.Sent || r.Bad == 0 {
		t.Errorf("not asked for, it is not spoken: %+v", r.loadJSON)
	}
	_, port, _ := net.SplitHostPort(web.address)
	if r := s.load("--http2", "--connections", "2", "--duration", "300ms", "https://localhost:"+port+"/"); r.Errors["tls"] != r.Sent || r.Sent == 0 {
		t.Errorf("a server that does not agree: %+v", r.loadJSON)
	}
}

// TestServersHTTP2 compares servers in HTTP/2, and sees where the plan cannot be carried out.
func TestServersHTTP2(t *testing.T) {
	s := newScene(t)
	_, plain, secure := twoServer(t, s)
	plan := func(url, engine string) {
		s.write("p.yaml", "name: e2e\nblocks: 1\nwarmup: 0s\ntargets: [{name: a, kind: url, url: \""+url+"\", expect: {body: HTTP/2.0}}]\n"+
			"agents: {http2: true"+engine+"}\n"+shortClosed+"\n")
	}
	for _, url := range []string{plain, secure} {
		plan(url, ", engine: http")
		wantAll(t, "stdout", s.run(0, "check", "p.yaml").stdout.String(), "in HTTP/2")
		s.measured("run", "--short", "p.yaml")
		if err := os.RemoveAll(filepath.Join(s.dir, "runs")); err != nil {
			t.Fatal(err)
		}
	}
	plan(deaf(t, s), ", engine: http")
	wantAll(t, "stdout", s.run(1, "verify", "p.yaml").stdout.String(), "does not agree on HTTP/2")
	plan(plain, "")
	wantAll(t, "stderr", s.run(2, "check", "p.yaml").stderr.String(), "agents.http2", "engine http")
}

// deaf is a server over TLS that does not listen to what protocol it is asked for.
func deaf(t *testing.T, s *scene) (url string) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(s.path("cert"), s.path("key"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "HTTP/2.0, it says") })}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "https://localhost:" + port + "/"
}

// The time of a search for the capacity is known before the run.
func TestCheckCapacity(t *testing.T) {
	s := newScene(t)
	targets := [][3]string{{"a", "127.0.0.1:1/ping?x=1", ""}, {"b", "127.0.0.1:1/ping?x=2", ""}}
	s.write("p.yaml", serversText(targets, "pilot: 3s\nprimary: capacity\nobjective: {p99: 50ms}\nphases: [{model: closed, connections: 8, duration: 2s}]\n"))
	wantAll(t, "stdout", s.run(0, "check", "p.yaml").stdout.String(),
		"no verdict is possible: 2 targets take at least 6 blocks, and the plan has 1\n",
		"expected duration: about ", " (1m24s of it measured)", // a block of 2 targets of 2 s and 4 stages of 10 s
		"search for the capacity: at most 14 stages for each target before block 1, then 4 in each block, of 10s or as long as 1000 requests need")
	wantAll(t, "stderr", s.run(2, "check", "--pilot", "p.yaml").stderr.String(), "the plan has primary: capacity")
}

// TestCheckPilot measures a few blocks, says what more would show, and leaves nothing.
func TestCheckPilot(t *testing.T) {
	s := newScene(t)
	server := serve(t, s, "location /ping { return 200 'pong'; }")
	s.write("p.yaml", serversText([][3]string{{"a", server.address + "/ping?x=1", ""}, {"b", server.address + "/ping?x=2", ""}}, shortClosed))
	var e *execution
	for range 3 { // a busy machine may refuse a target's trials of a block
		e = s.start("check", "--pilot", "--share-machine", "p.yaml")
		e.wantEnd(4 * time.Minute)
		e.nothingLeft(time.Second)
		s.noFiles()
		if e.cmd.ProcessState.ExitCode() != 4 {
			break
		}
	}
	e.wantStatus(0, time.Second)
	wantAll(t, "stdout", e.stdout.String(), "expected duration", "pilot: 4 blocks, throughput", "a/b", "shows 5 % better", "shows 3 % equivalent", "\n    20 ")
	if runs, _ := filepath.Glob(s.path("runs")); len(runs) > 0 {
		t.Errorf("left: %v", runs)
	}
	wantAll(t, "stderr", s.run(2, "check", "--pilot", "--short", "p.yaml").stderr.String(), "not about its short form")
}
