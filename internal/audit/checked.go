package audit

import (
	"fmt"
	"math"

	"bakeoff/internal/load"
	"bakeoff/internal/record"
)

// bodies are the counts of a phase that its checked answers follow from.
type bodies struct{ planned, answered, checked int64 }

// bodiesOf adds up the recorded windows of each phase.
func bodiesOf(state record.TrialState) map[int]bodies {
	out := map[int]bodies{}
	for line, err := range state.Loads() {
		if err != nil {
			continue // a finding of its own
		}
		b := out[line.Phase]
		b.planned += line.Books.Planned
		b.answered += line.Books.Answered()
		b.checked += line.Checked
		out[line.Phase] = b
	}
	return out
}

// deviations is how many standard deviations the number of checked answers may be away from the share, where it is not known
// which requests were answered.
const deviations = 6

// unlike says how the number of bodies that were checked in a phase contradicts the choice that the run's salt makes; empty: in no
// way. Where the requests are numbered one after another and all were answered, the choice gives the number exactly.
func unlike(p record.Phase, salt string, b bodies) string {
	if salt == "" || p.CheckShare == 0 || p.Unjudged {
		return "" // from before there were salts, or cut short
	}
	if p.Model == load.Open && p.Turns == nil && p.Engine == "" && b.answered == b.planned {
		checker := load.Phase{CheckShare: p.CheckShare, Salt: salt}.Checker()
		want := int64(0)
		for n := range uint64(b.planned) {
			if checker.Checks(uint64(p.Number)<<32, n) {
				want++
			}
		}
		if b.checked != want {
			return fmt.Sprintf("phase %s: %d bodies were checked, by the run's salt it is %d", p.Name, b.checked, want)
		}
		return ""
	}
	want := p.CheckShare * float64(b.answered)
	if math.Abs(float64(b.checked)-want) > deviations*math.Sqrt(want*(1-p.CheckShare))+1e-6 {
		return fmt.Sprintf("phase %s: %d of %d bodies were checked, the share is %v", p.Name, b.checked, b.answered, p.CheckShare)
	}
	return ""
}
