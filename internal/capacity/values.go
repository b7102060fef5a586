package capacity

import (
	"math"
	"slices"
)

const (
	// MostStages is how many stages of one target a block has.
	MostStages = 4
	// stepSize is the smallest step between the rates of a block, as a part of the rate. The steps after its stages are 3, 2
	// and 1 of these: up where the objective was met, else down.
	stepSize = 0.02
	// leastSlope and mostSlope bound by how much the logarithm of the share of slow answers rises with a rate that rises by
	// its whole: by 0.05 to 5 for each per cent.
	leastSlope = 5.0
	mostSlope  = 500.0
	// saturated is the share of slow answers, in units of what is allowed, from which on a stage above the upper bound says no more
	// than that bound does.
	saturated = 20
)

// Centre is the rate around which the next block has its stages: where those of the blocks before came to, on average, or where the
// search did. A search is one trial of its own, which may be 10 % off; what the machine does between two blocks may be more.
func Centre(found float64, reached []float64) float64 {
	if len(reached) == 0 {
		return found
	}
	var sum float64
	for _, rate := range reached {
		sum += math.Log(rate)
	}
	return Round(math.Exp(sum / float64(len(reached))))
}

// Next is the rate of the next stage of a block around a centre; false when it has all. A stage that
// the generator limited leads down, as one that did not meet the objective. The ceiling is repeated where it is met.
func (o Objective) Next(centre, ceiling float64, stages []Stage) (rate float64, more bool) {
	if len(stages) >= MostStages {
		return 0, false
	}
	at := 0
	for i, s := range stages {
		if stride := MostStages - 1 - i; o.Judge(s).Meets() && !s.Limited {
			at += stride
		} else {
			at -= stride
		}
	}
	return Round(min(ceiling, centre*math.Pow(1+stepSize, float64(at)))), true
}

// Kind says what the value of a block is.
type Kind string

// The kinds. Only that of a Rate is a number that may be compared.
const (
	Rate     Kind = "rate"     // the objective is met up to it
	NotBelow Kind = "at least" // every stage met the objective
	NotAbove Kind = "below"    // none with the smallest rate did
	NoStages Kind = "none"     // there were none to judge
)

// Value is what the stages of one block say.
type Value struct {
	Kind Kind    `json:"kind"`
	Rate float64 `json:"rate"` // the value, or the rate that was met or not; 0: none
}

// Values are those of the blocks of one target. The logarithm of the share of slow answers is taken to rise in a straight
// line with the rate: that of an M/M/1 queue does, and that of others does where the load is heavy (Kingman, The single
// server queue in heavy traffic, 1961). Its slope is that of all blocks, its height that of each block, which gives the rate
// where the line of the block crosses what the objective allows.
//
// As all blocks share the slope, its error is one of all of them. So the value of a block is its pseudo-value of the jackknife
// (Tukey, Bias and confidence in not quite large samples, 1958): what the block adds to the mean, the slope with it.
func (o Objective) Values(blocks [][]Stage) []Value {
	out := make([]Value, len(blocks))
	var fits []fit
	var at []int // the block of each fit
	unit := 0.0
	for i, stages := range blocks {
		sums := Sums(stages)
		if unit == 0 && len(sums) > 0 {
			unit = sums[0].Rate
		}
		if out[i] = o.kind(stages, sums); out[i].Kind == Rate {
			fits, at = append(fits, o.fit(sums, unit)), append(at, i)
		}
	}
	for i, log := range pseudoValues(fits, o.Allowed()) {
		out[at[i]].Rate = math.Exp(log)
	}
	return out
}

// kind says what a block's stages are good for.
func (o Objective) kind(stages, sums []Stage) Value {
	if len(sums) == 0 {
		return Value{Kind: NoStages}
	}
	least, most := sums[0].Rate, sums[len(sums)-1].Rate
	leastMet, missed := false, false
	for _, s := range stages {
		if s.Limited {
			continue
		}
		met := o.Judge(s).Meets()
		missed = missed || !met
		leastMet = leastMet || met && s.Rate == least
	}
	switch {
	case !missed:
		return Value{NotBelow, most}
	case !leastMet:
		return Value{NotAbove, least}
	}
	return Value{Kind: Rate}
}

// pseudoValues are the logarithms of the rates of blocks, each with what leaving its block out changes in the others.
func pseudoValues(fits []fit, allowed float64) []float64 {
	slope := slopeOf(fits)
	out := make([]float64, len(fits))
	for i, f := range fits {
		out[i] = f.crossing(slope, allowed)
		if len(fits) == 1 {
			break
		}
		others := slices.Delete(slices.Clone(fits), i, i+1)
		without := slopeOf(others)
		for _, other := range others {
			out[i] += other.crossing(slope, allowed) - other.crossing(without, allowed)
		}
	}
	return out
}

// fit is what a line is fitted to in one block.
type fit struct {
	points    []point
	unit      float64
	low, high float64 // where its crossing is
}

// point is a rate: how many answers, and how many of them are slow.
type point struct {
	x        float64 // the rate, in units
	answers  float64
	slow     float64 // a stage that fails for its errors has as many as miss the objective by as much
	variance float64 // of slow
}

// fit takes the stages of a block. The crossing is at most one step beyond them, below a rate that passes and above one that
// fails.
func (o Objective) fit(sums []Stage, unit float64) fit {
	b := o.Bounds(sums)
	f := fit{
		unit: unit,
		low:  max(b.Lower, sums[0].Rate) * (1 - stepSize),
		high: min(b.Upper, sums[len(sums)-1].Rate) * (1 + stepSize),
	}
	for _, s := range sums {
		found, answers := o.Judge(s), float64(s.Sum().Answers)
		if s.Rate > b.Upper && (b.Inverted || found.Misses > saturated) {
			continue
		}
		variance, _ := s.variance(slowAnswers)
		slow := answers * min(1, found.Misses*o.Allowed())
		f.points = append(f.points, point{s.Rate / unit, answers, slow, variance})
	}
	return f
}

// slopeOf is the slope of the stages of all blocks together, by quasi-likelihood. They have one height for this: the rate of a
// stage follows from what the ones before it found, so with a height for each block a slope would come out too steep.
func slopeOf(fits []fit) float64 {
	low, high := leastSlope, mostSlope
	for range 50 {
		middle := math.Sqrt(low * high)
		if rises(fits, middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// rises reports whether the points rise more than a slope does.
func rises(fits []fit, slope float64) bool {
	var slow, slowX, expected, expectedX float64
	for _, f := range fits {
		for _, p := range f.points {
			s, e := p.weighted(slope)
			slow, slowX = slow+s, slowX+s*p.x
			expected, expectedX = expected+e, expectedX+e*p.x
		}
	}
	return slowX*expected > slow*expectedX
}

// weighted is how many slow answers a point has, and how many it has on a line with a share of 1 at one unit, both by their
// weight. Slow answers come in queues, which are longer where more answers are slow: the variance of their number grows with
// about the power 1.5 of its mean, and the root of the mean is the best weight.
func (p point) weighted(slope float64) (slow, expected float64) {
	root := math.Exp(slope * (p.x - 1) / 2)
	return p.slow / root, p.answers * root
}

// crossing is the logarithm of the rate at which the block's line has the share that is allowed. A logarithm of what varies is
// too low on average, by half its relative variance; that is made up for.
func (f fit) crossing(slope, allowed float64) float64 {
	var slow, expected, variance float64
	for _, p := range f.points {
		s, e := p.weighted(slope)
		slow, expected = slow+s, expected+e
		variance += p.variance * math.Exp(-slope*(p.x-1))
	}
	if slow == 0 { // all that missed the objective is far above what fails
		return math.Log(f.high)
	}
	x := 1 + (math.Log(allowed*expected/slow)-min(1, variance/(slow*slow))/2)/slope
	return math.Log(min(f.high, max(f.low, f.unit*x)))
}
