package cli

import (
	"errors"
	"fmt"
	"strings"

	"bakeoff/internal/figures"
)

// errThreshold is a threshold of the plan that a run misses, or with --strict one that it leaves undecided.
var errThreshold = errors.New("thresholds of the plan")

// missed is the error for a run that misses a threshold; with strict also where one is undecided. It is nil where none is.
func missed(s *figures.Summary, strict bool) error {
	var out []string
	for _, t := range s.Thresholds {
		if t.Outcome == figures.Missed || t.Outcome == figures.Undecided && strict {
			out = append(out, fmt.Sprintf("%s is %s for %s", t.Text, t.Outcome, t.Target))
		}
	}
	if len(out) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", errThreshold, strings.Join(out, "; "))
}
