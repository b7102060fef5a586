package report

import (
	"fmt"

	"bakeoff/internal/chart"
	"bakeoff/internal/figures"
	"bakeoff/internal/show"
)

// curveFigure is the percentile curve of a phase, all targets in one plot.
func curveFigure(p figures.Phase) []figure {
	var percents, seconds []float64
	for _, t := range p.Targets {
		for _, point := range t.Curve {
			percents, seconds = append(percents, point.P), append(seconds, point.Seconds)
		}
	}
	if len(percents) == 0 {
		return nil
	}
	f := figure{
		title: "Phase " + p.Name + ": " + timeName(p) + ", from the fastest request to the slowest",
		how: "Right of 90 is the slowest tenth of the requests, right of 99 the slowest hundredth; lower is better. All valid blocks are pooled, and a curve ends where fewer than 100 requests " +
			"are slower, or where time-outs begin. Pooled times are used for no verdict, for blocks differ.",
		pictures: scales(func(width int, log bool) *chart.Canvas { return curveCanvas(p, percents, seconds, width, log) }),
		numbers:  pooledTable(p),
	}
	if p.ByService() {
		f.how += " This is service time, from the actual send: no claim about latency."
	}
	return []figure{f}
}

const (
	curveHeight = 300
	legendRow   = 19
)

func curveCanvas(p figures.Phase, percents, seconds []float64, width int, log bool) *chart.Canvas {
	scaleOf := chart.FromZero
	if log {
		scaleOf = chart.Log
	}
	s := strips{
		title: timeName(p) + " by percentile", about: timeName(p), below: "percentile",
		x:     func(from, to float64) chart.Scale { return chart.Nines(percents, from, to) },
		names: func(v float64) string { return fmt.Sprintf("p%g", v) },
	}
	s.rows = []strip{{
		height: curveHeight, y: func(from, to float64) chart.Scale { return scaleOf(seconds, from, to) }, names: show.Seconds,
		draw: func(c *chart.Canvas, x, y chart.Scale) {
			for i, t := range p.Targets {
				drawCurve(c, x, y, t, chart.Series(i))
			}
		},
	}}
	top := s.height()
	c := chart.New(width, int(top)+legendRow*len(p.Targets)+8, s.title)
	s.draw(c, 0)
	for i, t := range p.Targets {
		legend(c, top+float64(legendRow*i), chart.Series(i), t.Target, "")
	}
	return c
}

func drawCurve(c *chart.Canvas, x, y chart.Scale, t figures.PhaseTarget, series chart.Series) {
	var line []chart.Point
	for _, point := range t.Curve {
		if y.Note() == "" || point.Seconds > 0 {
			line = append(line, chart.Point{X: x.At(point.P), Y: y.At(point.Seconds)})
		}
	}
	c.Path(line, series, chart.Own)
	for _, point := range t.Curve {
		for _, percent := range figures.Percents() {
			if point.P == percent && point.Seconds > 0 {
				c.Mark(chart.Point{X: x.At(point.P), Y: y.At(point.Seconds)}, series, fmt.Sprintf("%s p%g: %s", t.Target, percent, show.Seconds(point.Seconds)))
			}
		}
	}
}

// legend is one line of it: a stroke with its mark, the name, and a figure at the right, if any.
func legend(c *chart.Canvas, y float64, series chart.Series, name, figure string) {
	style, room := chart.Style{Size: 12, Anchor: "end"}, c.Width()-leftOf-rightOf
	if figure != "" {
		c.Text(c.Width()-rightOf, y+12, figure, style)
		room -= chart.TextWidth(figure, style) + 12
	}
	c.Path([]chart.Point{{X: 12, Y: y + 8}, {X: 44, Y: y + 8}}, series, chart.Own)
	c.Mark(chart.Point{X: 28, Y: y + 8}, series, name)
	c.Label(leftOf, y+12, name, room, chart.Style{Size: 12})
}

func pooledTable(p figures.Phase) show.Table {
	var t percentileTable
	for _, of := range p.Targets {
		if p.ByService() {
			t.add([]string{of.Target}, of.PooledService)
		} else {
			t.add([]string{of.Target}, of.PooledResponse)
		}
	}
	return t.grid([]string{"target", "requests"}, 1)
}
