package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"bakeoff/internal/figures"
	"bakeoff/internal/show"
)

// longLabel is how many characters of a run's label are on the page at most.
const longLabel = 63

// WriteComparedHTML writes several runs against the first of them as one file that needs no network and no script.
func WriteComparedHTML(w io.Writer, c figures.Compared) error {
	c = withShortLabels(c)
	first := c.Runs[0]
	var others []string
	for _, r := range c.Runs[1:] {
		others = append(others, r.Label)
	}
	sections := drawnComparison(c)
	return writePage(w, page{
		kind: "bakeoff compare", title: "Comparison with " + first.Label,
		head:  fmt.Sprintf("%s compared with %s, by %s", show.List(others), first.Label, c.Metric),
		basis: "Runs, not versions within one run: an interval covers what varies within the runs, not from run to run, so that this is no verdict.",
		facts: "Plan and start of the first: " + first.Name + ", " + first.Started + " UTC.", sections: sections,
	})
}

// drawnComparison is what a comparison says, with its figure.
func drawnComparison(c figures.Compared) []section {
	sections := comparedSections(c)
	sections[len(sections)-1].figures = comparedFigure(c)
	return sections
}

// withShortLabels is a comparison whose runs have labels that a page has room for.
func withShortLabels(c figures.Compared) figures.Compared {
	c.Runs, c.Changes = slices.Clone(c.Runs), slices.Clone(c.Changes)
	for i := range c.Runs {
		c.Runs[i].Label = show.Clip(c.Runs[i].Label, longLabel)
	}
	for i := range c.Changes {
		c.Changes[i].Run = show.Clip(c.Changes[i].Run, longLabel)
	}
	return c
}

// WriteExpectedHTML writes a run against what earlier ones predict, likewise; name is what the run is called.
func WriteExpectedHTML(w io.Writer, name string, e figures.Expected) error {
	one := expectedSection(e)
	one.figures = expectedFigure(e)
	return writePage(w, page{
		kind: "bakeoff compare", title: show.Clip(name, longLabel) + " compared with earlier runs",
		head:  show.Clip(name, longLabel) + " compared with " + show.Plural(e.Earlier, "earlier run") + ": " + expectedInWords(e),
		basis: "Earlier runs are complete ones of the same plan on the same machine.", sections: []section{one},
	})
}

// comparedFigure is the ratio of each target in each run to the first run, where there is an interval.
func comparedFigure(c figures.Compared) []figure {
	var rows []intervalRow
	numbers := show.Table{Left: 2, Head: []string{"target", "run", "ratio", "low", "high"}}
	for _, target := range c.Targets {
		for i, cell := range target.Cells {
			if i == 0 || !cell.Ratio.Known() || !cell.Low.Known() {
				continue
			}
			label := c.Runs[i].Label
			rows = append(rows, intervalRow{target.Name + " in " + label, target.Name + ", " + label + " / " + c.Runs[0].Label, cell.Ratio, cell.Low, cell.High})
			numbers.Rows = append(numbers.Rows, []string{target.Name, label, ratio(cell.Ratio), lowEnd(cell.Low, 0), highEnd(cell.High, 0)})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	how := "A mark is the ratio of a target's figure to the one in the first run, the line its interval. An interval that does not reach 1 is a difference between these two runs."
	if c.Unit == figures.UnitSeconds {
		how += " Times are compared, so left of 1 is better."
	}
	return []figure{{
		title: "Each target compared with itself in " + c.Runs[0].Label, how: how,
		pictures: []picture{drawn("", ratioStrips(rows, 0).canvas)}, numbers: numbers,
	}}
}

// expectedFigure is where each target was expected, and where it is.
func expectedFigure(e figures.Expected) []figure {
	var rows []intervalRow
	numbers := show.Table{Left: 1, Words: 1, Head: []string{"target", "it is", "expected from", "to", "outcome"}}
	for _, t := range e.Targets {
		if t.Ratio.Known() && t.Low.Known() {
			rows = append(rows, intervalRow{t.Name, t.Name, t.Ratio, t.Low, t.High})
			numbers.Rows = append(numbers.Rows, []string{t.Name, ratio(t.Ratio), lowEnd(t.Low, 0), highEnd(t.High, 0), t.Outcome})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return []figure{{
		title:    "Where each target was expected, and where it is",
		how:      "The line is where earlier runs predict the figure, as a ratio to their mean, the mark where it is. A mark on its line is as before.",
		pictures: []picture{drawn("", ratioStrips(rows, 0).canvas)}, numbers: numbers,
	}}
}

// expectedInWords says which targets are not as before.
func expectedInWords(e figures.Expected) string {
	of := map[string][]string{}
	for _, t := range e.Targets {
		of[t.Outcome] = append(of[t.Outcome], short(t.Name))
	}
	var out []string
	for _, outcome := range []string{figures.Worse, figures.Better, figures.NotComparable, figures.AsBefore} {
		if len(of[outcome]) > 0 {
			out = append(out, show.List(of[outcome])+" "+outcome)
		}
	}
	if len(out) == 0 {
		return figures.NotComparable
	}
	return strings.Join(out, "; ")
}
