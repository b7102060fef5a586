package report

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// mostComment is the most bytes of the Markdown of two versions: a comment holds 65,536 characters.
const mostComment = 60_000

// ABMark is the first line of the Markdown of two versions. No reader sees it; a program finds its comment by it.
const ABMark = "<!-- bakeoff ab -->"

// WriteABMarkdown writes what a run says of two versions of one target, as GitHub Markdown for a comment or the summary of a
// job: fewer than 60,000 bytes. What does not fit is left out from the end, and said to be.
func WriteABMarkdown(w io.Writer, s *figures.Summary) error {
	var b strings.Builder
	b.WriteString(ABMark + "\n### " + show.EscapeMarkdown(s.AB.Line) + "\n")
	for _, note := range abNotes(s) {
		b.WriteString("\n* " + show.EscapeMarkdown(note))
	}
	b.WriteString("\n\n" + abTable(s).Markdown() + "\n\n" + show.EscapeMarkdown(abRests(s)) + "\n")
	if len(s.Thresholds) > 0 {
		b.WriteString("\nThresholds of the plan:\n\n" + thresholds(s).Markdown() + "\n")
	}
	for _, part := range abDetails(s) {
		text := "\n<details><summary>" + show.EscapeMarkdown(part.title) + "</summary>\n\n" + part.table.Markdown() + "\n\n</details>\n"
		if b.Len()+len(text) > mostComment-100 {
			b.WriteString("\nThe rest is too long for a comment: it is in the run's own report.\n")
			break
		}
		b.WriteString(text)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("report: write Markdown: %w", err)
	}
	return nil
}

// abNotes are what must be known before any figure.
func abNotes(s *figures.Summary) []string {
	var out []string
	if s.AB.Same {
		out = append(out, "base and head are the same recipe, byte for byte")
	}
	for _, of := range []struct {
		name string
		record.Revision
	}{{record.Base, s.AB.Base}, {record.Head, s.AB.Head}} {
		switch {
		case of.Dirty && of.Tree:
			out = append(out, of.name+" has changes that are in no commit; they were measured")
		case of.Dirty:
			out = append(out, of.name+" is the commit; the working tree has changes that were not measured")
		}
	}
	return append(out, bounded(s.Caveats)...)
}

// abTable has a column for each version.
func abTable(s *figures.Summary) show.Table {
	t := show.Table{Left: 1, Head: []string{"", record.Base, record.Head}}
	line := func(name string, cell func(target string) string) {
		t.Rows = append(t.Rows, []string{name, cell(record.Base), cell(record.Head)})
	}
	line("version", func(target string) string { return revision(revisionOf(s, target)) })
	p, found := s.Primary()
	if !found {
		return t
	}
	var notes show.Footnotes
	for _, c := range measured(s, p, true, &notes) {
		line(c.head, c.cell)
	}
	if !s.Running() {
		line("CPU/answer", func(target string) string { return median(of(p, target).Tier("target").PerReqS, show.Millis) })
	}
	t.Notes = notes.Lines()
	return t
}

func revisionOf(s *figures.Summary, target string) record.Revision {
	if target == record.Base {
		return s.AB.Base
	}
	return s.AB.Head
}

// revision is a version in a few words: "main (1a2b3c4d5e6f)", "./app (1a2b3c4d5e6f, changed)".
func revision(r record.Revision) string {
	var inside []string
	if r.Commit != "" && !strings.HasPrefix(r.Commit, r.Given) {
		inside = append(inside, show.Cut(r.Commit, 12))
	}
	if r.Dirty && r.Tree {
		inside = append(inside, "changed")
	}
	given := show.Clip(r.Given, 60)
	if strings.HasPrefix(r.Commit, r.Given) {
		given = show.Cut(r.Given, 12)
	}
	if len(inside) == 0 {
		return given
	}
	return given + " (" + strings.Join(inside, ", ") + ")"
}

// abRests says what the figures rest on.
func abRests(s *figures.Summary) string {
	var parts []string
	if m := metric(s); m != "" {
		parts = append(parts, "Compared are "+m+".")
	}
	if c := s.AB.Comparison; c != nil && c.Ratio.Known() {
		parts = append(parts, fmt.Sprintf("head/base is %s, 95 %% interval %s, from %s; differences up to %s do not matter.",
			ratio(c.Ratio), between(c.Low, c.High, s.Verdict.Delta), show.Plural(c.Blocks, "block"), verdict.Margin(s.Verdict.Delta)))
	}
	if of := baseOf(s.Verdict); of != "" {
		parts = append(parts, upper(of)+".")
	}
	parts = append(parts, fmt.Sprintf("%s, %s%s, %s. It says nothing of other machines and days.",
		s.BlocksInWords(), where(s), server(s), s.Run.Started.UTC().Format("2006-01-02")))
	return strings.Join(parts, " ")
}

// detail is a table that is folded away.
type detail struct {
	title string
	table show.Table
}

// abDetails are every block, what differs between the versions, and the trials that were refused.
func abDetails(s *figures.Summary) []detail {
	limited := outcome(s, figures.Others{})
	limited.Head = []string{"", "Trials and what limited them"}
	out := []detail{{limited.Head[1], limited}}
	if t := blockTable(s); len(t.Rows) > 0 {
		out = append(out, detail{"Figures of every block", t})
	}
	if t := changed(s); len(t.Rows) > 0 {
		out = append(out, detail{"Packages and settings that differ", t})
	}
	if len(s.Unusable) > 0 {
		t := show.Table{Left: 4, Head: []string{"block", "target", "attempt", "why it was refused"}}
		for _, u := range s.Unusable {
			t.Rows = append(t.Rows, []string{strconv.Itoa(u.Block), u.Target, strconv.Itoa(u.Attempt), reasons(u)})
		}
		out = append(out, detail{"Trials that do not count", t})
	}
	return out
}

func reasons(u figures.Unusable) string {
	var out []string
	for _, r := range u.Reasons {
		r.Text = show.Clip(r.Text, screenText)
		out = append(out, r.Words())
	}
	return cmp.Or(strings.Join(out, "; "), u.Status)
}

// blockTable has a line for each block.
func blockTable(s *figures.Summary) show.Table {
	t := show.Table{Head: []string{"block", record.Base, record.Head, "head/base"}}
	if s.Verdict == nil {
		return t
	}
	unit := show.Number
	if s.Verdict.Unit == figures.UnitSeconds {
		unit = show.Seconds
	}
	values := map[string]map[int]float64{record.Base: {}, record.Head: {}}
	for _, v := range s.Verdict.Values {
		values[v.Target][v.Block] = v.Value
	}
	cell := func(v float64) string {
		if v == 0 {
			return show.None
		}
		return unit(v)
	}
	for block := 1; block <= s.Run.Blocks; block++ {
		base, head := values[record.Base][block], values[record.Head][block]
		quotient := show.None
		if base > 0 && head > 0 {
			quotient = ratioOf(head / base)
		}
		t.Rows = append(t.Rows, []string{strconv.Itoa(block), cell(base), cell(head), quotient})
	}
	return t
}

// changed are the packages and settings in which both versions differ.
func changed(s *figures.Summary) show.Table {
	t := show.Table{Left: 3, Head: []string{"", record.Base, record.Head}}
	if len(s.Targets) != 2 {
		return t
	}
	base, head := described(s.Targets[0]), described(s.Targets[1])
	if s.Targets[0].Name == record.Head {
		base, head = head, base
	}
	names := map[string]bool{}
	for name := range base {
		names[name] = true
	}
	for name := range head {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if base[name] != head[name] {
			t.Rows = append(t.Rows, []string{name, cmp.Or(base[name], show.None), cmp.Or(head[name], show.None)})
		}
	}
	return t
}

// add adds a test to a suite that has its first one.
func (s *junitSuite) add(c junitCase) {
	s.Cases = append(s.Cases, c)
	s.Tests++
	if c.Failure != nil {
		s.Failures++
	}
	if c.Skipped != nil {
		s.Skipped++
	}
}

// thresholdCase is the test of a threshold; undecided it is skipped, and with strict it fails.
func thresholdCase(o figures.Threshold, strict bool) junitCase {
	text := show.Inert(strings.Join(slices.DeleteFunc([]string{"it is " + figureOf(o), intervalOf(o), outcomeInWords(o), o.Why}, func(s string) bool { return s == "" }), ", "))
	c := junitCase{Class: "bakeoff.thresholds", Name: show.Inert(o.Text + " (" + o.Target + ")"), Time: "0", Out: text}
	switch {
	case o.Outcome == figures.Missed, o.Outcome == figures.Undecided && strict:
		c.Failure = &junitFailure{text, o.Outcome, ""}
	case o.Outcome == figures.Undecided:
		c.Skipped = &junitSkipped{text}
	}
	return c
}

// described are the versions of a target's packages and its settings, by name.
func described(t figures.Target) map[string]string {
	out := maps.Clone(t.Versions)
	if out == nil {
		out = map[string]string{}
	}
	for _, s := range t.Settings {
		out["setting "+s.Name] = s.Value
	}
	return out
}

// junit is a test report as many programs read it.
type junit struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Timestamp string      `xml:"timestamp,attr"`
	Time      string      `xml:"time,attr"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure,omitempty"`
	Error   *junitFailure `xml:"error,omitempty"`
	Skipped *junitSkipped `xml:"skipped,omitempty"`
	Out     string        `xml:"system-out"`
}

type junitSkipped struct {
	Message string `xml:"message,attr"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// WriteABJUnit writes what a run says of two versions as a JUnit report of one test, and one more for each threshold of the plan.
// It fails when head is worse or a threshold is missed, and with strict when nothing is shown. Too few valid trials are an error,
// and so is what ended the run before its end, whatever its blocks say; aborted is nil where nothing did.
func WriteABJUnit(w io.Writer, s *figures.Summary, strict bool, aborted error) error {
	line := show.Inert(s.AB.Line)
	seconds := strconv.FormatFloat(math.Round(s.Time.WallS*1000)/1000, 'f', -1, 64)
	one := junitCase{Class: "bakeoff.ab", Name: s.Run.Primary + ": head compared with base", Time: seconds, Out: line + "\n" + show.Inert(abRests(s))}
	suite := junitSuite{Name: "bakeoff ab", Tests: 1, Timestamp: s.Run.Started.UTC().Format("2006-01-02T15:04:05"), Time: seconds}
	switch claim := s.AB.Claim(); {
	case aborted != nil:
		one.Error = &junitFailure{show.Inert("the run was aborted: " + aborted.Error()), "aborted", line}
		suite.Errors = 1
	case claim == "":
		one.Error = &junitFailure{line, "too-few-valid-trials", show.Inert(abRests(s))}
		suite.Errors = 1
	case claim == verdict.Worse, claim == verdict.Inconclusive && strict:
		one.Failure = &junitFailure{line, string(claim), show.Inert(abRests(s))}
		suite.Failures = 1
	}
	suite.Cases = []junitCase{one}
	for _, o := range s.Thresholds {
		suite.add(thresholdCase(o, strict))
	}
	text, err := xml.MarshalIndent(junit{Suites: []junitSuite{suite}}, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	}
	if err != nil {
		return fmt.Errorf("report: write JUnit: %w", err)
	}
	return nil
}
