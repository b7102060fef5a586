package database

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/consent"
	"bakeoff/internal/dataset"
)

func dsnFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

const canary = "cAnArYpAsSwOrD77"

// externalServer makes a schema and an account on the shared server, and opens it as somebody else's.
func externalServer(t *testing.T, schema string) *Server {
	t.Helper()
	s, _ := shared(t)
	return externalOn(t, s, schema)
}

// externalOn does so on any of our servers.
func externalOn(t *testing.T, s *Server, schema string) *Server {
	t.Helper()
	if err := s.run(
		t.Context(), "CREATE DATABASE IF NOT EXISTS "+schema,
		"DROP USER IF EXISTS 'somebody'@'127.0.0.1'", "CREATE USER 'somebody'@'127.0.0.1' IDENTIFIED BY '"+canary+"'",
		"GRANT ALL ON "+schema+".* TO 'somebody'@'127.0.0.1'",
	); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.run(context.Background(), "DROP DATABASE "+schema) })
	return openOn(t, s, schema)
}

func openExternal(t *testing.T, schema string) *Server {
	t.Helper()
	s, _ := shared(t)
	return openOn(t, s, schema)
}

func openOn(t *testing.T, s *Server, schema string) *Server {
	t.Helper()
	file := dsnFile(t, fmt.Sprintf("somebody:%s@tcp(127.0.0.1:%d)/%s\n", canary, s.Access().Port, schema), 0o600)
	e, err := Open(t.Context(), External{DSNFile: file})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(context.Background(), 0); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestExternal(t *testing.T) {
	_, d := shared(t)
	e := externalServer(t, "ext1")
	ctx := t.Context()
	filled, err := e.Fill(ctx, d, nil)
	if err != nil || filled.FromCache || filled.Digest != d.Digest() {
		t.Fatalf("%+v, %v", filled, err)
	}
	if filled, err = openExternal(t, "ext1").Fill(ctx, d, nil); err == nil {
		t.Error("two fillers at once")
	}
	if filled, err = e.Fill(ctx, d, nil); err != nil || !filled.FromCache {
		t.Errorf("again: %+v, %v", filled, err)
	}
	info, err := e.Info(ctx)
	if err != nil || info.Kind != KindExternal || info.Vendor != fixture.server.private.binary.vendor || info.Collation != collation || info.Settings["innodb_doublewrite"] == "" {
		t.Errorf("%+v, %v", info, err)
	}
	countExactly(t, e, d)
	other, err := dataset.New(dataset.Spec{Rows: 1000, Seed: 3, MinLength: 1, MaxLength: 255})
	if err != nil {
		t.Fatal(err)
	}
	if filled, err = e.Fill(ctx, other, nil); err != nil || filled.FromCache || filled.Digest != other.Digest() {
		t.Errorf("our own table, other data: %+v, %v", filled, err)
	}
}

// TestExternalForeignTable leaves a table alone that is not ours.
func TestExternalForeignTable(t *testing.T) {
	_, d := shared(t)
	e := externalServer(t, "ext2")
	ctx := t.Context()
	if err := e.run(ctx, ddl, addIndex, "INSERT INTO demo_data (name) VALUES ('precious')"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Fill(ctx, d, nil); !errors.Is(err, ErrRows) || !strings.Contains(err.Error(), "not made by bakeoff") {
		t.Errorf("%v", err)
	}
	if id, ok, err := e.Lookup(ctx, "precious"); !ok || err != nil || id != 1 {
		t.Errorf("the foreign row: %d %t %v", id, ok, err)
	}
}

// TestExternalInterrupted breaks the fill off at random moments.
func TestExternalInterrupted(t *testing.T) {
	_, d := shared(t)
	externalServer(t, "ext3")
	for i := range kills() {
		e := openExternal(t, "ext3")
		after := time.Duration(rand.Int64N(int64(1500 * time.Millisecond)))
		ctx, cancel := context.WithTimeout(t.Context(), after)
		_, err := e.Fill(ctx, d, nil)
		cancel()
		_ = e.Stop(t.Context(), 0)
		t.Logf("%d: broken off after %v: %v", i, after, err)
		next := openExternal(t, "ext3")
		var filled Filled
		for range 100 { // until the server has noticed that the first filler is gone
			if filled, err = next.Fill(t.Context(), d, nil); err == nil || !strings.Contains(err.Error(), "another bakeoff") {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil || filled.Digest != d.Digest() {
			t.Fatalf("%+v, %v", filled, err)
		}
		if err := next.run(t.Context(), "DROP TABLE demo_data"); err != nil {
			t.Fatal(err)
		}
		_ = next.Stop(t.Context(), 0)
	}
}

// noResolver fails the test when a name is looked up.
type noResolver struct{ t *testing.T }

func (r noResolver) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	r.t.Errorf("%s was looked up", host)
	return nil, errors.New("no")
}

func TestConsent(t *testing.T) {
	for _, host := range []string{"192.0.2.1", "database.example", "[2001:db8::1]", "0.0.0.0", "127.0.0.1.example", "[::ffff:192.0.2.1]", "[::]"} {
		file := dsnFile(t, "u:"+canary+"@tcp("+host+":3306)/x", 0o600)
		began := time.Now()
		_, err := Open(t.Context(), External{DSNFile: file, AllowHosts: []string{"other.example"}, Resolver: noResolver{t}})
		if _, refused := errors.AsType[*consent.RefusedError](err); !refused {
			t.Errorf("%s: %v", host, err)
		}
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), canary) {
			t.Errorf("%s: the error carries the password", host)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%s: refused only after %v", host, took)
		}
	}
}

func TestDSNFile(t *testing.T) {
	good := "u:" + canary + "@tcp(127.0.0.1:1)/x"
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		want       error
	}{
		{"group may read", good, 0o640, ErrFileMode},
		{"all may read", good, 0o604, ErrFileMode},
		{"garbage", "u:" + canary + "@@@", 0o600, nil},
		{"a socket", "u:" + canary + "@unix(/x)/y", 0o600, nil},
		{"no schema", "u:" + canary + "@tcp(127.0.0.1:1)/", 0o600, nil},
		{"no user", ":" + canary + "@tcp(127.0.0.1:1)/x", 0o600, nil},
		{"port 0", "u:" + canary + "@tcp(127.0.0.1:0)/x", 0o600, nil},
		{"two lines", good + "\n" + good, 0o600, nil},
		{"too long", good + strings.Repeat("x", 5000), 0o600, nil},
		{"nobody listens", good, 0o600, nil},
	} {
		_, err := Open(t.Context(), External{DSNFile: dsnFile(t, c.text, c.mode)})
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), canary) {
			t.Errorf("%s: the error carries the password: %v", c.name, err)
		}
		if c.want != nil {
			continue
		}
		_, err = Open(t.Context(), External{DSN: c.text})
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), canary) {
			t.Errorf("%s: without a file: %v", c.name, err)
		}
	}
}

// What a DSN may be talked to is known before anything is sent, from a file or without one.
func TestConsented(t *testing.T) {
	text := "u:" + canary + "@tcp(db.example:3306)/x"
	for _, e := range []External{{DSN: text}, {DSNFile: dsnFile(t, text, 0o600)}} {
		err := e.Consented()
		if _, refused := errors.AsType[*consent.RefusedError](err); !refused || strings.Contains(err.Error(), canary) {
			t.Errorf("%v", err)
		}
		e.AllowHosts = []string{"db.example"}
		if err := e.Consented(); err != nil {
			t.Error(err)
		}
	}
}
