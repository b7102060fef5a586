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
