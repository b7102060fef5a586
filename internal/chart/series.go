package chart

import (
	"fmt"
	"strings"
)

// Series is the number of one of several things drawn together, from 0. Each of the first 24 has a colour, a shape of its marks and
// a dash of its line that no other has together, and shape and dash alone distinguish it from the others.
type Series int

// Palette are the colours of series on a light and on a dark ground, each with a contrast of 3 to 1 and more.
func Palette() [][2]string {
	return [][2]string{
		{"#0065a8", "#5ab4ec"},
		{"#b8430a", "#ff9a57"},
		{"#00775a", "#35d29a"},
		{"#7a3796", "#d4a0f0"},
		{"#7d6200", "#e8d44a"},
		{"#2b3440", "#e2e7ec"},
		{"#ae2f68", "#ff8ab5"},
		{"#4a7380", "#9cc3cf"},
	}
}

// Lines are the colours on a light and on a dark ground and the strokes and gaps of the lines of the first series: no two are the
// same, and those behind the last begin again.
func Lines() [][3]string {
	out := make([][3]string, len(Palette())*len(dashes()))
	for i := range out {
		pair := Palette()[Series(i).colour()]
		out[i] = [3]string{pair[0], pair[1], dashes()[Series(i).dash()]}
	}
	return out
}

const shapes = 8

func (s Series) colour() int { return int(s) % len(Palette()) }
func (s Series) dash() int   { return (int(s) + int(s)/shapes) % len(dashes()) }

// dashes are the lengths of strokes and gaps.
func dashes() []string { return []string{"none", "7 3", "2 3", "10 3 2 3"} }

// shape is the outline of a mark of that many pixels from its middle.
func (s Series) shape(at Point, r float64) string {
	x, y := at.X, at.Y
	polygon := func(p ...float64) string {
		var points []Point
		for i := 0; i < len(p); i += 2 {
			points = append(points, Point{x + p[i]*r, y + p[i+1]*r})
		}
		return path(points) + "Z"
	}
	switch int(s) % shapes {
	case 1:
		return polygon(-.85, -.85, .85, -.85, .85, .85, -.85, .85) // square
	case 2:
		return polygon(0, -1.1, 1.05, .85, -1.05, .85) // triangle
	case 3:
		return polygon(0, -1.2, 1.2, 0, 0, 1.2, -1.2, 0) // diamond
	case 4:
		return polygon(0, 1.1, 1.05, -.85, -1.05, -.85) // triangle on its head
	case 5:
		return polygon(-.35, -1.1, .35, -1.1, .35, -.35, 1.1, -.35, 1.1, .35, .35, .35, .35, 1.1, -.35, 1.1, -.35, .35, -1.1, .35, -1.1, -.35, -.35, -.35) // plus
	case 6:
		return polygon(-.4, -1.1, .4, -1.1, .4, 1.1, -.4, 1.1) // upright
	case 7:
		return polygon(-1.2, -.4, 1.2, -.4, 1.2, .4, -1.2, .4) // flat
	}
	return fmt.Sprintf("M%s %sa%s %s 0 1 0 %s 0a%s %s 0 1 0 -%s 0Z", px(x-r), px(y), px(r), px(r), px(2*r), px(r), px(r), px(2*r)) // disc
}

// texture is what distinguishes the areas of series without their colours: lines in the colour of the ground.
func (s Series) texture(x, y, width, height float64) string {
	var b strings.Builder
	lines := func(from, step, end float64, upright bool) {
		for at := from; at < end; at += step {
			if upright {
				fmt.Fprintf(&b, "M%s %sv%s", px(at), px(y), px(height))
			} else {
				fmt.Fprintf(&b, "M%s %sh%s", px(x), px(at), px(width))
			}
		}
	}
	switch int(s) % 5 {
	case 1:
		lines(x+3, 5, x+width-1, true)
	case 2:
		lines(y+3, 5, y+height-1, false)
	case 3:
		for at := x - height; at < x+width; at += 6 { // slanting, cut at both ends
			from, to := max(at, x), min(at+height, x+width)
			if to > from {
				fmt.Fprintf(&b, "M%s %sL%s %s", px(from), px(y+height-(from-at)), px(to), px(y+height-(to-at)))
			}
		}
	case 4:
		lines(x+3, 7, x+width-1, true)
		lines(y+4, 6, y+height-1, false)
	}
	return b.String()
}

// CSS is the style sheet of pictures: on light grounds, on dark ones, and on paper.
func CSS() string {
	return `.chart text{fill:#1a2027}.chart .grey{fill:#545d68}.chart .ground{fill:#fff}
.chart path,.chart line{fill:none}.chart .grid{stroke:#d5dbe1}.chart .rule{stroke:#8b96a2;stroke-dasharray:3 3}.chart .limit{stroke:#1a2027;stroke-width:1.5}
.chart .hatch{stroke:#fff;stroke-opacity:.75}.chart .cross{stroke:#545d68;stroke-width:1.5}.chart .flag{fill:#b00020;stroke:#fff}
` + colours(0) + dashed() + "@media screen and (prefers-color-scheme:dark){.chart text{fill:#e6e9ed}.chart .grey{fill:#a6b0bb}.chart .ground{fill:#14181d}" +
		".chart .grid{stroke:#333c46}.chart .rule{stroke:#7b8794}.chart .limit{stroke:#e6e9ed}.chart .hatch{stroke:#14181d}.chart .cross{stroke:#a6b0bb}.chart .flag{fill:#ff7a85;stroke:#14181d}\n" +
		colours(1) + "}\n"
}

func colours(ground int) string {
	var b strings.Builder
	for i, pair := range Palette() {
		fmt.Fprintf(&b, ".chart .f%d{fill:%s}.chart .l%d{stroke:%s;stroke-width:1.75}.chart .a%d{fill:%s;fill-opacity:.18}.chart .r%d{stroke:%s;stroke-width:4}\n",
			i, pair[ground], i, pair[ground], i, pair[ground], i, pair[ground])
	}
	return b.String()
}

func dashed() string {
	var b strings.Builder
	for i, d := range dashes() {
		fmt.Fprintf(&b, ".chart .d%d{stroke-dasharray:%s}", i, d)
	}
	return b.String() + "\n"
}
