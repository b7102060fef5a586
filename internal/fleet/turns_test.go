package fleet

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/stats"
)

// turnTasks are a closed phase of the real engine on each of the servers.
func turnTasks(servers ...*witness) []Task {
	var out []Task
	for _, s := range servers {
		task := constantTask(s.URL, 0, time.Second)
		task.Engine, task.Phase.Model, task.Phase.Arrivals, task.Phase.Connections = "native", load.Closed, "", 6
		task.Phase.Think = 5 * time.Millisecond // how fast is not the subject
		out = append(out, task)
	}
	return out
}

// The load of two agents goes from one server to another and back: each request is sent to the one whose
// turn it is, the books of each are exact, and a phase at a stretch can follow.
func TestTurns(t *testing.T) {
	t.Parallel()
	servers := []*witness{newWitness(t), newWitness(t)}
	f := startFleet(t, 2, func(o *Options) { o.Silence = 20 * time.Second })
	sums := make([]stats.Totals, 2)
	agents := map[int]bool{}
	var began time.Time // the slice under way
	counted := 0        // windows in rates, of that slice
	turns, err := f.Turns(t.Context(), turnTasks(servers...), func(task int, s Snapshot) {
		sums[task].Add(s.Window)
		agents[s.Agent] = true
		if !s.Window.Aside {
			counted++
		}
		if s.At.Before(began) || s.At.After(time.Now()) {
			t.Errorf("a window of the slice of %v is said to have begun %v after it", began, s.At.Sub(began))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	const length = 50 * time.Millisecond
	for round := range 10 {
		for i, s := range servers {
			before, _ := s.seen()
			idle, _ := servers[1-i].seen()
			began, counted = time.Now(), 0
			slice, err := turns.Slice(t.Context(), i, Slice{Begin: time.Duration(round) * length, Length: length, RunIn: 10 * time.Millisecond, Parts: round % 4, Until: 10 * length})
			if err != nil {
				t.Fatal(err)
			}
			if want := 2 * max(round%4, 1); counted != want {
				t.Errorf("round %d, server %d: %d windows, want %d of two agents", round, i, counted, want)
			}
			after, _ := s.seen()
			nothing := after == before && round > 0 && slice.Late < length/2 // a busy machine may leave an agent no time
			if out, _ := servers[1-i].seen(); nothing || out != idle {
				t.Errorf("round %d, server %d, %v late: %d requests, %d to the other", round, i, slice.Late, after-before, out-idle)
			}
		}
	}
	reports, err := turns.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, report := range reports {
		all, _ := servers[i].seen()
		b := report.Totals().Books
		if len(report.Lost) > 0 || len(report.Agents) != 2 || !report.Agents[0].Done || b.Exact() != nil || b.OK != int64(all) || b != sums[i].Books {
			t.Errorf("server %d was asked %d times; report %+v, windows %+v", i, all, report, sums[i].Books)
		}
	}
	for i, sum := range sums { // although the phase might have lasted longer
		if sum.Response.Count() != sum.Books.OK {
			t.Errorf("server %d: %d answers, times of %d", i, sum.Books.OK, sum.Response.Count())
		}
	}
	if len(agents) != 2 {
		t.Errorf("windows of the agents %v", agents)
	}
	begins := map[time.Time]bool{}
	report, err := f.Run(t.Context(), turnTasks(servers[0])[0], func(s Snapshot) { begins[s.At.Add(-s.Window.Begin)] = true })
	if len(begins) != 1 || !begins[report.Start] {
		t.Errorf("windows of a phase that began at %v say it began at %v", report.Start, begins)
	}
	if err != nil || report.Totals().Books.OK == 0 {
		t.Errorf("a phase afterwards: %v, %+v", err, report)
	}
}

// An agent that is lost in one target's turn ends the turns of all, and is lost in each one's report.
func TestTurnsLoseAnAgent(t *testing.T) {
	t.Parallel()
	servers := []*witness{newWitness(t), newWitness(t)}
	f := startFleet(t, 2, nil)
	turns, err := f.Turns(t.Context(), turnTasks(servers...), func(int, Snapshot) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := turns.Slice(t.Context(), 0, Slice{Length: 50 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	signalTo(t, f.Processes()[1].PID(), syscall.SIGKILL)
	for range 20 {
		if _, err = turns.Slice(t.Context(), 1, Slice{Length: 50 * time.Millisecond}); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrTurns) {
		t.Errorf("slice: %v", err)
	}
	reports, err := turns.End(t.Context())
	if err != nil || len(reports) != 2 {
		t.Fatal(reports, err)
	}
	for i, r := range reports {
		if len(r.Lost) != 1 || r.Lost[0].Agent != 1 {
			t.Errorf("server %d: lost %+v", i, r.Lost)
		}
	}
	if err := f.Heal(t.Context()); err != nil {
		t.Error(err)
	}
}

// Turns are ended by the context like a phase, and an engine that cannot take them says so.
func TestTurnsEndEarly(t *testing.T) {
	t.Parallel()
	server := newWitness(t)
	f := startFleet(t, 2, func(o *Options) { o.Silence = 20 * time.Second })
	tasks := turnTasks(server)
	tasks[0].Engine = "metronome"
	turns, err := f.Turns(t.Context(), tasks, func(int, Snapshot) {})
	if err != nil {
		t.Fatal(err)
	}
	reports, err := turns.End(t.Context())
	if err == nil || !strings.Contains(err.Error(), `the engine "metronome" cannot take turns`) {
		t.Errorf("end: %v", err)
	}
	nothingCame(t, reports, 1)
	ctx, cancel := context.WithCancel(t.Context())
	if turns, err = f.Turns(ctx, turnTasks(server), func(int, Snapshot) {}); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, cancel)
	began := time.Now()
	if _, err := turns.Slice(ctx, 0, Slice{Length: time.Minute}); !errors.Is(err, ErrTurns) {
		t.Errorf("slice: %v", err)
	}
	reports, err = turns.End(ctx)
	if !errors.Is(err, context.Canceled) || len(reports) != 1 || time.Since(began) > 10*time.Second {
		t.Errorf("end after %v: %v, %+v", time.Since(began), err, reports)
	}
	if all, _ := server.settled(t); reports[0].Totals().Books.Exact() != nil || reports[0].Totals().Books.Sent < int64(all) {
		t.Errorf("%d requests, books %+v", all, reports[0].Totals().Books)
	}
}

// nothingCame fails the test unless both agents of each report are done, without a window or a first request.
func nothingCame(t *testing.T, reports []Report, n int) {
	t.Helper()
	if len(reports) != n {
		t.Fatalf("%d reports, want %d", len(reports), n)
	}
	for _, r := range reports {
		if len(r.Lost) > 0 || len(r.Agents) != 2 {
			t.Errorf("lost %+v, agents %+v", r.Lost, r.Agents)
		}
		for _, a := range r.Agents {
			if !a.Done || a.First != -1 || a.Due != -1 || a.Totals.Windows != 0 {
				t.Errorf("agent %+v", a)
			}
		}
	}
}

// Turns that end before the first slice came to nothing, and no agent is lost.
func TestTurnsWithoutASlice(t *testing.T) {
	t.Parallel()
	servers := []*witness{newWitness(t), newWitness(t)}
	f := startFleet(t, 2, func(o *Options) { o.Silence = 20 * time.Second })
	turns, err := f.Turns(t.Context(), turnTasks(servers...), func(int, Snapshot) {})
	if err != nil {
		t.Fatal(err)
	}
	reports, err := turns.End(t.Context())
	if err != nil {
		t.Error(err)
	}
	nothingCame(t, reports, 2)
}

// A stall that one agent meets extends the slice of both, so that the arrivals of both go on into it; a
// slice without one is not extended.
func TestTurnsMeetAStall(t *testing.T) {
	t.Parallel()
	server := newWitness(t)
	f := startFleet(t, 2, func(o *Options) { o.Silence = 20 * time.Second })
	task := turnTasks(server)[0]
	task.Phase = load.Phase{Name: "open", Model: load.Open, Connections: 64, Rate: 200, Arrivals: load.Constant, Duration: 10 * time.Second, Timeout: 5 * time.Second}
	var sum stats.Totals
	turns, err := f.Turns(t.Context(), []Task{task}, func(_ int, s Snapshot) { sum.Add(s.Window) })
	if err != nil {
		t.Fatal(err)
	}
	const length, stall = 200 * time.Millisecond, 100 * time.Millisecond
	server.hold(600 * time.Millisecond) // from the first request on
	first, err := turns.Slice(t.Context(), 0, Slice{Length: length, Stall: stall})
	if err != nil {
		t.Fatal(err)
	}
	second, err := turns.Slice(t.Context(), 0, Slice{Begin: first.Length, Length: length, Stall: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	reports, err := turns.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, _ := server.seen()
	b := reports[0].Totals().Books
	if first.Length < 500*time.Millisecond || first.Length > 5*time.Second || second.Length != length || b.OK != int64(all) || b.OK != b.Planned {
		t.Errorf("slices of %v and %v, %d requests, books %+v", first.Length, second.Length, all, b)
	}
	if want := int64(200 * (first.Length + second.Length).Seconds()); b.Planned < want-4 || b.Planned > want+4 {
		t.Errorf("planned %d, want about %d: the arrivals go on while the slice does", b.Planned, want)
	}
}
