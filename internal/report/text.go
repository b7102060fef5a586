package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"bakeoff/internal/record"
)

// NoWinner is the sentence under every headline.
const NoWinner = "No winner is claimed: these are medians and ranges over blocks, without a test of whether the differences are more than chance."

// WriteText writes the summary for a page of the given width in characters; 0 means 100.
func WriteText(w io.Writer, s *Summary, width int) error {
	if width <= 0 {
		width = 100
	}
	if err := writeText(w, sections(s), width); err != nil {
		return fmt.Errorf("report: write text: %w", err)
	}
	return nil
}

// WriteMarkdown writes the summary as GitHub Markdown.
func WriteMarkdown(w io.Writer, s *Summary) error {
	if err := writeMarkdown(w, sections(s)); err != nil {
		return fmt.Errorf("report: write Markdown: %w", err)
	}
	return nil
}

// sections lays the whole report out.
func sections(s *Summary) []section {
	out := []section{head(s)}
	if len(s.Phases) > 0 {
		out = append(out, overview(s))
	}
	for _, p := range s.Phases {
		out = append(out, phaseSections(s, p)...)
	}
	out = append(out, notUsed(s)...)
	out = append(out, pilot(s)...)
	out = append(out, settings(s)...)
	return append(out, around(s))
}

// headline says in one line what was done: "7 blocks of 8 s on 2 shared cores: a, b and c".
func headline(s *Summary) string {
	var b strings.Builder
	blocks := s.blocksDone()
	if blocks == s.Run.Blocks {
		b.WriteString(plural(blocks, "block"))
	} else {
		fmt.Fprintf(&b, "%d of %s", blocks, plural(s.Run.Blocks, "block"))
	}
	if l := s.length(); l > 0 {
		fmt.Fprintf(&b, " of %s", span(l.Seconds()))
	}
	fmt.Fprintf(&b, " on %s", machine(s))
	var names []string
	for _, t := range s.Targets {
		names = append(names, t.Name)
	}
	if len(names) > 0 {
		fmt.Fprintf(&b, ": %s", list(names))
	}
	if s.Run.Short {
		b.WriteString(" (short)")
	}
	return b.String()
}

// machine names the cores, and that every tier shares them.
func machine(s *Summary) string {
	if s.Run.Platform == "local" {
		if s.Machine.Cores == 1 {
			return "1 shared core"
		}
		return fmt.Sprintf("%d shared cores", s.Machine.Cores)
	}
	return fmt.Sprintf("%s (%s)", plural(s.Machine.Cores, "core"), s.Run.Platform)
}

// blocksDone is the number of blocks in which every target has a valid trial.
func (s *Summary) blocksDone() int {
	valid := map[int]int{}
	for _, t := range s.Trials {
		if t.Used {
			valid[t.Block]++
		}
	}
	done := 0
	for _, n := range valid {
		if n == len(s.Targets) {
			done++
		}
	}
	return done
}

// marks are what a reader must know before any figure.
func marks(s *Summary, live bool) []string {
	var out []string
	add := func(format string, a ...any) { out = append(out, fmt.Sprintf(format, a...)) }
	if s.Run.Short {
		add("SHORT: scaled down to see that everything works; nothing may be claimed from these figures")
	}
	if s.Run.Shared {
		add("SHARED MACHINE: another run was allowed beside this one; both disturb each other")
	}
	switch {
	case live:
		add("UNDER WAY: %d of %d trials finished so far", s.Run.Finished, s.Run.Planned)
	case s.Run.Status == record.Aborted:
		add("ABORTED: %s; %d of %d trials finished", cmpOr(s.Run.Reason, "no reason given"), s.Run.Finished, s.Run.Planned)
	case s.Run.Status == record.Incomplete:
		add("INCOMPLETE: the run was killed; %d of %d trials finished", s.Run.Finished, s.Run.Planned)
	}
	if s.Run.AllowUnfair != "" {
		add("UNFAIR BY PLAN: differences between targets were allowed: %s", s.Run.AllowUnfair)
	}
	for _, t := range s.Targets {
		if t.Valid < s.Run.Blocks {
			add("%s has a valid trial in %d of %s", t.Name, t.Valid, plural(s.Run.Blocks, "block"))
		}
	}
	if len(s.Problems) > 0 {
		add("DAMAGED: %s in the run directory, listed below; damaged trials are left out", plural(len(s.Problems), "problem"))
	}
	if d := s.Database; d.DigestAtEnd != "" && d.DigestAtFill != "" && d.DigestAtEnd != d.DigestAtFill {
		add("TABLE CHANGED: its digest at the end is not the one at the fill")
	}
	return out
}

func cmpOr(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func head(s *Summary) section {
	out := section{title: s.Run.Name + ": " + s.Headline}
	for _, m := range s.Marks {
		out.points = append(out.points, m)
	}
	keys := "keys chosen by the client"
	if s.Dataset.Lookups == "server" {
		keys = "keys drawn by the server"
	}
	facts := fmt.Sprintf("%s rows, hit ratio %s, %s; %s %s (%s), %s; seed %d; bakeoff %s; begun %s.",
		count(s.Dataset.Rows), number(s.Dataset.HitRatio), keys,
		s.Database.Vendor, s.Database.Version, s.Database.Kind, behind(s.Balancer), s.Run.Seed, s.Run.Bakeoff,
		s.Run.Started.UTC().Format("2006-01-02 15:04 MST"))
	if s.Time.WallS > 0 {
		facts += fmt.Sprintf(" Useful time: %s measured of %s, %s.", span(round(s.Time.MeasuredS)), span(round(s.Time.WallS)), percent(s.Time.Useful))
	}
	out.paras = []string{NoWinner, facts}
	return out
}

func round(s float64) float64 { return float64(int64(s + 0.5)) }

func behind(b record.BalancerInfo) string {
	if b.Kind == "direct" {
		return "no balancer"
	}
	return strings.TrimSpace("balancer " + b.Kind + " " + b.Version)
}

// overview is one line per target: the figure each phase is for.
func overview(s *Summary) section {
	g := grid{left: 1, head: []string{"target", "valid blocks"}}
	for _, t := range s.Targets {
		g.rows = append(g.rows, []string{t.Name, fmt.Sprintf("%d of %d", t.Valid, s.Run.Blocks)})
	}
	for _, p := range s.Phases {
		for _, c := range overviewColumns(p) {
			g.head = append(g.head, p.Name+": "+c.title)
			for i, t := range p.Targets {
				g.rows[i] = append(g.rows[i], c.cell(t))
			}
		}
	}
	return section{
		title: "Medians over valid blocks, and their range", tables: []grid{g},
		paras: []string{"Primary metric of the plan: " + cmpOr(s.Run.Primary, "none") + "."},
	}
}

type column struct {
	title string
	cell  func(PhaseTarget) string
}

func overviewColumns(p Phase) []column {
	cpu := column{"CPU per answer", func(t PhaseTarget) string { return t.tier("target").PerReqS.show(millis) }}
	if p.Model == "closed" {
		return []column{{"ok/s", func(t PhaseTarget) string { return t.Goodput.show(number) }}, cpu}
	}
	out := []column{}
	// The median, and the highest percentile that every target supports in every block.
	for _, i := range []int{0, highest(p)} {
		if i > 0 || len(out) == 0 {
			name := fmt.Sprintf("p%v", Percents()[i])
			out = append(out, column{name, func(t PhaseTarget) string { return t.Response[i].show() }})
		}
	}
	return out
}

// highest is the index of the highest percentile that every block of every target supports.
func highest(p Phase) int {
	best := 0
	for i := range Percents() {
		if slices.ContainsFunc(p.Targets, func(t PhaseTarget) bool { return t.Blocks > 0 && t.Response[i].Needs > 0 }) {
			break
		}
		best = i
	}
	return best
}

func (t PhaseTarget) tier(name string) Tier {
	for _, tier := range t.Tiers {
		if tier.Tier == name {
			return tier
		}
	}
	return Tier{}
}
