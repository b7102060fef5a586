package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/record"
)

// Each place of the controller at which something is asked of the world is made to fail once, and is once where the user interrupts
// the run: the error is said, everything that was started is stopped, and nothing more is measured.

// story is a run in which nothing goes wrong by itself.
type story struct {
	name    string
	lines   string
	arrange func(w *world, o *Options)
	// silent are places, by how their names begin, whose errors nobody hears of: what fails there fails again at the next one.
	silent []string
	places []string // at which something is asked that was in no story before
}

func stories(t *testing.T) []story {
	const short = "phases: [{model: closed, connections: 32, duration: 2s}]\n"
	all := []story{
		{name: "one after another", lines: "blocks: 1\n" + oneTarget + short},
		{name: "in turns", lines: "blocks: 1\nturns: 250ms\n" + twoTargets + short, silent: []string{"thaw thaw thawAll"}},
		{
			name:  "with a pilot",
			lines: "blocks: 1\npilot: 1s\nturns: 250ms\n" + twoTargets + "phases: [{model: open, rate: 100, connections: 32, duration: 1s}]\n",
			// What cannot be frozen in the pilot cannot be frozen in the block either.
			silent: []string{"thaw thaw thawAll", "freeze freeze idleAlone"},
		},
		{name: "until steady", lines: "blocks: 1\ntargets: [flask]\nwarmup: 2s to 20s\n" + short},
		{
			name: "with a repeat", lines: "blocks: 1\n" + oneTarget + short,
			arrange: func(w *world, _ *Options) { w.script["flask"] = []act{{fails: before}} },
			silent:  []string{"sampler watchHost awaitQuiet"}, // the trial that is repeated says so
		},
		{
			name: "with a lock", lines: "blocks: 1\n" + oneTarget + short,
			arrange: func(w *world, _ *Options) {
				w.under = []database.Session{{ID: 1}}
				w.script["flask"] = []act{{phase: func(p *phaseFaked) {
					if p.task.Phase.Number > 0 {
						w.held = []database.Session{{ID: 2, Rows: 1}}
					}
				}}}
			},
			silent: []string{"sampler watchHost awaitQuiet"},
		},
		{
			name: "a capacity in turns", lines: "blocks: 1\nturns: 1s\n" + twoTargets + strings.Replace(capacityPlan, "pilot: 5s", "pilot: 1s", 1),
			arrange: func(w *world, _ *Options) { w.script["flask"], w.script["fastapi"] = upTo(90), upTo(90) },
			silent:  []string{"thaw thaw thawAll", "freeze freeze idleAlone"},
		},
		{
			name: "a capacity", lines: "blocks: 1\n" + oneTarget + strings.Replace(capacityPlan, "pilot: 5s", "pilot: 1s", 1),
			arrange: func(w *world, _ *Options) { w.script["flask"] = upTo(90) },
		},
	}
	seen := map[string]bool{}
	for i := range all {
		for _, place := range all[i].asks(t) {
			if !seen[place] {
				seen[place] = true
				all[i].places = append(all[i].places, place)
			}
		}
	}
	if len(seen) < 80 {
		t.Fatalf("only %d places", len(seen))
	}
	return all
}

// placeOf is from where in the controller something is asked, the innermost function first; with lines no two places are one.
func placeOf(name string, lines bool) string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for {
		f, more := frames.Next()
		if strings.HasPrefix(f.Function, "bakeoff/internal/controller.") && !strings.HasSuffix(f.File, "_test.go") {
			name += " " + path.Ext("x" + strings.TrimSuffix(f.Function, ".func1"))[1:]
			if lines {
				name += fmt.Sprintf(":%d", f.Line)
			}
		}
		if !more {
			return name
		}
	}
}

// inMemory is a folder that is no disk where the machine has one: a run waits for its record to be on the disk.
func inMemory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "controller-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// told is a story once it was run.
type told struct {
	*world
	dir    string
	err    error
	hit    bool
	at     string    // the place without its lines
	since  int       // notes before it
	moment time.Time // of it
}

// tell runs a story; what is asked first where is says so is answered by do.
func (s story) tell(ctx context.Context, t *testing.T, is func(place string) bool, do func() error) *told {
	out := &told{world: newWorld()}
	o := out.options(t, s.lines)
	o.Out = inMemory(t)
	out.work = func(time.Duration) int64 { return int64(time.Millisecond) }
	if s.arrange != nil {
		s.arrange(out.world, &o)
	}
	var mu sync.Mutex
	out.called = func(name string) error {
		mu.Lock()
		defer mu.Unlock()
		if out.hit || !is(placeOf(name, true)) {
			return nil
		}
		out.mu.Lock()
		out.hit, out.at, out.since, out.moment = true, placeOf(name, false), len(out.notes), time.Now()
		out.mu.Unlock()
		return do()
	}
	out.dir, out.err = Run(ctx, o)
	return out
}

// asks are all places of a story.
func (s story) asks(t *testing.T) (out []string) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[string]bool{}
		w := s.tell(t.Context(), t, func(place string) bool { seen[place] = true; return false }, nil)
		if w.err != nil {
			t.Fatalf("%s: %v", s.name, w.err)
		}
		out = slices.Sorted(maps.Keys(seen))
	})
	return out
}

// says reports whether a text is in the error, a reason of a trial, or what the user was shown.
func (w *told) says(t *testing.T, text string) bool {
	if w.err != nil && strings.Contains(w.err.Error(), text) {
		return true
	}
	for _, e := range w.events {
		if strings.Contains(e.Text, text) {
			return true
		}
	}
	if w.dir == "" {
		return false
	}
	return slices.ContainsFunc(reasonsOf(t, w.dir), func(r record.Reason) bool { return strings.Contains(r.Text, text) })
}

// clearedUp wants nothing left of what was started.
func (w *told) clearedUp(t *testing.T) {
	t.Helper()
	starts, stops := 0, 0
	for _, n := range w.notes {
		switch word, _, _ := strings.Cut(n, " "); word {
		case "start":
			starts++
		case "stop":
			stops++
		}
	}
	has := func(words string) bool { return len(w.happened(words)) > 0 }
	if starts != stops || has("database starts") != has("database stops") || has("agents start") != has("agents end") || has("yardstick starts") != has("yardstick ends") {
		t.Errorf("%s: left running: %q", w.at, w.notes)
	}
	if !strings.HasPrefix(w.at, "thaw ") && !strings.HasPrefix(w.at, "freeze ") {
		w.wantNoMistake(t)
	}
	if len(w.open) > 0 && !strings.HasPrefix(w.at, "retire ") {
		t.Errorf("%s: accounts are left: %v", w.at, w.open)
	}
	if w.journal > 0 && !strings.HasPrefix(w.at, "undo moves ") {
		t.Errorf("%s: %d rows are not put back", w.at, w.journal)
	}
}

// measuredLater are loads after the place.
func (w *told) measuredLater() []string {
	return slices.DeleteFunc(slices.Clone(w.notes[w.since:]), func(n string) bool {
		return !strings.HasPrefix(n, "load ") && !strings.HasPrefix(n, "turn ")
	})
}

func TestWhateverGoesWrong(t *testing.T) {
	for _, s := range stories(t) {
		t.Run(s.name, s.faults)
		t.Run(s.name+", interrupted", s.interrupts)
	}
}

// faults has each place fail once: the error is said, and the run does not go on.
func (s story) faults(t *testing.T) {
	for _, place := range s.places {
		synctest.Test(t, func(t *testing.T) {
			fault := fmt.Errorf("fault at %s", strings.Fields(place)[0])
			w := s.tell(t.Context(), t, func(at string) bool { return at == place }, func() error { return fault })
			if !w.hit {
				t.Fatalf("%s: not asked again", place)
			}
			w.clearedUp(t)
			silent := slices.ContainsFunc(s.silent, func(part string) bool { return strings.HasPrefix(w.at, part) })
			if !silent && !w.says(t, fault.Error()) {
				t.Errorf("%s: nobody hears of it: %v", place, w.err)
			}
			if !errors.Is(w.err, fault) || w.dir == "" {
				return
			}
			if rec := runOf(t, w.dir); rec.Status != record.Aborted || !strings.Contains(rec.Reason, fault.Error()) {
				t.Errorf("%s: run.json: %s: %s", place, rec.Status, rec.Reason)
			}
			if more := w.measuredLater(); len(more) > 0 && !strings.HasPrefix(place, "move ") && !strings.HasPrefix(place, "load ") {
				t.Errorf("%s: the run goes on: %q", place, more)
			}
		})
	}
}

// interrupts has the user end the run at each place: it ends soon, and says so.
func (s story) interrupts(t *testing.T) {
	for _, place := range s.places {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			w := s.tell(ctx, t, func(at string) bool { return at == place }, func() error { cancel(ErrInterrupted); return nil })
			if !w.hit {
				t.Fatalf("%s: not asked again", place)
			}
			w.clearedUp(t)
			if took := time.Since(w.moment); took > 3*time.Second {
				t.Errorf("%s: the run ends %v later", place, took)
			}
			w.interrupted(t, place)
		})
	}
}

// interrupted wants the record to say that the run was interrupted, unless it was over.
func (w *told) interrupted(t *testing.T, place string) {
	t.Helper()
	if w.dir == "" {
		if !errors.Is(w.err, ErrInterrupted) {
			t.Errorf("%s: %v", place, w.err)
		}
		return
	}
	rec := runOf(t, w.dir)
	if w.err == nil {
		if rec.Status != record.Complete || len(w.measuredLater()) > 0 {
			t.Errorf("%s: no error, and the run is %s", place, rec.Status)
		}
		return
	}
	if !errors.Is(w.err, ErrInterrupted) || rec.Status != record.Aborted || rec.Reason != ErrInterrupted.Error() {
		t.Errorf("%s: %v; run.json: %s: %s", place, w.err, rec.Status, rec.Reason)
	}
	r, err := record.Open(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			t.Errorf("%s: %v", place, err)
			continue
		}
		said := slices.ContainsFunc(trial.Reasons, func(r record.Reason) bool { return r.Code == record.CodeInterrupted })
		if said != (trial.Status == record.TrialAborted) {
			t.Errorf("%s: trial of %s is %s: %+v", place, trial.Target, trial.Status, trial.Reasons)
		}
		for _, p := range trial.Phases {
			if said && p.Ended.After(w.moment) && !p.Unjudged {
				t.Errorf("%s: phase %s is judged", place, p.Name)
			}
		}
	}
	for _, n := range w.notes[w.since:] {
		if _, within, found := strings.Cut(n, " within "); found && within != "4s" && !strings.Contains(w.at, " stop") { // in a stop: it was under way
			t.Errorf("%s: %s", place, n)
		}
	}
}

// What goes wrong while targets are verified, or rows are filled in, is said, and everything is stopped and removed.
func TestEveryFaultOfOtherCommands(t *testing.T) {
	plan := "blocks: 1\n" + oneTarget + closedOnly
	var found []Findings
	verify := func(ctx context.Context, o Options) error {
		found = nil
		return Verify(ctx, o, func(f Findings) { found = append(found, f) })
	}
	fill := func(ctx context.Context, o Options) error {
		_, err := LoadData(ctx, o)
		return err
	}
	for name, run := range map[string]func(context.Context, Options) error{"verify": verify, "fill": fill} {
		seen := map[string]bool{}
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.called = func(name string) error { seen[placeOf(name, true)] = true; return nil }
			if err := run(t.Context(), w.options(t, plan)); err != nil {
				t.Fatal(err)
			}
		})
		if len(seen) < 5 {
			t.Fatalf("%s: only %d places", name, len(seen))
		}
		for place := range seen {
			for _, interrupted := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					w, fault := &told{world: newWorld()}, fmt.Errorf("fault at %s", strings.Fields(place)[0])
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					w.called = func(name string) error {
						if w.hit || placeOf(name, true) != place {
							return nil
						}
						w.hit, w.at = true, placeOf(name, false)
						if interrupted {
							cancel(ErrInterrupted)
							return nil
						}
						return fault
					}
					err := run(ctx, w.options(t, plan))
					w.clearedUp(t)
					if _, gone := os.Stat(w.temporary); w.temporary != "" && !errors.Is(gone, os.ErrNotExist) {
						t.Errorf("%s: %s: %s is left", name, place, w.temporary)
					}
					said := errors.Is(err, fault) || slices.ContainsFunc(found, func(f Findings) bool { return strings.Contains(f.Error, fault.Error()) })
					if !interrupted && !said {
						t.Errorf("%s: %s: nobody hears of it: %v, %+v", name, place, err, found)
					}
					over := strings.HasPrefix(place, "end of ") || name == "fill"
					if interrupted && !over && !errors.Is(err, ErrInterrupted) {
						t.Errorf("%s: %s: %v", name, place, err)
					}
				})
			}
		}
	}
}

// What a run costs in addition is that of where it is, of who loads, and of turns where the plan has them.
func TestCostsOfARun(t *testing.T) {
	for lines, turns := range map[string]bool{twoTargets + "turns: 250ms\n": true, twoTargets: false, oneTarget + "turns: 250ms\n": false} {
		w := newWorld()
		w.overhead.Trial = 7 * time.Second
		o := w.options(t, "blocks: 1\n"+lines+closedOnly)
		o.Loading.Servers, o.Loading.Master = 3*time.Second, 5*time.Second
		if got := o.Overhead(); got.Turns != turns || got.Loading != o.Loading || got.Trial != w.overhead.Trial {
			t.Errorf("%s%+v", lines, got)
		}
	}
}

// In turns the connections of workers are counted after half of the rounds of the last phase.
func TestConnectionsAreCountedHalfwayThroughTurns(t *testing.T) {
	for duration, want := range map[string]int{"1s": 2, "1500ms": 3, "1250ms": 3, "250ms": 1} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			turns := -1
			w.called = func(name string) error {
				if name == "count connections" && turns < 0 {
					turns = len(w.happened("turn flask open"))
				}
				return nil
			}
			conducted(t, w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+
				"phases: [{model: closed, connections: 32, duration: 1s}, {model: open, rate: 100, connections: 32, duration: "+duration+"}]\n"))
			if turns != want || len(w.counted) != 2 {
				t.Errorf("%s: counted after %d rounds, want %d; %d counts", duration, turns, want, len(w.counted))
			}
		})
	}
}
