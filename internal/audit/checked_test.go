package audit

import (
	"testing"

	"bakeoff/internal/load"
	"bakeoff/internal/record"
)

// The number of checked bodies is reproduced from the salt where all requests were answered in the open model, and held
// against the share elsewhere.
func TestCheckedBodies(t *testing.T) {
	open := record.Phase{Number: 2, Name: "open", Model: load.Open, CheckShare: 0.25}
	closed := record.Phase{Number: 1, Name: "closed", Model: load.Closed, CheckShare: 0.25}
	all := record.Phase{Number: 1, Name: "closed", Model: load.Closed, CheckShare: 1}
	checker := load.Phase{CheckShare: 0.25, Salt: "s/1"}.Checker()
	want := int64(0)
	for n := range uint64(10_000) {
		if checker.Checks(2<<32, n) {
			want++
		}
	}
	for name, c := range map[string]struct {
		phase record.Phase
		salt  string
		b     bodies
		right bool
	}{
		"open, as the salt says":     {open, "s/1", bodies{10_000, 10_000, want}, true},
		"open, one fewer":            {open, "s/1", bodies{10_000, 10_000, want - 1}, false},
		"open, of another salt":      {open, "s/2", bodies{10_000, 10_000, want}, false},
		"open, one was not answered": {open, "s/1", bodies{10_000, 9_999, want - 1}, true},
		"closed, about the share":    {closed, "s/1", bodies{10_000, 10_000, 2_600}, true},
		"closed, far from it":        {closed, "s/1", bodies{10_000, 10_000, 2_000}, false},
		"all":                        {all, "s/1", bodies{10_000, 10_000, 10_000}, true},
		"all but one":                {all, "s/1", bodies{10_000, 10_000, 9_999}, false},
		"without a salt":             {closed, "", bodies{10_000, 10_000, 2_000}, true},
	} {
		if what := unlike(c.phase, c.salt, c.b); (what == "") != c.right {
			t.Errorf("%s: %q", name, what)
		}
	}
}
