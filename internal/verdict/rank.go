package verdict

import (
	"cmp"
	"math"
	"slices"
)

// rank gives every target the ranks that the comparisons leave possible, the best first: by these ranks, among equals by
// how far ahead of the others it is estimated.
func (r *Result) rank(t *Table, names []string, all []pair, o Options) []Target {
	place := map[string]*Target{}
	ahead := map[string]float64{}
	for _, name := range names {
		place[name] = &Target{Name: name, Rank: [2]int{1, len(names)}, Mean: t.mean(name), Blocks: len(t.cells[name])}
	}
	for i, c := range r.Comparisons {
		switch c.Verdict {
		case Better:
			place[c.A].Rank[1]--
			place[c.B].Rank[0]++
		case Worse:
			place[c.A].Rank[0]++
			place[c.B].Rank[1]--
		}
		if !math.IsNaN(all[i].mean) {
			ahead[c.A] += o.sign() * all[i].mean
			ahead[c.B] -= o.sign() * all[i].mean
		}
	}
	out := make([]Target, 0, len(names))
	for _, name := range names {
		out = append(out, *place[name])
	}
	slices.SortStableFunc(out, func(x, y Target) int {
		return cmp.Or(cmp.Compare(x.Rank[0], y.Rank[0]), cmp.Compare(x.Rank[1], y.Rank[1]),
			cmp.Compare(ahead[y.Name], ahead[x.Name]))
	})
	return out
}

// ties are groups of targets; any two in a group are equivalent. Equivalence does not carry over (a within delta of b, b within delta of c,
// and a and c apart), so a target may be in several groups. Every equivalent pair is in one; none holds another.
func (r *Result) ties() [][]string {
	equal := map[[2]string]bool{}
	for _, c := range r.Comparisons {
		if c.Verdict == Equivalent {
			equal[[2]string{c.A, c.B}], equal[[2]string{c.B, c.A}] = true, true
		}
	}
	groups := [][]string{}
	for i, first := range r.Targets {
		for _, second := range r.Targets[i+1:] {
			if !equal[[2]string{first.Name, second.Name}] || together(groups, first.Name, second.Name) {
				continue
			}
			groups = append(groups, r.grow(equal, first.Name, second.Name))
		}
	}
	return groups
}

// grow adds to two equivalent targets every other, the best first, that is equivalent to all so far.
func (r *Result) grow(equal map[[2]string]bool, names ...string) []string {
	for _, t := range r.Targets {
		if !slices.Contains(names, t.Name) && !slices.ContainsFunc(names, func(n string) bool { return !equal[[2]string{n, t.Name}] }) {
			names = append(names, t.Name)
		}
	}
	var out []string
	for _, t := range r.Targets { // in the order of the ranking
		if slices.Contains(names, t.Name) {
			out = append(out, t.Name)
		}
	}
	return out
}

// together says whether a group holds both.
func together(groups [][]string, a, b string) bool {
	return slices.ContainsFunc(groups, func(g []string) bool { return slices.Contains(g, a) && slices.Contains(g, b) })
}
