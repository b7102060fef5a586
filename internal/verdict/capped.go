package verdict

import (
	"cmp"
	"math"
	"slices"
	"strconv"
)

// uncap withdraws what cannot be claimed of targets that something else held back. What such a target shows is the least that it
// can do. So it may be better than another one, but nothing is worse because it was held back, and no two are equal because the
// same thing held both.
func (r *Result) uncap(t *Table, o Options) {
	for i := range r.Comparisons {
		c := &r.Comparisons[i]
		a, b := o.Capped[c.A], o.Capped[c.B]
		loser := map[Claim]string{Better: b, Worse: a}[c.Verdict]
		decided := c.Verdict == Better || c.Verdict == Worse
		if c.Verdict == Inconclusive {
			loser, decided = o.apparent(*c)
		}
		if c.Blocks < r.FewestBlocks || a == "" && b == "" || decided && loser == "" { // with too few blocks that alone is the reason
			continue
		}
		var figures []float64
		if a != "" {
			figures = append(figures, float64(t.mean(c.A)))
		}
		if b != "" {
			figures = append(figures, float64(t.mean(c.B)))
		}
		c.Above = slices.Min(figures)
		if o.Better == Lower {
			c.Above = slices.Max(figures)
		}
		c.CappedBy = cmp.Or(loser, a, b)
		c.Verdict, c.AtLeast = Inconclusive, unknown
	}
}

// apparent is what held back the target of an inconclusive pair that looks worse; false: neither does.
func (o Options) apparent(c Comparison) (by string, one bool) {
	switch d := o.sign() * math.Log(float64(c.Ratio)); {
	case d < 0:
		return o.Capped[c.A], true
	case d > 0:
		return o.Capped[c.B], true
	}
	return "", false
}

// beyond is the figure from which on the targets of a pair are not distinguishable: "above 812 answers/s".
func (r Result) beyond(c Comparison) string {
	text := thousands(strconv.FormatFloat(c.Above, 'f', 0, 64))
	if c.Above < 100 {
		text = strconv.FormatFloat(c.Above, 'g', 3, 64)
	}
	if r.Unit != "" {
		text += " " + r.Unit
	}
	if r.Better == Lower {
		return "below " + text
	}
	return "above " + text
}

// capped names the pairs without a claim because other tiers were the limit, for the verdict on all targets.
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
	first := slices.MinFunc(pairs, func(a, b Comparison) int { return cmp.Compare(a.Above, b.Above) })
	if r.Better == Lower {
		first = slices.MaxFunc(pairs, func(a, b Comparison) int { return cmp.Compare(a.Above, b.Above) })
	}
	return "; " + plural(len(pairs), "pair") + " not distinguishable " + r.beyond(first) + ": the " + first.CappedBy + " was the limit there"
}
