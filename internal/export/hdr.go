package export

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// HLog writes the times of every window as an HdrHistogram log in nanoseconds. Its tag names the trial, the phase, and
// "response" (from the intended time) or "service" (from the send). Time-outs and drops are at their bound. A
// window whose time of day is not recorded cannot be in such a log: it is left out, and counted as a problem.
func HLog(ctx context.Context, w io.Writer, r *record.Reader) ([]record.Problem, error) {
	out := bufio.NewWriter(w)
	log := hdrhistogram.NewHistogramLogWriter(out)
	began := r.Run().Started.UnixMilli()
	if err := errors.Join(log.OutputComment("[Logged by bakeoff; nanoseconds; time-outs and drops with their bound; errors left out]"),
		log.OutputLogFormatVersion(), log.OutputStartTime(began), log.OutputLegend()); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	timeless := 0
	problems, err := each(ctx, r, func(window Window) error {
		if window.At.IsZero() {
			timeless++
			return nil
		}
		return logWindow(log, window)
	})
	if err != nil {
		return problems, err
	}
	if timeless > 0 {
		problems = append(problems, record.Problem{File: "trials", What: fmt.Sprintf("windows whose time of day is not recorded: %d", timeless)})
	}
	return problems, flushed(out)
}

// logWindow writes the two times of a window, response first.
func logWindow(log *hdrhistogram.HistogramLogWriter, window Window) error {
	for _, times := range []struct {
		tag string
		of  *stats.Histogram
	}{{"response", window.Line.Response}, {"service", window.Line.Service}} {
		if times.of == nil || times.of.Count() == 0 {
			continue
		}
		dense := times.of.HDR()
		dense.SetTag(plainWord(window.Trial + ":" + window.PhaseName + ":" + times.tag))
		dense.SetStartTimeMs(window.At.UnixMilli())
		dense.SetEndTimeMs(window.At.Add(window.Line.Length).UnixMilli())
		if err := log.OutputIntervalHistogram(dense); err != nil {
			return err
		}
	}
	return nil
}

// HGRM writes the distribution of each target in each measured phase over all blocks that count, as HdrHistogram's percentile
// table in milliseconds: the response time, in the closed model and of a generator that knows no response time the service time. A
// line that begins with # names it; "service time" is said in it where an open phase has no other, and is a problem.
func HGRM(ctx context.Context, w io.Writer, r *record.Reader) ([]record.Problem, error) {
	s, err := figures.Build(r)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriter(w)
	pooled, service := map[[2]string]*stats.Histogram{}, map[string]bool{}
	problems, err := each(ctx, r, func(window Window) error {
		if !counts(s, window) {
			return nil
		}
		h := window.Line.Response
		if window.Model == "closed" {
			h = window.Line.Service
		} else if h == nil {
			h = window.Line.Service
			service[window.PhaseName] = true
		}
		key := [2]string{window.Target, window.PhaseName}
		if pooled[key] == nil {
			pooled[key] = stats.NewHistogram()
		}
		if h != nil {
			pooled[key].Merge(h)
		}
		return nil
	})
	if err != nil {
		return problems, err
	}
	for _, p := range s.Phases {
		of := plainWord(p.Name)
		if service[p.Name] {
			of += " service time"
			problems = append(problems, record.Problem{File: "trials", What: fmt.Sprintf("phase %s has no response times: service times are written", p.Name)})
		}
		for _, t := range s.Targets {
			if h := pooled[[2]string{t.Name, p.Name}]; h != nil && h.Count() > 0 {
				fmt.Fprintf(out, "# %s %s\n", plainWord(t.Name), of)
				if _, err := h.HDR().PercentilesPrint(out, 5, float64(time.Millisecond)); err != nil {
					return nil, fmt.Errorf("export: %w", err)
				}
			}
		}
	}
	return problems, flushed(out)
}

// counts reports whether a window is of a measured phase of a trial that counts.
func counts(s *figures.Summary, w Window) bool {
	if w.Warmup || w.Block == 0 {
		return false
	}
	for _, t := range s.Trials {
		if t.Block == w.Block && t.Target == w.Target && t.Attempt == w.Attempt {
			return t.Used
		}
	}
	return false
}
