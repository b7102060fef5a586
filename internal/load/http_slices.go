package load

import (
	"context"
	"slices"
	"sync"
	"time"

	"bakeoff/internal/stats"
)

// httpSlices is a phase under way, slice by slice.
type httpSlices struct {
	*httpRun
	engine *HTTP
	cancel context.CancelFunc
}

// Slices makes the job ready; see Slicer.
func (h *HTTP) Slices(ctx context.Context, job Job) (Slices, error) {
	if err := job.checkSlices(); err != nil {
		return nil, err
	}
	r, err := h.prepare(&job)
	if err != nil {
		return nil, err
	}
	r.sliced = true
	var cancel context.CancelFunc
	r.ctx, cancel = context.WithCancel(ctx)
	restCollector()
	return &httpSlices{httpRun: r, engine: h, cancel: cancel}, nil
}

// Run carries out one slice; see Slices.
func (s *httpSlices) Run(ctx context.Context, slice Slice, emit func(stats.Window)) error {
	r := s.httpRun
	r.again(slice)
	var watch *watch
	if !s.engine.alone {
		watch = newWatch(r.start, r.held, func() []int { return nil })
		watch.alone()
	}
	var all sync.WaitGroup
	if err := r.launch(&all); err != nil {
		watch.end()
		return err
	}
	unhook := context.AfterFunc(ctx, r.cut)
	all.Wait()
	unhook()
	watch.end()
	now := max(int64(time.Since(r.start)), r.begin)
	windows := r.ledger.over(now, slice.isLast(r.end.Load(), r.job.Phase))
	tuneCollector()
	watch.fill(windows)
	for _, w := range windows {
		emit(w)
	}
	if r.stopped.Load() {
		return ctx.Err()
	}
	return nil
}

// again makes everything ready for a slice: connections that have nothing else to wait for start one after
// another.
func (r *httpRun) again(s Slice) {
	r.start = monotonic(s.Start).Add(-s.Begin)
	r.begin = int64(s.Begin)
	r.end.Store(int64(s.Begin + s.Length))
	r.ledger.begin(s)
	r.ended = false
	if !r.stopped.Load() && !r.barred.Load() {
		r.over.Store(false)
		r.done = make(chan struct{})
	}
	for _, w := range r.conns {
		if s.Fresh {
			w.close()
		}
		w.wake = make(chan arrival, 1)
		if due := s.startOf(w.number, r.job.Phase.Connections); r.job.Phase.Think == 0 || w.due < due {
			w.due = max(due, int64(closedStart(r.job.Phase, w.number)))
		}
	}
}

// Stuck implements Slices.
func (s *httpSlices) Stuck(longer time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.now() - int64(longer)
	for i := range s.waiting {
		if backlog := &s.waiting[i].backlog; backlog.len() > 0 && backlog.head().intended < before {
			return true
		}
	}
	return slices.ContainsFunc(s.conns, func(w *worker) bool {
		sent := w.flying.Load()
		return sent > 0 && sent-1 < before
	})
}

// Extend implements Slices.
func (s *httpSlices) Extend(end time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.over.Load() || s.job.Phase.Model == Closed {
		return false
	}
	s.end.Store(int64(end))
	s.ledger.mu.Lock()
	s.ledger.extend(end)
	s.ledger.mu.Unlock()
	s.waker.kick()
	return true
}

// Close closes the connections; see Slices.
func (s *httpSlices) Close() {
	s.cancel()
	for _, w := range s.conns {
		w.close()
	}
	s.waker.close()
	wakeCollector()
}
