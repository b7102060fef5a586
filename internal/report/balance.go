package report

import (
	"fmt"
	"strings"

	"bakeoff/internal/chart"
	"bakeoff/internal/figures"
	"bakeoff/internal/show"
)

// balanceFigures show how the load was spread: over replicas, and over the workers within them.
func balanceFigures(p figures.Phase) []figure {
	var shares, cores []float64
	for _, t := range p.Targets {
		for _, r := range t.Replicas {
			if r.Share.N > 0 {
				shares = append(shares, r.Share.Max)
			}
			for _, w := range r.WorkerCores {
				cores = append(cores, w.Max)
			}
		}
	}
	var out []figure
	if len(shares) > 0 {
		out = append(out, figure{
			title: "Phase " + p.Name + ": how evenly the balancer shared the requests",
			how: "A mark is the share of the answers that came from one replica, the median over valid blocks, the line through it the lowest and the highest block. The upright line is an even share: " +
				"the nearer all marks are to it, the better the balance. Imbalance is the largest share divided by the mean share.",
			pictures: []picture{drawn("", balanceStrips(p, "share of the answers", shares, show.Percent, sharesOf).canvas)},
			numbers:  replicaTable(p),
		})
	}
	if len(cores) > 0 {
		out = append(out, figure{
			title: "Phase " + p.Name + ": how evenly the workers of each replica worked",
			how: "A mark is the cores that one worker used, the median over valid blocks, the line through it the lowest and the highest block. The workers of a replica are below each other, the busiest first; " +
				"one far to the left of the first had little to do.",
			pictures: []picture{drawn("", balanceStrips(p, "cores of each worker", cores, show.Number, workersOf).canvas)},
			numbers:  processTable(p),
		})
	}
	return out
}

// part is one line of a row: a replica, or a worker.
type part struct {
	title, name string
	spread      figures.Spread
}

func sharesOf(t figures.PhaseTarget) (parts []part, even float64) {
	for _, r := range t.Replicas {
		parts = append(parts, part{r.Name, replicaName(t, r.Name), r.Share})
	}
	return parts, 1 / float64(max(len(t.Replicas), 1))
}

func workersOf(t figures.PhaseTarget) (parts []part, even float64) {
	for _, r := range t.Replicas {
		for rank, w := range r.WorkerCores {
			one := part{title: fmt.Sprintf("%s, worker %d", r.Name, rank+1), spread: w}
			if rank == 0 {
				one.name = replicaName(t, r.Name)
			}
			parts = append(parts, one)
		}
	}
	return parts, 0
}

const partRow = 13

func balanceStrips(p figures.Phase, below string, all []float64, unit func(float64) string, of func(figures.PhaseTarget) ([]part, float64)) strips {
	out := strips{
		title: below, below: below, names: unit,
		x: func(from, to float64) chart.Scale { return chart.FromZero(all, from, to) },
	}
	for _, t := range p.Targets {
		parts, even := of(t)
		figure := ""
		if even > 0 && t.Imbalance.N > 0 {
			figure = "imbalance " + median(t.Imbalance, show.Three)
		}
		rows := max(len(parts), 1)
		out.rows = append(out.rows, strip{
			name: t.Target, figure: figure, height: float64(partRow * rows),
			y:     func(from, to float64) chart.Scale { return chart.Counts(rows, to, from) }, // the first on top
			names: func(v float64) string { return nameOf(parts, int(v)) },
			draw: func(c *chart.Canvas, x, y chart.Scale) {
				if even > 0 {
					c.Line(x.At(even), y.At(0.5), x.At(even), y.At(float64(rows)+0.5), chart.Limit)
				}
				for i, one := range parts {
					drawPart(c, x, y.At(float64(i+1)), one, unit)
				}
			},
		})
	}
	return out
}

func drawPart(c *chart.Canvas, x chart.Scale, at float64, p part, unit func(float64) string) {
	if p.spread.N == 0 {
		return
	}
	title := p.title + ": " + spread(p.spread, unit)
	c.Range(x.At(p.spread.Min), at, x.At(p.spread.Max), at, 0, title)
	c.Mark(chart.Point{X: x.At(p.spread.Median), Y: at}, 1, title)
}

// nameOf is the name of a line, numbered from 1.
func nameOf(parts []part, number int) string {
	if number < 1 || number > len(parts) {
		return ""
	}
	return parts[number-1].name
}

// replicaName is what distinguishes a replica from the others of its target, as far as it is short.
func replicaName(t figures.PhaseTarget, replica string) string {
	name := strings.TrimPrefix(replica, t.Target+"-")
	return show.Clip(name, 5)
}
