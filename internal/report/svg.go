package report

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"bakeoff/internal/chart"
	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// Sizes of the picture, in pixels.
const (
	svgWidth = 860
	svgLabel = 150 // column of the targets' names
	svgRight = 190 // column of medians and ranges
	svgRow   = 34
	svgHead  = 64
)

// dotPlot is one figure: a row per target, a dot per block, their median as a bar.
type dotPlot struct {
	title, unit string
	rows        []dotRow
}

type dotRow struct {
	name   string
	values []float64 // of valid blocks, in order
	spread figures.Spread
}

// WriteSVG draws the figures of every block: the throughput of closed phases,
// and of open phases the highest percentile of the response time that every
// block supports. A dot is one block, the bar their median.
func WriteSVG(w io.Writer, s *figures.Summary) error {
	plots := plots(s)
	if len(plots) == 0 {
		return errors.New("report: no valid trial to draw")
	}
	height := svgHead + 20
	for _, p := range plots {
		height += svgHead + svgRow*len(p.rows)
	}
	c := chart.New(svgWidth, height, s.Run.Name+": "+s.Headline)
	c.Text(12, 26, s.Run.Name, chart.Style{Size: 15, Bold: true})
	for i, line := range strings.Split(show.Wrap(s.Headline, 120, ""), "\n") {
		c.Text(12, float64(44+15*i), line, chart.Style{Size: 12, Colour: chart.Grey})
	}
	top := svgHead + 20
	for _, p := range plots {
		p.draw(c, top)
		top += svgHead + svgRow*len(p.rows)
	}
	if _, err := c.WriteTo(w); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// plots are the pictures a run supports.
func plots(s *figures.Summary) []dotPlot {
	var out []dotPlot
	for _, p := range s.Phases {
		var c dotPlot
		if p.Model != "closed" && p.ByService() {
			continue // there is no response time to show
		}
		if p.Model == "closed" {
			c = dotPlot{title: fmt.Sprintf("%s: right answers per second, %d connections (more is better)", p.Name, p.Connections), unit: "/s"}
			for _, t := range p.Targets {
				c.rows = append(c.rows, dotRow{t.Target, values(s, t.Target, p.Number, goodput), t.Goodput})
			}
		} else {
			c = latencyPlot(s, p)
		}
		if c.drawable() {
			out = append(out, c)
		}
	}
	return out
}

func goodput(f figures.PhaseFigures) (float64, bool) { return f.Goodput, true }

// latencyPlot shows the highest percentile that every target's every block supports.
func latencyPlot(s *figures.Summary, p figures.Phase) dotPlot {
	for i := len(figures.Percents()) - 1; i >= 0; i-- {
		percent := figures.Percents()[i]
		c := dotPlot{title: fmt.Sprintf("%s: response time, p%g, at %s/s (less is better)", p.Name, percent, show.Number(p.Rate)), unit: "s"}
		whole := len(p.Targets) > 0
		for _, t := range p.Targets {
			spread := t.Response[i]
			whole = whole && spread.N == t.Blocks && spread.N > 0
			c.rows = append(c.rows, dotRow{t.Target, values(s, t.Target, p.Number, responseAt(i)), spread.Spread})
		}
		if whole {
			return c
		}
	}
	return dotPlot{}
}

func responseAt(i int) func(figures.PhaseFigures) (float64, bool) {
	return func(f figures.PhaseFigures) (float64, bool) { return f.Response[i].Seconds, f.Response[i].Needs == 0 }
}

// values are the figures of a target's valid blocks.
func values(s *figures.Summary, target string, phase int, of func(figures.PhaseFigures) (float64, bool)) []float64 {
	var out []float64
	for _, t := range s.Trials {
		if t.Target != target || !t.Used || t.Status != record.Valid {
			continue
		}
		for _, f := range t.Phases {
			if v, ok := of(f); f.Number == phase && ok {
				out = append(out, v)
			}
		}
	}
	return out
}

func (c dotPlot) drawable() bool {
	for _, r := range c.rows {
		if len(r.values) > 0 {
			return true
		}
	}
	return false
}

// draw puts the plot at the given height; its axis begins at zero.
func (p dotPlot) draw(c *chart.Canvas, top int) {
	var all []float64
	for _, r := range p.rows {
		all = append(all, r.values...)
	}
	scale := chart.FromZero(all, svgLabel, svgWidth-svgRight)
	c.Text(12, float64(top), p.title, chart.Style{Bold: true})
	c.AxisBelow(scale, float64(top+10), float64(top+14+svgRow*len(p.rows)), p.show)
	for i, r := range p.rows {
		p.drawRow(c, r, float64(top+14+svgRow*i+svgRow/2), scale)
	}
}

func (p dotPlot) drawRow(c *chart.Canvas, r dotRow, y float64, scale chart.Scale) {
	c.Label(12, y+4, r.name, 18, chart.Style{})
	if len(r.values) == 0 {
		c.Text(svgLabel+8, y+4, "no valid block", chart.Style{Colour: chart.Grey})
		return
	}
	median := scale.At(r.spread.Median)
	c.Line(median, y-11, median, y+11, chart.Dark, 3)
	for i, v := range r.values {
		c.Dot(scale.At(v), y+float64(i%3-1)*5, chart.Blue, "block value "+p.show(v))
	}
	c.Text(svgWidth-svgRight+10, y+4, fmt.Sprintf("%s (%s to %s)", p.show(r.spread.Median), p.show(r.spread.Min), p.show(r.spread.Max)), chart.Style{Size: 12})
}

func (p dotPlot) show(v float64) string {
	if p.unit == "s" {
		return show.Seconds(v)
	}
	return show.Number(v) + p.unit
}
