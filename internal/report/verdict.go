package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// allPairs is the number of targets up to which every pair is written out; with more only those of neighbours in the ranking.
const allPairs = 8

// WriteVerdict writes what figures may claim, for people: the verdict in one sentence, what it rests on, warnings, the ranks,
// and the pairs that the ranks do not show. Columns is the width of the page, 0 means 100. Eight targets with names of up to
// 20 characters fit in 40 lines of 100; warnings and positions come on top of that.
func WriteVerdict(w io.Writer, r verdict.Result, columns int) error {
	if columns <= 0 {
		columns = 100
	}
	var b strings.Builder
	if head := r.Head(); head != "" {
		b.WriteString(show.Wrap(head, columns, "") + "\n")
	}
	b.WriteString(show.Wrap(restsOn(r), columns, "") + "\n")
	if flips := r.SignFlips(); flips != "" {
		b.WriteString(show.Wrap(flips, columns, "  ") + "\n")
	}
	if r.Positions != nil {
		b.WriteString(show.Wrap(r.Positions.Words(), columns, "  ") + "\n")
	}
	for _, warning := range r.Warnings {
		b.WriteString(show.Wrap("warning: "+warning.Text, columns, "  ") + "\n")
	}
	if len(r.Targets) > 1 {
		b.WriteString("\n" + ranking(r, columns) + "\n")
	}
	if len(r.Targets) > 2 {
		b.WriteString("\n" + otherPairs(r).Text(columns) + "\n")
	}
	if len(r.Targets) > allPairs {
		fmt.Fprintf(&b, "(neighbours only; --json has all %d pairs)\n", len(r.Comparisons))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("report: write verdict: %w", err)
	}
	return nil
}

// restsOn is what a verdict rests on: blocks, targets, direction, margin, and what its intervals are.
func restsOn(r verdict.Result) string {
	s := fmt.Sprintf("%s, %s; %s is better; differences up to %s do not matter",
		show.Plural(r.Blocks, "block"), show.Plural(len(r.Targets), "target"), r.Better, verdict.Margin(r.Delta))
	if len(r.Comparisons) > 0 {
		s += "; " + intervals(r)
	}
	if r.Better == verdict.Lower {
		s += "; percentages are of the smaller value"
	}
	return s
}

// intervals says with what confidence they hold.
func intervals(r verdict.Result) string {
	n := len(r.Comparisons)
	if n == 1 {
		return "the interval is a 95 % one"
	}
	return fmt.Sprintf("the intervals of all %d pairs hold together with 95 %% (Bonferroni), each alone with %s", n, level(r.Comparisons[0].Level))
}

// level is a confidence level as a percentage of up to four digits.
func level(of verdict.Number) string { return strconv.FormatFloat(100*float64(of), 'g', 4, 64) + " %" }

// ranking is the table of targets; the first compared with each. Their means make room where the page is narrow.
func ranking(r verdict.Result, columns int) string {
	first := r.Targets[0].Name
	t := show.Table{Head: []string{"rank", "target", "mean", "ratio", "interval", "compared with it, " + first + " is"}, Left: 2, Words: 1}
	for _, target := range r.Targets {
		row := []string{rankRange(target), target.Name, show.Number(float64(target.Mean)), "", "", ""}
		if c, ok := r.Pair(first, target.Name); ok {
			row[3], row[4], row[5] = ratio(c.Ratio), between(c.Low, c.High, r.Delta), r.Words(c)
		}
		t.Rows = append(t.Rows, row)
	}
	for line := range strings.Lines(t.Text(0)) {
		if show.Width(strings.TrimSuffix(line, "\n")) > columns {
			return withoutMeans(t).Text(columns)
		}
	}
	return t.Text(columns)
}

func withoutMeans(t show.Table) show.Table {
	t.Head = slices.Concat(t.Head[:2], t.Head[3:])
	for i, row := range t.Rows {
		t.Rows[i] = slices.Concat(row[:2], row[3:])
	}
	return t
}

// rankRange is "1", or "2-4".
func rankRange(t verdict.Target) string {
	if t.Rank[0] == t.Rank[1] {
		return strconv.Itoa(t.Rank[0])
	}
	return fmt.Sprintf("%d-%d", t.Rank[0], t.Rank[1])
}

// otherPairs are the pairs that the ranking does not show, in its order.
func otherPairs(r verdict.Result) show.Table {
	t := show.Table{Head: []string{"target", "compared with", "it is"}, Left: 3}
	for i := 1; i < len(r.Targets); i++ {
		for j := i + 1; j < len(r.Targets) && (len(r.Targets) <= allPairs || j == i+1); j++ {
			if c, ok := r.Pair(r.Targets[i].Name, r.Targets[j].Name); ok {
				t.Rows = append(t.Rows, []string{c.A, c.B, r.Words(c)})
			}
		}
	}
	return t
}

// ratio is a ratio to three decimals, to three digits from 10 on; "-" when it is not known.
func ratio(n verdict.Number) string { return ratioOf(float64(n)) }

func ratioOf(v float64) string {
	if math.Abs(v) < 10 {
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
	return show.Number(v)
}

// between is the interval of a ratio, rounded outwards: what is printed holds all that was computed.
func between(low, high verdict.Number, delta float64) string {
	return "[" + lowEnd(low, delta) + ", " + highEnd(high, delta) + "]"
}

// lowEnd is the lower end of the interval of a ratio, rounded down, and highEnd the upper one, rounded up: as ratio writes it, with more
// decimals where it would not be seen on which side of 1 it lies, or of the margin delta; 0: there is none. "-" when it is not known.
func lowEnd(n verdict.Number, delta float64) string {
	return end(n, delta, func(x float64) float64 { return math.Floor(x * (1 + 1e-12)) })
}

func highEnd(n verdict.Number, delta float64) string {
	return end(n, delta, func(x float64) float64 { return math.Ceil(x * (1 - 1e-12)) })
}

func end(n verdict.Number, delta float64, round func(float64) float64) string {
	v := float64(n)
	at := func(decimals int) float64 { return round(v*math.Pow10(decimals)) / math.Pow10(decimals) }
	switch {
	case !n.Known():
		return show.None
	case v >= 99.95:
		return show.Number(at(0))
	case v >= 10:
		return show.Number(at(1))
	}
	const most = 6
	decimals := 3
	for decimals < most && sides(at(decimals), delta) != sides(v, delta) {
		decimals++
	}
	return strconv.FormatFloat(at(decimals), 'f', decimals, 64)
}

// sides are those of no difference, and of the margin up and down, on which a ratio lies: -1, 1, or 0 on them.
func sides(ratio, delta float64) (out [3]int) {
	const equal = 1e-9
	for i, mark := range []float64{1, 1 + delta, 1 / (1 + delta)} {
		switch {
		case ratio > mark+equal:
			out[i] = 1
		case ratio < mark-equal:
			out[i] = -1
		}
	}
	return out
}
