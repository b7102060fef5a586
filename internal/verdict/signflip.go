package verdict

import (
	"math"
	"math/rand/v2"
	"slices"
)

const (
	exactFlips = 20   // blocks; up to here all 2^n signs are tried
	drawnFlips = 9999 // draws where there are more blocks
)

// signFlip is the p value of the two-sided sign-flip test (Fisher 1935): how often the sum of the values is as far from
// 0 as it is, or farther, when each value could as well have had the other sign. All 2^n signs
// up to 20 values; above, 9,999 draws from the seed, with the data as one more. least is the smallest p that is possible.
func signFlip(x []float64, seed uint64) (p, least float64) {
	size := make([]float64, len(x))
	for i, v := range x {
		size[i] = math.Abs(v)
	}
	slices.Sort(size) // the order of blocks must not matter
	reached := math.Abs(sum(x))
	reached -= 1e-12 * ascending(size) // sums that differ in their last bits are equal
	if len(x) <= exactFlips {
		all := math.Exp2(float64(len(x)))
		return float64(reaching(size, reached)) / all, 2 / all
	}
	return float64(1+drawn(size, reached, seed)) / (drawnFlips + 1), 1.0 / (drawnFlips + 1)
}

// reaching counts the signs, of all 2^n, whose sum is at least so far from 0. The sums of each half of the
// values are sorted; for each sum of one half those of the other that reach far enough are then a
// stretch at each end, which only moves on.
func reaching(size []float64, least float64) int {
	left, right := sums(size[:len(size)/2]), sums(size[len(size)/2:])
	count, above := 0, len(right) // right[above:] reach +least together with the left one
	for _, v := range left {
		for above > 0 && v+right[above-1] >= least {
			above--
		}
		count += len(right) - above
	}
	if least <= 0 {
		return len(left) * len(right)
	}
	return 2 * count // every sum has its negative
}

// sums are all sums of the values with either sign, ascending.
func sums(size []float64) []float64 {
	out := []float64{0}
	for _, v := range size {
		for _, s := range out {
			out = append(out, s+v)
		}
		for i := range len(out) / 2 {
			out[i] -= v
		}
	}
	slices.Sort(out)
	return out
}

// drawn counts the draws of signs whose sum is at least so far from 0.
func drawn(size []float64, least float64, seed uint64) int {
	random := rand.New(rand.NewPCG(seed, 0))
	count := 0
	for range drawnFlips {
		total, bits := 0.0, uint64(0)
		for i, v := range size {
			if i%64 == 0 {
				bits = random.Uint64()
			}
			if bits&1 == 0 {
				v = -v
			}
			total += v
			bits >>= 1
		}
		if math.Abs(total) >= least {
			count++
		}
	}
	return count
}
