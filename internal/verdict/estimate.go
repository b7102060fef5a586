package verdict

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Estimate is a figure over blocks with an interval around it, which holds with the probability Level; NaN where there is none.
type Estimate struct {
	Value Number `json:"value"`
	Low   Number `json:"low"`
	High  Number `json:"high"`
	Level Number `json:"level"`
}

// MeanOf is the mean of a figure over blocks with the interval of Student's t, widened so that all intervals hold
// together with 95 % (Bonferroni): of logarithms, and the geometric mean, where all values are above 0; else of the values.
// With one block there is no interval.
func MeanOf(values []float64, together int) Estimate {
	out := Estimate{Value: unknown, Low: unknown, High: unknown, Level: levelOf(together)}
	if slices.ContainsFunc(values, func(v float64) bool { return !(v > 0) }) {
		p := newPair("", "", values)
		low, high := p.interval(max(together, 1))
		out.Value, out.Low, out.High = Number(p.mean), Number(low), Number(high)
		return out
	}
	p := logs(values)
	low, high := p.interval(max(together, 1))
	out.Value, out.Low, out.High = exp(p.mean), exp(low), exp(high)
	return out
}

// ShareOf is how large a share n of planned requests are over blocks. The interval is widened as that of MeanOf, and it
// reaches as far as the wider one of two: Student's t over the shares of blocks, and the exact one of a share that is the
// same in all blocks. The first covers that blocks differ, the second that few requests show little, such as none of a hundred.
//
// Source: Clopper and Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial, Biometrika 1934.
func ShareOf(n, planned []int64, together int) Estimate {
	out := Estimate{Value: unknown, Low: unknown, High: unknown, Level: levelOf(together)}
	var all, some int64
	var shares []float64
	for i, of := range planned {
		if of > 0 {
			all, some = all+of, some+n[i]
			shares = append(shares, float64(n[i])/float64(of))
		}
	}
	if all == 0 {
		return out
	}
	out.Value = Number(float64(some) / float64(all))
	if len(shares) < 2 {
		return out
	}
	p := newPair("", "", shares)
	low, high := p.interval(max(together, 1))
	least, most := exactShare(some, all, 1-float64(out.Level))
	out.Low, out.High = Number(max(0, min(low, least))), Number(min(1, max(high, most)))
	return out
}

// exactShare are the bounds that a share exceeds, on either side, with a probability of at most p.
func exactShare(n, of int64, p float64) (low, high float64) {
	high = 1
	if n > 0 {
		low = distuv.Beta{Alpha: float64(n), Beta: float64(of - n + 1)}.Quantile(p / 2)
	}
	if n < of {
		high = distuv.Beta{Alpha: float64(n + 1), Beta: float64(of - n)}.Quantile(1 - p/2)
	}
	return low, high
}

// levelOf is the level of each of several intervals that hold together with 95 %.
func levelOf(together int) Number { return Number(1 - alpha/float64(max(together, 1))) }

// Known reports whether there is an interval; its upper end may be infinite.
func (e Estimate) Known() bool { return !math.IsNaN(float64(e.Low)) && !math.IsNaN(float64(e.High)) }
