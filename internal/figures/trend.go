package figures

import (
	"slices"

	"bakeoff/internal/gate"
	"bakeoff/internal/record"
)

// trends are those of every target in every measured phase, over its valid blocks; a driver is no target that could warm up.
func trends(s *Summary) (out []gate.Trend) {
	var names []string
	for _, t := range s.Ranked() {
		names = append(names, t.Name)
	}
	turns := slices.ContainsFunc(s.Trials, func(t Trial) bool { return t.Used && t.turns })
	of := gate.Trends(len(s.Phases), len(names), turns)
	for _, p := range s.Phases {
		out = append(out, gate.TrendsOf(record.Phase{Name: p.Name, Model: p.Model}, names, s.drifts(p.Number), of)...)
	}
	return out
}

// drifts are those of a phase in the trials that count.
func (s *Summary) drifts(number int) (out []gate.Drift) {
	for _, t := range s.Trials {
		for _, f := range t.Phases {
			if t.Used && f.Number == number && f.Drift > 0 {
				out = append(out, gate.Drift{Target: t.Target, Block: t.Block, Attempt: t.Attempt, Turns: t.turns, Ratio: f.Drift})
			}
		}
	}
	return out
}
