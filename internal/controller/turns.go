package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

const (
	// leastRunIn is how much of each slice of the closed model is booked aside at least.
	leastRunIn = 50 * time.Millisecond
	// runInMedians and sliceMedians are how many median response times of the slowest target a run-in
	// and a slice take at least.
	runInMedians = 2
	sliceMedians = 10
)

// errNoTurns is why targets are measured one after another where the plan does not ask for turns.
var errNoTurns = errors.New("the plan asks for none")

// inTurns is nil where the targets of a block take turns, and else why they do not.
func (o *Options) inTurns() error {
	p := o.Plan
	switch {
	case p.Turns == 0:
		return errNoTurns
	case p.Uses(plan.JMeter):
		return errors.New("a JVM cannot change its target several times a second, and JMeter drives a phase")
	case o.noTurns != nil:
		return o.noTurns
	case len(p.Targets) < 2:
		return errors.New("there is only one target")
	case len(p.Balancer.ReplicaPorts) > 0:
		return errors.New("an external balancer expects the replicas of each target at the same ports")
	}
	return nil
}

// inTurns is Options.inTurns.
func (r *run) inTurns() error { return r.o.inTurns() }

// roomFor is why the database's limit does not allow the connections of all targets at once; held are open already.
func (o *Options) roomFor(entrants []*entrant, limit, held int) error {
	if need := o.together(entrants) + held; need > limit {
		return fmt.Errorf("all at once may open %d connections to the database (%d of them are bakeoff's own and others'), and it allows %d",
			need, spareConnections+held, limit)
	}
	return nil
}

// decideTurns ends the turns where the plan's own limit leaves too few database connections for all targets at once. It is to be
// called once the recipes are resolved, before inTurns.
func (o *Options) decideTurns(entrants []*entrant) {
	if limit := o.Plan.Database.MaxConnections; limit > 0 && o.inTurns() == nil {
		o.noTurns = o.roomFor(entrants, limit, 0)
	}
}

// noConnections ends the turns before anything is measured where an external database has too few connections for all targets at once.
func (s *recipes) noConnections(ctx context.Context) error {
	if s.o.Plan.Database.Kind != "external" || s.dbInfo.MaxConnections == 0 || s.o.inTurns() != nil {
		return nil
	}
	held, err := s.db.ConnectionCount(ctx)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	s.o.noTurns = s.o.roomFor(s.entrants, s.dbInfo.MaxConnections, held)
	return nil
}

// noteTurns says before the first block why a plan that asks for turns has none.
func (r *run) noteTurns() error {
	why := r.inTurns()
	if why == nil || errors.Is(why, errNoTurns) {
		return nil
	}
	text := "the targets do not take turns: " + why.Error()
	r.o.tell(record.Progress{Text: text, Lasting: true})
	return r.writer.Update(func(rec *record.Run) {
		addNote(rec, text)
		r.keepNoTurns(rec)
	})
}

// keepNoTurns keeps why the turns ended, for a run that is resumed.
func (r *run) keepNoTurns(rec *record.Run) {
	if r.o.noTurns != nil {
		rec.NoTurns = r.o.noTurns.Error()
	}
}

// learn keeps the median response time that is first seen of a target.
func (r *run) learn(name string, found stats.Totals) {
	if r.pilot.MedianNS == nil {
		r.pilot.MedianNS = map[string]int64{}
	}
	if r.pilot.MedianNS[name] == 0 && found.Response != nil && found.Response.Count() > 0 {
		median, _ := found.Response.Quantile(0.5)
		r.pilot.MedianNS[name] = int64(median)
	}
}

// slowest is the greatest median response time of a target.
func (r *run) slowest() (slowest time.Duration) {
	for _, median := range r.pilot.MedianNS {
		slowest = max(slowest, time.Duration(median))
	}
	return slowest
}

// pace says how many slices a phase has, how long each is, and how much of it is booked aside: the same
// for all targets.
func (r *run) pace(p load.Phase) (n int, length, runIn time.Duration) {
	slowest := r.slowest()
	if p.Model == load.Closed {
		runIn = max(leastRunIn, runInMedians*slowest)
	}
	least := max(sliceMedians*slowest, 2*runIn, r.leastSlice())
	if r.isStage(p) {
		least = max(least, plan.StageSlice)
	}
	length = max(cmp.Or(time.Duration(r.o.Plan.Turns), aloneSlice), least)
	n = max(1, min(int((p.Duration+length/2)/length), int(p.Duration/max(least, 1)))) // the nearest number, but none shorter than the least
	length = p.Duration / time.Duration(n)
	return n, length, min(runIn, length/2)
}

// sparePart is the part of a phase's rounds that may have another in their place, where an agent was late or stood still in them:
// behind the phase's own time, so that each target has all of it undisturbed.
const sparePart = 5

// spare is how much longer a phase may last for that; a warm-up counts nothing.
func (r *run) spare(p load.Phase, rounds int, length time.Duration) time.Duration {
	if r.isWarmup(p) {
		return 0
	}
	return time.Duration(max(1, rounds/sparePart)) * length
}

// leastStall and stallMedians are from when on a request that is under way extends a slice of the open model.
const (
	leastStall   = 50 * time.Millisecond
	stallMedians = 4
)

// stall is for how long something must have been under way to extend a target's slice; 0: nothing does.
func (r *run) stall(p load.Phase, name string) time.Duration {
	if p.Model != load.Open {
		return 0
	}
	return max(leastStall, stallMedians*time.Duration(r.pilot.MedianNS[name]))
}

// together measures all targets of a block in turns, and again, all of them, where a trial of the block is
// not valid.
func (r *run) together(ctx context.Context, places []plan.Trial) error {
	for {
		attempt := 1
		for _, p := range places {
			attempt = max(attempt, r.tried[trialKey{p.Block, p.Target}]+1)
		}
		if attempt > r.attempts() {
			return nil
		}
		all, err := r.tryTogether(ctx, places, attempt)
		if err != nil || all {
			return err
		}
		if r.o.noTurns != nil {
			return r.apart(ctx, places)
		}
	}
}

// apart measures a block one target after another, whose turns have come to nothing.
func (r *run) apart(ctx context.Context, places []plan.Trial) error {
	if err := r.noteTurns(); err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(places), func(p plan.Trial) bool {
		return r.tried[trialKey{p.Block, p.Target}] >= r.attempts()
	})
	if len(left) == 0 {
		return nil
	}
	return r.block(ctx, left)
}

// tryTogether conducts one attempt and reports whether every trial is valid.
func (r *run) tryTogether(ctx context.Context, places []plan.Trial, attempt int) (all bool, err error) {
	if r.attempt = attempt; attempt == 1 {
		r.number += len(places)
	} else {
		r.awaitQuiet(ctx)
	}
	b := &block{run: r, last: attempt >= r.attempts()}
	for _, p := range places {
		at := p.Position
		if attempt > 1 {
			r.last[p.Block]++
			at = r.last[p.Block]
		}
		t, err := r.begin(p, attempt, at)
		if err != nil {
			return false, err
		}
		b.trials = append(b.trials, t)
	}
	recs, err := b.conduct(ctx)
	if err != nil {
		return false, err
	}
	all = true
	for _, rec := range recs {
		r.note(rec)
		all = all && rec.Status == record.Valid
	}
	if err := r.loader.Heal(ctx); err != nil {
		return false, fmt.Errorf("agents: %w", err)
	}
	return all, r.noteAround(ctx)
}
