package figures

import "slices"

// Pair is what a phase shows of a target compared with another one, block by block: a connection for each request with connections that
// are kept, answers without the database with lookups, or requests past the balancer with those through it.
type Pair struct {
	Phase  string `json:"phase"`
	Second string `json:"second"` // with a connection for each request, or asking for /ping, or the replicas themselves
	Target string `json:"target"`
	// Ratio is that of the second to the first: of answers per second in the closed model, of the median response time in the open one;
	// PerAnswer is that of the target's CPU time per answer.
	Ratio     Spread `json:"ratio"`
	PerAnswer Spread `json:"cpu_ratio"`
}

// reconnected ends the name of the second phase of a pair.
const reconnected = "-reconnect"

// pairs finds such phases of the plan, and compares them.
func (b *builder) pairs(p planned) []Pair {
	var out []Pair
	for _, second := range b.s.Phases {
		i := slices.IndexFunc(b.s.Phases, func(first Phase) bool { return p.pair(first, second) })
		if i < 0 {
			continue
		}
		for _, t := range b.s.Targets {
			if t.Driver() && second.Direct { // it has no balancer anyway
				continue
			}
			if one := b.pair(b.s.Phases[i], second, t.Name); one.Ratio.N > 0 {
				out = append(out, one)
			}
		}
	}
	return out
}

// pair reports whether two phases differ in one thing: keep-alive, what they ask for, or the way.
func (p planned) pair(first, second Phase) bool {
	if first.Ask != "" || first.Direct || first.Model != second.Model || first.Connections != second.Connections || first.Rate != second.Rate ||
		first.Arrivals != second.Arrivals || first.Engine != second.Engine || p.engine(first.Name) != p.engine(second.Name) || p.think(first.Name) != p.think(second.Name) {
		return false
	}
	kept, renewed := !p.reconnects(first.Name), p.reconnects(second.Name)
	switch {
	case second.Ask != "" && second.Direct:
		return false
	case second.Ask != "" || second.Direct:
		return kept != renewed
	}
	return second.Name == first.Name+reconnected && kept && renewed
}

// reconnects reports whether a phase has a connection for each request.
func (p planned) reconnects(phase string) bool {
	return slices.ContainsFunc(p.Phases, func(one plannedPhase) bool { return one.Name == phase && one.Reconnect })
}

// pair compares two phases of a target in each of its blocks.
func (b *builder) pair(first, second Phase, target string) Pair {
	var ratios, costs []float64
	for _, t := range b.s.Trials {
		if !t.Used || t.Target != target {
			continue
		}
		kept, renewed := t.phase(first.Number), t.phase(second.Number)
		if kept == nil || renewed == nil {
			continue
		}
		if x, y := kept.level(), renewed.level(); x > 0 && y > 0 {
			ratios = append(ratios, y/x)
		}
		if x, y := kept.costOf("target"), renewed.costOf("target"); x > 0 && y > 0 {
			costs = append(costs, y/x)
		}
	}
	return Pair{Phase: first.Name, Second: second.Name, Target: target, Ratio: spread(exactly(ratios...)), PerAnswer: spread(exactly(costs...))}
}

// phase is the one of that number; nil: the trial has none.
func (t *Trial) phase(number int) *PhaseFigures {
	for i := range t.Phases {
		if t.Phases[i].Number == number {
			return &t.Phases[i]
		}
	}
	return nil
}

// level is what a phase of its model is about; 0: not known.
func (f *PhaseFigures) level() float64 {
	if f.Model == "closed" {
		return f.Goodput
	}
	return median(f.Response)
}

// median is that of a distribution; 0: not known.
func median(of []Percentile) float64 {
	if one := of[percentileAt(50)]; one.Needs == 0 && !one.Over && !one.Unmeasured {
		return one.Seconds
	}
	return 0
}

// costOf is the CPU time of a tier per answer.
func (f *PhaseFigures) costOf(tier string) (sum float64) {
	for _, r := range f.Resources {
		if r.Tier == tier && !r.worker() {
			sum += r.PerReqS
		}
	}
	return sum
}
