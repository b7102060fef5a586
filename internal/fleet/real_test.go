package fleet

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/platform/local"
	"bakeoff/internal/stats"
)

// These tests join the real engine, the real platform, and real agents.

// locks numbers the locks of the machine that the tests take.
var locks atomic.Int64

// openLocal returns the real platform with a state folder and a lock of its own.
func openLocal(t *testing.T) *local.Platform {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := local.Open(t.Context(), local.Options{
		Self: []string{self, "guard"}, StateDir: t.TempDir(), Label: t.Name(),
		Lock: fmt.Sprintf("bakeoff-fleet-test-%d-%d", os.Getpid(), locks.Add(1)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestRealEngineGivesOnePlan(t *testing.T) {
	t.Parallel()
	server := newWitness(t)
	open := constantTask(server.URL, 400, time.Second)
	open.Engine, open.Phase.Arrivals, open.Phase.Timeout = "net/http", "poisson", 10*time.Second
	closed := open
	closed.Phase.Model, closed.Phase.Rate, closed.Phase.Arrivals = load.Closed, 0, ""
	closed.Phase.Connections, closed.Phase.Think = 7, 20*time.Millisecond
	p := openLocal(t)
	asked, planned := map[string]int{}, int64(0) // by all fleets together
	for _, count := range []int{1, 2, 4} {
		f := startFleet(t, count, func(o *Options) { o.Platform, o.Silence = p, 20*time.Second }) // a busy machine is not the subject
		for _, task := range []Task{open, closed} {
			server.mu.Lock()
			before := server.all
			server.keys = map[string]int{}
			server.mu.Unlock()
			service := stats.NewHistogram()
			var books stats.Books
			report, err := f.Run(t.Context(), task, func(s Snapshot) {
				books.Add(s.Window.Books)
				service.Merge(s.Window.Service)
			})
			if err != nil || len(report.Lost) > 0 {
				t.Fatalf("%d agents: error %v, lost %+v", count, err, report.Lost)
			}
			all, _ := server.seen()
			if books.Exact() != nil || books.OK != books.Sent || books.OK != int64(all-before) || service.Count() != books.Sent || books != report.Totals().Books {
				t.Errorf("%d agents, %s: books %+v, report %+v, server %d, histogram %d", count, task.Phase.Model, books, report.Totals().Books, all-before, service.Count())
			}
			t.Logf("%d agents, %s: %d requests, skew %s", count, task.Phase.Model, books.OK, report.Skew)
			if task.Phase.Model == load.Closed {
				continue // how often each connection comes round is the server's doing
			}
			// An engine that the machine held up drops arrivals at the very
			// end; those it sent are the plan's, each of them once.
			server.mu.Lock()
			maps.Copy(asked, server.keys)
			planned = max(planned, books.Planned)
			if int64(len(server.keys)) != books.Sent || int64(len(asked)) > planned || books.Planned != planned || planned < 300 {
				t.Errorf("%d agents asked for %d keys in %d requests; %d were planned, %d keys are known", count, len(server.keys), books.Sent, planned, len(asked))
			}
			server.mu.Unlock()
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRealEngineStopsWithAFrozenAgent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		engine string
		thaw   bool // after it was lost; else it is killed then
	}{{"net/http", false}, {"net/http", true}, {"native", true}} {
		thaw := c.thaw
		t.Run(fmt.Sprintf("%s, thawed %t", c.engine, thaw), func(t *testing.T) {
			t.Parallel()
			server := newWitness(t)
			f := startFleet(t, 2, func(o *Options) {
				if o.Platform = openLocal(t); thaw {
					o.Platform = &processes{immortal: true}
				}
			})
			t.Cleanup(func() { _ = f.options.Platform.Close() })
			task := constantTask(server.URL, 200, time.Minute)
			task.Engine = c.engine
			frozen := f.Processes()[0]
			out := run(t, f, task)
			server.await(t, 50)
			signalTo(t, frozen.PID(), syscall.SIGSTOP)
			r := await(t, out)
			checkLost(t, r, 0, "silent for 2s")
			count, last := server.settled(t)
			if late := last.Sub(r.report.Lost[0].LastSign); late > 3*time.Second {
				t.Errorf("a request came %s after the last sign of life", late)
			}
			if thaw {
				signalTo(t, frozen.PID(), syscall.SIGCONT)
			}
			select {
			case <-frozen.Done():
			case <-time.After(5 * time.Second):
				t.Error("the lost agent did not end")
			}
			if after, _ := server.settled(t); after != count {
				t.Errorf("%d requests came after the loss", after-count)
			}
			if killed := frozen.Exit().Signal == "SIGKILL"; killed == thaw {
				t.Errorf("the lost agent ended with %+v", frozen.Exit())
			}
		})
	}
}

func TestCloseWithTheRealPlatform(t *testing.T) {
	t.Parallel()
	p := openLocal(t)
	f := startFleet(t, 3, func(o *Options) { o.Platform = p })
	var names []string
	for _, process := range f.Processes() {
		names = append(names, process.Name())
	}
	if got := strings.Join(names, " "); got != "agent-0 agent-1 agent-2" {
		t.Errorf("processes %s", got)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, process := range f.Processes() {
		if exit := process.Exit(); exit.Code != 0 {
			t.Errorf("%s ended with %+v", process.Name(), exit)
		}
	}
}
