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

// TooFewBlocks says that the run cannot come to a verdict: it has fewer blocks than the pairs of its targets need. It is empty where
// it can, and where none is made: with one target, in a short run, and in a search, which chooses and claims nothing.
func (o Options) TooFewBlocks() string {
	fewest := fewestBlocks(o.Plan)
	if o.Short || o.Search != "" || o.Plan.Blocks >= fewest {
		return ""
	}
	return fmt.Sprintf("no verdict is possible: %d targets take at least %d blocks, and the plan has %d", len(o.Plan.Ranked()), fewest, o.Plan.Blocks)
}

// fewestBlocks is how many a verdict on all pairs of a plan's targets needs; 0 where there is no pair.
func fewestBlocks(p *plan.Plan) int {
	targets := len(p.Ranked())
	if targets < 2 {
		return 0
	}
	return verdict.FewestBlocks(targets * (targets - 1) / 2)
}

// fit cuts the run, before block 1, to as many blocks as fit into --max-time, and to one where none does. The number of blocks never
// depends on what the blocks themselves show.
func (r *run) fit(remaining []plan.Trial) ([]plan.Trial, error) {
	if r.o.MaxTime == 0 {
		return remaining, nil
	}
	left := r.o.MaxTime - time.Since(r.started) - r.stage.overhead().Setup/2
	fewest := fewestBlocks(r.o.Plan)
	n := sparing(int(left/r.blockTakes()), fewest)
	if n >= r.planned {
		return remaining, nil
	}
	text := fmt.Sprintf("%d of %s fit into --max-time %v with time for a repeat; the number was fixed before block 1", n, show.Plural(r.planned, "block"), r.o.MaxTime)
	if n < fewest {
		text += fmt.Sprintf("; no verdict takes fewer than %d", fewest)
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

// sparing is how many of the blocks that fit are run: one less, so that a block can be measured again without the end of the run
// cutting off another one. Where that would leave too few for a verdict, a block is worth more than the time for a repeat.
func sparing(fit, fewest int) int { return max(1, min(fit, fewest), fit-1) }

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
