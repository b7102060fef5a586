package report

import (
	"fmt"
	"slices"

	"bakeoff/internal/capacity"
	"bakeoff/internal/chart"
	"bakeoff/internal/figures"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// objectiveInWords says what a target had to meet.
func objectiveInWords(c *figures.Capacity) string {
	return fmt.Sprintf("p%g of the response time up to %s, at most %s without a right answer", c.Percentile, show.Seconds(c.BoundS), shareOf(c.Errors))
}

// shareOf is a small share with as many digits as it has.
func shareOf(share float64) string { return fmt.Sprintf("%.3g %%", 100*share) }

// capacitySection is the capacity of each target: what the search and the blocks found, and the response time over the rate.
func capacitySection(s *figures.Summary) []section {
	if s.Capacity == nil {
		return nil
	}
	out := section{
		title:  "Capacity: the highest rate that meets the objective",
		paras:  []string{"Objective: " + objectiveInWords(s.Capacity) + ".", intervalsOfCapacity(s.Capacity)},
		tables: []show.Table{capacityTable(s), capacityBlocks(s.Capacity)},
	}
	for _, t := range s.Capacity.Targets {
		if t.ShortOfConnections() {
			out.paras = append(out.paras, fmt.Sprintf("%s had %s of the agents' connections in use in a stage that met the objective: with more of them (objective.connections) it may do more.", t.Target, show.Percent(t.InUse)))
		}
		if len(t.Load) > 0 {
			out.tables = append(out.tables, loadTable(s.Capacity, t))
		}
	}
	return []section{out}
}

// capacityOfPage is the same on a page, with the picture.
func capacityOfPage(s *figures.Summary) []section {
	out := capacitySection(s)
	for i := range out {
		out[i].figures = loadFigure(s.Capacity)
		out[i].lead, out[i].tables = out[i].tables[:1], out[i].tables[1:]
	}
	return out
}

func intervalsOfCapacity(c *figures.Capacity) string {
	text := "The capacity is the mean over blocks with its 95 % interval"
	if len(c.Targets) > 1 {
		text += "; all intervals hold together with 95 %"
	}
	text += ". Bounds: the greatest rate that passes and the smallest that fails, in the stages of all blocks together."
	if slices.ContainsFunc(c.Targets, func(t figures.CapacityTarget) bool { return boundOf(t) != "" }) {
		text += " A figure with >= is the least that a target can do, one with < is more than it can: some blocks only show a bound, which counts for them, or another tier was the limit. Of one with ~ blocks show both kinds of bounds."
	}
	if c.SliceS > 0 {
		text += fmt.Sprintf(" The load came in slices of %s that began with nothing under way: without interruption a capacity may be a little lower (docs/method.md).", show.Span(c.SliceS))
	}
	return text
}

func capacityTable(s *figures.Summary) show.Table {
	t := show.Table{Left: 1, Words: 1, Head: []string{"target", "capacity/s", "interval", "blocks", "passes at", "fails at", "search before block 1"}}
	for _, c := range s.Capacity.Targets {
		known := 0
		for _, v := range c.Values {
			if v.Kind == capacity.Rate {
				known++
			}
		}
		t.Rows = append(t.Rows, []string{
			c.Target, capacityOf(c), estimateInterval(c.Estimate, show.Number), fmt.Sprintf("%d of %d", known, s.Run.Blocks), rateOrNone(c.Lower), rateOrNone(c.Upper), searchInWords(c.Search),
		})
	}
	return t
}

// boundOf is before an estimate that is only a bound: blocks only bound the capacity, or another tier limited it.
func boundOf(c figures.CapacityTarget) string {
	switch {
	case c.AtLeast() && c.AtMost():
		return "~ "
	case c.AtLeast():
		return ">= "
	case c.AtMost():
		return "< "
	}
	return ""
}

// capacityOf is the estimate, or the bound that the search gives in its place.
func capacityOf(c figures.CapacityTarget) string {
	switch {
	case c.Estimate.Value.Known():
		return boundOf(c) + show.Number(float64(c.Estimate.Value))
	case c.Search != nil && c.Search.Outcome == capacity.AtLeast:
		return ">= " + show.Number(c.Search.Lower)
	case c.Search != nil && c.Search.Outcome == capacity.Impossible:
		return "< " + show.Number(c.Search.Upper)
	}
	return show.None
}

func estimateInterval(e verdict.Estimate, unit func(float64) string) string {
	if !e.Known() {
		return show.None
	}
	high := show.None
	if e.High.Known() {
		high = unit(float64(e.High))
	}
	return "[" + unit(float64(e.Low)) + ", " + high + "]"
}

func rateOrNone(rate float64) string {
	if rate == 0 {
		return show.None
	}
	return show.Number(rate)
}

// searchInWords says how a search ended.
func searchInWords(r *capacity.Result) string {
	if r == nil {
		return "no valid trial of the pilot"
	}
	text := ""
	switch r.Outcome {
	case capacity.Found:
		text = "between " + show.Number(r.Lower) + " and " + show.Number(r.Upper)
	case capacity.AtLeast:
		text = "met up to the ceiling of the agents"
	case capacity.Impossible:
		text = "not met even almost without load"
	case capacity.Unrepeatable:
		text = "twice not met after an overload where it had been met"
	default:
		text = "came to no end"
	}
	if r.Hysteresis && r.Outcome != capacity.Unrepeatable {
		text += "; after an overload it met less than before"
	}
	if r.Inverted {
		text += "; higher rates pass where a lower one fails"
	}
	return text
}

// capacityBlocks has the value of every block.
func capacityBlocks(c *figures.Capacity) show.Table {
	t := show.Table{Left: 1, Words: 1, Head: []string{"target", "block", "capacity/s", ""}, Caption: "The value of each block."}
	for _, target := range c.Targets {
		for _, v := range target.Values {
			row := []string{target.Target, fmt.Sprint(v.Block), show.None, figures.ValueInWords(v.Value)}
			if v.Kind == capacity.Rate {
				row[2], row[3] = show.Number(v.Rate), ""
			}
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

func loadTable(c *figures.Capacity, target figures.CapacityTarget) show.Table {
	t := show.Table{
		Left: 1, Head: []string{"requests/s", "stages", fmt.Sprintf("p%g", c.Percentile), "interval", "slower than " + show.Seconds(c.BoundS), "interval", "without a right answer", "objective"},
		Caption: target.Target + ": all stages by rate, those of the search among them. Intervals are 95 %: of the percentile over stages, of the share over seconds.",
	}
	for _, p := range target.Load {
		t.Rows = append(t.Rows, []string{
			show.Number(p.Rate), fmt.Sprint(p.Stages), timeOf(p), estimateInterval(p.Response, show.Seconds), shareOf(p.Slow),
			"[" + shareOf(p.Low) + ", " + shareOf(p.High) + "]", shareOf(p.Errors), string(p.Class),
		})
	}
	return t
}

// timeOf is the percentile of a rate, or what it is known to exceed.
func timeOf(p figures.LoadPoint) string {
	if !p.Response.Value.Known() {
		return show.None
	}
	return bound(p.Over) + show.Seconds(float64(p.Response.Value))
}

const loadHeight = 300

// loadFigure is the response time over the rate, all targets in one plot.
func loadFigure(c *figures.Capacity) []figure {
	rates, seconds := []float64{}, []float64{c.BoundS}
	for _, t := range c.Targets {
		for _, p := range t.Load {
			if !p.Response.Value.Known() {
				continue
			}
			rates, seconds = append(rates, p.Rate), append(seconds, float64(p.Response.Value))
		}
		if v := t.Estimate.Value; v.Known() {
			rates = append(rates, float64(v))
		}
	}
	if len(rates) == 0 {
		return nil
	}
	pictures := scales(func(width int, log bool) *chart.Canvas { return loadCanvas(c, rates, seconds, width, log) })
	slices.Reverse(pictures) // beyond its capacity a target takes seconds: next to those the bound is no more than the ground
	return []figure{{
		title: fmt.Sprintf("p%g of the response time over the rate", c.Percentile),
		how: "A mark is the mean over the stages of one rate, the upright line its 95 % interval, if there are several stages. Where time-outs are part of it, the mean is at least that, " +
			"and its line goes up to the top. The level line is the bound of the objective. On it are the capacity of each target, the mean over blocks of the rate at which it is reached, " +
			"and the interval of that. Intervals of few stages are wide, and are cut off where the marks end. On the logarithmic scales equal factors are equally far apart.",
		pictures: pictures,
		numbers:  pointsTable(c),
	}}
}

func pointsTable(c *figures.Capacity) show.Table {
	t := show.Table{Left: 1, Words: 1, Head: []string{"target", "requests/s", "stages", fmt.Sprintf("p%g", c.Percentile), "interval", "objective"}}
	for _, target := range c.Targets {
		for _, p := range target.Load {
			t.Rows = append(t.Rows, []string{
				target.Target, show.Number(p.Rate), fmt.Sprint(p.Stages), timeOf(p), estimateInterval(p.Response, show.Seconds), string(p.Class),
			})
		}
	}
	return t
}

func loadCanvas(c *figures.Capacity, rates, seconds []float64, width int, log bool) *chart.Canvas {
	scaleOf := chart.FromZero
	if log {
		scaleOf = chart.Log
	}
	s := strips{
		title: "response time by rate", about: fmt.Sprintf("p%g of the response time", c.Percentile), below: "requests per second",
		x:     func(from, to float64) chart.Scale { return scaleOf(rates, from, to) },
		names: show.Number,
	}
	s.rows = []strip{{
		height: loadHeight, y: func(from, to float64) chart.Scale { return scaleOf(seconds, from, to) }, names: show.Seconds,
		draw: func(cv *chart.Canvas, x, y chart.Scale) {
			at := y.At(c.BoundS)
			cv.Line(leftOf, at, cv.Width()-rightOf, at, chart.Limit)
			cv.Text(leftOf+4, at-4, "objective: "+show.Seconds(c.BoundS), chart.Style{Size: 11})
			for i, t := range c.Targets {
				drawLoad(cv, x, y, t, chart.Series(i), slices.Min(seconds), slices.Max(seconds))
			}
			for i, t := range c.Targets {
				drawCapacity(cv, x, at, t, chart.Series(i), slices.Min(rates), slices.Max(rates))
			}
		},
	}}
	top := s.height()
	cv := chart.New(width, int(top)+legendRow*len(c.Targets)+8, s.title)
	s.draw(cv, 0)
	for i, t := range c.Targets {
		legend(cv, top+float64(legendRow*i), chart.Series(i), t.Target, capacityPerSecond(t))
	}
	return cv
}

// capacityPerSecond is the estimate, or what is in its place; empty: nothing is known.
func capacityPerSecond(c figures.CapacityTarget) string {
	if text := capacityOf(c); text != show.None {
		return text + "/s"
	}
	return ""
}

// drawLoad draws one target; intervals reach from least to most.
func drawLoad(cv *chart.Canvas, x, y chart.Scale, t figures.CapacityTarget, series chart.Series, least, most float64) {
	known := slices.DeleteFunc(slices.Clone(t.Load), func(p figures.LoadPoint) bool {
		return !p.Response.Value.Known() || p.Response.Value <= 0
	})
	line := make([]chart.Point, len(known))
	for i, p := range known {
		line[i] = chart.Point{X: x.At(p.Rate), Y: y.At(float64(p.Response.Value))}
	}
	cv.Path(line, series, chart.Own)
	for i, p := range known {
		at, title := line[i], fmt.Sprintf("%s at %s/s: %s, %s", t.Target, show.Number(p.Rate), timeOf(p), p.Class)
		switch low, high := float64(p.Response.Low), float64(p.Response.High); {
		case p.Over:
			ticks := y.Ticks()
			cv.Range(at.X, at.Y, at.X, y.At(ticks[len(ticks)-1]), series, title)
		case p.Response.Known():
			cv.Range(at.X, y.At(max(low, least)), at.X, y.At(min(high, most)), series, title+" "+estimateInterval(p.Response, show.Seconds))
		}
		cv.Mark(at, series, title)
	}
}

// drawCapacity draws the capacity of one target at the height of the bound; its interval reaches from least to most.
func drawCapacity(cv *chart.Canvas, x chart.Scale, height float64, t figures.CapacityTarget, series chart.Series, least, most float64) {
	e := t.Estimate
	if !e.Value.Known() {
		return
	}
	title := t.Target + ": capacity " + capacityPerSecond(t)
	if e.Known() {
		title += " " + estimateInterval(e, show.Number)
		cv.Range(x.At(max(float64(e.Low), least)), height, x.At(min(float64(e.High), most)), height, series, title)
	}
	cv.Mark(chart.Point{X: x.At(float64(e.Value)), Y: height}, series, title)
}

// withoutBlocks names the targets that a search kept out of the blocks, and so out of the ranking.
func withoutBlocks(s *figures.Summary) (out []string) {
	if s.Capacity == nil {
		return nil
	}
	for _, c := range s.Capacity.Targets {
		if len(c.Values) == 0 && (c.Search == nil || c.Search.Outcome != capacity.Found) {
			out = append(out, short(c.Target)+" is not ranked: "+searchInWords(c.Search)+" ("+capacityOf(c)+" requests/s)")
		}
	}
	return out
}
