package fleet

import (
	"sync/atomic"
	"time"
)

// lease is an agent's right to send requests. It runs on the monotonic clock, which goes on
// while the process is stopped, and once it has run out it stays so.
// Times are durations since the lease was made.
type lease struct {
	base  time.Time
	span  time.Duration
	until atomic.Int64
	dead  atomic.Bool
}

// newLease returns a lease of span from now.
func newLease(span time.Duration) *lease {
	l := &lease{base: time.Now(), span: span}
	l.until.Store(int64(span))
	return l
}

// now is the time since the lease was made.
func (l *lease) now() time.Duration { return time.Since(l.base) }

// renew extends the lease to one span after sent, the moment at which the
// agent had sent what the controller now confirmed.
func (l *lease) renew(sent time.Duration) {
	if !l.valid() {
		return
	}
	for {
		old := l.until.Load()
		next := int64(sent + l.span)
		if next <= old || l.until.CompareAndSwap(old, next) {
			return
		}
	}
}

// valid reports whether the lease still runs; the bound is read before the
// clock, so that a stop between the two cannot make an old time pass.
func (l *lease) valid() bool {
	until := l.until.Load()
	now := int64(l.now())
	if l.dead.Load() {
		return false
	}
	if now < until || now < l.until.Load() {
		return true
	}
	l.dead.Store(true)
	return false
}

// end gives the lease up.
func (l *lease) end() { l.dead.Store(true) }
