package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"bakeoff/internal/figures"
)

// WriteHTML writes the page that people share: everything of a run in one file that needs no network and no script.
func WriteHTML(w io.Writer, s *figures.Summary, others figures.Others) error {
	return writePage(w, page{
		title: s.Run.Name + ", " + s.Run.Started.UTC().Format("2006-01-02"), head: headLine(s), marks: s.Marks, facts: facts(s),
		sections: pageSections(s, others),
	})
}

// pageSections is the order of the page: what may be claimed first, then what it rests on, then what was around it.
func pageSections(s *figures.Summary, others figures.Others) []section {
	out := []section{rankingSection(s, others)}
	if len(s.Phases) > 0 {
		out = append(out, overview(s))
	}
	for _, p := range s.Phases {
		out = append(out, section{title: phaseTitle(p), tables: times(s, p)}, section{title: "Phase " + p.Name + ": who did what", tables: whoDidWhat(s, p)})
	}
	out = append(out, allBooks(s)...)
	out = append(out, notUsed(s)...)
	out = append(out, warned(s)...)
	out = append(out, speeds(s)...)
	out = append(out, pilot(s)...)
	if s.Running() {
		out = append(out, asked(s))
	} else {
		out = append(out, settings(s)...)
	}
	return append(out, around(s), notShown(s))
}

// rankingSection is what may be claimed, and what limits it.
func rankingSection(s *figures.Summary, others figures.Others) section {
	out := section{title: "Ranking"}
	if t := ranks(s, 0); len(t.Rows) > 0 {
		out.tables = append(out.tables, t)
	}
	v := s.Verdict
	if v != nil && len(v.Targets) > 1 {
		if words := claims(v, 1<<20); len(words.Rows) > 0 {
			out.tables = append(out.tables, words)
		}
		out.tables = append(out.tables, deciding(v))
		if v.Positions != nil {
			out.paras = append(out.paras, "Effect of the "+v.Positions.Words()+".")
		}
	}
	about := outcome(s, others)
	for _, row := range about.Rows {
		out.points = append(out.points, upper(row[0])+": "+row[1]+".")
	}
	return out
}

// allBooks are the books of every phase and the values of every block.
func allBooks(s *figures.Summary) []section {
	out := section{title: "Books", folded: len(s.Trials) > 12}
	for _, p := range s.Phases {
		t := books(s, p)
		t.Caption = "Phase " + p.Name + ". " + t.Caption
		out.tables = append(out.tables, t)
	}
	if len(out.tables) == 0 {
		return nil
	}
	return []section{out}
}

// facts are the setting of a run in one line.
func facts(s *figures.Summary) string {
	out := fmt.Sprintf("%s; seed %d; bakeoff %s; begun %s.", setting(s), s.Run.Seed, s.Run.Bakeoff, s.Run.Started.UTC().Format("2006-01-02 15:04 MST"))
	if text := usefulTime(s.Time); text != "" {
		out += " " + upper(text) + "."
	}
	return out
}

// notShown says what nobody may conclude from the page.
func notShown(s *figures.Summary) section {
	points := []string{
		"Other days and other machines: an interval covers what varied between the blocks of this run. It says nothing about another machine, kernel, version or neighbour, and " +
			"two runs of one plan may differ by more than either's interval.",
		"Other loads: the verdict is about one figure, at this load, with this data and this deployment.",
		"Causes: a target is better here; why, or whether it would be with other settings, was not asked.",
		"Equality: \"not told apart\" means that neither a difference nor its absence was shown. Only \"a tie\" says that targets are equal, and only up to the margin.",
	}
	if slices.ContainsFunc(s.Phases, func(p figures.Phase) bool { return p.Model == "closed" }) {
		points = append(points, "Latency of the closed phase: each of its connections waits for its last answer, so a slow target is asked less often. Its times are service times, no claim about latency.")
	}
	if s.Run.Platform == "local" && !s.Running() {
		points = append(points, "Targets on machines of their own: the generator, the balancer, the database and the targets shared the cores of this machine.")
	}
	if s.Running() {
		points = append(points, "Counts of a second witness: the servers ran already, and only the agents counted what they were asked.")
	}
	return section{title: "What this does not show", points: points}
}

func upper(word string) string { return strings.ToUpper(word[:1]) + word[1:] }
