package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const none = "-"

// count writes 1234567 as 1,234,567.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// number writes a figure with three significant digits, more only before the point.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return none
	case a == 0:
		return "0"
	case a >= 99.95:
		return count(int64(math.Round(v)))
	case a >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 0.00995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// three writes a figure with exactly three significant digits below 1000.
func three(v float64) string {
	switch a := math.Abs(v); {
	case a >= 99.95:
		return count(int64(math.Round(v)))
	case a >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// duration writes seconds as us, ms or s.
func duration(s float64) string {
	switch {
	case s == 0:
		return "0 s"
	case s < 0.0009995:
		return three(s*1e6) + " us"
	case s < 0.9995:
		return three(s*1e3) + " ms"
	}
	return three(s) + " s"
}

// span writes whole or short seconds: 8 s, 2.5 s.
func span(s float64) string { return strconv.FormatFloat(s, 'f', -1, 64) + " s" }

func millis(s float64) string    { return number(s*1e3) + " ms" }
func megabytes(b float64) string { return number(b/1e6) + " MB" }
func percent(share float64) string {
	return strconv.FormatFloat(share*100, 'f', 1, 64) + " %"
}

// percentile writes one percentile, ">10.0 s" among time-outs, or why it is not given.
func (p Percentile) String() string {
	switch {
	case p.Has == 0:
		return none
	case p.Needs > 0:
		return needs(p.Needs, p.Has)
	}
	return bound(p.Over) + duration(p.Seconds)
}

func needs(need, has int64) string {
	return fmt.Sprintf("- (needs %s requests, has %s)", count(need), count(has))
}

func bound(over bool) string {
	if over {
		return ">"
	}
	return ""
}

// show writes a spread as its median and range: "12.3 (11.0..14.1) ms" with the unit of each
// number, or once where all are the same.
func (s Spread) show(unit func(float64) string) string {
	if s.N == 0 {
		return none
	}
	median := bound(s.MedianOver) + unit(s.Median)
	low, high := bound(s.MinOver)+unit(s.Min), bound(s.MaxOver)+unit(s.Max)
	if low == high {
		return median
	}
	if i := strings.LastIndexByte(high, ' '); i > 0 && strings.HasSuffix(median, high[i:]) && strings.HasSuffix(low, high[i:]) {
		u := high[i:]
		return strings.TrimSuffix(median, u) + " (" + strings.TrimSuffix(low, u) + ".." + strings.TrimSuffix(high, u) + ")" + u
	}
	return median + " (" + low + ".." + high + ")"
}

func (s Spread) median(unit func(float64) string) string {
	if s.N == 0 {
		return none
	}
	return bound(s.MedianOver) + unit(s.Median)
}

// medians joins the medians of several spreads with slashes: 28/9/9/5.
func medians(of []Spread, unit func(float64) string) string {
	if len(of) == 0 {
		return none
	}
	out := make([]string, len(of))
	for i, s := range of {
		out[i] = s.median(unit)
	}
	return strings.Join(out, "/")
}

// plural writes "1 block" or "7 blocks".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(int64(n)) + " " + one + "s"
}

// whole writes a figure that is a number of things; a median of such may lie half way.
func whole(v float64) string {
	if v == math.Trunc(v) {
		return count(int64(v))
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// list joins words: a, b and c.
func list(words []string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// tame makes text from outside harmless on a terminal and in a table: one
// line, no control characters.
func tame(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Bidi_Control, r):
			return '?'
		}
		return r
	}, s)
}

// wrap breaks text at spaces into lines of at most width characters, further
// lines indented. A unit stays with its number.
func wrap(s string, width int, indent string) string {
	var b strings.Builder
	column := 0
	for i, word := range words(s) {
		length := len([]rune(word))
		switch {
		case i == 0:
		case column+1+length > width:
			b.WriteString("\n" + indent)
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += length
	}
	return b.String()
}

// words splits at spaces, but not before a unit.
func words(s string) []string {
	var out []string
	for _, w := range strings.Fields(s) {
		if len(out) > 0 && isUnit(w) {
			out[len(out)-1] += " " + w
			continue
		}
		out = append(out, w)
	}
	return out
}

// isUnit tells whether a word belongs to the number before it.
func isUnit(word string) bool {
	return slices.Contains([]string{"%", "s", "ms", "us", "MB"}, strings.TrimRight(word, ".,;)"))
}

// pairs writes a map as "begin 1.00, rollback 1.00".
func pairs[V any](m map[string]V, show func(V) string) string {
	var out []string
	for _, k := range sortedKeys(m) {
		out = append(out, tame(k)+" "+show(m[k]))
	}
	if len(out) == 0 {
		return none
	}
	return strings.Join(slices.Clip(out), ", ")
}
