package figures

import (
	"math"
	"testing"
	"time"

	"bakeoff/internal/stats"
	"bakeoff/internal/verdict"
)

// turned is a trial in turns with one closed phase of 3 s, in slices of half a second on two agents; rates are its answers per second.
func turned(target string, block int, rates ...float64) Trial {
	f := PhaseFigures{Number: 1, Name: "closed", DurationS: 3, stretches: stretches{}}
	for second, rate := range rates {
		for half := range 2 {
			for range 2 {
				begin := time.Duration(2*second+half) * time.Second / 2
				f.stretches.add(stats.Window{Begin: begin, Length: 100 * time.Millisecond, Aside: true, Books: stats.Books{OK: 7}}, 3*time.Second)
				ok := int64(0.4 * rate / 2)
				f.stretches.add(stats.Window{Begin: begin + 100*time.Millisecond, Length: 400 * time.Millisecond, Books: stats.Books{OK: ok}}, 3*time.Second)
			}
		}
	}
	f.stretches.add(stats.Window{Begin: 3 * time.Second, Length: time.Second, Books: stats.Books{OK: 1000}}, 3*time.Second)
	return Trial{Block: block, Target: target, Used: true, turns: true, Phases: []PhaseFigures{f}}
}

// The spread of blocks is taken apart from the counted answers of each second, pair by pair.
func TestSplits(t *testing.T) {
	s := &Summary{Run: Facts{Blocks: 3}, Time: Time{Steps: nil}}
	s.Trials = []Trial{
		turned("a", 1, 1000, 2000, 1000), turned("b", 1, 1000, 1000, 1000),
		turned("a", 2, 1000, 2000, 1000), turned("b", 2, 500, 500, 500),
		turned("a", 3, 1000, 2000, 1000), turned("b", 3, 250, 0, 250), // a second without an answer has no ratio
	}
	v := &Verdict{Unit: UnitAnswers, Result: verdict.Result{Comparisons: []verdict.Comparison{{A: "a", B: "b"}}}}
	got := s.splits(v, Phase{Number: 1, DurationS: 3})
	want, _ := verdict.NewSplit("a", "b", [][]float64{{0, math.Ln2, 0}, {math.Ln2, 2 * math.Ln2, math.Ln2}, {2 * math.Ln2, 2 * math.Ln2}})
	if len(got) != 1 || math.Abs(float64(got[0].Starts-want.Starts)) > 1e-12 || math.Abs(float64(got[0].Within-want.Within)) > 1e-12 || got[0].Blocks != 3 || want.Starts == 0 {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got[0].Length != 2 {
		t.Errorf("where a trial takes nothing but its phase, twice the time is blocks twice as long, not %v times", got[0].Length)
	}
	s.Trials[5].turns = false
	if got := s.splits(v, Phase{Number: 1, DurationS: 3}); got != nil {
		t.Errorf("one trial had no turns: %+v", got)
	}
	s.Trials[5].Used = false
	if got := s.splits(v, Phase{Number: 1, DurationS: 3}); len(got) != 1 || got[0].Blocks != 2 {
		t.Errorf("that trial is not used: %+v", got)
	}
	v.Unit = UnitSeconds
	if got := s.splits(v, Phase{Number: 1, DurationS: 3}); got != nil {
		t.Errorf("a percentile was taken apart: %+v", got)
	}
}
