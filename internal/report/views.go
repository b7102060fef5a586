package report

import (
	"fmt"
	"html/template"
	"io"
	"slices"

	"bakeoff/internal/chart"
	"bakeoff/internal/figures"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// Styles are the style sheet of what the views are made of, Script is what a click on them does.
func Styles() ([]byte, error) {
	css, err := pageFiles.ReadFile("page/page.css")
	if err != nil {
		return nil, fmt.Errorf("report: looks of the page: %w", err)
	}
	return append(css, chart.CSS()...), nil
}

// Script is what a click on a view does: a table is sorted by a column.
func Script() ([]byte, error) {
	js, err := pageFiles.ReadFile("page/page.js")
	if err != nil {
		return nil, fmt.Errorf("report: script of the page: %w", err)
	}
	return js, nil
}

// WriteRunView writes what a page of a run shows of all targets, as HTML without a frame. While a run lasts, standing is how the
// targets compare so far; nil: there is nothing to compare.
func WriteRunView(w io.Writer, s *figures.Summary, others figures.Others, standing *figures.Verdict) error {
	var out []section
	if standing != nil {
		out = append(out, standingSection(s, standing))
	}
	out = append(out, rankingSection(s, others))
	out = append(out, soFar(s, capacityOfPage(s))...)
	out = append(out, thresholdSection(s)...)
	out = append(out, blocksSection(s), section{title: "While the load ran", figures: overTime(s), tables: stallTables(s), folded: true})
	out = append(out, limitSection(s)...)
	out = append(out, costSection(s)...)
	out = append(out, timeShareSection(s)...)
	out = append(out, booksSection(s)...)
	out = append(out, notUsed(s)...)
	out = append(out, warned(s)...)
	out = append(out, pilot(s)...)
	out = append(out, around(s), notShown(s))
	return writeParts(w, out)
}

// soFar says in sections with intervals why no verdict is made of them, such as that the run is under way.
func soFar(s *figures.Summary, sections []section) []section {
	for i := range sections {
		if s.NoVerdict != "" {
			sections[i].paras = append(sections[i].paras, upper(s.NoVerdict)+".")
		}
	}
	return sections
}

// WriteTargetView writes what a page shows of one target; false where the run has no such target.
func WriteTargetView(w io.Writer, s *figures.Summary, target string) (found bool, err error) {
	one := only(s, target)
	if len(one.Targets) == 0 {
		return false, nil
	}
	times := timesSection(one)
	times.folded = false
	out := []section{blocksSection(one), times, {title: "While the load ran", figures: overTime(one), tables: stallTables(one), folded: true}}
	for _, p := range one.Phases {
		if t := replicaTable(p); len(t.Rows) > 0 {
			out = append(out, section{title: "Replicas and workers, phase " + p.Name, tables: []show.Table{t, processTable(p)}})
		}
	}
	out = append(out, booksSection(one)...)
	out = append(out, notUsed(one)...)
	out = append(out, warned(one)...)
	if s.Running() {
		out = append(out, asked(one))
	} else {
		out = append(out, settings(one)...)
	}
	return true, writeParts(w, out)
}

// WriteTiersView writes what a page shows of everything but the targets: the generator, the balancer, the database, the machine.
func WriteTiersView(w io.Writer, s *figures.Summary) error {
	generator := section{title: "Generator"}
	for _, p := range s.Phases {
		t := latenessTable(p)
		t.Caption = "Phase " + p.Name + ". " + t.Caption
		generator.tables = append(generator.tables, t)
	}
	generator.tables = append(generator.tables, accused(s)...)
	out := []section{generator, tiersSection(s), balanceSection(s)}
	out = append(out, speeds(s)...)
	return writeParts(w, append(out, around(s)))
}

// latenessTable is how honest the agents were in a phase.
func latenessTable(p figures.Phase) show.Table {
	t := show.Table{
		Left: 1, Words: 1, Head: []string{"target", "late", "dropped", "p50 of lateness", "p99 of lateness"},
		Caption: "Late: requests that the agents took up more than 1 ms after they were due. Dropped: requests that were never sent. Over all valid blocks.",
	}
	for _, target := range p.Targets {
		row := []string{target.Target, lateShare(target), show.Share(target.Books.Dropped, target.Books.Planned)}
		for _, percent := range []float64{50, 99} {
			cell := show.None
			for _, l := range target.PooledLateness {
				if l.P == percent {
					cell = percentile(l)
				}
			}
			row = append(row, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// WriteComparedView writes several runs against the first of them, as HTML without a frame.
func WriteComparedView(w io.Writer, c figures.Compared) error {
	return writeParts(w, drawnComparison(withShortLabels(c)))
}

// writeParts writes sections that have something to show.
func writeParts(w io.Writer, sections []section) error {
	t, err := template.ParseFS(pageFiles, "page/page.tmpl")
	if err != nil {
		return fmt.Errorf("report: template of the page: %w", err)
	}
	ids := map[string]bool{}
	var views []sectionView
	for _, s := range sections {
		if len(s.paras)+len(s.points)+len(s.lead)+len(s.figures)+len(s.tables) > 0 {
			views = append(views, viewOf(s, ids))
		}
	}
	label(views)
	for _, v := range views {
		if err := t.ExecuteTemplate(w, "section", v); err != nil {
			return fmt.Errorf("report: write view: %w", err)
		}
	}
	return nil
}

// standingSection is how the targets compare while the run lasts: intervals without any claim.
func standingSection(s *figures.Summary, v *figures.Verdict) section {
	out := section{title: "Intervals as they are so far"}
	ranked := s.Ranked()
	first := ranked[0].Name
	table := show.Table{Left: 1, Words: 1, Head: []string{short(first) + " compared with", "ratio", "low", "high"}}
	var known []verdict.Comparison
	for _, t := range ranked[1:] {
		c, found := v.Pair(first, t.Name)
		if !found {
			continue
		}
		table.Rows = append(table.Rows, []string{t.Name, ratio(c.Ratio), lowEnd(c.Low, v.Delta), highEnd(c.High, v.Delta)})
		if c.Ratio.Known() && c.Low.Known() && c.High.Known() {
			known = append(known, c)
		}
	}
	f := figure{
		title: "How " + short(first) + ", the first of the plan, compares with each other target",
		how: fmt.Sprintf("After %s of %d. The number of blocks was fixed before the run: nothing is decided before the last one, and an interval that excludes 1 now may not do so then.",
			show.Plural(wholeBlocks(v, len(ranked)), "whole block"), s.Run.Blocks),
		numbers: table,
	}
	if len(known) > 0 {
		f.pictures = []picture{drawn("", intervalStrips(known, v.Delta).canvas)}
	}
	out.figures = []figure{f}
	return out
}

// wholeBlocks is how many blocks have a value of every target.
func wholeBlocks(v *figures.Verdict, targets int) (whole int) {
	values := map[int]int{}
	for _, one := range v.Values {
		if values[one.Block]++; values[one.Block] == targets {
			whole++
		}
	}
	return whole
}

// only is a run without its other targets, for the parts that look at one.
func only(s *figures.Summary, target string) *figures.Summary {
	one := *s
	one.Verdict, one.AB = nil, nil
	keep := func(name string) bool { return name == target }
	one.Targets = filtered(s.Targets, func(t figures.Target) bool { return keep(t.Name) })
	one.Trials = filtered(s.Trials, func(t figures.Trial) bool { return keep(t.Target) })
	one.Pilot = filtered(s.Pilot, func(t figures.Trial) bool { return keep(t.Target) })
	one.Timelines = filtered(s.Timelines, func(t figures.Timeline) bool { return keep(t.Target) })
	one.Unusable = filtered(s.Unusable, func(t figures.Unusable) bool { return keep(t.Target) })
	one.Phases = slices.Clone(s.Phases)
	for i := range one.Phases {
		one.Phases[i].Targets = filtered(s.Phases[i].Targets, func(t figures.PhaseTarget) bool { return keep(t.Target) })
	}
	return &one
}

func filtered[T any](of []T, keep func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(of), func(v T) bool { return !keep(v) })
}
