package figures

import (
	"math"
	"slices"

	"bakeoff/internal/stats"
)

// CurvePoint is one point of a percentile curve.
type CurvePoint struct {
	P       float64 `json:"p"` // in percent
	Seconds float64 `json:"seconds"`
}

// perNine is how many points a curve has from 90 to 99, and from there to 99.9.
const perNine = 20

// curve is a distribution from its fastest sample to the highest percentile that enough samples support; it ends before time-outs. On it
// are Percents, as far as they are supported.
func curve(h *stats.Histogram) []CurvePoint {
	if h.Count() == 0 {
		return nil
	}
	percents := Percents()
	for i := range 5*perNine + 1 {
		percents = append(percents, 100*(1-math.Pow(10, -float64(i)/perNine)))
	}
	slices.Sort(percents)
	var out []CurvePoint
	last := -1.0
	for _, p := range percents {
		if p-last < 1e-9 {
			continue
		}
		last = p
		q := h.Percentile(p)
		if q.Needs > 0 || q.Censored {
			break
		}
		out = append(out, CurvePoint{p, seconds(q.Value)})
	}
	return out
}
