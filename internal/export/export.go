// Package export writes a recorded run in the formats of others. It reads run directories and nothing
// else: what it writes was recorded before, so nothing that is measured depends on it. It refuses no run for
// what is damaged in it: whatever cannot be read is left out and given as a problem.
package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"path/filepath"
	"time"

	"bakeoff/internal/record"
)

// A Format is a way to write a whole run into one stream.
type Format struct {
	Name  string // as on the command line, such as "csv"
	Short string // what it is, in one line
	// Write writes the run. What of it could not be read is in the problems, and the rest is written.
	Write func(ctx context.Context, w io.Writer, r *record.Reader) ([]record.Problem, error)
}

// Formats are those that need nothing but the run, in the order of the help.
func Formats() []Format {
	return []Format{
		{Name: "csv", Short: "every agent's windows as a table: counts, and percentiles of each window", Write: CSV},
		{Name: "jsonl", Short: "every agent's windows as they were recorded, with their trial: one JSON object a line", Write: JSONL},
		{Name: "blocks", Short: "the value of each target in each block, as CSV that bakeoff verdict reads", Write: Blocks},
		{Name: "gobench", Short: "the value of each target in each block, as lines of Go benchmarks that benchstat reads", Write: GoBench},
		{Name: "openmetrics", Short: "the value of each target in each block, as gauges in the text format of OpenMetrics", Write: OpenMetrics},
		{Name: "bencher", Short: "each target's mean with lower and upper value, as JSON of Bencher", Write: Bencher},
		{Name: "hlog", Short: "the times of every window as an HdrHistogram log", Write: HLog},
		{Name: "jtl", Short: "the requests of the measured phases as a result file of JMeter's, from which it makes its HTML report", Write: JTL},
		{Name: "hgrm", Short: "the distribution of each target and phase as HdrHistogram's percentile tables", Write: HGRM},
	}
}

// A Window is one agent's window with where it belongs.
type Window struct {
	Trial     string       `json:"trial"` // folder inside trials/
	Block     int          `json:"block"` // 0 is the pilot
	Position  int          `json:"position"`
	Target    string       `json:"target"`
	Attempt   int          `json:"attempt"`
	Status    string       `json:"status"` // valid, invalid, aborted, unfinished, damaged
	PhaseName string       `json:"phase_name,omitempty"`
	Model     string       `json:"model,omitempty"`
	Warmup    bool         `json:"warmup,omitempty"`
	At        time.Time    `json:"at,omitzero"` // of its start; zero where the record does not say
	Line      *record.Load `json:"load"`
}

// Windows yields every window of a run: warm-up, pilot, and trials that are refused, unfinished or damaged
// among them. A line that cannot be read comes as an error, and the rest follows.
func Windows(r *record.Reader) iter.Seq2[Window, error] {
	return func(yield func(Window, error) bool) {
		for _, state := range r.Trials() {
			if !windowsOf(state, yield) {
				return
			}
		}
	}
}

// windowsOf yields those of one trial; it returns false when there shall be no more.
func windowsOf(state record.TrialState, yield func(Window, error) bool) bool {
	head := Window{
		Trial: state.Folder, Block: state.Block, Position: state.Position, Target: state.Target, Attempt: state.Attempt, Status: state.State,
	}
	phases := map[int]record.Phase{}
	if trial, err := state.Trial(); err == nil {
		head.Status = trial.Status
		for _, p := range trial.Phases {
			phases[p.Number] = p
		}
	}
	for line, err := range state.Loads() {
		w := head
		if err == nil {
			p := phases[line.Phase]
			w.PhaseName, w.Model, w.Warmup, w.Line = p.Name, p.Model, p.Warmup, &line
			w.At = begunAt(line, p)
		}
		if !yield(w, err) {
			return false
		}
	}
	return true
}

// begunAt is when a window began: as its line says, or, where that is of before lines said it, by the start of
// its phase. Targets in turns had the phase's time stand still, and nothing else says when.
func begunAt(line record.Load, p record.Phase) time.Time {
	if !line.At.IsZero() {
		return line.At
	}
	if p.Started.IsZero() || p.Turns != nil {
		return time.Time{}
	}
	return p.Started.Add(line.Begin)
}

// each calls write for every window and gathers what could not be read.
func each(ctx context.Context, r *record.Reader, write func(Window) error) ([]record.Problem, error) {
	problems := r.Problems()
	for w, err := range Windows(r) {
		if ctx.Err() != nil {
			return problems, context.Cause(ctx)
		}
		if err != nil {
			problems = append(problems, unread(w.Trial, err))
			continue
		}
		if err := write(w); err != nil {
			return problems, fmt.Errorf("export: %w", err)
		}
	}
	return problems, nil
}

// unread says which line of a trial, or which file, could not be read.
func unread(trial string, err error) record.Problem {
	var line *record.LineError
	if !errors.As(err, &line) {
		return record.Problem{File: path.Join("trials", trial), What: err.Error()}
	}
	file := path.Join("trials", trial, filepath.Base(line.File))
	return record.Problem{File: fmt.Sprintf("%s:%d", file, line.Line), What: line.What}
}
