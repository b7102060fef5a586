package report

import (
	"fmt"
	"io"
	"math"

	"bakeoff/internal/figures"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// WriteCompared writes several runs against the first of them, as text for a page of that many columns, or as Markdown.
func WriteCompared(w io.Writer, c figures.Compared, markdown bool, columns int) error {
	return writeSections(w, comparedSections(c), markdown, columns)
}

// WriteExpected writes a run against what earlier ones predict.
func WriteExpected(w io.Writer, e figures.Expected, markdown bool, columns int) error {
	return writeSections(w, []section{expectedSection(e)}, markdown, columns)
}

func writeSections(w io.Writer, sections []section, markdown bool, columns int) error {
	write := func() error { return writeText(w, sections, columns) }
	if markdown {
		write = func() error { return writeMarkdown(w, sections) }
	}
	if err := write(); err != nil {
		return fmt.Errorf("report: write: %w", err)
	}
	return nil
}

func comparedSections(c figures.Compared) []section {
	return []section{runsSection(c), changesSection(c), ratiosSection(c)}
}

func runsSection(c figures.Compared) section {
	out := section{title: show.Plural(len(c.Runs), "run") + " compared, by " + c.Metric}
	t := show.Table{Left: 5, Head: []string{"run", "plan", "begun (UTC)", "status", "machine"}}
	for i, r := range c.Runs {
		machine := "the same"
		switch {
		case i == 0:
			machine = "the first"
		case r.Elsewhere:
			machine = "ANOTHER"
		}
		t.Rows = append(t.Rows, []string{r.Label, r.Name, r.Started, r.Status, machine})
		if r.NoVerdict != "" {
			out.points = append(out.points, r.Label+" has no figures to compare: "+r.NoVerdict)
		}
		for _, mark := range bounded(r.Marks) {
			out.points = append(out.points, r.Label+": "+mark)
		}
	}
	out.tables = []show.Table{t}
	return out
}

func changesSection(c figures.Compared) section {
	out := section{title: "What differs from " + c.Runs[0].Label}
	if len(c.Changes) == 0 {
		out.paras = []string{"Nothing: plan, programs with their digests, versions, settings, rows of the database, machine with its limits, and its calibration are the same."}
		return out
	}
	t := show.Table{Left: 4, Head: []string{"run", "what", "in the first", "in this"}}
	for _, ch := range c.Changes {
		t.Rows = append(t.Rows, []string{ch.Run, ch.What, orNone(ch.First), orNone(ch.This)})
	}
	out.tables = []show.Table{t}
	return out
}

func orNone(text string) string {
	if text == "" {
		return show.None
	}
	return show.Clip(text, 60)
}

func ratiosSection(c figures.Compared) section {
	out := section{title: "Figures, and ratios to " + c.Runs[0].Label, paras: []string{
		"An interval covers what varies between the blocks of both runs, not what varies from run to run: it is no verdict. bakeoff ab compares two versions within one run; --baseline compares with five or more earlier runs. Percentages are of the figure in the first run.",
	}}
	unit := show.Number
	if c.Unit == figures.UnitSeconds {
		unit = show.Seconds
	}
	t := show.Table{Left: 2, Words: 1, Head: []string{"target", "run", c.Unit, "blocks", "ratio", "interval", ""}}
	level := verdict.Number(0)
	for _, target := range c.Targets {
		for i, cell := range target.Cells {
			row := []string{target.Name, c.Runs[i].Label, known(cell.Mean, unit), fmt.Sprint(cell.Blocks), "", "", ""}
			if i > 0 {
				row[4], row[5], row[6] = known(cell.Ratio, ratioOf), "", comparedWords(c.Runs[i], cell)
				if cell.Low.Known() {
					row[5], level = between(cell.Low, cell.High, 0), cell.Level
				}
			}
			t.Rows = append(t.Rows, row)
		}
	}
	if level > 0 {
		t.Notes = []string{fmt.Sprintf("the intervals hold together with 95 %% (Bonferroni), each alone with %s", levelOf(level))}
	}
	out.tables = []show.Table{t}
	return out
}

func levelOf(l verdict.Number) string { return fmt.Sprintf("%.4g %%", 100*float64(l)) }

func comparedWords(r figures.ComparedRun, cell figures.ComparedCell) string {
	switch {
	case !cell.Ratio.Known():
		return "not comparable"
	case r.Elsewhere:
		return "another machine: no interval, no verdict"
	case !cell.Low.Known():
		return "too few blocks for an interval"
	case cell.Excludes() > 0:
		return "higher by at least " + ofFirst(float64(cell.Low)-1)
	case cell.Excludes() < 0:
		return "lower by at least " + ofFirst(1-float64(cell.High))
	}
	return "not told apart"
}

// ofFirst is a bound as a percentage of the figure of the first run, rounded down.
func ofFirst(share float64) string { return show.Percent(math.Floor(1e3*share*(1+1e-12)) / 1e3) }

func expectedSection(e figures.Expected) section {
	out := section{title: "Compared with earlier runs"}
	if e.Unread > 0 {
		out.points = []string{show.Plural(e.Unread, "earlier run") + " of this plan cannot be read, and is left out."}
	}
	if e.Earlier < e.Fewest {
		out.paras = []string{fmt.Sprintf("Not comparable: there are %s of this plan on this machine, and a prediction needs %d.", show.Plural(e.Earlier, "earlier run"), e.Fewest)}
		return out
	}
	out.paras = []string{fmt.Sprintf("From %s of this plan on this machine: where the next run is expected, +-t(n-1) s sqrt(1 + 1/n) of the logarithms around their mean.", show.Plural(e.Earlier, "earlier run"))}
	t := show.Table{Left: 1, Words: 1, Head: []string{"target", "earlier", "ratio to their mean", "expected", "it is"}}
	for _, target := range e.Targets {
		expected := show.None
		if target.Low.Known() {
			expected = between(target.Low, target.High, 0)
		}
		t.Rows = append(t.Rows, []string{target.Name, fmt.Sprint(target.Earlier), known(target.Ratio, ratioOf), expected, target.Outcome})
	}
	if len(e.Targets) > 0 {
		t.Notes = []string{"the expectations hold together with 95 % (Bonferroni), each alone with " + levelOf(e.Targets[0].Level)}
	}
	out.tables = []show.Table{t}
	return out
}
