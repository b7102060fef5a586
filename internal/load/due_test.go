package load

import (
	"testing"
	"time"
)

// What FirstDue says is when the share's first request goes, in either model.
func TestFirstDue(t *testing.T) {
	open := Phase{Model: Open, Connections: 8, Rate: 100, Arrivals: Constant, Duration: time.Second, Timeout: time.Second}
	closed := Phase{Model: Closed, Connections: 4, Ramp: 400 * ms, Duration: time.Second, Timeout: time.Second}
	short := closed
	short.Duration = 150 * ms
	none := open
	none.Rate = 0
	for _, c := range []struct {
		name  string
		phase Phase
		share Share
		at    time.Duration
		ok    bool
	}{
		{"open, first", open, Share{0, 3}, 0, true},
		{"open, third", open, Share{2, 3}, 20 * ms, true},
		{"open, more agents than arrivals", open, Share{150, 200}, 0, false},
		{"open, without a rate", none, Share{0, 1}, 0, false},
		{"closed, first", closed, Share{0, 2}, 0, true},
		{"closed, second", closed, Share{1, 2}, 100 * ms, true},
		{"closed, no connection of its own", closed, Share{4, 5}, 0, false},
		{"closed, after the end", short, Share{2, 3}, 0, false},
	} {
		at, ok := Job{Phase: c.phase, Share: c.share}.FirstDue()
		if ok != c.ok || ok && at.Round(time.Microsecond) != c.at {
			t.Errorf("%s: %v, %t; want %v, %t", c.name, at, ok, c.at, c.ok)
		}
	}
}
