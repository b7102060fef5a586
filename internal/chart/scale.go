package chart

import "math"

// Scale maps values to places on a canvas, evenly.
type Scale struct {
	low, high float64 // of the values
	step      float64 // between ticks
	from, to  float64 // of the places
}

// FromZero returns a scale from zero to a round number that holds every value, from one place to another:
// lengths and distances on it may be compared. Values are not negative.
func FromZero(values []float64, from, to float64) Scale {
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	step := roundStep(most)
	return Scale{high: step * max(1, math.Ceil(most/step-1e-9)), step: step, from: from, to: to}
}

// At returns the place of a value.
func (s Scale) At(v float64) float64 {
	return s.from + (s.to-s.from)*(v-s.low)/(s.high-s.low)
}

// Ticks returns the round values that the axis names, both ends among them.
func (s Scale) Ticks() []float64 {
	var out []float64
	for i := range int(math.Round((s.high-s.low)/s.step)) + 1 {
		out = append(out, s.low+float64(i)*s.step)
	}
	return out
}

// roundStep is a round distance between ticks, of which about five cover most.
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

// AxisBelow draws a scale from left to right under a plot that reaches from top to bottom: a line and a name
// for each tick.
func (c *Canvas) AxisBelow(s Scale, top, bottom float64, name func(float64) string) {
	for _, v := range s.Ticks() {
		c.Line(s.At(v), top, s.At(v), bottom, Faint, 1)
		c.Text(s.At(v), bottom+14, name(v), Style{Size: 11, Colour: Grey, Anchor: "middle"})
	}
}
