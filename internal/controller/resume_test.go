package controller

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
)

// interrupted runs the plan until the user interrupts it in that phase of that deployment.
func interrupted(t *testing.T, w *world, o Options, name string, deployment, phase int) string {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	script := make([]act, deployment)
	script[deployment-1].phase = func(p *phaseFaked) {
		if p.task.Phase.Number == phase {
			time.AfterFunc(time.Second, func() { cancel(ErrInterrupted) })
		}
	}
	w.script[name] = script
	dir, err := Run(ctx, o)
	if !errors.Is(err, ErrInterrupted) {
		t.Fatalf("run ends with %v", err)
	}
	return dir
}

// An interrupted run is stopped in less time, and can be resumed: what is done is not done again.
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := w.options(t, "blocks: 3\npilot: 5s\nseed: 1\n"+twoTargets+closedOnly)
		w.programs = []record.Program{{Name: "bakeoff", Version: "1", SHA256: "x"}, {Name: "nginx", Version: "1.22", SHA256: "y"}}
		w.machine.Governor, w.info.Collation = "performance", "utf8mb4_bin"
		dir := interrupted(t, w, o, "flask", 3, 1)
		before := trialsOf(t, dir)
		if last := before[len(before)-1]; !strings.HasSuffix(last, "flask aborted interrupted") {
			t.Errorf("last trial: %s", last)
		}
		if stop := w.notes[len(w.notes)-3]; stop != "stop flask within 4s" {
			t.Errorf("the user waits for %q", stop)
		}
		w.script, w.notes = map[string][]act{}, nil
		w.programs = []record.Program{{Name: "bakeoff", Version: "1", SHA256: "x"}, {Name: "nginx", Version: "1.24", SHA256: "z"}}
		w.machine.Governor, w.info.Collation = "powersave", "utf8mb4_general_ci"
		o.Resume = dir
		if got, _ := conducted(t, o); got != dir {
			t.Errorf("went on in %s", got)
		}
		var trials []string
		for _, at := range o.Plan.Trials() {
			trials = append(trials, fmt.Sprintf("%d-%d-%s valid", at.Block, at.Position, at.Target))
		}
		wantList(t, "trials", trialsOf(t, dir), trials...)
		if starts, done := len(w.happened("start")), len(before)-1; starts != len(trials)-done {
			t.Errorf("%d trials were done before and %d after, of %d", done, starts, len(trials))
		}
		rec := runOf(t, dir)
		if rec.Status != record.Complete {
			t.Errorf("run.json: %s", rec.Status)
		}
		for _, note := range []string{"another nginx (1.22, 1.24)", "another CPU governor (performance, powersave)", "another collation (utf8mb4_bin, utf8mb4_general_ci)"} {
			if !slices.Contains(rec.Notes, "resumed with "+note) || !slices.Equal(rec.Programs, w.programs) {
				t.Errorf("no note of %q in %q, programs %+v", note, rec.Notes, rec.Programs)
			}
		}
	})
}

// What could not be ended is said, also when the user interrupts the run.
func TestInterruptedWithLeftovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.closing = errors.New("agent 1 does not end")
		o := w.options(t, "blocks: 1\n"+oneTarget+closedOnly)
		ctx, cancel := context.WithCancelCause(t.Context())
		w.script["flask"] = []act{{phase: func(*phaseFaked) { cancel(ErrInterrupted) }}}
		dir, err := Run(ctx, o)
		if !errors.Is(err, ErrInterrupted) || !errors.Is(err, w.closing) {
			t.Errorf("%v", err)
		}
		if rec := runOf(t, dir); rec.Status != record.Aborted || !strings.Contains(rec.Reason, "agent 1 does not end") || !strings.HasPrefix(rec.Reason, ErrInterrupted.Error()) {
			t.Errorf("run.json: %s: %s", rec.Status, rec.Reason)
		}
	})
}

// A run goes on only where it was begun, with what it was begun with.
func TestResumeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world, *Options)
		words  []string
	}{
		"another machine": {
			func(w *world, _ *Options) { w.machine.Fingerprint = "there" }, []string{"was started on another machine (fake, 2 cores, kernel 6)"},
		},
		"a changed recipe": {
			func(w *world, _ *Options) { w.digest = "fedcba9876543210" }, []string{"the recipe of flask has changed since the run began: digest fedcba987654, was 0123456789ab"},
		},
		"another database": {
			func(w *world, _ *Options) { w.info.Version = "11" }, []string{"the run was started with mariadb 10, this is mariadb 11"},
		},
		"a full disk": {
			func(w *world, _ *Options) { w.room = 1000 }, []string{"has 0.001 MB free, the run needs about"},
		},
		"another plan": {
			func(_ *world, o *Options) {
				p := *o.Plan
				p.Blocks = 4
				o.Plan = &p
			}, []string{"blocks"},
		},
		"nothing": {func(*world, *Options) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				o := w.options(t, "blocks: 2\n"+oneTarget+closedOnly)
				o.Resume = interrupted(t, w, o, "flask", 1, 1)
				before := len(w.happened("load"))
				w.script = map[string][]act{}
				c.change(w, &o)
				_, err := Run(t.Context(), o)
				wantError(t, err, c.words...)
				if loads := len(w.happened("load")) - before; (loads > 0) != (c.words == nil) {
					t.Errorf("%d loads", loads)
				}
			})
		})
	}
}

// A run whose table had other rows, as an older bakeoff makes them from the same dataset, is not resumed.
func TestResumeWithOtherRows(t *testing.T) {
	s := &recipes{dbInfo: record.DatabaseInfo{Vendor: "mariadb", Version: "10", Digest: "sha256:ab"}}
	was := record.Run{Database: s.dbInfo}
	wantError(t, s.same(was))
	was.Database.Digest = "sha256:cd"
	wantError(t, s.same(was), "started with other rows", "is sha256:ab, it was sha256:cd; start a new run")
	was.Database = record.DatabaseInfo{} // it was left off before its table was filled
	wantError(t, s.same(was))
}

// A trial's attempts count over an interruption: the third is the last.
func TestResumeCountsAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := w.options(t, "blocks: 1\nseed: 1\n"+twoTargets+closedOnly)
		bad := act{fails: before}
		ctx, cancel := context.WithCancelCause(t.Context())
		w.script["flask"] = []act{bad, {phase: func(*phaseFaked) { cancel(ErrInterrupted) }}}
		dir, _ := Run(ctx, o)
		o.Resume, w.script["flask"] = dir, []act{{}, {}, bad, bad, bad, bad}
		_, err := conducted(t, o, "flask has none in 1 of 1 block")
		if !errors.Is(err, ErrTooFewValid) {
			t.Error(err)
		}
		wantList(t, "trials", trialsOf(t, dir), "1-1-fastapi valid", "1-2-flask invalid contract", "1-3-flask invalid contract", "1-4-flask invalid contract")
	})
}

// Interrupted while targets start, the run ends at once, stops them, and is resumed as if they had not been started.
func TestInterruptedWhileATargetStarts(t *testing.T) {
	for turns, starts := range map[string]int{"": 1, "turns: 250ms\n": 2} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			o := w.options(t, "blocks: 1\n"+turns+twoTargets+closedOnly)
			ctx, cancel := context.WithCancelCause(t.Context())
			const at = 2500 * time.Millisecond // 1 s at rest, 1.5 s of the 3 s that a start takes
			time.AfterFunc(at, func() { cancel(ErrInterrupted) })
			dir, err := Run(ctx, o)
			if took := time.Since(w.began); !errors.Is(err, ErrInterrupted) || took > at+time.Second {
				t.Fatalf("ended after %v with %v", took, err)
			}
			if begun, stopped := len(w.happened("start ")), len(w.happened("stop ")); begun != starts || stopped != starts {
				t.Errorf("turns %q: %d starts, %d stops, want %d", turns, begun, stopped, starts)
			}
			for _, line := range trialsOf(t, dir) {
				if !strings.HasSuffix(line, "aborted not-ready,interrupted") {
					t.Error(line)
				}
			}
			if len(w.happened("check", "load", "turn")) > 0 || len(w.open) > 0 || !strings.HasPrefix(w.notes[len(w.notes)-1], "database stops within 4s") {
				t.Errorf("what happened: %q, accounts %v", w.notes, w.open)
			}
			w.notes, o.Resume = nil, dir
			conducted(t, o)
			if got := trialsOf(t, dir); len(got) != 2 || !strings.HasSuffix(got[0], " valid") || !strings.HasSuffix(got[1], " valid") {
				t.Errorf("turns %q: %q", turns, got)
			}
		})
	}
}

// Where a run ended with one trial of a block written and another one not, those that take turns are measured again together, and
// alone only the one that is missing is.
func TestResumeABlockWithOneTrialWritten(t *testing.T) {
	for turns, starts := range map[string]int{"": 1, "turns: 250ms\n": 2} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			o := w.options(t, "blocks: 1\n"+turns+twoTargets+closedOnly)
			second := o.Plan.Trials()[1].Target
			w.script[second] = []act{{stopping: func() { // its last file cannot take its place
				if err := os.Mkdir(filepath.Join(onlyFolder(t, o.Out, "1-2-*"), "trial.json"), 0o700); err != nil {
					t.Error(err)
				}
			}}}
			dir, err := Run(t.Context(), o)
			if err == nil || runOf(t, dir).Status != record.Aborted {
				t.Fatalf("%v, run.json: %s", err, runOf(t, dir).Status)
			}
			written := 0
			for _, state := range openRecord(t, dir).Trials() {
				if trial, err := state.Trial(); err == nil && trial.Status == record.Valid {
					written++
				}
			}
			if written != 1 {
				t.Fatalf("%d trials were written, want one", written)
			}
			w.notes, o.Resume = nil, dir
			conducted(t, o)
			if got := len(w.happened("start ")); got != starts {
				t.Errorf("turns %q: %d starts, want %d", turns, got, starts)
			}
			summary, err := figures.Build(openRecord(t, dir))
			if err != nil {
				t.Fatal(err)
			}
			attempts := map[string]int{}
			for _, trial := range summary.Trials {
				if trial.Used {
					attempts[trial.Target] = trial.Attempt
				}
			}
			if len(attempts) != 2 || turns != "" && attempts["flask"] != attempts["fastapi"] {
				t.Errorf("turns %q: the attempts that are used are %v", turns, attempts)
			}
		})
	}
}

// onlyFolder is the only trial's folder of that kind in the only run of a folder.
func onlyFolder(t *testing.T, out, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(out, "*", "trials", pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%q, %v", found, err)
	}
	return found[0]
}
