package stats

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
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
// from 1 us to 120 s, beside a number of censored samples: time-outs and drops, of which is known only that they lasted
// longer than a bound. The zero value is not usable; see NewHistogram. It is
// not safe for concurrent use.
type Histogram struct {
	hdr     *hdrhistogram.Histogram
	over    int64         // censored samples
	bound   time.Duration // what every censored sample exceeds; the smallest seen
	clamped int64         // samples above highest, counted as highest
}

// NewHistogram returns an empty histogram.
func NewHistogram() *Histogram {
	return &Histogram{hdr: hdrhistogram.New(lowest, highest, digits)}
}

// Record counts one duration; below 1 us is counted as it is (0 upwards),
// above 120 s as 120 s and in Clamped.
func (h *Histogram) Record(d time.Duration) {
	v := int64(d)
	if v < 0 {
		v = 0
	}
	if v > highest {
		v = highest
		h.clamped++
	}
	if err := h.hdr.RecordValue(v); err != nil {
		panic(fmt.Sprintf("stats: value %d within range was refused: %v", v, err))
	}
}

// RecordOver counts one sample of which is only known that it exceeds bound.
func (h *Histogram) RecordOver(bound time.Duration) {
	if h.over == 0 || bound < h.bound {
		h.bound = bound
	}
	h.over++
}

// Merge adds the samples of o, which stays as it is.
func (h *Histogram) Merge(o *Histogram) {
	if o == nil {
		return
	}
	if dropped := h.hdr.Merge(o.hdr); dropped != 0 {
		panic(fmt.Sprintf("stats: merging lost %d samples", dropped))
	}
	if o.over > 0 && (h.over == 0 || o.bound < h.bound) {
		h.bound = o.bound
	}
	h.over += o.over
	h.clamped += o.clamped
}

// Reset empties the histogram.
func (h *Histogram) Reset() {
	h.hdr.Reset()
	h.over, h.bound, h.clamped = 0, 0, 0
}

// Count is the number of samples, censored ones included.
func (h *Histogram) Count() int64 { return h.hdr.TotalCount() + h.over }

// Over is the number of censored samples, Clamped that of samples above 120 s.
func (h *Histogram) Over() int64    { return h.over }
func (h *Histogram) Clamped() int64 { return h.clamped }

// Mean is the mean of the samples that are not censored; 0 when there is none.
func (h *Histogram) Mean() time.Duration {
	if h.hdr.TotalCount() == 0 {
		return 0
	}
	return time.Duration(h.hdr.Mean())
}

// Min and Max are the smallest and greatest sample that is not censored.
func (h *Histogram) Min() time.Duration { return time.Duration(h.hdr.Min()) }
func (h *Histogram) Max() time.Duration { return time.Duration(h.hdr.Max()) }

// Quantile returns the value at quantile q in (0,1] without asking whether
// enough samples support it, and whether it falls among the censored ones (the value
// is their bound then). It is 0 for an empty histogram.
func (h *Histogram) Quantile(q float64) (value time.Duration, censored bool) {
	n := h.Count()
	if n == 0 {
		return 0, false
	}
	rank := int64(q*float64(n) + 0.999999)
	rank = min(max(rank, 1), n)
	known := h.hdr.TotalCount()
	if rank > known {
		return h.bound, true
	}
	return time.Duration(h.hdr.ValueAtQuantile(100 * float64(rank) / float64(known))), false
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

// SamplesNeeded is the number of samples of which 100 lie beyond percentile p, in percent.
func SamplesNeeded(p float64) int64 {
	share := 1 - p/100
	need := int64(beyond / share)
	for float64(need)*share < beyond-1e-6 {
		need++
	}
	return need
}

// packed is a histogram as it stands in a file: HDR V2, deflated, base64, and
// the censored samples beside it.
type packed struct {
	HDR     string `json:"hdr,omitempty"`
	Over    int64  `json:"over,omitempty"`
	BoundNS int64  `json:"bound_ns,omitempty"`
	Clamped int64  `json:"clamped,omitempty"`
}

// MarshalJSON writes {"hdr": base64 of HDR V2, "over": n, "bound_ns": n, "clamped": n}; empty parts are left out.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	p := packed{Over: h.over, BoundNS: int64(h.bound), Clamped: h.clamped}
	if h.hdr.TotalCount() > 0 {
		raw, err := h.hdr.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
		if err != nil {
			return nil, fmt.Errorf("stats: encode histogram: %w", err)
		}
		p.HDR = string(raw)
	}
	return json.Marshal(p)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Histogram) UnmarshalJSON(data []byte) error {
	var p packed
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("stats: decode histogram: %w", err)
	}
	*h = *NewHistogram()
	h.over, h.bound, h.clamped = p.Over, time.Duration(p.BoundNS), p.Clamped
	if p.HDR == "" {
		return nil
	}
	if _, err := base64.StdEncoding.DecodeString(p.HDR); err != nil {
		return fmt.Errorf("stats: decode histogram: %w", err)
	}
	in, err := hdrhistogram.Decode([]byte(p.HDR))
	if err != nil {
		return fmt.Errorf("stats: decode histogram: %w", err)
	}
	if lost := h.hdr.Merge(in); lost != 0 {
		return fmt.Errorf("stats: decode histogram: %d samples out of range", lost)
	}
	return nil
}
