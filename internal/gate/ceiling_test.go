package gate

import (
	"strings"
	"testing"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// A phase with more than 70 % of the answers that the agents reach with a server that does nothing is named and not refused: to refuse
// it would keep the slower attempts. Without a calibration none is named, nor is a warm-up.
func TestNearCeiling(t *testing.T) {
	books := stats.Books{Planned: 10_000, Sent: 10_000, OK: 10_000}
	for name, c := range map[string]struct {
		ceiling float64
		warmup  bool
		named   bool
	}{
		"no calibration": {0, false, false}, "far below": {100_000, false, false}, "just below": {14_300, false, false},
		"just above": {14_200, false, true}, "above all of it": {5_000, false, true}, "a warm-up": {14_200, true, false},
	} {
		p := phaseOf(seen(10_000), windowOf(books))
		p.CeilingS, p.Warmup = c.ceiling, c.warmup
		j := p.Judge(nil)
		if len(j.Reasons) > 0 || j.Limited || c.named != (len(j.Warnings) == 1) {
			t.Errorf("%s: %+v", name, j)
		}
		if c.named && (j.Warnings[0].Code != record.CodeGeneratorLimited ||
			!strings.HasSuffix(j.Warnings[0].Text, "above 70.0 % they may be the limit, and over all blocks the target's figure is the least that it can do")) {
			t.Errorf("%s: %+v", name, j.Warnings)
		}
	}
}

// A stage near the ceiling says nothing of its target.
func TestStageNearCeiling(t *testing.T) {
	for ceiling, limited := range map[float64]bool{0: false, 1: true, 1000: false} {
		rec := stageOf(100)
		rec.Witness, rec.CeilingS = record.Witness{DatabaseReads: NotCounted, BalancerTotal: NotCounted}, ceiling
		p := NewPhase(rec)
		w := stageWindow(0, 95, 0, 0)
		w.Lateness = nil
		p.Load(0, w)
		if j := p.Judge(nil); j.Limited != limited || len(j.Reasons)+len(j.Warnings) > 0 {
			t.Errorf("a ceiling of %v/s: %+v", ceiling, j)
		}
	}
}
