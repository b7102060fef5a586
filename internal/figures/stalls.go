package figures

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"bakeoff/internal/stats"
)

// Stall is a stretch of a trial in which its rate of right answers was below half of what was usual in that phase. Where targets
// took turns in the open model, it is a slice that lasted longer, by half a slice or more, because requests in it were not answered:
// it ends when they are, so its rate is the usual one.
type Stall struct {
	Block   int     `json:"block"`
	AtS     float64 `json:"at_s"`
	LengthS float64 `json:"length_s"`
	Rate    float64 `json:"ok_per_s"` // its lowest
	Usual   float64 `json:"usual_per_s"`
	// SliceS is how long the slice was to last that lasted for LengthS; 0: it was the rate that fell.
	SliceS float64 `json:"slice_s,omitempty"`
}

// Looked is how far stalls were looked for in a phase, over all blocks.
type Looked struct {
	Judged   int `json:"judged"`   // windows of all blocks
	Unjudged int `json:"unjudged"` // that usually have too few answers for that
}

// A window is part of a stall where it has less than stalled of the median rate, if it would usually have fewest answers. A slice
// is one where it lasted longer by this share of a slice.
const (
	stalled       = 0.5
	FewestAnswers = 20
)

// byLength reports whether slices are judged by how long they lasted.
func (t *times) byLength() bool {
	return t.phase.Model == "open" && t.phase.Turns != nil && t.phase.Turns.SliceS > 0
}

// stalls are those of this phase, and how far they were looked for.
func (t *times) stalls(block int) ([]Stall, Looked) {
	usual := t.usual()
	out, looked := t.slow(block, usual)
	if t.byLength() {
		out = append(out, t.long(block, usual)...)
		looked = Looked{Judged: len(t.lasted)}
	}
	return out, looked
}

// usual is the median rate of the windows; of those that ended after the phase too where all did.
func (t *times) usual() float64 {
	of := t.counts
	if len(of) == 0 {
		of = t.lasted
	}
	var rates []float64
	for _, one := range of {
		rates = append(rates, one.rate())
	}
	return stats.Summarize(rates).Median
}

// slow are those in which the rate fell; neighbouring windows are one.
func (t *times) slow(block int, usual float64) (out []Stall, looked Looked) {
	last := -1
	for i, begin := range slices.Sorted(maps.Keys(t.counts)) {
		rate, length := t.counts[begin].rate(), t.counts[begin].length.Seconds()
		if usual*length < FewestAnswers {
			looked.Unjudged++
			continue
		}
		looked.Judged++
		if _, long := t.planned(begin); long || rate >= stalled*usual {
			continue
		}
		if last >= 0 && last == i-1 {
			s := &out[len(out)-1]
			s.LengthS, s.Rate = s.LengthS+length, min(s.Rate, rate)
		} else {
			out = append(out, Stall{Block: block, AtS: begin.Seconds(), LengthS: length, Rate: rate, Usual: usual})
		}
		last = i
	}
	return out, looked
}

// long are the slices that lasted too long.
func (t *times) long(block int, usual float64) (out []Stall) {
	for begin, one := range t.lasted {
		if planned, long := t.planned(begin); long {
			out = append(out, Stall{Block: block, AtS: begin.Seconds(), LengthS: one.length.Seconds(), Rate: one.rate(), Usual: usual, SliceS: planned.Seconds()})
		}
	}
	return out
}

// planned is how long the slice was to last that begins then, and whether it lasted too long.
func (t *times) planned(begin time.Duration) (planned time.Duration, long bool) {
	if !t.byLength() {
		return 0, false
	}
	slice := asDuration(t.phase.Turns.SliceS - t.phase.Turns.RunInS)
	planned = min(slice, asDuration(t.phase.DurationS)-begin)
	return planned, t.lasted[begin].length-planned >= time.Duration(stalled*float64(slice))
}

// stallsOf are those of a phase in all blocks, in the order of their time in it.
func stallsOf(phases []*times, blocks []int) (out []Stall, looked Looked) {
	for i, of := range phases {
		found, one := of.stalls(blocks[i])
		out = append(out, found...)
		looked.Judged, looked.Unjudged = looked.Judged+one.Judged, looked.Unjudged+one.Unjudged
	}
	slices.SortFunc(out, func(a, b Stall) int {
		return cmp.Or(cmp.Compare(a.AtS, b.AtS), cmp.Compare(a.Block, b.Block), cmp.Compare(a.SliceS, b.SliceS))
	})
	return out, looked
}
