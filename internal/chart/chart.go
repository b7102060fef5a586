// Package chart draws pictures as SVG: a canvas, scales with round ticks, axes that say where they begin, and marks with a
// title each.
//
// It knows nothing of runs: what is drawn, where and in which words is its caller's business. Every text is
// made inert and escaped, so that no name from outside becomes markup or turns the writing direction. A
// picture is a pure function of what is drawn; nothing is fetched when it is looked at. Its colours are in a style sheet
// (CSS), for light and dark grounds: a file of its own carries it, a page holds it once for all pictures.
package chart

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"

	"bakeoff/internal/show"
)

// Canvas is a picture under way. Sizes and positions are in pixels, from the left and from the top.
type Canvas struct {
	width, height int
	title         string
	marks         strings.Builder
}

// New begins a picture. The title is what is read out instead of it.
func New(width, height int, title string) *Canvas {
	return &Canvas{width: width, height: height, title: title}
}

// Width is that of the canvas in pixels.
func (c *Canvas) Width() float64 { return float64(c.width) }

// WriteTo writes the picture as an SVG file that stands alone.
func (c *Canvas) WriteTo(w io.Writer) (int64, error) {
	n, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" class="chart" font-family="sans-serif">
<title>%s</title>
<style>%s</style>
<rect class="ground" width="%d" height="%d"/>
%s</svg>
`, c.width, c.height, c.width, c.height, escape(c.title), CSS(), c.width, c.height, c.marks.String())
	return int64(n), err
}

// Fragment is the picture for a page that has the style sheet.
func (c *Canvas) Fragment() string {
	return fmt.Sprintf(`<svg width="%d" height="%d" viewBox="0 0 %d %d" role="img" class="chart">
<title>%s</title>
%s</svg>`, c.width, c.height, c.width, c.height, escape(c.title), c.marks.String())
}

// Style is how a text looks.
type Style struct {
	Size   int // in pixels, 13 if zero
	Bold   bool
	Grey   bool
	Anchor string // "middle" or "end": which part of the text is at its place; the start if empty
}

func (s Style) size() int {
	if s.Size == 0 {
		return 13
	}
	return s.Size
}

func (s Style) attributes() string {
	out := fmt.Sprintf(`font-size="%d"`, s.size())
	if s.Grey {
		out += ` class="grey"`
	}
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
	fmt.Fprintf(&c.marks, `<text x="%s" y="%s" %s>%s</text>`+"\n", px(x), px(y), s.attributes(), escape(text))
}

// Label is Text shortened to that many pixels, then with the whole of it as its title.
func (c *Canvas) Label(x, y float64, text string, most float64, s Style) {
	text = show.Inert(text)
	short := fit(text, most, s)
	if short == text {
		c.Text(x, y, text, s)
		return
	}
	fmt.Fprintf(&c.marks, `<text x="%s" y="%s" %s>%s%s</text>`+"\n", px(x), px(y), s.attributes(), escape(short), titled(text))
}

// Kind of a line that belongs to no series.
type Kind string

// Lines of the frame, from the faintest.
const (
	Grid  Kind = "grid"
	Rule  Kind = "rule"  // such as where a phase begins
	Limit Kind = "limit" // such as the cores of a machine
)

// Line draws a line.
func (c *Canvas) Line(x1, y1, x2, y2 float64, kind Kind) {
	fmt.Fprintf(&c.marks, `<line x1="%s" y1="%s" x2="%s" y2="%s" class="%s"/>`+"\n", px(x1), px(y1), px(x2), px(y2), kind)
}

// Point is a place on a canvas.
type Point struct{ X, Y float64 }

// Stroke is how a line is drawn.
type Stroke int

// Strokes of a line.
const (
	Own    Stroke = iota // the dashes of the series, which distinguish it from the others of a plot
	Solid                // for a series that has a plot to itself
	Dashed               // for a second line of it
)

// Path joins points by a line in the colour of a series.
func (c *Canvas) Path(points []Point, s Series, stroke Stroke) {
	dash := [...]int{s.dash(), 0, 1}[stroke]
	if len(points) > 1 {
		fmt.Fprintf(&c.marks, `<path class="l%d d%d" d="%s"/>`+"\n", s.colour(), dash, path(points))
	}
}

// Area fills what lies within points, faintly, in the colour of a series.
func (c *Canvas) Area(points []Point, s Series) {
	if len(points) > 2 {
		fmt.Fprintf(&c.marks, `<path class="a%d" d="%sZ"/>`+"\n", s.colour(), path(points))
	}
}

// Range is a thick line from one place to another, such as an interval.
func (c *Canvas) Range(x1, y1, x2, y2 float64, s Series, title string) {
	fmt.Fprintf(&c.marks, `<line x1="%s" y1="%s" x2="%s" y2="%s" class="r%d">%s</line>`+"\n", px(x1), px(y1), px(x2), px(y2), s.colour(), titled(title))
}

// Bar fills a rectangle with the colour and texture of a series.
func (c *Canvas) Bar(x, y, width, height float64, s Series, title string) {
	fmt.Fprintf(&c.marks, `<rect x="%s" y="%s" width="%s" height="%s" class="f%d">%s</rect>`+"\n", px(x), px(y), px(width), px(height), s.colour(), titled(title))
	if d := s.texture(x, y, width, height); d != "" {
		fmt.Fprintf(&c.marks, `<path class="hatch" d="%s"/>`+"\n", d)
	}
}

// Mark marks a value with the colour and shape of a series; the title says which.
func (c *Canvas) Mark(at Point, s Series, title string) {
	fmt.Fprintf(&c.marks, `<path class="m f%d" d="%s">%s</path>`+"\n", s.colour(), s.shape(at, 4.5), titled(title))
}

// Cross marks what does not count.
func (c *Canvas) Cross(at Point, title string) {
	fmt.Fprintf(&c.marks, `<path class="cross" d="M%s %sl8 8m0-8l-8 8">%s</path>`+"\n", px(at.X-4), px(at.Y-4), titled(title))
}

// Flag marks a place that deserves a look, such as a stall.
func (c *Canvas) Flag(at Point, title string) {
	fmt.Fprintf(&c.marks, `<path class="flag" d="M%s %sl5 9h-10Z">%s</path>`+"\n", px(at.X), px(at.Y-9), titled(title))
}

func path(points []Point) string {
	var b strings.Builder
	for i, p := range points {
		b.WriteString(map[bool]string{true: "M", false: "L"}[i == 0])
		b.WriteString(px(p.X) + " " + px(p.Y))
	}
	return b.String()
}

func titled(title string) string { return "<title>" + escape(title) + "</title>" }

// px writes a place to a tenth of a pixel.
func px(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}

// escape makes text from outside inert, and no markup.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(show.Inert(s))) // a Builder never fails
	return b.String()
}
