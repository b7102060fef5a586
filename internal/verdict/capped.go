package verdict

import (
	"cmp"
	"math"
	"slices"
	"strconv"
)

// uncap withdraws what cannot be claimed of targets whose figures are only bounds. What a target shows that something else held back
// is the least that it can do. So it may be better than another one, but nothing is worse because it was held back, and no two are
// equal because the same thing held both. Of a target that can do its figure at most, it is the other way round.
func (r *Result) uncap(t *Table, o Options) {
	for i := range r.Comparisons {
		c := &r.Comparisons[i]
		by, most := o.forbidden(*c)
		if c.Blocks < r.FewestBlocks || by == "" { // with too few blocks that alone is the reason
			continue
		}
		c.CappedBy, c.Verdict, c.AtLeast = by, Inconclusive, unknown
		bounds, high := o.Capped, o.Better == Lower
		if most {
			bounds, high = o.AtMost, !high
		}
		figure := t.boundOf(*c, bounds, high)
		if c.Above = figure; most {
			c.Above, c.Below = 0, figure
		}
	}
}

// boundOf is the lower figure of those targets of a pair whose figures are bounds, or the higher one.
func (t *Table) boundOf(c Comparison, bounds map[string]string, high bool) float64 {
	var figures []float64
	for _, name := range []string{c.A, c.B} {
		if bounds[name] != "" {
			figures = append(figures, float64(t.mean(name)))
		}
	}
	if high {
		return slices.Max(figures)
	}
	return slices.Min(figures)
}

// forbidden is what forbids a claim about a pair, or would forbid what it looks like, and whether that bounds what the better one can do
// at most; empty: nothing does.
func (o Options) forbidden(c Comparison) (by string, most bool) {
	d := o.sign() * math.Log(float64(c.Ratio))
	switch {
	case c.Verdict == Better, c.Verdict == Inconclusive && d > 0:
		return o.forbids(c.A, c.B)
	case c.Verdict == Worse, c.Verdict == Inconclusive && d < 0:
		return o.forbids(c.B, c.A)
	}
	if by, most = o.forbids(c.B, c.A); by != "" {
		return by, most
	}
	return o.forbids(c.A, c.B)
}

// forbids is what forbids to call a target better than another one.
func (o Options) forbids(better, than string) (by string, most bool) {
	if by = o.Capped[than]; by != "" {
		return by, false
	}
	by = o.AtMost[better]
	return by, by != ""
}

// beyond is the figure from which on the targets of a pair are not distinguishable: "above 812 answers/s".
func (r Result) beyond(c Comparison) string {
	figure := cmp.Or(c.Above, c.Below)
	text := thousands(strconv.FormatFloat(figure, 'f', 0, 64))
	if figure < 100 {
		text = strconv.FormatFloat(figure, 'g', 3, 64)
	}
	if r.Unit != "" {
		text += " " + r.Unit
	}
	if (r.Better == Lower) != (c.Below > 0) {
		return "below " + text
	}
	return "above " + text
}

// capped names the pairs without a claim because their figures are bounds, for the verdict on all targets.
func (r Result) capped() string {
	var pairs []Comparison
	for _, c := range r.Comparisons {
		if c.CappedBy != "" {
			pairs = append(pairs, c)
		}
	}
	switch len(pairs) {
	case 0:
		return ""
	case 1:
		return "; " + r.Sentence(pairs[0])
	}
	byFigure := func(a, b Comparison) int { return cmp.Compare(cmp.Or(a.Above, a.Below), cmp.Or(b.Above, b.Below)) }
	first := slices.MinFunc(pairs, byFigure)
	if r.Better == Lower {
		first = slices.MaxFunc(pairs, byFigure)
	}
	return "; " + plural(len(pairs), "pair") + " not distinguishable " + r.beyond(first) + ": the " + first.CappedBy + " was the limit there"
}
