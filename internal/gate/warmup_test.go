package gate

import (
	"math/rand/v2"
	"testing"

	"bakeoff/internal/record"
)

// The rule that ends a warm-up keeps the rates of one look, though it looks up to 19 times: series of 200 windows at most,
// with independent noise of 3 %, whose first 20 windows change by 10 %, or go on to do so; and noise as rented machines have it.
func TestWarmupEnds(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	const each, longest = 1000, 200
	const afterChange = SettlingWindows / 2 // an end sooner after the change is too early
	quiet := func(over int, change func(i int) float64) ([]float64, int) {
		out := noisy(rng, longest, 0.03, 0)
		for i := range out {
			out[i] += change(i)
		}
		return out, over
	}
	for _, c := range []struct {
		name   string
		levels func() (levels []float64, over int) // and when the change is over
		early  int                                 // of each that end during the change, at most
		first  int                                 // that end as soon as they can, at least
		most   float64                             // windows until the end, on the average of those that end
	}{
		{"steady", func() ([]float64, int) { return quiet(0, func(int) float64 { return 0 }) }, 0, each * 179 / 200, 35},
		{"a drift of 10 % over 5 windows", func() ([]float64, int) {
			from := rng.IntN(SettlingWindows - 4)
			return quiet(from+5, func(i int) float64 { return 0.02 * float64(min(max(i-from, 0), 5)) })
		}, each * 5 / 100, 0, 60},
		{"a step of 10 %", func() ([]float64, int) {
			at := 3 + rng.IntN(SettlingWindows-5)
			return quiet(at, func(i int) float64 { return map[bool]float64{true: 0.1}[i >= at] })
		}, each * 5 / 100, 0, 60},
		{"a sawtooth of 10 % up and down", func() ([]float64, int) {
			return quiet(longest, func(i int) float64 { return 0.2*float64(i%10)/9 - 0.1 })
		}, each * 5 / 100, 0, longest},
		{"a rented machine", func() ([]float64, int) { return noisy(rng, longest, 0.15, 0.7), longest }, each * 5 / 100, 0, longest},
	} {
		early, first, ended, windows := 0, 0, 0, 0
		for range each {
			levels, over := c.levels()
			n := endOf(levels)
			if n == 0 {
				continue
			}
			ended++
			windows += n
			if n == EndingWindows {
				first++
			}
			if over > n-afterChange {
				early++
			}
		}
		mean := float64(windows) / float64(max(ended, 1))
		t.Logf("%s: of %d end %d, after %.1f windows; too early %d, as soon as they can %d", c.name, each, ended, mean, early, first)
		if early > c.early || first < c.first || mean > c.most || c.most < longest && ended < each {
			t.Errorf("%s: want at most %d too early, at least %d as soon as they can, and %v windows", c.name, c.early, c.first, c.most)
		}
	}
}

// A warm-up that ended because it was steady is not warned of, whatever its last windows look like; one of a
// fixed length, or that reached its greatest, is.
func TestWarningOfWarmup(t *testing.T) {
	steady := make([]float64, EndingWindows)
	for i := range steady {
		steady[i] = 0.01 * float64(i%2)
	}
	later := append(steady, make([]float64, SettlingWindows)...)
	for i := range SettlingWindows {
		later[EndingWindows+i] = 0.02*float64(i) + 0.005*float64(i%2)
	}
	for _, c := range []struct {
		levels   []float64
		settling *record.Settling
		state    Settling
		warnings int
	}{
		{later, nil, Unsettled, 1},
		{later, &record.Settling{}, Settled, 0},
		{later[EndingWindows:], &record.Settling{}, Unsettled, 1},
		{steady[:SettlingWindows-1], &record.Settling{}, TooShort, 0},
	} {
		p := phaseAt(c.levels)
		p.Warmup, p.Phase.Settling = true, c.settling
		if got, n := p.Settling(), len(p.settled()); got != c.state || n != c.warnings {
			t.Errorf("%d windows, %v: %v and %d warnings, want %v and %d", len(c.levels), c.settling, got, n, c.state, c.warnings)
		}
	}
}
