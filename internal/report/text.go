package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
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
	if s.running() {
		out = append(out, asked(s))
	} else {
		out = append(out, settings(s)...)
	}
	return append(out, around(s))
}

// headline says in one line what was done: "7 blocks of 8 s on 2 shared cores: a, b and c".
func headline(s *Summary) string {
	var b strings.Builder
	blocks := s.blocksDone()
	if blocks == s.Run.Blocks {
		b.WriteString(show.Plural(blocks, "block"))
	} else {
		fmt.Fprintf(&b, "%d of %s", blocks, show.Plural(s.Run.Blocks, "block"))
	}
	if l := s.length(); l > 0 {
		fmt.Fprintf(&b, " of %s", show.Span(l.Seconds()))
	}
	b.WriteString(ofWhat(s))
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
	return fmt.Sprintf("%s (%s)", show.Plural(s.Machine.Cores, "core"), s.Run.Platform)
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
			add("%s has a valid trial in %d of %s", t.Name, t.Valid, show.Plural(s.Run.Blocks, "block"))
		}
	}
	if len(s.Problems) > 0 {
		add("DAMAGED: %s in the run directory, listed below; damaged trials are left out", show.Plural(len(s.Problems), "problem"))
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
	out.points = append(out.points, s.Marks...)
	facts := fmt.Sprintf("%s; seed %d; bakeoff %s; begun %s.", setting(s), s.Run.Seed, s.Run.Bakeoff, s.Run.Started.UTC().Format("2006-01-02 15:04 MST"))
	if s.Time.WallS > 0 {
		facts += fmt.Sprintf(" Useful time: %s measured of %s, %s.", show.Span(round(s.Time.MeasuredS)), show.Span(round(s.Time.WallS)), show.Percent(s.Time.Useful))
	}
	out.paras = []string{NoWinner, facts}
	return out
}

// setting says what the targets did their work with.
func setting(s *Summary) string {
	if s.running() {
		return noWitness
	}
	keys := "keys chosen by the client"
	if s.Dataset.Lookups == "server" {
		keys = "keys drawn by the server"
	}
	return fmt.Sprintf("%s rows, hit ratio %s, %s; %s %s (%s), %s", show.Count(s.Dataset.Rows), show.Number(s.Dataset.HitRatio), keys,
		s.Database.Vendor, s.Database.Version, s.Database.Kind, behind(s.Balancer))
}

func round(s float64) float64 { return float64(int64(s + 0.5)) }

func behind(b record.BalancerInfo) string {
	if b.Kind == "direct" {
		return "no balancer"
	}
	return strings.TrimSpace("balancer " + b.Kind + " " + bare(b))
}

// bare is the version without the name before it: nginx/1.22.1 is 1.22.1.
func bare(b record.BalancerInfo) string { return strings.TrimPrefix(b.Version, b.Kind+"/") }

// overview is what each phase is for: throughput, response time, and what an answer costs.
func overview(s *Summary) section {
	var t spreadTable
	for _, p := range s.Phases {
		if p.Model == "closed" {
			t.add(p, p.Name+": ok/s", func(o PhaseTarget) Spread { return o.Goodput }, show.Number)
		} else {
			last := highest(p)
			t.addPercentile(p, p.Name+": ", 0)
			if last > 0 {
				t.addPercentile(p, p.Name+": ", last)
			}
		}
		if !s.running() {
			t.add(p, p.Name+": CPU per answer", func(o PhaseTarget) Spread { return o.tier("target").PerReqS }, show.Millis)
		}
	}
	paras := []string{"Primary metric of the plan: " + cmpOr(s.Run.Primary, "show.None") + "."}
	if !s.running() {
		paras = append(paras, "CPU per answer is that of the target's processes.")
	}
	if w := warnings(s); len(w) > 0 {
		paras = append(paras, "Warnings: "+strings.Join(w, "; ")+".")
	}
	return section{title: "Medians over valid blocks, and their range", tables: []show.Table{t.grid(s)}, paras: paras}
}

// warnings are what limits the medians, each said once.
func warnings(s *Summary) []string {
	var out []string
	for _, p := range s.Phases {
		for _, t := range p.Targets {
			for _, w := range t.Warnings {
				if !slices.Contains(out, w) {
					out = append(out, w)
				}
			}
		}
	}
	return out
}

// spreadTable puts the targets below each other, figure by figure.
type spreadTable struct{ rows [][]string }

func (t *spreadTable) add(p Phase, figure string, of func(PhaseTarget) Spread, unit func(float64) string) {
	for _, o := range p.Targets {
		s := of(o)
		low, high := show.None, show.None
		if s.N > 0 {
			low, high = bound(s.MinOver)+unit(s.Min), bound(s.MaxOver)+unit(s.Max)
		}
		t.row(figure, o.Target, s.N, s.median(unit), low, high)
	}
}

// addPercentile adds the i-th percentile of the distribution that the phase is for.
func (t *spreadTable) addPercentile(p Phase, prefix string, i int) {
	figure := fmt.Sprintf("%s%s p%v", prefix, timeName(p), Percents()[i])
	for _, o := range p.Targets {
		s := o.Response[i]
		if p.Model == "closed" {
			s = o.Service[i]
		}
		switch {
		case o.Blocks == 0:
			t.row(figure, o.Target, 0, show.None, show.None, show.None)
		case s.Unmeasured:
			t.row(figure, o.Target, s.N, unmeasured, show.None, show.None)
		case s.Needs > 0:
			t.row(figure, o.Target, s.N, needs(s.Needs, s.Has), show.None, show.None)
		default:
			t.row(figure, o.Target, s.N, s.median(show.Seconds), bound(s.MinOver)+show.Seconds(s.Min), bound(s.MaxOver)+show.Seconds(s.Max))
		}
	}
}

// row adds a line; blocks is how many give the figure.
func (t *spreadTable) row(figure, target string, blocks int, cells ...string) {
	row := append([]string{figure, target}, cells...)
	t.rows = append(t.rows, append(row, fmt.Sprint(blocks)))
}

func (t *spreadTable) grid(s *Summary) show.Table {
	g := show.Table{Left: 2, Head: []string{"figure", "target", "median", "lowest", "highest", "blocks"}}
	last := ""
	for _, r := range t.rows {
		r[len(r)-1] += fmt.Sprintf(" of %d", s.Run.Blocks)
		if r[0] == last {
			r[0] = ""
		} else {
			last = r[0]
		}
		g.Rows = append(g.Rows, r)
	}
	return g
}

// timeName is what the times of a phase are.
func timeName(p Phase) string {
	if p.Model == "closed" {
		return "service time"
	}
	return "response time"
}

// highest is the index of the highest percentile that every block of every target supports.
func highest(p Phase) int {
	best := 0 // the median, even where too few requests support it
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
