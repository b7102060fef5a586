package target

import (
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
