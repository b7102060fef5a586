package database

import (
	"errors"
	"testing"

	"bakeoff/internal/dataset"
)

// made makes the moves.
func made(t *testing.T, s *Server, moves []dataset.Move) {
	t.Helper()
	if err := s.BeginMoves(t.Context(), moves); err != nil {
		t.Fatal(err)
	}
	for _, m := range moves {
		if err := s.Move(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMoves wants rows changed and put back, and nothing of it in the counts of what others do.
func TestMoves(t *testing.T) {
	s, d := shared(t)
	ctx := t.Context()
	moves := d.Moves(dataset.MoveSpec{Seed: 7, Count: 30})
	if len(moves) != 30 {
		t.Fatalf("%d moves", len(moves))
	}
	before, err := s.Counters(ctx)
	if err != nil {
		t.Fatal(err)
	}
	made(t, s, moves)
	after, err := s.Counters(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := after.Sub(before); got.Reads != 0 || got.Touched != (Touched{}) {
		t.Errorf("counted of our moves: %+v", got)
	}
	for _, m := range moves {
		for name, exists := range map[string]bool{m.Old: false, m.New: true} {
			if name == "" {
				continue
			}
			if id, found, err := s.Lookup(ctx, name); err != nil || found != exists || found && id != m.ID {
				t.Errorf("%+v: %s is row %d, %v, %v", m, name, id, found, err)
			}
		}
	}
	for range 2 { // the second time there is nothing to undo
		if err := s.UndoMoves(ctx); err != nil {
			t.Fatal(err)
		}
		if digest, err := s.Digest(ctx); err != nil || digest != d.Digest() {
			t.Errorf("digest %s, %v", digest, err)
		}
	}
	info, err := s.Info(ctx)
	if err != nil || info.Settings["innodb_flush_log_at_trx_commit"] != "1" {
		t.Errorf("flushes are left at %q, %v", info.Settings["innodb_flush_log_at_trx_commit"], err)
	}
}

// TestMovesOfAKilledRun wants the rows that a killed run has changed on a server of somebody else put back by the next one, and
// none changed in a table that bakeoff did not make.
func TestMovesOfAKilledRun(t *testing.T) {
	_, d := shared(t)
	ctx := t.Context()
	e := externalServer(t, "moves")
	if _, err := e.Fill(ctx, d, nil); err != nil {
		t.Fatal(err)
	}
	moves := d.Moves(dataset.MoveSpec{Seed: 8, Count: 9})
	if err := e.BeginMoves(ctx, moves); err != nil {
		t.Fatal(err)
	}
	for _, m := range moves[:5] { // and is killed
		if err := e.Move(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Check(ctx, d); err == nil {
		t.Error("nothing has changed: the test proves nothing")
	}
	filled, err := e.Fill(ctx, d, nil)
	if err != nil || !filled.FromCache || filled.Digest != d.Digest() {
		t.Errorf("%+v, %v", filled, err)
	}
	if err := e.run(ctx, "DELETE FROM "+markTable); err != nil { // as if somebody else had made the table
		t.Fatal(err)
	}
	if _, err := e.Fill(ctx, d, nil); err != nil {
		t.Fatal(err)
	}
	if err := e.BeginMoves(ctx, moves); !errors.Is(err, ErrNotOurs) {
		t.Errorf("a table of somebody else: %v", err)
	}
}
