package gate

import (
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

func TestStale(t *testing.T) {
	const second = int64(time.Second)
	made := record.Move{Kind: "renamed", ID: 7, Old: "alpha", New: "beta", BegunNS: 100 * second, DoneNS: 100*second + 5e6}
	never := record.Move{Kind: "deleted", ID: 8, Old: "gamma"}
	unknown := record.Move{Kind: "inserted", ID: 9, New: "delta", BegunNS: 100 * second}
	ahead, failed := made, unknown
	ahead.Ahead, failed.Ahead = true, true
	for _, c := range []struct {
		name string
		move record.Move
		seen stats.MoveSeen
		want string
	}{
		{"nobody asked", made, stats.MoveSeen{}, ""},
		{"as it was, before and just after", made, stats.MoveSeen{Before: 5, LastBefore: 101 * second}, ""},
		{"as it was, long after", made, stats.MoveSeen{Before: 5, LastBefore: 102 * second}, "\"alpha\" (row 7) was renamed, and a request 2.00 s later"},
		{"as it is, after", made, stats.MoveSeen{After: 3, FirstAfter: 103 * second}, ""},
		{"as it is, just before", made, stats.MoveSeen{After: 3, FirstAfter: 99*second + 1}, ""},
		{"as it is, long before", made, stats.MoveSeen{After: 3, FirstAfter: 98 * second}, "as if it had been renamed 2.00 s before"},
		{"it never changed", never, stats.MoveSeen{Before: 9, LastBefore: 200 * second}, ""},
		{"it never changed, and was answered so", never, stats.MoveSeen{After: 1, FirstAfter: 200 * second}, "which did not happen"},
		{"ahead, as it is", ahead, stats.MoveSeen{After: 3, FirstAfter: 101 * second}, ""},
		{"ahead, as it was, just after", ahead, stats.MoveSeen{Before: 1, LastBefore: 100*second + 6e6}, "was renamed before the first request, and answered as before"},
		{"ahead, and nobody knows whether", failed, stats.MoveSeen{Before: 1, LastBefore: 200 * second}, ""},
		{"nobody knows whether it changed", unknown, stats.MoveSeen{Before: 1, After: 1, LastBefore: 200 * second, FirstAfter: 200 * second}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := NewPhase(record.Phase{Moves: []record.Move{{}, c.move}})
			p.Load(3, stats.Window{Moves: map[int]stats.MoveSeen{1: c.seen}})
			found := p.stale()
			switch {
			case c.want == "" && found != nil:
				t.Errorf("refused: %+v", found)
			case c.want != "" && (len(found) != 1 || found[0].Code != record.CodeStale || !strings.Contains(found[0].Text, c.want)):
				t.Errorf("%+v, want %q", found, c.want)
			}
		})
	}
}

// An agent's clock that is ahead or behind, or may be, and one that was set during the phase, make no answer stale.
func TestStaleByOtherClocks(t *testing.T) {
	const second = int64(time.Second)
	made := record.Move{Kind: "renamed", ID: 7, Old: "alpha", New: "beta", BegunNS: 100 * second, DoneNS: 100 * second}
	late, early := stats.MoveSeen{Before: 1, LastBefore: 104 * second}, stats.MoveSeen{After: 1, FirstAfter: 96 * second}
	for _, c := range []struct {
		name  string
		phase record.Phase
		seen  stats.MoveSeen
		stale bool
	}{
		{"one clock, late", record.Phase{}, late, true},
		{"one clock, early", record.Phase{}, early, true},
		{"ahead, late", record.Phase{Starts: []record.Start{{Agent: 3, ClockShiftNS: 3 * second}}}, late, false},
		{"ahead, early", record.Phase{Starts: []record.Start{{Agent: 3, ClockShiftNS: 3 * second}}}, early, true},
		{"behind, early", record.Phase{Starts: []record.Start{{Agent: 3, ClockShiftNS: -3 * second}}}, early, false},
		{"another agent is ahead", record.Phase{Starts: []record.Start{{Agent: 2, ClockShiftNS: 3 * second}}}, late, true},
		{"not known well", record.Phase{Starts: []record.Start{{Agent: 3, ClockErrorNS: 3 * second}}}, late, false},
		{"set during the phase", record.Phase{ClockStepNS: 3 * second}, late, false},
		{"set by less", record.Phase{ClockStepNS: 2 * second}, late, true},
	} {
		c.phase.Moves = []record.Move{made}
		p := NewPhase(c.phase)
		p.Load(3, stats.Window{Moves: map[int]stats.MoveSeen{0: c.seen}})
		if found := p.stale(); (found != nil) != c.stale {
			t.Errorf("%s: %+v", c.name, found)
		}
	}
}

// Of the rows that are to change one in ten may be left, or a single one.
func TestUnmoved(t *testing.T) {
	for _, c := range []struct {
		planned, made int
		refused       bool
	}{
		{0, 0, false},
		{1, 0, false},
		{2, 0, true},
		{8, 7, false},
		{8, 6, true},
		{100, 90, false},
		{100, 89, true},
		{100, 0, true},
	} {
		p := NewPhase(record.Phase{Moves: make([]record.Move, c.planned)})
		for i := range c.made {
			p.Moves[i].DoneNS = 1
		}
		found := p.unmoved()
		if (found != nil) != c.refused || found != nil && (found[0].Code != record.CodeMoves || !strings.Contains(found[0].Text, "were to change did so")) {
			t.Errorf("%d of %d: %+v", c.made, c.planned, found)
		}
	}
}
