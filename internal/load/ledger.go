package load

import (
	"sync"
	"time"
)

// ledger is a book that several goroutines write.
type ledger struct {
	mu sync.Mutex
	book
}

// newLedger returns the ledger of one loop. Of several loops of one process
// only one accounts for the process's CPU time.
func newLedger(timeout time.Duration, first bool) *ledger {
	measure := processUse
	if !first {
		measure = noUse
	}
	return &ledger{book: newBook(timeout, measure)}
}

func (l *ledger) planned(now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.book.planned(now)
}

func (l *ledger) taken(now, lateness int64, queued bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.book.taken(now, lateness, queued)
}

func (l *ledger) sent(now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.book.sent(now)
}

func (l *ledger) dropped(now, intended int64, lost string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.book.dropped(now, intended, lost)
}

func (l *ledger) opened(now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.book.opened(now)
}

func (l *ledger) finished(r *result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.book.finished(r)
}

// emission passes the windows of a phase on, in order, once a second.
type emission struct {
	start   time.Time
	ledgers []*ledger       // one per loop
	whole   func() int      // how many windows there are at least, once all has ended
	ended   <-chan struct{} // closed then
	watch   *watch          // nil: the windows tell no means
}

// run returns when all has ended and the last window was passed on.
func (e *emission) run(emit func(Window)) {
	restCollector()
	defer wakeCollector()
	tick := time.NewTimer(time.Until(e.start.Add(time.Second)))
	defer tick.Stop()
	for {
		select {
		case <-e.ended:
			e.watch.end()
			now, whole := int64(max(time.Since(e.start), 0)), e.whole()
			e.pass(emit, func(l *ledger) []Window { return l.last(now, whole) })
			return
		case <-tick.C:
			now := int64(time.Since(e.start))
			e.pass(emit, func(l *ledger) []Window { return l.take(now) })
			tick.Reset(time.Duration(second - now%second))
		}
	}
}

// pass merges what the ledgers hold, second by second.
func (e *emission) pass(emit func(Window), take func(*ledger) []Window) {
	var sum []Window
	for _, l := range e.ledgers {
		l.mu.Lock()
		windows := take(l)
		l.mu.Unlock()
		for i, w := range windows {
			if i < len(sum) {
				sum[i].merge(w)
			} else {
				sum = append(sum, w)
			}
		}
	}
	tuneCollector()
	e.watch.fill(sum)
	for _, w := range sum {
		emit(w)
	}
}

// merge adds another loop's window of the same second.
func (w *Window) merge(o Window) {
	w.Books.Add(o.Books)
	addAll(&w.Outcomes, o.Outcomes)
	addAll(&w.Status, o.Status)
	addAll(&w.Lost, o.Lost)
	w.Unwritten += o.Unwritten
	w.Checked += o.Checked
	w.Hits += o.Hits
	w.Misses += o.Misses
	w.Opened += o.Opened
	w.Response.Merge(o.Response)
	w.Service.Merge(o.Service)
	w.Lateness.Merge(o.Lateness)
	for name, r := range o.Replicas {
		sum, seen := w.Replicas[name]
		if !seen {
			if w.Replicas == nil {
				w.Replicas = map[string]Replica{}
			}
			w.Replicas[name] = r
			continue
		}
		sum.Answers += r.Answers
		sum.Errors += r.Errors
		sum.Service.Merge(r.Service)
		w.Replicas[name] = sum
	}
	w.InFlight += o.InFlight
	w.ErrorTime += o.ErrorTime
	w.CPU += o.CPU
	w.GCPause += o.GCPause
}

func addAll[K comparable](m *map[K]int64, o map[K]int64) {
	for key, n := range o {
		add(m, key, n)
	}
}
