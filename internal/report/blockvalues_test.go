package report

import (
	"strings"
	"testing"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// A percentile that falls among time-outs is a bound, in the picture and in its table.
func TestBlockValuesAmongTimeouts(t *testing.T) {
	p := figures.Phase{Number: 2, Name: "open", Model: "open"}
	response := make([]figures.Percentile, len(figures.Percents()))
	for i := range response {
		response[i] = figures.Percentile{Seconds: 10, Over: true}
	}
	p.Targets = []figures.PhaseTarget{{Target: "django"}}
	s := &figures.Summary{Trials: []figures.Trial{{Block: 1, Target: "django", Status: record.Valid, Used: true, Phases: []figures.PhaseFigures{{Number: 2, Response: response}}}}}
	m := measureOf(p)
	values := m.values(s, "django", 2)
	if len(values) != 1 || values[0].text(show.Seconds) != ">10.0 s" {
		t.Fatalf("%+v", values)
	}
	if rows := blockNumbers(s, p, m).Rows; len(rows) != 1 || rows[0][2] != ">10.0 s" {
		t.Errorf("%q", rows)
	}
}

// A cross says why the trial counts nowhere: also one that is valid.
func TestWhyUnused(t *testing.T) {
	reasons := []record.Reason{{Code: record.CodeContract, Text: "wrong"}}
	for want, trial := range map[string]figures.Trial{
		"valid, but repeated: a later attempt counts": {Status: record.Valid},
		"contract: wrong": {Status: record.Invalid, Reasons: reasons},
		"aborted":         {Status: record.TrialAborted},
	} {
		if got := whyUnused(trial); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	r := contest(2, "django", "flask")
	w := r.Begin(t)
	r.Whole(t, w)
	r.Trial(t, w, 2, 3, "flask", 2, nil)
	check(t, w.Finish(record.Complete, ""))
	s := build(t, w.Dir())
	if picture := blockValues(s, s.Phases[0])[0].pictures[0].wide; !strings.Contains(picture, "valid, but repeated: a later attempt counts") {
		t.Error("no cross says it")
	}
}
