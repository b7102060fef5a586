package database

import (
	"context"
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

// tally sums as MariaDB does: what ended connections have counted, then what each open one has. A connection that is
// closing ends between the two, so that one sum lacks it.
type tally struct {
	ended   int64
	open    []*tallied
	looks   int
	fails   int // the look that cannot be made; 0: none
	refuses bool
}

type tallied struct {
	of      *tally
	counted int64
	closing bool
}

var errTally = errors.New("no answer")

func (s *tally) reads(context.Context) (int64, error) {
	if s.looks++; s.looks == s.fails {
		return 0, errTally
	}
	sum := s.ended
	var open []*tallied
	for _, c := range s.open {
		if c.closing {
			s.ended += c.counted
			continue
		}
		sum += c.counted
		open = append(open, c)
	}
	s.open = open
	return sum, nil
}

func (s *tally) connect(context.Context) (prober, error) {
	c := &tallied{of: s}
	s.open = append(s.open, c)
	return c, nil
}

func (c *tallied) probe(context.Context) error {
	if c.of.refuses {
		return errTally
	}
	c.counted += 2 * probes
	return nil
}

func (c *tallied) Close() error {
	c.closing = true
	return nil
}

// Every lookup is counted, although the connection that made them is not in the sum while it ends; it is closed afterwards.
func TestCountLookups(t *testing.T) {
	s := &tally{ended: 7}
	for range 3 {
		if n, err := countLookups(t.Context(), s.reads, s.connect); n != 2*probes || err != nil {
			t.Errorf("%d lookups counted, %v", n, err)
		}
		_, _ = s.reads(t.Context()) // the connection ends
		if len(s.open) != 0 {
			t.Error("a connection is open")
		}
	}
	for name, s := range map[string]*tally{"before": {fails: 1}, "after": {fails: 2}, "lookups": {refuses: true}} {
		if _, err := countLookups(t.Context(), s.reads, s.connect); !errors.Is(err, errTally) || !s.open[0].closing {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := countLookups(t.Context(), s.reads, func(context.Context) (prober, error) { return nil, errTally }); !errors.Is(err, errTally) {
		t.Errorf("no connection: %v", err)
	}
}
