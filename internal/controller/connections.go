package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/record"
)

// errConnections is why a target that opened too many database connections is refused.
var errConnections = errors.New("more database connections than declared")

// closingWithin is how long connections that a target opened while it started may take to close, closingLook the time between two
// looks.
const (
	closingWithin = time.Second
	closingLook   = 100 * time.Millisecond
)

// deploy has the venue start the targets, and counts the database connections that each has opened by then, by its account. Where all
// share an account and those that started side by side have opened too many together, it starts them again one by one, to find
// whose they are.
func (s *recipes) deploy(ctx context.Context, launches ...launch) []launched {
	held, err := s.db.ConnectionCount(ctx)
	started := s.start(ctx, launches)
	s.noRoom(started)
	out := make([]launched, len(launches))
	if !shared(started) {
		if err == nil {
			err = s.countOpen(ctx, started)
		}
		for i, d := range started {
			out[i] = launched{d, cmp.Or(d.err, err, d.tooMany())}
		}
		return out
	}
	if err == nil {
		err = s.withinBudget(ctx, held, started)
	}
	for i, d := range started {
		out[i] = launched{d, cmp.Or(d.err, err)}
	}
	if len(launches) > 1 && errors.Is(err, errConnections) && stopAll(ctx, started) == nil {
		return s.oneByOne(ctx, held, launches)
	}
	return out
}

// shared reports whether one of the targets has no account of its own.
func shared(started []*replicated) bool {
	return slices.ContainsFunc(started, func(d *replicated) bool { return d.err == nil && d.ownUser == "" })
}

// countOpen counts the connections that each target has open. It waits for those to close that are too many.
func (s *recipes) countOpen(ctx context.Context, started []*replicated) error {
	for end := time.Now().Add(closingWithin); ; {
		open, err := s.db.Connections(ctx)
		if err != nil {
			return err
		}
		for _, d := range started {
			d.open = open[d.ownUser]
		}
		if !slices.ContainsFunc(started, func(d *replicated) bool { return d.tooMany() != nil }) || time.Now().After(end) {
			return nil
		}
		if err := pause(ctx, closingLook); err != nil {
			return err
		}
	}
}

// tooMany is why a target with an account of its own is refused after its start, or nil.
func (d *replicated) tooMany() error {
	inFlight := d.stage.o.Plan.InFlight()
	if d.ownUser == "" || d.open <= d.entrant.connections(inFlight) {
		return nil
	}
	return fmt.Errorf("%w: %d are open after the start, the plan gives it %s", errConnections, d.open, d.entrant.sum(inFlight))
}

// pause waits, at most until the context ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// oneByOne starts one target after the other and refuses each that opens more connections than the plan gives it. It is stopped
// before the next one starts, which may need them. held are open that are no target's.
func (s *recipes) oneByOne(ctx context.Context, held int, launches []launch) []launched {
	out := make([]launched, len(launches))
	for i := range launches {
		started := s.start(ctx, launches[i:i+1])
		d := started[0]
		out[i] = launched{d, d.err}
		err := s.withinBudget(ctx, held, started)
		if errors.Is(err, errConnections) {
			out[i].err = errors.Join(err, stopAll(ctx, started))
			continue
		}
		if held += d.open; out[i].err == nil {
			out[i].err = err
		}
	}
	return out
}

// withinBudget refuses targets that have opened more database connections than the plan gives them, together where they
// started side by side; held were open before. In the pilot each starts alone.
func (s *recipes) withinBudget(ctx context.Context, held int, started []*replicated) error {
	inFlight, budget := s.o.Plan.InFlight(), 0
	var sums []string
	for _, d := range started {
		budget += d.entrant.connections(inFlight)
		sums = append(sums, d.entrant.sum(inFlight))
	}
	for end := time.Now().Add(closingWithin); ; {
		open, err := s.db.ConnectionCount(ctx)
		if err != nil {
			return err
		}
		open = max(0, open-held)
		if len(started) == 1 {
			started[0].open = open
		}
		if open <= budget {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w: %d are open after the start, the plan gives %s", errConnections, open, givenTo(sums))
		}
		if err := pause(ctx, closingLook); err != nil {
			return err
		}
	}
}

// givenTo names who is given that many connections.
func givenTo(sums []string) string {
	if len(sums) == 1 {
		return "it " + sums[0]
	}
	return "all that started together " + strings.Join(sums, " and ")
}

// openNow is how many database connections the target has open; where all share an account, all of them.
func (d *replicated) openNow(ctx context.Context) (int, error) {
	if d.ownUser == "" {
		return d.stage.db.ConnectionCount(ctx)
	}
	open, err := d.stage.db.Connections(ctx)
	return open[d.ownUser], err
}

// claimed is a sample of the database as the target's own trial has it: with the connections of its account in place of those of every
// account.
func (d *replicated) claimed(line record.Series) record.Series {
	values := maps.Clone(line.Values) // other trials have the same sample
	maps.DeleteFunc(values, func(name string, _ float64) bool { return strings.HasPrefix(name, database.ConnectionsOf("")) })
	if d.ownUser != "" {
		values[record.OwnConnections] = line.Values[database.ConnectionsOf(d.ownUser)]
		if _, known := line.Values[database.LastingConnections]; known {
			values[record.OwnLasting] = line.Values[database.LastingOf(d.ownUser)]
		}
	}
	line.Values = values
	return line
}
