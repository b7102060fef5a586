package verdict

import (
	"math"
	"math/rand/v2"
	"testing"
)

func close5(a Number, b float64) bool { return math.Abs(float64(a)-b) < 2e-6 }

// The values are those of t.test(log(a), log(b)) in R with a = c(100, 110, 105, 98, 120), b = c(90, 95, 88, 99), exp() of its estimate
// and interval; mean(x) + c(-1, 1) * qt(.975, 4) * sd(x) * sqrt(1 + 1/5) with x = log(c(100, 102, 98, 101, 99)).
func TestBetweenRuns(t *testing.T) {
	a, b := []float64{100, 110, 105, 98, 120}, []float64{90, 95, 88, 99}
	got := BetweenRuns(a, b, 1)
	if !close5(got.Ratio, 1.144397) || !close5(got.Low, 1.028301) || !close5(got.High, 1.273601) || got.Level != 0.95 || got.Excludes() != 1 {
		t.Errorf("%+v", got)
	}
	if back := BetweenRuns(b, a, 1); math.Abs(float64(back.Ratio*got.Ratio)-1) > 1e-12 || math.Abs(float64(back.Low*got.High)-1) > 1e-12 || back.Excludes() != -1 {
		t.Errorf("the other way round: %+v", back)
	}
	if wide := BetweenRuns(a, b, 10); wide.Low >= got.Low || wide.High <= got.High || wide.Level != 0.995 {
		t.Errorf("ten together: %+v", wide)
	}
	if one := BetweenRuns(a[:1], b, 1); !one.Ratio.Known() || one.Low.Known() || one.Excludes() != 0 {
		t.Errorf("one block: %+v", one)
	}
	if none := BetweenRuns(nil, b, 1); none.Ratio.Known() {
		t.Errorf("no block: %+v", none)
	}
	if same := BetweenRuns([]float64{5, 5}, []float64{4, 4}, 1); same.Low != same.High || same.Excludes() != 1 {
		t.Errorf("no spread: %+v", same)
	}
}

func TestPredict(t *testing.T) {
	earlier := []float64{100, 102, 98, 101, 99}
	got := Predict(earlier, 95, 1)
	if !close5(got.Ratio, 0.950095) || !close5(got.Low, 0.953043) || !close5(got.High, 1.049271) || got.Excludes() != 0 {
		t.Errorf("%+v", got)
	}
	if few := Predict(earlier[:4], 95, 1); !few.Ratio.Known() || few.Low.Known() {
		t.Errorf("four earlier runs: %+v", few)
	}
}

// Of two equal runs, and of a run like the earlier ones, about one in twenty is outside of the interval.
func TestIntervalsOfRunsHold(t *testing.T) {
	draw := rand.New(rand.NewPCG(5, 5))
	values := func(n int) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = 1000 * math.Exp(0.05*draw.NormFloat64())
		}
		return out
	}
	apart, outside := 0, 0
	for range 1000 {
		if BetweenRuns(values(7), values(9), 1).Excludes() != 0 {
			apart++
		}
		p := Predict(values(6), values(1)[0], 1)
		if p.Ratio < p.Low || p.Ratio > p.High {
			outside++
		}
	}
	if apart < 29 || apart > 73 || outside < 29 || outside > 73 {
		t.Errorf("of 1,000: %d apart, %d outside; both must be 29 to 73", apart, outside)
	}
}
