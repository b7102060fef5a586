package database

import (
	"strings"
	"testing"

	"bakeoff/internal/dataset"
)

// TestRestore wants what a killed run has left on a server of somebody else put right without another run: rows put back, accounts
// removed. Not while another bakeoff uses the schema, and nothing of a table that is not bakeoff's.
func TestRestore(t *testing.T) {
	s, d := shared(t)
	ctx := t.Context()
	e := externalServer(t, "restored")
	if _, err := e.Fill(ctx, d, nil); err != nil {
		t.Fatal(err)
	}
	left := trialPrefix + "left"
	if err := s.run(ctx, "GRANT CREATE USER, PROCESS ON *.* TO 'somebody'@'127.0.0.1'", "CREATE USER '"+left+"'@'%'"); err != nil {
		t.Fatal(err)
	}
	if err := e.setMarkOf(ctx, markAccount+left, markFilling); err != nil {
		t.Fatal(err)
	}
	moves := d.Moves(dataset.MoveSpec{Secret: "12", Count: 6})
	if err := e.BeginMoves(ctx, moves); err != nil {
		t.Fatal(err)
	}
	for _, m := range moves[:4] {
		if err := e.Move(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openExternal(t, "restored").Restore(ctx); err == nil || !strings.Contains(err.Error(), "another bakeoff") {
		t.Errorf("while a run uses the schema: %v", err)
	}
	_ = e.Stop(ctx, 0) // it is killed
	again := openExternal(t, "restored")
	if err := again.Check(ctx, d); err == nil {
		t.Error("nothing has changed: the test proves nothing")
	}
	done, err := again.Restore(ctx)
	if err != nil || done.Rows != 6 || len(done.Accounts) != 1 || done.Accounts[0] != left {
		t.Errorf("%+v, %v", done, err)
	}
	if err := again.Check(ctx, d); err != nil {
		t.Error(err)
	}
	if users, err := s.column(ctx, "SELECT User FROM mysql.user WHERE User = '"+left+"'"); err != nil || len(users) > 0 {
		t.Errorf("accounts %q, %v", users, err)
	}
	if done, err := again.Restore(ctx); err != nil || done.Rows != 0 || len(done.Accounts) != 0 {
		t.Errorf("once more: %+v, %v", done, err)
	}
	if err := again.run(ctx, "DELETE FROM "+markTable, "INSERT INTO "+journalTable+" VALUES (1, 'x')"); err != nil {
		t.Fatal(err)
	}
	if done, err := again.Restore(ctx); err != nil || done.Rows != 0 || again.Check(ctx, d) != nil {
		t.Errorf("a table of somebody else: %+v, %v", done, err)
	}
}
