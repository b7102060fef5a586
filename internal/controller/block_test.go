package controller

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/record"
	"bakeoff/internal/target"
)

// The targets of a block are started side by side and stopped side by side, each with its share of the time.
func TestBlocksStartSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for _, name := range []string{"flask", "fastapi"} {
			w.script[name] = []act{{stopping: func() { time.Sleep(4 * time.Second) }}}
		}
		o := w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly)
		dir, _ := conducted(t, o)
		for name, want := range map[string]float64{"start": 3, "stop": 4} { // seconds that one takes alone
			sum := 0.0
			for _, target := range []string{"flask", "fastapi"} {
				for _, step := range trialRecord(t, dir, 1, target).Timeline {
					if step.Name == name {
						sum += step.Seconds
					}
				}
			}
			if sum < want || sum > 1.01*want {
				t.Errorf("%s of both targets: %v s, want %v", name, sum, want)
			}
		}
		first := slices.IndexFunc(w.notes, func(n string) bool { return strings.HasPrefix(n, "check ") })
		if got := len(w.happened("start ")); got != 2 || slices.ContainsFunc(w.notes[first:], func(n string) bool { return strings.HasPrefix(n, "start ") }) {
			t.Errorf("%d starts, one of them behind a check: %q", got, w.notes)
		}
	})
}

// Two cores start three targets at once, and a fourth one after that: a start also waits.
func TestStartsOnTwoCores(t *testing.T) {
	for names, want := range map[string]float64{"flask, fastapi, go-nethttp": 3, "flask, fastapi, go-nethttp, node-fastify": 6} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			dir, _ := conducted(t, w.options(t, "blocks: 1\nturns: 250ms\nwarmup: 1s\ntargets: ["+names+"]\n"+closedOnly))
			sum := 0.0
			for name := range strings.SplitSeq(names, ", ") {
				for _, step := range trialRecord(t, dir, 1, name).Timeline {
					if step.Name == "start" {
						sum += step.Seconds
					}
				}
			}
			if sum < want || sum > 1.01*want {
				t.Errorf("%s: started in %v s, want %v", names, sum, want)
			}
		})
	}
}

// A target that is refused in the last attempt of a block is stopped before the others are loaded, or loaded on: it would work in their turns.
func TestDroppedTargetsAreStopped(t *testing.T) {
	gone := func(after string) act { // it loses a worker in that phase
		var a act
		a.phase = func(p *phaseFaked) {
			if p.task.Phase.Name == after {
				p.books.OK, p.books.Error = 0, p.books.Sent
				p.outcomes = map[string]int64{"reset": p.books.Sent}
			}
		}
		return a
	}
	for name, c := range map[string]struct {
		act  act
		next string // what of the other target must come behind the stop
	}{
		"before the load": {act{fails: before}, "turn fastapi warmup"},
		"not started":     {act{deploy: errFaked}, "turn fastapi warmup"},
		"in a phase":      {gone("warmup"), "turn fastapi closed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.script["flask"] = []act{c.act}
				o := w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly)
				o.Short = true // one attempt
				dir, _ := conducted(t, o)
				w.wantNoMistake(t)
				stop := slices.IndexFunc(w.notes, func(n string) bool { return strings.HasPrefix(n, "stop flask") })
				if next := slices.Index(w.notes, c.next); stop < 0 || next < 0 || stop > next {
					t.Errorf("stop at %d, %s at %d: %q", stop, c.next, next, w.notes)
				}
				if rec := trialRecord(t, dir, 1, "fastapi"); rec.Status != record.Valid || len(rec.Phases) != 2 {
					t.Errorf("fastapi: %s with %d phases", rec.Status, len(rec.Phases))
				}
				if got := len(w.happened("stop flask")); got != 1 {
					t.Errorf("%d stops of flask", got)
				}
			})
		})
	}
}

// A refused target that cannot be stopped ends the block: it would work in the turns of the others.
func TestBlocksEndWhereATargetGoesOn(t *testing.T) {
	for name, bad := range map[string]act{
		"before the load": {fails: before, stop: errFaked},
		"in a phase": {stop: errFaked, phase: func(p *phaseFaked) {
			p.books.OK, p.books.Error = 0, p.books.Sent
			p.outcomes = map[string]int64{"reset": p.books.Sent}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.script["flask"] = []act{bad}
				o := w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly)
				o.Short = true // one attempt
				dir, _ := conducted(t, o)
				if got := w.happened("turn fastapi closed"); len(got) > 0 {
					t.Errorf("%d slices of fastapi behind the stop that failed", len(got))
				}
				flask, fastapi := trialRecord(t, dir, 1, "flask"), trialRecord(t, dir, 1, "fastapi")
				if last := flask.Reasons[len(flask.Reasons)-1]; last.Code != record.CodeNotStopped {
					t.Errorf("flask: %+v", flask.Reasons)
				}
				want := record.Reason{Code: record.CodeBlock, Text: "flask could not be stopped and may work in the turns of others"}
				if len(fastapi.Reasons) != 1 || fastapi.Reasons[0] != want {
					t.Errorf("fastapi: %+v", fastapi.Reasons)
				}
			})
		})
	}
}

// What is found of a target when it is stopped refuses the others of its block, which are written behind that; where nothing says
// whose it was, nobody is blamed and all are refused.
func TestBlocksEndBeforeTheyAreWritten(t *testing.T) {
	for name, c := range map[string]struct {
		stop error
		want []string
	}{
		"of one":    {fmt.Errorf("flask-1: %w: process 7 (sleep)", target.ErrLeft), []string{"1 fastapi block", "1 flask ghost", "2 fastapi", "2 flask"}},
		"of nobody": {fmt.Errorf("flask-1: %w: process 7 (sleep)", target.ErrUnclaimed), []string{"1 fastapi block", "1 flask block", "2 fastapi", "2 flask"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.script["flask"] = []act{{stop: c.stop}}
				dir, _ := conducted(t, w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly))
				w.wantNoMistake(t)
				wantList(t, "trials", attemptsOf(t, dir), c.want...)
			})
		})
	}
}

// The database connections of targets that start side by side are held against what the plan gives each, by its account. Where all
// share an account they are held against what it gives all of them; where they have more, each starts alone, and only those
// are refused that have more than their own share.
func TestBlocksCountConnections(t *testing.T) {
	for name, c := range map[string]struct {
		shared         bool
		flask, fastapi int // open after the start
		starts         int
		refused        []string
	}{
		"each within its own":        {false, 48, 48, 2, []string{"1 fastapi", "1 flask"}},
		"one has too many":           {false, 49, 1, 2, []string{"1 fastapi", "1 flask connections"}},
		"both have":                  {false, 49, 200, 2, []string{"1 fastapi connections", "1 flask connections"}},
		"shared: all within the sum": {true, 48, 48, 2, []string{"1 fastapi", "1 flask"}},
		"shared: one has too many":   {true, 49, 48, 4, []string{"1 fastapi", "1 flask connections"}},
		"shared: the other":          {true, 1, 100, 4, []string{"1 fastapi connections", "1 flask"}},
		"shared: both have":          {true, 49, 200, 4, []string{"1 fastapi connections", "1 flask connections"}},
		"shared: more, within a sum": {true, 49, 40, 2, []string{"1 fastapi", "1 flask"}},
		"shared: behind a good one":  {true, 40, 60, 4, []string{"1 fastapi connections", "1 flask"}},
		"shared: before a good one":  {true, 60, 40, 4, []string{"1 fastapi", "1 flask connections"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.shared = c.shared
				w.script["flask"] = slices.Repeat([]act{{open: c.flask}}, 3)
				w.script["fastapi"] = slices.Repeat([]act{{open: c.fastapi}}, 3)
				o := w.options(t, "blocks: 1\nturns: 250ms\ndeployment: {replicas: 3, workers: 2, pool: 8}\n"+twoTargets+closedOnly)
				o.Short = true
				dir, _ := conducted(t, o)
				w.wantNoMistake(t)
				wantList(t, "trials", attemptsOf(t, dir), c.refused...)
				if got := len(w.happened("start ")); got != c.starts {
					t.Errorf("%d starts, want %d", got, c.starts)
				}
				for _, reason := range reasonsOf(t, dir) {
					of := func(n int) string {
						return fmt.Sprintf("%d are open after the start, the plan gives it 3 replicas x 16 = 48", n)
					}
					if !strings.Contains(reason.Text, of(c.flask)) && !strings.Contains(reason.Text, of(c.fastapi)) {
						t.Errorf("reason %+v", reason)
					}
				}
			})
		})
	}
}

// In turns a target may have no more database connections under load than its own share, whatever others leave of theirs. Of
// targets that share an account only the sum is known.
func TestBlocksCountConnectionsUnderLoad(t *testing.T) {
	for name, c := range map[string]struct {
		shared         bool
		flask, fastapi int
		want           []string
	}{
		"twice its pool, another has none":   {false, 32, 0, []string{"1 fastapi", "1 flask declared"}},
		"each has its pool":                  {false, 16, 16, []string{"1 fastapi", "1 flask"}},
		"shared: within the sum":             {true, 32, 0, []string{"1 fastapi", "1 flask"}},
		"shared: beyond it, nobody's in all": {true, 32, 1, []string{"1 fastapi declared", "1 flask declared"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.shared = c.shared
				w.script["flask"], w.script["fastapi"] = slices.Repeat([]act{{held: c.flask}}, 3), slices.Repeat([]act{{held: c.fastapi}}, 3)
				o := w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly)
				o.Short = true // one attempt
				dir, _ := conducted(t, o)
				wantList(t, "trials", attemptsOf(t, dir), c.want...)
				for _, reason := range reasonsOf(t, dir) {
					if !strings.Contains(reason.Text, "database connections: ") {
						t.Errorf("reason %+v", reason)
					}
				}
			})
		})
	}
}

// No more targets start at the same time than the machine has cores, and two at least.
func TestStartsAtOnce(t *testing.T) {
	for cores, want := range map[int]float64{1: 6, 3: 3} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.machine.Cores = cores
			dir, _ := conducted(t, w.options(t, "blocks: 1\n"+threeTurns+closedOnly))
			sum := 0.0
			for _, name := range []string{"flask", "fastapi", "go-nethttp"} {
				for _, step := range trialRecord(t, dir, 1, name).Timeline {
					if step.Name == "start" {
						sum += step.Seconds
					}
				}
			}
			if sum < want || sum > 1.01*want {
				t.Errorf("%d cores: three starts of 3 s took %v s, want %v", cores, sum, want)
			}
		})
	}
}

// Connections that a target opened while it started may close for a second; then it has too many. Those of others are not counted.
func TestConnectionsOfTheStartClose(t *testing.T) {
	for closes, refused := range map[time.Duration]bool{800 * time.Millisecond: false, 1300 * time.Millisecond: true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			o := planOf(t, "targets: [flask]\n")
			s := &recipes{o: &o, db: &table{world: w}}
			w.live["other"], w.live["flask"] = true, true // which has one, and as many as its script says
			w.at["other"], w.at["flask"], w.script["flask"] = 1, 1, []act{{open: 49}}
			time.AfterFunc(closes, func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				delete(w.live, "flask")
			})
			entrants, err := s.o.resolve()
			if err != nil {
				t.Fatal(err)
			}
			err = s.withinBudget(t.Context(), 1, []*replicated{{stage: s, entrant: entrants[0]}})
			if errors.Is(err, errConnections) != refused {
				t.Errorf("49 connections, closed after %v: %v", closes, err)
			}
			time.Sleep(2 * time.Second)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := planOf(t, "targets: [flask]\n")
		entrants, err := o.resolve()
		if err != nil {
			t.Fatal(err)
		}
		s, d := &recipes{o: &o, db: &table{world: w}}, &replicated{entrant: entrants[0]}
		w.live["flask"], w.at["flask"], w.script["flask"] = true, 1, []act{{open: 48}}
		if err := s.withinBudget(t.Context(), 5, []*replicated{d}); err != nil || d.open != 43 {
			t.Errorf("%v, %d are its own", err, d.open)
		}
		if err := s.withinBudget(t.Context(), 50, []*replicated{d}); err != nil || d.open != 0 {
			t.Errorf("%v, %d are its own where others closed some", err, d.open)
		}
	})
}

// Nobody of a block is loaded where one of its targets does not start and the block is measured again; where all are refused in the
// last attempt nobody is either.
func TestBlocksWithoutLoad(t *testing.T) {
	for name, c := range map[string]struct {
		flask, fastapi act
		short          bool
		trials         []string
		checks         int // before the first load, if any
		words          []string
	}{
		"one does not start": {act{deploy: errFaked}, act{}, false, []string{"1 fastapi block", "1 flask not-ready", "2 fastapi", "2 flask"}, 2, nil},
		"both are refused":   {act{fails: before}, act{fails: before}, true, []string{"1 fastapi contract", "1 flask contract"}, 2, nil},
		"the check cannot be made": {
			act{check: errFaked}, act{check: errFaked}, false, []string{"1 fastapi run-ended", "1 flask run-ended"}, 1, []string{"faked"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.script["flask"], w.script["fastapi"] = []act{c.flask}, []act{c.fastapi}
				o := w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly)
				o.Short = c.short
				dir, _ := conducted(t, o, c.words...)
				w.wantNoMistake(t)
				wantList(t, "trials", attemptsOf(t, dir), c.trials...)
				first := slices.IndexFunc(w.notes, func(n string) bool { return strings.HasPrefix(n, "turn ") })
				if first < 0 {
					first = len(w.notes)
				}
				checks := 0
				for _, note := range w.notes[:first] {
					checks += boolean(strings.HasPrefix(note, "check "))
				}
				if checks != c.checks {
					t.Errorf("%d checks before any load, want %d: %q", checks, c.checks, w.notes)
				}
			})
		})
	}
}

// A check after the load that cannot be made ends the run.
func TestBlocksEndWithTheirLastCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["flask"] = []act{{checking: func(when string) error {
			if when == after {
				return errFaked
			}
			return nil
		}}}
		dir, _ := conducted(t, w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly), "contract of flask: faked")
		wantList(t, "trials", attemptsOf(t, dir), "1 fastapi run-ended", "1 flask run-ended")
	})
}

// Rows that a target kept locked in one phase are put back before the next, once it is stopped; the others are measured on.
func TestRowsArePutBackBetweenPhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.undo = func(n int) error {
			if n <= 2 { // until flask is stopped
				w.held = []database.Session{{ID: 5, User: w.users["flask"], Rows: 1}}
				return fmt.Errorf("x: %w", database.ErrLocked)
			}
			w.held = nil
			return nil
		}
		o := w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+
			"phases: [{name: closed, model: closed, connections: 32, duration: 10s}, {name: next, model: closed, connections: 32, duration: 10s}]\n")
		o.Short = true // one attempt
		dir, _ := conducted(t, o)
		w.wantNoMistake(t)
		wantList(t, "trials", attemptsOf(t, dir), "1 fastapi", "1 flask locks")
		if rec := trialRecord(t, dir, 1, "fastapi"); len(rec.Phases) != 3 || len(rec.Phases[2].Moves) == 0 || w.journal != 0 || w.undone != 4 {
			t.Errorf("%d phases of fastapi, %d rows are not put back, tried %d times", len(rec.Phases), w.journal, w.undone)
		}
	})
}
