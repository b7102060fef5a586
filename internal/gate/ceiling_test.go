package gate

import (
	"strings"
	"testing"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// A phase with more than 70 % of the answers that the agents reach with a server that does nothing is refused; without a
// calibration none is, nor is a warm-up.
func TestNearCeiling(t *testing.T) {
	books := stats.Books{Planned: 10_000, Sent: 10_000, OK: 10_000}
	for name, c := range map[string]struct {
		ceiling float64
		warmup  bool
		refused bool
	}{
		"no calibration": {0, false, false}, "far below": {100_000, false, false}, "just below": {14_300, false, false},
		"just above": {14_200, false, true}, "a warm-up": {14_200, true, false},
	} {
		p := phaseOf(seen(10_000), windowOf(books))
		p.CeilingS, p.Warmup = c.ceiling, c.warmup
		reasons := p.Judge(nil).Reasons
		if c.refused != (len(reasons) == 1) {
			t.Errorf("%s: %+v", name, reasons)
		}
		if c.refused && (reasons[0].Code != record.CodeGeneratorLimited || !strings.Contains(reasons[0].Text, "above 70.0 % they may be the limit")) {
			t.Errorf("%s: %+v", name, reasons)
		}
	}
}
