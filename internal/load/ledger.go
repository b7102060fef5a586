package load

import (
	"sync"
	"time"

	"bakeoff/internal/stats"
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
	watch   *watch          // nil: the agent's resources are not measured
}

// run returns when all has ended and the last window was passed on.
func (e *emission) run(emit func(stats.Window)) {
	restCollector()
	defer wakeCollector()
	tick := time.NewTimer(time.Until(e.start.Add(time.Second)))
	defer tick.Stop()
	for {
		select {
		case <-e.ended:
			e.watch.end()
			now, whole := int64(max(time.Since(e.start), 0)), e.whole()
			e.pass(emit, func(l *ledger) []stats.Window { return l.last(now, whole) })
			return
		case <-tick.C:
			now := int64(time.Since(e.start))
			e.pass(emit, func(l *ledger) []stats.Window { return l.take(now) })
			tick.Reset(time.Duration(second - now%second))
		}
	}
}

// pass merges what the ledgers hold, window by window.
func (e *emission) pass(emit func(stats.Window), take func(*ledger) []stats.Window) {
	var sum []stats.Window
	for _, l := range e.ledgers {
		l.mu.Lock()
		windows := take(l)
		l.mu.Unlock()
		for i, w := range windows {
			if i < len(sum) {
				sum[i].Merge(w)
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
