package database

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeServers makes folders with programs that only say their version.
func fakeServers(t *testing.T, versions map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, version := range versions {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+version+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestFind chooses among servers: the first on PATH, a vendor's, that of a path.
func TestFind(t *testing.T) {
	const (
		maria = "echo 'mariadbd  Ver 11.4.3-MariaDB for debian-linux-gnu on x86_64'"
		oracl = "echo 'mysqld  Ver 8.4.3 for Linux on x86_64 (MySQL Community Server - GPL)'"
	)
	root := fakeServers(t, map[string]string{
		"my/mysqld": oracl, "maria/mariadbd": maria, "maria/mysqld": maria, "both/mysqld": oracl, "both/mariadbd": maria,
		"broken/mysqld": "exit 1", "dumb/mysqld": "echo hello",
	})
	if err := os.Chmod(filepath.Join(root, "dumb/mysqld"), 0o644); err != nil { // no program: passed over
		t.Fatal(err)
	}
	for _, c := range []struct{ path, server, want, err string }{
		{"my maria", "", "my/mysqld", ""},
		{"maria my", "", "maria/mariadbd", ""},
		{"both", "", "both/mariadbd", ""},
		{"dumb my", "", "my/mysqld", ""},
		{"maria my", MySQL, "my/mysqld", ""},
		{"my maria", MariaDB, "maria/mariadbd", ""},
		{"both", MySQL, "both/mysqld", ""},
		{"broken my", MySQL, "my/mysqld", ""},
		{"maria", root + "/my/mysqld", "my/mysqld", ""},
		{"maria", root + "/none", "", "is not a program"},
		{"maria", root + "/my", "", "is not a program"},
		{"maria", root + "/broken/mysqld", "", "exit status 1"},
	} {
		var dirs []string
		for _, dir := range strings.Fields(c.path) {
			dirs = append(dirs, filepath.Join(root, dir))
		}
		t.Setenv("PATH", strings.Join(dirs, ":"))
		got, err := find(t.Context(), c.server)
		if c.err == "" && (err != nil || got.path != filepath.Join(root, c.want)) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s, %q: %+v, %v", c.path, c.server, got, err)
		}
	}
	t.Setenv("PATH", filepath.Join(root, "broken"))
	if err := Installed(t.Context(), MySQL); err == nil || errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), "broken/mysqld") {
		t.Errorf("the only one is broken: %v", err)
	}
	t.Setenv("PATH", "")
	if err := Installed(t.Context(), MySQL); !errors.Is(err, ErrNoServer) && err != nil {
		t.Errorf("none: %v", err)
	}
}

// TestServerOutOfReach wants said what to do where the account that runs the server cannot reach its program.
func TestServerOutOfReach(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the server runs as who runs the test, who can reach it")
	}
	root := fakeServers(t, map[string]string{"bin/mysqld": "echo 'mysqld  Ver 8.4.3 for Linux on x86_64'"})
	if err := os.Chmod(root, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := newPrivate(t.Context(), Options{Dir: t.TempDir(), Server: root + "/bin/mysqld"})
	if err == nil || !strings.Contains(err.Error(), "cannot reach "+root+"/bin") || !strings.Contains(err.Error(), "chmod o+x") {
		t.Errorf("%v", err)
	}
}
