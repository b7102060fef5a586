package controller

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/contract"
	"bakeoff/internal/dataset"
	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// Every run draws a salt of its own and keeps it, also when it is resumed. All targets of a block are asked with the same one, and
// the next block with another.
func TestSalt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := map[string][]string{} // salt to targets
		conduct := func(cut bool) (dir string) {
			w := newWorld()
			o := w.options(t, "blocks: 2\nturns: 0s\n"+twoTargets+closedOnly)
			note := func(name string) act {
				return act{phase: func(p *phaseFaked) {
					var spec dataset.WorkloadSpec
					if err := json.Unmarshal(p.task.Workload, &spec); err != nil || spec.Salt != p.task.Phase.Salt || spec.Salt == "" {
						t.Errorf("%s: %v, the workload has the salt %q, the phase %q", name, err, spec.Salt, p.task.Phase.Salt)
					}
					asked[spec.Salt] = append(asked[spec.Salt], name)
				}}
			}
			for _, target := range o.Plan.Targets {
				w.script[target.Name] = []act{note(target.Name), note(target.Name)}
			}
			if !cut {
				dir, _ = conducted(t, o)
				return dir
			}
			last := o.Plan.Trials()[len(o.Plan.Trials())-1].Target
			w.script[last][1].check = errors.New("the run is cut short")
			dir, _ = conducted(t, o, "cut short")
			before := saltOf(t, dir)
			w.script[last] = []act{note(last), note(last), note(last)}
			o.Resume = dir
			conducted(t, o)
			if after := saltOf(t, dir); after != before || after == "" {
				t.Errorf("the salt was %q, after resuming it is %q", before, after)
			}
			return dir
		}
		one, other := saltOf(t, conduct(true)), saltOf(t, conduct(false))
		if one == other {
			t.Errorf("two runs have the same salt %q", one)
		}
		if len(asked) != 4 {
			t.Errorf("salts %v, want one for each of two blocks of two runs", asked)
		}
		for salt, names := range asked {
			if slices.Sort(names); !slices.Contains(names, "flask") || !slices.Contains(names, "fastapi") {
				t.Errorf("with salt %q only %v were asked", salt, names)
			}
		}
	})
}

func saltOf(t *testing.T, dir string) string {
	t.Helper()
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r.Run().Salt
}

// The share of checked answers is the plan's, or 3,000 of those that the rate of the warm-up, else of the pilot, lets expect.
func TestCheckedShare(t *testing.T) {
	window := func(ok int64) stats.Totals {
		sum := stats.Totals{Sending: time.Second}
		sum.Add(stats.Window{Length: time.Second, Books: stats.Books{Planned: ok, Sent: ok, OK: ok}})
		return sum
	}
	for name, c := range map[string]struct {
		phase load.Phase
		warm  int64 // answers per second; 0: there was no warm-up
		pilot float64
		want  float64
	}{
		"the plan's, of many":        {load.Phase{Number: 1, Model: load.Closed, Duration: 20 * time.Second, CheckShare: 0.1}, 10_000, 0, 0.1},
		"3,000 of fewer":             {load.Phase{Number: 1, Model: load.Closed, Duration: 10 * time.Second, CheckShare: 0.1}, 1000, 0, 0.3},
		"all of few":                 {load.Phase{Number: 1, Model: load.Closed, Duration: 2 * time.Second, CheckShare: 0.1}, 1000, 0, 1},
		"all where nothing is known": {load.Phase{Number: 1, Model: load.Closed, Duration: 2 * time.Second, CheckShare: 0.1}, 0, 0, 1},
		"3,000 of the pilot's":       {load.Phase{Number: 1, Model: load.Closed, Duration: 10 * time.Second, CheckShare: 0.1}, 0, 1000, 0.3},
		"the warm-up is newer":       {load.Phase{Number: 1, Model: load.Closed, Duration: 10 * time.Second, CheckShare: 0.1}, 1000, 9000, 0.3},
		"by the arrivals":            {load.Phase{Number: 1, Model: load.Open, Rate: 600, Duration: 10 * time.Second, CheckShare: 0.1}, 9_000, 0, 0.5},
		"of the warm-up the plan's":  {load.Phase{Model: load.Closed, Duration: time.Second, CheckShare: 0.1}, 0, 0, 0.1},
	} {
		tr := &trial{run: &run{o: &Options{Plan: &plan.Plan{}, salt: "s"}}, totals: map[int]stats.Totals{}}
		if c.pilot > 0 {
			tr.run.pilot = &record.Pilot{Throughput: map[string]float64{"": c.pilot}}
		}
		if c.warm > 0 {
			tr.totals[warmupPhase] = window(c.warm)
		}
		if got := tr.checked(c.phase); got.CheckShare != c.want || got.Salt != "s/0" {
			t.Errorf("%s: %v with the salt %q, want %v", name, got.CheckShare, got.Salt, c.want)
		}
		tr.run.o.salt = ""
		if got := tr.checked(c.phase); got.CheckShare != c.phase.CheckShare || got.Salt != "" {
			t.Errorf("%s, in a run from before: %v with the salt %q", name, got.CheckShare, got.Salt)
		}
	}
}

// A trial whose lines somebody else has changed while it ran is refused, and repeated.
func TestRewritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := w.options(t, "blocks: 1\n"+oneTarget+closedOnly)
		w.script["flask"] = []act{{stopping: func() {
			found, err := filepath.Glob(filepath.Join(o.Out, "*", "trials", "1-*", "load.jsonl"))
			if err != nil || len(found) != 1 {
				t.Errorf("%v, %v", found, err)
				return
			}
			if err := os.WriteFile(found[0], nil, 0o600); err != nil {
				t.Error(err)
			}
		}}}
		dir, _ := conducted(t, o)
		r, err := record.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		states := map[string]string{}
		for _, state := range r.Trials() {
			states[state.Folder] = state.State
		}
		if states["1-1-flask"] != record.Damaged || states["1-2-flask.2"] != record.Finished {
			t.Errorf("trials %v, want the first one damaged and its repeat whole", states)
		}
		text, err := os.ReadFile(filepath.Join(dir, "trials", "1-1-flask", "trial.json"))
		if err != nil {
			t.Fatal(err)
		}
		var first record.Trial
		if err := json.Unmarshal(text, &first); err != nil || len(first.Reasons) != 1 || first.Reasons[0].Code != record.CodeRewritten {
			t.Errorf("reasons %+v, %v", first.Reasons, err)
		}
	})
}

// No two trials are asked for the same keys before the load, and a trial that is made again with the same salt is asked for the same.
func TestSeedsOfChecks(t *testing.T) {
	o := &Options{salt: "one", Plan: &plan.Plan{Seed: 7}}
	seen := map[uint64]record.Trial{}
	for _, target := range []string{"flask", "fastapi"} {
		for block := range 4 {
			for attempt := range 3 {
				at := record.Trial{Target: target, Block: block, Attempt: attempt + 1}
				seed := o.seedOf(at)
				if before, twice := seen[seed]; twice || seed != o.seedOf(at) {
					t.Errorf("%+v is asked for the keys of %+v", at, before)
				}
				seen[seed] = at
			}
		}
	}
	if o.salt = ""; o.seedOf(record.Trial{Block: 1}) != 7 {
		t.Error("without a salt the seed is that of the plan")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		asked := map[uint64]int{}
		o := w.options(t, "blocks: 2\nseed: 1\n"+twoTargets+closedOnly)
		checked := o.Checked
		o.Checked = func(ctx context.Context, c *contract.Contract, when string, replicas []contract.Endpoint, front string) (contract.Result, error) {
			asked[c.Seed]++
			return checked(ctx, c, when, replicas, front)
		}
		conducted(t, o)
		for seed, times := range asked {
			if times != 2 || len(asked) != 4 {
				t.Errorf("4 trials, %d seeds, %d is that of %d checks", len(asked), seed, times)
			}
		}
	})
}
