package load

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"bakeoff/internal/stats"
)

// all walks a schedule to its end.
func all(t testing.TB, seed uint64, p Phase, s Share) (numbers []uint64, at []time.Duration) {
	t.Helper()
	schedule, err := NewSchedule(seed, p, s)
	if err != nil {
		t.Fatal(err)
	}
	for {
		n, d, ok := schedule.Next()
		if !ok {
			return numbers, at
		}
		numbers, at = append(numbers, n), append(at, d)
	}
}

const ms = time.Millisecond

func TestConstantSchedules(t *testing.T) {
	for _, c := range []struct {
		name     string
		phase    Phase
		share    Share
		numbers  []uint64
		instants []time.Duration
	}{
		{
			"4 per second, the first at once",
			Phase{Rate: 4, Duration: time.Second},
			Share{0, 1},
			[]uint64{0, 1, 2, 3},
			[]time.Duration{0, 250 * ms, 500 * ms, 750 * ms},
		},
		{
			"agent 1 of 2 takes the odd ones",
			Phase{Rate: 4, Duration: time.Second},
			Share{1, 2},
			[]uint64{1, 3},
			[]time.Duration{250 * ms, 750 * ms},
		},
		{
			"an agent without arrivals",
			Phase{Rate: 4, Duration: time.Second},
			Share{6, 7},
			nil, nil,
		},
		{
			"none at the very end",
			Phase{Rate: 10, Duration: 200 * ms},
			Share{0, 1},
			[]uint64{0, 1},
			[]time.Duration{0, 100 * ms},
		},
		{
			"a ramp from 0 to 8 in 1 s: n = 4 t^2",
			Phase{Profile: []RatePoint{{0, 0}, {time.Second, 8}}, Duration: time.Second},
			Share{0, 1},
			[]uint64{0, 1, 2, 3},
			[]time.Duration{0, 500 * ms, 707106781, 866025403},
		},
		{
			"a falling ramp from 8 to 0: n = 8 t - 4 t^2, nothing afterwards",
			Phase{Profile: []RatePoint{{0, 8}, {time.Second, 0}}, Duration: 5 * time.Second},
			Share{0, 1},
			[]uint64{0, 1, 2, 3, 4},
			[]time.Duration{0, 133974596, 292893218, 500 * ms, time.Second},
		},
		{
			"steps of 2, 0 and 4 per second",
			Phase{Profile: []RatePoint{{0, 2}, {time.Second, 2}, {time.Second, 0}, {2 * time.Second, 0}, {2 * time.Second, 4}}, Duration: 2500 * ms},
			Share{0, 1},
			[]uint64{0, 1, 2, 3},
			[]time.Duration{0, 500 * ms, time.Second, 2250 * ms},
		},
		{
			"a trace that starts late keeps its first rate before",
			Phase{Profile: []RatePoint{{time.Second, 1}, {2 * time.Second, 3}}, Duration: 3 * time.Second},
			Share{0, 1},
			[]uint64{0, 1, 2, 3, 4, 5},
			[]time.Duration{0, time.Second, 1618033988, 2 * time.Second, 2333333333, 2666666666},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.phase.Arrivals = Constant
			numbers, at := all(t, 1, c.phase, c.share)
			if !slices.Equal(numbers, c.numbers) {
				t.Errorf("numbers %v, want %v", numbers, c.numbers)
			}
			if !slices.EqualFunc(at, c.instants, func(a, b time.Duration) bool { return (a - b).Abs() <= 1 }) {
				t.Errorf("instants %v, want %v", at, c.instants)
			}
		})
	}
}

// A constant rate that no float holds exactly does not drift.
func TestConstantDoesNotDrift(t *testing.T) {
	_, at := all(t, 1, Phase{Rate: 700, Arrivals: Constant, Duration: 600 * time.Second}, Share{0, 1})
	if len(at) != 420_000 {
		t.Fatalf("%d arrivals, want 420,000", len(at))
	}
	for i, d := range at {
		if want := time.Duration(int64(i) * int64(time.Second) / 700); (d - want).Abs() > 1 {
			t.Fatalf("arrival %d at %v, want %v", i, d, want)
		}
	}
}

var shapes = map[string]Phase{
	"constant": {Rate: 1234.5, Arrivals: Constant, Duration: 3 * time.Second},
	"poisson":  {Rate: 1234.5, Arrivals: Poisson, Duration: 3 * time.Second},
	"ramp":     {Profile: []RatePoint{{0, 10}, {3 * time.Second, 2000}}, Arrivals: Poisson, Duration: 3 * time.Second},
	"trace":    {Profile: []RatePoint{{0, 500}, {time.Second, 500}, {time.Second, 0}, {1500 * ms, 900}, {2 * time.Second, 100}}, Duration: 3 * time.Second},
}

// bytesOf writes arrivals as they are compared: number and instant, 16 bytes each.
func bytesOf(numbers []uint64, at []time.Duration) []byte {
	var b []byte
	for i, n := range numbers {
		b = binary.BigEndian.AppendUint64(b, n)
		b = binary.BigEndian.AppendUint64(b, uint64(at[i]))
	}
	return b
}

func TestAgentsTogetherGiveThePlan(t *testing.T) {
	for name, phase := range shapes {
		whole := bytesOf(all(t, 42, phase, Share{0, 1}))
		if len(whole) < 16*500 {
			t.Fatalf("%s: only %d arrivals", name, len(whole)/16)
		}
		for _, k := range []int{1, 2, 4, 7} {
			together := make([]byte, len(whole))
			for i := range k {
				numbers, at := all(t, 42, phase, Share{i, k})
				for j, n := range numbers {
					if int(n)*16 >= len(together) {
						t.Fatalf("%s: agent %d of %d has arrival %d, which is not in the plan", name, i, k, n)
					}
					copy(together[n*16:], bytesOf([]uint64{n}, at[j:]))
				}
			}
			if string(together) != string(whole) {
				t.Errorf("%s: %d agents together do not give the plan", name, k)
			}
		}
	}
}

func TestSchedulesDifferBySeedAndPhase(t *testing.T) {
	phase := shapes["poisson"]
	_, a := all(t, 1, phase, Share{0, 1})
	_, again := all(t, 1, phase, Share{0, 1})
	_, b := all(t, 2, phase, Share{0, 1})
	phase.Number = 1
	_, c := all(t, 1, phase, Share{0, 1})
	if !slices.Equal(a, again) {
		t.Error("the same seed gives another schedule")
	}
	if slices.Equal(a, b) || slices.Equal(a, c) {
		t.Error("another seed or phase gives the same schedule")
	}
	if !slices.IsSorted(a) {
		t.Error("instants are not in order")
	}
}

// kolmogorov is the greatest distance between the empirical distribution of the gaps,
// in units of their mean under the plan, and the exponential one.
func kolmogorov(at []time.Duration, rate float64) float64 {
	gaps := make([]float64, len(at))
	last := time.Duration(0)
	for i, d := range at {
		gaps[i] = (d - last).Seconds() * rate
		last = d
	}
	slices.Sort(gaps)
	worst, n := 0.0, float64(len(gaps))
	for i, g := range gaps {
		f := 1 - math.Exp(-g)
		worst = max(worst, f-float64(i)/n, float64(i+1)/n-f)
	}
	return worst
}

// 0.0094 is the 1 % point of the Kolmogorov-Smirnov statistic for 30,000 samples.
func TestPoissonGapsAreExponential(t *testing.T) {
	const gaps, rate = 30_000, 1000.0
	passed := 0
	for seed := range uint64(100) {
		_, at := all(t, seed, Phase{Rate: rate, Duration: 35 * time.Second}, Share{0, 1})
		if kolmogorov(at[:gaps], rate) < 0.0094 {
			passed++
		}
	}
	if passed < 95 {
		t.Errorf("%d of 100 seeds pass, want at least 95", passed)
	}
	// The test has teeth: equal gaps are no exponential ones.
	_, at := all(t, 1, Phase{Rate: rate, Arrivals: Constant, Duration: 35 * time.Second}, Share{0, 1})
	if d := kolmogorov(at[:gaps], rate); d < 0.3 {
		t.Errorf("constant arrivals have distance %v from the exponential", d)
	}
}

// Poisson arrivals of a changing rate: as many in each stretch as the rate's
// integral says, within five standard deviations.
func TestPoissonFollowsItsProfile(t *testing.T) {
	phase := Phase{Profile: []RatePoint{{0, 100}, {10 * time.Second, 1900}, {10 * time.Second, 300}}, Duration: 20 * time.Second}
	_, at := all(t, 7, phase, Share{0, 1})
	count := func(from, to time.Duration) (n float64) {
		for _, d := range at {
			if d >= from && d < to {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		from, to time.Duration
		want     float64
	}{{0, 5 * time.Second, 2750}, {5 * time.Second, 10 * time.Second, 7250}, {10 * time.Second, 20 * time.Second, 3000}} {
		if got := count(c.from, c.to); math.Abs(got-c.want) > 5*math.Sqrt(c.want) {
			t.Errorf("%v arrivals from %v to %v, want %v", got, c.from, c.to, c.want)
		}
	}
}

func TestSchedulesThatCannotBe(t *testing.T) {
	second := time.Second
	for _, c := range []struct {
		phase Phase
		share Share
	}{
		{Phase{Rate: 0, Duration: second}, Share{0, 1}},
		{Phase{Rate: -1, Duration: second}, Share{0, 1}},
		{Phase{Rate: math.NaN(), Duration: second}, Share{0, 1}},
		{Phase{Rate: math.Inf(1), Duration: second}, Share{0, 1}},
		{Phase{Profile: []RatePoint{{0, 0}, {second, 0}}, Duration: second}, Share{0, 1}},
		{Phase{Profile: []RatePoint{{second, 1}, {0, 1}}, Duration: second}, Share{0, 1}},
		{Phase{Profile: []RatePoint{{-1, 1}}, Duration: second}, Share{0, 1}},
		{Phase{Rate: 1, Arrivals: "bursty", Duration: second}, Share{0, 1}},
		{Phase{Rate: 1, Duration: second}, Share{1, 1}},
		{Phase{Rate: 1, Duration: second}, Share{0, 0}},
		{Phase{Rate: 1, Duration: second}, Share{-1, 2}},
	} {
		if _, err := NewSchedule(1, c.phase, c.share); err == nil {
			t.Errorf("%+v of %+v was accepted", c.phase, c.share)
		}
	}
}

func TestClosedStarts(t *testing.T) {
	p := Phase{Connections: 5, Ramp: time.Second}
	for c, want := range []time.Duration{0, 200 * ms, 400 * ms, 600 * ms, 800 * ms} {
		if got := closedStart(p, c); got != want {
			t.Errorf("connection %d starts at %v, want %v", c, got, want)
		}
	}
}

// lindley computes the time in system of every arrival at a single first-come
// server (Lindley, Proc. Camb. Phil. Soc. 48, 1952).
func lindley(at []time.Duration, service func(i int) time.Duration) *stats.Histogram {
	h := stats.NewHistogram()
	var free time.Duration
	for i, a := range at {
		free = max(free, a) + service(i)
		h.Record(free - a)
	}
	return h
}

// Queueing theory comes out: service at 800/s, exponential; arrivals at 400/s.
// M/M/1: the time in system is exponential with rate 400/s. D/M/1: with rate
// 800 (1 - s), s being the root of s = exp(-2 (1 - s)).
func TestQueueingTheory(t *testing.T) {
	for _, c := range []struct {
		arrivals  string
		mean, p99 float64 // ms
	}{{Poisson, 2.50, 11.5}, {Constant, 1.57, 7.2}} {
		var mean, p99 float64
		for seed := range uint64(20) {
			_, at := all(t, seed, Phase{Rate: 400, Arrivals: c.arrivals, Duration: 60 * time.Second}, Share{0, 1})
			rng := rand.New(rand.NewPCG(seed, 99))
			h := lindley(at, func(int) time.Duration { return time.Duration(rng.ExpFloat64() / 800 * 1e9) })
			q, _ := h.Quantile(0.99)
			mean += h.Mean().Seconds() * 1e3 / 20
			p99 += q.Seconds() * 1e3 / 20
		}
		if math.Abs(mean/c.mean-1) > 0.04 || math.Abs(p99/c.p99-1) > 0.08 {
			t.Errorf("%s: mean %.3f ms and p99 %.2f ms, theory %.2f and %.1f", c.arrivals, mean, p99, c.mean, c.p99)
		}
	}
}

func ExampleSchedule() {
	phase := Phase{Profile: []RatePoint{{At: 0, Rate: 2}, {At: 2 * time.Second, Rate: 6}}, Arrivals: Constant, Duration: time.Second}
	s, err := NewSchedule(1, phase, Share{Index: 0, Of: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	for n, at, ok := s.Next(); ok; n, at, ok = s.Next() {
		fmt.Println(n, at.Round(ms))
	}
	// Output:
	// 0 0s
	// 1 414ms
	// 2 732ms
}

func BenchmarkSchedule(b *testing.B) {
	s, err := NewSchedule(1, Phase{Rate: 1e6, Duration: 1 << 60}, Share{0, 1})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for range b.N {
		s.Next()
	}
}

// Instants beyond what a duration can hold are after the end, however rare the arrivals.
func TestRareArrivalsEnd(t *testing.T) {
	for _, rate := range []float64{0.4, 1e-10, 1e-300, math.SmallestNonzeroFloat64} {
		for _, p := range []Phase{
			{Rate: rate, Arrivals: Constant, Duration: 10 * time.Second},
			{Rate: rate, Arrivals: Poisson, Duration: time.Second},
			{Profile: []RatePoint{{0, 0}, {time.Hour, rate}}, Arrivals: Constant, Duration: 2 * time.Second},
		} {
			s, err := NewSchedule(1, p, Share{0, 1})
			if err != nil {
				t.Fatal(err)
			}
			last := time.Duration(-1)
			for n := 0; ; n++ {
				_, at, ok := s.Next()
				if !ok {
					break
				}
				if n > 100 || at <= last || at >= p.Duration {
					t.Fatalf("rate %g, %+v: arrival %d at %v, after %v", rate, p, n, at, last)
				}
				last = at
			}
		}
	}
}
