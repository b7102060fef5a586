package figures

import "bakeoff/internal/show"

// cutOff is by how much the rate of slices may be above the highest that its connections can have.
const cutOff = 0.01

// markCutOff says where a target in turns has a rate that its connections cannot have had: each of them had an answer at most once in the
// mean time of one, so the rate times that mean is at most their number (Little, 1961). Then the slices ended in pauses of the target more
// often than they began in them, and what of a pause is behind the end of a slice is in no rate.
func (s *Summary) markCutOff(add func(format string, a ...any)) {
	for _, p := range s.Phases {
		if p.Model != "closed" || p.Engine != "" {
			continue
		}
		for _, of := range p.Targets {
			if above := s.aboveAll(p, of.Target); above > cutOff {
				add("PAUSES CUT OFF in phase %s: the rate of %s is %s above what its connections can have at the mean time of its answers: pauses that are longer than its slices have room for are missing in it; longer slices (turns) count them",
					p.Name, of.Target, show.Percent(above))
			}
		}
	}
}

// aboveAll is by which part the rate of a target in all its blocks is above the highest that its connections can have; below 0: it is not.
func (s *Summary) aboveAll(p Phase, target string) float64 {
	var rate, most float64
	for i := range s.Trials {
		t := &s.Trials[i]
		f := t.numbered(p.Number)
		if t.Target != target || !t.Used || !t.turns || f == nil || f.totals.InFlight == nil || *f.totals.InFlight == 0 {
			continue
		}
		b := f.totals.Books
		rate += f.Goodput
		most += float64(p.Connections) * float64(b.OK+b.Bad+b.Timeout+b.Error) / *f.totals.InFlight
	}
	if most == 0 {
		return -1
	}
	return rate/most - 1
}
