package controller

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/target"
	"bakeoff/internal/venue"
)

// Whether the targets of a run take turns, in virtual time on a fake venue and a fake loader.

// A target that cannot be held still takes turns all the same, unless it works while it is not its turn:
// then it is named, and all are measured one after another from there on.
func TestTurnsOfTheRestless(t *testing.T) {
	for busy, trials := range map[float64][]string{
		0.01: {"1 fastapi", "1 fastapi", "1 flask", "1 flask"},
		0.03: {"1 fastapi", "1 fastapi block", "1 flask", "1 flask block", "2 fastapi", "2 flask"},
		0.05: {"1 fastapi", "1 fastapi block", "1 flask", "1 flask block", "2 fastapi", "2 flask"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.busy = busy
			w.script["flask"] = slices.Repeat([]act{{still: venue.ErrNoFreezing}}, 9)
			dir, _ := conducted(t, w.options(t, "blocks: 2\nturns: 250ms\n"+twoTargets+closedOnly))
			w.wantNoMistake(t)
			wantList(t, "trials", attemptsOf(t, dir), trials...)
			rec := trialRecord(t, dir, 1, "flask")
			if turns := rec.Phases[0].Turns; (turns == nil) != (busy > 0.02) {
				t.Errorf("flask with %v cores: the last trial has turns %+v", busy, turns)
			}
			if notes := strings.Join(runOf(t, dir).Notes, "; "); strings.Contains(notes, fmt.Sprintf("the targets do not take turns: flask is not frozen and used %.1f %% of the machine", 50*busy)) != (busy > 0.02) {
				t.Errorf("notes: %s", notes)
			}
		})
	}
}

// Targets that do not fit into memory together, by what they took in the pilot, are measured one after
// another.
func TestTurnsNeedMemory(t *testing.T) {
	for pss, fits := range map[int64]bool{4e9: true, 5e9: false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.machine.MemoryBytes, w.used, w.pss = 12e9, 1e9, pss
			dir, _ := conducted(t, w.options(t, "blocks: 1\npilot: 5s\nturns: 250ms\n"+twoTargets+closedOnly))
			notes := strings.Join(runOf(t, dir).Notes, "; ")
			if turns := len(w.happened("turn ")) > 0; turns != fits || strings.Contains(notes, "together they need 12.0 GB of memory (1.2 x what they took in the pilot), but only 11.0 GB are free") == fits {
				t.Errorf("%d bytes each: turns %v, notes %s", pss, turns, notes)
			}
		})
	}
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A recipe can forbid that it is held still.
func TestRecipesThatDoNotFreeze(t *testing.T) {
	w := newWorld()
	w.at["flask"] = 1
	for freezes, want := range map[bool]error{true: nil, false: venue.ErrNoFreezing} {
		d := &replicated{entrant: &entrant{recipe: &target.Recipe{Freezes: freezes}}, at: &running{world: w, name: "flask"}}
		if err := d.freeze(t.Context()); !errors.Is(err, want) || w.frozen["flask"] != freezes {
			t.Errorf("freezes %v: %v, frozen %v", freezes, err, w.frozen["flask"])
		}
		w.frozen["flask"] = false
	}
}

// Where turns cannot be had that is said before the first block, and the connections of the database are
// those of one target or of all.
func TestTurnsOrNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		dir, _ := conducted(t, w.options(t, "blocks: 1\nturns: 250ms\n"+oneTarget+closedOnly))
		if rec := runOf(t, dir); !slices.Contains(rec.Notes, "the targets do not take turns: there is only one target") || len(w.happened("turn")) > 0 {
			t.Errorf("notes %q", rec.Notes)
		}
	})
	for turns, need := range map[string]int{"off": 48 + spareConnections, "250ms": 2*48 + spareConnections} {
		o := planOf(t, "targets: [flask, fastapi]\nturns: "+turns+"\n")
		entrants, err := o.resolve()
		if err != nil {
			t.Fatal(err)
		}
		if got := o.connectionsNeeded(entrants); got != need {
			t.Errorf("turns: %s: %d connections, want %d", turns, got, need)
		}
		lines, err := o.Outline()
		if err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(strings.Join(lines, "\n"), "the targets take turns of 250ms: all are up together, with 128 database connections"); said != (turns != "off") {
			t.Errorf("turns: %s: %q", turns, lines)
		}
	}
}

// Where the database allows the connections of one target but not of all at once, they are measured one after another,
// and why is said before the first block; likewise where an external database says so only when it is open.
func TestTurnsNeedConnections(t *testing.T) {
	for limit, turns := range map[int]bool{2*16 + spareConnections: true, 2*16 + spareConnections - 1: false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			dir, _ := conducted(t, w.options(t, fmt.Sprintf("blocks: 1\nturns: 250ms\ndatabase: {max_connections: %d}\n", limit)+twoTargets+closedOnly))
			said := slices.Contains(runOf(t, dir).Notes, "the targets do not take turns: all at once may open 64 connections to the database (32 of them are bakeoff's own and others'), and it allows 63")
			if got := len(w.happened("turn ")) > 0; got != turns || said == turns {
				t.Errorf("%d connections: turns %v, notes %q", limit, got, runOf(t, dir).Notes)
			}
			if rec := trialRecord(t, dir, 1, "flask"); rec.Status != record.Valid || rec.Declared.Together != map[bool]int{true: 32, false: 16}[turns] {
				t.Errorf("%d connections: %s, declared %+v", limit, rec.Status, rec.Declared)
			}
		})
		w := newWorld()
		o := w.options(t, "turns: 250ms\n"+twoTargets+closedOnly)
		entrants, err := o.resolve()
		if err != nil {
			t.Fatal(err)
		}
		s := &recipes{o: &o, logins: map[string]*replicated{}, entrants: entrants, db: &table{world: w}}
		w.live["flask"], w.script["flask"], w.at["flask"] = true, []act{{open: 3}}, 1
		for kind, most := range map[string]int{"external": 0, "private": 1} { // it says nothing of a limit; ours has as many as are needed
			o.Plan.Database.Kind, s.dbInfo.MaxConnections = kind, most
			if err := s.noConnections(t.Context()); err != nil || o.inTurns() != nil {
				t.Errorf("%s, %d connections: %v, %v", kind, most, err, o.inTurns())
			}
		}
		o.Plan.Database.Kind, s.dbInfo.MaxConnections = "external", limit+3
		if err := s.noConnections(t.Context()); err != nil || (o.inTurns() == nil) != turns {
			t.Errorf("an external database with %d, 3 of them open: %v, %v", limit+3, err, o.inTurns())
		}
	}
}

// A target that cannot be frozen and works while nobody asks it is found in the pilot.
func TestTurnsOfTheRestlessInThePilot(t *testing.T) {
	for busy, turns := range map[float64]bool{0.01: true, 0.05: false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.busy = busy
			w.script["flask"] = slices.Repeat([]act{{still: venue.ErrNoFreezing}}, 9)
			dir, _ := conducted(t, w.options(t, "blocks: 1\npilot: 5s\nturns: 250ms\n"+twoTargets+closedOnly))
			w.wantNoMistake(t)
			said := slices.Contains(runOf(t, dir).Notes, "the targets do not take turns: flask cannot be frozen and used 2.5 % of the machine in the pilot while nobody asked it")
			if got := len(w.happened("turn ")) > 0; got != turns || said == turns {
				t.Errorf("%v cores: turns %v, notes %q", busy, got, runOf(t, dir).Notes)
			}
		})
	}
}

// A run whose turns ended before it was interrupted goes on without them, though the pilot is not repeated: what is measured
// of a block stays.
func TestResumeKeepsToNoTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.machine.MemoryBytes, w.used, w.pss = 12e9, 1e9, 5e9
		o := w.options(t, "blocks: 2\npilot: 5s\nturns: 250ms\n"+twoTargets+closedOnly)
		dir := interrupted(t, w, o, "flask", 3, 1)
		kept := runOf(t, dir).NoTurns
		if !strings.Contains(kept, "together they need 12.0 GB of memory") {
			t.Errorf("run.json keeps %q", kept)
		}
		valid := len(slices.DeleteFunc(trialsOf(t, dir), func(s string) bool { return !strings.HasSuffix(s, " valid") }))
		w.script, w.notes, o.Resume = map[string][]act{}, nil, dir
		conducted(t, o)
		if turns := w.happened("turn "); len(turns) > 0 || runOf(t, dir).NoTurns != kept {
			t.Errorf("%d turns after the resumption; run.json keeps %q", len(turns), runOf(t, dir).NoTurns)
		}
		if got := len(w.happened("start ")); got != 6-valid {
			t.Errorf("%d starts after %d valid trials, want the other %d of 6", got, valid, 6-valid)
		}
	})
}

// opened counts the files of recipes that are opened.
type opened struct {
	fs.FS
	n atomic.Int64
}

func (o *opened) Open(name string) (fs.File, error) {
	o.n.Add(1)
	return o.FS.Open(name)
}

// Whether there are turns is decided once: a limit of connections has no recipe read again in the run.
func TestTurnsAreDecidedOnce(t *testing.T) {
	var reads []int64
	for _, limit := range []string{"", "database: {max_connections: 200}\n"} {
		synctest.Test(t, func(t *testing.T) {
			o := newWorld().options(t, "blocks: 2\nturns: 250ms\n"+limit+twoTargets+closedOnly)
			counting := &opened{FS: o.Recipes}
			o.Recipes = counting
			conducted(t, o)
			reads = append(reads, counting.n.Load())
		})
	}
	if reads[0] == 0 || reads[0] != reads[1] {
		t.Errorf("%d reads of recipes without a limit, %d with one", reads[0], reads[1])
	}
}

// What a target does right after its load, and no longer, ends no turns.
func TestTheRestlessIsLookedAtAgain(t *testing.T) {
	for busyFor, turns := range map[time.Duration]bool{1500 * time.Millisecond: true, time.Hour: false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.busy = 0.05
			w.script["flask"] = slices.Repeat([]act{{still: venue.ErrNoFreezing, phase: func(p *phaseFaked) {
				if p.task.Phase.Number == pilotPhase {
					time.AfterFunc(p.task.Phase.Duration+busyFor, func() { w.rest() })
				}
			}}}, 9)
			dir, _ := conducted(t, w.options(t, "blocks: 1\npilot: 5s\nturns: 250ms\n"+twoTargets+closedOnly))
			if got := len(w.happened("turn ")) > 0; got != turns {
				t.Errorf("busy for %v: turns %v, notes %q", busyFor, got, runOf(t, dir).Notes)
			}
		})
	}
}
