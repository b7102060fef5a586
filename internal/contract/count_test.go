package contract

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/database"
)

// clockwork counts one read every so often, until it ends.
type clockwork struct {
	Fixture
	began time.Time
	every time.Duration
	until time.Duration
	err   error
}

func (c *clockwork) Counters(context.Context) (database.Counters, error) {
	passed := min(time.Since(c.began), c.until)
	return database.Counters{Reads: int64(passed / c.every)}, c.err
}

func TestIdle(t *testing.T) {
	for _, c := range []struct {
		name         string
		every, until time.Duration
		still        bool
		reads        int64
		least, most  time.Duration
	}{
		{"idle from the start", time.Millisecond, 0, true, 0, 60 * time.Millisecond, 60 * time.Millisecond},
		{"busy for a while", 10 * time.Millisecond, time.Second, true, 100, 1060 * time.Millisecond, 1100 * time.Millisecond},
		{"slow, but not idle", 50 * time.Millisecond, time.Second, true, 20, 1060 * time.Millisecond, 1100 * time.Millisecond},
		{"never idle", 10 * time.Millisecond, time.Hour, false, 500, 5 * time.Second, 5100 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				got, still, err := Idle(t.Context(), &clockwork{began: began, every: c.every, until: c.until})
				passed := time.Since(began)
				if err != nil || still != c.still || got.Reads < c.reads || passed < c.least || passed > c.most {
					t.Errorf("%d reads, still %v after %s: %v", got.Reads, still, passed, err)
				}
			})
		})
	}
	broken := errors.New("broken")
	if _, _, err := Idle(t.Context(), &clockwork{every: 1, err: broken}); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestSettleTellsWhenNeverIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &inspection{Contract: &Contract{Database: &clockwork{began: time.Now(), every: time.Millisecond, until: time.Hour}}}
		s.findings.hide = hider(nil)
		if err := s.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		checks := s.findings.checks()
		if len(checks) != 1 || checks[0].OK || !strings.Contains(checks[0].Detail, "not idle within 5s") {
			t.Errorf("%+v", checks)
		}
	})
}

// A server that books a statement just after it answered is given a moment.
func TestSinceWaitsForLateReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &inspection{Contract: &Contract{Database: &clockwork{began: time.Now(), every: 10 * time.Millisecond, until: 30 * time.Millisecond}}}
		if got, err := s.since(t.Context(), 3); err != nil || got.Reads != 3 {
			t.Errorf("%+v %v", got, err)
		}
		began := time.Now()
		if got, err := s.since(t.Context(), 2); err != nil || got.Reads != 0 {
			t.Errorf("%+v %v", got, err)
		}
		if passed := time.Since(began); passed > 200*time.Millisecond {
			t.Errorf("waited %s for reads that never came", passed)
		}
	})
}
