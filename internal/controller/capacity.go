package controller

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/capacity"
	"bakeoff/internal/gate"
	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
	"bakeoff/internal/venue"
)

// Where the plan asks for a capacity, a trial of the pilot continues with a search for it, stage by stage, and each block has
// a few stages behind the plan's own phases, around what the search found, or where the blocks before came to.

// searchPhase is the number of the first stage of a search; those of a block follow the plan's phases.
const searchPhase = 2000

// isStage identifies the stages of searches and blocks.
func (r *run) isStage(p load.Phase) bool {
	after := p.Number >= searchPhase || p.Number > len(r.o.Plan.Phases) && p.Number < pilotPhase
	return after && r.o.Plan.Asks()
}

// stageOf is what the record says of a stage; nil: the phase is none.
func (r *run) stageOf(p load.Phase) *record.Stage {
	if !r.isStage(p) {
		return nil
	}
	o := r.o.Plan.Objective.Meets()
	return &record.Stage{Search: p.Number >= searchPhase, Percentile: o.Percentile, BoundS: o.Bound.Seconds(), Errors: o.Errors}
}

// stageBegun is a stage that begins, with the rate of each target; nil: the phase is none.
func (r *run) stageBegun(p load.Phase, up []*trial) *record.StageBegun {
	of := r.stageOf(p)
	if of == nil {
		return nil
	}
	out := &record.StageBegun{
		Phase: p.Number, Name: p.Name, DurationS: p.Duration.Seconds(), Percentile: 100 * of.Percentile, BoundS: of.BoundS, Rates: map[string]float64{},
	}
	for _, t := range up {
		out.Rates[t.rec.Target] = t.rate
	}
	return out
}

// stagePhase is the n-th stage, from 1, of a block, or for block 0 of a search, at a rate and as long as that needs.
func (r *run) stagePhase(block, n int, rate float64) load.Phase {
	p := r.o.Plan
	first, o := p.Phases[0], p.Objective
	out := load.Phase{
		Number: len(p.Phases) + n, Name: plan.StageName(n), Model: load.Open, Connections: o.Connections, Arrivals: "poisson", Rate: rate,
		Duration: o.Meets().Length(rate, time.Duration(o.Stage)), Timeout: time.Duration(first.Timeout), CheckShare: first.CheckShare,
		Reconnect: first.Reconnect, HTTP2: p.Agents.HTTP2,
	}
	if block == 0 {
		out.Number, out.Name = searchPhase+n-1, plan.SearchName(n)
	}
	return out
}

// usable is the highest rate that a stage may ask for.
func (r *run) usable() float64 { return gate.UsableCeiling(r.ceiling(r.stagePhase(0, 1, 1))) }

// search is the one for the trial's target.
func (t *trial) search() capacity.Search {
	pilot := t.totals[pilotPhase]
	return t.run.o.Plan.Objective.Meets().After(pilot.Goodput(), t.run.usable())
}

// centre is the rate around which a trial has its stages.
func (r *run) centre(rec record.Trial) float64 {
	var reached []float64
	for block := 1; block < rec.Block; block++ {
		if rate := r.reached[trialKey{block, rec.Target}]; rate > 0 {
			reached = append(reached, rate)
		}
	}
	return capacity.Centre(r.pilot.Capacity[rec.Target].Centre, reached)
}

// reachedRate is the rate of a trial's last stage that the agents kept; 0: it has none.
func reachedRate(rec record.Trial) (rate float64) {
	for _, p := range rec.Phases {
		if p.Stage != nil && !p.Stage.Limited {
			rate = p.Rate
		}
	}
	return rate
}

// nextRate is that of the trial's next stage; false: there is none.
func (t *trial) nextRate() (rate float64, more bool) {
	p := t.run.o.Plan
	if !p.Asks() {
		return 0, false
	}
	if t.rec.Block > 0 {
		return p.Objective.Meets().Next(t.run.centre(t.rec), t.run.usable(), t.stages)
	}
	if s := t.search(); s.Start > 0 {
		return s.Next(t.stages)
	}
	return 0, false
}

// ownStages runs the stages of a target that is measured by itself.
func (t *trial) ownStages(ctx context.Context) error {
	for n := 1; t.rec.Status == record.Valid && ctx.Err() == nil; n++ {
		rate, more := t.nextRate()
		if !more {
			return nil
		}
		if err := t.run.cool(ctx, t); err != nil || ctx.Err() != nil {
			return err
		}
		t.rate = rate
		phase := t.run.stagePhase(t.rec.Block, n, rate)
		if err := t.step(phase.Name, func() error { return t.phase(ctx, phase, false) }); err != nil {
			return err
		}
	}
	return nil
}

// stages runs those of a block in turns. Each target has a rate of its own; all stages are as long as the slowest target's needs.
func (b *block) stages(ctx context.Context, sampler venue.Sampler) error {
	for n := 1; ; n++ {
		least := math.Inf(1)
		for _, t := range b.up {
			rate, more := t.nextRate()
			if !more {
				return nil
			}
			t.rate, least = rate, min(least, rate)
		}
		if err := b.run.cool(ctx, b.up...); err != nil || ctx.Err() != nil {
			return err
		}
		if on, err := b.one(ctx, sampler, b.run.stagePhase(b.up[0].rec.Block, n, least), false); err != nil || !on {
			return err
		}
	}
}

// atRates says at which rates the targets have a stage.
func (b *block) atRates(phase load.Phase) string {
	var rates []string
	for _, t := range b.up {
		rates = append(rates, fmt.Sprintf("%s %s/s", t.rec.Target, show.Number(t.rate)))
	}
	return fmt.Sprintf("%s: %s for %v", phase.Name, strings.Join(rates, ", "), phase.Duration)
}

// cool leaves targets alone after a stage that may have overloaded them, and waits until they answer again.
func (r *run) cool(ctx context.Context, up ...*trial) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(plan.Coolest):
	}
	for _, t := range up {
		if err := t.d.recovered(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("%s after a stage: %w", t.rec.Target, err)
		}
	}
	return nil
}

// measured keeps what a stage found.
func (t *trial) measured(rec record.Phase, found gate.Judgement) {
	if rec.Stage == nil {
		return
	}
	rec.Stage.Limited = found.Limited
	t.watched.Phase = rec
	t.stages = append(t.stages, t.watched.StageFound())
}

// searched keeps what the search for a target's capacity came to, and returns it in words.
func (t *trial) searched() string {
	r := t.run
	if r.pilot.Capacity == nil {
		r.pilot.Capacity = map[string]capacity.Result{}
	}
	found := t.search().Result(t.stages)
	r.pilot.Capacity[t.rec.Target] = found
	return capacityInWords(found)
}

// capacityInWords says how a search ended.
func capacityInWords(r capacity.Result) string {
	text := map[capacity.Outcome]string{
		capacity.Found:        fmt.Sprintf("between %s and %s requests per second", show.Number(r.Lower), show.Number(r.Upper)),
		capacity.AtLeast:      fmt.Sprintf("at least %s requests per second, which is what the agents can be trusted with", show.Number(r.Lower)),
		capacity.Impossible:   "the objective is not met even almost without load",
		capacity.Unrepeatable: "after an overload the target twice failed at rates that it had met before",
		capacity.Unfinished:   "the search came to no end",
	}[r.Outcome]
	if r.Hysteresis && r.Outcome != capacity.Unrepeatable {
		text += "; after an overload it met less than before"
	}
	if r.Inverted {
		text += "; it meets higher rates and fails at lower ones, and the lowest bound counts"
	}
	return text
}

// onlyFound takes the targets out of the blocks around whose capacity nothing can be measured. It is to be called before block 1,
// and may be called again.
func (r *run) onlyFound(remaining []plan.Trial) ([]plan.Trial, error) {
	var notes []string
	none := map[string]bool{}
	for _, t := range r.o.Plan.Targets {
		switch found, searched := r.pilot.Capacity[t.Name]; {
		case searched && found.Outcome == capacity.Found:
		case searched:
			none[t.Name] = true
			notes = append(notes, fmt.Sprintf("%s is in no block: %s", t.Name, capacityInWords(found)))
		default:
			none[t.Name] = true
			notes = append(notes, t.Name+" is in no block: its trial of the pilot was invalid, and nothing is known of its capacity")
		}
	}
	if len(none) == 0 {
		return remaining, nil
	}
	for _, note := range notes {
		r.o.tell(record.Progress{Text: note, Lasting: true})
	}
	remaining = slices.DeleteFunc(remaining, func(t plan.Trial) bool { return t.Block > 0 && none[t.Target] })
	return remaining, r.writer.Update(func(rec *record.Run) {
		rec.Order = slices.DeleteFunc(rec.Order, func(p record.Place) bool { return p.Block > 0 && none[p.Target] })
		r.trials = len(rec.Order)
		for _, note := range notes {
			addNote(rec, note)
		}
	})
}

// answered reports whether the search for a target's capacity has an answer that needs no blocks.
func (r *run) answered(target string) bool {
	outcome := r.pilot.Capacity[target].Outcome
	return outcome == capacity.AtLeast || outcome == capacity.Impossible
}

// recallSearch reads again what the search for a target's capacity came to.
func (r *run) recallSearch(state record.TrialState, rec record.Trial, pilot stats.Totals) error {
	if !slices.ContainsFunc(rec.Phases, func(p record.Phase) bool { return p.Stage != nil }) {
		return nil
	}
	t := &trial{run: r, rec: rec, totals: map[int]stats.Totals{pilotPhase: pilot}}
	for _, p := range rec.Phases {
		if p.Stage == nil {
			continue
		}
		batches := gate.NewBatches(p)
		for line, err := range state.Loads() {
			if err != nil {
				return err
			}
			if line.Phase == p.Number {
				batches.Add(line.Window)
			}
		}
		t.stages = append(t.stages, batches.Stage())
	}
	_ = t.searched()
	return nil
}
