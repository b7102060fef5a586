package gate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// noisy is a series of n logarithms of levels: normal noise of that coefficient of variation, in which the
// correlation of neighbours is rho and falls to 4/7 of it over five windows, as on rented machines (rho 0.7:
// 0.7 at one window, 0.4 at five); rho 0 is white noise.
func noisy(rng *rand.Rand, n int, cv, rho float64) []float64 {
	// A slow part, AR(1), and a fast one: correlation share x decay^k.
	decay := math.Pow(4.0/7, 0.25)
	share := rho / decay
	out := make([]float64, n)
	slow := rng.NormFloat64()
	for i := range out {
		out[i] = cv * (math.Sqrt(share)*slow + math.Sqrt(1-share)*rng.NormFloat64())
		slow = decay*slow + math.Sqrt(1-decay*decay)*rng.NormFloat64()
	}
	return out
}

// phaseAt is a closed phase of windows of a second at these levels, around 1,000/s.
func phaseAt(levels []float64) *Phase {
	p := NewPhase(record.Phase{Name: "closed", Model: "closed", DurationS: float64(len(levels))})
	for i, level := range levels {
		n := int64(1000 * math.Exp(level))
		p.Load(1, stats.Window{Begin: time.Duration(i) * time.Second, Length: time.Second, Books: stats.Books{Planned: n, Sent: n, OK: n}})
	}
	return p
}

// In one trial noise of the kind that rented machines have is hardly ever called a step, and a step far
// beyond the noise always is.
func TestStepInOneTrial(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const each = 1000
	for _, c := range []struct {
		name     string
		n        int
		cv, rho  float64
		step     float64 // of the level at the middle
		min, max int     // flagged of each
	}{
		{"quiet", 20, 0.03, 0, 0, 0, 0},
		{"rented", 20, 0.15, 0.7, 0, 0, 10},
		{"rented, the worst", 20, 0.20, 0.8, 0, 0, 20},
		{"rented, a minute", 60, 0.20, 0.8, 0, 0, 20},
		{"rented, few windows", 12, 0.15, 0.6, 0, 0, 20},
		{"too few windows", 11, 0.01, 0, 1, 0, 0},
		{"quiet, 4 %", 20, 0.005, 0, 0.04, 0, 10},
		{"quiet, 10 %", 20, 0.005, 0, 0.1, 990, each},
		{"usual, 50 %", 20, 0.03, 0, 0.5, 990, each},
		{"rented, twice as fast", 20, 0.08, 0.7, 0.7, 950, each},
	} {
		flagged := 0
		for range each {
			levels := noisy(rng, c.n, c.cv, c.rho)
			for i := c.n / 2; i < c.n; i++ {
				levels[i] += c.step
			}
			if len(phaseAt(levels).steady()) > 0 {
				flagged++
			}
		}
		t.Logf("%s: %d of %d flagged", c.name, flagged, each)
		if flagged < c.min || flagged > c.max {
			t.Errorf("%s: %d of %d flagged, want %d to %d", c.name, flagged, each, c.min, c.max)
		}
	}
}

// A step is worded by what it means, a stall is none, and the warm-up and the time after the end do not count.
func TestSteadyWords(t *testing.T) {
	at := func(change func(i int) float64) *Phase {
		levels := make([]float64, 18)
		for i := range levels {
			levels[i] = 0.01*float64(i%2) + change(i)
		}
		return phaseAt(levels)
	}
	step := func(by float64) func(int) float64 {
		return func(i int) float64 {
			if i > 8 {
				return by
			}
			return 0
		}
	}
	stall := func(i int) float64 {
		if i >= 14 && i < 16 {
			return -5
		}
		return 0
	}
	slower := at(step(0.3))
	slower.Model, slower.levels.phase.Model = "open", "open"
	for i := range slower.levels.points {
		slower.levels.points[i].latency = 0.01 * math.Exp(step(0.3)(i))
	}
	faster := at(step(0.3))
	warm := at(step(0.3))
	warm.Warmup = true
	after := at(step(0))
	after.Load(1, stats.Window{Begin: 18 * time.Second, Length: time.Second, Books: stats.Books{OK: 1}})
	for name, c := range map[string]struct {
		p    *Phase
		want string
	}{
		"level":         {at(step(0)), ""},
		"faster":        {faster, "the rate of right answers in the last third is 1.35 times that of the first, more than the noise of its windows explains: still getting faster, a longer warm-up is needed"},
		"slower":        {at(step(-0.3)), "the rate of right answers in the last third is 0.74 times that of the first, more than the noise of its windows explains: getting slower"},
		"slow answers":  {slower, "the median response time in the last third is 1.35 times that of the first, more than the noise of its windows explains: getting slower"},
		"a stall":       {at(stall), ""},
		"the warm-up":   {warm, ""},
		"after the end": {after, ""},
	} {
		var got string
		for _, r := range c.p.steady() {
			got += r.Text
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if n := len(after.levels.logs()); n != 18 {
		t.Errorf("%d levels, want 18: a window after the end is none", n)
	}
}

// In the open model the level is the median response time of the windows, as the agents saw it.
func TestLevelsOfTheOpenModel(t *testing.T) {
	l := NewLevels(record.Phase{Model: "open", DurationS: 6})
	for i := range 6 {
		for agent := range 2 {
			w := stats.Window{Begin: time.Duration(i) * time.Second, Length: time.Second, Books: stats.Books{OK: 100}, Response: stats.NewHistogram()}
			w.Response.RecordN(time.Duration(10+10*(i/3)+5*agent)*ms, 100)
			l.Add(w)
		}
	}
	if ratio, known := l.Drift(); !known || math.Abs(ratio-22.5/12.5) > 0.01 {
		t.Errorf("%v, %v, want 1.8: 20 and 25 ms against 10 and 15 ms", ratio, known)
	}
	for values, want := range map[[4]float64]float64{{4, 1, 2, 3}: 2.5, {9, 1, 1, 1}: 1} {
		if got := median(values[:]); got != want {
			t.Errorf("median of %v: %v, want %v", values, got, want)
		}
	}
	if got := median([]float64{5, 1, 3}); got != 3 {
		t.Errorf("median of three: %v", got)
	}
}

// What is aside of a slice is no level: the run-ins, in which the connections only start, would hide a step
// behind their own noise.
func TestStepInSlices(t *testing.T) {
	const ms = time.Millisecond
	p := NewPhase(record.Phase{Name: "closed", Model: "closed", DurationS: 4})
	for slice := range 16 {
		begin, n := time.Duration(slice)*250*ms, int64(200)
		if slice >= 8 {
			n = 300
		}
		p.Load(1, stats.Window{Begin: begin, Length: 50 * ms, Aside: true, Books: stats.Books{Planned: 10, Sent: 10, OK: 10}})
		p.Load(1, stats.Window{Begin: begin + 50*ms, Length: 200 * ms, Books: stats.Books{Planned: n, Sent: n, OK: n}})
	}
	if levels := p.levels.logs(); len(levels) != 16 {
		t.Errorf("%d levels of 16 slices", len(levels))
	}
	if found := p.steady(); len(found) != 1 || found[0].Code != record.CodeNotSteady {
		t.Errorf("a step by half: %+v", found)
	}
}
