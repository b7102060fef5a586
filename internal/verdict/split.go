package verdict

import "math"

// fewestParts is how many parts of a block the spread within it takes at least.
const fewestParts = 2

// Split is what the spread of a pair's log-ratios between blocks is made of: what varies within a block, and what is
// the same for the whole of a block and another in the next, such as what a fresh start leaves to luck.
type Split struct {
	A      string `json:"a"` // before B in the alphabet
	B      string `json:"b"`
	Blocks int    `json:"blocks"` // with parts of both
	Parts  Number `json:"parts"`  // of a block, the harmonic mean
	// Within is the spread (standard deviation) that parts give to the log-ratio of a whole block, Starts the
	// spread of what stays the same within one: the square of a block's spread is about the sum of both squares.
	Within Number `json:"within"`
	Starts Number `json:"starts"`
}

// NewSplit takes apart how the log-ratios of two targets spread; parts holds those of the parts of each block. Blocks with
// fewer than two parts are left out. It is an analysis of variance of one factor with random effects (Searle, Casella and McCulloch,
// Variance components, 1992, chapter 3): parts of one block are taken to vary independently of each other. Where they vary more
// than blocks do, nothing is put down to starts, and blocks and parts together give what is within.
// False: there are fewer than two blocks.
func NewSplit(a, b string, parts [][]float64) (Split, bool) {
	v := variancesOf(parts)
	s := Split{A: a, B: b, Blocks: v.blocks}
	if s.Blocks < 2 {
		return s, false
	}
	if v.starts < 0 {
		blocks := float64(v.blocks - 1)
		v.within = (v.within*v.freedom + (v.within+v.starts)*blocks) / (v.freedom + blocks)
		v.starts = 0
	}
	s.Parts, s.Within, s.Starts = Number(1/v.share), Number(math.Sqrt(v.within)), Number(math.Sqrt(v.starts))
	return s, true
}

// variances are those of a block's mean: of what varies within blocks, and of starts, which chance may put below 0.
type variances struct {
	blocks         int
	within, starts float64
	freedom        float64 // degrees of it, of within
	share          float64 // mean of 1/parts
}

func variancesOf(parts [][]float64) (v variances) {
	var means, shares []float64
	inner := 0.0
	for _, block := range parts {
		if len(block) < fewestParts {
			continue
		}
		one := newPair("", "", block)
		means, shares = append(means, one.mean), append(shares, 1/float64(one.n))
		inner += one.sd * one.sd * float64(one.n-1)
		v.freedom += float64(one.n - 1)
	}
	if v.blocks = len(means); v.blocks < 2 {
		return v
	}
	v.share = sum(shares) / float64(len(shares))
	v.within = inner / v.freedom * v.share
	whole := newPair("", "", means).sd
	v.starts = whole*whole - v.within
	return v
}

// Halves are half-widths of a pair's interval, as log-ratios.
type Halves struct {
	Now    Number `json:"now"`    // by the spread that the split is made of
	More   Number `json:"more"`   // with twice the blocks, which takes twice the time
	Longer Number `json:"longer"` // with blocks longer by so much that it takes the same
	Length Number `json:"length"` // of those blocks, as a multiple of theirs now
}

// Halves says what twice the time would do for the interval, spent on more blocks or on longer ones. A block takes measured
// seconds for the phase that is compared, and in addition for starts, checks and all else.
func (s Split) Halves(pairs int, measured, besides float64) Halves {
	length := 2 + besides/measured
	half := func(blocks int, longer float64) Number {
		within := float64(s.Within) * float64(s.Within) / longer
		spread := math.Sqrt(within + float64(s.Starts)*float64(s.Starts))
		return Number(critical(blocks, alpha/float64(pairs)) * spread / math.Sqrt(float64(blocks)))
	}
	return Halves{Now: half(s.Blocks, 1), More: half(2*s.Blocks, 1), Longer: half(s.Blocks, length), Length: Number(length)}
}

// MoreBlocks reports whether the time is better spent on more blocks than on longer ones.
func (h Halves) MoreBlocks() bool { return h.More <= h.Longer }
