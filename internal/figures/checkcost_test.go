package figures

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"bakeoff/internal/doctest"
	"bakeoff/internal/record"
)

// What every report says of the cost of the checks is what the table of the document says of all of them, in the protocol in which they
// cost more.
func TestChecksCostAsDocumented(t *testing.T) {
	rows := regexp.MustCompile("(?m)^\\| all \\| `go-nethttp(?:-prepared)?` \\| [^|]* \\| [^|]* \\| ([0-9.]+) \\(").
		FindAllStringSubmatch(doctest.Text(t, "../../docs/trust.md", "bench-trust"), -1)
	if len(rows) != 2 {
		t.Fatalf("%d rows of all checks in the table", len(rows))
	}
	most := 0.0
	for _, row := range rows {
		ratio, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, ratio-1)
	}
	if got, want := strconv.FormatFloat(checksCost, 'f', 3, 64), strconv.FormatFloat(most, 'f', 3, 64); got != want {
		t.Errorf("the program says %s, the table of docs/trust.md %s: make bench-trust writes both", got, want)
	}
}

// The cost is said as far as the checks that have it were made.
func TestChecksCost(t *testing.T) {
	const all, some, none = "cost the database about ", "cost the database at most about ", "were not made"
	for what, c := range map[string]struct {
		change func(*Summary)
		want   string
	}{
		"all":                         {func(*Summary) {}, all},
		"one that costs nothing":      {func(s *Summary) { s.Run.ChecksLeftOut = []string{"bodies: off"} }, all},
		"no moves":                    {func(s *Summary) { s.Run.ChecksLeftOut = []string{"moves: off"} }, some},
		"no lookups":                  {func(s *Summary) { s.Run.ChecksLeftOut = []string{"lookups: off", "salt: off"} }, some},
		"not counted":                 {func(s *Summary) { s.Database.Uncounted = []string{"rows by name"} }, some},
		"a table of somebody else":    {func(s *Summary) { s.Database.MovesReason = "not ours" }, some},
		"a phase without moves":       {func(s *Summary) { s.still = map[string][]string{"JMeter": {"open"}} }, some},
		"neither":                     {func(s *Summary) { s.Run.ChecksLeftOut = []string{"lookups: off", "moves: off"} }, none},
		"neither can be":              {func(s *Summary) { s.Database.MovesReason, s.Database.Uncounted = "not ours", []string{"x"} }, none},
		"of before there were checks": {func(s *Summary) { s.checked = false }, ""},
		"no database of ours":         {func(s *Summary) { s.Database = record.DatabaseInfo{} }, ""},
	} {
		s := &Summary{checked: true, Database: record.DatabaseInfo{Vendor: "mariadb"}}
		c.change(s)
		got := s.ChecksCost()
		if !strings.Contains(got, c.want) || (got == "") != (c.want == "") || strings.Contains(got, "at most") != (c.want == some) {
			t.Errorf("%s: %q", what, got)
		}
	}
}
