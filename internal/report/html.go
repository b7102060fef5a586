package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"bakeoff/internal/figures"
	"bakeoff/internal/show"
)

// WriteHTML writes the page that people share: everything of a run in one file that needs no network and no script.
func WriteHTML(w io.Writer, s *figures.Summary, others figures.Others) error {
	claim, basis := headParts(s)
	return writePage(w, page{
		title: s.Run.Name + ", " + s.Run.Started.UTC().Format("2006-01-02"), head: claim, basis: basis, marks: s.Marks, facts: facts(s),
		sections: pageSections(s, others),
	})
}

// How the one line begins that says what other runs in the same folder say: of the page, and of Markdown.
const (
	OtherRunsLine  = "<li>Other runs: "
	OtherRunsPoint = "* Other runs: "
)

// pageSections is the order of the page: what may be claimed first, then what it rests on, then what was around it.
func pageSections(s *figures.Summary, others figures.Others) []section {
	out := append([]section{rankingSection(s, others)}, capacityOfPage(s)...)
	out = append(out, thresholdSection(s)...)
	for _, one := range []section{blocksSection(s), timesSection(s), {title: "While the load ran", figures: overTime(s), tables: stallTables(s), folded: true}, tiersSection(s), balanceSection(s)} {
		if len(one.figures)+len(one.tables) > 0 {
			out = append(out, one)
		}
	}
	out = append(out, limitSection(s)...)
	out = append(out, costSection(s)...)
	out = append(out, timeShareSection(s)...)
	out = append(out, booksSection(s)...)
	out = append(out, notUsed(s)...)
	out = append(out, warned(s)...)
	out = append(out, pilot(s)...)
	if s.Running() {
		out = append(out, asked(s))
	} else {
		out = append(out, settings(s)...)
	}
	out = append(out, speeds(s)...)
	return append(out, around(s), notShown(s))
}

// rankingSection is what may be claimed, and what limits it.
func rankingSection(s *figures.Summary, others figures.Others) section {
	out := section{title: "Ranking", points: outcomePoints(s, others)}
	if t := ranks(s, 0, 0); len(t.Rows) > 0 {
		t.Caption = "The ranking: " + metric(s) + "."
		out.lead = append(out.lead, t)
	}
	v := s.Verdict
	if v == nil || len(v.Targets) < 2 {
		return out
	}
	out.figures = intervalFigure(v)
	if words := claims(v, math.MaxInt); len(words.Rows) > 0 {
		words.Caption = "Every pair in words."
		out.tables = append(out.tables, words)
	}
	out.tables = append(out.tables, deciding(v))
	if v.Positions != nil {
		out.paras = append(out.paras, "Effect of the "+v.Positions.Words()+".")
	}
	return out
}

// blocksSection is what was measured, block by block.
func blocksSection(s *figures.Summary) section {
	out := section{title: "Block values"}
	for _, p := range s.Phases {
		out.figures = append(out.figures, blockValues(s, p)...)
	}
	if len(s.Phases) > 0 {
		all := overview(s)
		out.paras, out.tables = all.paras, all.tables
		out.tables[0].Caption = "Medians over valid blocks, and their range."
	}
	return out
}

// timesSection is how long answers took.
func timesSection(s *figures.Summary) section {
	out := section{title: "Response times", folded: true}
	for _, p := range s.Phases {
		out.figures = append(out.figures, curveFigure(p)...)
		for _, t := range times(s, p)[:2] { // the third, pooled, is below the curve
			t.Caption = "Phase " + p.Name + ". " + t.Caption
			out.tables = append(out.tables, t)
		}
	}
	return out
}

// tiersSection is who used the machine.
func tiersSection(s *figures.Summary) section {
	out := section{title: "CPU and memory of each tier"}
	for _, p := range s.Phases {
		out.figures = append(out.figures, tierFigures(s, p)...)
	}
	return out
}

// balanceSection is how the load was spread.
func balanceSection(s *figures.Summary) section {
	out := section{title: "Balance over replicas and workers"}
	for _, p := range s.Phases {
		out.figures = append(out.figures, balanceFigures(p)...)
	}
	return out
}

// booksSection is what was counted in every phase, by the agents and by others.
func booksSection(s *figures.Summary) []section {
	out := section{title: "Books", folded: true}
	for _, p := range s.Phases {
		tables := []show.Table{books(s, p), failures(p)}
		if s.Running() {
			tables = append(tables, answers(s, p))
		} else {
			tables = append(tables, statements(p))
		}
		for _, t := range tables {
			t.Caption = "Phase " + p.Name + ". " + t.Caption
			out.tables = append(out.tables, t)
		}
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
