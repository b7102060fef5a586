package verdict

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// An Outlook is how likely a number of blocks is to show something of a pair of targets, if log-ratios spread as assumed.
type Outlook struct {
	Blocks     int     `json:"blocks"`
	Better     float64 `json:"better"`     // a true difference is called better
	Equivalent float64 `json:"equivalent"` // none is called equivalent
}

// Outlooks are those of from to to blocks, for one of that many pairs, when log-ratios spread by sd. The true difference that is to be
// called better is ln(1 + difference). As in a verdict, better takes a two-sided t-test at 0.05 / pairs and an estimate beyond delta,
// equivalent two one-sided ones at that level. Holm's method shows somewhat more than is said here.
func Outlooks(sd, delta, difference float64, pairs, from, to int) []Outlook {
	var out []Outlook
	p := alpha / float64(pairs)
	for n := from; n <= to; n++ {
		o := Outlook{Blocks: n}
		if n >= FewestBlocks(pairs) {
			o.Better, o.Equivalent = betterAt(n, sd, math.Log1p(difference), math.Log1p(delta), p), equivalentAt(n, sd, math.Log1p(delta), p)
		}
		out = append(out, o)
	}
	return out
}

// betterAt is the probability that the estimate lies beyond the margin and its t above the critical one.
func betterAt(n int, sd, difference, margin, p float64) float64 {
	if sd == 0 {
		return boolean(difference > margin)
	}
	t, root := critical(n, p), math.Sqrt(float64(n))/sd
	return meanOverU(n-1, func(u float64) float64 {
		return distuv.UnitNormal.CDF(difference*root - max(t*u, margin*root))
	})
}

// equivalentAt is the probability that both ends of the interval lie within the margin where there is no difference.
func equivalentAt(n int, sd, margin, p float64) float64 {
	if sd == 0 {
		return 1
	}
	t, m := critical(n, 2*p), margin*math.Sqrt(float64(n))/sd
	return meanOverU(n-1, func(u float64) float64 {
		return max(0, 2*distuv.UnitNormal.CDF(m-t*u)-1)
	})
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// SD is the spread of the pair's log-ratios from block to block; NaN where it is not known.
func (c Comparison) SD() float64 {
	if c.Blocks < 2 || !c.High.Known() || !c.Ratio.Known() || math.IsInf(float64(c.High), 0) {
		return math.NaN()
	}
	half := math.Log(float64(c.High / c.Ratio))
	return half * math.Sqrt(float64(c.Blocks)) / critical(c.Blocks, 1-float64(c.Level))
}

// UpperSD is the upper 80 % confidence bound of a standard deviation of normal values, when n of them gave sd: sd sqrt((n - 1) / q) with q the
// 20 % quantile of a chi-square with n - 1 degrees of freedom.
func UpperSD(sd float64, n int) float64 {
	df := float64(n - 1)
	return sd * math.Sqrt(df/distuv.ChiSquared{K: df}.Quantile(0.2))
}
