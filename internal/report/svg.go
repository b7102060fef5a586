package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

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

// chart is one picture of one figure: a row per target, a dot per block.
type chart struct {
	title, unit string
	rows        []chartRow
}

type chartRow struct {
	name   string
	values []float64 // of valid blocks, in order
	spread Spread
}

// WriteSVG draws the figures of every block: the throughput of closed phases,
// and of open phases the highest percentile of the response time that every
// block supports. A dot is one block, the bar their median.
func WriteSVG(w io.Writer, s *Summary) error {
	charts := s.charts()
	if len(charts) == 0 {
		return errors.New("report: no valid trial to draw")
	}
	height := svgHead + 20
	for _, c := range charts {
		height += svgHead + svgRow*len(c.rows)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", svgWidth, height, svgWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", svgWidth, height)
	fmt.Fprintf(&b, `<text x="12" y="26" font-size="15" font-weight="bold">%s</text>`+"\n", xmlText(s.Run.Name))
	for i, line := range strings.Split(show.Wrap(s.Headline, 120, ""), "\n") {
		fmt.Fprintf(&b, `<text x="12" y="%d" fill="#444444" font-size="12">%s</text>`+"\n", 44+15*i, xmlText(line))
	}
	top := svgHead + 20
	for _, c := range charts {
		c.draw(&b, top)
		top += svgHead + svgRow*len(c.rows)
	}
	b.WriteString("</svg>\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// charts are the pictures a run supports.
func (s *Summary) charts() []chart {
	var out []chart
	for _, p := range s.Phases {
		var c chart
		if p.Model == "closed" {
			c = chart{title: fmt.Sprintf("%s: right answers per second, %d connections (more is better)", p.Name, p.Connections), unit: "/s"}
			for _, t := range p.Targets {
				c.rows = append(c.rows, chartRow{t.Target, s.values(t.Target, p.Number, goodput), t.Goodput})
			}
		} else {
			c = p.latencyChart(s)
		}
		if c.drawable() {
			out = append(out, c)
		}
	}
	return out
}

func goodput(f PhaseFigures) (float64, bool) { return f.Goodput, true }

// latencyChart shows the highest percentile that every target's every block supports.
func (p Phase) latencyChart(s *Summary) chart {
	for i := len(Percents()) - 1; i >= 0; i-- {
		percent := Percents()[i]
		c := chart{title: fmt.Sprintf("%s: response time, p%g, at %s/s (less is better)", p.Name, percent, show.Number(p.Rate)), unit: "s"}
		whole := len(p.Targets) > 0
		for _, t := range p.Targets {
			spread := t.Response[i]
			whole = whole && spread.N == t.Blocks && spread.N > 0
			c.rows = append(c.rows, chartRow{t.Target, s.values(t.Target, p.Number, responseAt(i)), spread.Spread})
		}
		if whole {
			return c
		}
	}
	return chart{}
}

func responseAt(i int) func(PhaseFigures) (float64, bool) {
	return func(f PhaseFigures) (float64, bool) { return f.Response[i].Seconds, f.Response[i].Needs == 0 }
}

// values are the figures of a target's valid blocks.
func (s *Summary) values(target string, phase int, of func(PhaseFigures) (float64, bool)) []float64 {
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

func (c chart) drawable() bool {
	for _, r := range c.rows {
		if len(r.values) > 0 {
			return true
		}
	}
	return false
}

// draw puts the chart at the given height; its axis begins at zero.
func (c chart) draw(b *strings.Builder, top int) {
	most := 0.0
	for _, r := range c.rows {
		for _, v := range r.values {
			most = max(most, v)
		}
	}
	step := tick(most)
	end := step * math.Ceil(most/step)
	plot := float64(svgWidth - svgLabel - svgRight)
	x := func(v float64) float64 { return svgLabel + plot*v/end }
	bottom := top + 14 + svgRow*len(c.rows)
	fmt.Fprintf(b, `<text x="12" y="%d" font-weight="bold">%s</text>`+"\n", top, xmlText(c.title))
	for v := 0.0; v <= end+step/2; v += step {
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#dddddd"/>`, x(v), top+10, x(v), bottom)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#666666" font-size="11">%s</text>`+"\n", x(v), bottom+14, c.show(v))
	}
	for i, r := range c.rows {
		c.drawRow(b, r, top+14+svgRow*i+svgRow/2, x)
	}
}

func (c chart) drawRow(b *strings.Builder, r chartRow, y int, x func(float64) float64) {
	fmt.Fprintf(b, `<text x="12" y="%d">%s</text>`+"\n", y+4, xmlText(r.name))
	if len(r.values) == 0 {
		fmt.Fprintf(b, `<text x="%d" y="%d" fill="#888888">no valid block</text>`+"\n", svgLabel+8, y+4)
		return
	}
	fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#0b5394" stroke-width="3"/>`+"\n", x(r.spread.Median), y-11, x(r.spread.Median), y+11)
	for i, v := range r.values {
		jitter := (i%3 - 1) * 5
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%d" r="4" fill="#3d85c6" fill-opacity="0.65"><title>block value %s</title></circle>`+"\n", x(v), y+jitter, c.show(v))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" fill="#222222" font-size="12">%s (%s to %s)</text>`+"\n",
		svgWidth-svgRight+10, y+4, c.show(r.spread.Median), c.show(r.spread.Min), c.show(r.spread.Max))
}

func (c chart) show(v float64) string {
	if c.unit == "s" {
		return show.Seconds(v)
	}
	return show.Number(v) + c.unit
}

// tick is a round distance between show.Table lines, of which about five cover most.
func tick(most float64) float64 {
	if most <= 0 {
		return 1
	}
	base := math.Pow(10, math.Floor(math.Log10(most/5)))
	for _, m := range []float64{1, 2, 5, 10} {
		if base*m*5 >= most {
			return base * m
		}
	}
	return base * 10
}

func xmlText(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
