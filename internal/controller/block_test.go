package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// Targets that start side by side are held against what the plan gives all of them; where they have more, each starts alone,
// and only those are refused that have more than their own share.
func TestBlocksCountConnectionsTogether(t *testing.T) {
	for name, c := range map[string]struct {
		flask, fastapi int // open after the start
		starts         int
		refused        []string
	}{
		"all within the sum": {48, 48, 2, []string{"1 fastapi", "1 flask"}},
		"one has too many":   {49, 48, 4, []string{"1 fastapi", "1 flask connections"}},
		"the other":          {1, 100, 4, []string{"1 fastapi connections", "1 flask"}},
		"both have too many": {49, 200, 4, []string{"1 fastapi connections", "1 flask connections"}},
		"more, within a sum": {49, 40, 2, []string{"1 fastapi", "1 flask"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
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
					if want := "are open after the start, the plan gives it 3 replicas x 16 = 48"; !strings.Contains(reason.Text, want) {
						t.Errorf("reason %+v", reason)
					}
				}
			})
		})
	}
}
