package report

import (
	"bakeoff/internal/chart"
	"bakeoff/internal/figures"
	"bakeoff/internal/show"
)

// tierFigures are the CPU and the memory of each tier in a phase.
func tierFigures(s *figures.Summary, p figures.Phase) []figure {
	tiers := []string{"target", "balancer", "database", "agent"}
	if s.Running() {
		tiers = []string{"agent"}
	}
	cores := stacked{
		about: "cores", tiers: tiers, limit: s.Cores(), unit: func(v float64) string { return show.Number(v) + " cores" }, ticks: show.Number,
		of: func(t figures.Tier) float64 { return t.Cores.Median },
	}
	memory := stacked{
		about: "memory", tiers: tiers, unit: show.Megabytes, ticks: show.Megabytes,
		of: func(t figures.Tier) float64 { return t.Memory.Median },
	}
	var out []figure
	if cores.drawable(p) {
		out = append(out, figure{
			title:    "Phase " + p.Name + ": which tier used the cores",
			how:      "A bar is the cores in use while a target was measured, tier by tier, each the median over valid blocks; the upright line is all that the run may use. A bar that reaches it shared a machine that was full.",
			pictures: []picture{drawn("", func(width int) *chart.Canvas { return cores.canvas(p, width) })},
			numbers:  tierTable(p, append(tiers, "host")...),
		})
	}
	if memory.drawable(p) {
		out = append(out, figure{
			title:    "Phase " + p.Name + ": which tier took the memory",
			how:      "A bar is the greatest memory of each tier in the phase, the median over valid blocks: proportional size where it can be read, else resident size, which counts shared pages of several processes more than once.",
			pictures: []picture{drawn("", func(width int) *chart.Canvas { return memory.canvas(p, width) })},
			numbers:  memoryTable(p, tiers...),
		})
	}
	return out
}

// stacked is a bar for each target, of one part for each tier.
type stacked struct {
	about string
	tiers []string
	limit float64 // 0: none
	unit  func(float64) string
	ticks func(float64) string
	of    func(figures.Tier) float64
}

func (b stacked) sum(t figures.PhaseTarget) float64 {
	sum := 0.0
	for _, name := range b.tiers {
		sum += b.of(t.Tier(name))
	}
	return sum
}

func (b stacked) drawable(p figures.Phase) bool {
	for _, t := range p.Targets {
		if b.sum(t) > 0 {
			return true
		}
	}
	return false
}

func (b stacked) canvas(p figures.Phase, width int) *chart.Canvas {
	all := []float64{b.limit}
	for _, t := range p.Targets {
		all = append(all, b.sum(t))
	}
	s := strips{
		title: b.about + " of each tier", below: b.about, names: b.ticks,
		x: func(from, to float64) chart.Scale { return chart.FromZero(all, from, to) },
	}
	for _, t := range p.Targets {
		s.rows = append(s.rows, strip{
			name: t.Target, figure: b.unit(b.sum(t)) + " in all", height: 22,
			y: oneLine, names: func(float64) string { return "" },
			draw: func(c *chart.Canvas, x, y chart.Scale) { b.draw(c, x, y, t) },
		})
	}
	top := s.height()
	c := chart.New(width, int(top)+legendRow*len(b.tiers)+8, s.title)
	s.draw(c, 0)
	for i, name := range b.tiers {
		y := top + float64(legendRow*i)
		c.Bar(12, y+1, 32, 13, chart.Series(i), name)
		c.Text(leftOf, y+12, name, chart.Style{Size: 12})
	}
	return c
}

func (b stacked) draw(c *chart.Canvas, x, y chart.Scale, t figures.PhaseTarget) {
	sum, at := 0.0, y.At(1)
	for i, name := range b.tiers {
		v := b.of(t.Tier(name))
		if v > 0 {
			c.Bar(x.At(sum), at-9, max(x.At(sum+v)-x.At(sum)-1, 0.5), 18, chart.Series(i), t.Target+", "+name+": "+b.unit(v))
		}
		sum += v
	}
	if b.limit > 0 {
		c.Line(x.At(b.limit), at-11, x.At(b.limit), at+11, chart.Limit)
	}
}

// oneLine is the scale of a row that has no height of its own.
func oneLine(from, to float64) chart.Scale { return chart.Counts(1, from, to) }
