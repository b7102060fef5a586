package fleet

import (
	"sync"
	"time"
)

// measures is how many of the latest round trips a clock remembers.
const measures = 16

// sameClock is how far two readings of one clock may lie apart beyond the error of the measure.
const sameClock = time.Millisecond

// clock relates the controller's wall clock to this process: half of the
// shortest recent round trip bounds the error (as NTP does, RFC 5905 section 8).
type clock struct {
	mu    sync.Mutex
	trips [measures]trip
	count int
}

// trip is one measure: this wall clock less the controller's, +- half.
type trip struct{ shift, half time.Duration }

// learn takes one round trip: sent and got by this clock, theirs in between.
func (c *clock) learn(sent, got time.Time, theirs int64) {
	half := got.Sub(sent) / 2
	middle := sent.UnixNano() + int64(half)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trips[c.count%measures] = trip{shift: time.Duration(middle - theirs), half: half}
	c.count++
}

// shift is the best measure there is.
func (c *clock) shift() (shift, half time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	best := c.trips[0]
	for _, t := range c.trips[:min(c.count, measures)] {
		if t.half < best.half {
			best = t
		}
	}
	return best.shift, best.half
}

// local is an instant of the controller's wall clock as an instant of this
// process, with a monotonic reading. Clocks that the measure cannot distinguish are taken as one.
func (c *clock) local(at int64) time.Time {
	shift, half := c.shift()
	if shift.Abs() <= half+sameClock {
		shift = 0
	}
	now := time.Now()
	return now.Add(time.Duration(at-now.UnixNano()) + shift)
}
