package verdict

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Interval is a ratio with an interval around it, which holds with the probability Level; NaN where there is none.
type Interval struct {
	Ratio Number `json:"ratio"`
	Low   Number `json:"low"`
	High  Number `json:"high"`
	Level Number `json:"level"`
}

// Excludes says on which side the interval excludes a ratio of 1: -1 below it, 1 above it, 0 it does not.
func (i Interval) Excludes() int {
	switch {
	case i.High < 1:
		return -1
	case i.Low > 1:
		return 1
	}
	return 0
}

// BetweenRuns compares the block values of one target in two runs: the ratio of the geometric means of a and b, with the
// interval of Welch's t for the difference of the means of logarithms, widened so that all the intervals hold together with
// 95 % (Bonferroni). Blocks of two runs are no pairs. The interval covers what varies within the runs, not from run to run.
//
// Source: Welch, The generalization of "Student's" problem when several different population variances are involved,
// Biometrika 1947.
func BetweenRuns(a, b []float64, together int) Interval {
	x, y := logs(a), logs(b)
	out := Interval{Ratio: unknown, Low: unknown, High: unknown, Level: Number(1 - alpha/float64(max(together, 1)))}
	if x.n == 0 || y.n == 0 {
		return out
	}
	difference := x.mean - y.mean
	out.Ratio = exp(difference)
	if x.n < 2 || y.n < 2 {
		return out
	}
	u, v := x.se()*x.se(), y.se()*y.se()
	half := 0.0
	if u+v > 0 {
		df := (u + v) * (u + v) / (u*u/float64(x.n-1) + v*v/float64(y.n-1))
		half = distuv.StudentsT{Sigma: 1, Nu: df}.Quantile(1-alpha/2/float64(max(together, 1))) * math.Sqrt(u+v)
	}
	out.Low, out.High = exp(difference-half), exp(difference+half)
	return out
}

// FewestEarlier is the fewest earlier runs from which the next one can be predicted.
const FewestEarlier = 5

// Predict is where the next run's figure is expected, as ratios to the geometric mean of n earlier ones: the interval
// +-t(n-1) s sqrt(1 + 1/n) of the logarithms, widened so that all predictions hold together with 95 %. Ratio is that of the figure
// next. With fewer than five earlier ones low and high are not known.
func Predict(earlier []float64, next float64, together int) Interval {
	x := logs(earlier)
	out := Interval{Ratio: unknown, Low: unknown, High: unknown, Level: Number(1 - alpha/float64(max(together, 1)))}
	if x.n == 0 || !(next > 0) {
		return out
	}
	out.Ratio = exp(math.Log(next) - x.mean)
	if x.n < FewestEarlier {
		return out
	}
	half := student(x.n).Quantile(1-alpha/2/float64(max(together, 1))) * x.sd * math.Sqrt(1+1/float64(x.n))
	out.Low, out.High = exp(-half), exp(half)
	return out
}

// GeometricMean of figures above 0; NaN of none.
func GeometricMean(values []float64) Number { return exp(logs(values).mean) }

// logs are the logarithms of figures as a sample.
func logs(values []float64) pair {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = math.Log(v)
	}
	return newPair("", "", out)
}
