package load

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bakeoff/internal/stats"
)

// HTTP is the engine on Go's own network stack and HTTP parser: one goroutine
// per connection, one that hands out arrivals, one that emits windows. It
// speaks HTTP/1.1 and HTTP/2, with or without TLS.
//
// It does not use http.Transport: that one retries requests behind the caller's back and
// does not say how much of a request was written.
type HTTP struct {
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	waker func() (waker, error)
	alone bool // nothing watches what its process has and lacks
}

// NewHTTP returns the engine; it holds no connection between runs.
func NewHTTP() Engine {
	d := &net.Dialer{KeepAlive: -1}
	return &HTTP{dial: d.DialContext, waker: newWaker}
}

// httpRun is one phase in progress.
type httpRun struct {
	job      Job
	spread   *spread
	ctx      context.Context // ends dialling
	ledger   *ledger
	start    time.Time
	begin    int64        // of the slice, ns since start; 0 without slices
	end      atomic.Int64 // likewise
	sliced   bool
	conns    []*worker
	waker    waker
	schedule *Schedule     // open model
	done     chan struct{} // closed when waits must end: at the end of sending, or when cut

	stopped atomic.Bool  // ctx ended: send nothing, wait for nothing
	barred  atomic.Bool  // the permission to send is gone
	over    atomic.Bool  // nothing is sent any more
	kept    atomic.Int64 // connections that were open at the end
	left    atomic.Int64 // closed model: requests that may still be sent, if the phase has a number of them
	spent   atomic.Bool  // open model: the schedule has asked for all of them

	mu      sync.Mutex
	waiting []queue // by server
	next    arrival // that the schedule asks for
	more    bool    // next is one
	ended   bool    // no arrival will be handed out any more
}

// queue is what waits for one server.
type queue struct {
	backlog ring[arrival] // waiting for a free connection, oldest first; at most rate x time-out
	idle    []*worker     // free connections, the one used last at the end: it is used next
}

// worker is one connection and the goroutine that drives it.
type worker struct {
	conn
	run    *httpRun
	number int // among all
	server int // which of the spread's
	stream uint64
	wake   chan arrival // closed when there is nothing more to do
	n      uint64       // closed model: of the next request
	due    int64        // likewise: when it is to be sent
	flying atomic.Int64 // 1 + when the request in flight was sent; 0: none
}

// arrival is one request the schedule asks for.
type arrival struct {
	n        uint64
	intended int64 // ns since the phase's start
	url      int   // which of the job's
}

// Run carries out the job; see Engine.
func (h *HTTP) Run(ctx context.Context, job Job, emit func(stats.Window)) error {
	r, err := h.prepare(&job)
	if err != nil {
		return err
	}
	defer r.waker.close()
	dctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.ctx = dctx

	var all sync.WaitGroup
	if err := r.launch(&all); err != nil {
		return err
	}
	finished := make(chan struct{})
	go func() { all.Wait(); close(finished) }()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-ctx.Done():
			r.cut()
		case <-finished:
		}
	}()
	e := emission{start: r.start, ledgers: []*ledger{r.ledger}, sending: job.Phase.Duration, atLeast: r.atLeast, ended: finished}
	if !h.alone {
		e.watch = newWatch(r.start, r.held, func() []int { return nil })
		e.watch.alone()
		defer e.watch.end()
	}
	e.run(emit)
	<-watched
	if r.stopped.Load() {
		return ctx.Err()
	}
	return nil
}

// prepare checks the job and builds everything but the connections themselves.
func (h *HTTP) prepare(job *Job) (*httpRun, error) {
	if err := job.check(); err != nil {
		return nil, err
	}
	spread, err := job.spread()
	if err != nil {
		return nil, err
	}
	if err := job.secure(spread.origins); err != nil {
		return nil, err
	}
	r := &httpRun{job: *job, spread: spread, waiting: make([]queue, len(spread.servers)), done: make(chan struct{})}
	r.end.Store(int64(job.Phase.Duration))
	if r.waker, err = h.waker(); err != nil {
		return nil, err
	}
	r.start = monotonic(job.Start)
	r.left.Store(job.Share.part(job.Phase.Requests))
	r.ledger = newLedger(&r.job, true)
	transport, dial := newTransport(), h.dial
	if own, ok := job.Workload.(ByDial); ok {
		dial = own.Dial
	}
	for _, c := range job.connections() {
		w := &worker{run: r, number: c, server: spread.serverOf(c, job.Phase.Model, job.Share), wake: make(chan arrival, 1), stream: r.job.stream(-1)}
		if job.Phase.Model == Closed {
			w.stream, w.due = r.job.stream(c), int64(closedStart(job.Phase, c))
		}
		w.conn = conn{
			job: &r.job, dial: dial, stopped: &r.stopped, transport: transport,
			head: http.Request{Method: job.Method},
		}
		r.conns = append(r.conns, w)
	}
	return r, nil
}

// launch starts all goroutines of the phase.
func (r *httpRun) launch(all *sync.WaitGroup) error {
	if r.job.Phase.Model == Closed {
		for _, w := range r.conns {
			all.Go(w.closed)
		}
		return nil
	}
	if r.schedule == nil {
		var err error
		if r.schedule, err = NewSchedule(r.job.Seed, r.job.Phase, r.job.Share); err != nil {
			return err
		}
		r.upcoming()
	}
	for _, w := range slices.Backward(r.conns) { // the first is used first
		q := &r.waiting[w.server]
		q.idle = append(q.idle, w)
	}
	for _, w := range r.conns {
		all.Go(w.open)
	}
	all.Go(r.pace)
	return nil
}

// now is the time since the phase's start.
func (r *httpRun) now() int64 { return int64(time.Since(r.start)) }

// cut ends the phase at once.
func (r *httpRun) cut() {
	r.stopped.Store(true)
	r.finish()
	for _, w := range r.conns {
		w.abort()
	}
}

// finish ends all sending; waits for anything but answers end.
func (r *httpRun) finish() {
	if r.over.CompareAndSwap(false, true) {
		close(r.done)
		r.waker.kick()
	}
}

// permitted asks for the permission to send; once refused it stays so.
func (r *httpRun) permitted() bool {
	if r.barred.Load() {
		return false
	}
	if r.job.Permit != nil && !r.job.Permit() {
		r.barred.Store(true)
		r.finish()
		return false
	}
	return true
}

// take takes one of the requests that may yet be sent; when it is the last, nothing is sent any more after it.
func (r *httpRun) take() bool {
	if r.job.Phase.Requests == 0 {
		return true
	}
	left := r.left.Add(-1)
	if left <= 0 {
		r.finish()
	}
	return left >= 0
}

// atLeast is up to when there are windows at least: the end of sending, unless it was cut short.
func (r *httpRun) atLeast() int64 {
	switch {
	case r.now() >= r.end.Load():
		return r.end.Load()
	case r.job.Phase.Requests > 0 && !r.stopped.Load():
		return 1 // one at least, be it of nothing
	case r.over.Load():
		return 0
	}
	return r.end.Load()
}

// held counts the connections that are open, or were at the end.
func (r *httpRun) held() int {
	n := int(r.kept.Load())
	for _, w := range r.conns {
		if w.holdsPort() {
			n++
		}
	}
	return n
}

// holdsPort reports whether the connection takes one of the machine's ports.
func (w *worker) holdsPort() bool {
	nc := w.live.Load()
	return nc != nil && (*nc).LocalAddr().Network() != "unix"
}

// leave ends the worker's part.
func (w *worker) leave() {
	if w.run.sliced {
		return // its connection stays for the next slice
	}
	if w.holdsPort() {
		w.run.kept.Add(1)
	}
	w.close()
}

// perform makes one request on the worker's connection, books it, and returns its class.
func (w *worker) perform(a arrival) string {
	r := w.run
	w.origin = &r.spread.origins[a.url]
	res := result{stream: w.stream, n: a.n, intended: a.intended, sent: r.now(), origin: w.origin}
	r.ledger.sent(res.sent)
	w.flying.Store(1 + max(res.sent, 0))
	defer w.flying.Store(0)
	length, err := w.attempt(&res)
	res.ended = r.now()
	if err != nil {
		w.close()
		res.class, res.cause = classify(err), err
	} else {
		r.job.judge(&res, length, w.body[:min(int64(len(w.body)), length)])
	}
	r.ledger.finished(&res)
	return res.class
}

// attempt opens the connection where needed, and exchanges.
func (w *worker) attempt(res *result) (int64, error) {
	r := w.run
	deadline := r.start.Add(time.Duration(res.sent) + r.job.Phase.Timeout)
	var err error
	if w.request, err = r.job.appendRequest(w.request[:0], w.origin, res.stream, res.n); err != nil {
		return 0, err
	}
	if !w.usable(deadline) {
		if err := w.conn.open(r.ctx, res, deadline); err != nil {
			return 0, err
		}
		r.ledger.opened(r.now())
		if !r.permitted() {
			return 0, errNotPermitted
		}
		res.stage = stageWaiting
		if err := w.untouched(); err != nil {
			return 0, err
		}
	}
	res.checked = r.job.checks(res.stream, res.n) || r.job.moving(res.stream, res.n) >= 0
	return w.exchange(res, deadline)
}
