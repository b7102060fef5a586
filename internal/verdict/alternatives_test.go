package verdict

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

// alternative is another rule that is in use somewhere, in a world where it goes wrong.
type alternative struct {
	says  string // the other rule
	truth truth
	wrong string // what is counted
	other func([]pair) bool
	rule  func(Result) bool
}

var alternatives = []alternative{
	{
		"no correction for the number of pairs", equalTargets("5 equal targets, CV 6 %", normal, 10, 0.06, 0.06, 0.06, 0.06, 0.06), "any better or worse",
		func(all []pair) bool { return shown(all, unadjusted(all)) }, anyOf(Better, Worse),
	},
	{
		"normal instead of Student's quantiles", two(1, 0.1, normal, 6), "better or worse",
		func(all []pair) bool {
			return shown(all, []float64{2 * distuv.UnitNormal.CDF(-math.Abs(all[0].mean)/all[0].se())})
		}, anyOf(Better, Worse),
	},
	{
		"one spread for all targets", equalTargets("5 equal targets, CV 3, 3, 3, 3 and 18 %", normal, 10, 0.03, 0.03, 0.03, 0.03, 0.18), "any better or worse",
		func(all []pair) bool { return shown(all, holm(pooled(all))) }, anyOf(Better, Worse),
	},
	{
		"all values of a against all of b, without blocks", two(1.05, 0.01, drift, 10), "not shown better",
		func(all []pair) bool { return all[0].pDifferent() > alpha }, func(r Result) bool { return r.Comparisons[0].Verdict != Better },
	},
	{
		"not shown different, so equal", two(1.05, 0.1, normal, 8), "called equal",
		func(all []pair) bool { return all[0].pDifferent() > alpha }, anyOf(Equivalent),
	},
	{
		"the noise measured is the margin, where that is wider", two(1.05, 0.1, normal, 8), "called equal",
		func(all []pair) bool {
			return all[0].pEquivalent(max(math.Log1p(delta), critical(8, alpha)*all[0].se())) <= alpha
		},
		anyOf(Equivalent),
	},
	{
		"a look after every block from the 6th on, and the end as soon as it pleases", two(1, 0.1, normal, 20), "better or worse",
		func(all []pair) bool {
			for n := 6; n <= all[0].n; n++ {
				soFar := []pair{newPair("", "", all[0].x[:n])}
				if shown(soFar, unadjusted(soFar)) {
					return true
				}
			}
			return false
		}, anyOf(Better, Worse),
	},
	{
		"the estimate is what is claimed", two(1.05, 0.02, normal, 10), "claimed more than true",
		func(all []pair) bool { return shown(all, unadjusted(all)) && all[0].mean > math.Log(1.05) }, falseBound(1.05),
	},
}

// shown says whether any pair is called different, by these p values.
func shown(all []pair, ps []float64) bool {
	for i, p := range all {
		if ps[i] <= alpha && math.Abs(p.mean) > math.Log1p(delta) {
			return true
		}
	}
	return false
}

func unadjusted(all []pair) []float64 {
	out := make([]float64, len(all))
	for i, p := range all {
		out[i] = p.pDifferent()
	}
	return out
}

// pooled are the p values of an analysis of variance: the mean of the pairs' variances is twice its residual one.
func pooled(all []pair) []float64 {
	square, n := 0.0, all[0].n
	for _, p := range all {
		square += p.sd * p.sd / float64(len(all))
	}
	targets := (1 + math.Sqrt(1+8*float64(len(all)))) / 2
	t := distuv.StudentsT{Sigma: 1, Nu: float64(n-1) * (targets - 1)}
	out := make([]float64, len(all))
	for i, p := range all {
		out[i] = 2 * t.CDF(-math.Abs(p.mean)/math.Sqrt(square/float64(n)))
	}
	return out
}

// unpaired makes of each pair one whose spread is that of two independent samples.
func unpaired(t *Table, all []pair) []pair {
	for i, p := range all {
		square := 0.0
		for _, name := range []string{p.a, p.b} {
			var logs []float64
			for _, c := range t.cells[name] {
				logs = append(logs, math.Log(c.Value))
			}
			square += math.Pow(newPair("", "", logs).sd, 2)
		}
		all[i].sd = math.Sqrt(square)
	}
	return all
}

// TestAlternativesSimulated counts how often other rules go wrong where bakeoff's do not.
func TestAlternativesSimulated(t *testing.T) {
	var table strings.Builder
	table.WriteString("| another rule | truth | noise | blocks | wrong | of 1,000 | with the rule here |\n|---|---|---|---:|---|---:|---:|\n")
	for i, a := range alternatives {
		random := rand.New(rand.NewPCG(12, uint64(i)))
		others, ours := 0, 0
		for range experiments {
			figures := a.truth.run(random)
			r, err := Judge(figures, Options{Delta: delta})
			if err != nil {
				t.Fatal(err)
			}
			if a.rule(r) {
				ours++
			}
			if a.other(pairsOf(figures, strings.Contains(a.says, "without blocks"))) {
				others++
			}
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %d | %s | %d | %d |\n", a.says, a.truth.says, a.truth.noise.says, a.truth.blocks, a.wrong, others, ours)
		t.Logf("%s; %s: %s in %d, with the rule here in %d", a.says, a.truth.says, a.wrong, others, ours)
		if others <= 73 || ours > 73 {
			t.Errorf("%s; %s: %s in %d, with the rule here in %d: that shows nothing", a.says, a.truth.says, a.wrong, others, ours)
		}
	}
	documented(t, "alternatives", table.String())
}

// pairsOf are the pairs of a table, with the spread that they have without blocks if so asked.
func pairsOf(t *Table, withoutBlocks bool) []pair {
	names, blocks := t.targets(), t.blocks()
	var all []pair
	for i, a := range names {
		for _, b := range names[i+1:] {
			all = append(all, newPair(a, b, t.logRatios(blocks, a, b)))
		}
	}
	if withoutBlocks {
		return unpaired(t, all)
	}
	return all
}
