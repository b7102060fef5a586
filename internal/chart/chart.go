// Package chart draws pictures as SVG: a canvas, scales with round ticks, axes, and marks with a title each.
//
// It knows nothing of runs: what is drawn, where and in which words is its caller's business. Every text is
// made inert and escaped, so that no name from outside becomes markup or turns the writing direction. A
// picture is a pure function of what is drawn; nothing is fetched when it is looked at.
package chart

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"bakeoff/internal/show"
)

// Colours of texts and marks.
const (
	Ink   = "#222222"
	Grey  = "#666666"
	Faint = "#dddddd"
	Blue  = "#3d85c6"
	Dark  = "#0b5394"
)

// Canvas is a picture under way. Sizes and positions are in pixels, from the left and from the top.
type Canvas struct {
	width, height int
	marks         strings.Builder
}

// New begins a picture on a white ground. The title is what is read out instead of it.
func New(width, height int, title string) *Canvas {
	c := &Canvas{width: width, height: height}
	fmt.Fprintf(&c.marks, "<title>%s</title>\n", escape(title))
	fmt.Fprintf(&c.marks, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	return c
}

// WriteTo writes the picture as an SVG file.
func (c *Canvas) WriteTo(w io.Writer) (int64, error) {
	n, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" font-family="sans-serif">`+"\n%s</svg>\n",
		c.width, c.height, c.width, c.height, c.marks.String())
	return int64(n), err
}

// Style is how a text looks.
type Style struct {
	Size   int // in pixels, 13 if zero
	Bold   bool
	Colour string // Ink if empty
	Anchor string // "middle" or "end": which part of the text stands at its place; the start if empty
}

func (s Style) attributes() string {
	size, colour := s.Size, s.Colour
	if size == 0 {
		size = 13
	}
	if colour == "" {
		colour = Ink
	}
	out := fmt.Sprintf(`font-size="%d" fill="%s"`, size, escape(colour))
	if s.Bold {
		out += ` font-weight="bold"`
	}
	if s.Anchor != "" {
		out += fmt.Sprintf(` text-anchor="%s"`, escape(s.Anchor))
	}
	return out
}

// Text writes one line; y is its base line.
func (c *Canvas) Text(x, y float64, text string, s Style) {
	fmt.Fprintf(&c.marks, `<text x="%.1f" y="%.1f" %s>%s</text>`+"\n", x, y, s.attributes(), escape(text))
}

// Label is Text clipped to so many characters, with the whole of it as its title.
func (c *Canvas) Label(x, y float64, text string, most int, s Style) {
	fmt.Fprintf(&c.marks, `<text x="%.1f" y="%.1f" %s>%s%s</text>`+"\n", x, y, s.attributes(), escape(show.Clip(text, most)), titled(text))
}

// Line draws a line.
func (c *Canvas) Line(x1, y1, x2, y2 float64, colour string, thick float64) {
	fmt.Fprintf(&c.marks, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%g"/>`+"\n", x1, y1, x2, y2, escape(colour), thick)
}

// Dot marks a value; the title says which.
func (c *Canvas) Dot(x, y float64, colour, title string) {
	fmt.Fprintf(&c.marks, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s" fill-opacity="0.65">%s</circle>`+"\n", x, y, escape(colour), titled(title))
}

func titled(title string) string { return "<title>" + escape(title) + "</title>" }

// escape makes text from outside inert, and no markup.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(show.Inert(s))) // a Builder never fails
	return b.String()
}
