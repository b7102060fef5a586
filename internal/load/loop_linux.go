package load

import (
	"cmp"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// readFirst is how many answers are read, and their times taken, before further
// requests are written: a write takes four times as long as a read, and an answer's time is not to
// include the writing of other requests.
const readFirst = 32

// loop drives its share of the arrivals and connections of a phase, on one thread.
type loop struct {
	run          *rawRun
	ledger       *ledger // locked while events are handled, not while waiting
	poll         *poll
	conns        []*rawConn
	destinations []destination // by server
	buf          []byte        // what was read last
	out          []byte        // the request being written
	names        map[string]string
	memo         memo
	checkFirst   bool  // a server closed connections unannounced: look before each request
	clock        int64 // when now was last asked
	broken       error
	thread       atomic.Int64 // that it runs on; 0 until then
	kept         int          // connections that were open at its end
	watch        *watch       // looks out for absences on this thread; nil: another does

	// Open model.
	schedule *Schedule
	next     arrival
	more     bool       // next is one
	queues   []rawQueue // by server
	waiting  int        // arrivals in all backlogs

	// Closed model.
	begun    int       // connections that have started
	ready    ring[due] // to be sent now
	think    ring[due] // in order of time, since each waits equally long
	paused   ring[due] // likewise
	closed   bool      // the closed model
	left     int64     // requests that may still be sent; counted only if the phase has a number of them
	spent    bool      // all of them have been sent
	slice    Slice     // under way
	done     bool      // with it
	starting []due     // in it, in order of time
	over     bool      // nothing is sent any more
	first    *rawConn  // in flight, longest first
	latest   *rawConn
	flying   int
}

// rawQueue is what waits for one server.
type rawQueue struct {
	backlog ring[arrival]
	idle    []*rawConn // the one used last at the end: it is used next
}

// free takes the connection used last.
func (q *rawQueue) free() *rawConn {
	last := len(q.idle) - 1
	c := q.idle[last]
	q.idle = q.idle[:last]
	return c
}

// due is a closed-model connection and when it sends.
type due struct {
	conn *rawConn
	at   int64
}

func (r *rawRun) newLoop(share Share, first bool) (*loop, error) {
	l := &loop{
		run: r, buf: make([]byte, 64<<10), out: make([]byte, 0, bufferSize),
		names: map[string]string{}, closed: r.job.Phase.Model == Closed,
		ledger: newLedger(&r.job, first),
	}
	for _, p := range r.destinations {
		l.destinations = append(l.destinations, p.own())
	}
	l.queues = make([]rawQueue, len(l.destinations))
	if r.job.Phase.Requests > 0 {
		l.left = share.part(r.job.Phase.Requests)
		l.spent = l.closed && l.left == 0
		l.over = l.spent
	}
	var err error
	if !l.closed {
		if l.schedule, err = NewSchedule(r.job.Seed, r.job.Phase, share); err != nil {
			return nil, err
		}
		l.advance()
	}
	if l.poll, err = newPoll(); err != nil {
		return nil, err
	}
	mine := r.job
	mine.Share = share
	for _, number := range mine.connections() {
		c := &rawConn{
			loop: l, index: len(l.conns), number: number, fd: -1, stream: r.job.stream(-1),
			server: r.spread.serverOf(number, r.job.Phase.Model, share),
		}
		c.destination, c.parser.memo = &l.destinations[c.server], &l.memo
		if l.closed {
			c.stream = r.job.stream(number)
		}
		l.conns = append(l.conns, c)
	}
	for _, c := range slices.Backward(l.conns) { // the first is used first
		if q := &l.queues[c.server]; !l.closed {
			q.idle = append(q.idle, c)
		}
	}
	return l, nil
}

// advance takes the next arrival from the schedule.
func (l *loop) advance() {
	n, at, ok := l.schedule.Next()
	l.next, l.more = arrival{n: n, intended: int64(at), url: l.run.spread.open(n)}, ok
}

// now is the time since the phase's start.
func (l *loop) now() int64 {
	l.clock = int64(time.Since(l.run.start))
	return l.clock
}

// work waits for what comes first: an event, an arrival, a time-out, the end.
func (l *loop) work() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The kernel may otherwise delay every wake-up by 50 us to save power.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0)
	l.thread.Store(int64(unix.Gettid()))
	if l.run.sliced {
		defer l.thread.Store(0) // the next slice has another
	} else {
		defer l.closeAll()
	}
	var out *sampler
	if l.watch != nil {
		out = l.watch.sampler()
		defer out.close()
	}
	var events []unix.EpollEvent
	for {
		l.lock(out)
		for i := range events {
			l.handle(&events[i])
			if i%readFirst == readFirst-1 {
				l.dispatch()
			}
		}
		wake, more := l.turn()
		l.done = !more
		l.ledger.mu.Unlock()
		if !more {
			return
		}
		meant := wake - l.clock
		if out != nil {
			meant = min(meant, int64(sleepAtMost))
		}
		slept := l.clock
		if events, l.broken = l.poll.wait(meant); l.broken != nil {
			return
		}
		if now := l.now(); out != nil {
			out.woke(now, slept, l.poll.rounded(meant))
		}
	}
}

// lock takes the ledger. Waiting for another goroutine to give it back is no absence.
func (l *loop) lock(out *sampler) {
	if l.ledger.mu.TryLock() {
		return
	}
	from := l.now()
	l.ledger.mu.Lock()
	if now := l.now(); out != nil {
		out.idle += now - from
	}
}

// handle passes an event to its connection, unless that has another socket by now.
func (l *loop) handle(ev *unix.EpollEvent) {
	if ev.Fd == kicked {
		l.poll.drain()
		return
	}
	if c := l.conns[ev.Fd]; c.fd >= 0 && c.generation == ev.Pad {
		c.event(ev.Events)
		if l.more && l.next.intended <= l.clock && l.clock >= l.run.begin && !l.over {
			l.arrive()
		}
	}
}

// turn does all that is due and returns when the next thing is; false: all is done.
func (l *loop) turn() (wake int64, more bool) {
	if l.run.stopped.Load() {
		l.cut()
		return 0, false
	}
	l.expire(l.clock)
	if !l.over && l.now() >= l.run.begin {
		l.arrive()
		l.dispatch()
	}
	now := l.now()
	if !l.over {
		l.finish(now)
	}
	if l.flying == 0 && l.over && (now >= l.run.end || l.run.barred.Load() || l.spent) {
		return 0, false
	}
	wake = now + int64(time.Hour)
	if l.first != nil {
		wake = min(wake, l.first.res.sent+int64(l.run.job.Phase.Timeout))
	}
	if l.over {
		if now < l.run.end {
			wake = min(wake, l.run.end)
		}
		return wake, true
	}
	return min(wake, l.nextDue(now)), true
}

// nextDue is when something is to be sent, dropped or ended.
func (l *loop) nextDue(now int64) int64 {
	if now < l.run.begin {
		return l.run.begin
	}
	wake := l.run.end
	if l.closed {
		if l.begun < len(l.conns) {
			wake = min(wake, l.startOf(l.conns[l.begun]))
		}
		if len(l.starting) > 0 {
			wake = min(wake, l.starting[0].at)
		}
		for _, waiting := range []*ring[due]{&l.think, &l.paused} {
			if waiting.len() > 0 {
				wake = min(wake, waiting.head().at)
			}
		}
		return wake
	}
	if l.waiting > 0 {
		if !l.run.sliced {
			wake = l.run.end + int64(endGrace)
		} else if now >= l.run.end {
			wake = now + int64(time.Hour)
		}
		for i := range l.queues {
			if backlog := &l.queues[i].backlog; backlog.len() > 0 {
				wake = min(wake, backlog.head().intended+int64(l.run.job.Phase.Timeout))
			}
		}
	}
	if l.pending() {
		wake = min(wake, l.next.intended)
	}
	return wake
}

// pending reports whether another arrival is to be taken up before the sending ends.
func (l *loop) pending() bool { return l.more && l.next.intended < l.run.end }

// expire ends requests and drops arrivals that have waited for the time-out.
func (l *loop) expire(now int64) {
	timeout := int64(l.run.job.Phase.Timeout)
	for l.first != nil && l.first.res.sent+timeout <= now {
		l.first.fail(unix.ETIMEDOUT)
	}
	for i := 0; l.waiting > 0 && i < len(l.queues); i++ {
		for q := &l.queues[i]; q.backlog.len() > 0 && q.backlog.head().intended+timeout <= now; {
			l.ledger.book.dropped(now, l.oldest(q).intended, "")
		}
	}
}

// oldest takes the arrival that has waited longest for a server.
func (l *loop) oldest(q *rawQueue) arrival {
	l.waiting--
	return q.backlog.pop()
}

// dropAll gives up what waits.
func (l *loop) dropAll(now int64, lost string) {
	for i := range l.queues {
		for q := &l.queues[i]; q.backlog.len() > 0; {
			l.ledger.book.dropped(now, l.oldest(q).intended, lost)
		}
	}
}

// arrive takes up all that is due by the clock.
func (l *loop) arrive() {
	if l.closed {
		l.arriveClosed()
		return
	}
	for now := l.now(); l.pending() && l.next.intended <= now && !l.run.stopped.Load(); l.advance() {
		l.ledger.book.planned(now)
		q := &l.queues[l.run.spread.origins[l.next.url].server]
		if len(q.idle) > 0 && q.backlog.len() == 0 {
			at := l.now()
			l.ledger.book.taken(at, at-l.next.intended, false)
			l.send(q.free(), l.next, at)
		} else {
			l.ledger.book.taken(now, now-l.next.intended, true)
			q.backlog.push(l.next)
			l.waiting++
		}
	}
}

// arriveClosed finds the connections that are to send now.
func (l *loop) arriveClosed() {
	now := l.now()
	for ; l.begun < len(l.conns); l.begun++ {
		at := l.startOf(l.conns[l.begun])
		if at > now {
			break
		}
		l.ready.push(due{l.conns[l.begun], at})
	}
	for len(l.starting) > 0 && l.starting[0].at <= now {
		l.ready.push(l.starting[0])
		l.starting = l.starting[1:]
	}
	for _, waiting := range []*ring[due]{&l.think, &l.paused} {
		for waiting.len() > 0 && waiting.head().at <= now {
			l.ready.push(waiting.pop())
		}
	}
}

// dispatch sends what waits on connections that are free.
func (l *loop) dispatch() {
	for l.ready.len() > 0 && !l.over {
		now := l.now()
		if now >= l.run.end || !l.permitted() {
			l.over = true // what is ready is sent in the next slice
			return
		}
		d := l.ready.pop()
		l.ledger.book.planned(now)
		l.ledger.book.taken(now, now-d.at, false)
		d.conn.begin(arrival{n: d.conn.n, intended: d.at, url: l.run.spread.closed(d.conn.server, d.conn.number, d.conn.n)}, now)
		d.conn.n++
		if l.left--; l.left == 0 { // below 0 it is not counted
			l.over, l.spent = true, true
		}
	}
	for i := 0; l.waiting > 0 && i < len(l.queues); i++ {
		for q := &l.queues[i]; q.backlog.len() > 0 && len(q.idle) > 0 && !l.over; {
			now := l.now()
			if l.expire(now); q.backlog.len() > 0 {
				l.send(q.free(), l.oldest(q), now)
			}
		}
	}
}

// send begins an open-model request, or drops the arrival where it may not be sent any more.
func (l *loop) send(c *rawConn, a arrival, now int64) {
	lost := ""
	switch {
	case !l.permitted():
		lost = lostPermit
	case now > l.run.end+int64(lateGrace) && !l.run.sliced, now > a.intended+int64(l.run.job.Phase.Timeout):
		lost = lostLoop
	default:
		c.begin(a, now)
		return
	}
	l.ledger.book.dropped(now, a.intended, lost)
	l.release(c)
}

// release makes a connection free for the next arrival at its server.
func (l *loop) release(c *rawConn) {
	q := &l.queues[c.server]
	q.idle = append(q.idle, c)
}

// permitted asks for the permission to send; once refused it stays so.
func (l *loop) permitted() bool {
	r := l.run
	if r.barred.Load() {
		return false
	}
	if r.job.Permit != nil && !r.job.Permit() {
		r.barred.Store(true)
		for _, other := range r.loops {
			other.poll.kick()
		}
		return false
	}
	return true
}

// finish ends the sending when its time has come, or the permission is gone.
func (l *loop) finish(now int64) {
	barred := l.run.barred.Load()
	if !barred && !l.closed && !l.more && l.waiting == 0 && l.schedule.spent() {
		l.over, l.spent = true, true
		return
	}
	last := l.run.end
	if l.waiting > 0 {
		last += int64(endGrace)
	}
	if !barred && (now < last || l.pending() || l.run.sliced && l.waiting > 0) {
		return
	}
	l.over = true
	lost := ""
	if barred {
		lost = lostPermit
	}
	l.dropAll(now, lost)
	for ; barred && l.more; l.advance() {
		l.ledger.book.planned(now)
		l.ledger.book.dropped(now, l.next.intended, lost)
	}
}

// cut ends everything at once.
func (l *loop) cut() {
	l.over = true
	for l.first != nil {
		l.first.fail(errInterrupted)
	}
	l.dropAll(l.now(), "")
}

func (l *loop) closeAll() {
	l.ledger.mu.Lock()
	defer l.ledger.mu.Unlock()
	for _, c := range l.conns {
		if c.fd >= 0 && c.destination.family != unix.AF_UNIX {
			l.kept++
		}
		c.close()
	}
}

// again makes the loop ready for a slice: connections that have nothing else to wait for start one after another.
func (l *loop) again(s Slice) {
	l.ledger.begin(s)
	if s.Fresh {
		for _, c := range l.conns {
			c.close()
		}
	}
	l.over, l.done = false, false
	l.slice = s
	left := l.starting
	l.starting = nil
	for _, d := range left {
		l.ready.push(d)
	}
	for l.ready.len() > 0 {
		d := l.ready.pop()
		d.at = s.startOf(d.conn.number, l.run.job.Phase.Connections)
		l.starting = append(l.starting, d)
	}
	slices.SortFunc(l.starting, func(a, b due) int { return cmp.Compare(a.at, b.at) })
}

// startOf is when a connection that has not begun yet does.
func (l *loop) startOf(c *rawConn) int64 {
	return max(int64(closedStart(l.run.job.Phase, c.number)), l.slice.startOf(c.number, l.run.job.Phase.Connections))
}

// stuckSince is since when the request in flight or the waiting arrival has been so that has been so longest; the latest time of
// all where there is none.
func (l *loop) stuckSince() int64 {
	since := int64(math.MaxInt64)
	if l.first != nil {
		since = l.first.res.sent
	}
	for i := range l.queues {
		if backlog := &l.queues[i].backlog; backlog.len() > 0 {
			since = min(since, backlog.head().intended)
		}
	}
	return since
}
