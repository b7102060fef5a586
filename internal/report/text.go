// Package report arranges and draws the figures of a run: as text, as Markdown and as a picture. It computes
// nothing: every number and every warning comes from internal/figures.
package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// WriteText writes everything of a run, and what other runs of its plan say, for a page of the given width in characters; 0 means 100.
func WriteText(w io.Writer, s *figures.Summary, others figures.Others, width int) error {
	if width <= 0 {
		width = 100
	}
	if err := writeText(w, sections(s, others), width); err != nil {
		return fmt.Errorf("report: write text: %w", err)
	}
	return nil
}

// WriteMarkdown writes the same as GitHub Markdown.
func WriteMarkdown(w io.Writer, s *figures.Summary, others figures.Others) error {
	if err := writeMarkdown(w, sections(s, others)); err != nil {
		return fmt.Errorf("report: write Markdown: %w", err)
	}
	return nil
}

// sections lays the whole report out.
func sections(s *figures.Summary, others figures.Others) []section {
	out := append([]section{head(s, others)}, verdictSection(s)...)
	out = append(out, capacitySection(s)...)
	out = append(out, thresholdSection(s)...)
	if len(s.Phases) > 0 {
		out = append(out, overview(s))
	}
	for _, p := range s.Phases {
		out = append(out, phaseSections(s, p)...)
	}
	out = append(out, limitSection(s)...)
	out = append(out, costSection(s)...)
	out = append(out, timeShareSection(s)...)
	out = append(out, notUsed(s)...)
	out = append(out, warned(s)...)
	out = append(out, speeds(s)...)
	out = append(out, pilot(s)...)
	if s.Running() {
		out = append(out, asked(s))
	} else {
		out = append(out, settings(s)...)
	}
	return append(out, around(s))
}

func head(s *figures.Summary, others figures.Others) section {
	return section{
		title: s.Run.Name + ": " + s.Headline, paras: []string{headLine(s) + ".", facts(s)}, points: slices.Concat(s.Marks, outcomePoints(s, others)),
	}
}

// setting says what the targets did their work with.
func setting(s *figures.Summary) string {
	if s.Running() {
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
func overview(s *figures.Summary) section {
	var t spreadTable
	for _, p := range s.Phases {
		if p.Model == "closed" {
			t.add(p, p.Name+": ok/s", func(o figures.PhaseTarget) figures.Spread { return o.Goodput }, show.Number)
		} else {
			last := highest(p)
			t.addPercentile(p, p.Name+": ", 0)
			if last > 0 {
				t.addPercentile(p, p.Name+": ", last)
			}
		}
		if !s.Running() {
			t.add(p, p.Name+": CPU per answer", func(o figures.PhaseTarget) figures.Spread { return o.Tier("target").PerReqS }, show.Millis)
		}
	}
	paras := []string{"Primary metric of the plan: " + cmp.Or(s.Run.Primary, "none") + "."}
	if !s.Running() {
		paras = append(paras, "CPU per answer is that of the target's processes.")
	}
	return section{title: "Medians over valid blocks, and their range", tables: []show.Table{t.grid(s)}, paras: paras}
}

// spreadTable puts the targets below each other, figure by figure. What limits a median is in its cell.
type spreadTable struct {
	rows  [][]string
	notes show.Footnotes
}

func (t *spreadTable) add(p figures.Phase, figure string, of func(figures.PhaseTarget) figures.Spread, unit func(float64) string) {
	for _, o := range p.Targets {
		s := of(o)
		low, high := show.None, show.None
		if s.N > 0 {
			low, high = bound(s.MinOver)+unit(s.Min), bound(s.MaxOver)+unit(s.Max)
		}
		t.row(figure, o.Target, s.N, t.notes.Mark(median(s, unit), s.Warnings()...), low, high)
	}
}

// addPercentile adds the i-th percentile of the distribution that the phase is for.
func (t *spreadTable) addPercentile(p figures.Phase, prefix string, i int) {
	figure := fmt.Sprintf("%s%s p%v", prefix, timeName(p), figures.Percents()[i])
	for _, o := range p.Targets {
		s := o.Response[i]
		if p.ByService() {
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
			t.row(figure, o.Target, s.N, t.notes.Mark(median(s.Spread, show.Seconds), s.Warnings()...), bound(s.MinOver)+show.Seconds(s.Min), bound(s.MaxOver)+show.Seconds(s.Max))
		}
	}
}

// row adds a line; blocks is how many give the figure.
func (t *spreadTable) row(figure, target string, blocks int, cells ...string) {
	row := append([]string{figure, target}, cells...)
	t.rows = append(t.rows, append(row, fmt.Sprint(blocks)))
}

func (t *spreadTable) grid(s *figures.Summary) show.Table {
	g := show.Table{Left: 2, Head: []string{"figure", "target", "median", "lowest", "highest", "blocks"}, Notes: t.notes.Lines()}
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
func timeName(p figures.Phase) string {
	if p.ByService() {
		return "service time"
	}
	return "response time"
}

// highest is the index of the highest percentile that every block of every target supports.
func highest(p figures.Phase) int {
	best := 0 // the median, even where too few requests support it
	for i := range figures.Percents() {
		of := func(t figures.PhaseTarget) figures.PercentileSpread {
			if p.ByService() {
				return t.Service[i]
			}
			return t.Response[i]
		}
		if slices.ContainsFunc(p.Targets, func(t figures.PhaseTarget) bool { return t.Blocks > 0 && of(t).Needs > 0 }) {
			break
		}
		best = i
	}
	return best
}
