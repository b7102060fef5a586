package gate

import (
	"maps"
	"slices"
	"time"

	"bakeoff/internal/capacity"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// Batches are what a stage of a search for the capacity counted in each of its seconds.
type Batches struct {
	phase   record.Phase
	seconds map[time.Duration]*capacity.Batch
}

// NewBatches begins the batches of a phase that is a stage.
func NewBatches(p record.Phase) *Batches {
	return &Batches{phase: p, seconds: map[time.Duration]*capacity.Batch{}}
}

// Add adds a window of an agent. What came after the end of a slice is added, too: those answers were the slowest.
func (b *Batches) Add(w stats.Window) {
	at := w.Begin.Truncate(time.Second)
	one := b.seconds[at]
	if one == nil {
		one = &capacity.Batch{}
		b.seconds[at] = one
	}
	one.Planned += w.Books.Planned
	one.Failed += w.Books.Bad + w.Books.Timeout + w.Books.Error + w.Books.Dropped
	one.Answers += w.Response.Count()
	one.Slow += w.Response.Slower(b.phase.Stage.Objective().Bound)
}

// Stage is all of them.
func (b *Batches) Stage() capacity.Stage {
	s := capacity.Stage{Rate: b.phase.Rate, Limited: b.phase.Stage.Limited}
	for _, at := range slices.Sorted(maps.Keys(b.seconds)) {
		s.Batches = append(s.Batches, *b.seconds[at])
	}
	return s
}

// StageFound is what the phase counted, where it is a stage; as the record says whether an agent limited it.
func (p *Phase) StageFound() capacity.Stage {
	p.batches.phase = p.Phase
	return p.batches.Stage()
}

// stage takes from what would refuse a phase what is no fault of a stage: that its target was overloaded and was not steady
// is what it is to find out, and that an agent could not keep the rate makes it limited.
func (j *Judgement) stage() {
	j.Reasons = slices.DeleteFunc(j.Reasons, func(r record.Reason) bool {
		limited := r.Code == record.CodeGeneratorLimited
		j.Limited = j.Limited || limited
		return limited
	})
}

// missedByAgents reports whether a stage misses the objective only by answers that the agents took up later than its bound: those
// say nothing of the target. Their lateness may be within its own bounds all the same.
func (p *Phase) missedByAgents(sum stats.Totals) bool {
	o, stage := p.Phase.Stage.Objective(), p.StageFound()
	late, found := sum.Lateness.Slower(o.Bound), o.Judge(stage)
	if late == 0 || found.Meets() || found.Errors > o.Errors {
		return false
	}
	return found.Slow-float64(late)/float64(stage.Sum().Answers) <= o.Allowed()
}
