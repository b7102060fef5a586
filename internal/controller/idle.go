package controller

import (
	"fmt"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/venue"
)

// maxIdle is the share of the CPU time of all cores that a target which is not frozen may use while it is
// not its turn.
const maxIdle = 0.01

// idleClock is the CPU time that a target uses while it is not its turn.
type idleClock struct {
	venue venue.Venue
	pids  []int
	began time.Time
	first time.Duration
	used  *time.Duration // in its turns
	away  *time.Duration // how long these were
}

// newIdleClock begins to count for one target.
func (b *block) newIdleClock(t *trial) idleClock {
	c := idleClock{venue: b.run.o.Venue, began: time.Now(), used: new(time.Duration), away: new(time.Duration)}
	for _, source := range t.d.sources() {
		if source.Tier == "target" {
			c.pids = append(c.pids, source.Process.PIDs()...)
		}
	}
	c.first = c.venue.Clock(c.pids)
	return c
}

// turn begins the target's turn; the function returned ends it.
func (c idleClock) turn() func() {
	before, began := c.venue.Clock(c.pids), time.Now()
	return func() {
		*c.used += c.venue.Clock(c.pids) - before
		*c.away += time.Since(began)
	}
}

// share is what the target used of all cores while others had their turns.
func (c idleClock) share() float64 {
	passed := float64(time.Since(c.began)-*c.away) * float64(max(c.venue.Machine().Cores, 1))
	if passed <= 0 {
		return 0
	}
	return max(0, float64(c.venue.Clock(c.pids)-c.first-*c.used)/passed)
}

// restless refuses a target that is not frozen and works while it is not its turn, and ends the turns of
// the run.
func (b *block) restless(t *trial, spent record.PhaseTurns) {
	if spent.Frozen || spent.IdleShare <= maxIdle {
		return
	}
	why := fmt.Errorf("%s is not frozen and used %.1f %% of the machine while it was not its turn",
		t.rec.Target, 100*spent.IdleShare)
	t.refuse(record.CodeBlock, why)
	b.run.noTurns = why
}
