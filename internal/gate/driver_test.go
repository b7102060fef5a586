package gate

import (
	"slices"
	"testing"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// A phase of a driver is refused where half of its requests were late, and not where a few were, which refuses any other target: what
// is declared says which it is. What the agents lost by their own fault refuses both.
func TestDriverLimited(t *testing.T) {
	const n = 1000
	for name, c := range map[string]struct {
		late   int64 // by 6 ms, of a thousand
		lost   int64
		driver bool
		want   []string
	}{
		"a target":                       {400, 0, false, []string{record.CodeGeneratorLimited}},
		"a driver":                       {400, 0, true, nil},
		"a driver, most of it late":      {600, 0, true, []string{record.CodeGeneratorLimited}},
		"a driver that lost its share":   {0, 1, true, nil},
		"a driver that lost a hundredth": {0, 11, true, []string{record.CodeWrongAnswers, record.CodeGeneratorLimited}},
	} {
		w := windowOf(stats.Books{Planned: n, Sent: n, OK: n - c.lost, Error: c.lost})
		w.Lateness = few(6*ms, c.late)
		if c.lost > 0 {
			w.Lost = map[string]int64{record.CauseMemory: c.lost}
			w.Outcomes = map[string]int64{record.CauseMemory: c.lost}
			w.Unwritten = c.lost
		}
		p := phaseOf(record.Witness{DatabaseReads: n - c.lost, BalancerTotal: NotCounted}, w)
		p.Declare(&record.Declared{Driver: c.driver})
		if got := codes(p.Judge(nil).Reasons); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
