package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/record"
)

const (
	// redrawEvery is how much of a phase's time passes at least before the connections are drawn again.
	redrawEvery = time.Second
	// mostRedraws bounds how often that is in one phase.
	mostRedraws = 7
)

// errNoRedraw is returned where the cost of new connections would not be over with the run-in.
var errNoRedraw = errors.New("connections are not redrawn")

// roundsPerDraw is after how many rounds of slices of this length the connections of all targets are drawn again: which
// worker of a replica holds which of them is left to luck. Only the closed model has a run-in that hides what
// opening them costs. 0: never.
func roundsPerDraw(p load.Phase, length time.Duration) int {
	if p.Model != load.Closed || p.Reconnect {
		return 0
	}
	every := max(redrawEvery, p.Duration/(mostRedraws+1))
	return max(1, int((every+length-1)/length))
}

// redraw draws the connections of all targets again where that is due behind a round, and has each target's next
// slice begin with fresh ones. Nothing is under way.
func (ts *turns) redraw(ctx context.Context, length time.Duration) error {
	every := roundsPerDraw(ts.phase, length)
	if every == 0 || ts.kept || ts.rounds%every != 0 || ts.rec.Redraws == mostRedraws || !ts.left() {
		return nil
	}
	errs, wait := make([]error, len(ts.up)), sync.WaitGroup{}
	for i, t := range ts.up {
		wait.Go(func() { errs[i] = t.d.redraw(ctx) })
	}
	wait.Wait()
	err := errors.Join(errs...)
	if errors.Is(err, errNoRedraw) {
		ts.kept = true
		return nil
	}
	if err != nil {
		return ts.notRedrawn(ctx, errs)
	}
	ts.rec.Redraws++
	for i := range ts.fresh {
		ts.fresh[i] = true
	}
	return nil
}

// notRedrawn ends the phase and refuses the block, by target where its connections could not be redrawn. The error is for what
// ends the run.
func (ts *turns) notRedrawn(ctx context.Context, errs []error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := ts.run.o.Venue.Lost(); err != nil {
		return err
	}
	ts.stuck = true
	for i, t := range ts.up {
		if errs[i] != nil {
			t.refuse(record.CodeBlock, fmt.Errorf("phase %s: the connections of %s could not be redrawn: %w", ts.phase.Name, t.rec.Target, errs[i]))
		}
	}
	ts.refuseOthers(fmt.Errorf("phase %s ended early: the connections of another target could not be redrawn", ts.phase.Name))
	return nil
}
