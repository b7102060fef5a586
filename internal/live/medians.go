package live

import (
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// Median is the figure of a target so far: the median over its valid blocks.
type Median struct {
	Target string
	Blocks int     // valid ones
	Value  float64 // 0 where there is no block
}

// Medians are the figures of the targets in the first phase that the plan's primary metric is for, in plan order: right answers
// per second of a closed phase, the median time in seconds of an open one.
func (s *State) Medians() (of []Median, seconds bool) {
	model := "closed"
	if s.head.Primary != "" && s.head.Primary != "throughput" {
		model = "open"
	}
	number := -1
	for _, p := range s.head.Phases {
		if p.Number > 0 && p.Model == model && !p.aside && number < 0 {
			number = p.Number
		}
	}
	for _, target := range s.head.Targets {
		values := s.values(target, number, model == "open")
		one := Median{Target: target, Blocks: len(values)}
		if len(values) > 0 {
			one.Value = stats.Median(values)
		}
		of = append(of, one)
	}
	return of, model == "open"
}

// values are those of a target's valid trials: of each block the last one.
func (s *State) values(target string, number int, times bool) []float64 {
	last := map[int]float64{}
	for _, t := range s.order {
		p := t.phases[number]
		if t.target != target || t.block == 0 || t.status != record.Valid || p == nil {
			continue
		}
		switch {
		case !times:
			last[t.block] = p.right.Goodput()
		case p.median != nil:
			last[t.block] = *p.median
		}
	}
	var out []float64
	for _, v := range last {
		out = append(out, v)
	}
	return out
}
