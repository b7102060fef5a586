package stats

import (
	"testing"
	"time"
)

// Of slices the answers aside count in no rate, nor does their time, however many agents there are.
func TestGoodputOfSlices(t *testing.T) {
	const ms = time.Millisecond
	slice := func(begin time.Duration, aside, ok int64) []Window {
		return []Window{
			{Begin: begin, Length: 50 * ms, Aside: true, Books: Books{OK: aside}},
			{Begin: begin + 50*ms, Length: 200 * ms, Books: Books{OK: ok}},
		}
	}
	for name, agents := range map[string]int{"one agent": 1, "two agents": 2} {
		one, each := Totals{Sending: 500 * ms}, Totals{Sending: 500 * ms}
		for range agents {
			agent := Totals{Sending: 500 * ms}
			for i, ok := range []int64{20, 60} {
				for _, w := range slice(time.Duration(i)*250*ms, 1000, ok) {
					one.Add(w)
					agent.Add(w)
				}
			}
			each.Merge(agent)
		}
		if want := float64(agents*80) / 0.4; one.Goodput() != want || each.Goodput() != want {
			t.Errorf("%s: goodput %v and %v, want %v", name, one.Goodput(), each.Goodput(), want)
		}
	}
}
