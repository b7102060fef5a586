package figures

import (
	"cmp"
	"slices"
	"time"

	"bakeoff/internal/stats"
)

// value is one block's figure; over says that it is a lower bound.
type value struct {
	v    float64
	over bool
}

func exactly(vs ...float64) []value {
	out := make([]value, len(vs))
	for i, v := range vs {
		out[i] = value{v: v}
	}
	return out
}

// compare puts lower bounds behind everything known: time-outs are the
// slowest there is.
func (a value) compare(b value) int {
	if a.over != b.over {
		if a.over {
			return 1
		}
		return -1
	}
	return cmp.Compare(a.v, b.v)
}

// spread returns the median, for an even count the mean of the middle two,
// and the range.
func spread(vs []value) Spread {
	if len(vs) == 0 {
		return Spread{}
	}
	s := slices.SortedFunc(slices.Values(vs), value.compare)
	low, high := s[(len(s)-1)/2], s[len(s)/2]
	first, last := s[0], s[len(s)-1]
	out := Spread{
		N: len(s), Min: first.v, MinOver: first.over, Max: last.v, MaxOver: last.over,
		Median: (low.v + high.v) / 2, MedianOver: high.over,
	}
	if low.over != high.over {
		out.Median = low.v // all that is known of the middle: it is more than this
	}
	return out
}

// Warnings are what limits the use of the figure, each a text for the cell that shows it.
func (s Spread) Warnings() []string {
	if few := stats.FewForMedian(s.N); s.N > 0 && few != "" {
		return []string{few}
	}
	return nil
}

// percentiles returns the percentiles of a histogram that enough samples support; seen reports whether there
// was anything to measure.
func percentiles(h *stats.Histogram, seen bool) []Percentile {
	var out []Percentile
	for _, p := range Percents() {
		q := h.Percentile(p)
		one := Percentile{P: p, Needs: q.Needs, Has: q.Has, Unmeasured: h == nil && seen}
		if q.Needs == 0 {
			one.Seconds, one.Over = seconds(q.Value), q.Censored
		}
		out = append(out, one)
	}
	return out
}

// distributions are the percentiles of response time, service time and lateness.
func distributions(t stats.Totals) (response, service, lateness []Percentile) {
	seen := t.Windows > 0
	return percentiles(t.Response, seen), percentiles(t.Service, seen), percentiles(t.Lateness, seen)
}

func seconds(d time.Duration) float64 { return float64(d) / float64(time.Second) }

// spreadPercentiles joins the percentiles of several blocks one by one; it
// never mixes them into one distribution.
func spreadPercentiles(blocks [][]Percentile) []PercentileSpread {
	var out []PercentileSpread
	for i, p := range Percents() {
		one := PercentileSpread{P: p}
		var vs []value
		for b, block := range blocks {
			q := block[i]
			if b == 0 || q.Has < one.Has {
				one.Has = q.Has
			}
			one.Unmeasured = one.Unmeasured || q.Unmeasured
			if q.Needs > 0 {
				one.Needs = q.Needs
				continue
			}
			vs = append(vs, value{q.Seconds, q.Over})
		}
		one.Spread = spread(vs)
		out = append(out, one)
	}
	return out
}

// ranked compares blocks by rank: the greatest of each, the second of each,
// and so on. Blocks may have different lengths.
func ranked(blocks [][]float64) []Spread {
	most := 0
	for _, b := range blocks {
		slices.SortFunc(b, func(x, y float64) int { return cmp.Compare(y, x) })
		most = max(most, len(b))
	}
	out := make([]Spread, most)
	for rank := range out {
		var vs []value
		for _, b := range blocks {
			if rank < len(b) {
				vs = append(vs, value{v: b[rank]})
			}
		}
		out[rank] = spread(vs)
	}
	return out
}
