package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
)

const (
	// moveShare is the share of requests that ask for rows that change, where these are as many as askedPerMove requests for each allow.
	// It is never below leastShare, and no row is asked for by more than mostPerMove.
	moveShare    = 0.05
	leastShare   = 0.02
	askedPerMove = 6
	mostPerMove  = 0.005
	// mostMoves is how many rows change in a second at most, leastMoves how many do in a phase at least; aheadOf is which part of them does
	// so before the first request.
	mostMoves  = 60
	leastMoves = 12
	aheadOf    = 3
	// assumedRate is taken for the requests per second of a closed phase where nobody knows them before.
	assumedRate = 300
	// lateBy is how long after their change names are not asked for that are asked for late: longer than either answer is right.
	lateBy = 1200 * time.Millisecond
	// atOnce is up to how long before its time a row changes, together with another one.
	atOnce = 100 * time.Millisecond
	// moveWithin is how long the change of rows may take: longer than the database waits for a lock. It is tried moveTries times.
	moveWithin = 5 * time.Second
	moveTries  = 3
)

// mover changes rows while a phase is measured. A nil one changes nothing.
type mover struct {
	stage    *recipes
	phase    int
	duration time.Duration
	rates    map[string]float64
	spec     dataset.MoveSpec
	moves    []dataset.Move
	none     string       // why nothing changes in a phase that is judged by it; empty: something does, or nothing is to be said
	wall     atomic.Int64 // ns that the phase is expected to take
	begun    bool         // the rows are in the journal
	since    time.Time    // the phase began

	cancel context.CancelFunc
	done   chan struct{}
	made   []record.Move // of moves
	step   time.Duration // by which the wall clock was set during that time
	err    error
}

// outlook is what is expected of a phase: how long it takes, and the requests per second of each target in the closed model; 0: not
// known.
type outlook struct {
	wall  time.Duration
	rates map[string]float64
}

// least is the lowest of the rates; 0: one of them is not known.
func (o outlook) least() float64 {
	if len(o.rates) == 0 {
		return 0
	}
	return slices.Min(slices.Collect(maps.Values(o.rates)))
}

// movesOf is how many rows change in a phase, and the share of requests that ask for them.
func movesOf(phase load.Phase, rate float64) (count int, share float64) {
	switch {
	case phase.Model != load.Closed:
		rate = phase.Rate
	case rate == 0:
		rate = assumedRate
	}
	seconds := phase.Duration.Seconds()
	requests := rate * seconds
	count = int(max(min(requests*moveShare/askedPerMove, mostMoves*seconds), leastMoves))
	share = min(moveShare, max(leastShare, askedPerMove*float64(count)/requests))
	return count, min(share, mostPerMove*float64(count))
}

// still says why no rows change in a phase; they do otherwise. The warm-up is not judged by them, and what asks for no rows, or what the
// plan leaves out, is said elsewhere: then there is nothing to be said.
func (s *recipes) still(phase load.Phase, engine string) (still bool, why string) {
	switch {
	case s.o.Plan.Trust.Moves == plan.Off || phase.Number == warmupPhase || pings(s.o.Plan, phase):
		return true, ""
	case lookupsOf(s.o.Plan, phase) != dataset.Client:
		return true, "the target draws the keys"
	case engine == plan.JMeter:
		return true, "JMeter asks for the keys"
	}
	return false, ""
}

// change keeps in the journal what the rows are that will change in a phase. There are none where still says so, and in a table of
// somebody else.
func (s *recipes) change(ctx context.Context, phase load.Phase, engine string, expect outlook) (*mover, error) {
	s.changing = nil
	if still, why := s.still(phase, engine); still {
		return &mover{none: why}, nil
	}
	m := &mover{stage: s, phase: phase.Number, duration: phase.Duration, rates: expect.rates, spec: dataset.MoveSpec{Secret: rand.Text()}}
	m.spec.Count, m.spec.Share = movesOf(phase, expect.least())
	m.spec.Ahead, m.spec.Margin = m.spec.Count/aheadOf, lateBy.Seconds()/expect.wall.Seconds()
	m.wall.Store(int64(expect.wall))
	m.moves = s.rows.Moves(m.spec)
	for _, move := range m.moves {
		m.made = append(m.made, record.Move{Kind: move.Kind, ID: move.ID, Old: move.Old, New: move.New})
	}
	err := s.db.BeginMoves(ctx, m.moves)
	if errors.Is(err, database.ErrNotOurs) {
		return &mover{none: err.Error()}, nil
	}
	m.begun = true
	if err != nil {
		return nil, errors.Join(err, m.undo(ctx))
	}
	s.changing = m
	return m, nil
}

// movesIn says which rows change in a phase, to the agents of a target; nil: none do.
func (s *recipes) movesIn(phase load.Phase, target string) *dataset.MoveSpec {
	m := s.changing
	if m == nil || m.phase != phase.Number {
		return nil
	}
	spec := m.spec
	if spec.Asked = m.duration.Seconds() * phase.Rate; phase.Model == load.Closed {
		spec.Asked = m.duration.Seconds() * m.rates[target] / float64(max(phase.Connections, 1))
	}
	return &spec
}

// ahead makes the moves that are made before the first request: no answer may be as before any of them, whenever it comes.
func (m *mover) ahead(ctx context.Context) error {
	if m == nil || len(m.moves) == 0 {
		return nil
	}
	n := min(m.spec.Ahead, len(m.moves))
	for i := range n {
		m.made[i].Ahead = true
	}
	return m.wrap(m.batch(ctx, 0, n))
}

// start makes the other moves, spread over the phase.
func (m *mover) start(ctx context.Context) {
	if m == nil || len(m.moves) == 0 {
		return
	}
	ctx, m.cancel = context.WithCancel(ctx)
	m.done, m.since = make(chan struct{}), time.Now()
	go func() {
		defer close(m.done)
		m.err = m.all(ctx)
	}()
}

// paced says how much of the phase is over since the moves began: what is left is expected to take as long in proportion.
func (m *mover) paced(over, whole time.Duration) {
	if m != nil && over > 0 {
		m.wall.Store(int64(float64(time.Since(m.since)) * float64(whole) / float64(over)))
	}
}

// all makes the moves that are due, together with those that will be soon.
func (m *mover) all(ctx context.Context) error {
	for from := m.spec.Ahead; from < len(m.moves); {
		if !m.wait(ctx, from) {
			return nil
		}
		to := from + 1
		for to < len(m.moves) && m.left(to) <= atOnce {
			to++
		}
		if err := m.batch(ctx, from, to); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// left is how much time there is until a move.
func (m *mover) left(move int) time.Duration {
	return time.Until(m.since.Add(time.Duration(m.spec.At(move) * float64(m.wall.Load()))))
}

// wait waits for the time of a move; false: the moves end.
func (m *mover) wait(ctx context.Context, move int) bool {
	for {
		left := m.left(move)
		if left <= 0 {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(left):
		}
	}
}

// batch makes moves at once and notes when. Those that were not made have no times.
func (m *mover) batch(ctx context.Context, from, to int) error {
	begun, done, err := m.try(ctx, m.moves[from:to])
	for i := from; i < to; i++ {
		m.made[i].BegunNS, m.made[i].DoneNS = nanoseconds(begun), nanoseconds(done)
	}
	return err
}

func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// try makes some. It is not broken off when the phase ends: its connection would be lost, with what the database has counted of it, and
// rows might change later. Without a time of its end it was not made, or, if it was begun, nobody knows. Sessions of targets that hold locks
// which are in the way are ended, and are the reason of their trials.
func (m *mover) try(ctx context.Context, moves []dataset.Move) (begun, done time.Time, err error) {
	ctx = context.WithoutCancel(ctx)
	for range moveTries {
		begun = time.Now()
		within, cancel := context.WithTimeout(ctx, moveWithin)
		err = m.stage.db.Move(within, moves...)
		late := within.Err() != nil
		cancel()
		switch {
		case err == nil:
			return begun, time.Now(), nil
		case late:
			return begun, time.Time{}, nil
		case !errors.Is(err, database.ErrLocked):
			return begun, time.Time{}, err
		case m.stage.o.Plan.Trust.Statements == plan.Off:
			return time.Time{}, time.Time{}, nil
		}
		if _, err := (&replicated{stage: m.stage}).unlock(ctx, "while rows were to change"); err != nil {
			return time.Time{}, time.Time{}, err
		}
	}
	return time.Time{}, time.Time{}, nil
}

func (m *mover) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("rows that change: %w", err)
	}
	return nil
}

// end makes no more moves, and waits for those under way.
func (m *mover) end() error {
	if m == nil || m.done == nil {
		return nil
	}
	m.cancel()
	<-m.done
	m.step = stepped(m.since, time.Now())
	return m.wrap(m.err)
}

// leastStep is what a wall clock may gain or lose without having been set: clocks are slewed by less than that in a phase.
const leastStep = 100 * time.Millisecond

// stepped is by how much the wall clock was set between two readings of it, either way.
func stepped(from, to time.Time) time.Duration {
	return setBy(to.Round(0).Sub(from.Round(0)), to.Sub(from)) // Round takes the monotonic reading off
}

// setBy is by how much a wall clock was set, either way, that ran on by this much while that much time passed.
func setBy(ran, passed time.Duration) time.Duration {
	step := (ran - passed).Abs()
	if step < leastStep {
		return 0
	}
	return step
}

// into keeps in the record of a phase what changed in it.
func (m *mover) into(rec *record.Phase) {
	if m != nil {
		rec.Moves, rec.ClockStepNS, rec.NoMoves = m.made, int64(m.step), m.none
	}
}

// undo puts the rows back. Locks of targets that are in the way are ended, and are the reason of their trials. Where others come
// at once, or nobody may know whose they are, trials are refused, and the rows are put back once the targets are stopped.
func (m *mover) undo(ctx context.Context, trials ...*trial) error {
	if m == nil || !m.begun {
		return nil
	}
	m.begun, m.stage.changing = false, nil
	ctx, cancel := teardown(ctx)
	defer cancel()
	_ = m.end() // its error was that of the phase
	if m.stage.databaseEnded() {
		return nil
	}
	err := m.stage.db.UndoMoves(ctx)
	if errors.Is(err, database.ErrLocked) {
		if _, err := (&replicated{stage: m.stage}).unlock(ctx, "while nothing was asked of it"); err != nil {
			return err
		}
		err = m.stage.db.UndoMoves(ctx)
	}
	if errors.Is(err, database.ErrLocked) {
		m.stage.owed = true
		lockedBy(trials, err)
		return nil
	}
	return err
}

// lockedBy refuses the trials whose targets are known to hold locks, or all.
func lockedBy(trials []*trial, why error) {
	known := false
	for _, t := range trials {
		t.locked = true
		t.collect()
		known = known || slices.ContainsFunc(t.rec.Reasons, func(r record.Reason) bool { return r.Code == record.CodeLocks })
	}
	for _, t := range trials {
		if !known {
			t.refuse(record.CodeLocks, fmt.Errorf("rows that changed could not be put back: %w", why))
		}
	}
}

// putBack puts back the rows that locks of a target kept from it, now that it is stopped.
func (s *recipes) putBack(ctx context.Context) error {
	if !s.owed || s.databaseEnded() {
		return nil
	}
	if err := s.db.UndoMoves(ctx); err != nil {
		return fmt.Errorf("rows that changed: %w", err)
	}
	s.owed = false
	return nil
}
