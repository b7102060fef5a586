package strictyaml

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"bakeoff/internal/show"
)

// shownProblems is how many problems Error spells out.
const shownProblems = 50

// Problem is one mistake in a file.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`   // from 1; 0: the file as a whole
	Column  int    `json:"column,omitempty"` // from 1, in characters; 0: unknown
	Path    string `json:"path,omitempty"`   // such as "phases[1].duration"
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`    // what to write instead
	Excerpt string `json:"excerpt,omitempty"` // the line and a caret, two lines
}

// String is the problem in the manner of compilers:
//
//	plan.yaml:12:15: phases[1].duration: "5" has no unit (write 5s or 5ms)
//	   12 |     duration: 5
//	      |               ^
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		fmt.Fprintf(&b, " (%s)", p.Hint)
	}
	if p.Excerpt != "" {
		b.WriteString("\n" + p.Excerpt)
	}
	return b.String()
}

// Problems are all mistakes of a file, in its order; it is the error type of
// this package.
type Problems []Problem

// Error spells out the first 50 problems, each with its excerpt, and counts
// the rest.
func (ps Problems) Error() string {
	parts := make([]string, 0, len(ps))
	for i, p := range ps {
		if i == shownProblems {
			parts = append(parts, fmt.Sprintf("%s: and %d more", p.File, len(ps)-i))
			break
		}
		parts = append(parts, p.String())
	}
	return strings.Join(parts, "\n")
}

// sorted returns the problems by line and column, in the order found where
// these are the same, without repetitions.
func (ps Problems) sorted() Problems {
	out := slices.Clone(ps)
	slices.SortStableFunc(out, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(out)
}

const (
	excerptWidth = 100 // characters of a line that an excerpt shows
	longestWord  = 40  // characters of a word that a message shows
)

// excerpt draws the line of a location and a caret below its column.
func (d *Document) excerpt(at location) string {
	text := d.shown(at.line)
	if len(text) == 0 {
		return ""
	}
	column := min(max(at.column, 1), len(text)+1) - 1 // from 0
	from := 0
	if column > excerptWidth-20 {
		from = column - excerptWidth/2
	}
	to := min(len(text), from+excerptWidth)
	shown := show.Inert(string(text[from:to]))
	if from > 0 {
		shown = "..." + shown
		column += 3
	}
	if to < len(text) {
		shown += "..."
	}
	out := fmt.Sprintf("%5d | %s", at.line, shown)
	if at.column < 1 {
		return out
	}
	return out + "\n      | " + strings.Repeat(" ", column-from) + "^"
}

// shown is a line as it may be shown; a line can hold many problems and a megabyte, so it is kept.
func (d *Document) shown(line int) []rune {
	if line < 1 || line > len(d.lines) {
		return nil
	}
	text, ok := d.redacted[line]
	if !ok {
		text = []rune(redact(d.lines[line-1]))
		d.redacted[line] = text
	}
	return text
}

// secretText is what comes before the @ of a URL or a database's DSN.
var secretText = regexp.MustCompile(`//[^/\s@]*@|[^\s@"'/]*:[^\s@"']*@(tcp|unix)?\(`)

// redact overwrites what may be a password, keeping the line's length.
func redact(line string) string {
	return secretText.ReplaceAllStringFunc(line, func(match string) string {
		from, to := 0, strings.LastIndexByte(match, '@')
		if strings.HasPrefix(match, "//") {
			from = 2
		}
		return match[:from] + strings.Repeat("*", utf8.RuneCountInString(match[from:to])) + match[to:]
	})
}

// splitLines splits at every line break YAML knows.
func splitLines(text string) []string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(text)
	return strings.Split(text, "\n")
}

// clip shortens a word from a file to what a message can bear.
func clip(word string) string { return show.Clip(word, longestWord) }

// Quote puts a word from a file into quotes for a message: control characters
// escaped, shortened to 40 characters.
func Quote(word string) string { return show.Quote(word, longestWord) }

// Suggest returns the known word nearest to word as "did you mean x", or ""
// when none is near. Case does not matter, nor which of - and _ was written.
func Suggest(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return "did you mean " + near
	}
	return ""
}

// nearest is the known word with the fewest edits from word, at most a third
// of its length (at least one); "" when there is none.
func nearest(word string, known []string) string {
	if len(word) > 64 {
		return ""
	}
	best, distance := "", max(1, len(word)/3)+1
	for _, k := range known {
		if n := edits(fold(word), fold(k)); n < distance {
			best, distance = k, n
		}
	}
	return best
}

func fold(word string) string {
	return strings.ReplaceAll(strings.ToLower(word), "-", "_")
}

// edits is the number of insertions, deletions, replacements and swaps of
// neighbours between two words (optimal string alignment).
func edits(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
