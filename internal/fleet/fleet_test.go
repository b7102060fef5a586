package fleet

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/stats"
)

func TestAgentsGiveOnePlan(t *testing.T) {
	t.Parallel()
	for _, count := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			t.Parallel()
			server := newWitness(t)
			f := startFleet(t, count, nil)
			for phase := range 2 {
				server.mu.Lock()
				clear(server.keys)
				server.mu.Unlock()
				var sum stats.Books
				report, err := f.Run(t.Context(), constantTask(server.URL, 300, time.Second), func(s Snapshot) { sum.Add(s.Window.Books) })
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("phase %d: skew %s, agents %+v", phase, report.Skew, report.Agents)
				if len(report.Lost) > 0 {
					t.Fatalf("lost %+v", report.Lost)
				}
				if want := (stats.Books{Planned: 300, Sent: 300, OK: 300}); sum != want || report.Totals().Books != want {
					t.Errorf("books %+v, report %+v, want %+v", sum, report.Totals().Books, want)
				}
				server.mu.Lock()
				for n := range 300 {
					if server.keys[fmt.Sprintf("k%d", n)] != 1 {
						t.Errorf("key %d was asked %d times", n, server.keys[fmt.Sprintf("k%d", n)])
					}
				}
				if len(server.keys) != 300 {
					t.Errorf("%d keys, want 300", len(server.keys))
				}
				server.mu.Unlock()
				for _, a := range report.Agents {
					if a.Totals.Books.Planned != int64(300/count) || !a.Done || a.Began < 0 || a.First < 0 {
						t.Errorf("agent %+v", a)
					}
				}
				if report.Skew > time.Second {
					t.Errorf("skew %s", report.Skew)
				}
			}
		})
	}
}

func TestSnapshotsAreNumberedOverPhases(t *testing.T) {
	t.Parallel()
	server := newWitness(t)
	f := startFleet(t, 2, nil)
	last := map[int]int64{}
	for range 2 {
		_, err := f.Run(t.Context(), constantTask(server.URL, 50, 500*time.Millisecond), func(s Snapshot) {
			if s.Sequence != last[s.Agent]+1 || s.Epoch != 1 {
				t.Errorf("agent %d: epoch %d, window %d after %d", s.Agent, s.Epoch, s.Sequence, last[s.Agent])
			}
			last[s.Agent] = s.Sequence
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if last[0] < 4 || last[1] < 4 {
		t.Errorf("windows %v", last)
	}
}

func TestTokenIsNotInArguments(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 1, nil)
	pid := f.Processes()[0].PID()
	argv, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		t.Fatal(err)
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(argv, []byte(f.token)) || !bytes.Contains(environ, []byte(f.token)) {
		t.Errorf("argv %q", argv)
	}
}

// run starts a phase in the background.
func run(t *testing.T, f *Fleet, task Task) <-chan result {
	t.Helper()
	out := make(chan result, 1)
	ctx := t.Context()
	go func() {
		var r result
		r.report, r.err = f.Run(ctx, task, func(s Snapshot) { r.books.Add(s.Window.Books) })
		r.returned = time.Now()
		out <- r
	}()
	return out
}

type result struct {
	report   Report
	err      error
	books    stats.Books
	returned time.Time
}

// await gives the phase's result, which must come soon.
func await(t *testing.T, out <-chan result) result {
	t.Helper()
	select {
	case r := <-out:
		return r
	case <-time.After(20 * time.Second):
		t.Fatal("the phase did not return")
		return result{}
	}
}

// checkLost asserts what a loss of exactly this agent must look like.
func checkLost(t *testing.T, r result, agent int, why string) {
	t.Helper()
	if r.err != nil || len(r.report.Lost) != 1 {
		t.Fatalf("error %v, lost %+v", r.err, r.report.Lost)
	}
	lost := r.report.Lost[0]
	if lost.Agent != agent || !strings.Contains(lost.Why, why) {
		t.Errorf("lost %+v, want agent %d: %s", lost, agent, why)
	}
	if took := r.returned.Sub(lost.LastSign); took > 3*time.Second {
		t.Errorf("returned %s after the last sign of life", took)
	}
	if r.books != r.report.Totals().Books {
		t.Errorf("sum %+v, report %+v", r.books, r.report.Totals().Books)
	}
	for _, a := range r.report.Agents { // the lost one's end in the middle
		if a.Done == (a.Agent == agent) || a.Done && a.Totals.Books.Exact() != nil {
			t.Errorf("agent %d: done %t, books %v", a.Agent, a.Done, a.Totals.Books.Exact())
		}
	}
}

func TestFrozenAgentIsLostAndSendsNothingWhenThawed(t *testing.T) {
	t.Parallel()
	server := newWitness(t)
	p := &processes{immortal: true}
	f := startFleet(t, 2, func(o *Options) { o.Platform = p })
	t.Cleanup(func() { _ = p.Close() })
	frozen := f.Processes()[1]
	task := constantTask(server.URL, 200, time.Minute)
	task.Engine = "stubborn" // only the permission to send stops it
	out := run(t, f, task)
	server.await(t, 50)
	signalTo(t, frozen.PID(), syscall.SIGSTOP)
	r := await(t, out)
	checkLost(t, r, 1, "silent for 2s")
	count, last := server.settled(t)
	if late := last.Sub(r.report.Lost[0].LastSign); late > 3*time.Second {
		t.Errorf("a request came %s after the last sign of life", late)
	}
	signalTo(t, frozen.PID(), syscall.SIGCONT)
	select {
	case <-frozen.Done():
	case <-time.After(5 * time.Second):
		t.Error("the thawed agent did not end")
	}
	if after, _ := server.settled(t); after != count {
		t.Errorf("%d requests came after the thaw", after-count)
	}
	if frozen.Exit().Code != 1 {
		t.Errorf("the thawed agent ended with %+v", frozen.Exit())
	}
}

func TestShortFreezeIsSurvived(t *testing.T) {
	t.Parallel()
	server := newWitness(t)
	f := startFleet(t, 2, nil)
	out := run(t, f, constantTask(server.URL, 100, 2*time.Second))
	server.await(t, 20)
	signalTo(t, f.Processes()[0].PID(), syscall.SIGSTOP)
	time.Sleep(800 * time.Millisecond)
	signalTo(t, f.Processes()[0].PID(), syscall.SIGCONT)
	r := await(t, out)
	if r.err != nil || len(r.report.Lost) > 0 || r.books.OK != 200 {
		t.Errorf("error %v, lost %+v, books %+v", r.err, r.report.Lost, r.books)
	}
}

func TestKilledAgentIsReplaced(t *testing.T) {
	t.Parallel()
	server := newWitness(t)
	f := startFleet(t, 2, nil)
	out := run(t, f, constantTask(server.URL, 200, time.Minute))
	server.await(t, 50)
	signalTo(t, f.Processes()[0].PID(), syscall.SIGKILL)
	checkLost(t, await(t, out), 0, "SIGKILL")
	count, _ := server.settled(t)

	r := await(t, run(t, f, constantTask(server.URL, 200, time.Second)))
	if r.err != nil || len(r.report.Lost) != 1 || !r.report.Start.IsZero() {
		t.Errorf("with an agent missing: error %v, report %+v", r.err, r.report)
	}
	if after, _ := server.settled(t); after != count {
		t.Errorf("%d requests came with an agent missing", after-count)
	}
	if err := f.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	r = await(t, run(t, f, constantTask(server.URL, 200, time.Second)))
	if r.err != nil || len(r.report.Lost) > 0 || r.books.OK != 200 {
		t.Errorf("after healing: error %v, lost %+v, books %+v", r.err, r.report.Lost, r.books)
	}
	if a := r.report.Agents; a[0].Epoch != 2 || a[1].Epoch != 1 {
		t.Errorf("agents %+v", a)
	}
}

func signalTo(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

func TestControllersEndIsTheAgentsEnd(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "frozen": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newWitness(t)
			controller, agents := startController(t, server.URL)
			server.await(t, 50)
			signalTo(t, controller, s)
			struck := time.Now()
			eventually(t, 5*time.Second, "the agents' end", func() bool {
				return !alive(agents[0]) && !alive(agents[1])
			})
			count, last := server.settled(t)
			if late := last.Sub(struck); late > 3*time.Second {
				t.Errorf("a request came %s after the controller's end", late)
			}
			if after, _ := server.settled(t); after != count {
				t.Errorf("%d requests came from nowhere", after-count)
			}
		})
	}
}

// startController runs a controller with two agents in a process of its own.
func startController(t *testing.T, url string, env ...string) (pid int, agents []int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = []string{roleEnv + "=controller", "FLEET_TEST_URL=" + url, "FLEET_TEST_DIR=" + t.TempDir()}
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for len(agents) < 2 && lines.Scan() {
		agent, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		agents = append(agents, agent)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		for _, agent := range agents {
			if alive(agent) {
				_ = syscall.Kill(agent, syscall.SIGKILL)
			}
		}
	})
	if len(agents) != 2 {
		t.Fatal("the controller did not name its agents")
	}
	return cmd.Process.Pid, agents
}

// alive reports whether a process runs; one that only waits to be reaped does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

func TestPartitions(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name     string
		up, down bool
	}{
		{"agent is not heard", true, false},
		{"agent hears nothing", false, true},
		{"both", true, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server, proxy := newWitness(t), newProxy(t)
			f := startFleet(t, 2, func(o *Options) {
				o.Advertise = proxy.advertise
				o.Platform = &processes{immortal: true}
			})
			t.Cleanup(func() { _ = f.options.Platform.Close() })
			task := constantTask(server.URL, 200, time.Minute)
			task.Engine = "stubborn"
			out := run(t, f, task)
			server.await(t, 50)
			cut := time.Now()
			shut(proxy, c.up, c.down, (*gate).close)
			r := await(t, out)
			if r.err != nil || len(r.report.Lost) != 2 {
				t.Fatalf("error %v, lost %+v", r.err, r.report.Lost)
			}
			time.Sleep(time.Until(cut.Add(3 * time.Second)))
			count, last := server.settled(t)
			if late := last.Sub(cut); late > 3*time.Second {
				t.Errorf("a request came %s after the cut", late)
			}
			shut(proxy, c.up, c.down, (*gate).open)
			for _, p := range f.Processes() {
				select {
				case <-p.Done():
				case <-time.After(5 * time.Second):
					t.Errorf("%s did not end", p.Name())
				}
			}
			if after, _ := server.settled(t); after != count {
				t.Errorf("%d requests came after the partition", after-count)
			}
		})
	}
}

func TestFlapOfOneSecondIsSurvived(t *testing.T) {
	t.Parallel()
	for name, c := range map[string][2]bool{"up": {true, false}, "down": {false, true}, "both": {true, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, proxy := newWitness(t), newProxy(t)
			f := startFleet(t, 2, func(o *Options) { o.Advertise = proxy.advertise })
			out := run(t, f, constantTask(server.URL, 100, 2*time.Second))
			server.await(t, 20)
			shut(proxy, c[0], c[1], (*gate).close)
			time.Sleep(time.Second)
			shut(proxy, c[0], c[1], (*gate).open)
			r := await(t, out)
			if r.err != nil || len(r.report.Lost) > 0 || r.books.OK != 200 {
				t.Errorf("error %v, lost %+v, books %+v", r.err, r.report.Lost, r.books)
			}
		})
	}
}

// shut moves the gates of the chosen directions.
func shut(p *proxy, up, down bool, move func(*gate)) {
	if up {
		move(&p.up)
	}
	if down {
		move(&p.down)
	}
}

func TestCancelledPhaseClosesItsBooks(t *testing.T) {
	t.Parallel()
	server := newWitness(t)
	f := startFleet(t, 2, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var books stats.Books
	go func() {
		server.await(t, 50)
		cancel()
	}()
	report, err := f.Run(ctx, constantTask(server.URL, 200, time.Minute), func(s Snapshot) { books.Add(s.Window.Books) })
	if !errors.Is(err, context.Canceled) || len(report.Lost) > 0 {
		t.Fatalf("error %v, lost %+v", err, report.Lost)
	}
	all, _ := server.seen()
	if books.Exact() != nil || books.Sent < 50 || int64(all) > books.Sent || books.OK > int64(all) {
		t.Errorf("books %+v, the server saw %d", books, all)
	}
	r := await(t, run(t, f, constantTask(server.URL, 100, 300*time.Millisecond)))
	if r.err != nil || r.books.OK != 30 {
		t.Errorf("the next phase: error %v, books %+v", r.err, r.books)
	}
}

func TestEngineThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 2, nil)
	cases := map[string]struct {
		change func(*Task)
		want   string
	}{
		"engine fails":     {func(t *Task) { t.Engine = "broken" }, "no descriptors left"},
		"unknown engine":   {func(t *Task) { t.Engine = "steam" }, `there is no engine "steam"`},
		"unknown contract": {func(t *Task) { t.Contract = "social" }, `there is no contract "social"`},
		"too much to tell": {func(t *Task) { t.Body = make([]byte, lineLimit) }, "encode message: line too long"},
		"body changed":     {func(t *Task) { t.BodyFile = File{os.Args[0], "00"} }, "has changed"},
		"no body":          {func(t *Task) { t.BodyFile = File{"/no/such", "00"} }, "no such file"},
		"bad workload":     {func(t *Task) { t.Workload = []byte(`{"prefix":1}`) }, `contract "numbers": json`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			task := constantTask("http://127.0.0.1:1", 10, time.Minute)
			c.change(&task)
			r := await(t, run(t, f, task))
			if r.err == nil || !strings.Contains(r.err.Error(), c.want) || len(r.report.Lost) > 0 {
				t.Errorf("error %v, lost %+v, want %s", r.err, r.report.Lost, c.want)
			}
		})
	}
	server := newWitness(t)
	if r := await(t, run(t, f, constantTask(server.URL, 100, 300*time.Millisecond))); r.err != nil || r.books.OK != 30 {
		t.Errorf("the next phase: error %v, books %+v", r.err, r.books)
	}
}

func TestStartFailsWhenAnAgentDoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := &processes{}
	options := testOptions(p, dir, 2)
	options.Env = nil // the test binary would run the tests: it gets a flag it does not know
	options.Self = append(options.Self, "-no-such-flag")
	_, err := Start(t.Context(), options)
	if err == nil || !strings.Contains(err.Error(), "agent 0: its process ended with status 2 before it connected; see "+dir) {
		t.Errorf("error %v", err)
	}
	for _, c := range p.all {
		select {
		case <-c.done:
		default:
			t.Errorf("%s still runs", c.name)
		}
	}
}

func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	server := newWitness(t)
	f := startFleet(t, 2, nil)
	out := run(t, f, constantTask(server.URL, 200, time.Minute))
	server.await(t, 20)
	began := time.Now()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > quitWithin {
		t.Errorf("closing took %s: the agents did not leave by themselves", took)
	}
	if r := await(t, out); !errors.Is(r.err, ErrClosed) {
		t.Errorf("error %v", r.err)
	}
	for _, p := range f.Processes() {
		if alive(p.PID()) {
			t.Errorf("%s still runs", p.Name())
		}
	}
	if _, err := f.Run(t.Context(), constantTask(server.URL, 1, time.Second), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("a phase after Close: %v", err)
	}
	if err := f.Heal(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("healing after Close: %v", err)
	}
}
