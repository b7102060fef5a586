package load

import (
	"math"
	"time"
)

// pause is how long a closed-model connection waits after it could not even
// send: without it a refusing server would be asked as fast as a core can.
const pause = 10 * time.Millisecond

// closed drives a connection of the closed model.
func (w *worker) closed() {
	defer w.leave()
	r := w.run
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ; w.sleep(timer, w.due); w.n++ {
		now := r.now()
		if now >= r.end.Load() || r.over.Load() || !r.permitted() || !r.take() {
			return
		}
		r.ledger.planned(now)
		r.ledger.taken(now, now-w.due, false)
		class := w.perform(arrival{n: w.n, intended: w.due, url: r.spread.closed(w.server, w.number, w.n)})
		w.due = r.now() + int64(r.job.Phase.Think)
		switch class {
		case classRefused, classUnreachable, classPorts, classDescriptors, classMemory, classRequest:
			w.due += int64(pause)
		}
	}
}

// sleep waits until the moment, but not beyond the phase's end; false when nothing is sent any more.
func (w *worker) sleep(timer *time.Timer, until int64) bool {
	r := w.run
	wait := time.Duration(min(until, r.end.Load()) - r.now())
	if wait <= 0 {
		return until < r.end.Load()
	}
	timer.Reset(wait)
	select {
	case <-timer.C:
		return until < r.end.Load()
	case <-r.done:
		return false
	}
}

// open drives a connection of the open model: an arrival that was handed to
// it, then whatever waits, then it is free again.
func (w *worker) open() {
	defer w.leave()
	r := w.run
	for a := range w.wake {
		now := r.now()
		r.ledger.taken(now, now-a.intended, false)
		for more := true; more; a, more = r.another(w) {
			if lost, ok := r.maySend(a); ok {
				w.perform(a)
			} else {
				r.ledger.dropped(r.now(), a.intended, lost)
			}
		}
	}
}

// maySend reports whether an arrival may be sent now, and else which fault of ours prevents it.
func (r *httpRun) maySend(a arrival) (lost string, ok bool) {
	now := r.now()
	switch {
	case r.stopped.Load():
		return "", false
	case !r.permitted():
		return lostPermit, false
	case now > r.end.Load()+int64(lateGrace) && !r.sliced, now > a.intended+int64(r.job.Phase.Timeout):
		return lostLoop, false
	}
	return "", true
}

// another returns the arrival that has waited longest, or puts the free
// connection back and returns false.
func (r *httpRun) another(w *worker) (arrival, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire(r.now())
	q := &r.waiting[w.server]
	switch {
	case r.ended:
		close(w.wake)
	case q.backlog.len() > 0:
		a := q.backlog.pop()
		if q.backlog.len() == 0 && r.spent.Load() {
			r.waker.kick() // that may have been all
		}
		return a, true
	default:
		q.idle = append(q.idle, w)
	}
	return arrival{}, false
}

// expire drops what has waited for the whole time-out, and returns when the next of the rest will have; the
// latest time of all where none waits. The caller holds the lock.
func (r *httpRun) expire(now int64) (next int64) {
	next = math.MaxInt64
	for i := range r.waiting {
		backlog := &r.waiting[i].backlog
		for backlog.len() > 0 && backlog.head().intended+int64(r.job.Phase.Timeout) <= now {
			r.ledger.dropped(now, backlog.pop().intended, "")
		}
		if backlog.len() > 0 {
			next = min(next, backlog.head().intended+int64(r.job.Phase.Timeout))
		}
	}
	return next
}

// pace walks the schedule: each arrival goes to a free connection or waits for one.
func (r *httpRun) pace() {
	last := r.end.Load() + int64(endGrace)
	if r.sliced {
		last = math.MaxInt64 // what waits is sent before the slice is over
	}
	for !r.over.Load() {
		now := r.now()
		for r.pending() && r.next.intended <= now && !r.over.Load() {
			r.takeUp(r.next)
			r.upcoming()
		}
		more, wake := r.pending(), last
		if more {
			wake = r.next.intended
		}
		r.mu.Lock()
		next := r.expire(now)
		r.mu.Unlock()
		waiting := next != math.MaxInt64
		wake = min(wake, next)
		r.spent.Store(!more && r.schedule.spent())
		if !more && (now >= last || (now >= r.end.Load() || r.schedule.spent()) && !waiting) {
			break
		}
		switch {
		case more:
		case !waiting:
			wake = r.end.Load()
		case r.sliced && now >= r.end.Load():
			wake = min(wake, now+int64(time.Millisecond)) // nobody says when the last one has gone
		}
		if r.waker.set(time.Duration(wake-r.now())) != nil || r.over.Load() || r.waker.wait() != nil {
			break
		}
	}
	r.leave()
}

// upcoming takes the schedule's next arrival.
func (r *httpRun) upcoming() {
	n, at, more := r.schedule.Next()
	r.next, r.more = arrival{n: n, intended: int64(at), url: r.spread.open(n)}, more
}

// pending reports whether another arrival is to be taken up before the sending ends.
func (r *httpRun) pending() bool { return r.more && r.next.intended < r.end.Load() }

// takeUp books an arrival as planned and hands it out, or lets it wait.
func (r *httpRun) takeUp(a arrival) {
	now := r.now()
	r.ledger.planned(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	q := &r.waiting[r.spread.origins[a.url].server]
	if last := len(q.idle) - 1; last >= 0 {
		w := q.idle[last]
		q.idle = q.idle[:last]
		w.wake <- a
		return
	}
	r.ledger.taken(now, now-a.intended, true)
	q.backlog.push(a)
}

// leave ends the phase's sending: what still waits is dropped, and so is, where the
// permission to send is gone, all that the schedule had yet to ask for.
func (r *httpRun) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	lost := ""
	if r.barred.Load() {
		lost = lostPermit
	}
	now := r.now()
	for i := range r.waiting {
		q := &r.waiting[i]
		for q.backlog.len() > 0 {
			r.ledger.dropped(now, q.backlog.pop().intended, lost)
		}
		for _, w := range q.idle {
			close(w.wake)
		}
		q.idle = nil
	}
	for ; r.more && lost != ""; r.upcoming() {
		r.ledger.planned(now)
		r.ledger.dropped(now, r.next.intended, lost)
	}
}
