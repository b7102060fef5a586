package controller

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/capacity"
	"bakeoff/internal/figures"
	"bakeoff/internal/load"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// Searches for a capacity, in virtual time on the fakes: targets that answer in 5 ms up to a rate and in 200 ms above it.

const capacityPlan = "primary: capacity\nobjective: {p99: 50ms, errors: 0.1%}\npilot: 5s\nphases: [{model: closed, connections: 32, duration: 3s}]\n"

// upTo is a target that is fast up to a rate, in all its deployments.
func upTo(most float64) []act {
	return slices.Repeat([]act{{phase: func(p *phaseFaked) {
		if p.task.Phase.Model != load.Open {
			return
		}
		p.took, p.slower = 5*time.Millisecond, 1
		if p.task.Phase.Rate > most {
			p.took, p.slower = 200*time.Millisecond, 40
		}
		if whole := int64(p.task.Phase.Rate * p.task.Phase.Duration.Seconds()); p.books.Planned == whole { // not a slice
			n := whole / 20 * 20 // windows of equal numbers
			p.books, p.reads, p.requests = stats.Books{Planned: n, Sent: n, OK: n}, n, n
		}
	}}}, 20)
}

func summaryOf(t *testing.T, dir string) *figures.Summary {
	t.Helper()
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := figures.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// phasesIn are the phases of the trials of a target in a block, the warm-up left out.
func phasesIn(t *testing.T, dir string, block int, target string) (out []record.Phase) {
	t.Helper()
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			t.Fatal(err)
		}
		if trial.Block != block || trial.Target != target {
			continue
		}
		for _, p := range trial.Phases {
			if !p.Warmup {
				out = append(out, p)
			}
		}
	}
	return out
}

// Each target is searched for by itself; in the blocks all have their stages in turns, each at rates of its own.
func TestCapacity(t *testing.T) {
	for _, turns := range []string{"turns: 250ms\n", ""} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.script["flask"], w.script["fastapi"] = upTo(90), upTo(130)
			dir, _ := conducted(t, w.options(t, "blocks: 2\n"+twoTargets+turns+capacityPlan))
			w.wantNoMistake(t)
			run, s := runOf(t, dir), summaryOf(t, dir)
			for i, of := range []struct {
				name string
				most float64
			}{{"flask", 90}, {"fastapi", 130}} {
				found := run.Pilot.Capacity[of.name]
				if found.Outcome != capacity.Found || found.Lower > of.most || found.Upper <= of.most || found.Upper/found.Lower > 1.21 {
					t.Errorf("%s: the search found %+v", of.name, found)
				}
				if again, ok := s.SearchAgain(of.name); !ok || again != found {
					t.Errorf("%s: the search found %+v, from the record it is %+v", of.name, found, again)
				}
				searched := phasesIn(t, dir, 0, of.name)
				if searched[0].Name != "pilot" || searched[1].Name != "search-1" || searched[1].Rate != 70 || searched[1].Stage == nil || !searched[1].Stage.Search {
					t.Errorf("%s: the pilot's phases begin with %+v", of.name, searched[:2])
				}
				first := phasesIn(t, dir, 1, of.name)
				wantStages(t, of.name, first, found.Centre, turns != "")
				wantStages(t, of.name, phasesIn(t, dir, 2, of.name), first[len(first)-1].Rate, turns != "")
				got := s.Capacity.Targets[i]
				if got.Target != of.name || len(got.Values) != 2 || got.Lower > of.most || got.Upper <= of.most {
					t.Errorf("figures of %s: %+v", of.name, got)
				}
				for _, v := range got.Values {
					if v.Kind != capacity.Rate || math.Abs(v.Rate/of.most-1) > 0.03 {
						t.Errorf("%s, block %d: %+v, want %v within 3 %%", of.name, v.Block, v.Value, of.most)
					}
				}
			}
			wantAnnounced(t, w.events, dir, turns != "")
			if v := s.Verdict; v == nil || v.Metric != "capacity" || v.Unit != figures.UnitRequests || len(v.Values) != 4 || v.Targets[0].Name != "fastapi" {
				t.Errorf("verdict %+v", v)
			}
			if len(s.Phases) != 1 {
				t.Errorf("%d phases: stages are none of the plan's", len(s.Phases))
			}
		})
	}
}

// wantAnnounced wants every stage of the record to have been said as it began, with the rate of each target and the objective.
func wantAnnounced(t *testing.T, events []record.Progress, dir string, turns bool) {
	t.Helper()
	said := map[string]float64{}
	for _, e := range events {
		if e.Stage == nil {
			continue
		}
		if e.Stage.Percentile != 99 || e.Stage.BoundS != 0.05 || e.Stage.DurationS < 10 || (len(e.Stage.Rates) == 2) != (turns && e.Block > 0) {
			t.Errorf("block %d: %+v", e.Block, e.Stage)
		}
		for target, rate := range e.Stage.Rates {
			said[fmt.Sprint(e.Block, target, e.Stage.Name, e.Stage.Phase)] = rate
		}
	}
	stages := 0
	for block := range 3 {
		for _, target := range []string{"flask", "fastapi"} {
			for _, p := range phasesIn(t, dir, block, target) {
				if p.Stage == nil {
					continue
				}
				if stages++; said[fmt.Sprint(block, target, p.Name, p.Number)] != p.Rate {
					t.Errorf("block %d, %s: %s at %v/s was announced at %v/s", block, target, p.Name, p.Rate, said[fmt.Sprint(block, target, p.Name, p.Number)])
				}
			}
		}
	}
	if stages == 0 || len(said) != stages {
		t.Errorf("%d stages, %d were announced", stages, len(said))
	}
}

// wantStages wants a block's phases to be the plan's and four stages, cool in between.
func wantStages(t *testing.T, name string, phases []record.Phase, centre float64, turns bool) {
	t.Helper()
	if len(phases) != 1+capacity.MostStages {
		t.Fatalf("%s: %d phases in a block", name, len(phases))
	}
	if phases[1].Rate != centre {
		t.Errorf("%s: the first stage is at %v, the centre is %v", name, phases[1].Rate, centre)
	}
	for i, p := range phases[1:] {
		if p.Name != fmt.Sprintf("stage-%d", i+1) || p.Stage == nil || p.Stage.Search || p.Stage.Percentile != 0.99 || p.Stage.BoundS != 0.05 || p.Stage.Errors != 0.001 {
			t.Errorf("%s: stage %d is %+v", name, i+1, p)
		}
		if math.Abs(p.Rate/centre-1) > 0.14 {
			t.Errorf("%s: stage %d at %v/s, the centre is %v", name, i+1, p.Rate, centre)
		}
		if least := 1000/p.Rate - 0.01; p.DurationS < least || p.DurationS < 10 {
			t.Errorf("%s: stage %d at %v/s lasts %v s", name, i+1, p.Rate, p.DurationS)
		}
		if rest := p.Started.Sub(phases[i].Ended); rest < 2*time.Second {
			t.Errorf("%s: %v between stage %d and what was before", name, rest, i+1)
		}
		if (p.Turns != nil) != turns || turns && p.Turns.SliceS < 1 {
			t.Errorf("%s: stage %d in turns: %v", name, i+1, p.Turns)
		}
	}
}

// A target whose search has no two bounds is in no block, and each case has its answer.
func TestCapacityWithoutBlocks(t *testing.T) {
	limited := slices.Repeat([]act{{phase: func(p *phaseFaked) {
		if upTo(1e9)[0].phase(p); p.task.Phase.Model == load.Open && p.task.Phase.Rate > 200 {
			p.late, p.slower = 500*time.Millisecond, 0
		}
	}}}, 20)
	wrong := slices.Repeat([]act{{fails: before}}, 20)
	for _, c := range []struct {
		says   string
		script []act
		want   capacity.Outcome
		note   string
		errors []string
	}{
		{"impossible", upTo(0), capacity.Impossible, "flask is in no block: the objective is not met even almost without load", nil},
		{"above the ceiling", limited, capacity.AtLeast, "flask is in no block: at least 192 requests per second, which is what the agents can be trusted with", nil},
		{"no pilot", wrong, "", "flask is in no block: its trial of the pilot was invalid, and nothing is known of its capacity", []string{"flask has none in 2 of 2 blocks"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.script["flask"], w.script["fastapi"] = c.script, upTo(130)
			o, planned := w.options(t, "blocks: 2\nturns: 250ms\n"+twoTargets+capacityPlan), 0
			o.Progress = func(p record.Progress) {
				if p.Block == 2 {
					planned = p.Trials
				}
			}
			dir, _ := conducted(t, o, c.errors...)
			if got := len(runOf(t, dir).Order); planned != got {
				t.Errorf("%s: trial N of %d, and %d are planned", c.says, planned, got)
			}
			run, s := runOf(t, dir), summaryOf(t, dir)
			if got := run.Pilot.Capacity["flask"].Outcome; got != c.want {
				t.Errorf("%s: %q, want %q", c.says, got, c.want)
			}
			if !slices.Contains(run.Notes, c.note) {
				t.Errorf("%s: notes %q", c.says, run.Notes)
			}
			if got := len(phasesIn(t, dir, 1, "flask")); got != 0 {
				t.Errorf("%s: %d phases of flask in block 1", c.says, got)
			}
			for _, p := range run.Order {
				if p.Block > 0 && p.Target == "flask" {
					t.Errorf("%s: %+v is planned", c.says, p)
				}
			}
			if got := s.Capacity.Targets[1]; len(got.Values) != 2 || got.Values[1].Kind != capacity.Rate {
				t.Errorf("%s: the other target has %+v", c.says, got.Values)
			}
			if !strings.HasPrefix(s.Headline, "2 blocks") {
				t.Errorf("%s: %s", c.says, s.Headline)
			}
		})
	}
}

// An overloaded stage refuses no trial: what it finds is a finding.
func TestStagesMayFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["flask"] = slices.Repeat([]act{{phase: func(p *phaseFaked) {
			if upTo(90)[0].phase(p); p.task.Phase.Model == load.Open && p.task.Phase.Rate > 90 {
				n := p.books.Planned
				p.books = stats.Books{Planned: n, Sent: n, OK: n - n/20, Bad: n / 20}
				p.outcomes, p.slower = map[string]int64{"status 503": n / 20}, 0
			}
		}}}, 20)
		dir, _ := conducted(t, w.options(t, "blocks: 1\ntargets: [flask]\n"+capacityPlan))
		wantList(t, "trials", trialsOf(t, dir), "0-1-flask valid", "1-1-flask valid")
		if found := runOf(t, dir).Pilot.Capacity["flask"]; found.Outcome != capacity.Found {
			t.Errorf("%+v", found)
		}
	})
}

// A run that is resumed in its pilot takes the search from the record.
func TestCapacityResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+capacityPlan)
		order := o.Plan.Trials()
		first := order[0].Target
		w.script[first] = upTo(90)
		dir := interrupted(t, w, o, order[1].Target, 1, pilotPhase)
		w.script["flask"], w.script["fastapi"], w.notes = upTo(90), upTo(130), nil
		o.Resume = dir
		conducted(t, o)
		if got := w.happened("load " + first + " search"); len(got) > 0 {
			t.Errorf("%s was searched again: %q", first, got)
		}
		if found := runOf(t, dir).Pilot.Capacity; len(found) != 2 || found[first].Outcome != capacity.Found {
			t.Errorf("%+v", found)
		}
	})
}

// A run that is resumed in its second block has its stages around where the first one came to, which is not where the search did.
func TestCapacityResumedInABlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := w.options(t, "blocks: 2\nturns: 250ms\n"+twoTargets+capacityPlan)
		w.script["flask"], w.script["fastapi"] = upTo(90), upTo(130)
		w.script["flask"][1], w.script["fastapi"][1] = upTo(80)[0], upTo(115)[0]
		ctx, cancel := context.WithCancelCause(t.Context())
		w.script["flask"][2].phase = func(*phaseFaked) { cancel(ErrInterrupted) } // of the pilot, block 1 and block 2
		dir, err := Run(ctx, o)
		if o.Resume = dir; !errors.Is(err, ErrInterrupted) {
			t.Fatalf("the run ends with %v", err)
		}
		w.script["flask"], w.script["fastapi"], w.notes = upTo(90), upTo(130), nil
		conducted(t, o)
		for name, found := range runOf(t, dir).Pilot.Capacity {
			first, second := phasesIn(t, dir, 1, name), phasesIn(t, dir, 2, name)
			reached := first[len(first)-1].Rate
			if got := second[len(second)-capacity.MostStages].Rate; got != reached || reached == found.Centre {
				t.Errorf("%s: the stages are around %v, block 1 came to %v, and the search to %v", name, got, reached, found.Centre)
			}
		}
	})
}

// The stages of a block are around the mean of where all blocks before it came to, stages that an agent did not keep aside.
func TestCentreOfABlock(t *testing.T) {
	r := &run{pilot: &record.Pilot{Capacity: map[string]capacity.Result{"flask": {Outcome: capacity.Found, Centre: 300}}}, reached: map[trialKey]float64{}}
	for block, c := range []struct {
		want float64
		last []record.Phase
	}{
		{300, nil}, // no stages
		{300, []record.Phase{{Rate: 90, Stage: &record.Stage{}}, {Rate: 100, Stage: &record.Stage{}}, {Rate: 999, Stage: &record.Stage{Limited: true}}}},
		{100, []record.Phase{{Rate: 400, Stage: &record.Stage{}}, {Rate: 999}}},
		{200, []record.Phase{{Rate: 200, Stage: &record.Stage{}}}},
		{200, []record.Phase{{Rate: 201, Stage: &record.Stage{}}}},
		{capacity.Round(math.Pow(100*400*200*201, 1.0/4)), nil},
	} {
		rec := record.Trial{Block: block + 1, Target: "flask", Phases: c.last}
		if got := r.centre(rec); got != c.want {
			t.Errorf("block %d is around %v, want %v", rec.Block, got, c.want)
		}
		r.reached[trialKey{rec.Block, rec.Target}] = reachedRate(rec)
		r.reached[trialKey{rec.Block, "django"}] = 1
	}
}
