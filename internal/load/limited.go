package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/stats"
)

// Health is what one agent tells of itself in one phase: whether it, not what
// it loaded, was the limit.
type Health struct {
	Model    string
	Planned  int64
	Lost     map[string]int64 // by its own fault, by what it lacked
	Lateness *stats.Histogram
	Service  *stats.Histogram
}

// LatenessBound is the lateness at the 99th percentile and the greatest it may
// be: 1 ms, or a tenth of the service time there. Both are read from the
// histograms even where too few samples forbid printing them.
func (h Health) LatenessBound() (late, bound time.Duration) {
	late, _ = h.Lateness.Quantile(0.99)
	service, _ := h.Service.Quantile(0.99)
	return late, max(time.Millisecond, service/10)
}

// Limited says why the agent was the limit: it lost more than 1 % of its share
// for lack of its own means, or in the open model it was later than its bound. None: it was not.
func (h Health) Limited() []string {
	var reasons []string
	var lost int64
	for _, n := range h.Lost {
		lost += n
	}
	if share := float64(lost) / float64(max(h.Planned, 1)); share > 0.01 {
		reasons = append(reasons, fmt.Sprintf("%.1f %% of its requests lost for want of %s",
			100*share, strings.Join(slices.Sorted(maps.Keys(h.Lost)), ", ")))
	}
	if late, bound := h.LatenessBound(); h.Model == Open && late > bound {
		reasons = append(reasons, fmt.Sprintf("lateness p99 is %v, the bound is %v", readable(late), readable(bound)))
	}
	return reasons
}

// readable leaves three digits or so of a duration.
func readable(d time.Duration) time.Duration {
	if d >= time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(100 * time.Nanosecond)
}
