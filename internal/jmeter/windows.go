package jmeter

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/stats"
)

// holdBack is how long a second stays open for rows that come late: servers send them in batches.
const holdBack = 3

// agent makes windows of one server's rows.
type agent struct {
	index   int
	of      int
	phase   load.Phase
	asked   Asked
	foreign bool // the test plan is not ours: its own assertions judge
	emit    func(stats.Window)
	began   time.Time // its first request; zero: none yet
	last    time.Time // when a row came last
	rows    int64
	open    map[int]*stats.Window // by second
	next    int                   // the second to be emitted
	emitted int64
	sums    stats.Totals
}

func newAgent(k, of int, p load.Phase, w Asked, emit func(stats.Window)) *agent {
	_, foreign := w.(unknown)
	return &agent{index: k, of: of, phase: p, asked: w, foreign: foreign, emit: emit, open: map[int]*stats.Window{}, sums: stats.Totals{Sending: p.Duration}}
}

// add books a row: sent in the second it was sent, answered in the second the answer came.
func (a *agent) add(r row) {
	if a.rows == 0 {
		a.began = r.at
	}
	a.rows++
	sent, end := a.second(r.at), a.second(r.at.Add(r.elapsed))
	w := a.window(sent)
	w.Books.Planned++
	w.Books.Sent++
	w.Written += r.written
	a.outcome(a.window(end), r)
}

// second is the second of the phase in which a moment lies, or the first that is still open.
func (a *agent) second(at time.Time) int {
	return max(a.next, int(at.Sub(a.began)/time.Second))
}

func (a *agent) window(second int) *stats.Window {
	w := a.open[second]
	if w == nil {
		w = &stats.Window{
			Begin: time.Duration(second) * time.Second, Length: time.Second,
			Outcomes: map[string]int64{}, Status: map[int]int64{}, Service: stats.NewHistogram(),
		}
		a.open[second] = w
	}
	return w
}

// outcome books what became of a request.
func (a *agent) outcome(w *stats.Window, r row) {
	w.Received += r.received
	status, err := strconv.Atoi(r.code)
	if err != nil || status < 100 || status > 999 {
		a.failed(w, r)
		return
	}
	s := stream(a.phase, a.index)
	w.Status[status]++
	if hit, known := a.asked.Hit(s, r.number); known && r.numbered {
		if hit {
			w.Hits++
		} else {
			w.Misses++
		}
	}
	class, wrong := a.judge(s, status, r)
	answeredBy(w, r, class == "")
	if r.numbered && !a.foreign && checks(a.phase, s, r.number) {
		w.Checked++
	}
	w.Service.Record(r.elapsed)
	if class == "" {
		w.Books.OK++
		return
	}
	w.Books.Bad++
	if wrong {
		w.Wrong++
		a.explain(w, class, s, r)
	}
	w.Outcomes[class]++
	if w.BadService == nil {
		w.BadService = stats.NewHistogram()
	}
	w.BadService.Record(r.elapsed)
}

// answeredBy counts the answer with its replica, where it named one.
func answeredBy(w *stats.Window, r row, ok bool) {
	if r.replica == "" || r.replica == "-" {
		return
	}
	if w.Replicas == nil {
		w.Replicas = map[string]stats.Replica{}
	}
	one, seen := w.Replicas[r.replica]
	if !seen {
		if len(w.Replicas) >= stats.MaxNames {
			return
		}
		one.Service = stats.NewHistogram()
	}
	one.Answers++
	if !ok {
		one.Errors++
	}
	one.Service.Record(r.elapsed)
	w.Replicas[r.replica] = one
}

// explain keeps one wrong answer of a class, in words. The body itself is not in the results.
func (a *agent) explain(w *stats.Window, class string, s uint64, r row) {
	words, ok := a.asked.(load.Explainer)
	if _, seen := w.Examples[class]; seen || !ok {
		return
	}
	if w.Examples == nil {
		w.Examples = map[string]string{}
	}
	w.Examples[class] = words.Explain(s, r.number, r.received, nil)
}

// judge says why an answer is not right, "": it is; wrong: of an answer of the right status.
func (a *agent) judge(s uint64, status int, r row) (class string, wrong bool) {
	if a.foreign && r.ok {
		return "", false // redirects may be followed, and other statuses asserted
	}
	right := status == http.StatusOK
	if by, ok := a.asked.(load.ByStatus); ok {
		right = by.RightStatus(status)
	}
	switch {
	case !right:
		return "status " + strconv.Itoa(status), false
	case a.foreign:
		return "failed assertion", false
	case !r.numbered:
		return "unknown request", false
	}
	if why := a.asked.Judge(s, r.number, r.captures); why != "" {
		return why, true
	}
	if !r.ok {
		return "wrong body", true
	}
	return "", false
}

// failed books a request without a whole answer.
func (a *agent) failed(w *stats.Window, r row) {
	class := classOf(r.code, r.message)
	w.Outcomes[class]++
	w.ErrorTime += r.elapsed.Seconds()
	if class == "timeout" {
		w.Books.Timeout++
		w.Service.RecordOver(a.phase.Timeout)
		return
	}
	w.Books.Error++
	if w.Examples == nil {
		w.Examples = map[string]string{}
	}
	w.Examples[class] = r.message
}

// classOf names a failure that JMeter reports as a Java exception, in the words of the other engines where they fit.
func classOf(code, message string) string {
	exception := code[strings.LastIndex(code, ".")+1:]
	switch {
	case strings.HasSuffix(exception, "TimeoutException"):
		return "timeout"
	case strings.Contains(message, "refused"):
		return "refused"
	case exception == "NoHttpResponseException", exception == "ConnectionClosedException":
		return "closed"
	case strings.Contains(message, "Connection reset"), strings.Contains(message, "Broken pipe"):
		return "reset"
	case strings.Contains(message, "Cannot assign requested address"):
		return "ports"
	case exception == "InterruptedIOException", exception == "RequestAbortedException", strings.Contains(message, "Socket closed"):
		return "interrupted"
	case exception == "":
		return "no status"
	}
	return exception
}

// advance emits the seconds that are over for so long that no more rows of them are expected.
func (a *agent) advance(now time.Time) {
	if a.rows == 0 {
		return
	}
	for a.next < a.second(now)-holdBack {
		a.flush()
	}
}

// flush emits the next second.
func (a *agent) flush() {
	w := a.window(a.next)
	delete(a.open, a.next)
	a.next++
	a.send(*w)
}

func (a *agent) send(w stats.Window) {
	a.emitted++
	a.sums.Add(w)
	a.emit(w)
}

// finish emits all that is left; what the plan of the open model asked for and was not sent is dropped.
func (a *agent) finish() {
	last := int(a.phase.Duration/time.Second) - 1
	for _, second := range slices.Sorted(maps.Keys(a.open)) {
		last = max(last, second)
	}
	if missing := a.planned() - a.rows; missing > 0 {
		last = max(last, a.next)
		w := a.window(last)
		w.Books.Planned += missing
		w.Books.Dropped += missing
		w.Outcomes["not started"] += missing
	}
	for a.next <= last {
		a.flush()
	}
}

// planned is how many requests the open model asked of this server; 0 in the closed one.
func (a *agent) planned() int64 {
	if a.phase.Model != load.Open {
		return 0
	}
	return int64(a.phase.Rate / float64(a.of) * a.phase.Duration.Seconds())
}
