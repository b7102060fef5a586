package plan

import (
	"slices"

	"bakeoff/internal/splitmix"
)

// Trials are all trials of the plan in the order in which they run: the pilot
// as block 0 when there is one, then the blocks, each with every target once. The order is a function of
// the plan's seed and the number of targets alone, the same on every machine; a
// longer plan begins as a shorter one. A run keeps it in run.json, and is resumed in that order.
//
// What comes first in a block, or right after a heavy neighbour, may have an advantage, so chance alone does not
// decide: with k targets every k blocks have each target once in each position. With an even k they
// have each target once right behind each other one; with an odd k, where no k orders can, 2k blocks have it twice.
// That is Williams' design (Experimental designs balanced for the estimation of residual effects of treatments,
// Australian Journal of Scientific Research A 2, 1949). Which target is which in it, and which
// of its orders comes first, is drawn again every time, so that each block alone is in a uniformly random order.
func (p *Plan) Trials() []Trial {
	first := 1
	if p.Pilot > 0 {
		first = 0
	}
	var out []Trial
	for block := first; block <= p.Blocks; block++ {
		for i, t := range blockOrder(len(p.Targets), p.Seed, block) {
			out = append(out, Trial{Block: block, Position: i + 1, Target: p.Targets[t].Name})
		}
	}
	return out
}

// What is drawn from the seed, each from a stream of its own; the numbers are never used again for anything else.
const (
	drawPilot  = 0 << 32 // the pilot's order
	drawLabels = 1 << 32 // which target is which in the design, plus the number of the design
	drawRows   = 2 << 32 // in which order its rows come, plus the number of the square
	drawLuck   = 3 << 32 // of starts, plus block, target and attempt
)

// blockOrder is the order of the targets 0 to k-1 in a block; block 0 is the pilot.
func blockOrder(k int, seed uint64, block int) []int {
	if block == 0 {
		return shuffled(k, seed, drawPilot)
	}
	square := uint64(block-1) / uint64(k) // each has k rows
	design, mirrored := square, false
	if k%2 == 1 { // one square and the same backwards
		design, mirrored = square/2, square%2 == 1
	}
	labels := shuffled(k, seed, drawLabels+design)
	row := shuffled(k, seed, drawRows+square)[(block-1)%k]
	order := make([]int, k)
	for i := range order {
		order[i] = labels[(zigzag(i, k)+row)%k]
	}
	if mirrored {
		slices.Reverse(order)
	}
	return order
}

// Round is the order in which the targets take their turns in a round of a phase, as indexes into the plan's targets; rounds
// count from 1. It is balanced as the order of blocks is.
func (p *Plan) Round(block, phase, round int) []int {
	g := splitmix.Source{State: p.Seed ^ uint64(block)<<20 ^ uint64(phase)}
	return blockOrder(len(p.Targets), g.Next(), round)
}

// mostPadding is the size of a page of memory: an environment that is longer by it has the stack where it would be without.
const mostPadding = 4096

// Luck is what a fresh start of a target would leave to chance, drawn for each attempt at a trial: by how many bytes the environment of its
// replicas is longer, in which order those are started, and which share of the load each agent takes, as numbers from 1.
func (p *Plan) Luck(t Trial, attempt int) (padding int, order, agents []int) {
	i := slices.IndexFunc(p.Targets, func(other Target) bool { return other.Name == t.Target })
	start := splitmix.Source{State: p.Seed}
	g := splitmix.Source{State: start.Next() ^ (drawLuck + uint64(t.Block)<<16 + uint64(i)<<4 + uint64(attempt))}
	padding = int(g.Below(mostPadding))
	order = shuffled(p.Deployed(p.Targets[i]).Replicas, g.Next(), drawLuck)
	agents = shuffled(p.Agents.Count, g.Next(), drawLuck)
	for _, list := range [][]int{order, agents} {
		for at := range list {
			list[at]++
		}
	}
	return padding, order, agents
}

// zigzag is 0, 1, k-1, 2, k-2 and so on: with an even k its steps are all different, modulo k.
func zigzag(i, k int) int {
	if i%2 == 1 {
		return (i + 1) / 2
	}
	return (k - i/2) % k
}

// shuffled is a random order of 0 to n-1: a Fisher-Yates shuffle from the last place down, drawing from SplitMix64
// (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014) whose state begins as the seed's
// output mixed with the stream's number, without the bias of a remainder.
func shuffled(n int, seed, stream uint64) []int {
	start := splitmix.Source{State: seed}
	g := splitmix.Source{State: start.Next() ^ stream}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j := g.Below(uint64(i) + 1)
		order[i], order[j] = order[j], order[i]
	}
	return order
}
