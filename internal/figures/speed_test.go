package figures

import (
	"math"
	"testing"

	"bakeoff/internal/record/recordtest"
)

// The speed of the machine is known by trial and for the run, and without a yardstick it is not made up.
func TestSpeed(t *testing.T) {
	slow := func(ms float64) func(string, int) int64 {
		return func(target string, block int) int64 {
			if target == "b" && block == 2 {
				return int64(ms * 1e6)
			}
			return 1_600_000
		}
	}
	for name, c := range map[string]struct {
		work   func(string, int) int64
		low    float64
		varied bool
	}{
		"steady":       {slow(1.6), 1, false},
		"a bit slower": {slow(1.66), 1.6 / 1.66, false},
		"much slower":  {slow(2), 0.8, true},
	} {
		r := recordtest.Of(3, "a", "b")
		r.Work = c.work
		s := build(t, r.Write(t))
		if s.Speed == nil || s.Speed.Trials != 6 || math.Abs(s.Speed.WorkS-0.0016) > 1e-9 || math.Abs(s.Speed.Low-c.low) > 1e-9 || s.Speed.High != 1 || s.Speed.Varied() != c.varied {
			t.Errorf("%s: %+v, want the slowest at %.3f, varied %v", name, s.Speed, c.low, c.varied)
		}
		for _, o := range s.Trials {
			if want := 0.0016 / (float64(c.work(o.Target, o.Block)) / 1e9); math.Abs(o.Speed-want) > 1e-9 {
				t.Errorf("%s: %s in block %d: speed %v, want %v", name, o.Target, o.Block, o.Speed, want)
			}
		}
	}
	if s := build(t, recordtest.Of(3, "a", "b").Write(t)); s.Speed != nil || s.Speed.Varied() || s.Trials[0].Speed != 0 {
		t.Errorf("without a yardstick the speed is %+v", s.Speed)
	}
}

// How throughput follows the yardstick is found within targets: a slower target is no slower machine.
func TestThroughputFollowsTheYardstick(t *testing.T) {
	s := &Summary{Phases: []Phase{{Number: 2, Name: "open", Model: "open"}, {Number: 1, Name: "closed", Model: "closed"}}}
	for i, work := range []float64{1, 1.1, 1.3, 0.9, 1.2, 1.05} {
		for target, level := range map[string]float64{"a": 1000, "b": 100} { // b is as fast as a machine ten times slower
			s.Trials = append(s.Trials, Trial{Block: i + 1, Target: target, Used: true, Phases: []PhaseFigures{
				{Number: 1, WorkS: work / 1000, Goodput: level * math.Pow(work, -1.5)}, {Number: 2, WorkS: 1, Goodput: float64(i)},
			}})
		}
	}
	s.Trials = append(s.Trials, Trial{Block: 9, Target: "a", Phases: []PhaseFigures{{Number: 1, WorkS: 1, Goodput: 1e6}}}) // not used
	f := s.follows()
	if f == nil || f.Phase != "closed" || f.Blocks != 6 || math.Abs(f.Correlation+1) > 1e-9 || math.Abs(f.Slope+1.5) > 1e-9 {
		t.Fatalf("%+v, want a correlation of -1 and a slope of -1.5 over 6 blocks", f)
	}
	// What the targets of a block differ by is no observation of the machine: it cancels out.
	apart := *s
	apart.Trials = nil
	for i, trial := range s.Trials {
		f := trial.Phases[0]
		f.Goodput *= map[string]float64{"a": 1 + 0.1*float64(i/2%2), "b": 1 / (1 + 0.1*float64(i/2%2))}[trial.Target]
		trial.Phases = []PhaseFigures{f}
		apart.Trials = append(apart.Trials, trial)
	}
	if f := apart.follows(); f == nil || math.Abs(f.Correlation+1) > 1e-9 {
		t.Errorf("targets that differ within blocks: %+v", f)
	}
	s.Trials = s.Trials[:10]
	if f := s.follows(); f != nil {
		t.Errorf("10 trials in 5 blocks: %+v", f)
	}
	s.Phases = s.Phases[:1]
	if f := s.follows(); f != nil {
		t.Errorf("no closed phase: %+v", f)
	}
}

// Runs on a machine of another speed are noticed from 5 % on.
func TestOtherSpeed(t *testing.T) {
	for _, c := range []struct {
		speeds []float64
		other  bool
	}{{nil, false}, {[]float64{1.04, 0.96}, false}, {[]float64{1, 0.94}, true}, {[]float64{1.06}, true}} {
		if got := (Others{Speeds: c.speeds}).OtherSpeed(); got != c.other {
			t.Errorf("%v: %v", c.speeds, got)
		}
	}
}
