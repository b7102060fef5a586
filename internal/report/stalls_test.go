package report

import (
	"slices"
	"strings"
	"testing"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// What the page says of stalls depends on how far they were looked for.
func TestStallsSeen(t *testing.T) {
	for want, phases := range map[string][]figures.PhaseTime{
		"No stall was seen in 10 windows; a stall is ":                   {{Windows: figures.Looked{Judged: 10}}},
		"Stalls were not looked for: too few answers a window, ":         {{Windows: figures.Looked{Unjudged: 10}}},
		"In 4 windows they were not looked for: too few answers a windo": {{Windows: figures.Looked{Judged: 10}}, {Windows: figures.Looked{Unjudged: 4}}},
		"1 stall, flagged at the foot and listed below":                  {{Windows: figures.Looked{Judged: 10}, Stalls: []figures.Stall{{Block: 1}}}},
	} {
		timelines := []figures.Timeline{{Target: "django", Phases: phases}}
		said := stallsSeen(timelines)
		if !strings.Contains(said, want) {
			t.Errorf("%q lacks %q", said, want)
		}
		if none := strings.HasPrefix(said, "No stall was seen in 0 "); none {
			t.Errorf("%q of nothing", said)
		}
	}
}

// Every stall is in a table of the page, a slice of the open model with its length.
func TestStallTable(t *testing.T) {
	s := build(t, recordtest.Demo().Write(t))
	s.Timelines[1].Phases[1].Stalls = []figures.Stall{{Block: 2, AtS: 3, LengthS: 1, Rate: 10, Usual: 1400}, {Block: 3, AtS: 1, LengthS: 2.25, Rate: 500, Usual: 500, SliceS: 0.25}}
	for _, table := range all(asPage(t, s), "table") {
		if rows := all(table, "tr"); strings.HasPrefix(words(table), "Stalls: ") || strings.Contains(words(table), "what was seen") {
			second := words(rows[2])
			if len(rows) != 3 || !strings.Contains(words(rows[1]), "10.0/s for 1.00 s, usually 1,400/s") || !strings.Contains(second, "a slice of 250 ms lasted 2.25 s") {
				t.Errorf("%d rows: %s; %s", len(rows), words(rows[1]), second)
			}
			return
		}
	}
	t.Error("no table of stalls")
}

// Tables that scroll have names that distinguish them, and are no landmarks.
func TestTableLabels(t *testing.T) {
	r := contest(7, "fastapi", "flask", "django")
	r.Change = func(trial *record.Trial) {
		if trial.Block == 3 {
			trial.Status, trial.Reasons = record.Invalid, []record.Reason{{Code: record.CodeAgentLost, Text: "gone"}}
		}
	}
	labels := map[string]int{}
	for _, div := range all(asPage(t, build(t, r.Write(t))), "div") {
		if role := attribute(div, "role"); role == "region" {
			t.Error("a table is a landmark")
		}
		if attribute(div, "class") == "scroll" {
			labels[attribute(div, "aria-label")]++
		}
	}
	twice := []sectionView{{Tables: []tableView{{Caption: "a"}, {Caption: "a"}}}, {Lead: []tableView{{Caption: "a"}}}}
	label(twice)
	if got := []string{twice[0].Tables[0].Label, twice[0].Tables[1].Label, twice[1].Lead[0].Label}; !slices.Equal(got, []string{"a", "a (2)", "a (3)"}) {
		t.Errorf("tables with one caption: %q", got)
	}
	if len(labels) < 10 {
		t.Errorf("%d labels", len(labels))
	}
	for label, n := range labels {
		if n > 1 || label == "" {
			t.Errorf("%d tables are called %q", n, label)
		}
	}
}
