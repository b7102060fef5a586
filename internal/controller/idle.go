package controller

import (
	"context"
	"errors"
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
func newIdleClock(v venue.Venue, t *trial) idleClock {
	c := idleClock{venue: v, began: time.Now(), used: new(time.Duration), away: new(time.Duration)}
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
	b.run.o.noTurns = why
}

// idleLook is how long a target that cannot be frozen is watched in each look of the pilot, while nobody asks it.
const idleLook = time.Second

// idleAlone ends the turns before the first block where a target cannot be frozen and works while nobody asks it.
func (r *run) idleAlone(ctx context.Context, t *trial) error {
	if r.inTurns() != nil {
		return nil
	}
	err := t.d.freeze(ctx)
	if err == nil {
		return t.d.thaw(ctx)
	}
	if clock := newIdleClock(r.o.Venue, t); !errors.Is(err, venue.ErrNoFreezing) || len(clock.pids) == 0 {
		return nil // what fails here fails in the block, with its reason
	}
	share, watched := r.idlest(ctx, t)
	if watched && share > maxIdle {
		r.o.noTurns = fmt.Errorf("%s cannot be frozen and used %.1f %% of the machine in the pilot while nobody asked it", t.rec.Target, 100*share)
		return r.noteTurns()
	}
	return nil
}

// idlest is the least share that a target used in a look, of those up to the first that finds it idle, and of restLooks at most:
// right after a load it may still be tidying up. watched is false where the run ended during that time.
func (r *run) idlest(ctx context.Context, t *trial) (share float64, watched bool) {
	share = 1
	for range restLooks {
		clock := newIdleClock(r.o.Venue, t)
		select {
		case <-ctx.Done():
			return share, false
		case <-time.After(idleLook):
		}
		if share = min(share, clock.share()); share <= maxIdle {
			break
		}
	}
	return share, true
}
