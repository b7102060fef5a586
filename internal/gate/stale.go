package gate

import (
	"fmt"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
)

// moveSlack is how long before and after the change of a row either answer is right.
const moveSlack = time.Second

// stale refuses a phase in which a row that changed was answered as it had been, by a request that was sent more than a second
// after the change; or as it was to be, more than a second before. One such answer is enough: it did not come from the table.
func (p *Phase) stale(sum stats.Totals) []record.Reason {
	wrong, first := 0, ""
	for number, m := range p.Moves {
		if text := staleMove(m, sum.Moves[number]); text != "" {
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

// staleMove says which answer was not true, or "".
func staleMove(m record.Move, seen stats.MoveSeen) string {
	name := m.Old
	if name == "" {
		name = m.New
	}
	late, early := time.Duration(seen.LastBefore-m.DoneNS), time.Duration(m.BegunNS-seen.FirstAfter)
	switch {
	case m.DoneNS > 0 && seen.Before > 0 && late > moveSlack:
		return fmt.Sprintf("%s (row %d) was %s, and a request %s later was answered as before", show.Excerpt(name, 60), m.ID, m.Kind, show.Duration(late.Round(time.Millisecond)))
	case m.BegunNS == 0 && seen.After > 0:
		return fmt.Sprintf("%s (row %d) was answered as if it had been %s, which did not happen", show.Excerpt(name, 60), m.ID, m.Kind)
	case m.BegunNS > 0 && seen.After > 0 && early > moveSlack:
		return fmt.Sprintf("%s (row %d) was answered as if it had been %s %s before it was", show.Excerpt(name, 60), m.ID, m.Kind, show.Duration(early.Round(time.Millisecond)))
	}
	return ""
}
