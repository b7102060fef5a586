package figures

import (
	"bakeoff/internal/gate"
	"bakeoff/internal/record"
)

// trends are those of every target in every measured phase, over its valid blocks.
func trends(s *Summary) []gate.Trend {
	var out []gate.Trend
	for _, p := range s.Phases {
		for _, t := range s.Targets {
			var drifts []float64
			for _, trial := range s.Trials {
				for _, f := range trial.Phases {
					if trial.Used && trial.Target == t.Name && f.Number == p.Number && f.Drift > 0 {
						drifts = append(drifts, f.Drift)
					}
				}
			}
			if len(drifts) >= gate.FewestBlocks {
				out = append(out, gate.TrendOf(t.Name, record.Phase{Name: p.Name, Model: p.Model}, drifts, len(s.Phases)*len(s.Targets)))
			}
		}
	}
	return out
}
