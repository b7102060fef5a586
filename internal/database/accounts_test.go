package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// opened makes the account of a trial, and a connection by it.
func opened(t *testing.T, s *Server) (Account, *sql.Conn) {
	t.Helper()
	a, err := s.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := asTarget(t, a.Access, true).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a, c
}

// mine are those of the sessions that an account has.
func mine(all []Session, a Account) []Session {
	return slices.DeleteFunc(all, func(one Session) bool { return one.User != a.User })
}

// until waits for sessions of an account. InnoDB looks again at its transactions only where nobody has asked for 100 ms.
func until(t *testing.T, of func(context.Context) ([]Session, error), a Account) []Session {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(150 * time.Millisecond) {
		all, err := of(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if found := mine(all, a); len(found) > 0 {
			return found
		}
		if time.Now().After(end) {
			t.Fatal("no session is seen")
		}
	}
}

// TestAccountOfATrial wants each trial an account that reads the table and nothing else, and all that it has under way ended with
// it, while another's goes on.
func TestAccountOfATrial(t *testing.T) {
	s, d := shared(t)
	ctx := t.Context()
	a, c := opened(t, s)
	b, other := opened(t, s)
	if a.User == b.User || a.Password == b.Password || !a.Own || strings.Contains(fmt.Sprintf("%v %+v %#v", a, a, a), a.Password) {
		t.Errorf("accounts %v and %v", a, b)
	}
	if err := ask(ctx, c, d.Name(1)); err != nil {
		t.Error(err)
	}
	if _, err := c.ExecContext(ctx, "DELETE FROM demo_data WHERE id = 1"); err == nil {
		t.Error("the account may change the table")
	}
	if n, err := s.ConnectionCount(ctx); err != nil || n < 2 {
		t.Errorf("%d connections, %v", n, err)
	}
	if gauges, err := s.Status(ctx); err != nil || gauges[ConnectionsOf(a.User)] != 1 || gauges[ConnectionsOf(b.User)] != 1 || gauges[TargetConnections] < 2 {
		t.Errorf("gauges %v, %v", gauges, err)
	}
	if err := s.run(ctx, "SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')"); err != nil { // as on a server of somebody else
		t.Fatal(err)
	}
	defer func() {
		if err := s.run(ctx, "SET SESSION sql_mode = @@GLOBAL.sql_mode"); err != nil {
			t.Error(err)
		}
	}()
	ended := make(chan error, 1)
	go func() {
		_, err := c.ExecContext(context.Background(), "SELECT BENCHMARK(1000000000000, 1), 'secret'")
		ended <- err
	}()
	busy := until(t, s.Busy, a)
	if !strings.HasPrefix(busy[0].Statement, "SELECT BENCHMARK") || strings.Contains(busy[0].Statement, "secret") {
		t.Errorf("%+v", busy)
	}
	if err := s.Retire(ctx, a); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("a statement outlived its account")
	}
	all, err := s.Busy(ctx)
	if err != nil || len(mine(all, a)) > 0 {
		t.Errorf("%+v, %v", all, err)
	}
	if err := s.Opens(ctx, a); !errors.Is(err, ErrAccount) {
		t.Errorf("an account that is gone: %v", err)
	}
	if err := ask(ctx, other, d.Name(1)); err != nil {
		t.Errorf("the other account: %v", err)
	}
	if exists(a.PasswordFile) || !exists(b.PasswordFile) {
		t.Error("the file of the password is left, or the other one's is gone")
	}
	if err := errors.Join(s.Retire(ctx, b), s.Check(ctx, d)); err != nil {
		t.Error(err)
	}
}

// TestAccountChanged wants a password noticed that the target has changed, and a changed account removed like any other.
func TestAccountChanged(t *testing.T) {
	s, _ := shared(t)
	a, c := opened(t, s)
	if err := s.Opens(t.Context(), a); err != nil {
		t.Errorf("as given out: %v", err)
	}
	change := "SET PASSWORD = 'other-x1'"
	if s.info.Vendor == MariaDB {
		change = "SET PASSWORD = PASSWORD('other-x1')"
	}
	if _, err := c.ExecContext(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	// Each of its hosts is an account by itself: the one that the connection came by is changed.
	if err := s.Opens(t.Context(), a); !errors.Is(err, ErrAccount) {
		t.Errorf("changed: %v", err)
	}
	if err := s.Retire(t.Context(), a); err != nil {
		t.Error(err)
	}
}

// TestLocks wants locks of a target found, our own statements not held up by them for long, and the table right again once the
// target's sessions are ended.
func TestLocks(t *testing.T) {
	s, d := shared(t)
	ctx := t.Context()
	a, c := opened(t, s)
	if all, err := s.Locking(ctx); err != nil || len(mine(all, a)) > 0 {
		t.Errorf("before: %+v, %v", all, err)
	}
	if _, err := s.Insert(ctx, "locked"); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"SET autocommit = 0", "SELECT id FROM demo_data WHERE name = 'locked' LOCK IN SHARE MODE"} {
		if _, err := c.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	if held := until(t, s.Locking, a); held[0].Rows == 0 {
		t.Errorf("%+v", held)
	}
	began := time.Now()
	if err := s.Tidy(ctx); !errors.Is(err, ErrLocked) {
		t.Errorf("a locked row: %v", err)
	}
	if took := time.Since(began); took > 5*lockWait {
		t.Errorf("waited %v for a lock", took)
	}
	all, err := s.Locking(ctx)
	if err := errors.Join(err, s.End(ctx, mine(all, a)), s.Tidy(ctx), s.Check(ctx, d), s.Retire(ctx, a)); err != nil {
		t.Error(err)
	}
}

// TestExternalAccounts wants an account per trial on a server of somebody else where ours may make them, those removed that a
// killed run has left there, and one account and the reason where it may not.
func TestExternalAccounts(t *testing.T) {
	s, d := shared(t)
	ctx := t.Context()
	e := externalServer(t, "accounts")
	if _, err := e.Fill(ctx, d, nil); err != nil {
		t.Fatal(err)
	}
	info, err := e.Info(ctx)
	if err != nil || !strings.Contains(info.AccountReason, "CREATE USER") {
		t.Fatalf("without the right: %q, %v", info.AccountReason, err)
	}
	if a, err := e.Account(ctx); err != nil || a.Own || a.User != e.Access().User || e.Retire(ctx, a) != nil {
		t.Errorf("%+v, %v", a, err)
	}
	if left, err := e.column(ctx, "SELECT name FROM "+markTable+" WHERE name LIKE 'account%'"); err != nil || len(left) > 0 {
		t.Errorf("names of accounts that could not be made: %q, %v", left, err)
	}
	rights := []string{
		"GRANT CREATE USER, PROCESS ON *.* TO 'somebody'@'127.0.0.1'", "GRANT SELECT ON accounts.demo_data TO 'somebody'@'127.0.0.1' WITH GRANT OPTION",
		"GRANT CONNECTION_ADMIN ON *.* TO 'somebody'@'127.0.0.1'",
	}
	if s.info.Vendor == MariaDB {
		rights[2] = "GRANT CONNECTION ADMIN ON *.* TO 'somebody'@'127.0.0.1'"
	}
	if err := s.run(ctx, rights...); err != nil {
		t.Fatal(err)
	}
	_ = e.Stop(ctx, 0)
	e = openOn(t, s, "accounts")
	if err := e.rights(ctx); err != nil || e.accountReason != "" {
		t.Fatalf("with the rights: %q, %v", e.accountReason, err)
	}
	a, err := e.Account(ctx) // which its run does not come to remove
	if err != nil || !a.Own {
		t.Fatalf("%+v, %v", a, err)
	}
	if err := ask(ctx, asTarget(t, a.Access, true), d.Name(1)); err != nil {
		t.Error(err)
	}
	_ = e.Stop(ctx, 0)
	e = openOn(t, s, "accounts")
	if err := e.rights(ctx); err != nil || e.accountReason != "" {
		t.Fatalf("again: %q, %v", e.accountReason, err)
	}
	if err := e.Opens(ctx, a); !errors.Is(err, ErrAccount) {
		t.Errorf("the account of a killed run: %v", err)
	}
	_ = a.forget()
}
