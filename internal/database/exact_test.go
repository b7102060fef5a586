package database

import (
	"errors"
	"testing"
)

// A way of counting that miscounts once or twice is kept; one that never counts right is given up, and says why.
func TestUntilExact(t *testing.T) {
	gone := errors.New("gone")
	for _, c := range []struct {
		wrong int // counts that are not exact, then one that is
		fails int // the count that cannot be made; 0: none
		why   string
		calls int
	}{{0, 0, "", 1}, {1, 0, "", 2}, {2, 0, "", 3}, {3, 0, "count 3", 3}, {9, 0, "count 3", 3}, {9, 2, "", 2}} {
		calls := 0
		why, err := untilExact(func() (string, error) {
			calls++
			switch {
			case calls == c.fails:
				return "", gone
			case calls <= c.wrong:
				return []string{"count 1", "count 2", "count 3"}[min(calls, 3)-1], nil
			}
			return "", nil
		})
		if why != c.why || calls != c.calls || errors.Is(err, gone) != (c.fails > 0) {
			t.Errorf("%+v: %q, %v after %d counts", c, why, err, calls)
		}
	}
}
