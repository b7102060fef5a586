package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/record"
	"bakeoff/internal/venue"
)

// block is one block whose targets take turns. They are up together; all but the one whose turn it is
// stand still.
type block struct {
	run    *run
	last   bool     // it is not tried again
	trials []*trial // in the order of the block
	up     []*trial // those that are measured
	shares *shares
	alone  bool // one target by itself, whose warm-up ends when it is steady
}

// conduct takes all targets through the block and writes their trials. The error is for what ends the run.
func (b *block) conduct(ctx context.Context) ([]record.Trial, error) {
	fatal := b.body(ctx)
	for _, t := range b.trials {
		fatal = t.examined(ctx, fatal)
	}
	if b.run.o.Keep && fatal == nil && ctx.Err() == nil && b.trials[0].d != nil {
		b.trials[0].hold(ctx)
	}
	ending := b.blame(fatal) // before anything is stopped
	b.end(ctx, ending)
	b.spoil(ctx, fatal)
	var out []record.Trial
	var writing error
	for _, t := range b.trials {
		rec, err := t.write()
		out, writing = append(out, rec), errors.Join(writing, err)
	}
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	return out, errors.Join(ending, writing)
}

// end stops all targets side by side and refuses their trials for what is found then. None is written before: what one left may
// refuse the others.
func (b *block) end(ctx context.Context, ending error) {
	for _, t := range b.trials {
		t.stop(ctx)
	}
	for _, t := range b.trials {
		t.stopped(ctx)
	}
	b.haunted()
	for _, t := range b.trials {
		t.conclude(ctx, ending)
	}
}

// haunted reports whether processes outlived a target that may be another one's; then it refuses all of them.
func (b *block) haunted() bool {
	for _, t := range b.trials {
		if t.unclaimed != nil {
			b.refuseOthers(t.unclaimed)
			return true
		}
	}
	return false
}

// blame is trial.blame by the first target that can name what has ended under way.
func (b *block) blame(fatal error) error {
	if fatal == nil {
		return nil
	}
	for _, t := range b.trials {
		if cause := t.cause(); cause != nil {
			return therefore(cause, fatal)
		}
	}
	return fatal
}

// spoil refuses the valid trials of a block in which another one is not, where all are measured again.
func (b *block) spoil(ctx context.Context, fatal error) {
	if b.last || fatal != nil || ctx.Err() != nil {
		return
	}
	for _, bad := range b.trials {
		if bad.rec.Status == record.Valid {
			continue
		}
		b.refuseOthers(fmt.Errorf("%s was refused in this block (%s), and its targets are measured together",
			bad.rec.Target, bad.rec.Reasons[0].Code))
		return
	}
}

// body is the block from the look at the table to the checks after the load. A target that fails before
// the load is left out where the block is not tried again, and else ends it.
func (b *block) body(ctx context.Context) error {
	first := b.trials[0]
	if err := first.own("table", "", func() error { return b.run.stage.look(ctx) }); err != nil {
		return fmt.Errorf("before block %d: %w", first.rec.Block, err)
	}
	b.deploy(ctx)
	if ctx.Err() != nil || failed(b.trials) && !b.last {
		return nil
	}
	for _, t := range b.trials {
		if t.rec.Status != record.Valid {
			continue
		}
		ok, err := t.check(ctx, before)
		if err != nil || ctx.Err() != nil || !ok && !b.last {
			return err
		}
		if ok {
			b.up = append(b.up, t)
		}
	}
	if !b.drop(ctx) || len(b.up) == 0 {
		return nil
	}
	if err := b.load(ctx); err != nil || ctx.Err() != nil || failed(b.up) && !b.last {
		return err
	}
	for _, t := range b.up {
		if _, err := t.check(ctx, after); err != nil {
			return err
		}
	}
	return nil
}

// deploy starts all targets side by side: nothing is measured yet. Each has its share of the time.
func (b *block) deploy(ctx context.Context) {
	owns := b.run.stage.owns()
	launches := make([]launch, len(b.trials))
	for i, t := range b.trials {
		if launches[i] = t.launch(); owns {
			t.say("starting", 0)
		}
	}
	began := time.Now()
	all := b.run.stage.deploy(ctx, launches...)
	share := time.Since(began).Seconds() / float64(len(all))
	for i, t := range b.trials {
		if owns {
			t.rec.Timeline = append(t.rec.Timeline, record.Step{Name: "start", Seconds: share})
		}
		if err := t.deployed(all[i]); err != nil {
			t.refuse(reasonOf(err), err)
		}
	}
}

// drop stops the targets that are refused, while others are still to be measured: unfrozen they would work in others' turns.
// It reports whether they were stopped; where one was not, or left what may be another's, it refuses the others, too.
func (b *block) drop(ctx context.Context) bool {
	var still *trial
	for _, t := range b.trials {
		if t.rec.Status == record.Valid {
			continue
		}
		if !t.stopped(ctx) {
			still = t
		}
	}
	if still != nil {
		b.refuseOthers(fmt.Errorf("%s could not be stopped and may work in the turns of others", still.rec.Target))
	}
	haunted := b.haunted()
	b.up = slices.DeleteFunc(b.up, func(t *trial) bool { return t.rec.Status != record.Valid })
	return still == nil && !haunted
}

// refuseOthers refuses the trials that are still valid for what happened to another one.
func (b *block) refuseOthers(why error) {
	for _, t := range b.trials {
		if t.rec.Status == record.Valid {
			t.refuse(record.CodeBlock, why)
		}
	}
}

// failed reports whether a trial is refused.
func failed(trials []*trial) bool {
	return slices.ContainsFunc(trials, func(t *trial) bool { return t.rec.Status != record.Valid })
}

// load runs every phase in turns with one sampler on.
func (b *block) load(ctx context.Context) error {
	b.shares = newShares(b.run, slices.Clone(b.up))
	every := time.Duration(len(b.up)) * sampleEvery // a second of each target's own time
	sampler := b.run.o.Venue.Sample(context.WithoutCancel(ctx), every, b.shares.sources(), b.run.stage.gauges(),
		b.shares.line)
	if err := b.phases(ctx, sampler); err != nil {
		return errors.Join(err, sampler.Stop())
	}
	if err := sampler.Stop(); err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	return nil
}

// phases runs the plan's phases, and then the stages of a capacity.
func (b *block) phases(ctx context.Context, sampler venue.Sampler) error {
	phases := b.up[0].phases
	for i, phase := range phases {
		if few := b.run.tooFew(phase); few != nil {
			for _, t := range b.up {
				t.refuse(record.CodeTooFewArrivals, few)
			}
			return nil
		}
		if on, err := b.one(ctx, sampler, phase, i == len(phases)-1); err != nil || !on {
			return err
		}
	}
	return b.stages(ctx, sampler)
}

// one runs one phase and reports whether another may follow.
func (b *block) one(ctx context.Context, sampler venue.Sampler, phase load.Phase, last bool) (on bool, err error) {
	began := time.Now()
	err = b.phase(ctx, sampler, phase, last)
	for _, t := range b.up { // each has its share of the time
		share := time.Since(began).Seconds() / float64(len(b.up))
		t.rec.Timeline = append(t.rec.Timeline, record.Step{Name: phase.Name, Seconds: share})
	}
	if err != nil || failed(b.up) && !b.last || ctx.Err() != nil {
		return false, err
	}
	if !b.drop(ctx) || len(b.up) == 0 {
		return false, nil
	}
	return true, b.run.stage.putBack(ctx)
}
