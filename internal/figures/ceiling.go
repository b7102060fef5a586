package figures

import (
	"fmt"
	"strings"

	"bakeoff/internal/limit"
	"bakeoff/internal/show"
)

// nearest is how near a target came to the ceiling of the agents in a phase, as a share of it: in that of all attempts, refused ones
// among them, in which it came nearest. It is 0 where no ceiling is known.
func (s *Summary) nearest(target string, phase int) (share float64) {
	for _, t := range s.Trials {
		for _, f := range t.Phases {
			if t.Target == target && f.Number == phase && f.ceilingS > 0 {
				share = max(share, f.Goodput/f.ceilingS)
			}
		}
	}
	return share
}

// nearCeiling says of each phase which targets came so near to the ceiling of the agents that these may be what limited them.
func (s *Summary) nearCeiling() (out []string) {
	for _, p := range s.Phases {
		var near []string
		for _, t := range s.Targets {
			if share := s.nearest(t.Name, p.Number); share > limit.NearCeiling {
				near = append(near, fmt.Sprintf("%s (%s of it)", t.Name, show.Percent(share)))
			}
		}
		if len(near) > 0 {
			out = append(out, fmt.Sprintf("in phase %s: %s; above %s they may be the limit, so figures there are the least that a target can do",
				p.Name, strings.Join(near, ", "), show.Percent(limit.NearCeiling)))
		}
	}
	return out
}
