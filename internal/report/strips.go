package report

import (
	"bakeoff/internal/chart"
)

// Widths of a picture, in pixels: on a desk, and on a phone.
const (
	deskWidth  = 900
	phoneWidth = 350
)

const (
	leftOf    = 58 // for the names of ticks on the left
	rightOf   = 14
	nameLine  = 24 // a row's name, above its plot
	betweenOf = 14
	belowOf   = 46 // names of ticks and of the axis, under the last plot
)

// strips are plots below each other that share their axis from left to right: a row for each target.
type strips struct {
	title string                                    // read out instead of the picture
	about string                                    // what runs from bottom to top, above the first row
	below string                                    // what runs from left to right, under the last
	x     func(from, to float64) chart.Scale        // from left to right
	names func(float64) string                      // of its ticks
	over  func(*chart.Canvas, chart.Scale, float64) // draws above the first row, whose top is given; nil: nothing
	rows  []strip
}

type strip struct {
	name, figure string // above the plot, left and right
	height       float64
	y            func(from, to float64) chart.Scale
	names        func(float64) string
	draw         func(c *chart.Canvas, x, y chart.Scale)
}

// height of the picture.
func (s strips) height() float64 {
	h := float64(belowOf)
	if s.about != "" {
		h += nameLine
	}
	if s.over != nil {
		h += nameLine
	}
	for _, r := range s.rows {
		h += r.above() + r.height + betweenOf
	}
	return h
}

// above is the room for what is above the plot.
func (r strip) above() float64 {
	if r.name == "" {
		return 8
	}
	return nameLine
}

// draw draws the rows on a canvas of that width, from a height on.
func (s strips) draw(c *chart.Canvas, top float64) {
	left, right := float64(leftOf), c.Width()-rightOf
	x := s.x(left, right)
	small := chart.Style{Size: 11, Grey: true}
	note := ""
	if len(s.rows) > 0 {
		note = s.rows[0].y(1, 0).Note()
	}
	if s.about != "" {
		c.Label(4, top+12, joined(s.about, note), c.Width()-8, small)
		top += nameLine
	}
	if s.over != nil {
		s.over(c, x, top)
		top += nameLine
	}
	for i, r := range s.rows {
		above := top + r.above()
		c.Text(right, top+14, r.figure, chart.Style{Size: 12, Anchor: "end"})
		c.Label(4, top+14, r.name, right-12-chart.TextWidth(r.figure, chart.Style{Size: 12}), chart.Style{Bold: true})
		y := r.y(above+r.height, above)
		names := s.names
		if i < len(s.rows)-1 {
			names = func(float64) string { return "" }
		}
		c.AxisBelow(x, above, above+r.height, names)
		c.AxisLeft(y, left, right, r.names)
		r.draw(c, x, y)
		top = above + r.height + betweenOf
	}
	c.Label(4, top+24, joined(s.below, x.Note()), right-4, small)
}

// joined puts what must be said of an axis behind its name.
func joined(name, note string) string {
	if note == "" {
		return name
	}
	return name + " (" + note + ")"
}

// canvas draws the strips alone.
func (s strips) canvas(width int) *chart.Canvas {
	c := chart.New(width, int(s.height()), s.title)
	s.draw(c, 0)
	return c
}

// drawn is a way to draw a figure, on a desk and on a phone.
func drawn(label string, draw func(width int) *chart.Canvas) picture {
	return picture{label: label, wide: draw(deskWidth).Fragment(), narrow: draw(phoneWidth).Fragment()}
}

// scales are the even and the logarithmic way to draw a figure.
func scales(draw func(width int, log bool) *chart.Canvas) []picture {
	return []picture{
		drawn("linear, from zero", func(width int) *chart.Canvas { return draw(width, false) }),
		drawn("logarithmic", func(width int) *chart.Canvas { return draw(width, true) }),
	}
}
