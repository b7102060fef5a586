package capacity

import (
	"math"
	"slices"
)

const (
	// closeEnough is the quotient of two bounds at which a search ends: their middle is within 10 % of both.
	closeEnough = 1.21
	// MostSearch is how many stages a search has at most.
	MostSearch = 14
	// firstFactor is the first step away from where a search starts; each further one is its square, up to mostFactor.
	firstFactor = 1.5
	mostFactor  = 4.0
	// floorPart is the part of its start below which no search goes: a server that fails there fails almost without load.
	floorPart = 0.05
	// startShare is where a search starts, as a share of a throughput in the closed model, in which no server is overloaded.
	startShare = 0.7
)

// Search is a pilot search. It has no state of its own: what to do next follows from the stages so far.
type Search struct {
	Objective
	Start   float64 // the first rate
	Ceiling float64 // of the generator; infinite where it is not known
}

// After is the search that follows a measurement in the closed model.
func (o Objective) After(throughput, ceiling float64) Search {
	return Search{Objective: o, Start: startShare * throughput, Ceiling: ceiling}
}

// Outcome is how a search ended.
type Outcome string

// The outcomes.
const (
	Found        Outcome = "found"        // both bounds, and blocks may follow
	AtLeast      Outcome = "at least"     // met up to what the generator can be trusted with
	Impossible   Outcome = "impossible"   // not met even almost without load
	Unrepeatable Outcome = "unrepeatable" // after an overload it was twice not met where it had been
	Unfinished   Outcome = "unfinished"   // not so close after the most stages that a search has, cut short, or the generator kept no rate
)

// Result is what a search came to.
type Result struct {
	Outcome    Outcome `json:"outcome"`
	Centre     float64 `json:"centre"` // the middle of both bounds, around which blocks measure; 0: none
	Lower      float64 `json:"lower"`  // the greatest rate that met the objective below Upper; 0: none
	Upper      float64 `json:"upper"`  // the smallest that did not; 0: none
	Hysteresis bool    `json:"hysteresis,omitempty"`
	Inverted   bool    `json:"inverted,omitempty"`
}

// Next is the rate of the next stage; false when the search has ended.
func (s Search) Next(stages []Stage) (rate float64, more bool) {
	st := s.replay(stages)
	rate, outcome := st.next()
	if outcome != "" || len(stages) >= MostSearch {
		return 0, false
	}
	return rate, true
}

// Result is what the stages came to; those of a search under way are mostly Unfinished.
func (s Search) Result(stages []Stage) Result {
	st := s.replay(stages)
	_, outcome := st.next()
	r := Result{Outcome: outcome, Lower: st.lower, Hysteresis: st.hysteresis, Inverted: st.inverted}
	if outcome == "" {
		r.Outcome = st.soFar()
	}
	if upper := st.upper(); !math.IsInf(upper, 1) {
		r.Upper = upper
	}
	if r.Outcome == Found {
		r.Centre = Round(math.Sqrt(st.lower * st.upper()))
	}
	return r
}

// state is a search under way.
type state struct {
	Search
	lower        float64 // 0: not found yet
	missed       []miss  // rates that did not meet the objective, each below the one before
	unkept       float64 // the smallest rate that the generator could not keep, before any was missed; infinite: it kept all
	steps        int     // away from the start, or from where the search began again
	easy         float64 // the smallest rate that met the objective since then
	confirmed    bool    // the lower bound met the objective a second time, after rates that did not
	checked      bool    // and so did half of it
	hysteresis   bool
	inverted     bool
	unrepeatable bool
}

// miss is a rate that did not meet the objective.
type miss struct {
	sum  Stage // of the stages at it
	sure bool  // it fails, or was looked at twice
}

func (s Search) replay(stages []Stage) *state {
	st := &state{Search: s, unkept: math.Inf(1), easy: math.Inf(1)}
	for _, stage := range stages {
		st.add(stage)
	}
	return st
}

// upper is the smallest rate that was missed; infinite: none was.
func (st *state) upper() float64 {
	if len(st.missed) == 0 {
		return math.Inf(1)
	}
	return st.missed[len(st.missed)-1].sum.Rate
}

// add takes what a stage found into account.
func (st *state) add(s Stage) {
	upper := st.upper()
	if s.Limited && !math.IsInf(upper, 1) { // a greater rate was kept: this one is asked for again
		return
	}
	found := st.Judge(s)
	switch {
	case s.Limited:
		st.unkept = min(st.unkept, s.Rate)
	case s.Rate == st.lower:
		st.confirm(found)
	case s.Rate < st.lower:
		if st.checked = true; found.Class == Fails {
			st.inverted = true
			st.restart(s.Rate)
		}
	case s.Rate == upper:
		st.again(s)
	case found.Meets():
		st.lower, st.easy = s.Rate, min(st.easy, s.Rate)
	case s.Rate < upper:
		st.missed = append(st.missed, miss{s, found.Class == Fails})
	}
	if st.lower == 0 || math.IsInf(st.upper(), 1) {
		st.steps++
	}
}

// confirm compares a second look at the lower bound, after an overload, with the first one.
func (st *state) confirm(again Finding) {
	if again.Class != Fails {
		st.confirmed = true
		return
	}
	st.unrepeatable = st.hysteresis
	st.hysteresis = true
	st.restart(again.Rate)
}

// restart begins again below a rate that fails. What was found below it before counts no more.
func (st *state) restart(upper float64) {
	st.lower, st.missed, st.easy, st.steps = 0, []miss{{Stage{Rate: upper}, true}}, math.Inf(1), 0 // add counts this one
	st.confirmed, st.checked = false, false
}

// again adds a second look at the upper bound to the first one. If both together meet the objective, what the first one saw was
// something that passed, such as a stall, and the search goes on above it.
func (st *state) again(s Stage) {
	last := len(st.missed) - 1
	upper := &st.missed[last]
	upper.sum.Batches, upper.sure = slices.Concat(upper.sum.Batches, s.Batches), true
	if st.Judge(upper.sum).Meets() {
		st.missed = st.missed[:last]
		st.lower, st.easy, st.steps, st.confirmed = s.Rate, min(st.easy, s.Rate), 0, false
	}
}

// next is the next rate, or how the search has ended.
func (st *state) next() (rate float64, ended Outcome) {
	upper := st.upper()
	switch {
	case st.unrepeatable:
		return 0, Unrepeatable
	case st.lower == 0:
		return st.down(min(upper, st.unkept))
	case math.IsInf(upper, 1):
		return st.up()
	case upper/st.lower > closeEnough:
		return Round(math.Sqrt(st.lower * upper)), ""
	case !st.confirmed:
		return st.lower, ""
	case !st.checked && st.easy > 0.6*st.lower && st.lower/2 > floorPart*st.Start:
		return Round(st.lower / 2), ""
	case !st.missed[len(st.missed)-1].sure:
		return upper, ""
	}
	return 0, Found
}

// down is the next rate where none has met the objective: below all that were missed, or that the generator could not keep.
func (st *state) down(below float64) (rate float64, ended Outcome) {
	floor := floorPart * st.Start
	switch {
	case math.IsInf(below, 1):
		return Round(min(st.Start, st.Ceiling)), ""
	case below > Round(floor):
		return Round(max(floor, below/st.factor())), ""
	case len(st.missed) == 0:
		return 0, Unfinished
	}
	return 0, Impossible
}

// up is the next rate where none was missed: towards the ceiling, or a rate that the generator could not keep.
func (st *state) up() (rate float64, ended Outcome) {
	switch {
	case st.lower >= Round(st.Ceiling), st.unkept/st.lower <= closeEnough:
		return 0, AtLeast
	case math.IsInf(st.unkept, 1):
		return Round(min(st.Ceiling, st.lower*st.factor())), ""
	}
	return Round(math.Sqrt(st.lower * st.unkept)), ""
}

// soFar is what a search has come to that has not ended. A second look at the upper bound may be lacking.
func (st *state) soFar() Outcome {
	upper := st.upper()
	rate, _ := st.next()
	switch {
	case st.lower > 0 && math.IsInf(upper, 1) && !math.IsInf(st.unkept, 1):
		return AtLeast
	case st.lower > 0 && rate == upper && upper/st.lower <= closeEnough:
		return Found
	}
	return Unfinished
}

// factor is by how much the next step leads away from the last one.
func (st *state) factor() float64 {
	factor := firstFactor
	for range st.steps - 1 {
		factor = min(mostFactor, factor*factor)
	}
	return factor
}
