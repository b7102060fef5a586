package export

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// JTL writes the requests of every measured phase that counts as a result file of JMeter's: CSV with its default columns,
// one row each. The record has distributions and no single requests, so the rows are made of them: as many as there were of
// each outcome in each window, with the times of that window's distribution in a random order (from a fixed seed), spread
// evenly over it. Times are the response time, in the closed model the service time, in whole milliseconds as JMeter has them.
func JTL(ctx context.Context, w io.Writer, r *record.Reader) ([]record.Problem, error) {
	s, err := figures.Build(r)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriter(w)
	j := &jtlWriter{out: csv.NewWriter(out), random: rand.New(rand.NewPCG(1, 2)), problems: r.Problems()}
	if err := j.out.Write(jtlColumns()); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	for _, state := range r.Trials() {
		if ctx.Err() != nil {
			return j.problems, context.Cause(ctx)
		}
		if err := j.trial(s, state); err != nil {
			return j.problems, fmt.Errorf("export: %w", err)
		}
	}
	j.out.Flush()
	if err := j.out.Error(); err != nil {
		return j.problems, fmt.Errorf("export: %w", err)
	}
	return j.problems, flushed(out)
}

// jtlColumns are those that JMeter writes by default.
func jtlColumns() []string {
	return []string{
		"timeStamp", "elapsed", "label", "responseCode", "responseMessage", "threadName", "dataType", "success", "failureMessage",
		"bytes", "sentBytes", "grpThreads", "allThreads", "URL", "Latency", "IdleTime", "Connect",
	}
}

// jtlWriter writes rows.
type jtlWriter struct {
	out      *csv.Writer
	random   *rand.Rand
	problems []record.Problem
}

// pending are windows of one agent in one phase whose answers wait for their times: in turns the distribution of several
// slices is in one window.
type pending struct {
	label   string
	thread  string
	phase   record.Phase
	windows []Window
	sum     stats.Totals
}

// trial writes the rows of a trial that counts.
func (j *jtlWriter) trial(s *figures.Summary, state record.TrialState) error {
	raw, err := state.Trial()
	if err != nil {
		return nil // its damage is among the problems
	}
	phases := map[int]record.Phase{}
	for _, p := range raw.Phases {
		phases[p.Number] = p
	}
	type key struct{ phase, agent int }
	waiting := map[key]*pending{}
	var failed error
	windowsOf(state, func(w Window, err error) bool {
		if err != nil {
			j.problems = append(j.problems, unread(state.Folder, err))
			return true
		}
		if !counts(s, w) || w.At.IsZero() {
			return true
		}
		k := key{w.Line.Phase, w.Line.Agent}
		if waiting[k] == nil {
			waiting[k] = &pending{label: w.Target + " " + w.PhaseName, thread: fmt.Sprintf("%s agent %d", w.Trial, w.Line.Agent), phase: phases[w.Line.Phase]}
		}
		failed = j.add(waiting[k], w)
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	for _, k := range slices.SortedFunc(maps.Keys(waiting), func(a, b key) int { return cmp.Or(a.phase-b.phase, a.agent-b.agent) }) {
		p := waiting[k]
		if times := timesOf(p.sum, p.phase.Model); times.Count()-times.Over() != p.sum.Books.Answered() {
			j.problems = append(j.problems, record.Problem{
				File: path.Join("trials", state.Folder, "load.jsonl"),
				What: fmt.Sprintf("of %d answers of agent %d in phase %s the times are not recorded", p.sum.Books.Answered()-times.Count()+times.Over(), k.agent, p.phase.Name),
			})
		}
		if err := j.write(p); err != nil {
			return err
		}
	}
	return nil
}

// timesOf is the distribution that a phase is described by.
func timesOf(t stats.Totals, model string) *stats.Histogram {
	if model == "closed" || t.Response == nil {
		return t.Service
	}
	return t.Response
}

// add adds a window, and writes what waits once every answer in it has its time.
func (j *jtlWriter) add(p *pending, w Window) error {
	p.windows = append(p.windows, w)
	p.sum.Add(w.Line.Window)
	if times := timesOf(p.sum, p.phase.Model); times.Count()-times.Over() != p.sum.Books.Answered() {
		return nil
	}
	err := j.write(p)
	p.windows, p.sum = nil, stats.Totals{}
	return err
}

// notStarted is JMeter's class of requests that were never sent; no row is of those.
const notStarted = "not started"

// isWrong reports whether a class is one of whole answers of the right status whose content is wrong. Classes of errors are no
// such closed set: with JMeter they are names of Java exceptions.
func isWrong(class string) bool {
	return strings.HasPrefix(class, "wrong ") || slices.Contains([]string{"not json", "failed assertion", "unknown request"}, class)
}

// outcomes are what is left of the times and classes of answers and failures.
type outcomes struct {
	ok, bad     []time.Duration
	codes       []string // of right answers
	wrong, gone []string // classes of bad answers and of errors
}

// write writes the rows of all windows that wait.
func (j *jtlWriter) write(p *pending) error {
	b := p.sum.Books
	rows := b.Answered() + b.Timeout + b.Error
	if rows == 0 {
		return nil
	}
	o := j.outcomes(p)
	lost := 0.0 // mean time until an error
	if b.Error > 0 {
		lost = max(0, p.sum.ErrorTime-float64(b.Timeout)*p.phase.TimeoutS) / float64(b.Error)
	}
	fixed := rowOf{label: p.label, thread: p.thread, threads: p.phase.Connections, received: p.sum.Received / rows, written: p.sum.Written / rows}
	for _, w := range p.windows {
		books := w.Line.Books
		n, all := 0, float64(books.Answered()+books.Timeout+books.Error)
		next := func() rowOf {
			n++
			r := fixed
			r.ended = w.At.Add(time.Duration((float64(n) - 0.5) / all * float64(w.Line.Length)))
			return r
		}
		var these []rowOf
		for range min(books.OK, int64(len(o.ok))) {
			these = append(these, next().right(take(&o.ok, 0), take(&o.codes, "200")))
		}
		for range min(books.Bad, int64(len(o.bad))) {
			these = append(these, next().wrong(take(&o.bad, 0), take(&o.wrong, "bad")))
		}
		for range books.Timeout {
			these = append(these, next().failed(time.Duration(p.phase.TimeoutS*float64(time.Second)), "timeout"))
		}
		for range books.Error {
			these = append(these, next().failed(time.Duration(lost*float64(time.Second)), take(&o.gone, "error")))
		}
		for _, r := range these {
			if err := j.out.Write(r.fields()); err != nil {
				return err
			}
		}
	}
	return nil
}

// take takes the last one of a list, or what is given where there is none left.
func take[T any](from *[]T, otherwise T) T {
	n := len(*from)
	if n == 0 {
		return otherwise
	}
	out := (*from)[n-1]
	*from = (*from)[:n-1]
	return out
}

// outcomes takes the sum of windows apart: times in a random order, classes as they come.
func (j *jtlWriter) outcomes(p *pending) outcomes {
	t := p.sum
	times, ok, bad := timesOf(t, p.phase.Model), t.OKService(), t.BadService
	if times == t.Response {
		ok, bad = t.OKResponse(), t.BadResponse
	}
	var o outcomes
	if ok != nil {
		o.ok, o.bad = j.shuffled(ok), j.shuffled(bad)
	} else { // of earlier versions: nothing says which times are those of bad answers
		all := j.shuffled(times)
		right := min(int64(len(all)), t.Books.OK)
		o.ok, o.bad = all[:right], all[right:]
	}
	status, statuses := map[int]int64{}, []string{}
	maps.Copy(status, t.Status)
	for _, class := range sorted(t.Outcomes) {
		n := t.Outcomes[class]
		code, isStatus := strings.CutPrefix(class, "status ")
		switch {
		case isStatus:
			number, _ := strconv.Atoi(code) // 0 is no status
			status[number] -= n
			statuses = append(statuses, slices.Repeat([]string{class}, int(n))...)
		case isWrong(class):
			o.wrong = append(o.wrong, slices.Repeat([]string{class}, int(n))...)
		case class != "timeout" && class != notStarted:
			o.gone = append(o.gone, slices.Repeat([]string{class}, int(n))...)
		}
	}
	o.wrong = append(o.wrong, statuses...) // they are sure to be of answers, and are taken first
	for _, number := range sorted(status) {
		if n := min(status[number], t.Books.OK); n > 0 {
			o.codes = append(o.codes, slices.Repeat([]string{strconv.Itoa(number)}, int(n))...)
		}
	}
	return o
}

// shuffled are the samples of a histogram, those that are only known to exceed a bound left out.
func (j *jtlWriter) shuffled(h *stats.Histogram) []time.Duration {
	var out []time.Duration
	for d, n := range h.Each {
		out = append(out, slices.Repeat([]time.Duration{d}, int(n))...)
	}
	j.random.Shuffle(len(out), func(a, b int) { out[a], out[b] = out[b], out[a] })
	return out
}

// rowOf is one row.
type rowOf struct {
	ended             time.Time
	elapsed           time.Duration
	label, thread     string
	code, message     string
	failure           string
	success           bool
	received, written int64
	threads           int
}

func (r rowOf) right(elapsed time.Duration, code string) rowOf {
	r.elapsed, r.code, r.success = elapsed, code, true
	number, _ := strconv.Atoi(code) // 0 has no text
	r.message = http.StatusText(number)
	return r
}

// wrong is an answer that is not as it should be: of another status, or of another content.
func (r rowOf) wrong(elapsed time.Duration, class string) rowOf {
	if code, ok := strings.CutPrefix(class, "status "); ok {
		r = r.right(elapsed, code)
	} else {
		r = r.right(elapsed, "200")
		r.failure = class
	}
	r.success = false
	return r
}

// failed is a request without a whole answer, as JMeter writes it.
func (r rowOf) failed(elapsed time.Duration, class string) rowOf {
	r.elapsed, r.code, r.message = elapsed, "Non HTTP response code: "+class, "Non HTTP response message: "+class
	return r
}

func (r rowOf) fields() []string {
	elapsed := r.elapsed.Round(time.Millisecond)
	threads := strconv.Itoa(r.threads)
	return []string{
		strconv.FormatInt(r.ended.Add(-elapsed).UnixMilli(), 10), strconv.FormatInt(elapsed.Milliseconds(), 10), r.label, r.code, r.message, r.thread,
		"text", strconv.FormatBool(r.success), r.failure, strconv.FormatInt(r.received, 10), strconv.FormatInt(r.written, 10), threads, threads,
		"", "0", "0", "0",
	}
}
