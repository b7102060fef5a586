package verdict

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

const (
	wantedPower = 0.8
	mostBlocks  = 1_000_000 // more are not counted
)

// blocksNeeded is the smallest number of blocks, from 2 to a million, with which a two-sided paired t-test at p shows a true difference of
// margin in 80 % of runs, when log-ratios spread by sd. The search begins where a known spread would put it,
// ((z(1 - p/2) + z(0.8)) sd / margin)^2, plus z(1 - p/2)^2 / 2 for the spread being estimated.
func blocksNeeded(sd, margin, p float64) int {
	z := distuv.UnitNormal.Quantile(1 - p/2)
	root := (z + distuv.UnitNormal.Quantile(wantedPower)) * sd / margin
	if root*root >= mostBlocks {
		return mostBlocks
	}
	enough := func(n int) bool { return Power(n, sd, margin, p) >= wantedPower }
	n := max(2, int(root*root+z*z/2))
	for n > 2 && enough(n-1) {
		n--
	}
	for n < mostBlocks && !enough(n) {
		n++
	}
	return n
}

// Power is the probability, to six digits from n = 4, that a two-sided paired t-test at p over n >= 2 blocks shows a true log-ratio of
// difference, when log-ratios spread by sd. The statistic is then noncentral t, (Z + m) / U with m = difference sqrt(n) / sd, Z normal,
// and U^2 a chi-square over its n - 1 degrees of freedom (Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions 2,
// chapter 31), so the power is the mean over U of P(|Z + m| > t U). R: power.t.test(..., type = "paired", strict = TRUE).
func Power(n int, sd, difference, p float64) float64 {
	if sd == 0 {
		return 1
	}
	t, m := critical(n, p), difference*math.Sqrt(float64(n))/sd
	return meanOverU(n-1, func(u float64) float64 {
		return distuv.UnitNormal.CDF(m-t*u) + distuv.UnitNormal.CDF(-m-t*u)
	})
}

// meanOverU is the mean of f(U) by Simpson's rule, where U^2 is a chi-square over its df degrees of freedom.
func meanOverU(df int, f func(u float64) float64) float64 {
	const steps = 100 // even
	v := float64(df)
	half, _ := math.Lgamma(v / 2)
	constant := math.Ln2 + v/2*math.Log(v/2) - half
	wide := 9 / math.Sqrt(2*v) // U lies within 9 of its standard deviations of 1
	from, to := math.Max(0, 1-wide), 1+wide
	step := (to - from) / steps
	total, weights := 0.0, 0.0
	for i := range steps + 1 {
		u := from + float64(i)*step
		w := math.Exp(constant + (v-1)*math.Log(math.Max(u, 1e-300)) - v/2*u*u)
		switch {
		case i == 0 || i == steps:
		case i%2 == 1:
			w *= 4
		default:
			w *= 2
		}
		total, weights = total+w*f(u), weights+w
	}
	return total / weights
}
