package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/stats"
)

// What an agent does in its turns, in virtual time on slices that do what is asked of them.

// scripted are slices that last as long as they are asked to, with two windows each.
type scripted struct {
	mu       sync.Mutex
	asked    []load.Slice
	end      time.Duration // of the slice under way
	extended []time.Duration
	stuck    bool
	over     bool // an extension comes too late
	err      error
	closed   int
}

func (s *scripted) Run(ctx context.Context, one load.Slice, emit func(stats.Window)) error {
	s.ends(one.Begin + one.Length)
	s.asked = append(s.asked, one)
	for range 2 {
		emit(stats.Window{Begin: one.Begin, Books: stats.Books{Planned: 1, Sent: 1, OK: 1}})
	}
	for {
		left := time.Until(one.Start.Add(s.ends(0) - one.Begin))
		if left <= 0 {
			return s.err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(left, time.Millisecond)):
		}
	}
}

func (s *scripted) Stuck(time.Duration) bool { return s.stuck }
func (s *scripted) Close()                   { s.closed++ }
func (s *scripted) Extend(end time.Duration) bool {
	if s.over {
		return false
	}
	s.extended = append(s.extended, end)
	s.ends(end)
	return true
}

// ends is when the slice under way ends, from now on at that time where it is given.
func (s *scripted) ends(at time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = cmp.Or(at, s.end)
	return s.end
}

// slicer is an engine of such slices.
type slicer struct {
	broken
	slices *scripted
	job    *load.Job
	err    error
}

func (s slicer) Slices(_ context.Context, j load.Job) (load.Slices, error) {
	*s.job = j
	return s.slices, s.err
}

// inTurn is an agent whose lines stay in its queue.
func inTurn() *agent {
	now := time.Now()
	a := &agent{epoch: 4, lease: newLease(time.Hour), out: make(chan message, 64), orders: make(chan order, 8), options: AgentOptions{Workloads: workloads(nil)}}
	a.clock.learn(now, now, now.UnixNano())
	return a
}

// said are the lines of an agent, which are taken.
func (a *agent) said() (out []message) {
	for {
		select {
		case m := <-a.out:
			out = append(out, m)
		default:
			return out
		}
	}
}

// A slice is carried out as it was ordered, its windows are numbered on and added up, and the agent says by how much it was late.
func TestTakeTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s := inTurn(), &scripted{}
		one := &turn{run: 3, slices: s, done: *newDone(3)}
		at := time.Now().Add(-7 * time.Millisecond)
		a.takeTurn(t.Context(), one, &slice{Run: 3, At: at.UnixNano(), Begin: time.Second, Length: 100 * time.Millisecond, RunIn: 20, Parts: 3, Fresh: true, Until: time.Minute})
		if len(s.asked) != 1 || !s.asked[0].Start.Equal(at) || s.asked[0] != (load.Slice{Start: s.asked[0].Start, Begin: time.Second, Length: 100 * time.Millisecond, RunIn: 20, Parts: 3, Fresh: true, Until: time.Minute}) {
			t.Errorf("asked %+v", s.asked)
		}
		all := a.said()
		if len(all) != 3 || all[0].Window == nil || all[1].Window == nil || all[1].Window.Sequence != 2 || all[1].Window.Epoch != 4 || all[1].Window.Run != 3 {
			t.Fatalf("said %+v", all)
		}
		if end := all[2].Sliced; end == nil || *end != (sliced{Run: 3, Late: 7 * time.Millisecond}) {
			t.Errorf("ends with %+v", end)
		}
		if d := one.done; d.Windows != 2 || d.Books != (stats.Books{Planned: 2, Sent: 2, OK: 2}) || d.Timing.Began != 7*time.Millisecond {
			t.Errorf("%+v", d)
		}
		if a.turn != nil || a.halt != nil || a.sending.Load() != 0 {
			t.Errorf("%+v is still under way", a.turn)
		}
		a.takeTurn(t.Context(), one, &slice{Run: 3, At: time.Now().Add(time.Millisecond).UnixNano(), Length: time.Millisecond})
		if all = a.said(); len(all) != 3 || all[1].Window.Sequence != 4 || all[2].Sliced.Late != 0 || one.done.Timing.Began != 7*time.Millisecond {
			t.Errorf("the second slice: %+v, %+v", all, one.done)
		}
		a.takeTurn(t.Context(), nil, &slice{Run: 9})
		if all = a.said(); len(all) != 1 || *all[0].Sliced != (sliced{Run: 9, Error: "the phase is not under way"}) {
			t.Errorf("a phase that is not there: %+v", all)
		}
	})
}

// How a slice ends: by itself, by an error, by a stop, which is none, and with the agent's right to send, after which it says nothing.
func TestTurnsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(a *agent, s *scripted)
		want    sliced
		silent  bool
		stopped bool
	}{
		"by itself":                 {func(*agent, *scripted) {}, sliced{Run: 3}, false, false},
		"by an error":               {func(_ *agent, s *scripted) { s.err = errors.New("no port") }, sliced{Run: 3, Error: "no port"}, false, false},
		"called off before":         {func(a *agent, _ *scripted) { a.callOff(3) }, sliced{Run: 3}, false, true},
		"called off":                {func(a *agent, _ *scripted) { time.AfterFunc(50*time.Millisecond, func() { a.callOff(3) }) }, sliced{Run: 3}, false, true},
		"an earlier one called off": {func(a *agent, _ *scripted) { a.callOff(2) }, sliced{Run: 3}, false, false},
		"without a lease":           {func(a *agent, _ *scripted) { time.AfterFunc(50*time.Millisecond, a.lease.end) }, sliced{}, true, false},
		"an extension came too late": {func(a *agent, s *scripted) {
			s.over = true
			time.AfterFunc(50*time.Millisecond, func() { a.extend(&extend{3, time.Second}) })
		}, sliced{Run: 3, Late: 100 * time.Millisecond}, false, false},
		"an extension of another": {func(a *agent, s *scripted) {
			s.over = true
			time.AfterFunc(50*time.Millisecond, func() { a.extend(&extend{4, time.Second}) })
		}, sliced{Run: 3}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, s := inTurn(), &scripted{}
				c.arrange(a, s)
				one := &turn{run: 3, slices: s, done: *newDone(3)}
				a.takeTurn(t.Context(), one, &slice{Run: 3, At: time.Now().UnixNano(), Length: 100 * time.Millisecond})
				var ends []sliced
				for _, m := range a.said() {
					if m.Sliced != nil {
						ends = append(ends, *m.Sliced)
					}
				}
				if c.silent != (len(ends) == 0) || len(ends) > 0 && ends[0] != c.want || one.stopped != c.stopped {
					t.Errorf("ends with %+v, stopped %v", ends, one.stopped)
				}
				a.extend(&extend{3, time.Second}) // it is over
				if one.missed.Load() != (name == "an extension came too late") {
					t.Errorf("missed %v", one.missed.Load())
				}
				time.Sleep(time.Second)
			})
		})
	}
}

// Something that is stuck is said 10 ms before the slice ends, each time that it is extended; nothing is said where it is not.
func TestStallsAreSaid(t *testing.T) {
	for name, c := range map[string]struct {
		stuck bool
		stall time.Duration
		other bool // another agent has said so before
		ends  []time.Duration
	}{
		"stuck":           {true, time.Millisecond, false, []time.Duration{1100 * time.Millisecond, 1150 * time.Millisecond}},
		"another's stall": {true, time.Millisecond, true, []time.Duration{1150 * time.Millisecond}},
		"not stuck":       {false, time.Millisecond, false, nil},
		"nobody asks":     {true, 0, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, s := inTurn(), &scripted{stuck: c.stuck}
				began := time.Now()
				if c.other {
					time.AfterFunc(80*time.Millisecond, func() { a.extend(&extend{3, 1150 * time.Millisecond}) })
				}
				var said, at []time.Duration
				heard := make(chan struct{})
				go func() { // the controller, which extends once
					defer close(heard)
					for m := range a.out {
						if m.Stuck == nil {
							continue
						}
						said, at = append(said, m.Stuck.End), append(at, time.Since(began))
						if len(said) == 1 && !c.other {
							a.extend(&extend{3, m.Stuck.End + extendBy})
						}
					}
				}()
				one := &turn{run: 3, slices: s, done: *newDone(3)}
				a.takeTurn(t.Context(), one, &slice{Run: 3, At: began.UnixNano(), Begin: time.Second, Length: 100 * time.Millisecond, Stall: c.stall})
				took := time.Since(began)
				synctest.Wait()
				close(a.out)
				<-heard
				if !slices.Equal(said, c.ends) {
					t.Errorf("said %v, want %v", said, c.ends)
				}
				for i, end := range said {
					if want := end - time.Second - 10*time.Millisecond; at[i] < want || at[i] > want+time.Millisecond {
						t.Errorf("said after %v, want %v", at[i], want)
					}
				}
				if long := len(s.extended) > 0; took < 100*time.Millisecond || long && took < 150*time.Millisecond || !long && took > 110*time.Millisecond {
					t.Errorf("it took %v, extended %v", took, s.extended)
				}
			})
		})
	}
}

// A phase in slices is readied with the right to send only in its turn, and left with what it came to; others stay as they are.
func TestJoinAndLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s, job := inTurn(), &scripted{}, load.Job{}
		a.options.Engines = map[string]load.Engine{"slices": slicer{slices: s, job: &job}, "stretch": broken{}, "none": slicer{slices: s, job: &job, err: errors.New("no port")}}
		open, cache := turns{}, cached{}
		ask := func(run int64, engine string) *ready {
			a.join(t.Context(), open, &prepare{Run: run, Engine: engine, Contract: "numbers", Workload: json.RawMessage(`{}`), Seed: 8, Sliced: true}, &cache)
			all := a.said()
			if len(all) != 1 || all[0].Ready == nil || all[0].Ready.Run != run {
				t.Fatalf("%+v", all)
			}
			return all[0].Ready
		}
		for engine, want := range map[string]string{"stretch": `the engine "stretch" cannot take turns`, "none": "no port", "steam": `there is no engine "steam"`} {
			if r := ask(2, engine); r.Error != want || len(open) > 0 {
				t.Errorf("%s: %q, open %v", engine, r.Error, open)
			}
		}
		for run := int64(3); run < 6; run++ {
			if r := ask(run, "slices"); r.Error != "" || open[run] == nil || job.Seed != 8 || job.Permit() {
				t.Errorf("%+v, open %v", r, open)
			}
		}
		a.sending.Store(5)
		if !job.Permit() {
			t.Error("in its turn it may not send")
		}
		a.lease.end()
		if job.Permit() {
			t.Error("without a lease it may send")
		}
		a.callOff(3)
		open.drop(a.calledOff)
		if len(open) != 2 || open[3] != nil || s.closed != 1 {
			t.Errorf("open %v, %d closed", open, s.closed)
		}
		open[4].done.Windows = 6
		a.leave(t.Context(), open, 4)
		a.leave(t.Context(), open, 4)
		all := a.said()
		if len(all) != 2 || all[0].Done.Windows != 6 || all[0].Done.Run != 4 || all[1].Done.Windows != 0 || all[1].Done.Run != 4 || all[1].Done.Timing.First != -1 || all[1].Done.Timing.Due != -1 {
			t.Errorf("%+v", all)
		}
		if len(open) != 1 || open[5] == nil || s.closed != 2 {
			t.Errorf("open %v, %d closed", open, s.closed)
		}
	})
}

// What an agent does with each line of its controller: an order too many and what is no order end it.
func TestLinesOfTheController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := inTurn(), newBeats()
		first, second := b.next(), int64(0)
		time.Sleep(time.Second)
		second = b.next()
		if err := a.handle(message{Beat: &beat{Number: second, Clock: time.Now().UnixNano()}}, b); err != nil {
			t.Error(err)
		}
		if until := time.Duration(a.lease.until.Load()); until != time.Hour+time.Second || a.clock.count != 2 {
			t.Errorf("the lease runs until %v, %d round trips", until, a.clock.count)
		}
		if _, ok := b.confirm(first); ok || len(b.sent) > 0 {
			t.Errorf("an earlier beat is kept: %v", b.sent)
		}
		if err := a.handle(message{Beat: &beat{Number: 77}}, b); err != nil || a.clock.count != 2 {
			t.Errorf("a beat that was not sent: %v, %d round trips", err, a.clock.count)
		}
		for i, m := range []message{{Prepare: &prepare{}}, {Start: &start{}}, {Slice: &slice{}}, {Finish: &finish{}}} {
			if err := a.handle(m, b); err != nil {
				t.Errorf("order %d: %v", i, err)
			}
			got := <-a.orders
			if (got.prepare != nil) != (i == 0) || (got.start != nil) != (i == 1) || (got.slice != nil) != (i == 2) || (got.finish != nil) != (i == 3) {
				t.Errorf("order %d: %+v", i, got)
			}
		}
		for range cap(a.orders) {
			if err := a.handle(message{Finish: &finish{}}, b); err != nil {
				t.Error(err)
			}
		}
		for want, m := range map[string]message{"too many orders at once": {Finish: &finish{}}, "a line out of place": {Hello: &hello{}}} {
			if err := a.handle(m, b); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
		if err := a.handle(message{Quit: &quit{}}, b); !errors.Is(err, errQuit) {
			t.Errorf("quit: %v", err)
		}
		if err := a.handle(message{Stop: &stop{Run: 6}}, b); err != nil || !a.calledOff(6) || a.calledOff(7) {
			t.Errorf("stop: %v", err)
		}
	})
}
