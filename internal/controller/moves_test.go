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
	"bakeoff/internal/record"
)

// Rows change in each measured phase, of each trial or of the block, and are put back after it: as many as the rate of
// the warm-up, which is 100 to 120/s, lets be asked for.
func TestRowsChange(t *testing.T) {
	for name, c := range map[string]struct {
		lines  string
		change func(w *world)
		moved  int // in all
		none   bool
	}{
		"one after another":     {twoTargets + closedOnly, nil, 2 * 5, false},
		"in turns":              {"turns: 250ms\n" + twoTargets + closedOnly, nil, 6, false},
		"the target draws keys": {twoTargets + "phases: [{name: closed, model: closed, connections: 32, duration: 10s, lookups: server}]\n", nil, 0, true},
		"a table of others":     {twoTargets + closedOnly, func(w *world) { w.journalErr = database.ErrNotOurs }, 0, true},
		"rows that are locked":  {twoTargets + closedOnly, func(w *world) { w.moveErr = fmt.Errorf("x: %w", database.ErrLocked) }, 2, false},
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
					if len(phases) != 2 || len(phases[0].Moves) > 0 || (len(phases[1].Moves) == 0) != c.none {
						t.Fatalf("%s: phases %+v", target, phases)
					}
					last := int64(0)
					for i, m := range phases[1].Moves {
						switch {
						case w.moveErr != nil && (m.DoneNS != 0 || (m.BegunNS != 0) != (i == 0)):
							t.Errorf("a move that was not made: %+v", m)
						case w.moveErr == nil && (m.BegunNS <= last || m.DoneNS < m.BegunNS):
							t.Errorf("%s: out of order: %+v", target, m)
						}
						last = m.BegunNS
					}
				}
				if len(slices.Compact(slices.Sorted(slices.Values(w.moved)))) != 3 && c.moved > 2 {
					t.Errorf("kinds %v", w.moved)
				}
				for _, task := range w.tasks {
					if got := strings.Contains(string(task.Workload), "\"moves\""); got != (task.Phase.Name == "closed" && !c.none) {
						t.Errorf("%s: told of moves: %v", task.Phase.Name, got)
					}
				}
			})
		})
	}
}

// A change that cannot be made ends the run, and what was changed before is put back.
func TestRowsCannotChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.moveErr = errors.New("no such row")
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

// A change that takes longer than the database waits for a lock is not known to have been made.
func TestRowChangesThatHang(t *testing.T) {
	for takes, made := range map[time.Duration]bool{moveWithin - 200*time.Millisecond: true, moveWithin + 200*time.Millisecond: false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.moveTakes = takes
			dir, _ := conducted(t, w.options(t, "blocks: 1\n"+oneTarget+closedOnly))
			moves := trialRecord(t, dir, 1, "flask").Phases[1].Moves
			begun, done := 0, 0
			for _, m := range moves {
				begun, done = begun+boolean(m.BegunNS > 0), done+boolean(m.DoneNS > 0)
			}
			if len(moves) != 5 || begun == 0 || (done > 0) != made || !made && begun != 1 {
				t.Errorf("a change takes %v: of %d %d were begun, %d done", takes, len(moves), begun, done)
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
	if err := errors.Join(m.end(), m.undo(t.Context())); err != nil || rec.ClockStepNS != 7 {
		t.Errorf("%v, %+v", err, rec)
	}
	s := &recipes{changing: &mover{phase: 2, spec: dataset.MoveSpec{Count: 3}}}
	if got := s.movesIn(load.Phase{Number: 2}); got == nil || got.Count != 3 || s.movesIn(load.Phase{Number: 1}) != nil || (&recipes{}).movesIn(load.Phase{Number: 2}) != nil {
		t.Errorf("%+v", got)
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
		m := &mover{stage: &recipes{db: &table{world: w}}, moves: make([]dataset.Move, 8)}
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
		if last := time.Unix(0, m.made[7].BegunNS).Sub(began).Round(time.Millisecond); last != 17*time.Second {
			t.Errorf("the last of 8 rows changed after %v of 20 s, want at 85 %%", last)
		}
	})
}

// Each row that changes is asked for several times where that is possible, by no more than 0.5 % of the requests, and no more than ten
// change in a second.
func TestMovesOf(t *testing.T) {
	for _, c := range []struct {
		phase load.Phase
		rate  float64
		count int
		share float64
	}{
		{load.Phase{Model: load.Open, Rate: 50, Duration: 2 * time.Second}, 7000, 4, 0.02},
		{load.Phase{Model: load.Open, Rate: 1000, Duration: 10 * time.Second}, 7, 50, 0.04},
		{load.Phase{Model: load.Open, Rate: 100_000, Duration: 10 * time.Second}, 0, 100, 0.04},
		{load.Phase{Model: load.Open, Rate: 1000, Duration: 200 * time.Millisecond}, 0, 2, 0.01},
		{load.Phase{Model: load.Open, Rate: 1000, Duration: 10 * time.Millisecond}, 0, 1, 0.005},
		{load.Phase{Model: load.Closed, Duration: 10 * time.Second}, 0, 15, 0.04},
		{load.Phase{Model: load.Closed, Duration: time.Second}, 0, 4, 0.02},
		{load.Phase{Model: load.Closed, Duration: time.Second}, 1000, 5, 0.025},
		{load.Phase{Model: load.Closed, Duration: time.Second}, 10_000, 10, 0.04},
	} {
		count, share := movesOf(c.phase, c.rate)
		if count != c.count || math.Abs(share-c.share) > 1e-9 || share/float64(count) > mostPerMove+1e-9 {
			t.Errorf("%+v at %v/s: %d rows, %v of the requests, want %d and %v", c.phase, c.rate, count, share, c.count, c.share)
		}
	}
}
