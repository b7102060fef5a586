package show

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Table is rows of cells under a head. Whatever it holds is made inert when it is drawn.
type Table struct {
	Caption string   // an explanation above the table, or nothing
	Head    []string // empty: no head and no line under it
	Rows    [][]string
	Left    int      // number of columns from the left that hold words; the others hold figures, aligned right
	Words   int      // number of last columns that hold words too, and may be broken
	Notes   []string // lines under the table, such as those of Footnotes
}

const (
	gap       = 2  // columns between cells
	narrowest = 12 // no column is squeezed below this
)

// Text draws the table for a page of that many columns, 0 where lines have no end. Wide columns are broken to
// fit.
func (t Table) Text(columns int) string {
	var b strings.Builder
	if t.Caption != "" {
		b.WriteString(Wrap(Inert(t.Caption), cmp.Or(columns, math.MaxInt), "") + "\n")
	}
	for line := range strings.Lines(t.writer(columns, Inert).Render()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	for _, note := range t.Notes {
		b.WriteString(Wrap(Inert(note), cmp.Or(columns, math.MaxInt), "  ") + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Markdown writes the table as GitHub Markdown, with everything from outside escaped.
func (t Table) Markdown() string {
	out := t.writer(0, EscapeMarkdown).RenderMarkdown()
	if t.Caption != "" {
		out = EscapeMarkdown(t.Caption) + "\n\n" + out
	}
	for _, note := range t.Notes {
		out += "\n\n" + EscapeMarkdown(note)
	}
	return out
}

// Footnotes gathers what limits the use of single cells. The zero value is ready for use.
type Footnotes struct{ texts []string }

// Mark marks a cell with a small number for each text; the same text has the same number everywhere.
func (f *Footnotes) Mark(cell string, texts ...string) string {
	for i, text := range texts {
		at := slices.Index(f.texts, text)
		if at < 0 {
			at = len(f.texts)
			f.texts = append(f.texts, text)
		}
		if i == 0 {
			cell += " "
		}
		cell += superscript(at + 1)
	}
	return cell
}

// Lines are the texts with their numbers, for under the table.
func (f *Footnotes) Lines() []string {
	var out []string
	for i, text := range f.texts {
		out = append(out, superscript(i+1)+" "+text)
	}
	return out
}

// superscript writes a number small and high.
func superscript(n int) string {
	digits := []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")
	return strings.Map(func(r rune) rune { return digits[r-'0'] }, strconv.Itoa(n))
}

// EscapeMarkdown keeps Markdown and HTML from being read out of text from outside, and GitHub from making links of
// addresses, mentions of names and references of numbers in it: a comment, which nobody sees, parts them. The bar between
// cells is the table's own to escape.
func EscapeMarkdown(s string) string {
	const part = "<!-- -->"
	pairs := []string{
		"&", "&amp;", "<", "&lt;", "\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "~", "\\~", "$", "\\$",
		"://", ":" + part + "//", "www.", "www" + part + ".", "@", "@" + part, "GH-", "GH" + part + "-",
	}
	for digit := range 10 {
		pairs = append(pairs, fmt.Sprintf("#%d", digit), fmt.Sprintf("#%s%d", part, digit))
	}
	return strings.NewReplacer(pairs...).Replace(Inert(s))
}

func (t Table) writer(columns int, cell func(string) string) table.Writer {
	w := table.NewWriter()
	if len(t.Head) > 0 {
		w.AppendHeader(row(t.Head, cell))
	}
	for _, r := range t.Rows {
		w.AppendRow(row(r, cell))
	}
	w.SetStyle(style())
	w.SetColumnConfigs(t.configs(columns))
	return w
}

func row(cells []string, cell func(string) string) table.Row {
	out := make(table.Row, len(cells))
	for i, c := range cells {
		out[i] = cell(c)
	}
	return out
}

// style draws no frame: cells two spaces apart, and a line under the head.
func style() table.Style {
	s := table.StyleDefault
	s.Options = table.Options{SeparateHeader: true, DrawBorder: false, SeparateColumns: true}
	s.Format = table.FormatOptions{}
	s.Box = table.StyleBoxDefault
	s.Box.PaddingLeft, s.Box.PaddingRight = "", ""
	s.Box.MiddleVertical, s.Box.MiddleSeparator, s.Box.MiddleHorizontal = "  ", "  ", "-"
	return s
}

func (t Table) configs(columns int) []table.ColumnConfig {
	widths := t.widths()
	out := make([]table.ColumnConfig, len(widths))
	for i := range out {
		c := table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight}
		if t.HoldsWords(i) {
			c.Align, c.AlignHeader = text.AlignLeft, text.AlignLeft
		}
		out[i] = c
	}
	if columns == 0 {
		return out
	}
	for i, squeezed := range squeeze(widths, columns) {
		if squeezed < widths[i] {
			out[i].WidthMax, out[i].WidthMaxEnforcer = squeezed, text.WrapSoft
		}
	}
	return out
}

// HoldsWords reports whether a column, counted from 0, holds words rather than figures.
func (t Table) HoldsWords(column int) bool {
	columns := len(t.Head)
	for _, r := range t.Rows {
		columns = max(columns, len(r))
	}
	return column < t.Left || column >= columns-t.Words
}

// widths are those of the columns when no cell is broken.
func (t Table) widths() []int {
	out := make([]int, len(t.Head))
	for _, r := range append([][]string{t.Head}, t.Rows...) {
		for len(out) < len(r) {
			out = append(out, 0)
		}
		for i, c := range r {
			out[i] = max(out[i], Width(Inert(c)))
		}
	}
	return out
}

// Width is the number of columns that the table takes where nothing is broken.
func (t Table) Width() int {
	widths := t.widths()
	total := gap * max(len(widths)-1, 0)
	for _, w := range widths {
		total += w
	}
	return total
}

// squeeze takes from the widest columns until the table fits the page, but leaves each at least narrowest.
func squeeze(widths []int, columns int) []int {
	out := append([]int(nil), widths...)
	over := gap*(len(out)-1) - columns
	for _, w := range out {
		over += w
	}
	for ; over > 0; over-- {
		widest := 0
		for i, w := range out {
			if w > out[widest] {
				widest = i
			}
		}
		if out[widest] <= narrowest {
			break
		}
		out[widest]--
	}
	return out
}
