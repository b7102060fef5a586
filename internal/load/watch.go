package load

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bakeoff/internal/stats"
)

const (
	// lookEvery is the age from which on a sampler reads its thread's counters again.
	lookEvery = 20 * time.Millisecond
	// sleepAtMost is how long a thread that looks out sleeps at a time: an absence within a sleep is not seen. Each
	// wake-up costs as much as two requests.
	sleepAtMost = 50 * time.Millisecond
	// awayAfter is from when on a thread counts as having been away.
	awayAfter = time.Millisecond
	// countEvery is how often the open descriptors are counted.
	countEvery = 100 * time.Millisecond
)

// A watch finds out, in addition to the loops, what their process has and lacks. One
// thread looks out for absences: a loop that has its own, whenever it
// wakes, or one that does nothing else (see alone). When it comes back later than it meant to, the
// others were away too.
type watch struct {
	start   time.Time
	held    func() int   // connections that hold a local port; the loops stand still during that time
	threads func() []int // of the loops, where each has its own

	away    chan absence
	once    sync.Once
	ended   chan struct{}
	stopped chan struct{} // nil: no thread of its own
	open    atomic.Int64  // most descriptors open at a look since they were last asked for
	seen    []absence     // gathered, and in no window yet
	before  counters
}

// absence is a stretch in which the process did not run.
type absence struct {
	from, length time.Duration // since the start
	ready        bool          // it was ready to run and had no core
}

// counters are what only grows; the differences are a window's.
type counters struct {
	throttled, stolen time.Duration
	run, wait         map[int]time.Duration // by thread
}

// newWatch begins to watch. A nil watch knows nothing and can be used.
func newWatch(start time.Time, held func() int, threads func() []int) *watch {
	w := &watch{
		start: start, held: held, threads: threads, away: make(chan absence, 1024),
		ended: make(chan struct{}),
	}
	w.before = w.count()
	return w
}

// alone starts a thread that only looks out, for loops that have none of their own; end it.
func (w *watch) alone() {
	w.stopped = make(chan struct{})
	go func() {
		defer close(w.stopped)
		w.sleep()
	}()
}

// end waits until the watch's own thread has ended; fill may still be called.
func (w *watch) end() {
	if w != nil && w.stopped != nil {
		w.once.Do(func() { close(w.ended) })
		<-w.stopped
	}
}

// note keeps an absence until its window is passed on; it never waits.
func (w *watch) note(from time.Time, length time.Duration, ready bool) {
	if early := w.start.Sub(from); early > 0 {
		from, length = w.start, length-early
	}
	if length <= 0 {
		return
	}
	select {
	case w.away <- absence{from.Sub(w.start), length, ready}:
	default: // a thousand in a second: the cause is known by then
	}
}

// fill puts the agent's resources into windows that are about to be passed on, in order. What cannot
// be divided by window is in the first of them.
func (w *watch) fill(windows []stats.Window) {
	if w == nil || len(windows) == 0 {
		return
	}
	m := w.gauges()
	now := w.count()
	for i := range windows {
		one := m
		if i == 0 {
			now.since(&w.before, &one, w.threads())
		}
		windows[i].Resources = &one
	}
	w.before = now
	w.gather()
	for _, one := range windows {
		w.seen = slices.DeleteFunc(w.seen, func(a absence) bool {
			if a.from >= one.End() {
				return false
			}
			if a.ready { // it may have begun earlier, and ended when that window had been passed on
				one.Resources.Starved += int64(a.length)
			} else {
				one.Resources.Stopped += int64(a.length)
			}
			return true
		})
	}
}

// gather takes in the absences so far.
func (w *watch) gather() {
	for {
		select {
		case a := <-w.away:
			w.seen = append(w.seen, a)
		default:
			return
		}
	}
}

// since writes the differences.
func (c counters) since(before *counters, m *stats.Resources, threads []int) {
	m.Throttled = int64(max(c.throttled-before.throttled, 0))
	m.Stolen = int64(max(c.stolen-before.stolen, 0))
	for _, id := range threads {
		m.LoopCPU = append(m.LoopCPU, int64(c.run[id]-before.run[id]))
		m.LoopWait = append(m.LoopWait, int64(c.wait[id]-before.wait[id]))
	}
}
