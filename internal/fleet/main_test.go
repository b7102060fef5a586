package fleet

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bakeoff/internal/load"
	"bakeoff/internal/platform"
	"bakeoff/internal/platform/local"
	"bakeoff/internal/stats"
)

// roleEnv makes the test binary play another part than the tests.
const roleEnv = "FLEET_TEST_ROLE"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "guard" {
		os.Exit(local.Guard())
	}
	switch os.Getenv(roleEnv) {
	case "agent":
		os.Exit(agentRole())
	case "controller":
		os.Exit(controllerRole())
	case "server":
		os.Exit(serverRole())
	case "first":
		os.Exit(firstRole())
	}
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // most of these tests wait for time to pass
	goleak.VerifyTestMain(m)
}

// agentRole is the agent process of the tests.
func agentRole() int {
	options, err := FromEnvironment(os.Getenv)
	if err == nil && os.Getenv("FLEET_TEST_FIRST") != "" {
		err = GoFirst()
	}
	if err == nil {
		options.Version = cmp.Or(os.Getenv("FLEET_TEST_VERSION"), "test")
		options.PlanDigest = cmp.Or(os.Getenv("FLEET_TEST_PLAN"), options.PlanDigest)
		options.Fingerprint = cmp.Or(os.Getenv("FLEET_TEST_FINGERPRINT"), options.Fingerprint)
		options.Engines = engines()
		options.Workloads = workloads(nil)
		err = Agent(context.Background(), options)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// controllerRole runs a long phase and prints its agents' process ids.
func controllerRole() int {
	signal.Ignore(syscall.SIGPIPE)
	p := &processes{}
	dir := os.Getenv("FLEET_TEST_DIR")
	options := testOptions(p, dir, 2)
	options.Address = os.Getenv("FLEET_TEST_ADDRESS")
	f, err := Start(context.Background(), options)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, process := range f.Processes() {
		fmt.Println(process.PID())
	}
	_, err = f.Run(context.Background(), constantTask(os.Getenv("FLEET_TEST_URL"), 200, time.Minute), func(Snapshot) {})
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// serverRole answers requests until its input ends; it says where.
func serverRole() int {
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(out, "{}") }))
	defer server.Close()
	fmt.Println(server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// testOptions are those of a fleet whose agents are this test binary.
func testOptions(p platform.Platform, dir string, count int) Options {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return Options{
		Platform: p, Self: []string{self}, Count: count, LogDir: dir, Version: "test", PlanDigest: "sha256:1",
		Env: []string{roleEnv + "=agent", "GOMAXPROCS=1"},
	}
}

// startFleet starts real agent processes and closes them with the test.
func startFleet(t *testing.T, count int, change func(*Options)) *Fleet {
	t.Helper()
	p := &processes{}
	options := testOptions(p, t.TempDir(), count)
	if change != nil {
		change(&options)
	}
	f, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		_ = p.Close()
	})
	return f
}

// constantTask asks rate/s of the metronome engine for the duration.
func constantTask(url string, rate float64, d time.Duration) Task {
	return Task{
		URLs: []string{url}, Engine: "metronome", Contract: "numbers", Workload: json.RawMessage(`{"prefix":"k"}`), Seed: 7,
		Phase: load.Phase{Name: "open", Model: load.Open, Connections: 8, Rate: rate, Arrivals: load.Constant, Duration: d, Timeout: time.Second},
	}
}

// processes is a platform of plain child processes, as little as the tests need.
type processes struct {
	immortal bool // Stop only pretends, as across a broken network

	mu  sync.Mutex
	all []*child
}

type child struct {
	platform *processes
	name     string
	cmd      *exec.Cmd
	done     chan struct{}
	exit     platform.Exit
}

func (p *processes) Start(_ context.Context, spec platform.Spec) (platform.Process, error) {
	log, err := os.OpenFile(spec.Log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(spec.Argv[0], spec.Argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = spec.Env, spec.Dir, log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{platform: p, name: spec.Name, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		_ = cmd.Wait()
		c.exit = platform.Exit{Code: cmd.ProcessState.ExitCode(), At: time.Now()}
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
			c.exit.Signal = "SIGKILL"
		}
	}()
	p.mu.Lock()
	p.all = append(p.all, c)
	p.mu.Unlock()
	return c, nil
}

func (p *processes) Host() string                      { return "127.0.0.1" }
func (p *processes) Port(context.Context) (int, error) { return 0, errors.New("not needed") }

func (p *processes) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.all {
		_ = c.cmd.Process.Kill()
		<-c.done
	}
	return nil
}

func (c *child) Name() string          { return c.name }
func (c *child) PID() int              { return c.cmd.Process.Pid }
func (c *child) PIDs() []int           { return []int{c.PID()} }
func (c *child) Done() <-chan struct{} { return c.done }
func (c *child) Exit() platform.Exit   { return c.exit }

func (c *child) Stop(context.Context, time.Duration) error {
	if c.platform.immortal {
		return nil
	}
	_ = c.cmd.Process.Kill()
	<-c.done
	return nil
}

// within runs agents as goroutines of the test: run plays the process.
type within struct {
	run func(ctx context.Context, env func(string) string) error
}

type routine struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func (w *within) Start(_ context.Context, spec platform.Spec) (platform.Process, error) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &routine{name: spec.Name, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = w.run(ctx, lookup(spec.Env))
	}()
	return r, nil
}

func (w *within) Host() string                      { return "127.0.0.1" }
func (w *within) Port(context.Context) (int, error) { return 0, errors.New("not needed") }
func (w *within) Close() error                      { return nil }

func (r *routine) Name() string          { return r.name }
func (r *routine) PID() int              { return 0 }
func (r *routine) PIDs() []int           { return nil }
func (r *routine) Done() <-chan struct{} { return r.done }
func (r *routine) Exit() platform.Exit {
	if r.err != nil {
		return platform.Exit{Code: 1}
	}
	return platform.Exit{}
}

func (r *routine) Stop(context.Context, time.Duration) error {
	r.cancel()
	<-r.done
	return nil
}

// lookup reads KEY=VALUE pairs.
func lookup(env []string) func(string) string {
	return func(key string) string {
		for _, pair := range env {
			if value, ok := strings.CutPrefix(pair, key+"="); ok {
				return value
			}
		}
		return ""
	}
}

// numbers is a workload whose keys are a prefix and the request's number.
type numbers struct {
	Prefix string `json:"prefix"`
}

func (w numbers) AppendTarget(dst []byte, _, n uint64) []byte {
	return strconv.AppendUint(append(append(dst, "/?name="...), w.Prefix...), n, 10)
}
func (numbers) Length(uint64, uint64, int64) bool        { return true }
func (numbers) Check(uint64, uint64, int, []byte) string { return "" }
func (numbers) Hit(uint64, uint64) (hit, known bool)     { return false, false }
func workloads(built func()) map[string]func(json.RawMessage) (load.Workload, error) {
	return map[string]func(json.RawMessage) (load.Workload, error){
		"numbers": func(raw json.RawMessage) (load.Workload, error) {
			if built != nil {
				built()
			}
			var w numbers
			return w, json.Unmarshal(raw, &w)
		},
	}
}

func engines() map[string]load.Engine {
	return map[string]load.Engine{
		"metronome": metronome{}, "stubborn": metronome{stubborn: true}, "broken": broken{}, "sluggish": sluggish{}, "mill": mill{},
		"net/http": load.NewHTTP(), "native": load.NewRaw(1),
	}
}

// broken is an engine that fails.
type broken struct{}

func (broken) Run(context.Context, load.Job, func(stats.Window)) error {
	return errors.New("no descriptors left")
}

// sluggish is an engine that needs longer to get going in the second agent.
type sluggish struct{ metronome }

// sluggishBy is how much longer.
const sluggishBy = 400 * time.Millisecond

func (e sluggish) Run(ctx context.Context, job load.Job, emit func(stats.Window)) error {
	if job.Share.Index == 1 {
		time.Sleep(time.Until(job.Start) + sluggishBy)
	}
	return e.metronome.Run(ctx, job, emit)
}

// metronome is the smallest honest engine: constant arrivals, one connection,
// a window every 200 ms of its schedule so that tests are short. A stubborn one goes on, whatever
// its context says, as long as it is permitted to send.
type metronome struct{ stubborn bool }

func (e metronome) Run(ctx context.Context, job load.Job, emit func(stats.Window)) error {
	conn, err := net.Dial("tcp", strings.TrimPrefix(job.URLs[0], "http://"))
	if err != nil {
		return err
	}
	defer conn.Close()
	if e.stubborn {
		ctx = context.WithoutCancel(ctx)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	in := bufio.NewReader(conn)
	var books stats.Books
	next := job.Start.Add(200 * time.Millisecond)
	flush := func() {
		emit(stats.Window{Books: books, Service: stats.NewHistogram()})
		books = stats.Books{}
	}
	defer flush()
	total := int(job.Phase.Rate * job.Phase.Duration.Seconds())
	for n := job.Share.Index; n < total; n += job.Share.Of {
		at := job.Start.Add(time.Duration(float64(n) / job.Phase.Rate * 1e9))
		for time.Now().Before(at) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Until(at)):
			}
		}
		for ; !at.Before(next); next = next.Add(200 * time.Millisecond) { // as many as the schedule has, however slow the machine
			flush()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if permitted := knock(conn, in, job, uint64(n), &books); e.stubborn && !permitted {
			return nil
		}
	}
	return nil
}

// knock sends request n, books it, and reports whether it was permitted.
// Nothing stands between the permission and the sending.
func knock(conn net.Conn, in *bufio.Reader, job load.Job, n uint64, books *stats.Books) bool {
	books.Planned++
	request := job.Workload.AppendTarget([]byte("GET "), 0, n)
	request = append(request, " HTTP/1.1\r\nHost: witness\r\n\r\n"...)
	if !job.Permit() {
		books.Dropped++
		return false
	}
	books.Sent++
	if _, err := conn.Write(request); err != nil {
		books.Error++
		return true
	}
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		books.Error++
		return true
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	books.OK++
	return true
}

// witness is a server that counts by key and remembers when it was asked.
type witness struct {
	*httptest.Server
	mu    sync.Mutex
	keys  map[string]int
	all   int
	first map[string]time.Time // by key
	last  time.Time
	stall time.Duration // of the first request and all that come during it
}

// hold has all requests wait that come within so long of the first.
func (w *witness) hold(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stall = d
}

func newWitness(t testing.TB) *witness {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return newWitnessAt(t, listener)
}

func newWitnessAt(t testing.TB, listener net.Listener) *witness {
	w := &witness{keys: map[string]int{}, first: map[string]time.Time{}}
	w.Server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: w}}
	w.Start()
	t.Cleanup(w.Close)
	return w
}

func (w *witness) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := r.URL.Query().Get("name")
	w.last = time.Now()
	if w.keys[key]++; w.keys[key] == 1 {
		w.first[key] = w.last
	}
	w.all++
	time.Sleep(w.stall) // holding the lock
	w.stall = 0
	_, _ = io.WriteString(out, "{}")
}

// seen is how many requests came, and when the last one did.
func (w *witness) seen() (int, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all, w.last
}

// settled is what was seen once what was on its way has arrived: nothing more came for a while.
func (w *witness) settled(t *testing.T) (int, time.Time) {
	t.Helper()
	before, _ := w.seen()
	eventually(t, 10*time.Second, "the last requests", func() bool {
		time.Sleep(200 * time.Millisecond)
		now, _ := w.seen()
		still := now == before
		before = now
		return still
	})
	return w.seen()
}

// await waits until n requests came.
func (w *witness) await(t *testing.T, n int) {
	t.Helper()
	eventually(t, 10*time.Second, fmt.Sprintf("%d requests", n), func() bool {
		all, _ := w.seen()
		return all >= n
	})
}

// eventually waits until the condition holds.
func eventually(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("waited %s in vain for %s", limit, what)
}

// proxy is a TCP proxy that can hold back either direction.
type proxy struct {
	listener net.Listener
	to       string
	up, down gate // towards the controller, towards the agent
	work     sync.WaitGroup
	done     chan struct{}
}

// gate lets data pass unless it is shut.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // nil: open; closed when it opens again
}

func (g *gate) close() {
	g.mu.Lock()
	g.shut = make(chan struct{})
	g.mu.Unlock()
}

func (g *gate) open() {
	g.mu.Lock()
	close(g.shut)
	g.shut = nil
	g.mu.Unlock()
}

func (g *gate) pass(done <-chan struct{}) {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut == nil {
		return
	}
	select {
	case <-shut:
	case <-done:
	}
}

func newProxy(t *testing.T) *proxy {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, done: make(chan struct{})}
	t.Cleanup(func() {
		close(p.done)
		_ = listener.Close()
		p.work.Wait()
	})
	return p
}

// advertise puts the proxy before the controller.
func (p *proxy) advertise(controller string) string {
	p.to = controller
	p.work.Go(p.accept)
	return p.listener.Addr().String()
}

func (p *proxy) accept() {
	for {
		agent, err := p.listener.Accept()
		if err != nil {
			return
		}
		controller, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = agent.Close()
			continue
		}
		p.work.Go(func() { p.pump(controller, agent, &p.up) })
		p.work.Go(func() { p.pump(agent, controller, &p.down) })
		p.work.Go(func() {
			<-p.done
			_ = agent.Close()
			_ = controller.Close()
		})
	}
}

// pump copies one direction; what it holds when the gate shuts waits. An end is held back too.
func (p *proxy) pump(to, from net.Conn, g *gate) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		g.pass(p.done)
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
}
