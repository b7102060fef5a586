package report

import (
	"bytes"
	"html"
	"slices"
	"strings"
	"testing"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// views are the three views of a run: that of all targets, those of each target, and that of the tiers.
func views(t *testing.T, s *figures.Summary) (run, targets, tiers string) {
	t.Helper()
	var all, each, rest bytes.Buffer
	check(t, WriteRunView(&all, s, figures.Others{}, nil))
	for _, target := range s.Targets {
		found, err := WriteTargetView(&each, s, target.Name)
		if check(t, err); !found {
			t.Errorf("no view of %s", target.Name)
		}
	}
	check(t, WriteTiersView(&rest, s))
	return all.String(), each.String(), rest.String()
}

// The views of a run have all sections of the report's page between them; the first has all that the targets came to.
func TestViewsHaveTheWholeReport(t *testing.T) {
	results := []string{
		"Ranking", "Capacity: the highest rate that meets the objective", "Thresholds of the plan", "Block values", "What limited the result", "What the answers cost", "Shares of the time", "Books",
	}
	seen := map[string]bool{}
	for name, s := range map[string]*figures.Summary{
		"plain": build(t, recordtest.Demo().Write(t)), "capacity": withCapacity(t), "thresholds": withThresholds(t, someThresholds),
		"driver": withShares(t),
	} {
		run, targets, tiers := views(t, s)
		for _, section := range pageSections(s, figures.Others{}) {
			title := ">" + html.EscapeString(section.title) + "</h2>"
			if len(section.paras)+len(section.points)+len(section.lead)+len(section.figures)+len(section.tables) == 0 {
				continue
			}
			if seen[section.title] = true; !strings.Contains(run+targets+tiers, title) {
				t.Errorf("%s: no view has %q", name, section.title)
			}
			if slices.Contains(results, section.title) && !strings.Contains(run, title) {
				t.Errorf("%s: the view of the run lacks %q", name, section.title)
			}
		}
	}
	for _, title := range results {
		if !seen[title] {
			t.Errorf("no run has %q", title)
		}
	}
}

// The view of a run that searches for capacities has them with their intervals, the value of each block and the load curve. While
// it is under way they are said to be no verdict.
func TestRunViewHasCapacities(t *testing.T) {
	s := withCapacity(t)
	run, _, _ := views(t, s)
	for _, want := range []string{"between 476 and 525", "The value of each block.", "p99 of the response time over the rate", "flask at 500/s: ", "&gt;= 900"} {
		if !strings.Contains(run, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(run, "The run is under way") {
		t.Error("a finished run is under way")
	}
	r := recordtest.Of(3, "django", "flask")
	r.ClosedS = 1
	r.WithCapacity(map[string]float64{"django": 400, "flask": 500})
	w := r.Begin(t)
	defer func() { check(t, w.Finish(record.Aborted, "test")) }()
	for _, p := range r.Head.Order {
		if p.Block < 3 {
			r.Trial(t, w, p.Block, p.Position, p.Target, 1, nil)
		}
	}
	live := build(t, w.Dir())
	run, _, _ = views(t, live)
	_, section, found := strings.Cut(run, "Capacity: the highest rate")
	section, _, _ = strings.Cut(section, "</section>")
	if !found || !strings.Contains(section, "The run is under way: its number of blocks was fixed before it began.") {
		t.Errorf("nothing says that the capacities are no verdict:\n%.600s", section)
	}
}
