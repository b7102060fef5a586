package database

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

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
	moves := d.Moves(dataset.MoveSpec{Secret: "7", Count: 30})
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
}

// TestMovesAskForLittle wants nothing asked of the server for a change of rows but the change, and once a second what our session has
// done: targets are measured at the same time.
func TestMovesAskForLittle(t *testing.T) {
	s, d := shared(t)
	moves := d.Moves(dataset.MoveSpec{Secret: "8", Count: 30})
	if err := s.BeginMoves(t.Context(), moves); err != nil {
		t.Fatal(err)
	}
	before, began := ours(t, s), time.Now()
	for _, m := range moves {
		if err := s.Move(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	asked := ours(t, s)
	for name, n := range before {
		asked[name] -= n
	}
	looks := 2 + int64(time.Since(began)/noteEvery) // that of before is one, and one may have been due
	if n := asked["Com_show_status"]; n > looks || asked["Com_select"] != 0 || asked["Com_begin"] != 30 || asked["Com_commit"] != 30 {
		t.Errorf("30 moves asked %d times for the status (at most %d), %+v", n, looks, asked)
	}
	if err := s.UndoMoves(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// ours is what our session has done.
func ours(t *testing.T, s *Server) (own map[string]int64) {
	t.Helper()
	err := s.peek(t.Context(), func(c *sql.Conn) (err error) {
		own, err = status(t.Context(), c, "SESSION")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// TestMovesOnALostConnection wants what moves did on a connection that is lost taken off the counts, once it was noted.
func TestMovesOnALostConnection(t *testing.T) {
	s, d := shared(t)
	before, err := s.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	moves := d.Moves(dataset.MoveSpec{Secret: "9", Count: 3})
	if err := s.BeginMoves(t.Context(), moves); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.noted = time.Time{} // longer ago than noteEvery
	s.mu.Unlock()
	if err := s.Move(t.Context(), moves...); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.dropConn()
	s.mu.Unlock()
	if got := settle(t, s, before); got.Reads != 0 || got.Touched != (Touched{}) {
		t.Errorf("counted of our moves: %+v", got)
	}
	if err := s.UndoMoves(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestMovesLeaveSettings wants in force, while rows change and after it, what is recorded before.
func TestMovesLeaveSettings(t *testing.T) {
	s, d := shared(t)
	const name = "innodb_flush_log_at_trx_commit"
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same := func(when string) {
		if now, err := s.variable(t.Context(), name); err != nil || now != info.Settings[name] || now != "2" {
			t.Errorf("%s: %q, recorded is %q, %v", when, now, info.Settings[name], err)
		}
	}
	made(t, s, d.Moves(dataset.MoveSpec{Secret: "9", Count: 3}))
	same("while rows change")
	if err := s.UndoMoves(t.Context()); err != nil {
		t.Fatal(err)
	}
	same("afterwards")
}

// TestMoveOfALockedRow wants what a move reads, and then may not change, taken off the counts of what others do: the row that would be
// renamed where the place of its new name in the index is locked, and none where the row itself is, or the place of one that is inserted.
func TestMoveOfALockedRow(t *testing.T) {
	s, d := shared(t)
	ctx := t.Context()
	moves := d.Moves(dataset.MoveSpec{Secret: "10", Count: 3})
	of := func(kind string) int {
		return slices.IndexFunc(moves, func(m dataset.Move) bool { return m.Kind == kind })
	}
	renamed := moves[of(dataset.Renamed)]
	for kind, lock := range map[string]struct {
		at    int
		where string
	}{
		"the row":             {of(dataset.Renamed), fmt.Sprintf("id = %d", renamed.ID)},
		"the place of a name": {of(dataset.Renamed), "name = '" + renamed.New + "'"},
		"behind the last row": {of(dataset.Inserted), fmt.Sprintf("id > %d", d.Rows())},
	} {
		at := lock.at
		a, c := opened(t, s)
		for _, statement := range []string{"SET autocommit = 0", "SELECT id FROM demo_data WHERE " + lock.where + " LOCK IN SHARE MODE"} {
			if _, err := c.ExecContext(ctx, statement); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.BeginMoves(ctx, moves); err != nil {
			t.Fatal(err)
		}
		before, err := s.Counters(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Move(ctx, moves[at]); !errors.Is(err, ErrLocked) {
			t.Errorf("%s, a locked row: %v", kind, err)
		}
		after, err := s.Counters(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got := after.Sub(before); got.Reads != 0 || got.Touched != (Touched{}) {
			t.Errorf("%s, counted of our move: %+v", kind, got)
		}
		if err := errors.Join(s.Retire(ctx, a), s.UndoMoves(ctx), s.Check(ctx, d)); err != nil {
			t.Error(err)
		}
	}
}

// TestMovesWithoutRights wants a run on a server of somebody else to go on without moves, with the reason, where the account may
// not change rows.
func TestMovesWithoutRights(t *testing.T) {
	s, d := shared(t)
	ctx := t.Context()
	e := externalServer(t, "rightless")
	if _, err := e.Fill(ctx, d, nil); err != nil {
		t.Fatal(err)
	}
	if info, err := e.Info(ctx); err != nil || info.MovesReason != "" {
		t.Errorf("with all rights: %q, %v", info.MovesReason, err)
	}
	for _, missing := range []string{"UPDATE", "CREATE"} {
		_ = e.Stop(ctx, 0)
		if err := s.run(ctx, "GRANT ALL ON rightless.* TO 'somebody'@'127.0.0.1'", "REVOKE "+missing+" ON rightless.* FROM 'somebody'@'127.0.0.1'"); err != nil {
			t.Fatal(err)
		}
		e = openOn(t, s, "rightless")
		if _, err := e.Fill(ctx, d, nil); err != nil {
			t.Fatalf("without %s: %v", missing, err)
		}
		info, err := e.Info(ctx)
		if err != nil || !strings.Contains(info.MovesReason, "it needs CREATE") {
			t.Errorf("without %s: %q, %v", missing, info.MovesReason, err)
		}
		if err := e.BeginMoves(ctx, d.Moves(dataset.MoveSpec{Secret: "11", Count: 3})); !errors.Is(err, ErrNotOurs) {
			t.Errorf("without %s: %v", missing, err)
		}
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
	moves := d.Moves(dataset.MoveSpec{Secret: "8", Count: 9})
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
