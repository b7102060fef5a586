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
func newLedger(j *Job, first bool) *ledger {
	measure := processUse
	if !first {
		measure = noUse
	}
	return &ledger{book: newBook(j, measure)}
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

// emission passes the windows of a phase on, in order, each when it ends.
type emission struct {
	start   time.Time
	sending time.Duration   // how long the phase sends
	ledgers []*ledger       // one per loop
	atLeast func() int64    // up to when there are windows at least, once all has ended
	ended   <-chan struct{} // closed then
	watch   *watch          // nil: the agent's resources are not measured
}

// run returns when all has ended and the last window was passed on.
func (e *emission) run(emit func(stats.Window)) {
	restCollector()
	defer wakeCollector()
	tick := time.NewTimer(time.Until(e.start.Add(windowFrom(0, e.sending).End())))
	defer tick.Stop()
	for {
		select {
		case <-e.ended:
			e.watch.end()
			now, atLeast := int64(max(time.Since(e.start), 0)), e.atLeast()
			e.pass(emit, func(l *ledger) []stats.Window { return l.last(now, atLeast) })
			return
		case <-tick.C:
			now := time.Since(e.start)
			e.pass(emit, func(l *ledger) []stats.Window { return l.take(int64(now)) })
			tick.Reset(windowFrom(now, e.sending).Length)
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
