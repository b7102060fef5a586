package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"bakeoff/internal/figures"
	"bakeoff/internal/shell"
	"bakeoff/internal/show"
	"bakeoff/internal/tune"
	"bakeoff/internal/verdict"
)

// chosen says why the figures of a search are not claimed.
const chosen = "These figures chose the setting, and the best of several looks better than it is. What is claimed is from other trials."

// fewestBounded is from how many blocks on an interval is shown: with two it reaches over powers of ten.
const fewestBounded = 3

// WriteTune writes what a tuning found, for a page of that many columns, 0 means 100. For each target it has the verdict on
// the setting that was found, then every setting with its figure and its ratio to the best one.
func WriteTune(w io.Writer, r tune.Result, columns int) error {
	columns = cmp.Or(max(columns, 0), screenColumns)
	var b strings.Builder
	for _, t := range r.Targets {
		b.WriteString(show.Wrap(show.Inert(tuneHead(t)), columns, "") + "\n\n" + tuneTable(r, t).Text(columns) + "\n\n")
	}
	b.WriteString(tuneRuns(r).Text(columns) + "\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("report: write: %w", err)
	}
	return nil
}

// WriteTuneMarkdown is WriteTune as GitHub Markdown.
func WriteTuneMarkdown(w io.Writer, r tune.Result) error {
	var b strings.Builder
	for _, t := range r.Targets {
		b.WriteString("### " + show.EscapeMarkdown(tuneHead(t)) + "\n\n" + tuneTable(r, t).Markdown() + "\n\n")
	}
	runs := tuneRuns(r)
	runs.Head = []string{"", "Runs, and what their settings have in common"} // Markdown has no table without a head
	b.WriteString(runs.Markdown() + "\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("report: write Markdown: %w", err)
	}
	return nil
}

// tuneHead is the verdict on the setting that was found, and what it was compared with.
func tuneHead(t tune.Target) string {
	what := "the setting that the plan gives without a sweep"
	if t.Against == tune.AgainstSecond {
		what = "the second of the search"
	}
	return fmt.Sprintf("%s: %s (%s is %s)", t.Name, t.Line, t.Rival, what)
}

// tuneTable is the sensitivity: how much each setting changes.
func tuneTable(r tune.Result, t tune.Target) show.Table {
	unit := show.Number
	if r.Unit == figures.UnitSeconds {
		unit = show.Seconds
	}
	out := show.Table{Left: 1, Head: []string{"setting", r.Unit, "interval", "by the best", "interval", "blocks"}}
	if r.Unit == figures.UnitSeconds {
		out.Head[1] = r.Metric
	}
	for i, s := range t.Settings {
		figure, ratios, interval := bounds(s.Figure, unit), ratio(s.Ratio.Value), bounds(s.Ratio, ratioOf)
		if s.Blocks < fewestBounded {
			figure, interval = show.None, show.None
		}
		if i == 0 {
			ratios, interval = "best", ""
		}
		label := s.Label
		if s.Name == t.Default {
			label += " (the plan's)"
		}
		out.Rows = append(out.Rows, []string{
			label, estimated(s.Figure.Value, unit), figure, ratios, interval, show.Count(s.Blocks),
		})
	}
	out.Notes = []string{
		"by the best: the figure of a setting by that of the first one, in the blocks that both were in; the intervals of a column hold together with 95 % (Bonferroni), and none is shown of fewer than 3 blocks",
		chosen,
	}
	return out
}

// estimated is a figure, or a sign that there is none.
func estimated(n verdict.Number, unit func(float64) string) string {
	if !n.Known() {
		return show.None
	}
	return unit(float64(n))
}

// bounds is an interval: "[0.91, 0.97]".
func bounds(e verdict.Estimate, unit func(float64) string) string {
	if !e.Low.Known() || !e.High.Known() {
		return show.None
	}
	return "[" + unit(float64(e.Low)) + ", " + unit(float64(e.High)) + "]"
}

// tuneRuns are the runs that were made, and what is equal in all of them.
func tuneRuns(r tune.Result) show.Table {
	out := show.Table{Left: 1, Words: 1}
	line := func(name string, run tune.Run) {
		text := fmt.Sprintf("%s, %s: %s", show.Plural(run.Targets, "setting"), show.Plural(run.Blocks, "block"), shell.Line([]string{"bakeoff", "report", run.Dir}))
		if run.Status != "complete" {
			text += " (" + run.Status + ")"
		}
		out.Rows = append(out.Rows, []string{name, text})
	}
	for i, run := range r.Search {
		line(fmt.Sprintf("search %d", i+1), run)
	}
	line("confirmed", r.Confirm)
	for _, text := range r.Fair {
		out.Rows = append(out.Rows, []string{"fair", text})
	}
	return out
}
