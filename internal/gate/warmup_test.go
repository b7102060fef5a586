package gate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// The rule that ends a warm-up keeps the rates of one look, though it looks up to 19 times: series of 200 windows at most,
// with independent noise of 3 %, whose first 20 windows change by 10 %, or go on to do so; and noise as rented machines have it.
// Where targets take turns it ends when all of them are steady at the same time.
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
	stepAt := func(at int) ([]float64, int) {
		return quiet(at, func(i int) float64 { return map[bool]float64{true: 0.1}[i >= at] })
	}
	type series = func() (levels []float64, over int) // and when the change is over
	steady := func() ([]float64, int) { return quiet(0, func(int) float64 { return 0 }) }
	drift := func() ([]float64, int) {
		from := rng.IntN(SettlingWindows - 4)
		return quiet(from+5, func(i int) float64 { return 0.02 * float64(min(max(i-from, 0), 5)) })
	}
	step := func() ([]float64, int) { return stepAt(3 + rng.IntN(SettlingWindows-5)) }
	sawtooth := func() ([]float64, int) {
		return quiet(longest, func(i int) float64 { return 0.2*float64(i%10)/9 - 0.1 })
	}
	rented := func() ([]float64, int) { return noisy(rng, longest, 0.15, 0.7), longest }
	short := func() ([]float64, int) { return noisy(rng, 5*longest, 0.1, 0), 0 } // windows, whose noise is that of counts
	shortStep := func() ([]float64, int) {
		out := noisy(rng, 5*longest, 0.1, 0)
		at := 100 + rng.IntN(100)
		for i := range out {
			out[i] += map[bool]float64{true: 0.1}[i >= at]
		}
		return out, at + 90 // about half of 20 joined ones
	}
	slow := func() ([]float64, int) { // it is awaited for 100 windows
		return quiet(100, func(i int) float64 { return 0.01 * float64(min(i, 100)) })
	}
	late := func() ([]float64, int) { return stepAt(100 + lookEvery*rng.IntN(3) + rng.IntN(lookEvery-3)) }
	const still = 10 // windows without an answer: a second of a warm-up of 3 s or more
	stallAt := func(at int) ([]float64, int) {
		out, _ := steady()
		for i := range still {
			out[at+i] = math.Inf(-1)
		}
		return phaseAt(out).levels.settling(), at + still // as counts of answers say it
	}
	stall := func() ([]float64, int) { return stallAt(rng.IntN(EndingWindows)) }
	lateStall := func() ([]float64, int) { return stallAt(100 + rng.IntN(40)) }
	type counts struct {
		early, first, ended int
		mean                float64
	}
	found := map[string]counts{}
	for _, c := range []struct {
		name    string
		targets []series
		early   int     // of each that end during the change, at most
		first   int     // that end as soon as they can, at least
		most    float64 // windows until the end, on the average of those that end
	}{
		{"steady", []series{steady}, 0, each * 179 / 200, 35},
		{"a drift of 10 % over 5 windows", []series{drift}, each * 5 / 100, 0, 60},
		{"a step of 10 %", []series{step}, each * 5 / 100, 0, 60},
		{"a sawtooth of 10 % up and down", []series{sawtooth}, each * 5 / 100, 0, longest},
		{"a rented machine", []series{rented}, each * 5 / 100, 0, longest},
		{"three steady ones in turns", []series{steady, steady, steady}, 0, each * 70 / 100, 40},
		{"one of three drifts", []series{steady, drift, steady}, each * 5 / 100, 0, 60},
		{"short windows, steady", []series{short}, 0, 0, 500},
		{"short windows, a step of 10 %", []series{shortStep}, each / 10 * 5 / 100, 0, 5 * longest},
		{"one of three steps, while the slowest is awaited", []series{steady, slow, late}, each * 5 / 100, 0, longest},
		{"a stall of ten windows", []series{stall}, 0, 0, 80},
		{"one of three stalls, while the slowest is awaited", []series{steady, slow, lateStall}, 0, 0, longest},
	} {
		early, first, ended, windows := 0, 0, 0, 0
		each, step := each, 1
		if strings.HasPrefix(c.name, "short windows") { // which are many
			each, step = each/10, lookEvery
		}
		stalls := strings.Contains(c.name, "stall")
		if stalls { // a slice has three windows, and what is behind a look counts
			step = 3
		}
		for range each {
			over, all := 0, make([][]float64, len(c.targets))
			for i, target := range c.targets {
				var until int
				all[i], until = target()
				over = max(over, until)
			}
			n := endOf(all, step)
			if n == 0 {
				continue
			}
			ended++
			windows += n
			if n == EndingWindows {
				first++
			}
			if over > n-afterChange && (!stalls || n > over-still) { // one that ended before the stall did not meet it
				early++
			}
		}
		mean := float64(windows) / float64(max(ended, 1))
		found[c.name] = counts{early, first, ended, mean}
		t.Logf("%s: of %d end %d, after %.1f windows; too early %d, as soon as they can %d", c.name, each, ended, mean, early, first)
		if early > c.early || first < c.first || mean > c.most || c.most < longest && ended < each {
			t.Errorf("%s: want at most %d too early, at least %d as soon as they can, and %v windows", c.name, c.early, c.first, c.most)
		}
	}
	doc, err := os.ReadFile("../../docs/method.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(doc)), " ")
	for _, want := range []string{
		fmt.Sprintf("%d end at the first possible moment when nothing changes", found["steady"].first),
		fmt.Sprintf("%d end during an endless sawtooth of 10 %%", found["a sawtooth of 10 % up and down"].early),
		fmt.Sprintf("the noise of rented machines, %d ends early", found["a rented machine"].early),
		fmt.Sprintf("of three targets in turns, %d end at the first possible moment", found["three steady ones in turns"].first),
		fmt.Sprintf("noise of 10 %% from window to window, %d end, after %.0f windows on average", found["short windows, steady"].ended, found["short windows, steady"].mean),
		fmt.Sprintf("%d end within 10 windows after it", found["one of three steps, while the slowest is awaited"].early),
		fmt.Sprintf("Of 1,000 whose target stands still for ten windows, %d end within 10 windows after that, and %d of 1,000 in which one of three does so while the slowest is awaited",
			found["a stall of ten windows"].early, found["one of three stalls, while the slowest is awaited"].early),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("docs/method.md: want %q", want)
		}
	}
	if found["a drift of 10 % over 5 windows"].early+found["a step of 10 %"].early > 0 {
		t.Error("docs/method.md: want none that ends within 10 windows after a drift or a step of 10 %")
	}
}

// endOf is after how many windows a warm-up of these targets ends that is looked at after every step of them; 0: it does not.
func endOf(targets [][]float64, step int) int {
	for n := step; n <= len(targets[0]); n += step {
		if !slices.ContainsFunc(targets, func(levels []float64) bool { return !Ends(levels[:min(n, len(levels))]) }) {
			return n
		}
	}
	return 0
}

// A warm-up that passed its last two looks is not warned of, whatever the windows behind these look like; one that was steady
// earlier and is not any more is, like one of a fixed length.
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
		{later, &record.Settling{}, Unsettled, 1},
		{later[:EndingWindows+lookEvery-1], nil, Unsettled, 1},
		{later[:EndingWindows+lookEvery-1], &record.Settling{}, Settled, 0},
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

// A window that ends with the phase counts, whatever the duration is as a float of seconds.
func TestLastWindowCounts(t *testing.T) {
	cut := 0
	for n := range 5000 {
		end := time.Duration(n+1) * 1234567 * time.Nanosecond
		if time.Duration(end.Seconds()*float64(time.Second)) < end {
			cut++
		}
		levels := NewLevels(record.Phase{DurationS: end.Seconds()})
		levels.Add(stats.Window{Begin: end / 2, Length: end - end/2, Books: stats.Books{OK: 1}})
		if len(levels.points) != 1 {
			t.Fatalf("the window until %v is left out of a phase of %v s", end, end.Seconds())
		}
	}
	if cut == 0 {
		t.Error("none of these durations is cut off")
	}
}

// A target that stands still is not steady, whether it did so before or has just stopped. One that answers slowly may be. What a stall is
// to a measured phase is another matter.
func TestStallIsNotSteady(t *testing.T) {
	at := func(windows, from, until int) *Phase {
		levels := make([]float64, windows)
		for i := range levels {
			levels[i] = 0.01 * float64(i%2)
			if i >= from && i < until {
				levels[i] = math.Inf(-1)
			}
		}
		p := phaseAt(levels)
		p.Warmup = true
		return p
	}
	for name, c := range map[string]struct {
		p     *Phase
		ready bool
		state Settling
	}{
		"all of it":                       {at(40, 0, 40), false, Unsettled},
		"before the last looks":           {at(60, 20, 30), true, Settled},
		"in the older look":               {at(60, 25, 35), false, Settled},
		"in both":                         {at(60, 45, 50), false, Unsettled},
		"the last windows":                {at(60, 50, 60), false, Unsettled},
		"a window behind the last look":   {at(64, 63, 64), false, Unsettled},
		"the whole of the last look":      {at(90, 40, 90), false, Unsettled},
		"slow answers, in longer windows": {slowAnswers(), true, Settled},
	} {
		if got, state := c.p.Ready(), c.p.Settling(); got != c.ready || state != c.state {
			t.Errorf("%s: ready %v and %q, want %v and %q", name, got, state, c.ready, c.state)
		}
		if c.state == Unsettled && len(c.p.settled()) != 1 {
			t.Errorf("%s: no warning", name)
		}
	}
	if got := len(at(40, 10, 20).levels.logs()); got != 30 {
		t.Errorf("a measured phase has %d levels, want 30: a stall is no step in it", got)
	}
}

// slowAnswers are 600 windows; every third has answers.
func slowAnswers() *Phase {
	p := NewPhase(record.Phase{Name: "warmup", Model: "closed", DurationS: 600, Warmup: true})
	for i := range 600 {
		n := int64(i % 3 / 2 * (100 + i%2))
		p.Load(1, stats.Window{Begin: time.Duration(i) * time.Second, Length: time.Second, Books: stats.Books{Planned: n, Sent: n, OK: n}})
	}
	return p
}
