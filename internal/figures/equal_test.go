package figures

import (
	"strings"
	"testing"
	"time"
)

// Targets of a block that had unequal times of a phase are named; up to 1 % more is equal, and only trials in turns are compared.
func TestUnequalTimes(t *testing.T) {
	trial := func(target string, block int, seconds ...float64) Trial {
		one := Trial{Block: block, Target: target, Used: true, turns: true}
		for i, s := range seconds {
			one.Phases = append(one.Phases, PhaseFigures{Number: i + 1, DurationS: s})
		}
		return one
	}
	const want = "UNEQUAL TIMES in phase open: in 2 blocks a target was measured for over 1.0 % longer than another, at most for 20.0 % (b, block 2), " +
		"because requests that were not answered extended its slices"
	for name, c := range map[string]struct {
		change func(s *Summary)
		want   string
	}{
		"two blocks":      {func(*Summary) {}, want},
		"not in turns":    {func(s *Summary) { s.Trials[3].turns, s.Trials[5].turns = false, false }, ""},
		"not valid":       {func(s *Summary) { s.Trials[3].Used, s.Trials[5].Used = false, false }, ""},
		"not in that one": {func(s *Summary) { s.Trials[3].Phases, s.Trials[5].Phases = nil, nil }, ""},
	} {
		s := &Summary{Run: Facts{Blocks: 3}, Phases: []Phase{{Number: 1, Name: "closed"}, {Number: 2, Name: "open"}}}
		s.Trials = []Trial{
			trial("a", 1, 7, 3.5), trial("b", 1, 7.06, 3.53),
			trial("a", 2, 7, 3.5), trial("b", 2, 7, 4.2),
			trial("a", 3, 7, 3.5), trial("b", 3, 7, 3.85),
		}
		c.change(s)
		if got := strings.Join(s.unproven(), "\n"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A block is as long as what counts in it, whatever rounds were left out and made up in some of the trials.
func TestBlocksAreAsLongAsWhatCounts(t *testing.T) {
	trial := func(seconds, leftOut float64) Trial {
		return Trial{Used: true, Block: 1, Target: "a", Phases: []PhaseFigures{{Number: 1, DurationS: seconds, leftOutS: leftOut}}}
	}
	for want, trials := range map[time.Duration][]Trial{
		12 * time.Second: nil,
		8 * time.Second:  {trial(9, 0), trial(9.5, 1.5), trial(8, 1)},
		9 * time.Second:  {trial(9, 0), {Block: 1, Target: "a", Phases: []PhaseFigures{{Number: 1, DurationS: 1}}}},
	} {
		s := &Summary{Phases: []Phase{{Number: 1, DurationS: 12}}, Trials: trials}
		if got := s.length(); got != want {
			t.Errorf("%v, not %v", got, want)
		}
	}
}
