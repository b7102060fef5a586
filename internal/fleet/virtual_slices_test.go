package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/stats"
)

// answering has agents answer what they are told, as long as the test lasts.
func (p *phase) answering(answer func(i int, told message) message) {
	for i, m := range p.order {
		go func() {
			for told := range m.session.out {
				if says := answer(i, told); !reflect.DeepEqual(says, message{}) {
					p.fleet.inbox.put(event{m.session, says}, false)
				}
			}
		}()
	}
}

// A slice begins 5 ms from now, lasts as long as it is asked for, and gives up those that do not finish.
func TestSlice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := manual(t, 2)
		turns := &Turns{fleet: p.fleet, phases: []*phase{p}}
		p.turns, p.report.Start = turns, time.Time{}
		p.task.Phase = load.Phase{Name: "closed", Duration: time.Minute, Timeout: 3 * time.Second}
		var asked []slice
		var mu sync.Mutex
		mute := false
		p.answering(func(i int, told message) message {
			mu.Lock()
			defer mu.Unlock()
			if told.Slice == nil || mute {
				return message{}
			}
			asked = append(asked, *told.Slice)
			return message{Sliced: &sliced{Run: 3, Late: time.Duration(i)}}
		})
		for n := range 2 {
			at := time.Now().Add(5 * time.Millisecond)
			s := Slice{Begin: time.Duration(n+1) * time.Second, Length: 250 * time.Millisecond, RunIn: 50, Stall: 60, Fresh: n > 0, Until: 70}
			got, err := turns.Slice(t.Context(), 0, s)
			if err != nil || got != (Sliced{Late: 1, Length: 250 * time.Millisecond}) {
				t.Errorf("%+v, %v", got, err)
			}
			want := slice{Run: 3, At: at.UnixNano(), Begin: s.Begin, Length: s.Length, RunIn: 50, Stall: 60, Fresh: n > 0, Until: 70}
			if len(asked) != 2*(n+1) || asked[2*n] != want || asked[2*n+1] != want {
				t.Errorf("asked %+v, want %+v", asked, want)
			}
			if !p.zero.Equal(at.Add(-s.Begin)) || p.until != s.Begin+s.Length || p.most != p.until+3*time.Second || !p.deadline.Equal(at.Add(s.Length+8*time.Second)) || p.overdue != "it did not finish a slice" {
				t.Errorf("%+v", p)
			}
			if n == 0 && !p.report.Start.Equal(at) {
				t.Errorf("the phase starts %v later", p.report.Start.Sub(at))
			}
			time.Sleep(time.Second)
		}
		mu.Lock()
		mute = true
		mu.Unlock()
		began := time.Now()
		if _, err := turns.Slice(t.Context(), 0, Slice{Length: time.Second}); !errors.Is(err, ErrTurns) || time.Since(began) != 9*time.Second+5*time.Millisecond || len(p.report.Lost) != 2 || p.report.Lost[0].Why != "it did not finish a slice" {
			t.Errorf("%v after %v, lost %+v", err, time.Since(began), p.report.Lost)
		}
		before := len(asked)
		if got, err := turns.Slice(t.Context(), 0, Slice{Length: time.Second}); !errors.Is(err, ErrTurns) || got != (Sliced{}) || len(asked) != before {
			t.Errorf("after the end: %+v, %v", got, err)
		}
		for _, m := range p.order {
			close(m.session.out)
		}
	})
}

// Turns end with what each phase came to; agents have 5 s to say that, and a fleet that is closed says so.
func TestEndOfTurns(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(p *phase)
		says    message
		text    string
		lost    string
		took    time.Duration
	}{
		"all say it":   {func(*phase) {}, message{Done: newDone(3)}, "", "", 0},
		"nobody does":  {func(*phase) {}, message{}, "", "it did not say what its slices came to", 5 * time.Second},
		"it failed":    {func(p *phase) { p.err, p.stopping = errFake, true }, message{Done: newDone(3)}, `fleet: phase "x": fake`, "", 0},
		"it is closed": {func(p *phase) { p.fleet.closing = true }, message{Done: newDone(3)}, "fleet: fleet: closed", "", 0},
		"an agent was lost": {func(p *phase) {
			p.order[0].session.end("gone")
			p.order[1].session.end("gone")
		}, message{}, "", "gone", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := manual(t, 2)
			turns := &Turns{fleet: p.fleet, phases: []*phase{p}}
			p.turns, p.report.Start, p.task.Phase.Name = turns, time.Time{}, "x"
			p.fleet.busy.Lock()
			c.arrange(p)
			p.answering(func(_ int, told message) message {
				if told.Finish == nil {
					return message{}
				}
				return c.says
			})
			began := time.Now()
			reports, err := turns.End(t.Context())
			if (err != nil) != (c.text != "") || err != nil && err.Error() != c.text || time.Since(began) != c.took || len(reports) != 1 {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
			lost := reports[0].Lost
			if (len(lost) > 0) != (c.lost != "") || len(lost) > 0 && lost[0].Why != c.lost || !reports[0].Start.Equal(began) || len(reports[0].Agents) != 2 {
				t.Errorf("%s: %+v", name, reports[0])
			}
			if !p.fleet.busy.TryLock() {
				t.Errorf("%s: no other phase may follow", name)
			}
			for _, m := range p.order {
				close(m.session.out)
			}
		})
	}
	f := manual(t, 2).fleet // turns that lack an agent ask nobody for anything
	f.slots[0].lost = &Lost{}
	turns, err := f.Turns(t.Context(), []Task{{}, {}}, func(int, Snapshot) {})
	if err != nil || !turns.broken() || len(turns.phases) != 2 || len(f.slots[1].session.out) > 0 {
		t.Errorf("%v, %d lines", err, len(f.slots[1].session.out))
	}
}

// paced is an engine that sends its first request late, and ends as it is asked to.
type paced struct {
	wait time.Duration
	err  error
	runs int
	job  load.Job
}

func (p *paced) Run(ctx context.Context, job load.Job, emit func(stats.Window)) error {
	p.runs++
	p.job = job
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(job.Start) + p.wait):
	}
	if job.Permit() {
		emit(stats.Window{Books: stats.Books{Planned: 2, Sent: 2, OK: 2}})
		time.Sleep(time.Second)
		job.Permit()
		emit(stats.Window{Books: stats.Books{Planned: 1, Sent: 1, OK: 1}})
	}
	return p.err
}

// A phase at a stretch is carried out once, when its own start comes, and says how well it met that.
func TestPhaseAtAStretch(t *testing.T) {
	prepared := func(run int64) order {
		return order{prepare: &prepare{
			Run: run, URLs: []string{"http://a"}, Engine: "paced", Contract: "numbers", Workload: json.RawMessage(`{"prefix":"a"}`), Seed: 8, Share: load.Share{Index: 1, Of: 4}, Body: []byte("b"),
			Phase: load.Phase{Model: load.Open, Rate: 10, Arrivals: load.Constant, Duration: time.Second},
		}}
	}
	for name, c := range map[string]struct {
		engine  paced
		arrange func(a *agent)
		want    done
		silent  bool
	}{
		"by itself":         {paced{wait: 30 * time.Millisecond}, func(*agent) {}, done{Run: 5, Windows: 2, Books: stats.Books{Planned: 3, Sent: 3, OK: 3}, Timing: timing{First: 30 * time.Millisecond, Due: 100 * time.Millisecond}}, false},
		"by an error":       {paced{err: errFake}, func(*agent) {}, done{Run: 5, Windows: 2, Books: stats.Books{Planned: 3, Sent: 3, OK: 3}, Error: "fake", Timing: timing{Due: 100 * time.Millisecond}}, false},
		"called off before": {paced{}, func(a *agent) { a.callOff(5) }, done{Run: 5, Timing: timing{Began: -time.Second, First: -1, Due: 100 * time.Millisecond}}, false},
		"without a lease":   {paced{}, func(a *agent) { a.lease.end() }, done{}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := inTurn()
			a.options.Engines = map[string]load.Engine{"paced": &c.engine}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go a.work(ctx)
			c.arrange(a)
			a.orders <- order{start: &start{Run: 4}} // of nothing
			a.orders <- prepared(5)
			at := time.Now().Add(time.Second).UnixNano()
			for _, run := range []int64{4, 5, 5} { // of another phase, its own, and once more
				a.orders <- order{start: &start{Run: run, At: at}}
			}
			time.Sleep(10 * time.Second)
			var ends []done
			for i, m := range a.said() {
				switch {
				case m.Ready != nil && (i > 0 || m.Ready.Run != 5 || m.Ready.Error != ""):
					t.Errorf("%s: %+v", name, m.Ready)
				case m.Window != nil && (m.Window.Run != 5 || m.Window.Epoch != 4 || m.Window.Sequence != a.sequence-2+int64(i)):
					t.Errorf("%s: window %d: %+v", name, i, m.Window)
				case m.Done != nil:
					ends = append(ends, *m.Done)
				}
			}
			if c.silent != (len(ends) == 0) || len(ends) > 1 || c.engine.runs != 1 {
				t.Fatalf("%s: %d runs end with %+v", name, c.engine.runs, ends)
			}
			if len(ends) == 1 {
				if got := ends[0]; got != c.want {
					t.Errorf("%s: %+v, want %+v", name, got, c.want)
				}
			}
			if j := c.engine.job; j.Share != (load.Share{Index: 1, Of: 4}) || j.Seed != 8 || string(j.Body) != "b" || j.URLs[0] != "http://a" || j.Workload == nil || j.Permit() {
				t.Errorf("%s: %+v", name, j)
			}
		})
	}
}

// A slice's engine sees the end of its slice: whatever it left running ends, too.
func TestSliceEndsItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s := inTurn(), &remembers{}
		a.takeTurn(t.Context(), &turn{run: 3, slices: s, done: *newDone(3)}, &slice{Run: 3, At: time.Now().UnixNano(), Length: time.Millisecond})
		if s.ctx == nil || s.ctx.Err() == nil {
			t.Error("the context of a slice goes on")
		}
	})
}

type remembers struct {
	scripted
	ctx context.Context
}

func (r *remembers) Run(ctx context.Context, one load.Slice, emit func(stats.Window)) error {
	r.ctx = ctx
	return r.scripted.Run(ctx, one, emit)
}
