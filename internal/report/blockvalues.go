package report

import (
	"fmt"

	"bakeoff/internal/chart"
	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// blockValues are the figures of every block of a phase, and the speed of the machine in each.
func blockValues(s *figures.Summary, p figures.Phase) []figure {
	m := measureOf(p)
	if !m.drawable(s, p) {
		return nil
	}
	f := figure{
		title: "Phase " + p.Name + ": " + m.title + ", block by block",
		how: "A mark is a block, drawn from zero, the line the median; " + m.better + " is better. A cross is a trial that counts nowhere: it was refused, or another attempt at it counts." +
			machineHow(s),
		pictures: []picture{drawn("", blockStrips(s, p, m).canvas)},
		numbers:  blockNumbers(s, p, m),
	}
	if ahead := aheadIn(s, p); ahead != "" {
		f.how = ahead + " " + f.how
	}
	return []figure{f}
}

// aheadIn says in how many blocks the first of the ranking has the best figure.
func aheadIn(s *figures.Summary, p figures.Phase) string {
	if s.Verdict == nil || s.Verdict.Phase != p.Name || len(s.Verdict.Targets) < 2 {
		return ""
	}
	blocks, of := s.Verdict.Ahead()
	return fmt.Sprintf("%s has the best figure in %d of %s.", short(s.Verdict.Targets[0].Name), blocks, show.Plural(of, "block"))
}

func machineHow(s *figures.Summary) string {
	if s.Speed == nil {
		return ""
	}
	return " The last row is how fast the machine was in the same blocks, by a fixed piece of work: where it dips with the targets, the machine was slower, not they."
}

// measure is what a phase is for: a figure of each block.
type measure struct {
	title, about, better string
	unit                 func(float64) string
	of                   func(figures.PhaseFigures) (value float64, over, ok bool) // over: it is a time-out, and longer than that
	over                 func(figures.PhaseTarget) figures.Spread
}

// measureOf is the throughput of a closed phase, and of an open one the highest percentile that every block of every target supports.
func measureOf(p figures.Phase) measure {
	if p.Model == "closed" {
		return measure{
			"right answers per second", "answers/s", "more", show.Number,
			func(f figures.PhaseFigures) (float64, bool, bool) { return f.Goodput, false, true },
			func(t figures.PhaseTarget) figures.Spread { return t.Goodput },
		}
	}
	i := highest(p)
	name := fmt.Sprintf("p%g of the %s", figures.Percents()[i], timeName(p))
	return measure{
		name, name, "less", show.Seconds,
		func(f figures.PhaseFigures) (float64, bool, bool) {
			q := f.Response[i]
			if p.ByService() {
				q = f.Service[i]
			}
			return q.Seconds, q.Over, q.Needs == 0 && !q.Unmeasured
		},
		func(t figures.PhaseTarget) figures.Spread {
			if p.ByService() {
				return t.Service[i].Spread
			}
			return t.Response[i].Spread
		},
	}
}

func (m measure) drawable(s *figures.Summary, p figures.Phase) bool {
	for _, t := range p.Targets {
		if len(m.values(s, t.Target, p.Number)) > 0 {
			return true
		}
	}
	return false
}

// blockValue is one trial's figure.
type blockValue struct {
	figures.Trial
	value float64
	over  bool
}

func (v blockValue) text(unit func(float64) string) string { return bound(v.over) + unit(v.value) }

// values are the figures of a target's trials that ran the phase, refused ones among them.
func (m measure) values(s *figures.Summary, target string, phase int) []blockValue {
	var out []blockValue
	for _, t := range s.Trials {
		for _, f := range t.Phases {
			if v, over, ok := m.of(f); ok && f.Number == phase && t.Target == target {
				out = append(out, blockValue{t, v, over})
			}
		}
	}
	return out
}

// blockStrips is the picture: a row for each target, and one for the machine.
func blockStrips(s *figures.Summary, p figures.Phase, m measure) strips {
	var all []float64
	for _, t := range p.Targets {
		for _, v := range m.values(s, t.Target, p.Number) {
			all = append(all, v.value)
		}
	}
	out := strips{
		title: m.title + " of every block", about: m.about, below: "block",
		x:     func(from, to float64) chart.Scale { return chart.Counts(max(s.Run.Blocks, 1), from, to) },
		names: show.Decimal,
	}
	for i, t := range p.Targets {
		of, values := m.over(t), m.values(s, t.Target, p.Number)
		out.rows = append(out.rows, strip{
			name: t.Target, figure: spread(of, m.unit), height: 64, names: m.unit,
			y:    func(from, to float64) chart.Scale { return chart.FromZero(all, from, to) },
			draw: func(c *chart.Canvas, x, y chart.Scale) { drawBlocks(c, x, y, values, of, m.unit, chart.Series(i)) },
		})
	}
	if s.Speed != nil {
		out.rows = append(out.rows, speedStrip(s))
	}
	return out
}

func drawBlocks(c *chart.Canvas, x, y chart.Scale, values []blockValue, of figures.Spread, unit func(float64) string, series chart.Series) {
	if of.N > 0 {
		c.Line(leftOf, y.At(of.Median), c.Width()-rightOf, y.At(of.Median), chart.Rule)
	}
	for _, v := range values {
		at := chart.Point{X: x.At(float64(v.Block)), Y: y.At(v.value)}
		title := fmt.Sprintf("%s, block %s: %s", v.Target, blockName(v.Trial), v.text(unit))
		switch {
		case !v.Used:
			c.Cross(at, title+": "+whyUnused(v.Trial))
		default:
			c.Range(at.X, y.At(0), at.X, at.Y, series, title)
			c.Mark(at, series, title)
		}
	}
}

// repeated is what is said of a valid trial that does not count.
const repeated = "valid, but repeated"

// whyUnused says why a trial counts nowhere.
func whyUnused(t figures.Trial) string {
	switch {
	case t.Status == record.Valid:
		return repeated + ": a later attempt counts"
	case len(t.Reasons) == 0:
		return t.Status
	}
	return texts(t.Reasons, "")
}

// speedStrip shows the machine in each trial that counts.
func speedStrip(s *figures.Summary) strip {
	var all []float64
	for _, t := range s.Trials {
		all = append(all, t.Speed)
	}
	places := map[string]int{}
	for i, t := range s.Targets {
		places[t.Name] = i
	}
	return strip{
		name: "the machine", figure: fmt.Sprintf("%.2f to %.2f of its median speed", s.Speed.Low, s.Speed.High), height: 64,
		y: func(from, to float64) chart.Scale { return chart.FromZero(all, from, to) }, names: show.Number,
		draw: func(c *chart.Canvas, x, y chart.Scale) {
			c.Line(leftOf, y.At(1), c.Width()-rightOf, y.At(1), chart.Rule)
			step := (x.At(2) - x.At(1)) * 0.6 / float64(max(len(s.Targets), 1))
			for _, t := range s.Trials {
				if t.Speed > 0 && t.Used {
					off := (float64(places[t.Target]) - float64(len(s.Targets)-1)/2) * step
					c.Mark(chart.Point{X: x.At(float64(t.Block)) + off, Y: y.At(t.Speed)}, chart.Series(places[t.Target]), fmt.Sprintf("%s, block %s: %.2f", t.Target, blockName(t), t.Speed))
				}
			}
		},
	}
}

func blockNumbers(s *figures.Summary, p figures.Phase, m measure) show.Table {
	t := show.Table{Left: 2, Words: 1, Head: []string{"target", "block", m.about, "speed of the machine", "trial"}}
	for _, target := range p.Targets {
		for _, v := range m.values(s, target.Target, p.Number) {
			speed := show.None
			if v.Speed > 0 {
				speed = fmt.Sprintf("%.2f", v.Speed)
			}
			status := v.Status
			if v.Status == record.Valid && !v.Used {
				status = repeated
			}
			t.Rows = append(t.Rows, []string{v.Target, blockName(v.Trial), v.text(m.unit), speed, status})
		}
	}
	return t
}
