package report

import (
	"fmt"
	"slices"

	"bakeoff/internal/chart"
	"bakeoff/internal/figures"
	"bakeoff/internal/show"
)

// overTime are the figures of what happened when: throughput, and response times.
func overTime(s *figures.Summary) []figure {
	if len(s.Timelines) == 0 {
		return nil
	}
	return []figure{
		{
			title: "Right answers per second while the load ran", numbers: timeTable(s, true),
			how: stallsSeen(s.Timelines) + " The line is the median over valid blocks, the faint area reaches from the lowest to the highest block; where a rate was offered, the dotted line is it. " +
				"Phases follow each other from left to right.",
			pictures: []picture{drawn("", func(width int) *chart.Canvas { return timeStrips(s, rateOf(s)).canvas(width) })},
		},
		{
			title: "How long answers took while the load ran", numbers: timeTable(s, false),
			how: "The line is the median over valid blocks of each block's median response time at that moment, the dashed one above it the slowest single answer of any block: a stall is a peak in it. " +
				"Where a phase is in the closed model, or its engine does not know when a request was due, it is service time. Points without enough requests are left out.",
			pictures: scales(func(width int, log bool) *chart.Canvas { return timeStrips(s, latencyOf(s, log)).canvas(width) }),
		},
	}
}

// timeView is what is drawn of timelines.
type timeView struct {
	about string
	y     func(from, to float64) chart.Scale
	names func(float64) string
	row   func(t figures.Timeline) string // the figure of a row
	draw  func(c *chart.Canvas, p figures.PhaseTime, at func(s float64) float64, y chart.Scale, series chart.Series)
}

func timeStrips(s *figures.Summary, v timeView) strips {
	begins, whole := phaseBegins(s)
	out := strips{
		title: v.about + " over time", about: v.about, below: "seconds of load on the target, warm-up included", names: show.Decimal,
		x:    func(from, to float64) chart.Scale { return chart.FromZero([]float64{whole}, from, to) },
		over: func(c *chart.Canvas, x chart.Scale, top float64) { phaseNames(c, x, top, s.Timelines, begins) },
	}
	for i, t := range s.Timelines {
		out.rows = append(out.rows, strip{
			name: t.Target, figure: v.row(t), height: 84, y: v.y, names: v.names,
			draw: func(c *chart.Canvas, x, y chart.Scale) {
				for _, p := range t.Phases {
					begin := begins[p.Number]
					if begin > 0 {
						c.Line(x.At(begin), y.At(y.Ticks()[0]), x.At(begin), y.At(y.Ticks()[len(y.Ticks())-1]), chart.Rule)
					}
					v.draw(c, p, func(at float64) float64 { return x.At(begin + at) }, y, chart.Series(i))
				}
			},
		})
	}
	return out
}

// phaseBegins is when each phase begins if they follow each other, and how long they are together.
func phaseBegins(s *figures.Summary) (begins map[int]float64, whole float64) {
	lengths := map[int]float64{}
	for _, t := range s.Timelines {
		for _, p := range t.Phases {
			lengths[p.Number] = max(lengths[p.Number], p.DurationS)
		}
	}
	var numbers []int
	for n := range lengths {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	begins = map[int]float64{}
	for _, n := range numbers {
		begins[n] = whole
		whole += lengths[n]
	}
	return begins, whole
}

func phaseNames(c *chart.Canvas, x chart.Scale, top float64, timelines []figures.Timeline, begins map[int]float64) {
	named := map[int]bool{}
	for _, t := range timelines {
		for _, p := range t.Phases {
			from, to := x.At(begins[p.Number]), x.At(begins[p.Number]+p.DurationS)
			if !named[p.Number] && to-from > 24 {
				c.Label(from+2, top+13, p.Name, to-from-6, chart.Style{Size: 11, Grey: true})
			}
			named[p.Number] = true
		}
	}
}

// rateOf draws the right answers per second.
func rateOf(s *figures.Summary) timeView {
	var all []float64
	for _, t := range s.Timelines {
		for _, p := range t.Phases {
			all = append(all, p.Rate)
			for _, b := range p.Bins {
				all = append(all, b.Goodput.Max)
			}
		}
	}
	return timeView{
		about: "answers/s", names: show.Number,
		y: func(from, to float64) chart.Scale { return chart.FromZero(all, from, to) },
		row: func(t figures.Timeline) string {
			switch n, looked := stallsIn(t); {
			case n > 0:
				return show.Plural(n, "stall")
			case looked.Judged == 0:
				return "stalls not looked for"
			}
			return "no stall"
		},
		draw: drawRates,
	}
}

func drawRates(c *chart.Canvas, p figures.PhaseTime, at func(float64) float64, y chart.Scale, series chart.Series) {
	var line, low, high []chart.Point
	for _, b := range p.Bins {
		if b.Goodput.N > 0 {
			x := at(min(b.AtS+p.StepS/2, p.DurationS))
			line = append(line, chart.Point{X: x, Y: y.At(b.Goodput.Median)})
			low, high = append(low, chart.Point{X: x, Y: y.At(b.Goodput.Min)}), append(high, chart.Point{X: x, Y: y.At(b.Goodput.Max)})
		}
	}
	slices.Reverse(low)
	c.Area(append(high, low...), series)
	if p.Rate > 0 {
		c.Line(at(0), y.At(p.Rate), at(p.DurationS), y.At(p.Rate), chart.Rule)
	}
	c.Path(line, series, chart.Solid)
	for _, s := range p.Stalls {
		c.Flag(chart.Point{X: at(s.AtS + s.LengthS/2), Y: y.At(0)}, fmt.Sprintf("block %d, at %s of phase %s: %s", s.Block, show.Seconds(s.AtS), p.Name, stallInWords(s)))
	}
}

// latencyOf draws the median and the slowest of the times.
func latencyOf(s *figures.Summary, log bool) timeView {
	var all []float64
	for _, t := range s.Timelines {
		for _, p := range t.Phases {
			for _, b := range p.Bins {
				all = append(all, b.Slowest)
				if b.Median.N > 0 {
					all = append(all, b.Median.Median)
				}
			}
		}
	}
	scaleOf := chart.FromZero
	if log {
		scaleOf = chart.Log
	}
	return timeView{
		about: "response time", names: show.Seconds,
		y:    func(from, to float64) chart.Scale { return scaleOf(all, from, to) },
		row:  slowestOf,
		draw: drawTimes,
	}
}

// slowestOf says how long the slowest answer of a target's measured phases took.
func slowestOf(t figures.Timeline) string {
	slowest, over := 0.0, false
	for _, p := range t.Phases {
		for _, b := range p.Bins {
			if !p.Warmup && b.Slowest > slowest {
				slowest, over = b.Slowest, b.SlowestOver
			}
		}
	}
	return "slowest " + bound(over) + show.Seconds(slowest)
}

func drawTimes(c *chart.Canvas, p figures.PhaseTime, at func(float64) float64, y chart.Scale, series chart.Series) {
	var line, slowest []chart.Point
	for _, b := range p.Bins {
		x := at(min(b.AtS+p.StepS/2, p.DurationS))
		if b.Requests > 0 && b.Slowest > 0 {
			slowest = append(slowest, chart.Point{X: x, Y: y.At(b.Slowest)})
		}
		if b.Median.N > 0 && b.Median.Median > 0 {
			line = append(line, chart.Point{X: x, Y: y.At(b.Median.Median)})
		}
	}
	c.Path(slowest, series, chart.Dashed)
	c.Path(line, series, chart.Solid)
}

// timeTable are the points of both figures.
func timeTable(s *figures.Summary, rates bool) show.Table {
	t := show.Table{Left: 2, Head: []string{"target", "phase", "at", "blocks", "ok/s", "lowest", "highest"}}
	if !rates {
		t.Head = []string{"target", "phase", "at", "requests", "median time", "lowest", "highest", "slowest answer"}
	}
	for _, of := range s.Timelines {
		for _, p := range of.Phases {
			for _, b := range p.Bins {
				row := []string{of.Target, p.Name, show.Span(b.AtS)}
				switch {
				case rates && b.Goodput.N > 0:
					row = append(row, fmt.Sprint(b.Goodput.N), median(b.Goodput, show.Number), show.Number(b.Goodput.Min), show.Number(b.Goodput.Max))
				case !rates && b.Requests > 0:
					m := b.Median
					row = append(row, show.Count(b.Requests), median(m, show.Seconds), lowest(m, show.Seconds), greatest(m, show.Seconds), bound(b.SlowestOver)+show.Seconds(b.Slowest))
				default:
					continue
				}
				t.Rows = append(t.Rows, row)
			}
		}
	}
	return t
}

func lowest(s figures.Spread, unit func(float64) string) string {
	if s.N == 0 {
		return show.None
	}
	return bound(s.MinOver) + unit(s.Min)
}

func greatest(s figures.Spread, unit func(float64) string) string {
	if s.N == 0 {
		return show.None
	}
	return bound(s.MaxOver) + unit(s.Max)
}
