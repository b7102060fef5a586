package stats

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	lowest  = int64(time.Microsecond)  // smallest distinguishable duration
	highest = int64(120 * time.Second) // durations above are counted as this
	digits  = 3
	// beyond is how many samples must lie beyond a percentile for it to be given.
	beyond = 100
)

// Histogram counts durations in nanoseconds with three significant digits,
// from 1 us to 120 s, in addition to a number of censored samples: time-outs and drops, which are only known to have lasted
// longer than a bound. It takes memory only for values that occur. The zero value is not usable; see
// NewHistogram. It is not safe for concurrent use. A nil histogram stands for what was not measured: it
// can be read, holds no sample, and takes none.
type Histogram struct {
	hdr     *hdrhistogram.PackedHistogram
	over    int64   // censored samples
	bounds  []bound // what they exceed, ascending
	clamped int64   // samples above highest, counted as highest
	// pending are counts as they are in files, known to be right but not taken into hdr yet: histograms that
	// were read are mostly added to others, and many are taken in at the price of one.
	pending [][]byte
	waiting int64 // samples in pending
}

// values are the samples that are not censored, with all that is pending taken in.
func (h *Histogram) values() *hdrhistogram.PackedHistogram {
	if len(h.pending) > 0 {
		h.settle()
	}
	return h.hdr
}

// bound says how many censored samples are known to exceed it.
type bound struct {
	above time.Duration
	count int64
}

// NewHistogram returns an empty histogram.
func NewHistogram() *Histogram {
	return &Histogram{hdr: hdrhistogram.NewPacked(lowest, highest, digits)}
}

// Record counts one duration; below 1 us is counted as it is (0 upwards),
// above 120 s as 120 s and in Clamped.
func (h *Histogram) Record(d time.Duration) { h.RecordN(d, 1) }

// RecordN counts n durations of the same length.
func (h *Histogram) RecordN(d time.Duration, n int64) {
	v := int64(d)
	if v < 0 {
		v = 0
	}
	if v > highest {
		v = highest
		h.clamped += n
	}
	h.recordN(v, n)
}

// recordN counts n samples of a value within range.
func (h *Histogram) recordN(v, n int64) {
	if err := h.hdr.RecordValues(v, n); err != nil {
		panic(fmt.Sprintf("stats: value %d within range was refused: %v", v, err))
	}
}

// RecordOver counts one sample that is only known to exceed bound.
func (h *Histogram) RecordOver(bound time.Duration) { h.overN(bound, 1) }

func (h *Histogram) overN(above time.Duration, n int64) {
	if n == 0 {
		return
	}
	h.over += n
	i, found := slices.BinarySearchFunc(h.bounds, above, func(b bound, d time.Duration) int { return int(b.above - d) })
	if found {
		h.bounds[i].count += n
		return
	}
	h.bounds = slices.Insert(h.bounds, i, bound{above, n})
}

// Merge adds the samples of o, which stays as it is.
func (h *Histogram) Merge(o *Histogram) {
	if o == nil {
		return
	}
	if dropped := h.hdr.Merge(o.hdr); dropped != 0 {
		panic(fmt.Sprintf("stats: merging lost %d samples", dropped))
	}
	h.waiting += o.waiting
	if h.pending = append(h.pending, o.pending...); len(h.pending) >= manyPending {
		h.settle()
	}
	for _, b := range slices.Clone(o.bounds) {
		h.overN(b.above, b.count)
	}
	h.clamped += o.clamped
}

// answeredBut is a histogram of the samples that are neither censored nor in o; all of o are in h.
func (h *Histogram) answeredBut(o *Histogram) *Histogram {
	out := NewHistogram()
	without := map[time.Duration]int64{}
	for value, n := range o.Each {
		without[value] += n
	}
	for value, n := range h.Each {
		if left := n - without[value]; left > 0 {
			out.RecordN(value, left)
		}
	}
	return out
}

// Reset empties the histogram.
func (h *Histogram) Reset() {
	h.hdr.Reset()
	h.over, h.bounds, h.clamped, h.pending, h.waiting = 0, nil, 0, nil, 0
}

// Count is the number of samples, censored ones included.
func (h *Histogram) Count() int64 {
	if h == nil {
		return 0
	}
	return h.hdr.TotalCount() + h.waiting + h.over
}

// Over is the number of censored samples, Clamped that of samples above 120 s.
func (h *Histogram) Over() int64 {
	if h == nil {
		return 0
	}
	return h.over
}

func (h *Histogram) Clamped() int64 {
	if h == nil {
		return 0
	}
	return h.clamped
}

// Mean is the mean of the samples that are not censored; 0 when there is none.
func (h *Histogram) Mean() time.Duration {
	if h == nil {
		return 0
	}
	return time.Duration(h.values().Mean())
}

// Min and Max are the smallest and greatest sample that is not censored, to
// three digits; 0 when there is none.
func (h *Histogram) Min() time.Duration {
	if h == nil {
		return 0
	}
	return time.Duration(h.values().Min())
}

func (h *Histogram) Max() time.Duration {
	if h == nil || h.values().TotalCount() == 0 {
		return 0
	}
	return time.Duration(h.values().Max())
}

// MeanAtLeast is the mean with each censored sample at its bound, and whether there are any: it is a lower bound then.
func (h *Histogram) MeanAtLeast() (mean time.Duration, censored bool) {
	if h.Count() == 0 {
		return 0, false
	}
	sum := float64(h.Mean()) * float64(h.Count()-h.Over())
	for bound, n := range h.EachOver {
		sum += float64(bound) * float64(n)
	}
	return time.Duration(sum / float64(h.Count())), h.Over() > 0
}

// MaxAtLeast is the greatest sample or bound, and whether there are censored ones: it is a lower bound then.
func (h *Histogram) MaxAtLeast() (most time.Duration, censored bool) {
	most = h.Max()
	for bound := range h.EachOver {
		most = max(most, bound)
	}
	return most, h.Over() > 0
}

// Slower is the number of samples that lasted longer than d: those of values above
// d (to three digits) and all censored ones, since none of them was seen to end.
func (h *Histogram) Slower(d time.Duration) int64 {
	if h == nil {
		return 0
	}
	n := h.over
	for value, count := range h.values().ForEachBucket {
		if value > int64(d) {
			n += count
		}
	}
	return n
}

// EachOver calls yield for every bound of censored samples, ascending, with
// how many of them are known to exceed it. It can be used with range.
func (h *Histogram) EachOver(yield func(bound time.Duration, count int64) bool) {
	if h == nil {
		return
	}
	for _, b := range h.bounds {
		if !yield(b.above, b.count) {
			return
		}
	}
}

// Each calls yield for every value that occurs, ascending, with its count;
// censored samples are not among them. It can be used with range.
func (h *Histogram) Each(yield func(value time.Duration, count int64) bool) {
	if h == nil {
		return
	}
	h.values().ForEachBucket(func(v, n int64) bool { return yield(time.Duration(v), n) })
}

// Quantile returns the value at quantile q in (0,1] without asking whether
// enough samples support it, and whether it falls among the censored ones.
// These are taken to lie above all others; a quantile among them is a lower bound: the
// sample of that rank if each censored one had ended at its bound. It is 0 for an empty histogram.
func (h *Histogram) Quantile(q float64) (value time.Duration, censored bool) {
	n := h.Count()
	if n == 0 {
		return 0, false
	}
	rank := min(max(int64(math.Ceil(q*float64(n)-1e-6)), 1), n)
	if value, found := h.ofOneText(rank); found {
		return value, false
	}
	if known := h.values().TotalCount(); rank <= known {
		return time.Duration(h.values().ValueAtPercentile(100 * float64(rank) / float64(known))), false
	}
	return h.atLeast(rank), true
}

// atLeast is the sample of a rank (from 1) among the values and the bounds together.
func (h *Histogram) atLeast(rank int64) time.Duration {
	var seen int64
	rest := h.bounds
	for value, count := range h.values().ForEachBucket {
		for len(rest) > 0 && rest[0].above <= time.Duration(value) {
			if seen += rest[0].count; seen >= rank {
				return rest[0].above
			}
			rest = rest[1:]
		}
		if seen += count; seen >= rank {
			return time.Duration(value)
		}
	}
	for _, b := range rest {
		if seen += b.count; seen >= rank {
			return b.above
		}
	}
	return 0
}

// Percentile is one percentile with what may be said of it.
type Percentile struct {
	P        float64       // such as 99.9
	Value    time.Duration // meaningful only when Needs is 0
	Censored bool          // falls among time-outs: the value is a lower bound
	Needs    int64         // 0, or how many samples are needed to give it
	Has      int64         // how many samples there are
}

// Percentile returns percentile p (in percent, such as 99) when at least 100
// samples lie beyond it, and otherwise how many samples that needs.
func (h *Histogram) Percentile(p float64) Percentile {
	out := Percentile{P: p, Has: h.Count()}
	if need := SamplesNeeded(p); out.Has < need {
		out.Needs = need
		return out
	}
	out.Value, out.Censored = h.Quantile(p / 100)
	return out
}

// SamplesNeeded is the number of samples at which 100 lie beyond percentile p, in percent.
func SamplesNeeded(p float64) int64 {
	share := 1 - p/100
	if share <= 0 {
		return math.MaxInt64
	}
	need := int64(beyond / share)
	for float64(need)*share < beyond-1e-6 {
		need++
	}
	return need
}
