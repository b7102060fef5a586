package target

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A program counts as hidden where others may not pass to it, or may not read and run it: targets run under other accounts.
func TestHidden(t *testing.T) {
	dir := t.TempDir()
	for _, folder := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if !Passable(dir) {
		t.Skipf("SKIPPED: others cannot reach %s", dir)
	}
	tool, link := filepath.Join(dir, "tool"), filepath.Join(dir, "link")
	if err := os.WriteFile(tool, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(tool, link); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]int{0o755: 0, 0o700: 1, 0o711: 1, 0o744: 1, 0o705: 0} {
		if err := os.Chmod(tool, mode); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{tool, link} {
			if got := hidden(path); got != want {
				t.Errorf("%s with mode %v: %d, want %d", path, mode, got, want)
			}
		}
	}
}

// What is opened to all can be read and run by all, and no program of it runs with its owner's rights.
func TestAllow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]os.FileMode{
		0o700: 0o755, 0o600: 0o644, 0o755: 0o755, os.ModeSetuid | 0o700: 0o755, os.ModeSetuid | 0o755: 0o755, os.ModeSetgid | 0o755: 0o755,
		os.ModeSetuid | os.ModeSetgid | 0o755: 0o755,
	} {
		if err := errors.Join(os.Chmod(path, mode), allow(path, 0)); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%v became %v, %v, want %v", mode, info.Mode(), err, want)
		}
	}
}

// Where a HOME may not be given to its account there is none, and that is no error.
func TestHomeNotGiven(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	home, remove, err := makeHome("65534", func(string, int, int) error { return errors.New("not permitted") })
	if home != "" || err != nil {
		t.Errorf("%q, %v", home, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v are left: %v", left, err)
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
}
