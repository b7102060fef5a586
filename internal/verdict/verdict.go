// Package verdict says what a table of block values may claim. In: one positive
// figure per block and target, such as answers per second. Out: for every pair of targets whether one is better, both
// are equivalent, or neither is shown, with the estimate, its interval and p values; for every target the ranks that are possible.
//
// Targets are compared in pairs, within blocks, on log-ratios: what a block does to all its targets cancels. Each pair has
// its own spread. Student's t decides, Holm's method over all pairs keeps the family at 5 %, two one-sided tests show
// equivalence. The margin delta is the caller's alone: no figure measured in a run or on a machine changes it.
// docs/method.md has every rule with its reason and source.
//
// The package is pure: no clock, no files, no randomness but the caller's seed. It refuses figures that have no logarithm and
// two figures for one block and target. It knows nothing of plans, records and reports.
package verdict

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// DefaultDelta is the margin of a plan that names none: 3 %.
const DefaultDelta = 0.03

// alpha is the probability of any wrong claim in one table, for "better" and for "equivalent".
const alpha = 0.05

// Direction says which figures are the better ones.
type Direction string

// The directions. The zero value means Higher.
const (
	Higher Direction = "higher" // throughput, capacity
	Lower  Direction = "lower"  // response times, memory
)

// Options are what the caller decides before seeing the figures.
type Options struct {
	Delta  float64   // the smallest difference that matters, as a fraction: 0.03; above 0, below 1
	Better Direction // "" is Higher
	Seed   uint64    // of the sign flips that are drawn where there are more than 20 blocks
	// Capped are targets that something else held back, and what: their figures are the least that they can do. AtMost are those whose
	// figures are the most that they can do, and what bounds them. Unit is that of
	// figures, for words about them.
	Capped map[string]string
	AtMost map[string]string
	Unit   string
}

// check refuses what cannot be meant.
func (o Options) check() error {
	if !(o.Delta > 0 && o.Delta < 1) {
		return fmt.Errorf("verdict: delta %v is not between 0 and 1", o.Delta)
	}
	if o.Better != "" && o.Better != Higher && o.Better != Lower {
		return fmt.Errorf("verdict: better is %q (there are: %s, %s)", o.Better, Higher, Lower)
	}
	return nil
}

// margin is delta as a log-ratio.
func (o Options) margin() float64 { return math.Log1p(o.Delta) }

// sign turns a log-ratio so that above 0 means better.
func (o Options) sign() float64 {
	if o.Better == Lower {
		return -1
	}
	return 1
}

// Number is a float64 that is null in JSON where it is not known (NaN) or without bound (infinite).
type Number float64

// Known says whether there is a number.
func (n Number) Known() bool { return !math.IsNaN(float64(n)) && !math.IsInf(float64(n), 0) }

// MarshalJSON writes the number, or null.
func (n Number) MarshalJSON() ([]byte, error) {
	if !n.Known() {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (n *Number) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*n = unknown
		return nil
	}
	return json.Unmarshal(data, (*float64)(n))
}

var unknown = Number(math.NaN())

// Claim is the answer for one pair.
type Claim string

// The claims, all about the first target of a pair.
const (
	Better       Claim = "better"
	Worse        Claim = "worse"
	Equivalent   Claim = "equivalent"
	Inconclusive Claim = "inconclusive"
)

// Comparison is what the blocks say of two targets. Ratios are of their figures, a/b, in the figures' own direction.
type Comparison struct {
	A     string `json:"a"` // before B in the alphabet
	B     string `json:"b"`
	Ratio Number `json:"ratio"` // geometric mean over the blocks of a/b
	Low   Number `json:"low"`   // its Student t interval
	High  Number `json:"high"`
	Level Number `json:"level"` // of the interval: 0.95 for one pair, 1 - 0.05/pairs for more (Bonferroni)
	// AtLeast is what is claimed: the interval's end nearest to no difference, as a fraction of the smaller of
	// both figures. Null unless better or worse, and where that end reaches no difference.
	AtLeast        Number `json:"at_least"`
	P              Number `json:"p"`                 // of the two-sided paired t against no difference
	PHolm          Number `json:"p_holm"`            // the same, adjusted over all pairs
	PEquivalent    Number `json:"p_equivalent"`      // of the two one-sided t against the margin, adjusted over all pairs
	PSignFlip      Number `json:"p_sign_flip"`       // of the sign-flip test, for comparison; it decides nothing
	PSignFlipLeast Number `json:"p_sign_flip_least"` // the smallest that this number of blocks can give
	Verdict        Claim  `json:"verdict"`           // a's
	Blocks         int    `json:"blocks"`            // with a figure of both
	BlocksNeeded   Needed `json:"blocks_needed"`     // that would show delta, by the spread seen here
	// CappedBy is what held a target of the pair back, so that nothing is claimed of it; empty: nothing did. Above, or Below, is the figure
	// from which on they are not distinguishable.
	CappedBy string  `json:"capped_by,omitempty"`
	Above    float64 `json:"above,omitempty"`
	Below    float64 `json:"below,omitempty"`
}

// Needed is a number of blocks; null in JSON where it is not known (0).
type Needed int

// MarshalJSON writes the number, or null.
func (n Needed) MarshalJSON() ([]byte, error) {
	if n == 0 {
		return []byte("null"), nil
	}
	return json.Marshal(int(n))
}

// Mirror is the same comparison with a and b exchanged.
func (c Comparison) Mirror() Comparison {
	m := c
	m.A, m.B = c.B, c.A
	m.Ratio, m.Low, m.High = 1/c.Ratio, 1/c.High, 1/c.Low
	switch c.Verdict {
	case Better:
		m.Verdict = Worse
	case Worse:
		m.Verdict = Better
	}
	return m
}

// Target is one target among all.
type Target struct {
	Name   string `json:"name"`
	Rank   [2]int `json:"rank"`   // 1 + targets shown better; targets - targets shown worse
	Mean   Number `json:"mean"`   // geometric mean of its figures
	Blocks int    `json:"blocks"` // with a figure
}

// Warning is something a reader must know before the claims.
type Warning struct {
	Code string `json:"code"` // one of the Warn constants
	Text string `json:"text"`
}

// Codes of warnings.
const (
	WarnNoPairs      = "no-pairs"       // fewer than two targets: nothing to compare
	WarnTooFewBlocks = "too-few-blocks" // a pair has fewer blocks than any verdict takes
	WarnMissingCells = "missing-cells"  // a target has no figure in some block
	WarnNoSpread     = "no-spread"      // a pair's ratio is the same in every block
	WarnPosition     = "position"       // figures depend on the position in the block
)

// Result is everything a table may claim.
type Result struct {
	Delta        float64      `json:"delta"`
	Better       Direction    `json:"better"`
	Seed         uint64       `json:"seed"`
	Unit         string       `json:"-"`             // of figures, for words about them
	Blocks       int          `json:"blocks"`        // in the table
	FewestBlocks int          `json:"fewest_blocks"` // for any verdict on this number of targets
	Comparisons  []Comparison `json:"comparisons"`   // every pair once, by the alphabet
	Targets      []Target     `json:"targets"`       // the best first: by rank, then by estimate
	Groups       [][]string   `json:"groups"`        // ties: in each group every pair is equivalent
	Positions    *Positions   `json:"positions"`     // null where they are not known
	Warnings     []Warning    `json:"warnings"`
}

// mostTargets bounds a table: more are rather blocks and targets that changed places in a file.
const mostTargets = 200

// Judge says what the table may claim. The error is about the options, or more than 200 targets; a table that is too small for
// claims gets warnings.
func Judge(t *Table, o Options) (Result, error) {
	if err := o.check(); err != nil {
		return Result{}, err
	}
	if n := len(t.cells); n > mostTargets {
		return Result{}, fmt.Errorf("verdict: %d targets in %d blocks: at most %d targets are compared", n, len(t.seen), mostTargets)
	}
	if o.Better == "" {
		o.Better = Higher
	}
	o = o.withBounds(t)
	names, blocks := t.targets(), t.blocks()
	pairs := len(names) * (len(names) - 1) / 2
	r := Result{
		Delta: o.Delta, Better: o.Better, Seed: o.Seed, Unit: o.Unit, Blocks: len(blocks), FewestBlocks: FewestBlocks(pairs),
		Comparisons: make([]Comparison, 0, pairs), Groups: [][]string{}, Warnings: []Warning{},
	}
	all := make([]pair, 0, pairs)
	for i, a := range names {
		for _, b := range names[i+1:] {
			all = append(all, newPair(a, b, t.logRatios(blocks, a, b)))
		}
	}
	r.compare(all, o)
	r.uncap(t, o)
	r.Targets = r.rank(t, names, all, o)
	r.Groups = r.ties()
	r.Positions = t.positions(blocks, names)
	r.warn(t, blocks, names, all)
	return r, nil
}

// Pair is the comparison of two targets, a first.
func (r Result) Pair(a, b string) (Comparison, bool) {
	for _, c := range r.Comparisons {
		switch {
		case c.A == a && c.B == b:
			return c, true
		case c.A == b && c.B == a:
			return c.Mirror(), true
		}
	}
	return Comparison{}, false
}

// compare fills the comparisons from the pairs, in their order.
func (r *Result) compare(all []pair, o Options) {
	ps, tost := make([]float64, len(all)), make([]float64, len(all))
	for i, p := range all {
		ps[i], tost[i] = p.pDifferent(), p.pEquivalent(o.margin())
	}
	different, equivalent := holm(ps), holm(tost)
	for i, p := range all {
		c := p.comparison(o, len(all))
		if p.n >= 2 {
			c.PHolm, c.PEquivalent = Number(different[i]), Number(equivalent[i])
		}
		if p.n >= r.FewestBlocks {
			c.Verdict = p.claim(o, different[i], equivalent[i])
		}
		if c.Verdict == Better || c.Verdict == Worse {
			c.AtLeast = p.atLeast(len(all))
		}
		r.Comparisons = append(r.Comparisons, c)
	}
}

// FewestBlocks is how many blocks any verdict over a number of pairs takes: with fewer not even the
// clearest difference has a sign-flip p of 0.05 after correction for the pairs, 2^(1-n) <= 0.05/pairs.
func FewestBlocks(pairs int) int {
	return int(math.Ceil(1 + math.Log2(float64(max(pairs, 1))/alpha)))
}

// holm adjusts p values by Holm's step-down method; they stay in order, in [0, 1], and monotone.
func holm(ps []float64) []float64 {
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch {
		case ps[i] < ps[j]:
			return -1
		case ps[i] > ps[j]:
			return 1
		}
		return 0
	})
	out := make([]float64, len(ps))
	reached := 0.0
	for rank, i := range order {
		reached = max(reached, min(1, float64(len(ps)-rank)*ps[i]))
		out[i] = reached
	}
	return out
}
