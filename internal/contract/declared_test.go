package contract_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/contract"
)

// testProtocol declares each protocol of a target that has one.
func (b *bench) testProtocol(t *testing.T) {
	f := newFake(b.db, "one")
	replicas, _ := serveFakes(t, f)
	declared := *b.contract
	inText, prepared := f.read, b.prepared(t)
	for _, prepares := range []bool{true, false} {
		if f.read = inText; prepares {
			f.read = prepared
		}
		for protocol, right := range map[string]bool{"prepared": prepares, "text": !prepares, "": true} {
			declared.Protocol = protocol
			r, err := declared.Check(t.Context(), "before", replicas, "")
			if err != nil {
				t.Fatal(err)
			}
			if failed := failedNames(r); slices.Contains(failed, "protocol") == right {
				t.Errorf("prepares %t, declared %q: failed %v", prepares, protocol, failed)
			}
		}
	}
}

// prepared reads by one statement, prepared beforehand.
func (b *bench) prepared(t *testing.T) reader {
	t.Helper()
	once, err := b.db.PrepareContext(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { once.Close() })
	return func(ctx context.Context, name string) (id int64, err error) {
		err = once.QueryRowContext(ctx, name).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return id, err
	}
}

// TestKeepAlive asks servers on a connection that was idle.
func TestKeepAlive(t *testing.T) {
	for _, c := range []struct {
		name           string
		idle, declared time.Duration // of the server, and of the recipe
		around         http.HandlerFunc
		want           string // in the detail; "ok" first where it holds
	}{
		{"kept", 0, time.Minute, nil, "ok 1m0s is declared; still open after"},
		{"closed too soon", 20 * time.Millisecond, time.Minute, nil, "the connection was closed"},
		{"closes each", 0, time.Minute, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }, "the answer says Connection: close"},
		{"declared no longer", 20 * time.Millisecond, 50 * time.Millisecond, nil, "ok 50ms is declared; not checked after"},
	} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.around != nil {
				c.around(w, r)
			}
		}))
		server.Config.IdleTimeout = c.idle
		server.Start()
		defer server.Close()
		connections := contract.OpenIdle(t.Context(), []contract.Endpoint{{Name: "one", URL: server.URL}}, c.declared)
		checks, err := connections.Check(t.Context(), "after", 100*time.Millisecond)
		connections.Close()
		if err != nil || len(checks) != 1 {
			t.Fatalf("%s: %+v, %v", c.name, checks, err)
		}
		want, ok := strings.CutPrefix(c.want, "ok ")
		if got := checks[0]; got.OK != ok || got.Name != "keep-alive" || got.Replica != "one" || got.When != "after" || !strings.Contains(got.Detail, want) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// testIdle has the check itself look after an idle connection.
func (b *bench) testIdle(t *testing.T) {
	f := newFake(b.db, "one")
	f.around = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		w.Header().Set("Connection", "close")
		next(w, r)
	}
	replicas, _ := serveFakes(t, f)
	declared := *b.contract
	for keepAlive, want := range map[time.Duration]bool{0: false, time.Minute: true} {
		declared.KeepAlive = keepAlive
		r, err := declared.Check(t.Context(), "before", replicas, "")
		if err != nil {
			t.Fatal(err)
		}
		if failed := failedNames(r); slices.Contains(failed, "keep-alive") != want {
			t.Errorf("%v declared: failed %v", keepAlive, failed)
		}
	}
}
