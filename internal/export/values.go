package export

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/verdict"
)

// unvalued are the valid trials that have no figure of the primary metric, and no bound of it, and what could not be read.
func unvalued(r *record.Reader, s *figures.Summary) []record.Problem {
	out := r.Problems()
	for _, text := range s.WithoutValue() {
		out = append(out, record.Problem{File: "block values", What: text})
	}
	return out
}

// judged are the figures of a run with the block values of its primary metric. A run without them, and one that is not over, is
// refused. A part of a search, and a run that a person stopped, have values though nothing is claimed of them.
func judged(r *record.Reader) (*figures.Summary, error) {
	s, err := figures.Build(r)
	if err != nil {
		return nil, err
	}
	if s.Verdict == nil && !r.Live() {
		if s.Verdict, err = s.Standing(); err != nil {
			return nil, err
		}
	}
	if s.Verdict == nil {
		return nil, fmt.Errorf("the run has no block values: %s", s.NoVerdict)
	}
	return s, nil
}

// Blocks writes the value of each target in each block as CSV, in the columns that bakeoff verdict reads. A target that is in no block
// is a problem: it was not judged with the others.
func Blocks(_ context.Context, w io.Writer, r *record.Reader) ([]record.Problem, error) {
	s, err := judged(r)
	if err != nil {
		return nil, err
	}
	out := csv.NewWriter(w)
	problems, rows := unvalued(r, s), [][]string{{"block", "target", "value", "bound"}}
	for _, v := range s.BlockValues() {
		if v.Block == 0 {
			problems = append(problems, record.Problem{File: "search before block 1", What: fmt.Sprintf("%s %s %g", v.Target, v.Bound, v.Value)})
			continue
		}
		rows = append(rows, []string{strconv.Itoa(v.Block), cellText(v.Target), exact(v.Value), string(v.Bound)})
	}
	if err := out.WriteAll(rows); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return problems, nil
}

// cellText keeps a spreadsheet from reading a formula out of a name, and bakeoff verdict from refusing it.
func cellText(name string) string {
	name = strings.Map(func(c rune) rune {
		if !strconv.IsPrint(c) {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(name, "?"))
	if name != "" && strings.ContainsRune("=+-@", rune(name[0])) {
		return "'" + name
	}
	return name
}

func exact(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// GoBench writes the block values in the format of Go's benchmarks, which benchstat reads: one line a block. A value
// that is only a bound says so in the name, so that it is not taken together with others.
func GoBench(_ context.Context, w io.Writer, r *record.Reader) ([]record.Problem, error) {
	s, err := judged(r)
	if err != nil {
		return nil, err
	}
	unit, better := "answers/s", "higher"
	switch s.Verdict.Unit {
	case figures.UnitSeconds:
		unit, better = "p99-sec", "lower"
	case figures.UnitRequests:
		unit = "requests/s"
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "run: %s\nUnit %s better=%s\n", plainWord(s.Run.Name), unit, better)
	for _, v := range s.BlockValues() {
		bound := ""
		if v.Bound != "" {
			bound = "/bound=" + dashed(v.Bound)
		}
		fmt.Fprintf(out, "Benchmark/target=%s%s 1 %s %s\n", plainWord(v.Target), bound, exact(v.Value), unit)
	}
	return unvalued(r, s), flushed(out)
}

// dashed is a bound as one word.
func dashed(b verdict.Bound) string { return strings.ReplaceAll(string(b), " ", "-") }

// plainWord is a name without what a format of words and lines gives a meaning to.
func plainWord(name string) string {
	return strings.Map(func(c rune) rune {
		if c > ' ' && c < 0x7f && !strings.ContainsRune(`/="'\`+"`", c) {
			return c
		}
		return '_'
	}, name)
}

func flushed(out *bufio.Writer) error {
	if err := out.Flush(); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// OpenMetrics writes the block values as a text exposition of OpenMetrics 1.0: one gauge, one sample a block and
// target. One that is only a bound has the label bound; block 0 is the search of a target that is in no block.
func OpenMetrics(_ context.Context, w io.Writer, r *record.Reader) ([]record.Problem, error) {
	s, err := judged(r)
	if err != nil {
		return nil, err
	}
	name, help := "bakeoff_answers_per_second", "Correct answers per second of one target in one block."
	switch s.Verdict.Unit {
	case figures.UnitRequests:
		name, help = "bakeoff_capacity_requests_per_second", "Highest rate that meets the plan's objective, of one target in one block."
	case figures.UnitSeconds:
		name, help = "bakeoff_response_p99_seconds", "99th percentile of the response time of one target in one block."
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "# TYPE %s gauge\n# HELP %s %s\n", name, name, help)
	at := s.Run.Ended
	if at.IsZero() {
		at = s.Run.Started
	}
	for _, v := range s.BlockValues() {
		bound := ""
		if v.Bound != "" {
			bound = ",bound=" + labelText(string(v.Bound))
		}
		fmt.Fprintf(out, "%s{plan=%s,target=%s,block=\"%d\",phase=%s%s} %s %d\n", name, labelText(s.Run.Name), labelText(v.Target), v.Block, labelText(s.Verdict.Phase), bound, exact(v.Value), at.Unix())
	}
	fmt.Fprint(out, "# EOF\n")
	return unvalued(r, s), flushed(out)
}

// labelText is the value of a label, quoted.
func labelText(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(text, "?")) + `"`
}

// bencherMeasure is one measure in Bencher's metric format.
type bencherMeasure struct {
	Value float64  `json:"value"`
	Lower *float64 `json:"lower_value,omitempty"`
	Upper *float64 `json:"upper_value,omitempty"`
}

// Bencher writes the geometric mean of each target over its blocks, with the 95 % interval of Student's t, as Bencher's JSON.
// One that is only a bound is another measure, without the end of its interval that is not known.
func Bencher(_ context.Context, w io.Writer, r *record.Reader) ([]record.Problem, error) {
	s, err := judged(r)
	if err != nil {
		return nil, err
	}
	measure := "throughput"
	switch s.Verdict.Unit {
	case figures.UnitRequests:
		measure = "capacity"
	case figures.UnitSeconds:
		measure = "response-time-p99-seconds"
	}
	all, values := s.BlockValues(), map[string][]float64{}
	for _, v := range all {
		values[v.Target] = append(values[v.Target], v.Value)
	}
	out := map[string]map[string]bencherMeasure{}
	for target, of := range values {
		name, bound := measure, figures.MeanBound(all, target)
		if bound != "" {
			name += "-" + dashed(bound)
		}
		out[target] = map[string]bencherMeasure{name: bencherOf(of, bound)}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return unvalued(r, s), nil
}

// bencherOf is the mean of a target.
func bencherOf(values []float64, bound verdict.Bound) bencherMeasure {
	i := verdict.BetweenRuns(values, []float64{1, 1}, 1) // with a constant 1 it is the mean itself
	m := bencherMeasure{Value: float64(i.Ratio)}
	low, high := float64(i.Low), float64(i.High)
	known := !math.IsNaN(low) && !math.IsInf(high, 0)
	if known && (bound == "" || bound == verdict.AtLeast) {
		m.Lower = &low
	}
	if known && (bound == "" || bound == verdict.AtMost) {
		m.Upper = &high
	}
	return m
}
