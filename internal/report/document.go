package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// section is a heading with paragraphs, points, and tables, each with a line of explanation above it.
type section struct {
	title  string
	paras  []string
	points []string
	tables []grid
}

// grid is a table: the same rows for text and Markdown.
type grid struct {
	caption string
	head    []string
	rows    [][]string
	left    int // so many columns from the left hold words; the others hold figures, aligned right
	words   int // the last so many columns hold words too, and may be broken
}

// writer builds the go-pretty table; width is that of a text page, 0 where lines have no end.
func (g grid) writer(width int) table.Writer {
	t := table.NewWriter()
	head := make(table.Row, len(g.head))
	for i, h := range g.head {
		head[i] = h
	}
	t.AppendHeader(head)
	for _, r := range g.rows {
		row := make(table.Row, len(r))
		for i, cell := range r {
			row[i] = tame(cell)
		}
		t.AppendRow(row)
	}
	t.SetStyle(style())
	t.SetColumnConfigs(g.columns(width))
	return t
}

// style draws no frame: figures, two spaces apart, and a line under the head.
func style() table.Style {
	s := table.StyleDefault
	s.Options = table.Options{SeparateHeader: true, DrawBorder: false, SeparateColumns: true}
	s.Format = table.FormatOptions{}
	s.Box = table.StyleBoxDefault
	s.Box.PaddingLeft, s.Box.PaddingRight = "", ""
	s.Box.MiddleVertical, s.Box.MiddleSeparator, s.Box.MiddleHorizontal = "  ", "  ", "-"
	return s
}

func (g grid) columns(width int) []table.ColumnConfig {
	out := make([]table.ColumnConfig, len(g.head))
	for i := range out {
		c := table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight}
		if i < g.left || i >= len(g.head)-g.words {
			c.Align, c.AlignHeader = text.AlignLeft, text.AlignLeft
		}
		out[i] = c
	}
	if over := g.natural() - width; width > 0 && over > 0 {
		g.squeeze(out, over)
	}
	return out
}

// natural is the width of the table when no cell is broken.
func (g grid) natural() int {
	total := 2 * (len(g.head) - 1)
	for i := range g.head {
		total += g.widest(i)
	}
	return total
}

func (g grid) widest(column int) int {
	w := text.StringWidth(g.head[column])
	for _, r := range g.rows {
		w = max(w, text.StringWidth(r[column]))
	}
	return w
}

// squeeze takes characters from the widest columns until the table fits, but
// leaves each at least 12.
func (g grid) squeeze(columns []table.ColumnConfig, over int) {
	widths := make([]int, len(columns))
	for i := range widths {
		widths[i] = g.widest(i)
	}
	for ; over > 0; over-- {
		widest := 0
		for i, w := range widths {
			if w > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= 12 {
			break
		}
		widths[widest]--
	}
	for i := range columns {
		if widths[i] < g.widest(i) {
			columns[i].WidthMax, columns[i].WidthMaxEnforcer = widths[i], text.WrapSoft
		}
	}
}

// writeText draws sections for a page of the given width in characters.
func writeText(w io.Writer, sections []section, width int) error {
	var b strings.Builder
	for i, s := range sections {
		if i > 0 {
			b.WriteString("\n")
		}
		title := wrap(tame(s.title), width, "")
		fmt.Fprintf(&b, "%s\n%s\n", title, strings.Repeat("=", min(width, text.LongestLineLen(title))))
		for _, p := range s.paras {
			b.WriteString(wrap(tame(p), width, "") + "\n")
		}
		for _, p := range s.points {
			b.WriteString("* " + wrap(tame(p), width-2, "  ") + "\n")
		}
		for j, g := range s.tables {
			if j > 0 || len(s.paras)+len(s.points) > 0 {
				b.WriteString("\n")
			}
			if g.caption != "" {
				b.WriteString(wrap(g.caption, width, "") + "\n")
			}
			b.WriteString(trimLines(g.writer(width).Render()) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// trimLines removes spaces at the ends of lines.
func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n")
}

// writeMarkdown writes sections as GitHub Markdown.
func writeMarkdown(w io.Writer, sections []section) error {
	var b strings.Builder
	for i, s := range sections {
		level := "##"
		if i == 0 {
			level = "#"
		} else {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s %s\n", level, escape(s.title))
		for _, p := range s.paras {
			fmt.Fprintf(&b, "\n%s\n", escape(p))
		}
		if len(s.points) > 0 {
			b.WriteString("\n")
		}
		for _, p := range s.points {
			fmt.Fprintf(&b, "* %s\n", escape(p))
		}
		for _, g := range s.tables {
			if g.caption != "" {
				fmt.Fprintf(&b, "\n%s\n", escape(g.caption))
			}
			fmt.Fprintf(&b, "\n%s\n", g.escaped().writer(0).RenderMarkdown())
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// escape keeps Markdown and HTML from being read out of recorded text.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", "\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[").Replace(tame(s))
}

// escaped returns the grid with its cells safe for Markdown; the bar between cells is escaped by the table writer.
func (g grid) escaped() grid {
	rows := make([][]string, len(g.rows))
	for i, r := range g.rows {
		rows[i] = make([]string, len(r))
		for j, cell := range r {
			rows[i][j] = escape(cell)
		}
	}
	g.rows = rows
	return g
}
