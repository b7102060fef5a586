package load

import (
	"time"

	"bakeoff/internal/stats"
)

const (
	second      = int64(time.Second)
	maxClasses  = 64  // distinct outcomes per window; further ones count as "other"
	maxReplicas = 256 // distinct replicas per window; further ones count as "other"
	// boundStep is what the bounds of arrivals dropped before the time-out are
	// rounded down to, so that they stay few.
	boundStep = 10 * time.Millisecond
)

// book keeps the books of one loop, window by window. Times are
// nanoseconds since the phase's start. It is not safe for concurrent use; see ledger.
type book struct {
	timeout  time.Duration
	sending  time.Duration // how long the phase sends
	measure  func() use
	window   stats.Window   // under way; its histograms are made when it is closed
	closed   []stats.Window // full ones nobody has taken yet
	inFlight int
	held     float64 // integral of inFlight over the current window, seconds
	since    int64   // up to when it is integrated
	used     use
	statuses [1000]int64 // of the current window's answers
	slice    *sliced     // nil: a window per second

	response, service, lateness *stats.Recorder
	badResponse, badService     *stats.Histogram       // of the current window; nil: no bad answer
	urls                        []stats.URL            // of the current window; nil: URLs are not distinguished
	explain                     func(r *result) string // why a request failed
	replicas                    map[string]stats.Replica
}

func newBook(j *Job, measure func() use) book {
	p := j.Phase
	b := book{
		explain: j.explain, timeout: p.Timeout, sending: p.Duration, measure: measure, used: measure(), window: windowFrom(0, p.Duration),
		response: stats.NewRecorder(), service: stats.NewRecorder(), lateness: stats.NewRecorder(),
	}
	if j.byURL != nil && len(j.URLs) > 1 {
		b.urls = make([]stats.URL, len(j.URLs))
	}
	return b
}

// windowFrom is the window that begins at a moment of a phase: it ends with the second, or with
// the time in which the phase sends, so that no window is partly within it.
func windowFrom(begin, sending time.Duration) stats.Window {
	end := begin.Truncate(time.Second) + time.Second
	if begin < sending {
		end = min(end, sending)
	}
	return stats.Window{Begin: begin, Length: end - begin}
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
	wrong     bool   // the body of an answer of the right status, or its length, is wrong
	words     string // about that
	move      int    // that concerns the request, from 1; 0: none
	after     bool   // the answer is that after the move
	status    int
	replica   string
	hit       bool    // expected to exist
	known     bool    // whether hit is
	origin    *origin // whose URL was asked for; nil: none
	cause     error   // why there is no whole answer; nil: there is
	stage     string  // at which it failed
	received  int64   // bytes of the answer
	sentBytes int64   // bytes of the request
}

// planned books an arrival that the schedule asks for.
func (b *book) planned(now int64) {
	b.roll(now)
	b.window.Books.Planned++
}

// taken books how late an arrival was taken up, and whether it had to wait for a free connection then.
func (b *book) taken(now, lateness int64, queued bool) {
	b.roll(now)
	b.lateness.Record(time.Duration(lateness))
	switch {
	case lateness > int64(lateAfter):
		b.window.Books.Late++
	case queued:
		b.window.Books.Queued++
	}
}

// sent books the start of an attempt.
func (b *book) sent(now int64) {
	b.roll(now)
	b.window.Books.Sent++
	b.inFlight++
	b.held += b.behind(now)
}

// dropped books a planned arrival that is never sent: it waited from intended
// to now. lost names our own fault, or is empty.
func (b *book) dropped(now, intended int64, lost string) {
	b.roll(now)
	b.window.Books.Dropped++
	waited := min(time.Duration(max(now-intended, 0)), b.timeout)
	if waited < b.timeout {
		waited = waited.Truncate(boundStep)
	}
	b.response.RecordOver(waited)
	if lost != "" {
		add(&b.window.Lost, lost, 1)
	}
}

// opened books a connection.
func (b *book) opened(now int64) {
	b.roll(now)
	b.window.Opened++
}

// finished books the end of a request that was sent.
func (b *book) finished(r *result) {
	b.roll(r.ended)
	b.inFlight--
	w := &b.window
	b.held -= b.behind(r.ended)
	if r.class != "" {
		addBounded(&w.Outcomes, r.class)
		if lost := lostOf(r.class); lost != "" {
			add(&w.Lost, lost, 1)
		}
	}
	if !r.answered && !r.written {
		w.Unwritten++
	}
	if r.cause != nil || r.words != "" {
		b.example(r)
	}
	w.Received += r.received
	w.Written += r.sentBytes
	if b.urls != nil && r.origin != nil {
		b.url(r)
	}
	service := time.Duration(r.ended - r.sent)
	switch {
	case r.answered:
		b.answered(r, service)
	case r.class == classTimeout:
		w.Books.Timeout++
		b.service.RecordOver(b.timeout)
		b.response.RecordOver(b.timeout)
		w.ErrorTime += service.Seconds()
	default:
		w.Books.Error++
		w.ErrorTime += service.Seconds()
	}
}

// answered books a whole answer.
func (b *book) answered(r *result, service time.Duration) {
	w := &b.window
	ok := r.class == ""
	if ok {
		w.Books.OK++
	} else {
		w.Books.Bad++
	}
	b.statuses[r.status%len(b.statuses)]++ // a status has three digits
	if r.checked {
		w.Checked++
	}
	if r.wrong {
		w.Wrong++
	}
	if r.known && r.hit {
		w.Hits++
	}
	if r.known && !r.hit {
		w.Misses++
	}
	if ok && r.move > 0 {
		b.moved(r)
	}
	b.service.Record(service)
	b.response.Record(time.Duration(r.ended - r.intended))
	if !ok {
		b.bad(r, service)
	}
	if r.replica != "" {
		if b.replicas == nil {
			b.replicas = map[string]stats.Replica{}
		}
		b.replica(r.replica, ok, service)
	}
}

// moved keeps when the answer was that before or after a move.
func (b *book) moved(r *result) {
	if b.window.Moves == nil {
		b.window.Moves = map[int]stats.MoveSeen{}
	}
	now := time.Now() // times of a phase in turns stand still between slices
	seen := b.window.Moves[r.move-1]
	seen.Add(r.after, now.Add(time.Duration(r.sent-r.ended)), now)
	b.window.Moves[r.move-1] = seen
}

// bad keeps the times of a bad answer apart as well.
func (b *book) bad(r *result, service time.Duration) {
	if b.badService == nil {
		b.badResponse, b.badService = stats.NewHistogram(), stats.NewHistogram()
	}
	b.badService.Record(service)
	b.badResponse.Record(time.Duration(r.ended - r.intended))
}

// example keeps the first failure or wrong answer of a class, in words.
func (b *book) example(r *result) {
	w := &b.window
	if _, seen := w.Examples[r.class]; seen || len(w.Examples) >= maxClasses {
		return
	}
	if w.Examples == nil {
		w.Examples = map[string]string{}
	}
	if r.cause == nil {
		w.Examples[r.class] = r.words
		return
	}
	w.Examples[r.class] = b.explain(r)
}

// url books what became of a request at the URL it asked for.
func (b *book) url(r *result) {
	u := &b.urls[r.origin.index]
	if u.Service == nil {
		u.Response, u.Service = stats.NewHistogram(), stats.NewHistogram()
	}
	switch {
	case r.answered:
		if r.class == "" {
			u.OK++
		} else {
			u.Bad++
		}
		add(&u.Status, r.status, 1)
		u.Service.Record(time.Duration(r.ended - r.sent))
		u.Response.Record(time.Duration(r.ended - r.intended))
	case r.class == classTimeout:
		u.Timeout++
		u.Service.RecordOver(b.timeout)
		u.Response.RecordOver(b.timeout)
	default:
		u.Error++
	}
}

func (b *book) replica(name string, ok bool, service time.Duration) {
	r, seen := b.replicas[name]
	if !seen {
		if len(b.replicas) >= maxReplicas {
			name = classOther
			r, seen = b.replicas[name]
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
	b.replicas[name] = r
}

// roll closes all windows before now's.
func (b *book) roll(now int64) {
	if b.slice != nil {
		b.turnTo(now)
		return
	}
	for end := int64(b.window.End()); now >= end; end = int64(b.window.End()) {
		b.integrate(end)
		b.close()
	}
	b.integrate(now)
}

// close puts the current window with the full ones and begins the next.
func (b *book) close() {
	b.settle()
	b.unload(&b.window)
	b.closed = append(b.closed, b.window)
	b.window = windowFrom(b.window.End(), b.sending)
}

// settle moves what was counted outside the current window into it.
func (b *book) settle() {
	w := &b.window
	used := b.measure()
	w.CPU, w.GCPause = w.CPU+used.cpu-b.used.cpu, w.GCPause+used.pause-b.used.pause
	b.used = used
	for status, n := range b.statuses {
		if n > 0 {
			add(&w.Status, status, n)
		}
	}
	clear(b.statuses[:])
	if w.InFlight == nil {
		w.InFlight = new(float64)
	}
	*w.InFlight, b.held = *w.InFlight+b.held, 0
}

// unload moves the histograms into a window.
func (b *book) unload(w *stats.Window) {
	w.Response, w.Service, w.Lateness = b.response.Drain(), b.service.Drain(), b.lateness.Drain()
	w.BadResponse, w.BadService, b.badResponse, b.badService = b.badResponse, b.badService, nil, nil
	for i, u := range b.urls {
		if u.Service == nil {
			continue
		}
		if w.URLs == nil {
			w.URLs = map[int]stats.URL{}
		}
		w.URLs[i] = u
	}
	clear(b.urls)
	w.Replicas, b.replicas = b.replicas, nil
}

// integrate adds the requests in flight from since to now.
func (b *book) integrate(now int64) {
	if now > b.since {
		b.held += float64(b.inFlight) * float64(now-b.since) / 1e9
		b.since = now
	}
}

// behind is by how many seconds an event is older than the latest one: it
// happened before another that was booked first.
func (b *book) behind(now int64) float64 { return float64(max(b.since-max(now, 0), 0)) / 1e9 }

// take returns the full windows before now's, in order.
func (b *book) take(now int64) []stats.Window {
	b.roll(now)
	out := b.closed
	b.closed = nil
	return out
}

// last returns what is left once nothing happens any more, and at least the
// window that ends at a moment.
func (b *book) last(now, atLeast int64) []stats.Window {
	b.roll(now)
	if int64(b.window.Begin) < atLeast || b.busy() {
		b.close()
	}
	return b.take(now)
}

// busy reports whether anything was booked in the current window.
func (b *book) busy() bool {
	w := &b.window
	return w.Books != stats.Books{} || w.Opened > 0 || b.held > 0 || len(w.Lost) > 0
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
