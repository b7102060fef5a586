package verdict

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"bakeoff/internal/doctest"
)

var update = flag.Bool("update", false, "write the simulations' table in docs/method.md")

const (
	experiments = 1000
	methodDoc   = "../../docs/method.md"
)

// truth is a world in which the right answer is known: what the targets are, how figures vary, how many blocks are run.
type truth struct {
	says   string    // in the document
	levels []float64 // a target each, "a" the first; figures are these times the noise
	cv     []float64 // of the noise, a target each
	noise  noise
	blocks int
}

// noise makes the disturbance, in units of the spread, of the trials of a run one after another, and
// the log of what the machine adds to it.
type noise struct {
	says string
	make func(random *rand.Rand, trials int) (disturbance, machine []float64)
}

// expectation is how often something is counted over all experiments.
type expectation struct {
	says    string
	count   func(Result) bool
	atLeast int
	atMost  int
	of      func(Result) bool // of how many it is counted, printed with it; nil: of all
}

// tallies are counts, one for each expectation.
type tallies []struct{ n, of int }

func (c tallies) add(expect []expectation, r Result) {
	for i, e := range expect {
		if e.count(r) {
			c[i].n++
		}
		if e.of != nil && e.of(r) {
			c[i].of++
		}
	}
}

// cell is what a table has of an expectation: "22", or "22, of 480 printed".
func (c tallies) cell(i int, e expectation) string {
	if e.of == nil {
		return strconv.Itoa(c[i].n)
	}
	return fmt.Sprintf("%d, of %d printed", c[i].n, c[i].of)
}

// scenario is a truth and what must be counted there.
type scenario struct {
	truth
	expect []expectation
}

var (
	normal = noise{"normal", func(random *rand.Rand, n int) (d, m []float64) { return normals(random, n), make([]float64, n) }}

	heavy = noise{"heavy tails (Student's t with 2 degrees of freedom)", func(random *rand.Rand, n int) (d, m []float64) {
		d = make([]float64, n)
		for i := range d {
			d[i] = random.NormFloat64() / math.Sqrt(random.ExpFloat64()) // a chi-square with 2 df over 2 is exponential
		}
		return d, make([]float64, n)
	}}

	drift = noise{"normal, and a drift of 1 % a trial", func(random *rand.Rand, n int) (d, m []float64) {
		m = make([]float64, n)
		for i := range m {
			m[i] = float64(i) * math.Log(1.01)
		}
		return normals(random, n), m
	}}

	step = noise{"normal, and 10 % less from some trial on", func(random *rand.Rand, n int) (d, m []float64) {
		m = make([]float64, n)
		for i := random.IntN(n); i < n; i++ {
			m[i] = math.Log(0.9)
		}
		return normals(random, n), m
	}}

	correlated = autoregressive(0.7)
)

// autoregressive noise carries a share over from each trial to the next.
func autoregressive(share float64) noise {
	return noise{fmt.Sprintf("autocorrelated, %v from trial to trial", share), func(random *rand.Rand, n int) (d, m []float64) {
		d = normals(random, n)
		for i := 1; i < n; i++ {
			d[i] = share*d[i-1] + math.Sqrt(1-share*share)*d[i]
		}
		return d, make([]float64, n)
	}}
}

func normals(random *rand.Rand, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = random.NormFloat64()
	}
	return out
}

// run makes the table of one run: in every block all targets once, in random order.
func (w truth) run(random *rand.Rand) *Table {
	k := len(w.levels)
	disturbance, machine := w.noise.make(random, k*w.blocks)
	var t Table
	for block := range w.blocks {
		for position, i := range random.Perm(k) {
			trial := block*k + position
			value := w.levels[i] * math.Exp(w.cv[i]*disturbance[trial]+machine[trial])
			if err := t.Add(Cell{Block: strconv.Itoa(block + 1), Target: string(rune('a' + i)), Value: value}); err != nil {
				panic(err) // an exponential is above 0
			}
		}
	}
	return &t
}

func two(ratio, cv float64, n noise, blocks int) truth {
	says := "a = b"
	if ratio != 1 {
		says = fmt.Sprintf("a = %v b", ratio)
	}
	return truth{fmt.Sprintf("%s, CV %v %%", says, 100*cv), []float64{100 * ratio, 100}, []float64{cv, cv}, n, blocks}
}

func equalTargets(says string, noise noise, blocks int, cv ...float64) truth {
	levels := make([]float64, len(cv))
	for i := range levels {
		levels[i] = 100
	}
	return truth{says, levels, cv, noise, blocks}
}

// What is counted, over all pairs of a result.
func anyOf(claims ...Claim) func(Result) bool {
	return func(r Result) bool {
		for _, c := range r.Comparisons {
			for _, claim := range claims {
				if c.Verdict == claim {
					return true
				}
			}
		}
		return false
	}
}

func different(r Result) bool { return r.Comparisons[0].P <= 0.05 }

func covers(ratio Number) func(Result) bool {
	return func(r Result) bool { return r.Comparisons[0].Low <= ratio && ratio <= r.Comparisons[0].High }
}

// falseBound is a printed "at least" that is more than the true difference of a = ratio b, or on its wrong side.
func falseBound(ratio float64) func(Result) bool {
	return func(r Result) bool {
		c := r.Comparisons[0]
		return c.AtLeast.Known() && (c.Verdict == Worse || float64(c.AtLeast) > ratio-1)
	}
}

// falseBounds expects at most 50 false ones, and counts those that are printed.
func falseBounds(ratio float64) expectation {
	return expectation{`a false "at least"`, falseBound(ratio), 0, 50, func(r Result) bool { return r.Comparisons[0].AtLeast.Known() }}
}

const delta = DefaultDelta

var scenarios = []scenario{
	{two(1, 0.02, normal, 10), []expectation{
		{"p <= 0.05", different, 29, 73, nil},
		{"better or worse", anyOf(Better, Worse), 0, 50, nil},
		falseBounds(1),
	}},
	{two(1, 0.02, heavy, 10), []expectation{{"p <= 0.05", different, 0, 73, nil}}},
	{two(1, 0.02, drift, 10), []expectation{{"p <= 0.05", different, 0, 73, nil}}},
	{two(1, 0.02, step, 10), []expectation{{"p <= 0.05", different, 0, 73, nil}}},
	{two(1, 0.02, correlated, 10), []expectation{{"p <= 0.05", different, 0, 73, nil}}},
	{two(1, 0.15, autoregressive(0.9), 7), []expectation{{"p <= 0.05", different, 0, 73, nil}}}, // as rented machines are
	{two(1.05, 0.02, normal, 10), []expectation{
		{"better", anyOf(Better), 950, experiments, nil},
		{"worse", anyOf(Worse), 0, 0, nil},
		{"the interval covers the truth", covers(1.05), 930, experiments, nil},
		falseBounds(1.05),
	}},
	{equalTargets("5 equal targets, CV 6 %", normal, 10, 0.06, 0.06, 0.06, 0.06, 0.06), []expectation{
		{"any better or worse", anyOf(Better, Worse), 0, 73, nil},
	}},
	{truth{"5 targets, each 3 % above the next, CV 2 %", steps(5), []float64{0.02, 0.02, 0.02, 0.02, 0.02}, normal, 10}, []expectation{
		{"any equivalent", anyOf(Equivalent), 0, 73, nil},
	}},
	{truth{"the same, CV 0.5 %", steps(5), []float64{0.005, 0.005, 0.005, 0.005, 0.005}, normal, 10}, []expectation{
		{"any equivalent", anyOf(Equivalent), 0, 73, nil},
	}},
	{equalTargets("3 equal targets, CV 1, 1 and 6 %", normal, 10, 0.01, 0.01, 0.06), []expectation{
		{"any better or worse", anyOf(Better, Worse), 0, 73, nil},
	}},
	{equalTargets("5 equal targets, CV 3, 3, 3, 3 and 18 %", normal, 10, 0.03, 0.03, 0.03, 0.03, 0.18), []expectation{
		{"any better or worse", anyOf(Better, Worse), 0, 73, nil},
	}},
	{two(1, 0.01, normal, 15), []expectation{{"equivalent", anyOf(Equivalent), 900, experiments, nil}}},
	{two(1+delta, 0.01, normal, 15), []expectation{
		{"equivalent", anyOf(Equivalent), 0, 73, nil},
		{"better", anyOf(Better), 0, experiments, nil},
		falseBounds(1 + delta),
	}},
	{two(1+delta, 0.02, normal, blocksNeeded(0.02*math.Sqrt2, math.Log1p(delta), alpha)), []expectation{
		{"p <= 0.05, with as many blocks as would tell 3 %", different, 802, 878, nil},
	}},
	{two(1, 0.1, normal, 8), []expectation{
		{"inconclusive", anyOf(Inconclusive), 927, experiments, nil},
		falseBounds(1),
	}},
}

// steps are k targets, each delta above the next.
func steps(k int) []float64 {
	out := make([]float64, k)
	for i := range out {
		out[i] = 100 * math.Pow(1+delta, float64(k-i))
	}
	return out
}

// TestSimulatedTruth counts what is claimed where the truth is known. The counts are the same on every machine.
func TestSimulatedTruth(t *testing.T) {
	var table strings.Builder
	table.WriteString("| truth | noise | blocks | what is counted | of 1,000 | must be |\n|---|---|---:|---|---:|---|\n")
	for i, s := range scenarios {
		random := rand.New(rand.NewPCG(11, uint64(i)))
		counts := make(tallies, len(s.expect))
		for range experiments {
			r, err := Judge(s.run(random), Options{Delta: delta})
			if err != nil {
				t.Fatal(err)
			}
			counts.add(s.expect, r)
		}
		for j, e := range s.expect {
			t.Logf("%s; %s; %d blocks: %s %s, must be %s", s.says, s.noise.says, s.blocks, e.says, counts.cell(j, e), e.bounds())
			fmt.Fprintf(&table, "| %s | %s | %d | %s | %s | %s |\n", s.says, s.noise.says, s.blocks, e.says, counts.cell(j, e), e.bounds())
			if n := counts[j].n; n < e.atLeast || n > e.atMost {
				t.Errorf("%s; %s: %q in %d of %d, must be %s", s.says, s.noise.says, e.says, n, experiments, e.bounds())
			}
		}
	}
	documented(t, "simulations", table.String())
}

func (e expectation) bounds() string {
	switch {
	case e.atLeast == 0 && e.atMost == experiments:
		return "any"
	case e.atLeast == e.atMost:
		return strconv.Itoa(e.atMost)
	case e.atLeast == 0:
		return fmt.Sprintf("<= %d", e.atMost)
	case e.atMost == experiments:
		return fmt.Sprintf(">= %d", e.atLeast)
	}
	return fmt.Sprintf("%d to %d", e.atLeast, e.atMost)
}

// documented checks that a section of the document is what the test wrote, or writes it.
func documented(t *testing.T, name, text string) {
	t.Helper()
	doctest.Check(t, methodDoc, name, text, *update, "go test ./internal/verdict -run Simulated -update")
}
