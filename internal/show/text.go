package show

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// Replaced stands for each character that Inert takes out.
const Replaced = unicode.ReplacementChar

// Inert makes text from outside harmless on one line: line ends and tabs become spaces, and each control
// character, change of the writing direction, invisible character and broken byte becomes Replaced. The
// number of characters stays.
func Inert(s string) string { return strings.Map(inertOnLine, s) }

// InertLines is Inert for text of several lines: line feeds and tabs stay.
func InertLines(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return inertOnLine(r)
	}, strings.ReplaceAll(s, "\r\n", "\n"))
}

func inertOnLine(r rune) rune {
	switch {
	case r == '\n' || r == '\t' || r == '\r':
		return ' '
	case r == '\u200c' || r == '\u200d': // joiners, which some scripts are spelt with
		return r
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs):
		return Replaced
	}
	return r
}

// Width is the number of columns that a line takes on a terminal.
func Width(s string) int { return text.StringWidth(s) }

// Columns is the width of the terminal that w is, or 100 where it is none.
func Columns(w io.Writer) int {
	if file, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 100
}

// Cut shortens a line to at most that many columns, for a line that is drawn over.
func Cut(line string, columns int) string {
	used := 0
	for i, r := range line {
		if used += text.RuneWidth(r); used > columns {
			return line[:i]
		}
	}
	return line
}

// Clip shortens a word to at most that many characters and then three dots, for a message.
func Clip(word string, most int) string {
	start, cut := clip(word, most)
	if cut {
		return start + "..."
	}
	return start
}

// clip returns the first characters of a word, and whether that is not all of it.
func clip(word string, most int) (start string, cut bool) {
	n := 0
	for i := range word {
		if n == most {
			return word[:i], true
		}
		n++
	}
	return word, false
}

// Quote puts a word into quotes for a message, as Go writes it, shortened to at most that many characters
// and then three dots.
func Quote(word string, most int) string { return strconv.Quote(Clip(word, most)) }

// Excerpt is Quote for data: what was cut off is said outside the quotes: "abc"... (2,000 bytes).
func Excerpt(data string, most int) string {
	start, cut := clip(data, most)
	if !cut {
		return strconv.Quote(data)
	}
	return fmt.Sprintf("%s... (%s bytes)", strconv.Quote(start), Count(len(data)))
}

// Wrap breaks text at spaces into lines of at most that many columns, further lines indented. A unit stays with
// its number, and a longer word is as long as it is.
func Wrap(s string, columns int, indent string) string {
	var b strings.Builder
	column := 0
	for i, word := range words(s) {
		length := Width(word)
		switch {
		case i == 0:
		case column+1+length > columns:
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

// isUnit reports whether a word belongs to the number before it.
func isUnit(word string) bool {
	return slices.Contains([]string{"%", "s", "ms", "us", "ns", "MB"}, strings.TrimRight(word, ".,;)"))
}
