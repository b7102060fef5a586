package load

import (
	"strings"
	"testing"
	"time"

	"bakeoff/internal/stats"
)

func TestLimited(t *testing.T) {
	t.Parallel()
	all := func(d time.Duration) *stats.Histogram {
		h := stats.NewHistogram()
		for range 1000 {
			h.Record(d)
		}
		return h
	}
	ms := time.Millisecond
	for _, c := range []struct {
		name string
		h    Health
		want string
	}{
		{"on time", Health{Open, 1000, nil, all(ms / 2), all(ms)}, ""},
		{"late by more than 1 ms", Health{Open, 1000, nil, all(2 * ms), all(ms)}, "lateness p99 is 2ms, the bound is 1ms"},
		{"late by less than a tenth of a slow service", Health{Open, 1000, nil, all(2 * ms), all(50 * ms)}, ""},
		{"late by more than a tenth", Health{Open, 1000, nil, all(6 * ms), all(50 * ms)}, "lateness p99 is 6"},
		{"the closed model has no lateness", Health{Closed, 1000, nil, all(6 * ms), all(ms)}, ""},
		{"one percent lost", Health{Closed, 1000, map[string]int64{"ports": 10}, all(0), all(ms)}, ""},
		{"more than that", Health{Closed, 1000, map[string]int64{"ports": 6, "descriptors": 5}, all(0), all(ms)}, "1.1 % of its requests lost for want of descriptors, ports"},
		{"nothing planned", Health{Open, 0, nil, stats.NewHistogram(), stats.NewHistogram()}, ""},
	} {
		got := strings.Join(c.h.Limited(), "; ")
		if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
