package gate

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
)

// moveSlack is how long before and after the change of a row either answer is right.
const moveSlack = time.Second

// stale refuses a phase in which a row that changed was answered as it had been, by a request that was sent more than a second
// after the change; or as it was to be, more than a second before. One such answer is enough: it did not come from the table. By as
// much as the agent's clock may differ from that of the changes, and as that one was set during the phase, it may be more.
func (p *Phase) stale() []record.Reason {
	wrong, first := 0, ""
	for number, m := range p.Moves {
		if text := p.staleMove(number, m); text != "" {
			if wrong++; first == "" {
				first = text
			}
		}
	}
	if wrong == 0 {
		return nil
	}
	text := fmt.Sprintf("%s of %d that changed during the phase had answers that were not true at that moment: %s", show.Plural(wrong, "row"), len(p.Moves), first)
	return []record.Reason{{Code: record.CodeStale, Text: text}}
}

// fewestMoved is how many of a hundred rows that are to change do so at least; a single one always may be left.
const fewestMoved = 90

// unmoved refuses a phase in which too few rows changed: a copy of the table would not be found.
func (p *Phase) unmoved() []record.Reason {
	made := 0
	for _, m := range p.Moves {
		if m.DoneNS > 0 {
			made++
		}
	}
	if len(p.Moves)-made <= 1 || 100*made >= fewestMoved*len(p.Moves) {
		return nil
	}
	text := fmt.Sprintf("only %d of %s that were to change did so; %d %% are needed, so that answers from a copy of the table are found",
		made, show.Plural(len(p.Moves), "row"), fewestMoved)
	return []record.Reason{{Code: record.CodeMoves, Text: text}}
}

// staleMove says which answer to an agent was not true, or "".
func (p *Phase) staleMove(number int, m record.Move) string {
	for _, from := range slices.Sorted(maps.Keys(p.agents)) {
		shift, doubt := p.clockOf(from)
		if text := untrue(m, p.agents[from].totals.Moves[number], shift, moveSlack+doubt); text != "" {
			return text
		}
	}
	return ""
}

// clockOf is an agent's clock less the controller's, and how much more it may be, either way.
func (p *Phase) clockOf(agent int) (shift, doubt time.Duration) {
	doubt = time.Duration(p.ClockStepNS)
	for _, s := range p.Starts {
		if s.Agent == agent {
			return time.Duration(s.ClockShiftNS), doubt + time.Duration(s.ClockErrorNS)
		}
	}
	return shift, doubt
}

// untrue says which answer was not true, by a clock that is ahead by shift, or "".
func untrue(m record.Move, seen stats.MoveSeen, shift, slack time.Duration) string {
	name := m.Old
	if name == "" {
		name = m.New
	}
	late, early := time.Duration(seen.LastBefore-m.DoneNS)-shift, time.Duration(m.BegunNS-seen.FirstAfter)+shift
	switch {
	case m.Ahead && m.DoneNS > 0 && seen.Before > 0: // whatever the clocks say
		return fmt.Sprintf("%s (row %d) was %s before the first request, and answered as before", show.Excerpt(name, 60), m.ID, m.Kind)
	case m.DoneNS > 0 && seen.Before > 0 && late > slack:
		return fmt.Sprintf("%s (row %d) was %s, and a request %s later was answered as before", show.Excerpt(name, 60), m.ID, m.Kind, show.Duration(late.Round(time.Millisecond)))
	case m.BegunNS == 0 && seen.After > 0:
		return fmt.Sprintf("%s (row %d) was answered as if it had been %s, which did not happen", show.Excerpt(name, 60), m.ID, m.Kind)
	case m.BegunNS > 0 && seen.After > 0 && early > slack:
		return fmt.Sprintf("%s (row %d) was answered as if it had been %s %s before it was", show.Excerpt(name, 60), m.ID, m.Kind, show.Duration(early.Round(time.Millisecond)))
	}
	return ""
}
