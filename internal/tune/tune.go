// Package tune says which settings of a target stay in a search, and how they compare when it is over. In: the figures of all
// settings by stage and block. Out: an order, and for each setting its figure and its ratio to the best one, with intervals.
//
// The figures that choose a setting flatter it: the best of many is partly the luckiest. So nothing is claimed here. What is
// claimed comes from other trials, which internal/verdict judges.
//
// The search is successive halving: all settings are measured in a few blocks, the worse half is left out, the others are measured
// in more, until one is left (Karnin, Koren and Somekh, Almost optimal exploration in multi-armed bandits, ICML 2013). A setting is
// judged by all blocks that it was in, within which it is compared with the others. The package is pure.
package tune

import (
	"cmp"
	"math"
	"slices"

	"bakeoff/internal/verdict"
)

// Value is the figure of one setting in one block.
type Value struct {
	Stage   int // of the search, from 1
	Block   int // of that stage
	Setting string
	Value   float64 // above 0
}

// cell is a block of a stage.
type cell struct{ stage, block int }

// byBlock are the figures of each setting.
func byBlock(values []Value) map[string]map[cell]float64 {
	out := map[string]map[cell]float64{}
	for _, v := range values {
		if out[v.Setting] == nil {
			out[v.Setting] = map[cell]float64{}
		}
		out[v.Setting][cell{v.Stage, v.Block}] = v.Value
	}
	return out
}

// ratios are those of the figures of two settings, in the blocks that both have, in order.
func ratios(a, b map[cell]float64) []float64 {
	var cells []cell
	for at := range a {
		if _, both := b[at]; both {
			cells = append(cells, at)
		}
	}
	slices.SortFunc(cells, func(x, y cell) int { return cmp.Or(cmp.Compare(x.stage, y.stage), cmp.Compare(x.block, y.block)) })
	out := make([]float64, len(cells))
	for i, at := range cells {
		out[i] = a[at] / b[at]
	}
	return out
}

// Rank orders settings by how far each is ahead of all others on average, the best first. Those without any figure come last.
func Rank(values []Value, settings []string, better verdict.Direction) []string {
	figures := byBlock(values)
	ahead := map[string]float64{}
	for _, a := range settings {
		if len(figures[a]) == 0 {
			ahead[a] = math.Inf(-1)
			continue
		}
		for _, b := range settings {
			ahead[a] += sign(better) * lead(figures[a], figures[b])
		}
	}
	out := slices.Clone(settings)
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(ahead[b], ahead[a]) })
	return out
}

// lead is the mean log-ratio of two settings over the blocks that both have, 0 where there are none.
func lead(a, b map[cell]float64) float64 {
	sum, n := 0.0, 0
	for _, ratio := range ratios(a, b) {
		sum, n = sum+math.Log(ratio), n+1
	}
	return sum / float64(max(n, 1))
}

// Search are the settings of one target, during its search and after it.
type Search struct {
	Left    []string // settings that are still in it, after a stage the best first
	Dropped []string // the others, the best first
}

// Halve ends a stage: that many of the settings stay, by all figures so far.
func (s *Search) Halve(stay int, values []Value, better verdict.Direction) {
	ranked := Rank(values, s.Left, better)
	s.Left, s.Dropped = ranked[:stay], slices.Concat(ranked[stay:], s.Dropped)
}

// Ranked are all settings, the best first.
func (s *Search) Ranked() []string { return slices.Concat(s.Left, s.Dropped) }

// sign turns a log-ratio so that above 0 means better.
func sign(better verdict.Direction) float64 {
	if better == verdict.Lower {
		return -1
	}
	return 1
}

// Setting is what a search found of one setting.
type Setting struct {
	Name   string           `json:"setting"` // of the target in the search's runs
	Label  string           `json:"label"`   // how it differs from the others: "workers 4, pool 20"
	Figure verdict.Estimate `json:"figure"`  // of the primary metric, over the blocks that it was in
	Ratio  verdict.Estimate `json:"ratio"`   // of its figure to that of the best setting, in the blocks of both; 1 for the best itself
	Blocks int              `json:"blocks"`
	Stages int              `json:"stages"` // in how many it was
}

// Compare is the sensitivity: every setting in the order of ranked, whose first is the best, and how it compares with that. The
// intervals of figures hold together with 95 %, and so do those of ratios.
func Compare(values []Value, ranked []string) []Setting {
	figures := byBlock(values)
	best := figures[ranked[0]]
	out := make([]Setting, len(ranked))
	for i, name := range ranked {
		stages := map[int]bool{}
		for at := range figures[name] {
			stages[at.stage] = true
		}
		out[i] = Setting{
			Name: name, Figure: verdict.MeanOf(ratios(figures[name], ones(figures[name])), len(ranked)),
			Ratio: verdict.MeanOf(ratios(figures[name], best), len(ranked)-1), Blocks: len(figures[name]), Stages: len(stages),
		}
	}
	return out
}

// ones is 1 in every block of the figures.
func ones(of map[cell]float64) map[cell]float64 {
	out := map[cell]float64{}
	for at := range of {
		out[at] = 1
	}
	return out
}

// Run is a run directory that a tuning made.
type Run struct {
	Dir     string `json:"run"`
	Targets int    `json:"targets"`
	Blocks  int    `json:"blocks"` // planned
	Status  string `json:"status"`
}

// What the setting that was found is compared with.
const (
	AgainstDefault = "default"   // the setting that the plan gives without a sweep
	AgainstSecond  = "runner-up" // the second of the search: the best is the default, or no setting is
)

// Target is what was found of one target.
type Target struct {
	Name    string `json:"target"`
	Best    string `json:"best"`              // of the search
	Default string `json:"default,omitempty"` // empty: no setting is known to be the default
	Rival   string `json:"rival"`             // that the best was compared with in the confirming run
	Against string `json:"against"`           // what the rival is
	// Verdict on the best in the confirming run: better, worse, equivalent, inconclusive, or "too few valid trials".
	Verdict    string              `json:"verdict"`
	Comparison *verdict.Comparison `json:"comparison,omitempty"` // of the confirming run: ratios are best/rival
	Line       string              `json:"line"`                 // the verdict in one sentence
	Settings   []Setting           `json:"settings"`             // by the search, the best first
}

// Result is what a tuning found.
type Result struct {
	Plan    string            `json:"plan"`
	Metric  string            `json:"metric"` // primary metric of the plan
	Unit    string            `json:"unit"`
	Better  verdict.Direction `json:"better"`
	Delta   float64           `json:"delta"`
	Fair    []string          `json:"fair"`    // what all settings have in common, and what differs
	Search  []Run             `json:"search"`  // whose trials chose
	Confirm Run               `json:"confirm"` // whose trials are claimed; none of the search's
	Targets []Target          `json:"targets"`
}
