package figures

import (
	"cmp"
	"slices"
	"strings"

	"bakeoff/internal/capacity"
	"bakeoff/internal/verdict"
)

// BlockValue is what a block says of a target: its figure, or what bounds it.
type BlockValue struct {
	Block  int // 0: the search for a capacity, of a target that it kept out of the blocks
	Target string
	Value  float64
	Bound  verdict.Bound // empty: the value is the figure itself
}

// BlockValues are those of all blocks, by block. Verdict.Values has the figures without bounds.
func (s *Summary) BlockValues() (out []BlockValue) {
	if s.Verdict == nil {
		return nil
	}
	for _, v := range s.Verdict.Values {
		out = append(out, BlockValue{v.Block, v.Target, v.Value, s.boundOn(v.Target)})
	}
	if s.Capacity != nil {
		for _, t := range s.Capacity.Targets {
			out = append(out, t.bounds()...)
		}
	}
	slices.SortStableFunc(out, func(a, b BlockValue) int { return cmp.Compare(a.Block, b.Block) })
	return out
}

// boundOn says how the figures of a target in blocks stand to what it can do: another tier may have been the limit.
func (s *Summary) boundOn(target string) verdict.Bound {
	held := foreign(s.Limits)[target] != ""
	if s.Capacity != nil {
		held = slices.ContainsFunc(s.Capacity.Targets, func(t CapacityTarget) bool { return t.Target == target && t.HeldBy != "" })
	}
	switch {
	case !held:
		return ""
	case s.Verdict.Unit == UnitSeconds:
		return verdict.AtMost
	}
	return verdict.AtLeast
}

// bounds are the blocks that only bound a capacity, or the search where the target is in no block.
func (t CapacityTarget) bounds() (out []BlockValue) {
	add := func(block int, rate float64, bound verdict.Bound) {
		out = append(out, BlockValue{block, t.Target, rate, bound})
	}
	for _, v := range t.Values {
		switch {
		case v.Kind == capacity.NotBelow:
			add(v.Block, v.Rate, verdict.AtLeast)
		case v.Kind == capacity.NotAbove && t.HeldBy != "":
			add(v.Block, v.Rate, verdict.About)
		case v.Kind == capacity.NotAbove:
			add(v.Block, v.Rate, verdict.AtMost)
		}
	}
	if t.Search == nil || len(t.Values) > 0 {
		return out
	}
	switch {
	case t.Search.Outcome == capacity.AtLeast:
		add(0, t.Search.Lower, verdict.AtLeast)
	case t.Search.Outcome == capacity.Impossible:
		add(0, t.Search.Upper, verdict.AtMost)
	}
	return out
}

// WithoutValue says which valid trials have neither a figure nor a bound, and why.
func (s *Summary) WithoutValue() (out []string) {
	for _, w := range s.Verdict.Warnings {
		bounds := func(v Value) bool { return strings.HasPrefix(w.Text, trialOf(v.Block, v.Target)) }
		if w.Code == WarnNoValue && !slices.ContainsFunc(s.Bounded(), bounds) {
			out = append(out, w.Text)
		}
	}
	return out
}

// MeanBound says how the mean of a target's figures stands to what it can do, by those of its blocks.
func MeanBound(values []BlockValue, target string) verdict.Bound {
	var found verdict.Bound
	for _, v := range values {
		switch {
		case v.Target != target || v.Bound == "" || v.Bound == found:
		case found == "":
			found = v.Bound
		default:
			return verdict.About
		}
	}
	return found
}
