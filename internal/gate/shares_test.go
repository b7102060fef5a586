package gate

import (
	"strings"
	"testing"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// Behind a balancer that does not say who has answered, every right answer names its replica, and shares are as equal as the plan
// demands; where it demands nothing, any share will do.
func TestShares(t *testing.T) {
	names := []string{"a-1", "a-2", "a-3"}
	equal := map[string]int64{"a-1": 334, "a-2": 333, "a-3": 333}
	pinned := map[string]int64{"a-1": 600, "a-2": 400}
	for name, c := range map[string]struct {
		answers map[string]int64
		bad     int64 // of a-1, in addition
		within  float64
		want    string
	}{
		"equal":                    {answers: equal, within: 0.01},
		"not asked":                {answers: pinned},
		"pinned":                   {answers: pinned, within: 0.5, want: "the replicas gave 60.0, 40.0, 0.0 % of the answers: a-3 is 100.0 % from an equal share, and the plan allows 50.0 %"},
		"a little":                 {answers: map[string]int64{"a-1": 340, "a-2": 330, "a-3": 330}, within: 0.01, want: "a-1 is 2"},
		"some name nobody":         {answers: map[string]int64{"a-1": 334, "a-2": 333, "a-3": 332}, want: "1 of 1,000 right answers do not name"},
		"another target":           {answers: map[string]int64{"a-1": 334, "a-2": 333, "b-1": 333}, want: "333 of 1,000 right answers do not name"},
		"refusals need not name":   {answers: equal, bad: 500, within: 0.01},
		"no answer has a name yet": {answers: nil, want: "1,000 of 1,000"},
	} {
		t.Run(name, func(t *testing.T) {
			sum := stats.Totals{}
			sum.Books.OK, sum.Replicas = 1000, map[string]stats.Replica{}
			for name, n := range c.answers {
				sum.Replicas[name] = stats.Replica{Answers: n}
			}
			if c.bad > 0 {
				one := sum.Replicas["a-1"]
				one.Answers, one.Errors = one.Answers+c.bad, c.bad
				sum.Replicas["a-1"] = one
			}
			p := NewPhase(record.Phase{Name: "closed"})
			p.Declare(&record.Declared{Shares: &record.Shares{Replicas: names, Within: c.within}})
			got := p.shares(sum)
			if c.want == "" {
				if len(got) > 0 {
					t.Errorf("%+v", got)
				}
				return
			}
			if len(got) != 1 || got[0].Code != record.CodeShares || !strings.Contains(got[0].Text, c.want) {
				t.Errorf("%+v, want %q", got, c.want)
			}
			p.Direct = true
			if got := p.shares(sum); len(got) > 0 {
				t.Errorf("of a phase past the balancer: %+v", got)
			}
			p.Warmup, p.Direct = true, false
			if got := p.shares(sum); len(got) > 0 {
				t.Errorf("of a warm-up: %+v", got)
			}
		})
	}
	p := NewPhase(record.Phase{Name: "closed"})
	p.Declare(&record.Declared{})
	if got := p.shares(stats.Totals{}); len(got) > 0 {
		t.Errorf("of another balancer: %+v", got)
	}
}
