package verdict

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// allPairs is the number of targets up to which every pair is written out; with more only those of neighbours in the ranking.
const allPairs = 8

// WriteText writes the result for people: the verdict in one sentence, what it rests on, warnings, the ranks, and the pairs that the ranks do not
// show. With up to 8 targets and no warnings it is at most 40 lines. Width is in characters; names of up to 20 fit in 100.
func WriteText(w io.Writer, r Result, width int) error {
	var b bytes.Buffer
	if head := r.Head(); head != "" {
		b.WriteString(wrap(head, width, ""))
	}
	b.WriteString(wrap(r.basis(), width, ""))
	for _, warning := range r.Warnings {
		b.WriteString(wrap("warning: "+warning.Text, width, "  "))
	}
	if len(r.Targets) > 1 {
		ranks := r.ranks(true)
		if widest(ranks) > width {
			ranks = r.ranks(false)
		}
		b.WriteString("\n" + ranks)
	}
	if len(r.Targets) > 2 {
		b.WriteString("\n" + r.others())
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("verdict: write text: %w", err)
	}
	return nil
}

// basis is what the verdict rests on: "10 blocks, 3 targets; higher is better; 3 % matters; intervals ...".
func (r Result) basis() string {
	s := fmt.Sprintf("%s, %s; %s is better; differences up to %s do not matter", plural(r.Blocks, "block"), plural(len(r.Targets), "target"), r.Better, r.delta())
	switch n := len(r.Comparisons); {
	case n == 1:
		s += "; the interval is a 95 % one"
	case n > 1:
		s += fmt.Sprintf("; the intervals of all %d pairs hold together with 95 %% (Bonferroni), each alone with %s", n, level(r.Comparisons[0].Level))
	}
	if r.Better == Lower {
		s += "; percentages are of the smaller value"
	}
	return s
}

// level is a confidence level as a percentage of up to four digits.
func level(of Number) string { return strconv.FormatFloat(100*float64(of), 'g', 4, 64) + " %" }

// ranks is the table of targets; the first compared with each.
func (r Result) ranks(withMean bool) string {
	first := r.Targets[0].Name
	rows := [][]string{{"rank", "target", "mean", "ratio", "interval", "compared with it, " + first + " is"}}
	for _, t := range r.Targets {
		row := []string{t.ranks(), t.Name, figure(t.Mean), "", "", ""}
		if c, ok := r.pair(first, t.Name); ok {
			row[3], row[4], row[5] = figure(c.Ratio), "["+figure(c.Low)+", "+figure(c.High)+"]", r.Words(c)
		}
		rows = append(rows, row)
	}
	if !withMean {
		for i, row := range rows {
			rows[i] = slices.Delete(row, 2, 3)
		}
	}
	return grid(rows)
}

// grid lays rows out in columns.
func grid(rows [][]string) string {
	var all, out strings.Builder
	table := tabwriter.NewWriter(&all, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	_ = table.Flush() // a Builder takes everything
	for line := range strings.Lines(all.String()) {
		out.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return out.String()
}

// ranks is the range of ranks: "1", "2-4".
func (t Target) ranks() string {
	if t.Rank[0] == t.Rank[1] {
		return strconv.Itoa(t.Rank[0])
	}
	return fmt.Sprintf("%d-%d", t.Rank[0], t.Rank[1])
}

// pair is the comparison of two targets, told of the first.
func (r Result) pair(a, b string) (Comparison, bool) {
	for _, c := range r.Comparisons {
		switch {
		case c.A == a && c.B == b:
			return c, true
		case c.A == b && c.B == a:
			return c.Mirror(), true
		}
	}
	return Comparison{}, false
}

// others are the pairs that the table of ranks does not show, in the order of the ranking.
func (r Result) others() string {
	rows := [][]string{{"target", "compared with", "it is"}}
	few := len(r.Targets) <= allPairs
	for i := 1; i < len(r.Targets); i++ {
		for j := i + 1; j < len(r.Targets) && (few || j == i+1); j++ {
			if c, ok := r.pair(r.Targets[i].Name, r.Targets[j].Name); ok {
				rows = append(rows, []string{c.A, c.B, r.Words(c)})
			}
		}
	}
	if few {
		return grid(rows)
	}
	return grid(rows) + fmt.Sprintf("(neighbours only; --json has all %d pairs)\n", len(r.Comparisons))
}

// figure is a number to three decimals, fewer from 10 on; "-" when it is not known.
func figure(n Number) string {
	v := float64(n)
	switch {
	case !n.Known():
		return "-"
	case v >= 1e7 || v < 1e-4 && v > 0:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case v >= 100:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// wrap breaks a text into lines of at most width characters where there is a space, but not before "%"; those after
// the first are indented.
func wrap(text string, width int, indent string) string {
	const glue = "\x00"
	var b strings.Builder
	line := ""
	for _, word := range strings.Fields(strings.ReplaceAll(text, " %", glue+"%")) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			b.WriteString(line + "\n")
			line = indent + word
		default:
			line += " " + word
		}
	}
	return strings.ReplaceAll(b.String()+line+"\n", glue, " ")
}

func widest(text string) int {
	most := 0
	for line := range strings.Lines(text) {
		most = max(most, utf8.RuneCountInString(strings.TrimRight(line, "\n")))
	}
	return most
}
