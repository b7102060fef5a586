package verdict

import (
	"math"
	"math/rand/v2"
	"testing"
)

// What an outlook says happens as often in simulated runs, within four standard errors of 1,000.
func TestOutlooksSimulated(t *testing.T) {
	for i, c := range []struct {
		cv     float64 // of single values: log-ratios spread by sqrt(2) times this
		blocks int
	}{{0.02, 6}, {0.02, 10}, {0.04, 14}, {0.01, 8}, {0.05, 20}} {
		says := Outlooks(c.cv*math.Sqrt2, 0.03, 0.05, 1, c.blocks, c.blocks)[0]
		random := rand.New(rand.NewPCG(23, uint64(i)))
		for _, of := range []struct {
			what  string
			ratio float64
			claim Claim
			says  float64
		}{{"better", 1.05, Better, says.Better}, {"equivalent", 1, Equivalent, says.Equivalent}} {
			n := 0
			for range experiments {
				r, err := Judge(two(of.ratio, c.cv, normal, c.blocks).run(random), Options{Delta: 0.03})
				if err != nil {
					t.Fatal(err)
				}
				if r.Comparisons[0].Verdict == of.claim {
					n++
				}
			}
			got, se := float64(n)/experiments, math.Sqrt(max(of.says*(1-of.says), 0.0005)/experiments)
			if math.Abs(got-of.says) > 4*se {
				t.Errorf("CV %v, %d blocks: %s in %.3f of runs, the outlook says %.3f", c.cv, c.blocks, of.what, got, of.says)
			}
		}
	}
}

// More blocks show more, more pairs and more spread less, and too few blocks nothing.
func TestOutlooksInOrder(t *testing.T) {
	one, ten := Outlooks(0.04, 0.03, 0.05, 1, 5, 20), Outlooks(0.04, 0.03, 0.05, 10, 5, 20)
	for i, o := range one {
		if o.Blocks < 6 != (o.Better == 0) || ten[i].Blocks < 9 != (ten[i].Better == 0) {
			t.Errorf("%+v, of ten pairs %+v", o, ten[i])
		}
		if i > 1 && (o.Better <= one[i-1].Better || o.Equivalent < one[i-1].Equivalent) || o.Better < ten[i].Better {
			t.Errorf("%+v behind %+v, of ten pairs %+v", o, one[max(i-1, 0)], ten[i])
		}
	}
	if o := Outlooks(0, 0.03, 0.05, 1, 6, 6)[0]; o.Better != 1 || o.Equivalent != 1 {
		t.Errorf("without spread %+v", o)
	}
}

// The spread is what the interval was made of; its upper bound is R's sqrt(3 / qchisq(0.2, 3)) = 1.7277 times that for four blocks.
func TestSpreadOfAPair(t *testing.T) {
	r := judge(t, map[string][]float64{"a": {100, 104, 99, 107}, "b": {100, 100, 100, 100}}, Options{Delta: 0.03})
	want := newPair("a", "b", []float64{0, math.Log(1.04), math.Log(0.99), math.Log(1.07)}).sd
	near(t, "sd", r.Comparisons[0].SD(), want)
	if got := UpperSD(1, 4); math.Abs(got-math.Sqrt(3/1.005174)) > 1e-6 {
		t.Errorf("the upper bound is %v", got)
	}
}
