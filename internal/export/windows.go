package export

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// JSONL writes each window as one JSON object: a Window, with the line of load.jsonl as it was recorded in load.
func JSONL(ctx context.Context, w io.Writer, r *record.Reader) ([]record.Problem, error) {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	problems, err := each(ctx, r, func(w Window) error { return enc.Encode(w) })
	if err != nil {
		return problems, err
	}
	return problems, out.Flush()
}

// CSV writes a table with a header and a row per window. Times of day are RFC 3339, durations nanoseconds. What
// was not measured is an empty cell. Percentiles are those of the window's own samples, however few; one that
// falls among time-outs is a lower bound, and the column over says how many of those there are.
func CSV(ctx context.Context, w io.Writer, r *record.Reader) ([]record.Problem, error) {
	out := csv.NewWriter(w)
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	if err := out.Write(names); err != nil {
		return nil, err
	}
	row := make([]string, len(columns))
	problems, err := each(ctx, r, func(w Window) error {
		for i, c := range columns {
			row[i] = c.cell(w)
		}
		return out.Write(row)
	})
	if err != nil {
		return problems, err
	}
	out.Flush()
	return problems, out.Error()
}

// column is one of the table of windows.
type column struct {
	name string
	cell func(Window) string
}

// columns are all of them, in their order.
var columns = append([]column{
	{"trial", func(w Window) string { return w.Trial }},
	{"block", func(w Window) string { return strconv.Itoa(w.Block) }},
	{"position", func(w Window) string { return strconv.Itoa(w.Position) }},
	{"target", func(w Window) string { return w.Target }},
	{"attempt", func(w Window) string { return strconv.Itoa(w.Attempt) }},
	{"status", func(w Window) string { return w.Status }},
	{"phase", func(w Window) string { return strconv.Itoa(w.Line.Phase) }},
	{"phase_name", func(w Window) string { return w.PhaseName }},
	{"model", func(w Window) string { return w.Model }},
	{"warmup", func(w Window) string { return strconv.FormatBool(w.Warmup) }},
	{"agent", func(w Window) string { return strconv.Itoa(w.Line.Agent) }},
	{"epoch", count(func(l *record.Load) int64 { return l.Epoch })},
	{"sequence", count(func(l *record.Load) int64 { return l.Sequence })},
	{"at", func(w Window) string { return timeOfDay(w.At) }},
	{"begin_ns", count(func(l *record.Load) int64 { return int64(l.Begin) })},
	{"length_ns", count(func(l *record.Load) int64 { return int64(l.Length) })},
	{"aside", func(w Window) string { return strconv.FormatBool(w.Line.Aside) }},
	{"planned", count(func(l *record.Load) int64 { return l.Books.Planned })},
	{"sent", count(func(l *record.Load) int64 { return l.Books.Sent })},
	{"dropped", count(func(l *record.Load) int64 { return l.Books.Dropped })},
	{"ok", count(func(l *record.Load) int64 { return l.Books.OK })},
	{"bad", count(func(l *record.Load) int64 { return l.Books.Bad })},
	{"timeout", count(func(l *record.Load) int64 { return l.Books.Timeout })},
	{"error", count(func(l *record.Load) int64 { return l.Books.Error })},
	{"late", lateness(func(b stats.Books) int64 { return b.Late })},
	{"queued", lateness(func(b stats.Books) int64 { return b.Queued })},
	{"unwritten", count(func(l *record.Load) int64 { return l.Unwritten })},
	{"checked", count(func(l *record.Load) int64 { return l.Checked })},
	{"hits", count(func(l *record.Load) int64 { return l.Hits })},
	{"misses", count(func(l *record.Load) int64 { return l.Misses })},
	{"opened", count(func(l *record.Load) int64 { return l.Opened })},
	{"received_bytes", counted(func(l *record.Load) int64 { return l.Received })},
	{"written_bytes", counted(func(l *record.Load) int64 { return l.Written })},
	{"error_time_s", func(w Window) string { return real(w.Line.ErrorTime) }},
	{"in_flight_s", func(w Window) string {
		if w.Line.InFlight == nil {
			return ""
		}
		return real(*w.Line.InFlight)
	}},
	{"cpu_ns", resource(func(l *record.Load) int64 { return int64(l.CPU) })},
	{"gc_pause_ns", resource(func(l *record.Load) int64 { return int64(l.GCPause) })},
}, distributions()...)

// distributions are the columns of the three histograms.
func distributions() []column {
	var out []column
	for _, d := range []struct {
		name string
		of   func(*record.Load) *stats.Histogram
	}{
		{"response", func(l *record.Load) *stats.Histogram { return l.Response }},
		{"service", func(l *record.Load) *stats.Histogram { return l.Service }},
		{"lateness", func(l *record.Load) *stats.Histogram { return l.Lateness }},
	} {
		add := func(name string, cell func(*stats.Histogram) int64) {
			out = append(out, column{d.name + "_" + name, func(w Window) string {
				if d.of(w.Line) == nil {
					return ""
				}
				return strconv.FormatInt(cell(d.of(w.Line)), 10)
			}})
		}
		add("count", (*stats.Histogram).Count)
		add("over", (*stats.Histogram).Over)
		add("min_ns", func(h *stats.Histogram) int64 { return int64(h.Min()) })
		add("mean_ns", func(h *stats.Histogram) int64 { return int64(h.Mean()) })
		for _, p := range []string{"50", "90", "95", "99"} {
			q, _ := strconv.ParseFloat(p, 64) // one of the line above
			add("p"+p+"_ns", func(h *stats.Histogram) int64 {
				value, _ := h.Quantile(q / 100)
				return int64(value)
			})
		}
		add("max_ns", func(h *stats.Histogram) int64 { return int64(h.Max()) })
	}
	return out
}

func count(of func(*record.Load) int64) func(Window) string {
	return func(w Window) string { return strconv.FormatInt(of(w.Line), 10) }
}

// counted is a count that is 0 only where nobody counted.
func counted(of func(*record.Load) int64) func(Window) string {
	return func(w Window) string {
		if of(w.Line) == 0 {
			return ""
		}
		return strconv.FormatInt(of(w.Line), 10)
	}
}

// lateness is a count that means nothing where lateness was not measured.
func lateness(of func(stats.Books) int64) func(Window) string {
	return func(w Window) string {
		if w.Line.Lateness == nil {
			return ""
		}
		return strconv.FormatInt(of(w.Line.Books), 10)
	}
}

// resource is a figure that means nothing where the agent did not measure itself.
func resource(of func(*record.Load) int64) func(Window) string {
	return func(w Window) string {
		if w.Line.Resources == nil {
			return ""
		}
		return strconv.FormatInt(of(w.Line), 10)
	}
}

func real(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

func timeOfDay(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
