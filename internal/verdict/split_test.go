package verdict

import (
	"math"
	"math/rand/v2"
	"testing"
)

// partsOf are the log-ratios of the parts of blocks, with known spreads: of starts, and of each part.
func partsOf(random *rand.Rand, blocks, parts int, starts, part float64) [][]float64 {
	out := make([][]float64, blocks)
	for i := range out {
		start := starts * random.NormFloat64()
		for range parts {
			out[i] = append(out[i], 0.2+start+part*random.NormFloat64())
		}
	}
	return out
}

// The spreads that figures were made with are found again: their squares are right on average, within 5 % of the sum of both.
func TestSplitFindsTheTruth(t *testing.T) {
	for i, c := range []struct {
		blocks, parts int
		starts, part  float64
	}{
		{7, 4, 0.03, 0.02}, {7, 4, 0.01, 0.04}, {14, 2, 0.02, 0.02}, {7, 16, 0.02, 0.08},
	} {
		random := rand.New(rand.NewPCG(12, uint64(i)))
		within, starts := 0.0, 0.0
		for range experiments {
			parts := partsOf(random, c.blocks, c.parts, c.starts, c.part)
			v := variancesOf(parts)
			within += v.within / experiments
			starts += v.starts / experiments
			s, ok := NewSplit("a", "b", parts)
			if square := float64(s.Starts * s.Starts); math.Abs(square-max(0, v.starts)) > 1e-12 {
				t.Fatalf("%+v of %+v", s, v)
			}
			if !ok || s.Blocks != c.blocks || s.Parts != Number(c.parts) {
				t.Fatalf("%+v, %v", s, ok)
			}
		}
		wantWithin, wantStarts := c.part*c.part/float64(c.parts), c.starts*c.starts
		if sum := wantWithin + wantStarts; math.Abs(within-wantWithin) > 0.05*sum || math.Abs(starts-wantStarts) > 0.05*sum {
			t.Errorf("%+v: variances of %.3g within and %.3g of starts, want %.3g and %.3g", c, within, starts, wantWithin, wantStarts)
		}
	}
}

// Without luck of starts nothing much is put down to them, and without spread within blocks nothing to that.
func TestSplitOfOneKind(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 1))
	if s, _ := NewSplit("a", "b", partsOf(random, 400, 4, 0, 0.04)); s.Starts > 0.008 || math.Abs(float64(s.Within)-0.02) > 0.001 {
		t.Errorf("no starts: %+v", s)
	}
	if s, _ := NewSplit("a", "b", partsOf(random, 400, 4, 0.02, 0)); s.Within > 1e-9 || math.Abs(float64(s.Starts)-0.02) > 0.002 {
		t.Errorf("only starts: %+v", s)
	}
	for _, few := range [][][]float64{nil, {{1, 2, 3}}, {{1, 2}, {1}, nil}} {
		if s, ok := NewSplit("a", "b", few); ok {
			t.Errorf("%v has a split: %+v", few, s)
		}
	}
}

// What twice the time would do is what it does: the advice is compared with blocks that are really twice as many, or longer.
func TestHalvesComeTrue(t *testing.T) {
	const blocks, parts, measured, besides = 8, 4, 4.0, 4.0 // twice the time: 16 blocks, or blocks three times as long
	for i, c := range []struct {
		starts, part float64
		more         bool
	}{{0.03, 0.02, true}, {0.005, 0.06, false}} {
		random := rand.New(rand.NewPCG(14, uint64(i)))
		mean := func(blocks, parts int) float64 { // root mean square of the half-widths
			total := 0.0
			for range experiments {
				s, _ := NewSplit("a", "b", partsOf(random, blocks, parts, c.starts, c.part))
				total += float64(s.Halves(1, measured, besides).Now*s.Halves(1, measured, besides).Now) / experiments
			}
			return math.Sqrt(total)
		}
		truth := Split{Blocks: blocks, Within: Number(c.part / math.Sqrt(parts)), Starts: Number(c.starts)}
		says := truth.Halves(1, measured, besides)
		for name, pair := range map[string][2]float64{
			"now":    {float64(says.Now), mean(blocks, parts)},
			"more":   {float64(says.More), mean(2*blocks, parts)},
			"longer": {float64(says.Longer), mean(blocks, 3*parts)},
		} {
			if math.Abs(pair[0]/pair[1]-1) > 0.1 {
				t.Errorf("starts of %v, parts of %v: %s: said +-%.4f, came to +-%.4f", c.starts, c.part, name, pair[0], pair[1])
			}
		}
		if says.MoreBlocks() != c.more || says.Length != 3 {
			t.Errorf("starts of %v, parts of %v: %+v", c.starts, c.part, says)
		}
	}
}
