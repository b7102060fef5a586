package figures

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"bakeoff/internal/gate"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// What others did at rest comes before any figure.
func TestMarksOfTheMachine(t *testing.T) {
	r := recordtest.Demo()
	r.Head.Baselines = []record.Baseline{
		{Seconds: 10, Disturbance: record.Disturbance{
			Foreign: 0.3, Seen: 0.3, CPUTimeNS: 20e9, Strangers: []record.Stranger{{Name: "python3", PID: 7, CPUNS: 6e9}},
		}},
		{Seconds: 10, Disturbance: record.Disturbance{Foreign: 0.01, CPUTimeNS: 20e9}},
	}
	w := r.Begin(t)
	s := open(t, w)
	all := strings.Join(s.Marks, "\n")
	const want = "NOT AT REST: before anything was loaded, other programs used 30.0 % of this machine's CPU time: python3 (pid 7) 30.0 %"
	if !strings.Contains(all, want) || strings.Count(all, "NOT AT REST") != 1 || strings.Contains(all, "NOT STEADY") || len(s.Trends) != 0 {
		t.Errorf("%s\n%+v\nwant %s", all, s.Trends, want)
	}
}

// That no rows changed comes before any figure, with the reason.
func TestMarkOfMoves(t *testing.T) {
	for _, reason := range []string{"", "bakeoff did not make the table"} {
		r := recordtest.Demo()
		r.Head.Database.MovesReason = reason
		all := strings.Join(open(t, r.Begin(t)).Marks, "\n")
		if marked := strings.Contains(all, "NO ROWS CHANGED") && strings.Contains(all, "checks; "+reason); marked != (reason != "") {
			t.Errorf("%q: %s", reason, all)
		}
	}
}

// So does that they did not in one of its phases.
func TestMarkOfPhasesWithoutMoves(t *testing.T) {
	for why, marked := range map[string]int{"": 0, "the target draws the keys": 1} {
		r := one()
		r.Change = func(tr *record.Trial) { tr.Phases[len(tr.Phases)-1].NoMoves = why }
		w := r.Begin(t)
		r.Whole(t, w)
		all := strings.Join(open(t, w).Marks, "\n")
		if strings.Count(all, "NO ROWS CHANGED in phase open: a target that answers from a copy") != marked || !strings.Contains(all, why) {
			t.Errorf("%q: %s", why, all)
		}
	}
}

// Trends are over the trials that count, of each target in each phase.
func TestTrends(t *testing.T) {
	s := &Summary{Targets: []Target{{TargetInfo: record.TargetInfo{Name: "a"}}, {TargetInfo: record.TargetInfo{Name: "b"}}}, Phases: []Phase{{Number: 1, Name: "closed", Model: "closed"}}}
	for block := range 4 {
		for target, drift := range map[string]float64{"a": 1.2 + 0.01*float64(block), "b": 0.99 + 0.01*float64(block)} {
			s.Trials = append(s.Trials,
				Trial{Target: target, Used: true, Phases: []PhaseFigures{{Number: 1, Drift: drift}}},
				Trial{Target: target, Phases: []PhaseFigures{{Number: 1, Drift: 9}}}) // counts for nothing
		}
	}
	s.Trends = trends(s)
	if len(s.Trends) != 2 || s.Trends[0].Steady || s.Trends[0].Blocks != 4 || !s.Trends[1].Steady || s.Trends[0].Relative != nil {
		t.Errorf("%+v", s.Trends)
	}
	s.mark(false)
	if all := strings.Join(s.Marks, "\n"); !strings.Contains(all, "NOT STEADY: a still gets faster in phase closed and needs") || strings.Count(all, "NOT STEADY") != 1 {
		t.Error(all)
	}
	// In turns a is compared with b in the same attempt at the same block.
	for i := range s.Trials {
		s.Trials[i].turns, s.Trials[i].Attempt = true, 1
		s.Trials[i].Block = i/4 + 1
	}
	s.Trends, s.Marks = trends(s), nil
	if len(s.Trends) != 2 || s.Trends[0].Relative == nil || s.Trends[0].Relative.Blocks != 4 || s.Trends[0].Relative.Steady {
		t.Errorf("%+v", s.Trends)
	}
	s.mark(false)
	if all := strings.Join(s.Marks, "\n"); !strings.Contains(all, "NOT STEADY: a still gets faster in phase closed compared with b and needs") || strings.Count(all, "NOT STEADY") != 1 {
		t.Error(all)
	}
	// A driver has no part in it.
	with := *s
	with.Targets = append(slices.Clone(s.Targets), Target{TargetInfo: record.TargetInfo{Name: "driver", Kind: record.KindDriver}})
	for block := range 4 {
		with.Trials = append(with.Trials, Trial{Target: "driver", Used: true, turns: true, Block: block + 1, Attempt: 1, Phases: []PhaseFigures{{Number: 1, Drift: 0.5}}})
	}
	if got := trends(&with); !reflect.DeepEqual(got, s.Trends) {
		t.Errorf("with a driver %+v, want %+v", got, s.Trends)
	}
	s.Trials = s.Trials[:4*(gate.FewestBlocks-1)]
	if got := trends(s); len(got) > 0 {
		t.Errorf("of too few blocks: %+v", got)
	}
}
