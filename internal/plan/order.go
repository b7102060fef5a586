package plan

// Trials are all trials of the plan in the order in which they run: the pilot
// as block 0 when there is one, then the blocks, each with every target once.
// The order within a block is a function of the plan's seed, the block's number
// and the number of targets alone, the same on every machine and for ever: a
// Fisher-Yates shuffle from the last place down, drawing from SplitMix64
// (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA
// 2014) whose state begins as the seed's output mixed with the block's number, without
// the bias of a remainder.
func (p *Plan) Trials() []Trial {
	first := 1
	if p.Pilot > 0 {
		first = 0
	}
	var out []Trial
	for block := first; block <= p.Blocks; block++ {
		for i, t := range shuffled(len(p.Targets), p.Seed, uint64(block)) {
			out = append(out, Trial{Block: block, Position: i + 1, Target: p.Targets[t].Name})
		}
	}
	return out
}

// shuffled is a random order of 0 to n-1.
func shuffled(n int, seed, block uint64) []int {
	start := splitMix64{state: seed}
	g := splitMix64{state: start.next() ^ block}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j := g.below(uint64(i) + 1)
		order[i], order[j] = order[j], order[i]
	}
	return order
}

// splitMix64 is a generator of 64 random bits with 64 bits of state.
type splitMix64 struct{ state uint64 }

func (g *splitMix64) next() uint64 {
	g.state += 0x9e3779b97f4a7c15
	z := g.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below is uniform over 0 to n-1: draws in the incomplete last stretch of n are thrown away.
func (g *splitMix64) below(n uint64) uint64 {
	reject := -n % n // 2^64 mod n
	for {
		if x := g.next(); x >= reject {
			return x % n
		}
	}
}
