package plan

import (
	"fmt"
	"slices"
	"time"

	"bakeoff/internal/capacity"
)

// Coolest is how long targets are left alone between two stages of a search for their capacity.
const Coolest = 2 * time.Second

// StageSlice is how long the slices of a stage last at least: each begins with nothing under way, so that a queue needs time to build up.
const StageSlice = time.Second

const (
	leastBound  = time.Millisecond
	mostErrors  = 0.1
	usualErrors = 0.001
	mostStage   = 10 * time.Minute
)

// Asks reports whether the plan has an objective, so that the capacity of its targets is searched for.
func (p *Plan) Asks() bool { return p.Primary == Capacity }

// Meets is the objective as it is judged.
func (o Objective) Meets() capacity.Objective {
	out := capacity.Objective{Errors: float64(o.Errors)}
	out.Percentile, out.Bound = o.bound()
	return out
}

// bound is the percentile that is bounded, and its bound; nothing where none is.
func (o Objective) bound() (percentile float64, bound time.Duration) {
	for _, of := range o.bounds() {
		if of.bound > 0 {
			return of.percentile, time.Duration(of.bound)
		}
	}
	return 0, 0
}

// bounded is a percentile by its key.
type bounded struct {
	key        string
	percentile float64
	bound      Duration
}

func (o Objective) bounds() []bounded {
	return []bounded{{"p90", 0.90, o.P90}, {"p95", 0.95, o.P95}, {"p99", 0.99, o.P99}}
}

// fill gives what is left out.
func (o *Objective) fill(has func(path string) bool) {
	if !has("objective.errors") {
		o.Errors = usualErrors
	}
	if !has("objective.stage") {
		o.Stage = Duration(capacity.LeastStage)
	}
	if !has("objective.connections") {
		o.Connections = 256
	}
}

// objective checks what a capacity is searched for.
func (c *checker) objective() {
	p, o := c.plan, c.plan.Objective
	if !p.Asks() {
		c.absent("objective", "is for primary: capacity")
		return
	}
	if !c.has("objective") {
		c.report("objective", "such as objective: {p99: 50ms, errors: 0.1%}", "a capacity needs an objective")
		return
	}
	c.bounds(o)
	if o.Errors <= 0 || o.Errors > mostErrors {
		c.report("objective.errors", "", "must be above 0%% and at most 10%%, but is %s", o.Errors)
	}
	if _, bound := o.bound(); len(p.Phases) > 0 && bound >= time.Duration(p.Phases[0].Timeout) {
		c.report("objective", "a shorter bound, or a longer timeout of the first phase",
			"bounds the response time by %s, but the first phase has a time-out of %s: what takes longer is not waited for", Duration(bound), p.Phases[0].Timeout)
	}
	c.duration("objective.stage", o.Stage, capacity.LeastStage, mostStage)
	c.connections("objective.connections", Phase{Connections: o.Connections})
	if p.Pilot == 0 && !c.bad("pilot") {
		c.report("pilot", "add pilot: 3s", "a search for a capacity begins at a share of the pilot's throughput: it needs a pilot")
	}
	if p.Uses(JMeter) {
		c.report("primary", "agents.engine: native", "a capacity needs an engine of bakeoff's own, but JMeter drives a phase")
	}
	if slices.ContainsFunc(p.Phases, func(ph Phase) bool { return isStageName(ph.Name) }) {
		c.report("phases", "give it another name", "stage-1, search-1 and so on are names of bakeoff's own where a capacity is searched for")
	}
}

// bounds checks that one percentile is bounded.
func (c *checker) bounds(o Objective) {
	given := ""
	for _, of := range o.bounds() {
		path := "objective." + of.key
		switch {
		case !c.has(path):
			continue
		case given != "":
			c.report(path, "remove one", "%s and %s exclude each other: a capacity has one bound", given, of.key)
		}
		given = of.key
		c.duration(path, of.bound, leastBound, time.Minute)
	}
	if given == "" {
		c.report("objective.p99", "such as p99: 50ms", "an objective bounds one of p90, p95 and p99")
	}
}

// StageName is the name of a stage of a block, SearchName that of one of the pilot search; both count from 1.
func StageName(n int) string { return fmt.Sprintf("stage-%d", n) }

// SearchName is the name of the n-th stage of a pilot search.
func SearchName(n int) string { return fmt.Sprintf("search-%d", n) }

// isStageName reports whether a phase has the name of a stage.
func isStageName(name string) bool {
	for n := range capacity.MostSearch {
		if name == StageName(n+1) || name == SearchName(n+1) {
			return true
		}
	}
	return false
}

// stages is how long that many stages take one target by itself, at rates that need no longer ones.
func (p *Plan) stages(n int, o Overhead) time.Duration {
	if !p.Asks() {
		return 0
	}
	return time.Duration(n) * (time.Duration(p.Objective.Stage) + Coolest + p.Stretch(o, p.Phases[0]))
}

// stagesTogether is the same for a block's stages of all targets, in turns.
func (p *Plan) stagesTogether(o Overhead) time.Duration {
	if !p.Asks() {
		return 0
	}
	long := *p
	long.Turns = max(p.Turns, Turns(StageSlice))
	return capacity.MostStages * (long.rounds(o, p.Objective.Stage) + Coolest)
}
