package controller

import (
	"fmt"
	"slices"
	"time"

	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// begun reports whether a trial of a block was tried, the pilot's aside.
func (r *run) begun() bool {
	for at := range r.tried {
		if at.block > 0 {
			return true
		}
	}
	return false
}

// fit cuts the run, before block 1, to as many blocks as fit into --max-time, and to one where none does. The number of blocks never
// depends on what the blocks themselves show.
func (r *run) fit(remaining []plan.Trial) ([]plan.Trial, error) {
	if r.o.MaxTime == 0 {
		return remaining, nil
	}
	left := r.o.MaxTime - time.Since(r.started) - r.stage.overhead().Setup/2
	n := max(1, int(left/r.blockTakes()))
	if n >= r.planned {
		return remaining, nil
	}
	text := fmt.Sprintf("%d of %s fit into --max-time %v; the number was fixed before block 1", n, show.Plural(r.planned, "block"), r.o.MaxTime)
	if targets := len(r.o.Plan.Ranked()); targets > 1 {
		if fewest := verdict.FewestBlocks(targets * (targets - 1) / 2); n < fewest {
			text += fmt.Sprintf("; no verdict takes fewer than %d", fewest)
		}
	}
	r.o.tell(record.Progress{Text: text, Lasting: true})
	remaining = slices.DeleteFunc(remaining, func(t plan.Trial) bool { return t.Block > n })
	r.planned = n
	return remaining, r.writer.Update(func(rec *record.Run) {
		rec.Order = slices.DeleteFunc(rec.Order, func(p record.Place) bool { return p.Block > n })
		r.trials = len(rec.Order)
		addNote(rec, text)
	})
}

// pilotTook is how long a trial of the pilot took.
type pilotTook struct {
	settling time.Duration // a warm-up that ends when it is steady: in turns all are warmed up as long as the longest
	rest     time.Duration
}

func tookOf(t record.Trial) pilotTook {
	out := pilotTook{rest: t.Ended.Sub(t.Started)}
	for _, p := range t.Phases {
		if p.Settling != nil {
			out.settling = p.Duration()
			out.rest -= out.settling
		}
		if p.Stage != nil { // a block has another number of them
			out.rest -= p.Ended.Sub(p.Started) + plan.Coolest
		}
	}
	return out
}

// blockTakes is how long a block takes: by the pilot's trials, and by what is usual where there were none.
func (r *run) blockTakes() time.Duration {
	p, usual := *r.o.Plan, r.o.costs(r.stage)
	if len(r.pilots) > 0 {
		var sum, longest time.Duration
		for _, took := range r.pilots {
			sum += took.rest
			longest = max(longest, took.settling)
		}
		stretch := p.Stretch(usual, p.Phases[0])
		spent := time.Duration(p.Pilot) + stretch
		if !p.Warmup.Settles() && p.Warmup.Most > 0 {
			spent += time.Duration(p.Warmup.Most) + stretch
		} else {
			p.Warmup = plan.FixedWarmup(plan.Duration(longest))
		}
		usual.Trial = max(0, sum/time.Duration(len(r.pilots))-spent)
		usual.Together, usual.Worker = usual.Trial, 0 // the starts of workers are in it
	}
	return max(time.Millisecond, p.Block(usual))
}

// lastBlock is how many blocks an order has.
func lastBlock(order []record.Place) (n int) {
	for _, p := range order {
		n = max(n, p.Block)
	}
	return n
}
