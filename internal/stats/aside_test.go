package stats

import (
	"math"
	"testing"
	"time"
)

// What the answers of counted windows took beyond these is in the time by which they are divided; that of windows aside is not.
func TestGoodputOfLongAnswers(t *testing.T) {
	const ms = time.Millisecond
	one, each := Totals{Sending: 500 * ms}, Totals{Sending: 500 * ms}
	for i, beyond := range []time.Duration{60 * ms, -20 * ms} { // of two agents
		agent := Totals{Sending: 500 * ms}
		for _, w := range []Window{
			{Begin: 0, Length: 50 * ms, Aside: true, Books: Books{OK: 9}},
			{Begin: 50 * ms, Length: 200 * ms, Beyond: beyond, Books: Books{OK: 110}},
			{Begin: 250 * ms, Length: 250 * ms, Aside: true, Beyond: time.Hour, Books: Books{OK: 9}},
		} {
			one.Add(w)
			agent.Add(w)
		}
		if want := 110 / (0.2 + beyond.Seconds()); math.Abs(agent.Goodput()-want) > 1e-9 {
			t.Errorf("agent %d: goodput %v, want %v", i, agent.Goodput(), want)
		}
		each.Merge(agent)
	}
	if want := 220 / 0.24; math.Abs(one.Goodput()-want) > 1e-9 || math.Abs(each.Goodput()-want) > 1e-9 {
		t.Errorf("goodput %v and %v, want %v", one.Goodput(), each.Goodput(), want)
	}
	merged := Window{Begin: 0, Length: 10 * ms, Beyond: 3 * ms}
	if merged.Merge(Window{Begin: 0, Length: 10 * ms, Beyond: 4 * ms}); merged.Beyond != 7*ms {
		t.Errorf("two loops: %v beyond", merged.Beyond)
	}
}

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
