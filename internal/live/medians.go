package live

import (
	"cmp"
	"maps"
	"slices"

	"bakeoff/internal/record"
)

// Median is the figure of a target so far: the median over its valid blocks.
type Median struct {
	Target string
	Blocks int     // valid ones
	Value  float64 // 0 where there is no block
	Over   bool    // it falls among time-outs: it is longer than Value
}

// middle is the figure of a block: a rate, or a median time in seconds. Over says that this falls among time-outs, and is longer.
type middle struct {
	value float64
	over  bool
}

// compare puts what is longer than it says behind all others.
func (m middle) compare(o middle) int {
	switch {
	case m.over == o.over:
		return cmp.Compare(m.value, o.value)
	case m.over:
		return 1
	}
	return -1
}

// median is the middle of one and more, as in the report: the mean of two, unless only one of these is known.
func median(of []middle) middle {
	slices.SortFunc(of, middle.compare)
	low, high := of[(len(of)-1)/2], of[len(of)/2]
	if low.over != high.over {
		return middle{low.value, true}
	}
	return middle{(low.value + high.value) / 2, low.over}
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
			m := median(values)
			one.Value, one.Over = m.value, m.over
		}
		of = append(of, one)
	}
	return of, model == "open"
}

// values are those of a target's valid trials, rates or times: of each block the last one.
func (s *State) values(target string, number int, times bool) []middle {
	last := map[int]middle{}
	for _, t := range s.order {
		p := t.phases[number]
		if t.target != target || t.block == 0 || t.status != record.Valid || p == nil {
			continue
		}
		switch {
		case !times:
			last[t.block] = middle{p.right.Goodput(), false}
		case p.median != nil:
			last[t.block] = *p.median
		}
	}
	return slices.Collect(maps.Values(last))
}
