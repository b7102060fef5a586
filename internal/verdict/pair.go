package verdict

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// resolution is the spread of log-ratios below which it is that of floating-point numbers: no spread at all.
const resolution = 1e-12

// pair holds the log-ratios ln(a/b) of two targets, one a block, and what follows from them.
type pair struct {
	a, b     string
	x        []float64
	n        int
	mean, sd float64 // NaN with no block; sd NaN with one
}

func newPair(a, b string, x []float64) pair {
	p := pair{a: a, b: b, x: x, n: len(x), mean: math.NaN(), sd: math.NaN()}
	if p.n == 0 {
		return p
	}
	p.mean = sum(x) / float64(p.n)
	if p.n == 1 {
		return p
	}
	squares := make([]float64, p.n)
	for i, v := range x {
		squares[i] = (v - p.mean) * (v - p.mean)
	}
	p.sd = math.Sqrt(sum(squares) / float64(p.n-1))
	if p.sd < resolution {
		p.sd = 0
	}
	return p
}

// sum does not depend on the order of its terms, and changes its sign with theirs: to the last bit.
func sum(x []float64) float64 {
	var up, down []float64
	for _, v := range x {
		if v < 0 {
			down = append(down, -v)
		} else {
			up = append(up, v)
		}
	}
	return ascending(up) - ascending(down)
}

func ascending(x []float64) float64 {
	slices.Sort(x)
	total := 0.0
	for _, v := range x {
		total += v
	}
	return total
}

// se is the standard error of the mean.
func (p pair) se() float64 { return p.sd / math.Sqrt(float64(p.n)) }

// beyond is the probability that Student's t with n-1 degrees of freedom lies above t.
// Without spread every difference is infinitely many standard errors away, and none is 0.
func (p pair) beyond(distance float64) float64 {
	switch {
	case p.n < 2:
		return 1
	case p.sd > 0:
		return student(p.n).CDF(-distance / p.se())
	case distance > resolution:
		return 0
	}
	return 1
}

// pDifferent is the p value of the two-sided paired t-test (Student 1908) against no difference.
func (p pair) pDifferent() float64 { return min(1, 2*p.beyond(math.Abs(p.mean))) }

// pEquivalent is the greater p of two one-sided t-tests (Schuirmann 1987): that the ratio is above
// -margin, and below +margin.
func (p pair) pEquivalent(margin float64) float64 { return p.beyond(margin - math.Abs(p.mean)) }

// interval is that of the mean, at a level of 1 - 0.05/pairs (Bonferroni).
func (p pair) interval(pairs int) (low, high float64) {
	if p.n < 2 {
		return math.NaN(), math.NaN()
	}
	half := critical(p.n, alpha/float64(pairs)) * p.se()
	return p.mean - half, p.mean + half
}

// atLeast is the end of the interval nearest to no difference, as a fraction of the smaller figure.
func (p pair) atLeast(pairs int) Number {
	low, high := p.interval(pairs)
	bound := low
	if p.mean < 0 {
		bound = -high
	}
	if !(bound > 0) {
		return unknown
	}
	return Number(math.Expm1(bound))
}

// claim decides, from p values adjusted over all pairs.
func (p pair) claim(o Options, different, equivalent float64) Claim {
	beyond := math.Abs(p.mean) > o.margin()
	switch {
	case different <= alpha && beyond && p.mean*o.sign() > 0:
		return Better
	case different <= alpha && beyond:
		return Worse
	case equivalent <= alpha:
		return Equivalent
	}
	return Inconclusive
}

// comparison is all that the pair says for itself, without a verdict.
func (p pair) comparison(o Options, pairs int) Comparison {
	low, high := p.interval(pairs)
	c := Comparison{
		A: p.a, B: p.b, Ratio: exp(p.mean), Low: exp(low), High: exp(high), Level: Number(1 - alpha/float64(pairs)),
		AtLeast: unknown, P: unknown, PHolm: unknown, PEquivalent: unknown, PSignFlip: unknown, PSignFlipLeast: unknown,
		Verdict: Inconclusive, Blocks: p.n,
	}
	if p.n < 2 {
		return c
	}
	flip, least := signFlip(p.x, o.Seed)
	c.P, c.PSignFlip, c.PSignFlipLeast = Number(p.pDifferent()), Number(flip), Number(least)
	c.BlocksNeeded = Needed(max(blocksNeeded(p.sd, o.margin(), alpha/float64(pairs)), FewestBlocks(pairs)))
	return c
}

func exp(x float64) Number { return Number(math.Exp(x)) }

// student is Student's t for the mean of n values.
func student(n int) distuv.StudentsT { return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(n - 1)} }

// critical is the t that n values exceed, on either side, with probability p.
func critical(n int, p float64) float64 { return -student(n).Quantile(p / 2) }
