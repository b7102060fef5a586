package chart

import (
	"math"
	"unicode/utf8"

	"bakeoff/internal/show"
)

const (
	tickSize = 11 // of the names of ticks
	apart    = 6  // pixels between two of them
)

// AxisBelow draws a scale from left to right under a plot that reaches from top to bottom: a line for each tick, and a name
// where there is room, of the ends first.
func (c *Canvas) AxisBelow(s Scale, top, bottom float64, name func(float64) string) {
	style := Style{Size: tickSize, Grey: true, Anchor: "middle"}
	var taken [][2]float64
	for _, i := range fromTheEnds(len(s.ticks)) {
		x, text := s.At(s.ticks[i]), name(s.ticks[i])
		c.Line(x, top, x, bottom, Grid)
		half := TextWidth(text, style)/2 + apart/2
		at := min(x, c.Width()-half) // a name at the very end stays on the canvas
		free := true
		for _, t := range taken {
			free = free && (at+half <= t[0] || at-half >= t[1])
		}
		if free {
			taken = append(taken, [2]float64{at - half, at + half})
			c.Text(at, bottom+16, text, style)
		}
	}
}

// AxisLeft draws a scale from bottom to top at the left of a plot that reaches from left to right, likewise.
func (c *Canvas) AxisLeft(s Scale, left, right float64, name func(float64) string) {
	every := 1 // even scales name every second tick, or third, where there is no room for all
	if n := len(s.ticks); s.bend == nil && n > 1 {
		every = int(math.Ceil((tickSize + 2) / math.Abs(s.At(s.ticks[1])-s.At(s.ticks[0]))))
	}
	var taken []float64
	for _, i := range fromTheEnds(len(s.ticks)) {
		y := s.At(s.ticks[i])
		c.Line(left, y, right, y, Grid)
		free := i%every == 0
		for _, t := range taken {
			free = free && math.Abs(y-t) >= tickSize+2
		}
		if free {
			taken = append(taken, y)
			c.Text(left-4, y+4, name(s.ticks[i]), Style{Size: tickSize, Grey: true, Anchor: "end"})
		}
	}
}

// fromTheEnds are the numbers below n, the first and the last before those between.
func fromTheEnds(n int) []int {
	var out []int
	for i := range n {
		switch i {
		case 0:
			out = append(out, 0)
			if n > 1 {
				out = append(out, n-1)
			}
		case n - 1:
		default:
			out = append(out, i)
		}
	}
	return out
}

// TextWidth is how many pixels a text takes at most in the usual sans-serif faces.
func TextWidth(text string, s Style) float64 {
	em := 0.0
	for _, r := range text {
		em += emOf(r)
	}
	if s.Bold {
		em *= 1.1
	}
	return em * float64(s.size())
}

// emOf is the width of a character as a multiple of the size, in DejaVu Sans, a wide face.
func emOf(r rune) float64 {
	switch {
	case r == ' ' || r == ',' || r == '.' || r == '\'' || r == '|' || r == 'i' || r == 'j' || r == 'l' || r == ':' || r == ';' || r == 'I':
		return 0.34
	case r == 'f' || r == 't' || r == 'r' || r == '(' || r == ')' || r == '[' || r == ']' || r == '-' || r == '/':
		return 0.42
	case r == 'm' || r == 'w' || r == 'M' || r == 'W' || r == '%' || r == '@':
		return 1
	case r >= 'A' && r <= 'Z':
		return 0.79
	case r < utf8.RuneSelf:
		return 0.66
	}
	return max(0.66, 0.6*float64(show.Width(string(r))))
}

// fit shortens a text to that many pixels, with an ellipsis.
func fit(text string, most float64, s Style) string {
	if TextWidth(text, s) <= most {
		return text
	}
	end := 0
	for i := range text {
		if TextWidth(text[:i]+"...", s) > most {
			break
		}
		end = i
	}
	return text[:end] + "..."
}
