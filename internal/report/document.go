package report

import (
	"fmt"
	"io"
	"strings"

	"bakeoff/internal/show"
)

// section is a heading with paragraphs, points, and tables; on a page with figures, too.
type section struct {
	title   string
	paras   []string
	points  []string
	lead    []show.Table // before the figures of a page
	figures []figure
	tables  []show.Table
	folded  bool // on a page the tables wait under a line that opens them
}

// writeText draws sections for a page of that many columns.
func writeText(w io.Writer, sections []section, columns int) error {
	var b strings.Builder
	for i, s := range sections {
		if i > 0 {
			b.WriteString("\n")
		}
		title := show.Wrap(show.Inert(s.title), columns, "")
		fmt.Fprintf(&b, "%s\n%s\n", title, strings.Repeat("=", longest(title)))
		for _, p := range s.paras {
			b.WriteString(show.Wrap(show.Inert(p), columns, "") + "\n")
		}
		for _, p := range s.points {
			b.WriteString("* " + show.Wrap(show.Inert(p), columns-2, "  ") + "\n")
		}
		for j, t := range s.tables {
			if j > 0 || len(s.paras)+len(s.points) > 0 {
				b.WriteString("\n")
			}
			b.WriteString(t.Text(columns) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func longest(lines string) int {
	columns := 0
	for line := range strings.SplitSeq(lines, "\n") {
		columns = max(columns, show.Width(line))
	}
	return columns
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
		fmt.Fprintf(&b, "%s %s\n", level, show.EscapeMarkdown(s.title))
		for _, p := range s.paras {
			fmt.Fprintf(&b, "\n%s\n", show.EscapeMarkdown(p))
		}
		if len(s.points) > 0 {
			b.WriteString("\n")
		}
		for _, p := range s.points {
			fmt.Fprintf(&b, "* %s\n", show.EscapeMarkdown(p))
		}
		for _, t := range s.tables {
			fmt.Fprintf(&b, "\n%s\n", t.Markdown())
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
