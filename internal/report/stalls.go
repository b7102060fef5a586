package report

import (
	"fmt"

	"bakeoff/internal/figures"
	"bakeoff/internal/show"
)

// whatAStallIs goes on after "a stall is".
const whatAStallIs = "a stretch of a trial in which its rate was below half of what was usual in that phase; or, where targets took turns in the open model, " +
	"a slice that lasted longer by half a slice or more, because requests in it were not answered"

// stallsIn counts the stalls of a target, and how far they were looked for.
func stallsIn(timelines ...figures.Timeline) (stalls int, looked figures.Looked) {
	for _, t := range timelines {
		for _, p := range t.Phases {
			stalls += len(p.Stalls)
			looked.Judged, looked.Unjudged = looked.Judged+p.Windows.Judged, looked.Unjudged+p.Windows.Unjudged
		}
	}
	return stalls, looked
}

// stallsSeen says which stalls were seen, and where none were looked for.
func stallsSeen(timelines []figures.Timeline) string {
	stalls, looked := stallsIn(timelines...)
	out := fmt.Sprintf("No stall was seen in %s; a stall is %s.", show.Plural(looked.Judged, "window"), whatAStallIs)
	switch {
	case stalls > 0:
		out = fmt.Sprintf("%s, flagged at the foot and listed below: a stall is %s.", show.Plural(stalls, "stall"), whatAStallIs)
	case looked.Judged == 0:
		return fmt.Sprintf("Stalls were not looked for: too few answers a window, usually fewer than %d.", figures.FewestAnswers)
	}
	if looked.Unjudged > 0 {
		out += fmt.Sprintf(" In %s they were not looked for: too few answers a window, usually fewer than %d.", show.Plural(looked.Unjudged, "window"), figures.FewestAnswers)
	}
	return out
}

func stallInWords(s figures.Stall) string {
	out := fmt.Sprintf("%s/s for %s, usually %s/s", show.Number(s.Rate), show.Seconds(s.LengthS), show.Number(s.Usual))
	if s.SliceS > 0 {
		out = fmt.Sprintf("a slice of %s lasted %s", show.Seconds(s.SliceS), show.Seconds(s.LengthS))
	}
	return out
}

// stallTables is the table of all stalls, where there are any.
func stallTables(s *figures.Summary) []show.Table {
	t := show.Table{Left: 2, Words: 1, Caption: "Stalls: when each began, and what was seen of it.", Head: []string{"target", "phase", "block", "at", "for", "what was seen"}}
	for _, of := range s.Timelines {
		for _, p := range of.Phases {
			for _, one := range p.Stalls {
				t.Rows = append(t.Rows, []string{of.Target, p.Name, fmt.Sprint(one.Block), show.Seconds(one.AtS), show.Seconds(one.LengthS), stallInWords(one)})
			}
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return []show.Table{t}
}
