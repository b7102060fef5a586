package figures

import (
	"strings"
	"testing"

	"bakeoff/internal/stats"
)

// A rate that the connections cannot have had is marked, over all valid trials in turns of the closed model; up to 1 % more is chance.
func TestPausesCutOff(t *testing.T) {
	trial := func(block int, goodput float64) Trial { // 10 connections, 10 ms for each answer: at most 1,000/s
		return Trial{Block: block, Target: "a", Used: true, turns: true, Phases: []PhaseFigures{{
			Number: 1, Goodput: goodput, totals: stats.Totals{Window: stats.Window{Books: stats.Books{OK: 900, Bad: 50, Timeout: 30, Error: 20}, InFlight: new(10.0)}},
		}}}
	}
	const want = "PAUSES CUT OFF in phase closed: the rate of a is 3.0 % above what its connections can have"
	for name, c := range map[string]struct {
		change func(s *Summary)
		want   string
	}{
		"above":             {func(*Summary) {}, want},
		"hardly above":      {func(s *Summary) { s.Trials[1].Phases[0].Goodput = 1000 }, ""},
		"not in turns":      {func(s *Summary) { s.Trials[0].turns, s.Trials[1].turns = false, false }, ""},
		"not valid":         {func(s *Summary) { s.Trials[0].Used, s.Trials[1].Used = false, false }, ""},
		"open":              {func(s *Summary) { s.Phases[0].Model = "open" }, ""},
		"by another engine": {func(s *Summary) { s.Phases[0].Engine = "jmeter" }, ""},
		"in flight not known": {func(s *Summary) {
			s.Trials[0].Phases[0].totals.InFlight, s.Trials[1].Phases[0].totals.InFlight = nil, nil
		}, ""},
	} {
		s := &Summary{Run: Facts{Blocks: 2}, Phases: []Phase{{Number: 1, Name: "closed", Model: "closed", Connections: 10, Targets: []PhaseTarget{{Target: "a"}}}}}
		s.Trials = []Trial{trial(1, 1010), trial(2, 1050)}
		c.change(s)
		if got := strings.Join(s.unproven(), "\n"); !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
