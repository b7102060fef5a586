package stats

import (
	"encoding/json"
	"fmt"
	"time"
)

// packed is a histogram as it is in a file: HDR V2, deflated, base64, and
// the censored samples next to it.
type packed struct {
	HDR     string     `json:"hdr,omitempty"`
	Over    int64      `json:"over,omitempty"`
	BoundNS int64      `json:"bound_ns,omitempty"` // the smallest bound
	Bounds  [][2]int64 `json:"bounds,omitempty"`   // [bound in ns, samples], ascending, where there is more than one bound
	Clamped int64      `json:"clamped,omitempty"`
}

// MarshalJSON writes {"hdr": base64 of HDR V2, "over": n, "bound_ns": n,
// "bounds": [[ns, n], ...], "clamped": n}; empty parts are left out, and bounds where there is only one.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	p := packed{Over: h.over, Clamped: h.clamped}
	if len(h.bounds) > 0 {
		p.BoundNS = int64(h.bounds[0].above)
	}
	if len(h.bounds) > 1 {
		for _, b := range h.bounds {
			p.Bounds = append(p.Bounds, [2]int64{int64(b.above), b.count})
		}
	}
	if h.values().TotalCount() > 0 {
		text, err := h.encode()
		if err != nil {
			return nil, err
		}
		p.HDR = text
	}
	return json.Marshal(p)
}

// UnmarshalJSON reads what MarshalJSON wrote. It refuses counts that cannot be.
func (h *Histogram) UnmarshalJSON(data []byte) error {
	var p packed
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("stats: decode histogram: %w", err)
	}
	*h = *NewHistogram()
	if p.Over < 0 || p.Clamped < 0 || p.BoundNS < 0 {
		return fmt.Errorf("stats: decode histogram: negative counts")
	}
	h.clamped = p.Clamped
	if len(p.Bounds) == 0 {
		h.overN(time.Duration(p.BoundNS), p.Over)
	}
	for _, b := range p.Bounds {
		if b[0] < 0 || b[1] < 0 {
			return fmt.Errorf("stats: decode histogram: negative counts")
		}
		h.overN(time.Duration(b[0]), b[1])
	}
	if h.over != p.Over {
		return fmt.Errorf("stats: decode histogram: %d censored samples have a bound, %d are said to be", h.over, p.Over)
	}
	if p.HDR == "" {
		return nil
	}
	if err := h.decode(p.HDR); err != nil {
		return fmt.Errorf("stats: decode histogram: %w", err)
	}
	return nil
}
