package figures

import (
	"math"
	"testing"

	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// A phase may have the name of a step, and rounds of it may be left out: each second is booked once, as what it was.
func TestSharesOfNames(t *testing.T) {
	for _, c := range []struct {
		phases []PhaseFigures
		steps  []record.Step
		want   map[string]float64
		stages []StageFigures
	}{
		{
			[]PhaseFigures{{Name: "start", DurationS: 10}, {Name: "stop", DurationS: 20}, {Name: "table", DurationS: 30}, {Name: "verify-after", DurationS: 40}},
			[]record.Step{
				{Name: "table", Seconds: 1},
				{Name: "start", Seconds: 2},
				{Name: "verify-before", Seconds: 3},
				{Name: "warmup", Seconds: 4},
				{Name: "start", Seconds: 11},
				{Name: "stop", Seconds: 21},
				{Name: "table", Seconds: 31},
				{Name: "verify-after", Seconds: 41},
				{Name: "verify-after", Seconds: 5},
				{Name: "stop", Seconds: 6},
			},
			map[string]float64{timeChecks: 9, timeStarts: 2, timeWarmup: 4, timePauses: 4, timeStops: 6},
			nil,
		},
		{
			[]PhaseFigures{{Name: "closed", DurationS: 2}},
			[]record.Step{{Name: "verify-before", Seconds: 3}, {Name: "closed", Seconds: 2.5}, {Name: "stage-1", Seconds: 10.5}, {Name: "stage-2", Seconds: 21}},
			map[string]float64{timeChecks: 3, timePauses: 2},
			[]StageFigures{{PhaseFigures: PhaseFigures{Name: "stage-1", DurationS: 10}}, {PhaseFigures: PhaseFigures{Name: "stage-2", DurationS: 20}}},
		},
		{
			[]PhaseFigures{{Name: "warmup", DurationS: 10}},
			[]record.Step{{Name: "verify-before", Seconds: 3}, {Name: "warmup", Seconds: 4}, {Name: "warmup", Seconds: 12}},
			map[string]float64{timeChecks: 3, timeWarmup: 4, timePauses: 2},
			nil,
		},
		{
			[]PhaseFigures{{Name: "warmup", DurationS: 10, leftOutS: 1}},
			[]record.Step{{Name: "verify-before", Seconds: 3}, {Name: "warmup", Seconds: 12}},
			map[string]float64{timeChecks: 3, timePauses: 2, timeLeftOut: 1},
			nil,
		},
	} {
		s := &Summary{Time: Time{WallS: 1000}, Trials: []Trial{{Block: 1, Used: true, Phases: c.phases, Stages: c.stages, timeline: c.steps}}}
		for _, one := range s.shares() {
			if one.Name != timeSetUp && one.Seconds != c.want[one.Name] {
				t.Errorf("%s: %v s, want %v", one.Name, one.Seconds, c.want[one.Name])
			}
			delete(c.want, one.Name)
		}
		if len(c.want) > 0 {
			t.Errorf("nothing is booked of %v", c.want)
		}
	}
}

// Rounds that are left out are not measured time, but in runs from before there were salts: those recorded all of it as useful.
func TestRoundsLeftOutByVersion(t *testing.T) {
	for salt, want := range map[string]float64{"a salt": 7, "": 8} {
		r := recordtest.Of(1, "django")
		r.Head.Salt = salt
		r.Change = func(tr *record.Trial) {
			for i := range tr.Phases {
				if tr.Phases[i].Number == 1 {
					tr.Phases[i].Turns = &record.PhaseTurns{Slices: 4, SliceS: 1, LeftOut: 1}
				}
			}
		}
		if got := build(t, r.Write(t)).Time.MeasuredS; math.Abs(got-want) > 1e-9 {
			t.Errorf("with %q as salt %v s are measured, want %v", salt, got, want)
		}
	}
}

// The time of a run is taken apart whole: what is useful, and what each kind of step took of the rest.
func TestShares(t *testing.T) {
	steps := func(list ...any) (out []record.Step) {
		for i := 0; i < len(list); i += 2 {
			out = append(out, record.Step{Name: list[i].(string), Seconds: list[i+1].(float64)})
		}
		return out
	}
	phases := []PhaseFigures{{Name: "closed", DurationS: 4}, {Name: "open", DurationS: 6}}
	s := &Summary{Time: Time{MeasuredS: 10, WallS: 40}}
	s.Pilot = []Trial{{timeline: steps("start", 1.0, "pilot", 3.0)}}
	s.Trials = []Trial{
		{Block: 1, timeline: steps("start", 2.0, "closed", 4.0), Phases: phases[:1]}, // not used
		{Block: 1, Used: true, Phases: phases, timeline: steps(
			"table", 0.25, "start", 1.5, "verify-before", 1.0, "warmup", 2.0, "closed", 4.5, "open", 6.25, "wait", 0.25, "verify-after", 0.75, "stop", 0.5)},
	}
	want := []Share{
		{Name: timeSetUp, Seconds: 40 - 10 - 4 - 6 - 1.5 - 2 - 2 - 1 - 0.5},
		{Name: timeRepeats, Seconds: 6},
		{Name: timePilot, Seconds: 4},
		{Name: timeChecks, Seconds: 2},
		{Name: timeWarmup, Seconds: 2},
		{Name: timeStarts, Seconds: 1.5},
		{Name: timePauses, Seconds: 1},
		{Name: timeStops, Seconds: 0.5},
	}
	got := s.shares()
	sum := s.Time.MeasuredS
	for i, one := range got {
		sum += one.Seconds
		if i >= len(want) || one.Name != want[i].Name || math.Abs(one.Seconds-want[i].Seconds) > 1e-9 || math.Abs(one.Share-one.Seconds/40) > 1e-9 {
			t.Errorf("%d: %+v, want %+v", i, one, want)
		}
	}
	if len(got) != len(want) || math.Abs(sum-40) > 1e-9 {
		t.Errorf("%d kinds, %v s in all", len(got), sum)
	}
	s.Trials[0].Status = record.TrialAborted
	if got := s.shares(); got[1] != (Share{Name: timeCut, Seconds: 6, Share: 6.0 / 40}) {
		t.Errorf("a trial that the end of the run cut short: %+v", got)
	}
	s.Time.WallS = 0
	if got := s.shares(); got != nil {
		t.Errorf("a run without an end: %+v", got)
	}
}
