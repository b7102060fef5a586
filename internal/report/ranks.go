package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"bakeoff/internal/figures"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// column is one column of the ranking: a head, and a cell for each target.
type column struct {
	head string
	cell func(target string) string
}

// ranks is the ranking with its intervals; without a verdict it is the targets in plan order with their
// medians, most of them at the most. What is least needed, the range, makes room on a narrow page; 0 columns are as many as it
// takes, for all targets with their whole names.
func ranks(s *figures.Summary, columns, most int) show.Table {
	p, found := s.Primary()
	if !found {
		return show.Table{}
	}
	if columns == 0 {
		t := rankTable(s, p, true, whole, len(s.Ranked()))
		t.Notes = slices.Concat(t.Notes, allNotes(s.Verdict))
		return t
	}
	t := rankTable(s, p, true, short, most)
	if t.Width() > columns {
		t = rankTable(s, p, false, short, most)
	}
	t.Notes = slices.Concat(t.Notes, shortNotes(s.Verdict))
	return t
}

// whole is a name in full, where short is one for a screen.
func whole(name string) string { return name }

func rankTable(s *figures.Summary, p figures.Phase, ranges bool, name func(string) string, most int) show.Table {
	names := rankedNames(s)
	shown := names[:min(len(names), most)]
	t := show.Table{Left: 1, Rows: make([][]string, len(shown))}
	var notes show.Footnotes
	for _, c := range rankColumns(s, p, ranges, name, &notes) {
		if c.head == "rank" {
			t.Left = 2
		}
		t.Head = append(t.Head, c.head)
		for i, target := range shown {
			t.Rows[i] = append(t.Rows[i], c.cell(target))
		}
	}
	t.Notes = slices.Concat(notes.Lines(), rankNotes(s, name, len(names)-len(shown)))
	return t
}

func rankColumns(s *figures.Summary, p figures.Phase, ranges bool, name func(string) string, notes *show.Footnotes) []column {
	var out []column
	if s.Verdict != nil {
		out = append(out, column{"rank", func(target string) string { return rankRange(judged(s.Verdict, target)) }})
	}
	out = append(out, column{"target", name})
	out = append(out, measured(s, p, ranges, notes)...)
	if s.Verdict != nil && len(s.Verdict.Targets) > 1 {
		out = append(out, compared(s.Verdict)...)
	}
	if !s.Running() {
		out = append(out, column{"CPU/answer", func(target string) string { return median(of(p, target).Tier("target").PerReqS, show.Millis) }})
	}
	return out
}

// rankedNames are the targets, the best first; in plan order without a verdict.
func rankedNames(s *figures.Summary) []string {
	var out []string
	if s.Verdict != nil {
		for _, t := range s.Verdict.Targets {
			out = append(out, t.Name)
		}
		return out
	}
	for _, t := range s.Ranked() {
		out = append(out, t.Name)
	}
	return out
}

// measured are the columns of what was measured. Where blocks are missing, the cell says what that means.
func measured(s *figures.Summary, p figures.Phase, ranges bool, notes *show.Footnotes) []column {
	head, unit := "answers/s", show.Number
	spreadOf := func(t figures.PhaseTarget) figures.Spread { return t.Goodput }
	switch {
	case s.Capacity != nil:
		head = "capacity/s"
	case p.Model == "open":
		head, unit = "p99", show.Seconds
		spreadOf = func(t figures.PhaseTarget) figures.Spread { return t.Percentile(99).Spread }
	}
	centre := func(target string) string {
		if s.Verdict != nil {
			return atLeast(s, target) + known(judged(s.Verdict, target).Mean, unit)
		}
		return atLeast(s, target) + median(spreadOf(of(p, target)), unit)
	}
	blocks := func(target string) string {
		n := spreadOf(of(p, target)).N
		cell := fmt.Sprintf("%d of %d", n, s.Run.Blocks)
		if n < s.Run.Blocks && s.Verdict != nil {
			return notes.Mark(cell, missingBlocks(s))
		}
		return cell
	}
	out := []column{{head, centre}}
	if ranges {
		out = append(out, column{"lowest..highest", func(target string) string { return extent(spreadOf(of(p, target)), unit) }})
	}
	return append(out, column{"blocks", blocks})
}

// missingBlocks says how blocks without a value count.
func missingBlocks(s *figures.Summary) string {
	if s.Capacity != nil {
		return "only blocks with a value of both targets of a pair, or a bound of it, count for it"
	}
	return "only blocks with a value of both targets of a pair count for it"
}

// atLeast is before the figure of a target that is only a bound: another tier limited it, or blocks only bound its capacity.
func atLeast(s *figures.Summary, target string) string {
	if s.Capacity != nil {
		i := slices.IndexFunc(s.Capacity.Targets, func(c figures.CapacityTarget) bool { return c.Target == target })
		return boundOf(s.Capacity.Targets[i])
	}
	limited := func(l figures.Limit) bool { return l.Target == target && l.Foreign }
	switch p, _ := s.Primary(); {
	case !slices.ContainsFunc(s.Limits, limited):
		return ""
	case p.Model == "open":
		return "<= "
	}
	return ">= "
}

// compared are the columns of the first target against each other one.
func compared(v *figures.Verdict) []column {
	first := v.Targets[0].Name
	pair := func(target string, cell func(verdict.Comparison) string) string {
		if c, found := v.Pair(first, target); found {
			return cell(c)
		}
		return ""
	}
	return []column{
		{"ratio", func(target string) string {
			return pair(target, func(c verdict.Comparison) string { return ratio(c.Ratio) })
		}},
		{"interval", func(target string) string {
			return pair(target, func(c verdict.Comparison) string { return between(c.Low, c.High, v.Delta) })
		}},
	}
}

// rankNotes say what the columns are, and what has no cell of its own.
func rankNotes(s *figures.Summary, name func(string) string, more int) []string {
	var out []string
	if more > 0 {
		out = append(out, "and "+show.Plural(more, "more target"))
	}
	v := s.Verdict
	if v == nil {
		return out
	}
	out = append(out, withoutBlocks(s)...)
	if n := len(v.Comparisons); n > 0 {
		out = append(out, fmt.Sprintf("ratio: the figure of %s by that of the line; %s", name(v.Targets[0].Name), intervals(v.Result)))
	}
	return out
}

// allNotes are the ties of a verdict, and its warnings.
func allNotes(v *figures.Verdict) []string {
	if v == nil {
		return nil
	}
	var out []string
	for _, group := range v.Groups {
		out = append(out, "a tie, within "+verdict.Margin(v.Delta)+": "+show.List(group))
	}
	for _, w := range v.Warnings {
		out = append(out, "warning: "+w.Text)
	}
	return out
}

// shortNotes are the warnings of a verdict as far as a screen has room for them, of each kind the first; that cells are missing the
// ranking says in its cells.
func shortNotes(v *figures.Verdict) []string {
	if v == nil {
		return nil
	}
	kinds := map[string]int{}
	for _, w := range v.Warnings {
		kinds[w.Code]++
	}
	var out []string
	for _, w := range v.Warnings {
		n := kinds[w.Code]
		if n == 0 || w.Code == verdict.WarnMissingCells {
			continue
		}
		text := "warning: " + show.Clip(w.Text, screenText)
		if n > 1 {
			text += fmt.Sprintf(" (and %d more like it)", n-1)
		}
		out, kinds[w.Code] = append(out, text), 0
	}
	return out
}

// judged is a target in the verdict; of is the same in a phase.
func judged(v *figures.Verdict, name string) verdict.Target {
	i := slices.IndexFunc(v.Targets, func(t verdict.Target) bool { return t.Name == name })
	if i < 0 { // it is in no block
		return verdict.Target{Name: name, Mean: verdict.Number(math.NaN())}
	}
	return v.Targets[i]
}

func of(p figures.Phase, name string) figures.PhaseTarget {
	i := slices.IndexFunc(p.Targets, func(t figures.PhaseTarget) bool { return t.Target == name })
	return p.Targets[i]
}

// known writes a number of a verdict, or that there is none.
func known(n verdict.Number, unit func(float64) string) string {
	if !n.Known() {
		return show.None
	}
	return unit(float64(n))
}

// verdictSection is everything a run may claim, with the figures that decide it.
func verdictSection(s *figures.Summary) []section {
	v := s.Verdict
	if v == nil || len(v.Targets) < 2 {
		return nil
	}
	tables := []show.Table{ranks(s, 0, 0)}
	if words := claims(v, math.MaxInt); len(words.Rows) > 0 {
		tables = append(tables, words)
	}
	out := section{title: "Verdict", tables: append(tables, append([]show.Table{deciding(v)}, spreads(v)...)...)}
	if v.Positions != nil {
		out.paras = []string{"Effect of the " + v.Positions.Words() + "."}
	}
	return []section{out}
}

// deciding are the figures of every pair that decide its claim.
func deciding(v *figures.Verdict) show.Table {
	t := show.Table{
		Left: 2,
		Caption: "What decides. p: of the paired t-test; Holm: the same adjusted over all pairs; equivalent: p of equivalence, adjusted too. These " +
			"decide. The interval is wider than they are: it may hold 1 though a difference is shown, and reach beyond the margin in a tie. " +
			"sign-flip: p of that test for the pair alone, with the smallest that so few blocks can give; it decides nothing. docs/method.md has the rules.",
		Head: []string{"target", "compared with", "ratio", "interval", "blocks", "p", "Holm", "equivalent", "sign-flip"},
	}
	for _, c := range pairs(v, math.MaxInt) {
		t.Rows = append(t.Rows, []string{
			c.A, c.B, ratio(c.Ratio), between(c.Low, c.High, v.Delta), fmt.Sprint(c.Blocks),
			chance(c.P), chance(c.PHolm), chance(c.PEquivalent), chance(c.PSignFlip) + " (" + chance(c.PSignFlipLeast) + ")",
		})
	}
	return t
}

// pairs are the comparisons in the order of the ranking, at most that many, math.MaxInt for all. Where there are more, and else above
// eight targets, they are those of the first.
func pairs(v *figures.Verdict, most int) []verdict.Comparison {
	all := most == math.MaxInt || len(v.Comparisons) <= most && len(v.Targets) <= allPairs
	var out []verdict.Comparison
	for i, a := range v.Targets {
		for _, b := range v.Targets[i+1:] {
			if c, found := v.Pair(a.Name, b.Name); found && (i == 0 || all) {
				out = append(out, c)
			}
		}
	}
	return out[:min(len(out), max(most, 0))]
}

// chance writes a probability with two digits.
func chance(p verdict.Number) string {
	if !p.Known() {
		return show.None
	}
	return strconv.FormatFloat(float64(p), 'g', 2, 64)
}

// claimsIn are the pairs in words that fit into that many lines.
func claimsIn(v *figures.Verdict, columns, lines int) string {
	for room := lines; ; room-- {
		t := claims(v, room)
		if len(t.Rows) == 0 {
			return ""
		}
		if text := "\n" + t.Text(columns) + "\n"; strings.Count(text, "\n") <= lines {
			return text
		}
	}
}

// claims are the pairs in words, as far as there is room for that many rows and what is around them; math.MaxInt: all of them, with
// whole names. Two targets have theirs in the head line.
func claims(v *figures.Verdict, room int) show.Table {
	t := show.Table{Left: 3, Head: []string{"target", "compared with", "it is"}}
	if v == nil || len(v.Targets) < 3 {
		return t
	}
	const around = 3 // lines: an empty one, the head, and the one under it
	name, shown := whole, pairs(v, room)
	if room < math.MaxInt {
		name, shown = short, pairs(v, room-around)
	}
	if len(shown) < len(v.Comparisons) {
		shown = pairs(v, room-around-1)
		t.Notes = []string{"and " + show.Plural(len(v.Comparisons)-len(shown), "more pair")}
	}
	for _, c := range shown {
		t.Rows = append(t.Rows, []string{name(c.A), name(c.B), v.Words(c)})
	}
	return t
}
