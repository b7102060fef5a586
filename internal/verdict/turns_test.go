package verdict

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// wandering is a shared machine: the log of its speed wanders with a spread of 15 %, and every slice of 250 ms has noise of its own.
type wandering struct {
	speed  float64 // log, now
	memory float64 // share carried over from one slice to the next
	random *rand.Rand
}

const (
	wanders    = 0.15 // spread of the log of the speed
	white      = 0.08 // of each slice
	aSlice     = 0.25 // seconds
	sliceCount = 16   // of a target in a block: 4 s
)

func newWandering(random *rand.Rand, tau float64) *wandering {
	return &wandering{speed: wanders * random.NormFloat64(), memory: math.Exp(-aSlice / tau), random: random}
}

// pass lets that many seconds pass.
func (m *wandering) pass(seconds float64) {
	memory := math.Pow(m.memory, seconds/aSlice)
	m.speed = memory*m.speed + math.Sqrt(1-memory*memory)*wanders*m.random.NormFloat64()
}

// slice is the throughput of a slice.
func (m *wandering) slice(level float64) float64 {
	out := level * math.Exp(m.speed+white*m.random.NormFloat64())
	m.pass(aSlice)
	return out
}

// apart is one block of targets one after another: 11 s of start, check, warm-up and stop, and 4 s of load each.
func (m *wandering) apart(levels []float64) []float64 {
	out := make([]float64, len(levels))
	for _, i := range m.random.Perm(len(levels)) {
		m.pass(11)
		for range sliceCount {
			out[i] += m.slice(levels[i]) / sliceCount
		}
	}
	return out
}

// inTurns is one block in slices, in each round in random order.
func (m *wandering) inTurns(levels []float64) []float64 {
	out := make([]float64, len(levels))
	m.pass(11 * float64(len(levels)))
	for range sliceCount {
		for _, i := range m.random.Perm(len(levels)) {
			out[i] += m.slice(levels[i]) / sliceCount
		}
	}
	return out
}

// measured are that many blocks; a fresh start moves a target by starts.
func (m *wandering) measured(blocks int, levels []float64, starts float64, block func([]float64) []float64) *Table {
	var t Table
	for b := range blocks {
		started := make([]float64, len(levels))
		for i, level := range levels {
			started[i] = level * math.Exp(starts*m.random.NormFloat64())
		}
		for i, value := range block(started) {
			if err := t.Add(Cell{Block: strconv.Itoa(b + 1), Target: string(rune('a' + i)), Value: value}); err != nil {
				panic(err) // a sum of exponentials is above 0
			}
		}
	}
	return &t
}

// halfWidth is the root mean square of the intervals' half-widths, as logarithms, over many runs of two equal targets.
func halfWidth(t *testing.T, random *rand.Rand, tau, starts float64, turns bool) float64 {
	t.Helper()
	total := 0.0
	for range experiments {
		m := newWandering(random, tau)
		block := m.apart
		if turns {
			block = m.inTurns
		}
		r, err := Judge(m.measured(7, []float64{100, 100}, starts, block), Options{Delta: delta})
		if err != nil {
			t.Fatal(err)
		}
		half := math.Log(float64(r.Comparisons[0].High / r.Comparisons[0].Ratio))
		total += half * half / experiments
	}
	return math.Sqrt(total)
}

// TestTurnsSimulated compares a target at a time with turns on a machine whose speed wanders: how wide the intervals are, and that
// all that a verdict promises holds on block values that turns made.
func TestTurnsSimulated(t *testing.T) {
	var table strings.Builder
	table.WriteString("| the speed is correlated over | a start moves a target by | one at a time | in turns | turns / one at a time | must be |\n|---:|---:|---:|---:|---:|---:|\n")
	for i, tau := range []float64{3, 5, 10} {
		for j, c := range []struct{ starts, most float64 }{{0.03, 0.35}, {0, 0.2}} {
			random := rand.New(rand.NewPCG(31, uint64(10*i+j)))
			off, on := halfWidth(t, random, tau, c.starts, false), halfWidth(t, random, tau, c.starts, true)
			if on > c.most*off {
				t.Errorf("%v s, starts of %v: %.3f in turns, %.3f else: more than %v of it", tau, c.starts, on, off, c.most)
			}
			fmt.Fprintf(&table, "| %v s | %v %% | +-%.1f %% | +-%.1f %% | %.2f | <= %v |\n", tau, 100*c.starts, 100*math.Expm1(off), 100*math.Expm1(on), on/off, c.most)
		}
	}
	documented(t, "turns", table.String())
}

// TestRatesOfTurnsSimulated counts what is claimed of block values that turns made.
func TestRatesOfTurnsSimulated(t *testing.T) {
	var table strings.Builder
	table.WriteString("| truth | blocks | what is counted | of 1,000 | must be |\n|---|---:|---|---:|---|\n")
	for i, s := range []struct {
		says   string
		levels []float64
		starts float64
		blocks int
		expect []expectation
	}{
		{"a = b, starts of 3 %", []float64{100, 100}, 0.03, 7, []expectation{
			{"p <= 0.05", different, 29, 73, nil}, {"better or worse", anyOf(Better, Worse), 0, 50, nil},
		}},
		{"a = 1.05 b, no starts", []float64{105, 100}, 0, 10, []expectation{
			{"better", anyOf(Better), 950, experiments, nil},
			{"worse", anyOf(Worse), 0, 0, nil},
			{"the interval covers the truth", covers(1.05), 930, experiments, nil},
			falseBounds(1.05),
		}},
		{"5 equal targets, starts of 3 %", []float64{100, 100, 100, 100, 100}, 0.03, 10, []expectation{
			{"any better or worse", anyOf(Better, Worse), 0, 73, nil},
		}},
		{"5 targets, each 3 % above the next, starts of 3 %", steps(5), 0.03, 10, []expectation{
			{"any equivalent", anyOf(Equivalent), 0, 73, nil},
		}},
		{"a = b, no starts", []float64{100, 100}, 0, 15, []expectation{
			{"equivalent", anyOf(Equivalent), 900, experiments, nil},
		}},
		{"a = 1.03 b, no starts", []float64{103, 100}, 0, 15, []expectation{
			{"equivalent", anyOf(Equivalent), 0, 73, nil}, falseBounds(1.03),
		}},
		{"a = b, starts of 10 %", []float64{100, 100}, 0.1, 8, []expectation{
			{"inconclusive", anyOf(Inconclusive), 927, experiments, nil},
		}},
	} {
		random := rand.New(rand.NewPCG(37, uint64(i)))
		counts := make(tallies, len(s.expect))
		for range experiments {
			m := newWandering(random, 5)
			r, err := Judge(m.measured(s.blocks, s.levels, s.starts, m.inTurns), Options{Delta: delta})
			if err != nil {
				t.Fatal(err)
			}
			counts.add(s.expect, r)
		}
		for j, e := range s.expect {
			fmt.Fprintf(&table, "| %s | %d | %s | %s | %s |\n", s.says, s.blocks, e.says, counts.cell(j, e), e.bounds())
			if n := counts[j].n; n < e.atLeast || n > e.atMost {
				t.Errorf("%s: %q in %d of %d, must be %s", s.says, e.says, n, experiments, e.bounds())
			}
		}
	}
	documented(t, "turns-rates", table.String())
}
