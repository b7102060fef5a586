package contract

import (
	"context"
	"fmt"
	"time"

	"bakeoff/internal/database"
)

const (
	stillWait  = 20 * time.Millisecond // between two looks at the counts
	stillLooks = 3                     // looks in a row that must agree with the one before
	stillMost  = 5 * time.Second       // after which the counts are taken as they are
)

// Idle waits until what the database counts stands still for 60 ms: a server
// may still work on requests that nobody waits for any more. After 5 s it
// returns the counts as they are, and false.
func Idle(ctx context.Context, from interface {
	Counters(context.Context) (database.Counters, error)
},
) (last database.Counters, still bool, err error) {
	if last, err = from.Counters(ctx); err != nil {
		return last, false, err
	}
	end := time.Now().Add(stillMost)
	for same := 0; same < stillLooks; {
		if time.Now().After(end) {
			return last, false, nil
		}
		if err := pause(ctx, stillWait); err != nil {
			return last, false, err
		}
		now, err := from.Counters(ctx)
		if err != nil {
			return last, false, err
		}
		same++
		if now.Reads != last.Reads || others(now.Sub(last)) != 0 {
			same = 0
		}
		last = now
	}
	return last, true, nil
}

// settle waits for the first idle point.
func (s *inspection) settle(ctx context.Context) error {
	last, still, err := Idle(ctx, s.Database)
	if err != nil {
		return err
	}
	problem := ""
	if !still {
		problem = fmt.Sprintf("expected no statements before the check, the database was not idle within %s", stillMost)
	}
	s.findings.enter("statements", Endpoint{}, problem)
	s.last = last
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// since returns what was counted since the last idle point, and makes now the
// last one. A server may book a statement just after it answered, so fewer
// reads than least are waited for, a moment.
func (s *inspection) since(ctx context.Context, least int64) (database.Counters, error) {
	for wait := time.Millisecond; ; wait *= 2 {
		now, err := s.Database.Counters(ctx)
		if err != nil {
			return database.Counters{}, err
		}
		if d := now.Sub(s.last); d.Reads >= least || wait > 50*time.Millisecond {
			s.last = now
			return d, nil
		}
		if err := pause(ctx, wait); err != nil {
			return database.Counters{}, err
		}
	}
}

// exactly runs the requests of one part and enters whether each of them
// caused one row-reading statement. A request that was not answered 200 may
// have caused one or none.
func (s *inspection) exactly(ctx context.Context, name string, requests func()) error {
	asked, served := s.asked.Load(), s.served.Load()
	requests()
	asked, served = s.asked.Load()-asked, s.served.Load()-served
	counted, err := s.since(ctx, served)
	if err != nil {
		return err
	}
	s.bound(name, counted.Reads, served, asked)
	s.per += served
	s.reads += counted.Reads
	for kind, n := range counted.Others {
		s.others[kind] += n
	}
	s.others["select"] -= counted.Reads // a read is a select too
	return nil
}

// within is exactly for requests that include some without a statement: as many
// reads as requests at most.
func (s *inspection) within(ctx context.Context, name string, requests func()) error {
	asked := s.asked.Load()
	requests()
	counted, err := s.since(ctx, 0)
	if err != nil {
		return err
	}
	s.bound(name, counted.Reads, 0, s.asked.Load()-asked)
	return nil
}

// bound enters whether reads lie within [low, high].
func (s *inspection) bound(name string, reads, low, high int64) {
	problem := ""
	if reads < low || reads > high {
		expected := fmt.Sprintf("%d to %d", low, high)
		if low == high {
			expected = fmt.Sprint(low)
		}
		problem = fmt.Sprintf("%s: sent %d requests, expected %s row-reading statements, the database counted %d", name, high, expected, reads)
	}
	s.findings.enter("statements", Endpoint{}, problem)
}

// others is the number of statements that are no reads.
func others(c database.Counters) int64 {
	var sum int64
	for _, n := range c.Others {
		sum += n
	}
	return sum
}
