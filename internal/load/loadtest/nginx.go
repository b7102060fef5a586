package loadtest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Nginx is a private nginx of one process. It answers 200: "/" with a fixed
// text, "/demo" with an echo of the key in the contract's shape, "/echo" with the key alone.
type Nginx struct {
	URL     string
	Secure  string // the same over TLS, where there is a certificate
	Process *os.Process
	log     string
}

// NginxOptions are what differs from one to another.
type NginxOptions struct {
	KeepAlive time.Duration // of idle connections; 0: ten minutes
	Cert, Key string        // files in PEM; empty: no TLS
	Server    string        // further lines of the server's block
	Host      string        // where it listens; empty: 127.0.0.1
	Enter     []string      // put before its command, such as that of a Network
}

const nginxConfig = `daemon off; master_process off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 20000; }
http {
  log_format times '$msec $arg_name';
  access_log off; keepalive_requests 1000000000; keepalive_timeout %[3]dms;
  client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  server { listen %[2]s backlog=16384; %[4]s
    location / { return 200 "ok"; }
    location /echo { access_log %[1]s/times.log times; return 200 "$arg_name"; }
    location /demo { default_type application/json; return 200 '{"name":"$arg_name","exists":false,"id":null}'; } } }
`

// StartNginx starts it; it ends with the test.
func StartNginx(t testing.TB) *Nginx { return StartNginxWith(t, NginxOptions{}) }

// freeAddress is one where nobody listens now.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// StartNginxWith starts it with options; it ends with the test.
func StartNginxWith(t testing.TB, o NginxOptions) *Nginx {
	t.Helper()
	program := Find("nginx")
	if program == "" {
		t.Skip("SKIPPED: nginx: apt-get install nginx-light")
	}
	dir := t.TempDir()
	if o.KeepAlive == 0 {
		o.KeepAlive = 10 * time.Minute
	}
	address, secure := freeAddress(t), ""
	if o.Host != "" {
		address = net.JoinHostPort(o.Host, address[strings.LastIndexByte(address, ':')+1:])
	}
	if o.Cert != "" {
		secure = freeAddress(t)
		o.Server += fmt.Sprintf(" listen %s ssl; ssl_certificate %s; ssl_certificate_key %s;", secure, o.Cert, o.Key)
		secure = "https://" + secure
	}
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, address, o.KeepAlive.Milliseconds(), o.Server), 0o600); err != nil {
		t.Fatal(err)
	}
	argv := slices.Concat(o.Enter, []string{program, "-p", dir, "-c", config, "-e", filepath.Join(dir, "error.log")})
	cmd := exec.Command(argv[0], argv[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for range 100 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return &Nginx{URL: "http://" + address, Secure: secure, Process: cmd.Process, log: filepath.Join(dir, "times.log")}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("nginx does not listen")
	return nil
}

// Freeze stops the process for a while, and returns from when to when it was stopped.
func (n *Nginx) Freeze(t testing.TB, at time.Time, length time.Duration) (from, to time.Time) {
	time.Sleep(time.Until(at))
	from = time.Now()
	if err := n.Process.Signal(unix.SIGSTOP); err != nil {
		t.Error(err)
	}
	time.Sleep(time.Until(from.Add(length)))
	if err := n.Process.Signal(unix.SIGCONT); err != nil {
		t.Error(err)
	}
	return from, time.Now()
}

// Answers are all answers of /echo by nginx's own log, in order. A line may come
// shortly after its answer, so as many as are wanted are waited for, but not long.
func (n *Nginx) Answers(t testing.TB, want int64) []Answer {
	t.Helper()
	for range 100 {
		if got := n.answers(t); int64(len(got)) >= want {
			return got
		}
		time.Sleep(20 * time.Millisecond)
	}
	return n.answers(t)
}

func (n *Nginx) answers(t testing.TB) []Answer {
	t.Helper()
	f, err := os.Open(n.log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []Answer
	for lines := bufio.NewScanner(f); lines.Scan(); {
		at, name, _ := strings.Cut(lines.Text(), " ")
		seconds, err := strconv.ParseFloat(at, 64)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, Answer{time.UnixMicro(int64(seconds*1e3+0.5) * 1e3), name})
	}
	return out
}

// Answer is one line of the log.
type Answer struct {
	At   time.Time // to the millisecond
	Name string    // the key asked for
}

// FrozenNginx is what nginx's log says of a freeze, for a schedule of rate
// arrivals per second whose n-th asked for k<n>: the freeze, and the true response times at quantile q.
func FrozenNginx(answers []Answer, begin, from, to time.Time, rate float64) (f Freeze, truth func(q float64) time.Duration) {
	var times, given []time.Duration
	for _, a := range answers {
		at := a.At.Sub(begin)
		given = append(given, at)
		if n, err := strconv.ParseFloat(strings.TrimPrefix(a.Name, "k"), 64); err == nil {
			times = append(times, at-time.Duration(n/rate*1e9))
		}
	}
	f = measured(from.Sub(begin), to.Sub(begin), rate, given)
	return f, func(q float64) time.Duration { return quantile(times, q) }
}
