package chart

import (
	"math"
)

// Scale maps values to places on a canvas.
type Scale struct {
	low, high float64 // of the values, bent
	ticks     []float64
	bend      func(float64) float64 // nil: evenly
	from, to  float64               // of the places
	note      string
}

// Note is what must be said of an axis that does not begin at zero, or is not even; empty for one that is both.
func (s Scale) Note() string { return s.note }

// FromZero returns a scale from zero to a round number that holds every value, from one place to another:
// lengths and distances on it may be compared. Values are not negative.
func FromZero(values []float64, from, to float64) Scale {
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	step := roundStep(most)
	high := step * max(1, math.Ceil(most/step-1e-9))
	return Scale{high: high, ticks: steps(0, high, step), from: from, to: to}
}

// Between returns an even scale of round numbers around the values, which need not begin at zero.
func Between(values []float64, from, to float64) Scale {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	if low > high {
		low, high = 0, 1
	}
	step := roundStep(max(high-low, math.Abs(high)*1e-6))
	low, high = step*math.Floor(low/step+1e-9), step*math.Ceil(high/step-1e-9)
	if low == high {
		high += step
	}
	s := Scale{low: low, high: high, ticks: steps(low, high, step), from: from, to: to}
	if low != 0 {
		s.note = "axis not from zero"
	}
	return s
}

// Log returns a logarithmic scale of round numbers around the values above zero.
func Log(values []float64, from, to float64) Scale {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if v > 0 {
			low, high = min(low, v), max(high, v)
		}
	}
	if low > high {
		low, high = 1, 10
	}
	ticks := decades(low, high)
	return Scale{
		low: math.Log10(ticks[0]), high: math.Log10(ticks[len(ticks)-1]), ticks: ticks, bend: math.Log10, from: from, to: to,
		note: "logarithmic, without a zero",
	}
}

// decades are 1, 2 and 5 times powers of ten, from the last not above low to the first not below high; powers alone where
// there would be many.
func decades(low, high float64) []float64 {
	var out []float64
	factors := []float64{1, 2, 5}
	if high/low > 1000 {
		factors = factors[:1]
	}
	for exponent := math.Floor(math.Log10(low) + 1e-9); ; exponent++ {
		for _, factor := range factors {
			v := factor * math.Pow(10, exponent)
			if v <= low*(1+1e-9) {
				out = out[:0]
			}
			out = append(out, v)
			if v >= high*(1-1e-9) && len(out) > 1 {
				return out
			}
		}
	}
}

// Nines returns a scale of percentiles, in percent, on which 90, 99 and 99.9 are equally far apart; it begins at 0 and ends at the
// last of the percentiles given.
func Nines(percents []float64, from, to float64) Scale {
	last := 90.0
	for _, p := range percents {
		last = max(last, p)
	}
	ticks := []float64{0}
	for _, p := range []float64{50, 90, 99, 99.9, 99.99, 99.999} {
		if p <= last+1e-9 {
			ticks = append(ticks, p)
		}
	}
	return Scale{high: nines(last), ticks: ticks, bend: nines, from: from, to: to, note: "each further nine as wide"}
}

// nines is how many nines a percentile has: 1 for 90, 3 for 99.9.
func nines(p float64) float64 { return -math.Log10(1 - p/100) }

// At returns the place of a value.
func (s Scale) At(v float64) float64 {
	if s.bend != nil {
		v = s.bend(v)
	}
	return s.from + (s.to-s.from)*(v-s.low)/(s.high-s.low)
}

// Ticks returns the round values that the axis names, both ends among them.
func (s Scale) Ticks() []float64 { return s.ticks }

// steps are the round values from low to high.
func steps(low, high, step float64) []float64 {
	var out []float64
	for i := range int(math.Round((high-low)/step)) + 1 {
		out = append(out, low+float64(i)*step)
	}
	return out
}

// roundStep is a round distance between ticks; about five of them cover most.
func roundStep(most float64) float64 {
	if most <= 0 {
		return 1
	}
	base := math.Pow(10, math.Floor(math.Log10(most/5)))
	for _, m := range []float64{1, 2, 5} {
		if base*m*5 >= most {
			return base * m
		}
	}
	return base * 10
}

// Counts returns a scale of the whole numbers from 1 to n, each with as much room on its left as on its right.
func Counts(n int, from, to float64) Scale {
	s := Scale{low: 0.5, high: float64(n) + 0.5, from: from, to: to}
	for i := range n {
		s.ticks = append(s.ticks, float64(i+1))
	}
	return s
}
