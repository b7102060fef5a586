package cli_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bakeoff/internal/collect"
	"bakeoff/internal/figures"
	"bakeoff/internal/limit"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/stats"
)

// limited is a deployment of real processes whose limit is known: agents of ours, a real nginx, and servers that
// burn processor time or wait as their arguments say.
type limited struct {
	name, tier, what string
	burn             float64 // ms of each request, in each of the workers
	workers          int
	hot              int // weight of the first worker; 0: that of the others
	pool             int // of each worker; 0: no database
	serial, delay    float64
	body             int // bytes, which nginx compresses; 0: few
	clients          int
	quota            bool // on the generator
}

// limitedKinds are the kinds of limits that real processes show here.
func limitedKinds() []limited {
	return []limited{
		{name: "target-cpu", tier: limit.Target, what: limit.CPU, burn: 4, workers: 1, clients: 8},
		{name: "hot-worker", tier: limit.Target, what: limit.CPU, burn: 3, workers: 2, hot: 9, clients: 8},
		{name: "balancer-burns", tier: limit.Balancer, what: limit.CPU, workers: 1, body: 60_000, clients: 8},
		{name: "generator-quota", tier: limit.Generator, what: limit.Quota, workers: 2, clients: 16, quota: true},
		{name: "database-capped", tier: limit.Database, what: limit.Queue, workers: 1, pool: 16, serial: 2, clients: 16},
		{name: "small-pool", tier: limit.Pool, what: limit.Connections, workers: 1, pool: 2, delay: 20, clients: 8},
		{name: "one-machine", tier: limit.SharedMachine, what: limit.CPU, burn: 0.3, workers: 2 * runtime.NumCPU(), clients: 32},
	}
}

// stand is a deployment that is up.
type stand struct {
	*scene
	limited
	url      string
	workers  []int
	nginx    int
	database int
	port     int           // of the database
	alone    time.Duration // of a statement
}

// known is a process that a test has started.
type known struct {
	platform.Process
	name string
	pids []int
}

func (p known) Name() string { return p.name }
func (p known) PIDs() []int  { return p.pids }

// port is one that nobody listens to.
func port(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// up starts the deployment, until the end of the test.
func (l limited) up(t *testing.T) *stand {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("SKIPPED: python3 is not installed")
	}
	s := &stand{scene: aloneScene(t), limited: l}
	script, err := filepath.Abs("testdata/limits/server.py")
	if err != nil {
		t.Fatal(err)
	}
	if l.pool > 0 {
		s.port = port(t)
		s.database = s.child("python3", script, "database", fmt.Sprint(s.port), fmt.Sprint(l.serial), fmt.Sprint(l.delay))
		s.listening(s.port)
		s.alone = s.statement()
	}
	upstream := ""
	for i := range l.workers {
		own := port(t)
		s.workers = append(s.workers, s.child("python3", script, "target", fmt.Sprint(own), fmt.Sprint(l.burn), fmt.Sprint(l.pool), fmt.Sprint(s.port), fmt.Sprint(l.body)))
		s.listening(own)
		weight := 1
		if i == 0 && l.hot > 0 {
			weight = l.hot
		}
		upstream += fmt.Sprintf("server 127.0.0.1:%d weight=%d; ", own, weight)
	}
	s.balance(upstream)
	return s
}

// child starts a process that ends with the test.
func (s *stand) child(argv ...string) int {
	s.t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stderr = s.dir, os.Stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd.Process.Pid
}

// listening waits until somebody listens to a port.
func (s *stand) listening(port int) {
	s.t.Helper()
	for range 1000 {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.t.Fatalf("nobody listens to port %d", port)
}

// balance starts nginx before the workers.
func (s *stand) balance(upstream string) {
	s.t.Helper()
	front := port(s.t)
	config := s.write("limits.conf", fmt.Sprintf(`daemon off; master_process off; worker_processes 1; pid %[1]s/nginx.pid; error_log %[1]s/error.log;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  gzip on; gzip_comp_level 9; gzip_min_length 1000; gzip_proxied any; gzip_types *; proxy_buffers 32 8k;
  upstream workers { %[2]s keepalive 64; }
  server { listen 127.0.0.1:%[3]d backlog=4096; location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://workers; } }
}
`, s.dir, upstream, front))
	nginx := "nginx"
	if _, err := exec.LookPath(nginx); err != nil {
		nginx = "/usr/sbin/nginx"
	}
	s.nginx = s.child(nginx, "-p", s.dir, "-c", config, "-e", s.path("error.log"))
	s.listening(front)
	s.url = fmt.Sprintf("http://127.0.0.1:%d/", front)
}

// statement is how long one takes on the database at rest: the median of some.
func (s *stand) statement() time.Duration {
	s.t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	answers := bufio.NewReader(c)
	took := make([]time.Duration, 20)
	for i := range took {
		began := time.Now()
		fmt.Fprint(c, "ask\n")
		if _, err := answers.ReadString('\n'); err != nil {
			s.t.Fatal(err)
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// status asks the database for its gauges; ours is one of the statements that run, as in a real one.
func (s *stand) status(ctx context.Context) (map[string]float64, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	fmt.Fprint(c, "status\n")
	var running, asked float64
	_, err = fmt.Fscan(c, &running, &asked)
	return map[string]float64{"threads_running": running + 1, "questions": asked}, err
}

// limitedSeconds is how long each is measured.
const limitedSeconds = 3

// measured is the limit of a load with these arguments, and what the machine's cores were used for.
func (s *stand) measured(prefix []string, args ...string) (found figures.Limit, goodput, cpu, foreign float64) {
	s.t.Helper()
	if err := os.RemoveAll(s.path("windows.jsonl")); err != nil {
		s.t.Fatal(err)
	}
	argv := slices.Concat(prefix, []string{s.self, "load", "--json", "--window-json", "windows.jsonl", "--duration", fmt.Sprintf("%ds", limitedSeconds)}, args)
	if s.body > 0 {
		argv = append(argv, "--header", "Accept-Encoding: gzip")
	}
	cmd := exec.Command(argv[0], append(argv[1:], s.url)...)
	var stdout, stderr buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.env, &stdout, &stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	defer cmd.Process.Kill()
	for began := time.Now(); !strings.Contains(stderr.String(), "measuring"); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			s.t.Fatalf("nothing is measured\n%s", &stderr)
		}
	}
	lines, started := s.sampled(cmd.Process.Pid)
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 4 { // a refused measurement is one of a generator at its limit
		s.t.Fatalf("%v\n%s", err, &stderr)
	}
	r := readLoad(s.t, stdout.String())
	sum := s.summary(lines, started)
	for _, p := range sum.Trials[0].Phases {
		for _, used := range p.Resources {
			switch {
			case used.Tier == "host":
				foreign += used.Cores
			case !strings.Contains(used.Name, "/"):
				foreign -= used.Cores
			}
		}
	}
	return sum.Limits[0], r.Goodput, float64(r.CPU) / float64(r.Duration), foreign
}

// sampled are the samples of all tiers while the load runs.
func (s *stand) sampled(agent int) (lines []record.Series, started time.Time) {
	s.t.Helper()
	var mu sync.Mutex
	sources := []collect.Source{
		{Tier: "target", Process: known{name: "a-1", pids: s.workers}, Workers: s.workers},
		{Tier: "balancer", Process: known{name: "nginx", pids: []int{s.nginx}}},
		{Tier: "agent", Process: known{name: "agent-0", pids: []int{agent}}},
	}
	var status collect.Status
	if s.database > 0 {
		sources = append(sources, collect.Source{Tier: "database", Process: known{name: "database", pids: []int{s.database}}})
		status = s.status
	}
	sampler := collect.Start(s.t.Context(), 200*time.Millisecond, sources, status, func(line record.Series) error {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, line)
		return nil
	})
	time.Sleep(300 * time.Millisecond) // connections are made, pools are filled
	started = time.Now()
	sampler.Phase(1)
	time.Sleep((limitedSeconds*1000 - 800) * time.Millisecond)
	sampler.Phase(-1)
	if err := sampler.Stop(); err != nil {
		s.t.Fatal(err)
	}
	return lines, started
}

// summary is that of a run of one trial with what was sampled and the agents' windows.
func (s *stand) summary(lines []record.Series, started time.Time) *figures.Summary {
	t := s.t
	t.Helper()
	r := recordtest.Of(1, "a")
	r.Head.Machine.Cores = runtime.NumCPU()
	r.Head.Database.LookupS = s.alone.Seconds()
	w := r.Begin(t)
	tw, err := w.BeginTrial(1, 1, "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(s.path("windows.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for at := range strings.Lines(string(data)) {
		var l struct {
			Agent int
			stats.Window
		}
		if err := json.Unmarshal([]byte(at), &l); err != nil {
			t.Fatal(err)
		}
		if err := tw.Load(record.Load{Agent: l.Agent, Phase: 1, Window: l.Window}); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range lines {
		if err := tw.Series(line); err != nil {
			t.Fatal(err)
		}
	}
	phase := record.Phase{Number: 1, Name: "closed", Model: "closed", DurationS: limitedSeconds, TimeoutS: 10, Started: started, Ended: started.Add(limitedSeconds * time.Second)}
	trial := record.Trial{Status: record.Valid, Phases: []record.Phase{phase}, Replicas: []record.Replica{{Name: "a-1"}}}
	if s.pool > 0 {
		trial.Declared = &record.Declared{Connections: s.pool * s.limited.workers}
	}
	if err := tw.Finish(trial); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(record.Complete, ""); err != nil {
		t.Fatal(err)
	}
	read, err := record.Open(w.Dir())
	if err != nil {
		t.Fatal(err)
	}
	sum, err := figures.Build(read)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// group is how the generator is started under a quota of cores.
func group(t *testing.T, cores float64) []string {
	dir := cpuGroup(t, max(cores, 0.02))
	if dir == "" {
		t.Skip("SKIPPED: no control group with a CPU quota can be made here")
	}
	return []string{"sh", "-c", `chrt -o -p 0 $$; echo $$ > "$0/cgroup.procs" && exec "$@"`, dir}
}

// strong is the limit as it is at full load; then the answers per second are known that it allows, and the cores of the generator.
func (s *stand) strong() (found figures.Limit, goodput, cpu, foreign float64) {
	s.t.Helper()
	clients := []string{"--connections", strconv.Itoa(s.clients)}
	if !s.quota {
		return s.measured(nil, clients...)
	}
	_, _, free, _ := s.measured(nil, clients...)
	return s.measured(group(s.t, free/4), clients...)
}

// weak is the same just below it, at 0.6 of those answers per second. A generator that keeps a rate wakes up for each request, which
// takes it more processor time: its quota is that of four such loads.
func (s *stand) weak(goodput, cpu float64) (found figures.Limit, foreign float64) {
	s.t.Helper()
	var prefix []string
	if s.quota {
		prefix = group(s.t, 4*cpu)
	}
	found, _, _, foreign = s.measured(prefix, "--rate", strconv.FormatFloat(0.6*goodput, 'f', 1, 64))
	return found, foreign
}

// disturbedBy is from how many cores of strangers on a measurement is made again.
const disturbedBy = 0.3

// settledLimit measures until the machine was left to it, three times at most.
func settledLimit(t *testing.T, measure func() (figures.Limit, float64)) figures.Limit {
	t.Helper()
	for range 3 {
		found, foreign := measure()
		if foreign < disturbedBy {
			return found
		}
		t.Logf("others used %.2f cores: again", foreign)
	}
	t.Skip("SKIPPED: others use this machine")
	return figures.Limit{}
}

func wantLimit(t *testing.T, got figures.Limit, tier, what string) {
	t.Helper()
	t.Logf("%s %s, %.2f %s; %s", got.Tier, got.What, got.Share, got.Of, got.More)
	if got.Tier != tier || got.What != what {
		text, _ := json.MarshalIndent(got.Uses, "", " ")
		t.Errorf("%q %q, want %q %q\n%s", got.Tier, got.What, tier, what, text)
	}
}

// A worker that is busy all the time is named, of real processes.
func TestRealLimit(t *testing.T) {
	if long() {
		t.Skip("TestLongLimits has all kinds")
	}
	s := limitedKinds()[0].up(t)
	got := settledLimit(t, func() (figures.Limit, float64) {
		found, _, _, foreign := s.strong()
		return found, foreign
	})
	wantLimit(t, got, limit.Target, limit.CPU)
}

// Each kind of real processes, at full load and just below it.
func TestLongLimits(t *testing.T) {
	if !long() {
		t.Skip("SKIPPED: takes some minutes; BAKEOFF_LONG=1")
	}
	for _, l := range limitedKinds() {
		var goodput, cpu float64
		t.Run(l.name+"/strong", func(t *testing.T) {
			s := l.up(t)
			got := settledLimit(t, func() (found figures.Limit, foreign float64) {
				found, goodput, cpu, foreign = s.strong()
				return found, foreign
			})
			wantLimit(t, got, l.tier, l.what)
		})
		t.Run(l.name+"/none", func(t *testing.T) {
			if goodput == 0 {
				t.Skip("SKIPPED: it is not known what it can do")
			}
			s := l.up(t)
			wantLimit(t, settledLimit(t, func() (figures.Limit, float64) { return s.weak(goodput, cpu) }), "", "")
		})
	}
}
