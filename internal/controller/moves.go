package controller

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
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
	// moveShare is the share of requests that ask for rows that change, and askedPerMove how often each is asked for at least, as far
	// as is known before.
	moveShare    = 0.04
	askedPerMove = 8
	// assumedRate is taken for the requests per second of a closed phase, which nobody knows before.
	assumedRate = 300
)

// mover changes rows while a phase is measured. A nil one changes nothing.
type mover struct {
	stage *recipes
	phase int
	spec  dataset.MoveSpec
	moves []dataset.Move
	wall  time.Duration // that the phase is expected to take
	begun bool          // the rows are in the journal

	cancel context.CancelFunc
	done   chan struct{}
	made   []record.Move
	err    error
}

// movesOf is how many rows change in a phase.
func movesOf(phase load.Phase) int {
	rate := phase.Rate
	if phase.Model == load.Closed {
		rate = assumedRate
	}
	asked := rate * phase.Duration.Seconds() * moveShare
	return max(1, int(min(asked/askedPerMove, mostMoves*phase.Duration.Seconds())))
}

// change keeps in the journal what the rows are that will change in a phase. There are none in the warm-up and the pilot, where
// the target or JMeter draws the keys, and in a table of somebody else.
func (s *recipes) change(ctx context.Context, phase load.Phase, engine string, wall time.Duration) (*mover, error) {
	s.changing = nil
	if phase.Number == warmupPhase || phase.Number == pilotPhase || engine == plan.JMeter || lookupsOf(s.o.Plan, phase) != dataset.Client {
		return nil, nil
	}
	var seed [8]byte
	_, _ = rand.Read(seed[:]) // never fails: crypto/rand
	m := &mover{stage: s, phase: phase.Number, wall: wall, spec: dataset.MoveSpec{
		Seed: binary.LittleEndian.Uint64(seed[:]), Count: movesOf(phase), Share: moveShare,
	}}
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
	m.done = make(chan struct{})
	go func() {
		defer close(m.done)
		m.err = m.all(ctx, time.Now())
	}()
}

func (m *mover) all(ctx context.Context, began time.Time) error {
	for i, move := range m.moves {
		at := time.Duration((0.1 + 0.8*(float64(i)+0.5)/float64(len(m.moves))) * float64(m.wall))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(began.Add(at))):
		}
		before := time.Now()
		err := m.stage.db.Move(ctx, move)
		if ctx.Err() != nil || errors.Is(err, database.ErrLocked) { // whether it was made is not known, or it was not; who is in the way is found later
			m.made = append(m.made, recordMove(move, before, time.Time{}))
			return nil
		}
		if err != nil {
			return err
		}
		m.made = append(m.made, recordMove(move, before, time.Now()))
	}
	return nil
}

func recordMove(m dataset.Move, begun, done time.Time) record.Move {
	out := record.Move{Kind: m.Kind, ID: m.ID, Old: m.Old, New: m.New, BegunNS: begun.UnixNano()}
	if !done.IsZero() {
		out.DoneNS = done.UnixNano()
	}
	return out
}

// end ends the moves and returns those of the phase; those that were not made have no times.
func (m *mover) end() ([]record.Move, error) {
	if m == nil || m.done == nil {
		return nil, nil
	}
	m.cancel()
	<-m.done
	for _, move := range m.moves[len(m.made):] {
		m.made = append(m.made, record.Move{Kind: move.Kind, ID: move.ID, Old: move.Old, New: move.New})
	}
	if m.err != nil {
		return m.made, fmt.Errorf("rows that change: %w", m.err)
	}
	return m.made, nil
}

// undo puts the rows back. Locks of targets that are in the way are ended, and are the reason of their trials.
func (m *mover) undo(ctx context.Context) error {
	if m == nil || !m.begun {
		return nil
	}
	m.begun, m.stage.changing = false, nil
	ctx, cancel := teardown(ctx)
	defer cancel()
	_, _ = m.end() // its error was that of the phase
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
	return err
}
