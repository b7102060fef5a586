package report

import (
	"fmt"
	"strings"

	"bakeoff/internal/figures"
	"bakeoff/internal/show"
)

// leastShare is the smallest part of the time that is named.
const leastShare = 0.01

// usefulTime says how much of a run's time was measured in trials that count, and what the rest went to; "" where
// the run has not ended.
func usefulTime(t figures.Time) string {
	if t.WallS <= 0 {
		return ""
	}
	out := fmt.Sprintf("useful: %.0f %% of %s", 100*t.Useful, show.Span(round(t.WallS)))
	var parts []string
	for _, s := range t.Shares {
		if s.Share >= leastShare {
			parts = append(parts, fmt.Sprintf("%s %.0f %%", s.Name, 100*s.Share))
		}
	}
	if len(parts) > 0 {
		out += "; " + strings.Join(parts, ", ")
	}
	return out
}
