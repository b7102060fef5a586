package stats

import "github.com/HdrHistogram/hdrhistogram-go"

// HDR is the histogram as HDR libraries know it, in nanoseconds: samples that are only known to exceed a bound are at it.
func (h *Histogram) HDR() *hdrhistogram.Histogram {
	out := hdrhistogram.New(lowest, highest, digits)
	for value, n := range h.Each {
		_ = out.RecordValues(min(int64(value), highest), n) // within its range
	}
	for bound, n := range h.EachOver {
		_ = out.RecordValues(min(int64(bound), highest), n) // likewise
	}
	return out
}
