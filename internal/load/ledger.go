package load

import (
	"sync"
	"time"

	"bakeoff/internal/stats"
)

const (
	second     = int64(time.Second)
	maxClasses = 64 // distinct outcomes per window; further ones count as "other"
	// boundStep is what the bounds of arrivals dropped before the time-out are
	// rounded down to, so that they stay few.
	boundStep   = 10 * time.Millisecond
	maxReplicas = 256 // distinct replicas per window; further ones count as "other"
)

// ledger keeps the books of one agent's phase, one window per second. Times
// are nanoseconds since the phase's start. It is safe for concurrent use.
type ledger struct {
	mu       sync.Mutex
	timeout  time.Duration
	cpu      func() time.Duration
	window   Window   // of second window.Second
	closed   []Window // full seconds nobody has taken yet
	inFlight int
	since    int64 // up to when InFlight is integrated
	used     time.Duration
}

func newLedger(timeout time.Duration) *ledger {
	l := &ledger{timeout: timeout, cpu: processCPU, used: processCPU()}
	l.window = newWindow(0)
	return l
}

func newWindow(n int) Window {
	return Window{
		Second:   n,
		Response: stats.NewHistogram(),
		Service:  stats.NewHistogram(),
		Lateness: stats.NewHistogram(),
	}
}

// result is the end of one request.
type result struct {
	stream, n uint64
	intended  int64  // ns since the phase's start
	sent      int64  // when the attempt began
	ended     int64  // last byte, failure or time-out
	class     string // empty: ok
	answered  bool   // a whole answer came: ok or bad
	written   bool   // the request was fully written
	checked   bool
	status    int
	replica   string
	hit       bool // expected to exist
	known     bool // whether hit is
}

// planned books an arrival that the schedule asks for.
func (l *ledger) planned(now int64) {
	l.mu.Lock()
	l.roll(now)
	l.window.Books.Planned++
	l.mu.Unlock()
}

// taken books how late an arrival was taken up, and whether it had to wait for a free connection then.
func (l *ledger) taken(now, lateness int64, queued bool) {
	l.mu.Lock()
	l.roll(now)
	w := &l.window
	w.Lateness.Record(time.Duration(lateness))
	switch {
	case lateness > int64(lateAfter):
		w.Books.Late++
	case queued:
		w.Books.Queued++
	}
	l.mu.Unlock()
}

// sent books the start of an attempt.
func (l *ledger) sent(now int64) {
	l.mu.Lock()
	l.roll(now)
	l.window.Books.Sent++
	l.inFlight++
	l.window.InFlight += l.behind(now)
	l.mu.Unlock()
}

// dropped books a planned arrival that is never sent: it waited from intended
// to now. lost names our own fault, or is empty.
func (l *ledger) dropped(now, intended int64, lost string) {
	l.mu.Lock()
	l.roll(now)
	w := &l.window
	w.Books.Dropped++
	waited := min(time.Duration(max(now-intended, 0)), l.timeout)
	if waited < l.timeout {
		waited = waited.Truncate(boundStep)
	}
	w.Response.RecordOver(waited)
	if lost != "" {
		add(&w.Lost, lost, 1)
	}
	l.mu.Unlock()
}

// opened books a connection.
func (l *ledger) opened(now int64) {
	l.mu.Lock()
	l.roll(now)
	l.window.Opened++
	l.mu.Unlock()
}

// finished books the end of a request that was sent.
func (l *ledger) finished(r *result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.roll(r.ended)
	l.inFlight--
	l.window.InFlight -= l.behind(r.ended)
	w := &l.window
	if r.class != "" {
		addBounded(&w.Outcomes, r.class)
		if lost := lostOf(r.class); lost != "" {
			add(&w.Lost, lost, 1)
		}
	}
	if !r.answered && !r.written {
		w.Unwritten++
	}
	service := time.Duration(r.ended - r.sent)
	switch {
	case r.answered:
		l.answered(r, service)
	case r.class == classTimeout:
		w.Books.Timeout++
		w.Service.RecordOver(l.timeout)
		w.Response.RecordOver(l.timeout)
		w.ErrorTime += service.Seconds()
	default:
		w.Books.Error++
		w.ErrorTime += service.Seconds()
	}
}

// answered books a whole answer.
func (l *ledger) answered(r *result, service time.Duration) {
	w := &l.window
	ok := r.class == ""
	if ok {
		w.Books.OK++
	} else {
		w.Books.Bad++
	}
	add(&w.Status, r.status, 1)
	if r.checked {
		w.Checked++
	}
	if r.known && r.hit {
		w.Hits++
	}
	if r.known && !r.hit {
		w.Misses++
	}
	w.Service.Record(service)
	w.Response.Record(time.Duration(r.ended - r.intended))
	if r.replica != "" {
		l.replica(r.replica, ok, service)
	}
}

func (l *ledger) replica(name string, ok bool, service time.Duration) {
	w := &l.window
	r, seen := w.Replicas[name]
	if !seen {
		if w.Replicas == nil {
			w.Replicas = map[string]Replica{}
		}
		if len(w.Replicas) >= maxReplicas {
			name = classOther
			r, seen = w.Replicas[name]
		}
		if !seen {
			r.Service = stats.NewHistogram()
		}
	}
	r.Answers++
	if !ok {
		r.Errors++
	}
	r.Service.Record(service)
	w.Replicas[name] = r
}

// roll closes the windows of all seconds before now's. The caller holds the lock.
func (l *ledger) roll(now int64) {
	for now >= int64(l.window.Second+1)*second {
		l.integrate(int64(l.window.Second+1) * second)
		used := l.cpu()
		l.window.CPU = used - l.used
		l.used = used
		l.closed = append(l.closed, l.window)
		l.window = newWindow(l.window.Second + 1)
	}
	l.integrate(now)
}

// integrate adds the requests in flight from since to now.
func (l *ledger) integrate(now int64) {
	if now > l.since {
		l.window.InFlight += float64(l.inFlight) * float64(now-l.since) / 1e9
		l.since = now
	}
}

// behind is by how many seconds an event is older than the latest one: it
// happened before another that was booked first.
func (l *ledger) behind(now int64) float64 { return float64(max(l.since-max(now, 0), 0)) / 1e9 }

// take returns the full windows before now's second, in order.
func (l *ledger) take(now int64) []Window {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.roll(now)
	out := l.closed
	l.closed = nil
	return out
}

// last returns what is left once nothing happens any more, and at least the
// windows of the first whole seconds.
func (l *ledger) last(now int64, whole int) []Window {
	out := l.take(now)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.window.Second < whole || l.window.busy() {
		used := l.cpu()
		l.window.CPU = used - l.used
		l.used = used
		out = append(out, l.window)
	}
	return out
}

// busy tells whether anything was booked.
func (w *Window) busy() bool {
	return w.Books != stats.Books{} || w.Opened > 0 || w.InFlight > 0 || len(w.Lost) > 0
}

// add adds to a map that is made when first needed.
func add[K comparable](m *map[K]int64, key K, n int64) {
	if *m == nil {
		*m = map[K]int64{}
	}
	(*m)[key] += n
}

// addBounded counts an outcome; a server cannot make the map grow without end.
func addBounded(m *map[string]int64, class string) {
	if _, seen := (*m)[class]; !seen && len(*m) >= maxClasses {
		class = classOther
	}
	add(m, class, 1)
}
