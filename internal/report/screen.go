package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// A screen. Names of up to screenName characters are written out.
const (
	screenLines   = 40
	screenColumns = 100
	screenTargets = 12 // rows of the ranking
	fewestRanked  = 3  // of them, where there is much else to say
	screenRatios  = 7  // ratios of other runs; of more the first two
	screenMarks   = 3
	screenMark    = 230 // characters of a mark, where there are few
	screenText    = 180 // characters of one of more marks, or of a warning
	screenName    = 22
)

// WriteScreen writes the end of a run on one screen of 40 lines: the verdict in one sentence that can be
// quoted, what must be known of it, the ranking, what limited the result, what became of the trials, other
// runs of the plan, and the command that prints the rest. Columns is the width of the page, 0 means 100. Up
// to eight targets with names of up to 22 characters are all named; of more the first, and the number of the others.
func WriteScreen(w io.Writer, s *figures.Summary, others figures.Others, full string, columns int) error {
	columns = cmp.Or(max(columns, 0), screenColumns)
	top := show.Wrap(show.Inert(headLine(s)), columns, "") + "\n"
	for _, note := range bounded(s.Caveats) {
		top += "* " + show.Wrap(show.Inert(note), columns-2, "  ") + "\n"
	}
	bottom := "\n" + outcome(s, others).Text(columns) + "\nthe rest    " + show.Inert(full) + "\n"
	room := screenLines - strings.Count(top+bottom, "\n")
	ranking := rankingIn(s, columns, room)
	top, room = top+ranking, room-strings.Count(ranking, "\n")
	top += claimsIn(s.Verdict, columns, room)
	if _, err := io.WriteString(w, top+bottom); err != nil {
		return fmt.Errorf("report: write screen: %w", err)
	}
	return nil
}

// rankingIn is the ranking with as many of up to twelve targets, at least three, as fit into that many lines.
func rankingIn(s *figures.Summary, columns, lines int) string {
	for most := screenTargets; ; most-- {
		t := ranks(s, columns, most)
		if len(t.Rows) == 0 {
			return ""
		}
		text := "\n" + t.Text(columns) + "\n"
		if most == fewestRanked || strings.Count(text, "\n") <= lines {
			return text
		}
	}
}

// bounded keeps the first of some marks, each clipped, and counts the others.
func bounded(marks []string) []string {
	var out []string
	most := screenMark
	if len(marks) >= screenMarks {
		most = screenText
	}
	for _, m := range marks[:min(len(marks), screenMarks)] {
		out = append(out, show.Clip(m, most))
	}
	if more := len(marks) - len(out); more > 0 {
		out = append(out, "and "+show.Plural(more, "more mark"))
	}
	return out
}

// short is a target's name in as many columns as a screen has for it.
func short(name string) string {
	if show.Width(name) <= screenName {
		return name
	}
	return show.Cut(name, screenName-3) + "..."
}

// headLine is the verdict in one sentence, with what it is about: plan, figure, blocks, machine, database, date.
func headLine(s *figures.Summary) string {
	claim, basis := headParts(s)
	return claim + "; " + basis
}

// headParts are what is claimed, of what, and what it rests on.
func headParts(s *figures.Summary) (claimed, basis string) {
	claim := "no verdict: " + s.NoVerdict
	if s.Verdict != nil && s.Verdict.Head != "" {
		claim = s.Verdict.Head
	}
	about := s.Run.Name
	if m := metric(s); m != "" {
		about += ", " + m
	}
	blocks := s.BlocksInWords()
	if s.Unsteady() {
		blocks += " in which not every target was steady"
	}
	basis = fmt.Sprintf("%s, %s%s, %s", blocks, where(s), server(s), s.Run.Started.UTC().Format("2006-01-02"))
	if of := baseOf(s.Verdict); of != "" {
		basis = of + "; " + basis
	}
	return about + ": " + claim, basis
}

// baseOf says what percentages are of, where that may surprise: of times the smaller is the better one's. Else it is empty.
func baseOf(v *figures.Verdict) string {
	if v == nil || v.Better != verdict.Lower || len(v.Comparisons) == 0 {
		return ""
	}
	return "percentages are of the shorter time"
}

// server names the database; nothing where there is none.
func server(s *figures.Summary) string {
	if s.Database.Vendor == "" {
		return ""
	}
	return ", " + s.Database.Vendor + " " + s.Database.Version
}

// metric says what was compared: "answers per second on 32 connections".
func metric(s *figures.Summary) string {
	switch p, found := s.Primary(); {
	case !found:
		return ""
	case s.Capacity != nil:
		return "capacity: requests per second with " + objectiveInWords(s.Capacity)
	case p.Model == "closed":
		return "answers per second on " + show.Plural(p.Connections, "connection")
	default:
		return fmt.Sprintf("p99 of the response time at %s/s", show.Number(p.Rate))
	}
}

// where names the machine, what others did on it before the run loaded anything, and how much its speed varied.
func where(s *figures.Summary) string {
	machine := s.CoresInWords()
	if s.Run.Platform == record.PlatformImported {
		return "one run on " + machine
	}
	if s.Machine.CPU != "" {
		machine += " of " + show.Clip(s.Machine.CPU, 40)
	}
	if text := atRest(s.Baselines); text != "" {
		machine += "; " + text
	}
	if s.Speed.Varied() {
		machine += "; " + speedInWords(s.Speed)
	}
	return on(s) + " (" + machine + ")"
}

// on is on how many machines the run was; of servers elsewhere only that is known which loads them.
func on(s *figures.Summary) string {
	machines := "one machine"
	if n := s.Run.Machines; n > 1 {
		machines = fmt.Sprintf("%d machines", n)
	}
	if s.Running() && !s.Here() {
		return "one run, loaded from " + machines
	}
	return "one run on " + machines
}

// atRest says what others used of the machine while the run loaded nothing, for how long that was watched, and whether it is the
// quietest of several looks; of a run that was resumed the greatest of all. It is empty for a short run, which measures none.
func atRest(baselines []record.Baseline) string {
	var most record.Baseline
	for _, rest := range baselines {
		switch used := rest.Foreign + rest.Steal; {
		case rest.Seconds <= 0:
		case !rest.Watched():
			return "what others used of it at rest is not known"
		case most.Seconds == 0 || used > most.Foreign+most.Steal:
			most = rest
		}
	}
	if most.Seconds == 0 {
		return ""
	}
	look := "in " + show.Span(max(1, round(most.Seconds)))
	if most.Looks > 1 {
		look += fmt.Sprintf(", the quietest of %d looks", most.Looks)
	}
	return "others used " + show.Percent(most.Foreign+most.Steal) + " of it at rest (" + look + ")"
}
