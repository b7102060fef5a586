package verdict

import "math"

// Detectable is the smallest true difference, as a fraction, that n blocks show with a power of 80 % where log-ratios spread by
// sd: a two-sided paired t-test at 0.05 / pairs. It is +Inf where no difference below a factor of a thousand does.
func Detectable(n int, sd float64, pairs int) float64 {
	p, low, high := alpha/float64(pairs), 0.0, math.Log(1000)
	if n < 2 || Power(n, sd, high, p) < wantedPower {
		return math.Inf(1)
	}
	for range 60 {
		if middle := (low + high) / 2; Power(n, sd, middle, p) < wantedPower {
			low = middle
		} else {
			high = middle
		}
	}
	return math.Expm1(high)
}
