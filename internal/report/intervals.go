package report

import (
	"bakeoff/internal/chart"
	"bakeoff/internal/figures"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// intervalFigure shows the first of the ranking against each other target.
func intervalFigure(v *figures.Verdict) []figure {
	if v == nil || len(v.Targets) < 2 {
		return nil
	}
	first := v.Targets[0].Name
	known := drawablePairs(v)
	table := show.Table{Left: 1, Words: 1, Head: []string{"compared with", "ratio", "low", "high", short(first) + " is"}}
	for _, t := range v.Targets[1:] {
		c, found := v.Pair(first, t.Name)
		if !found {
			continue
		}
		table.Rows = append(table.Rows, []string{t.Name, ratio(c.Ratio), lowEnd(c.Low, v.Delta), highEnd(c.High, v.Delta), v.Words(c)})
	}
	f := figure{
		title: "How " + short(first) + " compares with each other target",
		how: "A mark is the estimated ratio of " + short(first) + "'s figure to the other's, the line its interval; " + intervals(v.Result) + ". The band is the margin within which differences do not matter (" +
			verdict.Margin(v.Delta) + "). Beyond 1 as a whole, with its mark beyond the band: a difference. Wholly within the band: a tie. " +
			"The tests that decide are a little less strict than these intervals, so that one that reaches somewhat further may be a difference or a tie, too: the words say it.",
		numbers: table,
	}
	if v.Unit == figures.UnitSeconds {
		f.how += " Times are compared, so left of 1 is better."
	}
	if len(known) == 0 {
		f.how = "No interval can be drawn: there are too few blocks."
	} else {
		f.pictures = []picture{drawn("", intervalStrips(known, v.Delta).canvas)}
	}
	return []figure{f}
}

// drawablePairs are those of the first target whose interval has two ends.
func drawablePairs(v *figures.Verdict) []verdict.Comparison {
	var out []verdict.Comparison
	for _, t := range v.Targets[1:] {
		if c, found := v.Pair(v.Targets[0].Name, t.Name); found && c.Ratio.Known() && c.Low.Known() && c.High.Known() {
			out = append(out, c)
		}
	}
	return out
}

// intervalRow is a ratio with its interval, as it is drawn.
type intervalRow struct {
	name, title      string // title is read out instead of the mark
	ratio, low, high verdict.Number
}

func intervalStrips(pairs []verdict.Comparison, delta float64) strips {
	var rows []intervalRow
	for _, c := range pairs {
		rows = append(rows, intervalRow{"with " + c.B, c.A + " / " + c.B, c.Ratio, c.Low, c.High})
	}
	return ratioStrips(rows, delta)
}

// ratioStrips draws a row for each ratio, around the upright line of 1 and the band of differences that do not matter; 0: no band.
func ratioStrips(rows []intervalRow, delta float64) strips {
	all := []float64{1 / (1 + delta), 1 + delta}
	for _, r := range rows {
		all = append(all, float64(r.low), float64(r.high), float64(r.ratio))
	}
	out := strips{
		title: "intervals of ratios", below: "ratio; 1: no difference", names: ratioOf,
		x: func(from, to float64) chart.Scale { return chart.Between(all, from, to) },
	}
	for _, r := range rows {
		said := ratio(r.ratio) + " " + between(r.low, r.high, delta)
		out.rows = append(out.rows, strip{
			name: r.name, figure: said, height: 22,
			y:     oneLine,
			names: func(float64) string { return "" },
			draw: func(cv *chart.Canvas, x, y chart.Scale) {
				from, to, at := x.At(1/(1+delta)), x.At(1+delta), y.At(1)
				if delta > 0 {
					cv.Area([]chart.Point{{X: from, Y: at - 11}, {X: to, Y: at - 11}, {X: to, Y: at + 11}, {X: from, Y: at + 11}}, 5)
				}
				cv.Line(x.At(1), at-11, x.At(1), at+11, chart.Limit)
				title := r.title + ": " + said
				cv.Range(x.At(float64(r.low)), at, x.At(float64(r.high)), at, 0, title)
				cv.Mark(chart.Point{X: x.At(float64(r.ratio)), Y: at}, 3, title)
			},
		})
	}
	return out
}
