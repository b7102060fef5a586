package gate

import (
	"math/rand/v2"
	"testing"

	"bakeoff/internal/record"
)

// Of 20 windows with independent noise of 3 % those that change by 10 % are found, and few that do not. Noise as
// rented machines have it is hardly ever called a change: there the test says that it cannot say.
func TestSettling(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	const each = 2000
	quiet := func(change func(i int) float64) func() []float64 {
		return func() []float64 {
			out := noisy(rng, SettlingWindows, 0.03, 0)
			for i := range out {
				out[i] += change(i)
			}
			return out
		}
	}
	for _, c := range []struct {
		name      string
		levels    func() []float64
		unsettled [2]int // of each: at least, at most
		settled   [2]int
	}{
		{"steady", quiet(func(int) float64 { return 0 }), [2]int{0, each * 21 / 200}, [2]int{each * 179 / 200, each}},
		{"a drift of 10 % over 5 windows", func() []float64 {
			from := rng.IntN(SettlingWindows - 4)
			return quiet(func(i int) float64 { return 0.02 * float64(min(max(i-from, 0), 5)) })()
		}, [2]int{each * 95 / 100, each}, [2]int{0, each * 5 / 100}},
		{"a step of 10 %", func() []float64 {
			at := 3 + rng.IntN(SettlingWindows-5)
			return quiet(func(i int) float64 { return map[bool]float64{true: 0.1}[i >= at] })()
		}, [2]int{each * 95 / 100, each}, [2]int{0, each * 5 / 100}},
		{
			"a sawtooth of 10 % up and down", quiet(func(i int) float64 { return 0.2*float64(i%10)/9 - 0.1 }),
			[2]int{each * 95 / 100, each},
			[2]int{0, each * 5 / 100},
		},
		{
			"a rented machine", func() []float64 { return noisy(rng, SettlingWindows, 0.15, 0.7) },
			[2]int{0, each * 10 / 200},
			[2]int{0, each * 10 / 200},
		},
		{"a rented machine, long", func() []float64 { return noisy(rng, 10*SettlingWindows, 0.15, 0.7) }, [2]int{0, each * 10 / 200}, [2]int{0, each * 10 / 200}},
		{"a rented machine that gets three times as fast", func() []float64 {
			out := noisy(rng, SettlingWindows, 0.15, 0.7)
			for i := range out {
				out[i] += map[bool]float64{true: 1.1}[i >= 10]
			}
			return out
		}, [2]int{each * 85 / 100, each}, [2]int{0, 0}},
	} {
		var n [4]int
		for range each {
			n[Settle(c.levels())]++
		}
		t.Logf("%s: of %d unsettled %d, noisy %d, settled %d", c.name, each, n[Unsettled], n[Noisy], n[Settled])
		if got := n[Unsettled]; got < c.unsettled[0] || got > c.unsettled[1] {
			t.Errorf("%s: %d unsettled, want %v", c.name, got, c.unsettled)
		}
		if got := n[Settled]; got < c.settled[0] || got > c.settled[1] {
			t.Errorf("%s: %d settled, want %v", c.name, got, c.settled)
		}
	}
}

// A warm-up that ended while the level changed is worth a warning; a measured phase has a rule of its own.
func TestWarmupThatDidNotSettle(t *testing.T) {
	levels := make([]float64, SettlingWindows)
	for i := range levels {
		levels[i] = 0.02*float64(i) + 0.005*float64(i%2)
	}
	p := phaseAt(levels)
	if got := p.settled(); got != nil {
		t.Errorf("a measured phase: %+v", got)
	}
	p.Warmup = true
	const want = "phase closed: no steady state in its last 20 windows: a longer warm-up is needed"
	p.Witness = record.Witness{DatabaseReads: NotCounted, BalancerTotal: NotCounted}
	if j := p.Judge(nil); len(j.Reasons) > 0 || len(j.Warnings) != 1 || j.Warnings[0] != (record.Reason{Code: record.CodeNotSteady, Text: want}) {
		t.Errorf("%+v", j)
	}
	for i := range levels {
		levels[i] = 0.005 * float64(i%2)
	}
	p = phaseAt(levels)
	p.Warmup = true
	if got := p.settled(); got != nil {
		t.Errorf("a steady one: %+v", got)
	}
}

// Only the last windows count, and fewer say nothing.
func TestSettlingLooksAtTheLastWindows(t *testing.T) {
	levels := make([]float64, 40)
	for i := range levels {
		levels[i] = 0.01 * float64(i%2)
		if i < 15 {
			levels[i] -= 1
		}
	}
	for n, want := range map[int]Settling{19: TooShort, 25: Unsettled, 40: Settled} {
		if got := Settle(levels[:n]); got != want {
			t.Errorf("%d windows: %v, want %v", n, got, want)
		}
	}
	if got := Noisy.String(); got != "a trend could not be distinguished from noise" {
		t.Error(got)
	}
}
