package controller

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/platform"
	"bakeoff/internal/record"
)

// ending is a process that ends when its test says so.
type ending struct {
	platform.Process
	done chan struct{}
}

func (e *ending) Name() string          { return "mariadbd" }
func (e *ending) PIDs() []int           { return []int{9} }
func (e *ending) Done() <-chan struct{} { return e.done }
func (e *ending) Exit() platform.Exit   { return platform.Exit{Code: 7} }

// What has ended under way is named before what failed because of that, for targets alone and in turns. Nothing is asked of a
// database that is gone.
func TestTheCauseComesFirst(t *testing.T) {
	for name, c := range map[string]struct {
		ends   func(w *world) // in the measured phase
		reason string         // how it begins
	}{
		"a worker":     {func(w *world) { w.script["flask"][0].intact = errors.New("flask-1 is gone") }, "flask-1 is gone; therefore: "},
		"the venue":    {func(w *world) { w.lost = errors.New("the guard is gone") }, "the guard is gone; therefore: "},
		"the database": {func(w *world) { close(w.server.(*ending).done) }, "the database server ended during the run: exit status 7; therefore: "},
		"nothing":      {func(*world) {}, "phase closed: faked"},
	} {
		for _, turns := range []string{"", "turns: 250ms\n"} {
			t.Run(strings.TrimSpace(name+" "+turns), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld()
					w.server = &ending{done: make(chan struct{})}
					failed, before := false, 0
					w.script["flask"] = []act{{phase: func(p *phaseFaked) {
						if p.task.Phase.Number > 0 && !failed {
							failed, p.err, before = true, errFaked, w.undone
							c.ends(w)
						}
					}}}
					dir, err := conducted(t, w.options(t, "blocks: 1\n"+turns+twoTargets+closedOnly), c.reason, "faked")
					if !errors.Is(err, errFaked) || strings.Contains(err.Error(), "therefore") != strings.Contains(c.reason, "therefore") {
						t.Errorf("the run ends with %v", err)
					}
					if rec := runOf(t, dir); rec.Status != record.Aborted || !strings.HasPrefix(rec.Reason, c.reason) {
						t.Errorf("run.json: %s: %s", rec.Status, rec.Reason)
					}
					if gone := name == "the database"; (len(w.open) > 0) != gone || (w.undone == before) != gone {
						t.Errorf("accounts left %v, rows put back %d times", w.open, w.undone-before)
					}
				})
			})
		}
	}
}

// A database server that ends before the first statement of a trial is named, too; one that is somebody else's is not looked at.
func TestEndOfTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := &recipes{}
		wantError(t, s.ended())
		s.db = &table{world: w}
		began := time.Now()
		wantError(t, s.ended())
		if took := time.Since(began); took > 0 || s.databaseEnded() {
			t.Errorf("a server that is not ours was watched for %v", took)
		}
		server := &ending{done: make(chan struct{})}
		w.server = server
		wantError(t, s.ended())
		if s.databaseEnded() {
			t.Error("a server that runs has ended")
		}
		time.AfterFunc(noticed/2, func() { close(server.done) })
		wantError(t, s.ended(), "the database server ended during the run: exit status 7")
		if !s.databaseEnded() {
			t.Error("a server that has ended runs")
		}
	})
}

// Samples that cannot be written end the run, which says so.
func TestSamplersFail(t *testing.T) {
	for n, trials := range []int{0, 1, 1} { // 1: at rest; 2: in the first trial; or that of the block in turns
		turns := map[bool]string{true: "turns: 250ms\n"}[n == 2]
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.sampled = func(sampler int) error {
				if sampler == min(n, 1)+1 {
					return errFaked
				}
				return nil
			}
			dir, err := conducted(t, w.options(t, "blocks: 1\n"+turns+twoTargets+closedOnly), "controller: faked")
			if !errors.Is(err, errFaked) || runOf(t, dir).Status != record.Aborted {
				t.Errorf("%v, run.json: %s", err, runOf(t, dir).Status)
			}
			got := trialsOf(t, dir)
			if want := trials * map[bool]int{true: 2, false: 1}[n == 2]; len(got) != want {
				t.Errorf("%d: %d trials, want %d: %q", n, len(got), want, got)
			}
			for _, trial := range got {
				if !strings.HasSuffix(trial, "aborted run-ended") {
					t.Errorf("%d: %s", n, trial)
				}
			}
		})
	}
}
