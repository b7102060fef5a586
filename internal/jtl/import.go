package jtl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
)

// Options say where a file is brought.
type Options struct {
	File    string // as it is named in messages and in the record
	Root    string // the folder of runs
	Name    string // of the run, of lower-case letters, digits and -
	Bakeoff string // version of the program
}

// Result is a file that was brought in.
type Result struct {
	Dir     string // the run directory
	Rows    int64
	Targets []string
}

// phaseName is the name of the one phase of such a run.
const phaseName = "imported"

// Import reads a result file and writes a run directory. Nothing is written of a file that is refused.
func Import(r io.Reader, o Options) (Result, error) {
	f, err := newFile(o.File, r)
	if err != nil {
		return Result{}, err
	}
	all := samples{labels: map[string]*label{}}
	for {
		row, err := f.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Result{}, err
		}
		if err := all.add(row); err != nil {
			return Result{}, fmt.Errorf("%s: %w", o.File, err)
		}
	}
	if all.rows == 0 {
		return Result{}, fmt.Errorf("%s has no rows", o.File)
	}
	return all.write(o, f.digest())
}

// samples are the rows of a file, gathered by label and second.
type samples struct {
	labels  map[string]*label // by label
	names   []string          // of targets, in the order of the labels' first rows
	order   []*label
	rows    int64
	seconds int64 // of all labels together
}

// label is what becomes a target.
type label struct {
	name    string
	title   string
	url     string
	threads int
	windows map[int64]*stats.Window // by second since 1970
	first   int64                   // second in which the first request was sent
	last    int64                   // second in which the last one was
	end     int64                   // second in which the last answer came
}

// add books a row: sent in the second it was sent, answered in the second the answer came.
func (s *samples) add(r row) error {
	l := s.labels[r.label]
	if l == nil {
		if len(s.labels) == mostLabels {
			return fmt.Errorf("the file has more than %d labels, and each would be a target; the last one is %s", mostLabels, strconv.Quote(r.label))
		}
		first := r.sent.Unix()
		l = &label{name: s.fresh(r.label), title: r.label, windows: map[int64]*stats.Window{}, first: first, last: first, end: first - 1}
		s.labels[r.label], s.order, s.names = l, append(s.order, l), append(s.names, l.name)
	}
	s.rows++
	sent, end := r.sent.Unix(), r.sent.Add(r.elapsed).Unix()
	s.seconds -= l.seconds()
	l.first, l.last, l.end = min(l.first, sent), max(l.last, sent), max(l.end, end)
	s.seconds += l.seconds()
	if s.seconds > mostSeconds {
		return fmt.Errorf("the labels cover more than %d seconds together, each from its first request to its last answer: import a part of the file", mostSeconds)
	}
	l.threads = max(l.threads, r.threads)
	if l.url == "" {
		l.url = plainURL(r.url)
	}
	w := l.window(sent)
	w.Books.Planned++
	w.Books.Sent++
	w.Written += r.written
	outcome(l.window(end), r)
	return nil
}

// seconds is how many there are from the first request to the last answer.
func (l *label) seconds() int64 { return l.end - l.first + 1 }

// fresh is a name for a label that no other one has.
func (s *samples) fresh(text string) string {
	base := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		case c >= 'A' && c <= 'Z':
			return c - 'A' + 'a'
		}
		return '-'
	}, text)
	for strings.Contains(base, "--") {
		base = strings.ReplaceAll(base, "--", "-")
	}
	base = strings.Trim(base[:min(len(base), 55)], "-")
	if base == "" {
		base = "unnamed"
	}
	name := base
	for n := 2; slices.Contains(s.names, name); n++ {
		name = base + "-" + strconv.Itoa(n)
	}
	return name
}

// plainURL is a URL without what may be secret in it; empty where there is none.
func plainURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func (l *label) window(second int64) *stats.Window {
	w := l.windows[second]
	if w == nil {
		w = emptyWindow()
		l.windows[second] = w
	}
	return w
}

func emptyWindow() *stats.Window {
	return &stats.Window{Length: time.Second, Outcomes: map[string]int64{}, Status: map[int]int64{}, Service: stats.NewHistogram()}
}

// outcome books what became of a request. What JMeter calls a success is right, whatever the status.
func outcome(w *stats.Window, r row) {
	w.Received += r.received
	status, err := strconv.Atoi(r.code)
	whole := err == nil && status >= 100 && status <= 999
	if whole {
		w.Status[status]++
	}
	switch class := classOf(r, whole, status); {
	case r.ok:
		w.Books.OK++
		w.Service.Record(r.elapsed)
	case whole:
		w.Books.Bad++
		w.Outcomes[class]++
		w.Service.Record(r.elapsed)
		if w.BadService == nil {
			w.BadService = stats.NewHistogram()
		}
		w.BadService.Record(r.elapsed)
	case class == "timeout":
		w.Books.Timeout++
		w.Outcomes[class]++
		w.ErrorTime += r.elapsed.Seconds()
		w.Service.RecordOver(r.elapsed)
	default:
		w.Books.Error++
		w.Outcomes[class]++
		w.ErrorTime += r.elapsed.Seconds()
	}
}

// classOf names what went wrong: a status, a failed assertion, or the Java exception.
func classOf(r row, whole bool, status int) string {
	exception := r.code[strings.LastIndexAny(r.code, ". ")+1:]
	switch {
	case whole && status >= 400:
		return "status " + r.code
	case whole:
		return "failed assertion"
	case strings.HasSuffix(exception, "TimeoutException"):
		return "timeout"
	case exception == "":
		return "no status"
	}
	return exception[:min(len(exception), 80)]
}

// write makes the run directory.
func (s *samples) write(o Options, digest string) (Result, error) {
	began, ended := s.order[0].first, s.order[0].end
	for _, l := range s.order {
		began, ended = min(began, l.first), max(ended, l.end)
	}
	head, err := s.head(o, digest, time.Unix(began, 0).UTC(), time.Unix(ended+1, 0).UTC())
	if err != nil {
		return Result{}, err
	}
	text := fmt.Sprintf("# There is no plan: this run was imported from %s (SHA-256 %s).\n", strconv.Quote(o.File), digest)
	w, err := record.Create(o.Root, head, []byte(text), []byte(text), head.Started)
	if err != nil {
		return Result{}, err
	}
	defer w.Close() // after Finish it does nothing
	for i, l := range s.order {
		if err := l.write(w, i+1); err != nil {
			return Result{}, err
		}
	}
	return Result{Dir: w.Dir(), Rows: s.rows, Targets: s.names}, w.Finish(record.Complete, "")
}

// head is the run: what the file says of it, and what it does not.
func (s *samples) head(o Options, digest string, began, ended time.Time) (record.Run, error) {
	type phase struct {
		Name        string `json:"name"`
		Model       string `json:"model"`
		Connections int    `json:"connections"`
	}
	threads, measured := 0, 0.0
	run := record.Run{
		Bakeoff: o.Bakeoff, Name: o.Name, PlanDigest: digest, Started: began, Ended: ended, Platform: record.PlatformImported,
		Wall: ended.Sub(began).Seconds(),
	}
	for i, l := range s.order {
		run.Targets = append(run.Targets, record.TargetInfo{Name: l.name, Kind: record.KindURL, Title: l.title, URL: l.url})
		run.Order = append(run.Order, record.Place{Block: 1, Position: i + 1, Target: l.name})
		threads, measured = max(threads, l.threads), max(measured, l.sending())
	}
	run.Measured = measured
	run.Notes = []string{
		fmt.Sprintf("imported from %s, a result file of JMeter's with %s: one trial per target, which is one of its labels, so nothing is claimed", show.Inert(o.File), show.Plural(int(s.rows), "row")),
		"the file does not say, and the record leaves empty: when requests were intended (no response time, lateness or drops), the machine, its load, and what anybody else counted; nothing of it was judged",
		"right is what the file calls a success; times are whole milliseconds from the send; the model is taken for closed, with as many connections as threads were active",
	}
	plan, err := json.Marshal(map[string]any{
		"name": o.Name, "blocks": 1, "primary": "throughput", "phases": []phase{{phaseName, "closed", threads}},
	})
	run.Plan = plan
	return run, err
}

// sending is for how many seconds requests were sent.
func (l *label) sending() float64 { return float64(l.last - l.first + 1) }

// write writes the trial of a label.
func (l *label) write(w *record.Writer, position int) error {
	t, err := w.BeginTrial(1, position, l.name, 1)
	if err != nil {
		return err
	}
	start := time.Unix(l.first, 0).UTC()
	for i := range l.seconds() {
		window := l.windows[l.first+i]
		if window == nil {
			window = emptyWindow()
		}
		window.Begin = time.Duration(i) * time.Second
		line := record.Load{Epoch: 1, Sequence: i + 1, Phase: 1, At: start.Add(window.Begin), Window: *window}
		if err := t.Load(line); err != nil {
			return err
		}
	}
	phase := record.Phase{
		Number: 1, Name: phaseName, Model: "closed", Engine: "jmeter", Connections: l.threads, DurationS: l.sending(), Started: start,
		Ended: time.Unix(l.end+1, 0).UTC(), Starts: []record.Start{}, Unjudged: true,
		Witness: record.Witness{DatabaseReads: -1, BalancerTotal: -1, Connections: -1},
	}
	return t.Finish(record.Trial{
		Status: record.Valid, Started: start, Ended: phase.Ended, Replicas: []record.Replica{}, Phases: []record.Phase{phase},
		Checks: []record.Check{}, Commands: []string{}, Timeline: []record.Step{},
	})
}
