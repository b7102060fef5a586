package verdict

import (
	"math"
	"math/rand/v2"
	"testing"
)

func nearly(t *testing.T, what string, got Number, want float64) {
	t.Helper()
	if math.Abs(float64(got)-want) > 1e-6*math.Max(1, math.Abs(want)) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// The mean of logarithms with its t-interval, and that of values where one is 0. With R: exp(t.test(log(c(1,2,4)))$conf.int).
func TestMeanOf(t *testing.T) {
	e := MeanOf([]float64{1, 2, 4}, 1)
	nearly(t, "mean", e.Value, 2)
	half := 4.302652729696142 * math.Ln2 / math.Sqrt(3)
	nearly(t, "low", e.Low, 2*math.Exp(-half))
	nearly(t, "high", e.High, 2*math.Exp(half))
	nearly(t, "level", e.Level, 0.95)
	if wide := MeanOf([]float64{1, 2, 4}, 10); wide.Low >= e.Low || wide.High <= e.High {
		t.Errorf("ten intervals together are no wider: %+v, one is %+v", wide, e)
	}
	e = MeanOf([]float64{0, 0, 0}, 1)
	nearly(t, "mean of zeros", e.Value, 0)
	nearly(t, "high of zeros", e.High, 0)
	e = MeanOf([]float64{0, 1, 2}, 1)
	nearly(t, "mean with a zero", e.Value, 1)
	nearly(t, "low with a zero", e.Low, 1-4.302652729696142/math.Sqrt(3))
	for _, few := range [][]float64{nil, {3}} {
		if e := MeanOf(few, 1); e.Known() {
			t.Errorf("%v has an interval: %+v", few, e)
		}
	}
}

// None of a hundred requests shows little, none of a million much; blocks that differ widen the interval. The exact bounds are
// those of R's binom.test(0, 200) and binom.test(20, 200).
func TestShareOf(t *testing.T) {
	e := ShareOf([]int64{0, 0}, []int64{100, 100}, 1)
	nearly(t, "share", e.Value, 0)
	nearly(t, "low", e.Low, 0)
	nearly(t, "high", e.High, 1-math.Pow(0.025, 1.0/200))
	e = ShareOf([]int64{10, 10}, []int64{100, 100}, 1)
	nearly(t, "share of ten", e.Value, 0.1)
	if math.Abs(float64(e.Low)-0.0622) > 5e-4 || math.Abs(float64(e.High)-0.1502) > 5e-4 {
		t.Errorf("20 of 200: %+v", e)
	}
	if e := ShareOf([]int64{0, 20}, []int64{100, 100}, 1); e.High < 0.9 {
		t.Errorf("blocks of 0 and 20 %% have the interval %+v", e)
	}
	if e := ShareOf([]int64{1, 0}, []int64{100, 0}, 1); e.Known() || e.Value != 0.01 {
		t.Errorf("one block with requests: %+v", e)
	}
	if e := ShareOf(nil, nil, 1); e.Known() || e.Value.Known() {
		t.Errorf("no block: %+v", e)
	}
}

// The interval holds as often as it says.
func TestMeanOfCovers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	covered := 0
	const runs = 1000
	for range runs {
		values := make([]float64, 7)
		for i := range values {
			values[i] = 100 * math.Exp(0.05*r.NormFloat64())
		}
		if e := MeanOf(values, 1); e.Low <= 100 && e.High >= 100 {
			covered++
		}
	}
	if covered < 930 || covered > 970 {
		t.Errorf("%d of %d intervals hold the mean", covered, runs)
	}
}
