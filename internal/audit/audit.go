// Package audit computes again what a finished run says. It proves every byte of the record by its seals, judges
// every trial again from its lines, its status with them, and compares each report that the run directory has with one
// made from the record now. Every difference is a finding with its file, and with its line where one can be known.
//
// It refuses a run that is being written. It changes nothing, and it starts and measures nothing.
package audit

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"bakeoff/internal/figures"
	"bakeoff/internal/gate"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// ErrLive is returned for a run that is being written.
var ErrLive = errors.New("the run is in progress: it can be audited when it has ended")

// A Report is a file that a run directory may hold, as it is made from the record now.
type Report struct {
	Name string // in the run directory
	Text []byte
	// Apart is how lines begin that come from outside of the record: one that differs is no finding, but it is named. Empty: there
	// are none.
	Apart string
}

// Result is what was looked at, and what is wrong.
type Result struct {
	Trials   int              `json:"trials"` // finished ones, judged again
	Lines    int64            `json:"lines"`  // of their load.jsonl and series.jsonl
	Reports  []string         `json:"reports"`
	Absent   []string         `json:"absent,omitempty"` // reports that the run directory does not have
	Findings []record.Problem `json:"findings"`
	// NotAudited are lines that come from outside of the record and are not what they would be now.
	NotAudited []record.Problem `json:"not_audited,omitempty"`
}

// Run audits a run, whose reports are made of its figures by render.
func Run(r *record.Reader, render func(*figures.Summary) ([]Report, error)) (Result, error) {
	out := Result{Findings: []record.Problem{}, Reports: []string{}}
	if r.Live() {
		return out, ErrLive
	}
	s, err := figures.Build(r)
	if err != nil {
		return out, err
	}
	out.damage(r)
	for _, state := range r.Trials() {
		if trial, err := state.Trial(); err == nil {
			if err := out.trial(r, state, trial); err != nil {
				return out, err
			}
		}
	}
	out.pilot(r.Run(), s)
	reports, err := render(s)
	if err != nil {
		return out, err
	}
	out.reports(r.Dir(), reports)
	return out, nil
}

func (out *Result) found(file, format string, args ...any) {
	out.Findings = append(out.Findings, record.Problem{File: file, What: fmt.Sprintf(format, args...)})
}

// damage takes over what the reader found, with the lines of framed files that are bad.
func (out *Result) damage(r *record.Reader) {
	lines := map[string][]record.Problem{}
	for _, state := range r.Trials() {
		if state.State == record.Damaged {
			for _, p := range badLines(r.Dir(), state) {
				file, _, _ := strings.Cut(p.File, ":")
				lines[file] = append(lines[file], p)
			}
		}
	}
	for _, p := range r.Problems() {
		if found := lines[p.File]; len(found) > 0 {
			out.Findings = append(out.Findings, found...)
			continue
		}
		out.Findings = append(out.Findings, p)
	}
}

// badLines are the lines of a trial that are not as they were written.
func badLines(dir string, state record.TrialState) []record.Problem {
	var out []record.Problem
	add := func(err error) {
		var bad *record.LineError
		if errors.As(err, &bad) {
			name, relErr := filepath.Rel(dir, bad.File)
			if relErr != nil {
				name = bad.File
			}
			out = append(out, record.Problem{File: fmt.Sprintf("%s:%d", filepath.ToSlash(name), bad.Line), What: bad.What})
		}
	}
	for _, err := range state.Loads() {
		add(err)
	}
	for _, err := range state.Series() {
		add(err)
	}
	return out
}

// trial judges a trial again, and compares the reasons and warnings with the recorded ones.
func (out *Result) trial(r *record.Reader, state record.TrialState, trial record.Trial) error {
	out.Trials++
	for range state.Loads() {
		out.Lines++
	}
	for range state.Series() {
		out.Lines++
	}
	again, err := gate.Replay(trial, state.Loads(), state.Series(), gate.Baseline(r.Run(), trial.Started))
	if err != nil {
		return fmt.Errorf("audit: %s: %w", state.Folder, err)
	}
	file := path.Join("trials", state.Folder, "trial.json")
	at := func(key string) string {
		return fmt.Sprintf("%s:%d", file, lineOf(filepath.Join(r.Dir(), filepath.FromSlash(file)), `  "`+key+`":`))
	}
	if what := misjudged(trial, state.Proved); what != "" {
		out.found(at("status"), "%s", what)
	}
	checked := bodiesOf(state)
	for _, p := range trial.Phases {
		if what := unlike(p, r.Run().SaltOf(trial.Block), checked[p.Number]); what != "" {
			out.found(at("phases"), "%s", what)
		}
	}
	for _, p := range trial.Phases {
		if is, judged := again.Stages[p.Number]; judged && is != p.Stage.Limited {
			out.found(at("phases"), "limited of phase %s is %v, judged again it is %v", p.Name, p.Stage.Limited, is)
		}
	}
	for _, of := range []struct {
		key           string
		recorded, now []record.Reason
	}{{"reasons", trial.Reasons, again.Reasons}, {"warnings", trial.Warnings, again.Warnings}} {
		was, is := decided(of.recorded), decided(of.now)
		if slices.Equal(was, is) {
			continue
		}
		out.found(at(of.key), "%s are %s, judged again they are %s", of.key, listed(was), listed(is))
	}
	return nil
}

// misjudged says how the status of a trial contradicts its own reasons, or the status that its proof gives it; empty: in no way.
func misjudged(trial record.Trial, proved string) string {
	switch {
	case trial.Status != proved:
		return fmt.Sprintf("status is %q, in events.jsonl it is %q", trial.Status, proved)
	case trial.Status == record.Valid && len(trial.Reasons) > 0:
		return fmt.Sprintf("status is %q although there are reasons against it: %s", trial.Status, trial.Reasons[0].Code)
	case trial.Status == record.Invalid && len(trial.Reasons) == 0:
		return fmt.Sprintf("status is %q without any reason", trial.Status)
	}
	return ""
}

// decided are the reasons that follow from the record alone, sorted.
func decided(reasons []record.Reason) []string {
	var out []string
	for _, r := range reasons {
		if gate.Decides(r.Code) {
			out = append(out, r.Code+": "+r.Text)
		}
	}
	slices.Sort(out)
	return out
}

func listed(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, "; ")
}

// lineOf is the number of the first line of a file that begins with a text; 1 where there is none.
func lineOf(path, begin string) int {
	text, err := record.ReadFile(path, mostReport)
	if err != nil {
		return 1
	}
	for i, line := range bytes.Split(text, []byte("\n")) {
		if bytes.HasPrefix(line, []byte(begin)) {
			return i + 1
		}
	}
	return 1
}

// pilot compares what the run took from its pilot with the pilot's trials.
func (out *Result) pilot(run record.Run, s *figures.Summary) {
	if run.Pilot == nil {
		return
	}
	for _, t := range s.Targets {
		was, taken := run.Pilot.Throughput[t.Name]
		if taken && t.Pilot > 0 && math.Abs(was/t.Pilot-1) > 1e-9 {
			out.found("run.json", "the pilot's throughput of %s is %v, from its trial it is %v", t.Name, was, t.Pilot)
		}
		searched, taken := run.Pilot.Capacity[t.Name]
		if again, found := s.SearchAgain(t.Name); taken && found && again != searched {
			out.found("run.json", "the search for the capacity of %s came to %+v, from its stages it is %+v", t.Name, searched, again)
		}
	}
}

// mostReport is by how much a report may be longer than it should be, in bytes, and still be read.
const mostReport = 64 << 20

// reports compares those that the directory has. What cannot be read, or is no file, is not what was written.
func (out *Result) reports(dir string, reports []Report) {
	for _, report := range reports {
		text, err := record.ReadFile(filepath.Join(dir, report.Name), mostReport+int64(len(report.Text)))
		switch {
		case errors.Is(err, os.ErrNotExist):
			out.Absent = append(out.Absent, report.Name)
			continue
		case err != nil:
			out.found(report.Name, "%v", err)
			continue
		}
		out.Reports = append(out.Reports, report.Name)
		out.differs(report, text)
		out.apart(report, text)
	}
}

// apart names the lines from outside of the record that are not as they would be now.
func (out *Result) apart(report Report, text []byte) {
	if report.Apart == "" {
		return
	}
	now := ""
	for line := range strings.SplitSeq(string(report.Text), "\n") {
		if strings.HasPrefix(line, report.Apart) {
			now = line
		}
	}
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, report.Apart) && line != now {
			out.NotAudited = append(out.NotAudited, record.Problem{
				File: fmt.Sprintf("%s:%d", report.Name, i+1), What: fmt.Sprintf("says %s, now it would say %s", around(line, now), around(now, line)),
			})
		}
	}
}

// mostShown bounds the lines of one report that are named.
const mostShown = 10

// differs names the lines in which a report differs from what it should be.
func (out *Result) differs(report Report, text []byte) {
	lines := differing(linesOf(text, report.Apart), linesOf(report.Text, report.Apart))
	for _, l := range lines[:min(len(lines), mostShown)] {
		out.found(fmt.Sprintf("%s:%d", report.Name, l.number), "is %s, computed again it is %s", around(l.is, l.should), around(l.should, l.is))
	}
	if len(lines) > mostShown {
		out.found(report.Name, "%s differ in all", show.Plural(len(lines), "line"))
	}
}

// difference is a line that is not what it should be.
type difference struct {
	number     int
	is, should string
}

// numbered is a line of a text with its number.
type numbered struct {
	number int
	text   string
}

// linesOf are the lines of a text without those that begin with apart.
func linesOf(text []byte, apart string) (out []numbered) {
	for i, line := range strings.Split(string(text), "\n") {
		if apart == "" || !strings.HasPrefix(line, apart) {
			out = append(out, numbered{i + 1, line})
		}
	}
	return out
}

func differing(has, want []numbered) (out []difference) {
	for i := range max(len(has), len(want)) {
		a, b := lineAt(has, i), lineAt(want, i)
		if a.text != b.text || i >= len(has) || i >= len(want) {
			out = append(out, difference{a.number, a.text, b.text})
		}
	}
	return out
}

// lineAt is a line; behind the last one it is an empty one.
func lineAt(lines []numbered, i int) numbered {
	switch {
	case i < len(lines):
		return lines[i]
	case len(lines) == 0:
		return numbered{number: i + 1}
	}
	return numbered{number: lines[len(lines)-1].number + 1 + i - len(lines)}
}

// around is what is different of a line, quoted, with a little of what is before it.
func around(a, b string) string {
	const context, most = 20, 60
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	from := max(0, same-context)
	text := a[from:min(len(a), from+context+most)]
	if from > 0 {
		text = "..." + text
	}
	return fmt.Sprintf("%q", strings.ToValidUTF8(text, "?"))
}
