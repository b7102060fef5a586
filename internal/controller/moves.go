package controller

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
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
	// mostMoves is how many rows change in a second of a target's phase at most.
	mostMoves = 10
	// moveShare is the share of requests that ask for rows that change, and mostPerMove that for one of them, at most. askedPerMove
	// is how often each is asked for at least, as far as is known before, unless that leaves fewer rows than leastMoves.
	moveShare    = 0.04
	mostPerMove  = 0.005
	askedPerMove = 8
	leastMoves   = 4
	// assumedRate is taken for the requests per second of a closed phase where nobody knows them before.
	assumedRate = 300
	// moveWithin is how long the change of a row may take: longer than the database waits for a lock.
	moveWithin = 5 * time.Second
)

// mover changes rows while a phase is measured. A nil one changes nothing.
type mover struct {
	stage *recipes
	phase int
	spec  dataset.MoveSpec
	moves []dataset.Move
	wall  atomic.Int64 // ns that the phase is expected to take
	begun bool         // the rows are in the journal
	since time.Time    // the moves began

	cancel context.CancelFunc
	done   chan struct{}
	made   []record.Move
	step   time.Duration // by which the wall clock was set during that time
	err    error
}

// outlook is what is expected of a phase: how long it takes, and the requests per second of the slowest target in the closed model;
// 0: not known.
type outlook struct {
	wall time.Duration
	rate float64
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
	asked := rate * seconds * moveShare
	count = max(1, int(min(max(asked/askedPerMove, leastMoves), mostMoves*seconds)))
	return count, min(moveShare, mostPerMove*float64(count))
}

// change keeps in the journal what the rows are that will change in a phase. There are none in the warm-up and the pilot, where
// the target or JMeter draws the keys or nobody asks for any, in a table of somebody else, and where the plan leaves that out.
func (s *recipes) change(ctx context.Context, phase load.Phase, engine string, expect outlook) (*mover, error) {
	s.changing = nil
	if s.o.Plan.Trust.Moves == plan.Off || phase.Number == warmupPhase || phase.Number >= pilotPhase || engine == plan.JMeter ||
		lookupsOf(s.o.Plan, phase) != dataset.Client || pings(s.o.Plan, phase) {
		return nil, nil
	}
	var seed [8]byte
	_, _ = rand.Read(seed[:]) // never fails: crypto/rand
	m := &mover{stage: s, phase: phase.Number, spec: dataset.MoveSpec{Seed: binary.LittleEndian.Uint64(seed[:])}}
	m.spec.Count, m.spec.Share = movesOf(phase, expect.rate)
	m.wall.Store(int64(expect.wall))
	m.moves = s.rows.Moves(m.spec)
	err := s.db.BeginMoves(ctx, m.moves)
	if errors.Is(err, database.ErrNotOurs) {
		return nil, nil
	}
	m.begun = true
	if err != nil {
		return nil, errors.Join(err, m.undo(ctx))
	}
	s.changing = m
	return m, nil
}

// movesIn says which rows change in a phase; nil: none do.
func (s *recipes) movesIn(phase load.Phase) *dataset.MoveSpec {
	if s.changing == nil || s.changing.phase != phase.Number {
		return nil
	}
	return &s.changing.spec
}

// start makes the moves, spread over the middle of the phase.
func (m *mover) start(ctx context.Context) {
	if m == nil {
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

func (m *mover) all(ctx context.Context) error {
	for i, move := range m.moves {
		if !m.wait(ctx, 0.1+0.8*(float64(i)+0.5)/float64(len(m.moves))) {
			return nil
		}
		before := time.Now()
		done, err := m.move(ctx, move)
		if err != nil {
			return err
		}
		m.made = append(m.made, recordMove(move, before, done))
		if done.IsZero() {
			return nil
		}
	}
	return nil
}

// wait waits for a part of the phase to be over; false: the moves end.
func (m *mover) wait(ctx context.Context, part float64) bool {
	for {
		left := time.Until(m.since.Add(time.Duration(part * float64(m.wall.Load()))))
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

// move makes one. It is not broken off when the phase ends: its connection would be lost, with what the database has counted of it, and
// the row might change later. No time: it was not made, or nobody knows; who is in the way is found later.
func (m *mover) move(ctx context.Context, move dataset.Move) (done time.Time, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), moveWithin)
	defer cancel()
	err = m.stage.db.Move(ctx, move)
	switch {
	case err == nil:
		return time.Now(), nil
	case ctx.Err() != nil || errors.Is(err, database.ErrLocked):
		return time.Time{}, nil
	}
	return time.Time{}, err
}

func recordMove(m dataset.Move, begun, done time.Time) record.Move {
	out := record.Move{Kind: m.Kind, ID: m.ID, Old: m.Old, New: m.New, BegunNS: begun.UnixNano()}
	if !done.IsZero() {
		out.DoneNS = done.UnixNano()
	}
	return out
}

// end makes no more moves, waits for one under way, and keeps those of the phase; those that were not made have no times.
func (m *mover) end() error {
	if m == nil || m.done == nil {
		return nil
	}
	m.cancel()
	<-m.done
	m.step = stepped(m.since, time.Now())
	for _, move := range m.moves[len(m.made):] {
		m.made = append(m.made, record.Move{Kind: move.Kind, ID: move.ID, Old: move.Old, New: move.New})
	}
	if m.err != nil {
		return fmt.Errorf("rows that change: %w", m.err)
	}
	return nil
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
		rec.Moves, rec.ClockStepNS = m.made, int64(m.step)
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
		if _, err := (&replicated{stage: m.stage}).unlock(ctx); err != nil {
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
