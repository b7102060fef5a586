package controller

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
)

// Rows change in each phase that is judged, of each trial or of the block, also of the pilot and of the search for a capacity, and are put
// back after it: as many as the rate of the warm-up, which is 100 to 120/s, lets be asked for. A phase in which none do says why.
func TestRowsChange(t *testing.T) {
	for name, c := range map[string]struct {
		lines  string
		change func(w *world)
		moved  int    // in all
		none   string // why nothing changes
	}{
		"one after another":     {twoTargets + closedOnly, nil, 2 * 12, ""},
		"in turns":              {"turns: 250ms\n" + twoTargets + closedOnly, nil, 12, ""},
		"the target draws keys": {twoTargets + "phases: [{name: closed, model: closed, connections: 32, duration: 10s, lookups: server}]\n", nil, 0, "the target draws the keys"},
		"a table of others":     {twoTargets + closedOnly, func(w *world) { w.journalErr = fmt.Errorf("%w: x", database.ErrNotOurs) }, 0, "the table is not bakeoff's to change: x"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				if c.change != nil {
					c.change(w)
				}
				dir, _ := conducted(t, w.options(t, "blocks: 1\nseed: 1\n"+c.lines))
				if len(w.moved) != c.moved || w.journalErr == nil && w.journal != 0 {
					t.Errorf("%d rows were changed, want %d; %d are not put back", len(w.moved), c.moved, w.journal)
				}
				for _, target := range []string{"flask", "fastapi"} {
					phases := trialRecord(t, dir, 1, target).Phases
					if len(phases) != 2 || len(phases[0].Moves) > 0 || phases[0].NoMoves != "" || (len(phases[1].Moves) == 0) != (c.none != "") || phases[1].NoMoves != c.none {
						t.Fatalf("%s: phases %+v", target, phases)
					}
					spreadOut(t, phases[1])
				}
				for _, task := range w.tasks {
					if got := strings.Contains(string(task.Workload), "\"moves\""); got != (task.Phase.Name == "closed" && c.none == "") {
						t.Errorf("%s: told of moves: %v", task.Phase.Name, got)
					}
				}
			})
		})
	}
}

// spreadOut wants a third of the moves of a phase made before it, and the others from its first second to its last.
func spreadOut(t *testing.T, phase record.Phase) {
	t.Helper()
	var began time.Time // when the last of those ahead was made
	for _, m := range phase.Moves {
		if m.Ahead {
			began = time.Unix(0, m.DoneNS)
		}
	}
	ahead, first, last := 0, time.Duration(math.MaxInt64), time.Duration(0)
	for _, m := range phase.Moves {
		at := time.Unix(0, m.DoneNS).Sub(began)
		switch {
		case m.DoneNS < m.BegunNS || m.BegunNS == 0 || m.Ahead != (at <= 0):
			t.Errorf("%v after the start: %+v", at, m)
		case m.Ahead:
			ahead++
		default:
			first, last = min(first, at), max(last, at)
		}
	}
	ended := phase.Ended.Sub(began)
	if n := len(phase.Moves); n > 0 && (ahead != n/3 || first > ended/10 || last < ended*9/10) {
		t.Errorf("%d of %d moves are ahead, the others from %v to %v of %v", ahead, n, first, last, ended)
	}
}

// In the pilot and in the stages of a search rows change too.
func TestRowsChangeInThePilot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		dir, _ := conducted(t, w.options(t, "blocks: 1\nseed: 1\npilot: 2s\n"+oneTarget+"phases: [{name: open, model: open, rate_of_pilot: 0.5, connections: 32, duration: 2s}]\n"))
		phases := trialRecord(t, dir, 0, "flask").Phases
		if last := phases[len(phases)-1]; last.Name != "pilot" || len(last.Moves) != leastMoves {
			t.Errorf("phase %s: %d rows changed", last.Name, len(last.Moves))
		}
		s := &recipes{o: &Options{Plan: w.options(t, "blocks: 1\n"+oneTarget+closedOnly).Plan}}
		if still, why := s.still(load.Phase{Number: searchPhase + 3}, plan.Native); still {
			t.Errorf("a stage of a search: %s", why)
		}
		if still, why := s.still(load.Phase{Number: 1}, plan.JMeter); !still || why != "JMeter asks for the keys" {
			t.Errorf("JMeter: %v, %s", still, why)
		}
	})
}

// Locks that are in the way of a change refuse the trial of the target that holds them, and are ended, and the change is made, and those
// that follow; where nobody knows who holds them, the phase is refused because rows did not change.
func TestRowsThatAreLocked(t *testing.T) {
	locked := fmt.Errorf("x: %w", database.ErrLocked)
	for name, c := range map[string]struct {
		lines string
		held  []database.Session
		moved int // at least
		codes []string
	}{
		"by a target":          {"", []database.Session{{ID: 7, User: "account-1", Rows: 3}}, 12, []string{"locks"}},
		"by a target in turns": {"turns: 250ms\n", []database.Session{{ID: 7, User: "account-1", Rows: 3}}, 12, []string{"block", "locks"}},
		"by nobody knows whom": {"", nil, 0, []string{"moves"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.held = c.held
				w.moving = func(n int) error {
					if n >= 3 && (len(w.held) > 0 || c.held == nil && len(w.closed) == 0 && n < 100) {
						return locked
					}
					return nil
				}
				dir, _ := conducted(t, w.options(t, "blocks: 1\nseed: 1\n"+c.lines+twoTargets+closedOnly))
				if len(w.moved) < c.moved || len(c.held) > 0 && !slices.Contains(w.closed, 7) {
					t.Errorf("%d rows were changed, sessions ended: %v", len(w.moved), w.closed)
				}
				r, err := record.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				var codes []string
				for _, state := range r.Trials() {
					trial, err := state.Trial()
					if err != nil {
						t.Fatal(err)
					}
					for _, reason := range trial.Reasons {
						codes = append(codes, reason.Code)
						if reason.Code == record.CodeLocks && !strings.Contains(reason.Text, "locks on 3 rows of the table while rows were to change") {
							t.Errorf("%s", reason.Text)
						}
					}
				}
				slices.Sort(codes)
				if got := slices.Compact(codes); !slices.Equal(got, c.codes) {
					t.Errorf("reasons %q, want %q", got, c.codes)
				}
			})
		})
	}
}

// Each target is asked for late names by what is expected of itself: of a connection in the closed model, of all in the open one.
func TestMovesAreToldToEachTarget(t *testing.T) {
	m := &mover{phase: 2, duration: 10 * time.Second, rates: map[string]float64{"flask": 100, "fastapi": 400}, spec: dataset.MoveSpec{Secret: "x", Count: 3}}
	s := &recipes{changing: m}
	for _, c := range []struct {
		phase  load.Phase
		target string
		want   float64
	}{
		{load.Phase{Number: 2, Model: load.Closed, Connections: 20, Duration: time.Minute}, "flask", 50},
		{load.Phase{Number: 2, Model: load.Closed, Connections: 20}, "fastapi", 200},
		{load.Phase{Number: 2, Model: load.Closed, Connections: 20}, "gin", 0},
		{load.Phase{Number: 2, Model: load.Open, Rate: 30}, "flask", 300},
	} {
		if got := s.movesIn(c.phase, c.target); got == nil || got.Asked != c.want || got.Count != 3 {
			t.Errorf("%+v of %s: %+v, want %v", c.phase, c.target, got, c.want)
		}
	}
	if s.movesIn(load.Phase{Number: 1}, "flask") != nil || (&recipes{}).movesIn(load.Phase{Number: 2}, "flask") != nil {
		t.Error("nothing changes, and is told")
	}
	for want, rates := range map[float64]map[string]float64{0: nil, 3: {"a": 3, "b": 4}} {
		if got := (outlook{rates: rates}).least(); got != want {
			t.Errorf("the least of %v is %v", rates, got)
		}
	}
}

// A change that cannot be made ends the run, and what was changed before is put back.
func TestRowsCannotChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.moving = func(n int) error {
			if n == 2 {
				return errors.New("no such row")
			}
			return nil
		}
		conducted(t, w.options(t, "blocks: 1\n"+twoTargets+closedOnly), "rows that change: no such row")
		if w.journal != 0 {
			t.Errorf("%d rows are not put back", w.journal)
		}
	})
}

// A change that is under way when the phase ends is awaited, not broken off.
func TestRowChangesAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.moveTakes = 4 * time.Second
		dir, _ := conducted(t, w.options(t, "blocks: 1\nseed: 1\n"+twoTargets+closedOnly))
		for _, target := range []string{"flask", "fastapi"} {
			phase := trialRecord(t, dir, 1, target).Phases[1]
			begun := 0
			for _, m := range phase.Moves {
				if begun += int(min(m.BegunNS, 1)); m.BegunNS > 0 && m.DoneNS-m.BegunNS != int64(w.moveTakes) {
					t.Errorf("%s: %+v", target, m)
				}
			}
			if last := phase.Moves[max(begun, 1)-1].DoneNS; begun == 0 || last <= phase.Ended.UnixNano() {
				t.Errorf("%s: the last of %d ended at %d, the phase at %d: the test proves nothing", target, begun, last, phase.Ended.UnixNano())
			}
		}
	})
}

// A change that takes longer than the database waits for a lock is not known to have been made; those that follow are tried all the
// same. A phase in which so few are made in time is refused.
func TestRowChangesThatHang(t *testing.T) {
	for takes, made := range map[time.Duration]bool{moveWithin - 200*time.Millisecond: true, moveWithin + 200*time.Millisecond: false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.moveTakes = takes
			dir, _ := conducted(t, w.options(t, "blocks: 1\n"+oneTarget+closedOnly), "flask has none in 1 of 1 block")
			trial := trialRecord(t, dir, 1, "flask")
			begun, done := 0, 0
			for _, m := range trial.Phases[1].Moves {
				begun, done = begun+boolean(m.BegunNS > 0), done+boolean(m.DoneNS > 0)
			}
			refused := slices.ContainsFunc(trial.Reasons, func(r record.Reason) bool { return r.Code == record.CodeMoves })
			if len(trial.Phases[1].Moves) != 12 || begun < 8 || (done == begun) != made || !made && done > 0 || !refused {
				t.Errorf("a change takes %v: %d were begun, %d done, %+v", takes, begun, done, trial.Reasons)
			}
		})
	}
}

// A clock that nobody has set has not been set, and what nobody changes is no mover's.
func TestNothingMoves(t *testing.T) {
	if got := stepped(time.Now(), time.Now()); got != 0 {
		t.Errorf("the wall clock was set by %v", got)
	}
	for _, c := range []struct{ ran, passed, want time.Duration }{
		{time.Minute, time.Minute, 0},
		{100*time.Millisecond - 1, 0, 0},
		{0, 100*time.Millisecond - 1, 0},
		{time.Minute, time.Minute + 100*time.Millisecond, 100 * time.Millisecond},
		{time.Hour, time.Minute, 59 * time.Minute},
	} {
		if got := setBy(c.ran, c.passed); got != c.want {
			t.Errorf("a clock that ran on by %v in %v was set by %v", c.ran, c.passed, got)
		}
	}
	var m *mover
	m.start(t.Context())
	m.paced(time.Second, time.Second)
	rec := record.Phase{ClockStepNS: 7}
	m.into(&rec)
	if err := errors.Join(m.ahead(t.Context()), m.end(), m.undo(t.Context())); err != nil || rec.ClockStepNS != 7 {
		t.Errorf("%v, %+v", err, rec)
	}
}

// Rows that stay locked refuse the trial, or those in turns, and are put back once the targets are stopped; only where that fails
// too does the run end.
func TestRowsStayLocked(t *testing.T) {
	locked := func(times int) func(int) error {
		return func(n int) error {
			if n <= times {
				return fmt.Errorf("x: %w", database.ErrLocked)
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		lines string
		times int
		words []string
		codes []string // of the first attempts of flask and fastapi, one of them where they are measured alone
	}{
		"one after another": {"", 2, nil, []string{"locks"}},
		"in turns":          {"turns: 250ms\n", 2, nil, []string{"locks", "locks"}},
		"to the end":        {"", 1000, []string{"rows that changed", "locks on rows"}, []string{"locks"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.undo = locked(c.times)
				dir, _ := conducted(t, w.options(t, "blocks: 1\nseed: 1\n"+c.lines+twoTargets+closedOnly), c.words...)
				if (w.journal == 0) != (c.words == nil) {
					t.Errorf("%d rows are not put back", w.journal)
				}
				r, err := record.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				var codes []string
				for _, state := range r.Trials() {
					trial, err := state.Trial()
					if err != nil || trial.Status != record.Invalid {
						continue
					}
					for _, reason := range trial.Reasons {
						codes = append(codes, reason.Code)
					}
				}
				if !slices.Equal(codes, c.codes) {
					t.Errorf("reasons %q, want %q", codes, c.codes)
				}
			})
		})
	}
}

// What is left of a phase is expected to take as long as what is over, in proportion.
func TestMovesKeepPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		m := &mover{stage: &recipes{db: &table{world: w}}, moves: make([]dataset.Move, 10), made: make([]record.Move, 10), spec: dataset.MoveSpec{Count: 10, Ahead: 2}}
		if err := m.ahead(t.Context()); err != nil || m.made[1].DoneNS == 0 || !m.made[1].Ahead || m.made[2].DoneNS != 0 {
			t.Errorf("%v, %+v", err, m.made)
		}
		m.wall.Store(int64(10 * time.Second))
		began := time.Now()
		m.start(t.Context())
		for over := range 10 { // a second of the phase takes two
			time.Sleep(2 * time.Second)
			m.paced(time.Duration(over+1)*time.Second, 10*time.Second)
		}
		if err := m.end(); err != nil {
			t.Fatal(err)
		}
		if last := time.Unix(0, m.made[9].BegunNS).Sub(began).Round(time.Millisecond); last != 18750*time.Millisecond {
			t.Errorf("the last of 8 rows changed after %v of 20 s, want at 15 of 16 parts", last)
		}
	})
}

// Rows change that come close in time at once, none more than 0.1 s before its time.
func TestMovesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		m := &mover{stage: &recipes{db: &table{world: w}}, moves: make([]dataset.Move, 600), made: make([]record.Move, 600), spec: dataset.MoveSpec{Count: 600}}
		m.wall.Store(int64(10 * time.Second))
		began := time.Now()
		m.start(t.Context())
		time.Sleep(10 * time.Second)
		if err := m.end(); err != nil {
			t.Fatal(err)
		}
		for i, one := range m.made {
			if early := began.Add(time.Duration(m.spec.At(i) * float64(10*time.Second))).Sub(time.Unix(0, one.BegunNS)); early < 0 || early > atOnce {
				t.Fatalf("move %d was made %v before its time", i, early)
			}
		}
		if w.batches > 100 || w.batches < 50 {
			t.Errorf("600 rows changed in %d batches of 10 s", w.batches)
		}
	})
}

// As many rows change as can be asked for several times each, at least some, and no more than 60 in a second; at least 2 % of the requests
// ask for them.
func TestMovesOf(t *testing.T) {
	for _, c := range []struct {
		phase load.Phase
		rate  float64
		count int
		share float64
	}{
		{load.Phase{Model: load.Open, Rate: 50, Duration: 2 * time.Second}, 7000, 12, 0.05},
		{load.Phase{Model: load.Open, Rate: 1000, Duration: 10 * time.Second}, 7, 83, 0.0498},
		{load.Phase{Model: load.Open, Rate: 10_000, Duration: 10 * time.Second}, 0, 600, 0.036},
		{load.Phase{Model: load.Open, Rate: 100_000, Duration: 10 * time.Second}, 0, 600, 0.02},
		{load.Phase{Model: load.Open, Rate: 1000, Duration: 10 * time.Millisecond}, 0, 12, 0.05},
		{load.Phase{Model: load.Closed, Duration: 10 * time.Second}, 0, 25, 0.05},
		{load.Phase{Model: load.Closed, Duration: time.Second}, 1000, 12, 0.05},
		{load.Phase{Model: load.Closed, Duration: time.Second}, 10_000, 60, 0.036},
	} {
		count, share := movesOf(c.phase, c.rate)
		if count != c.count || math.Abs(share-c.share) > 1e-9 || share/float64(count) > mostPerMove+1e-9 {
			t.Errorf("%+v at %v/s: %d rows, %v of the requests, want %d and %v", c.phase, c.rate, count, share, c.count, c.share)
		}
	}
}
