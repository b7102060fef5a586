package figures

import (
	"cmp"
	"fmt"
	"strings"

	"bakeoff/internal/capacity"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// bound marks the targets whose figures are only bounds. One that met the objective in all stages of a block can do more, and one that
// met it in none can do less: it is neither worse nor better by that.
func (c *Capacity) bound(o *verdict.Options) {
	o.AtMost = map[string]string{}
	for _, t := range c.Targets {
		if t.AtLeast() {
			o.Capped[t.Target] = cmp.Or(t.HeldBy, "highest stage")
		}
		if t.AtMost() {
			o.AtMost[t.Target] = "lowest stage"
		}
	}
}

// notRanked names the targets that the search for their capacity kept out of the blocks, and so out of the verdict, as its end:
// "; a is not ranked and may be better, for the objective was met up to the ceiling of the agents". It is empty where there are none.
func (s *Summary) notRanked() (out string) {
	if s.Capacity == nil {
		return ""
	}
	var better, others []string
	for _, t := range s.Capacity.Targets {
		switch {
		case s.inBlocks(t.Target) || len(t.Values) > 0:
		case t.Search != nil && t.Search.Outcome == capacity.AtLeast:
			better = append(better, t.Target)
		default:
			others = append(others, t.Target)
		}
	}
	is := func(names []string) string {
		if len(names) == 1 {
			return " is"
		}
		return " are"
	}
	if len(better) > 0 {
		out += "; " + show.List(better) + is(better) + " not ranked and may be better, for the objective was met up to the ceiling of the agents"
	}
	if len(others) > 0 {
		out += "; " + show.List(others) + is(others) + " not ranked"
	}
	return out
}

// searches says of a run without any block what the searches for capacities came to; empty: it is not such a run.
func (s *Summary) searches() string {
	if s.Capacity == nil {
		return ""
	}
	var out []string
	for _, t := range s.Capacity.Targets {
		switch {
		case s.inBlocks(t.Target) || len(t.Values) > 0:
			return ""
		case t.Search != nil && t.Search.Outcome == capacity.AtLeast:
			out = append(out, fmt.Sprintf("%s met the objective up to the ceiling of the agents, at least %g/s", t.Target, t.Search.Lower))
		case t.Search != nil && t.Search.Outcome == capacity.Impossible:
			out = append(out, t.Target+" did not meet the objective even almost without load")
		default:
			out = append(out, "the search found no capacity of "+t.Target)
		}
	}
	return "no target is in a block: " + strings.Join(out, "; ")
}

// AboveCeiling are the targets that met the objective up to the ceiling of the agents, so that nothing more is known of their capacity.
func (s *Summary) AboveCeiling() (out []string) {
	if s.Capacity == nil {
		return nil
	}
	for _, t := range s.Capacity.Targets {
		if t.Search != nil && t.Search.Outcome == capacity.AtLeast {
			out = append(out, t.Target)
		}
	}
	return out
}

// Bounded are the blocks in which a capacity is not known, but bounded.
func (s *Summary) Bounded() (out []Value) {
	if s.Capacity == nil {
		return nil
	}
	for _, t := range s.Capacity.Targets {
		for _, v := range t.Values {
			if v.Kind != capacity.Rate && v.Rate > 0 {
				out = append(out, Value{v.Block, t.Target, v.Rate})
			}
		}
	}
	return out
}
