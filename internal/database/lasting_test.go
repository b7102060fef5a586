package database

import (
	"testing"
	"time"
)

// A connection lasts that was there in a sample of a second ago: not one that another one has replaced since, however many there are.
func TestLastingConnections(t *testing.T) {
	t.Parallel()
	const user = trialPrefix + "a"
	kept := []connection{{1, user}, {2, user}, {3, "bakeoff_target"}}
	s, began := &Server{}, time.Unix(0, 0)
	for _, c := range []struct {
		at                      time.Duration
		open                    []connection
		all, lasting, own, aged float64
	}{
		{0, kept, 3, 0, 2, 0},
		{lasts - 1, kept, 3, 0, 2, 0},
		{lasts, append(kept[:3:3], connection{4, user}, connection{5, user}), 5, 3, 4, 2},
		{2*lasts - 1, append(kept[:2:2], connection{6, user}, connection{7, user}), 4, 2, 4, 2},
		{3 * lasts, []connection{{6, user}}, 1, 1, 1, 1},
		{4 * lasts, kept, 3, 0, 2, 0},
	} {
		values := map[string]float64{}
		s.gauge(values, c.open, began.Add(c.at))
		if values[TargetConnections] != c.all || values[LastingConnections] != c.lasting || values[ConnectionsOf(user)] != c.own || values[LastingOf(user)] != c.aged {
			t.Errorf("%+v: %v", c, values)
		}
	}
}
