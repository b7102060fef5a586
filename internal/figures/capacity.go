package figures

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"bakeoff/internal/capacity"
	"bakeoff/internal/gate"
	"bakeoff/internal/limit"
	"bakeoff/internal/record"
	"bakeoff/internal/verdict"
)

// capacityPhase is the number of what stands for the stages of all blocks: no phase of a record has it.
const capacityPhase = -1

// Capacity is what was found of the highest rates that meet the plan's objective.
type Capacity struct {
	Percentile float64          `json:"percentile"` // of the objective, in percent
	BoundS     float64          `json:"bound_s"`
	Errors     float64          `json:"errors"`            // share of planned requests that may lack a right answer
	SliceS     float64          `json:"slice_s,omitempty"` // how long the slices of stages lasted at most, where targets took turns
	Targets    []CapacityTarget `json:"targets"`
}

// CapacityTarget is one target: what the search before block 1 found, and what the blocks did.
type CapacityTarget struct {
	Target   string           `json:"target"`
	Search   *capacity.Result `json:"search,omitempty"`  // nil: no valid trial of the pilot
	HeldBy   string           `json:"held_by,omitempty"` // what was the limit in place of the target, so that its capacity is at least that; empty: nothing was
	InUse    float64          `json:"in_use,omitempty"`  // the greatest share of the agents' connections in use in a stage of a block that met the objective
	Estimate verdict.Estimate `json:"estimate"`          // over the blocks, with bounds in the place of values that are not known
	Values   []CapacityValue  `json:"values"`            // one for each valid trial
	Lower    float64          `json:"lower"`             // the greatest rate that passes in the stages of all blocks together, below Upper; 0: none
	Upper    float64          `json:"upper"`             // the smallest that fails; 0: none
	Load     []LoadPoint      `json:"load"`              // the response time over the rate, by rate
}

// CapacityValue is what the stages of one block say.
type CapacityValue struct {
	Block int `json:"block"`
	capacity.Value
}

// LoadPoint is all stages of a target at one rate, those of the search among them.
type LoadPoint struct {
	Stages int `json:"stages"`
	capacity.Finding
	Response verdict.Estimate `json:"response"` // the percentile of the objective: mean and interval over stages
	Over     bool             `json:"over,omitempty"`
}

// StageFigures is a stage of a trial.
type StageFigures struct {
	PhaseFigures
	Rate    float64          `json:"rate"` // asked for
	Search  bool             `json:"search,omitempty"`
	Limited bool             `json:"limited,omitempty"`
	Finding capacity.Finding `json:"finding"`

	batches   *gate.Batches
	objective capacity.Objective
	sliceS    float64 // of turns; 0: none
	most      int     // connections
}

func newStage(p record.Phase) StageFigures {
	figures := newFigures(p)
	figures.stage = true
	return StageFigures{
		PhaseFigures: figures, Rate: p.Rate, Search: p.Stage.Search, Limited: p.Stage.Limited,
		batches: gate.NewBatches(p), objective: p.Stage.Objective(), sliceS: sliceOf(p), most: p.Connections,
	}
}

// sliceOf is how long the slices of a phase in turns were to last; 0: there were none.
func sliceOf(p record.Phase) float64 {
	if p.Turns == nil {
		return 0
	}
	return p.Turns.SliceS
}

// found is the stage as it is judged.
func (f StageFigures) found() capacity.Stage { return f.batches.Stage() }

// capacities fills in what was found, where the plan asks for it, and what stands for the stages of all blocks.
func (s *Summary) capacities(o objective) {
	if s.Run.Primary != capacityMetric {
		return
	}
	percentile, bound := o.bound()
	s.Capacity = &Capacity{Percentile: percentile, BoundS: bound.Seconds(), Errors: float64(o.Errors)}
	all := Phase{Number: capacityPhase, Name: capacityMetric, Model: "open"}
	stages := 0
	for _, t := range s.Targets {
		found, used := s.capacityOf(t.Name)
		s.Capacity.Targets = append(s.Capacity.Targets, found)
		phase := overBlocks(t.Name, false, used)
		phase.Blocks, phase.Goodput = len(found.Values), spread(exactly(found.known()...))
		all.Targets = append(all.Targets, phase)
		stages += len(used)
	}
	if stages > 0 {
		s.capacityPhase = &all
	}
}

// mostInUse is the share of the agents' connections from which on these may be what limits a target, for arrivals vary.
const mostInUse = 0.7

// inUse is the share of the agents' connections that were in use on average in a stage that met the objective, else 0. Where it does
// not, all of them are in use because the target is too slow.
func (f StageFigures) inUse() float64 {
	if f.Limited || !f.Finding.Meets() || f.most == 0 {
		return 0
	}
	return f.observed.under / float64(f.most)
}

// held marks the targets that another tier limited, or the connections of the agents.
func (c *Capacity) held(by map[string]string) {
	for i := range c.Targets {
		t := &c.Targets[i]
		if t.HeldBy = by[t.Target]; t.HeldBy == "" && t.ShortOfConnections() {
			t.HeldBy = limit.Generator
		}
		if t.HeldBy != "" && t.Estimate.Value.Known() {
			t.Estimate.High = verdict.Number(math.Inf(1))
		}
	}
}

// capacityOf is one target, and the figures of its stages in the blocks.
func (s *Summary) capacityOf(name string) (CapacityTarget, []PhaseFigures) {
	out := CapacityTarget{Target: name, Values: []CapacityValue{}}
	if s.Found != nil {
		if found, searched := s.Found.Capacity[name]; searched {
			out.Search = &found
		}
	}
	var blocks [][]capacity.Stage
	var all []StageFigures
	var used []PhaseFigures
	for _, t := range slices.Concat(s.Pilot, s.Trials) {
		if t.Target != name || t.Status != record.Valid || t.Block > 0 && !t.Used {
			continue
		}
		all = append(all, t.Stages...)
		if t.Block == 0 {
			continue
		}
		var stages []capacity.Stage
		for _, f := range t.Stages {
			stages, used = append(stages, f.found()), append(used, f.PhaseFigures)
			s.Capacity.SliceS, out.InUse = max(s.Capacity.SliceS, f.sliceS), max(out.InUse, f.inUse())
		}
		blocks = append(blocks, stages)
		out.Values = append(out.Values, CapacityValue{Block: t.Block})
	}
	out.value(blocks, all, len(s.Targets))
	return out, used
}

// SearchAgain is what the stages of a target's valid trial of the pilot come to; false: it has no such trial.
func (s *Summary) SearchAgain(target string) (capacity.Result, bool) {
	for _, t := range s.Pilot {
		if t.Target != target || t.Status != record.Valid || len(t.Phases) == 0 {
			continue
		}
		search, stages := capacity.Search{}, []capacity.Stage{}
		for _, f := range t.Stages {
			search = f.objective.After(t.Phases[0].Goodput, gate.UsableCeiling(f.ceilingS))
			stages = append(stages, f.found())
		}
		return search.Result(stages), true
	}
	return capacity.Result{}, false
}

// value computes what the stages say, with an interval that holds together with those of that many targets.
func (t *CapacityTarget) value(blocks [][]capacity.Stage, all []StageFigures, together int) {
	t.Load = []LoadPoint{}
	t.Estimate = verdict.MeanOf(nil, together)
	if len(all) == 0 {
		return
	}
	o := all[0].objective
	for i, v := range o.Values(blocks) {
		t.Values[i].Value = v
	}
	if values := t.bounded(); len(values) > 0 {
		t.Estimate = verdict.MeanOf(values, together)
		if t.AtLeast() {
			t.Estimate.High = verdict.Number(math.Inf(1))
		}
		if t.AtMost() {
			t.Estimate.Low = 0
		}
	}
	bounds := o.Bounds(slices.Concat(blocks...))
	if t.Lower = bounds.Lower; bounds.Upper < 1e300 {
		t.Upper = bounds.Upper
	}
	t.Load = loads(o, all)
}

// known are the values that are numbers.
func (t CapacityTarget) known() (out []float64) {
	for _, v := range t.Values {
		if v.Kind == capacity.Rate {
			out = append(out, v.Rate)
		}
	}
	return out
}

// bounded are the values of blocks, and what bounds those that are not known: to leave these out would leave out the highest, or the
// lowest.
func (t CapacityTarget) bounded() (out []float64) {
	for _, v := range t.Values {
		if v.Rate > 0 {
			out = append(out, v.Rate)
		}
	}
	return out
}

// AtLeast reports whether the estimate is the least that the capacity is: a block only shows that it is at least a rate, or another tier
// was the limit.
func (t CapacityTarget) AtLeast() bool { return t.HeldBy != "" || t.has(capacity.NotBelow) }

// ShortOfConnections reports whether the agents may have had too few connections.
func (t CapacityTarget) ShortOfConnections() bool { return t.InUse > mostInUse }

// AtMost reports whether a block only shows that the capacity is below a rate.
func (t CapacityTarget) AtMost() bool { return t.has(capacity.NotAbove) }

func (t CapacityTarget) has(kind capacity.Kind) bool {
	return slices.ContainsFunc(t.Values, func(v CapacityValue) bool { return v.Kind == kind })
}

// value is a target's figure in a block. Where it is not known, it says why, and the figure is what bounds it; 0: nothing does.
func (c *Capacity) value(target string, block int) (value float64, why string) {
	for _, t := range c.Targets {
		for _, v := range t.Values {
			if t.Target != target || v.Block != block {
				continue
			}
			if v.Kind == capacity.Rate {
				return v.Rate, ""
			}
			return v.Rate, ValueInWords(v.Value)
		}
	}
	return 0, "it has no stages"
}

// ValueInWords says why the value of a block is no number.
func ValueInWords(v capacity.Value) string {
	switch v.Kind {
	case capacity.NotBelow:
		return fmt.Sprintf("every stage met the objective: its capacity is at least %g/s", v.Rate)
	case capacity.NotAbove:
		return fmt.Sprintf("the stage with the lowest rate did not meet the objective: its capacity is below %g/s", v.Rate)
	}
	return "the agents could keep no rate: nothing is known of its capacity"
}

// loads joins stages by rate.
func loads(o capacity.Objective, all []StageFigures) []LoadPoint {
	out := []LoadPoint{}
	var stages []capacity.Stage
	for _, f := range all {
		stages = append(stages, f.found())
	}
	for _, sum := range capacity.Sums(stages) {
		point := LoadPoint{Finding: o.Judge(sum)}
		var times []float64
		for _, f := range all {
			if f.Limited || f.Rate != sum.Rate {
				continue
			}
			point.Stages++
			if f.totals.Response.Count() == 0 {
				continue
			}
			value, censored := f.totals.Response.Quantile(o.Percentile)
			times, point.Over = append(times, value.Seconds()), point.Over || censored
		}
		point.Response = verdict.MeanOf(times, 1)
		out = append(out, point)
	}
	slices.SortFunc(out, func(a, b LoadPoint) int { return cmp.Compare(a.Rate, b.Rate) })
	return out
}

// objective is that of a plan as resolved.
type objective struct {
	P90    duration `json:"p90"`
	P95    duration `json:"p95"`
	P99    duration `json:"p99"`
	Errors delta    `json:"errors"`
}

func (o objective) bound() (percent float64, bound time.Duration) {
	switch {
	case o.P90 > 0:
		return 90, time.Duration(o.P90)
	case o.P95 > 0:
		return 95, time.Duration(o.P95)
	}
	return 99, time.Duration(o.P99)
}

// duration is a time as a plan writes it, "50ms".
type duration time.Duration

// UnmarshalText reads the text of a plan.
func (d *duration) UnmarshalText(text []byte) error {
	x, err := time.ParseDuration(string(text))
	*d = duration(x)
	return err
}

// withoutBlocks is how many targets are in no block because of what the search for their capacity came to.
func (s *Summary) withoutBlocks() (n int) {
	for _, t := range s.Targets {
		if !s.inBlocks(t.Name) {
			n++
		}
	}
	return n
}

// inBlocks reports whether a target is in the blocks as far as the search for its capacity says.
func (s *Summary) inBlocks(target string) bool {
	return s.Capacity == nil || s.Found == nil || s.Found.Capacity[target].Outcome == capacity.Found
}
