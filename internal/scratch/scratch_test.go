package scratch

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// What nobody holds is removed, of every use; what is held, another's, or named otherwise stays.
func TestSweep(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	held, remove, err := New("database")
	if err != nil {
		t.Fatal(err)
	}
	leave := func(name string) string {
		path := filepath.Join(os.TempDir(), name)
		if err := os.MkdirAll(filepath.Join(path, "inside"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var want []string
	for _, use := range uses() {
		want = append(want, leave(prefix+use+"-left"))
	}
	slices.Sort(want)
	kept := []string{held, leave("bakeoff-other-1"), leave("something")}
	if os.Geteuid() == 0 {
		theirs := leave(prefix + "load-theirs")
		if err := os.Chown(theirs, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, theirs)
	}
	link := filepath.Join(os.TempDir(), prefix+"data-link")
	if err := os.Symlink(kept[2], link); err != nil {
		t.Fatal(err)
	}
	removed, err := Sweep()
	if err != nil || !slices.Equal(removed, want) {
		t.Errorf("removed %v, %v, want %v", removed, err, want)
	}
	for _, path := range append(kept, filepath.Join(kept[2], "inside")) {
		if !exists(path) {
			t.Errorf("%s is gone", path)
		}
	}
	for _, path := range want {
		if exists(path) {
			t.Errorf("%s is left", path)
		}
	}
	for range 2 {
		if err := remove(); err != nil || exists(held) {
			t.Errorf("%s is left, %v", held, err)
		}
	}
}

func TestNewIsOurs(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir, remove, err := New("verify")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
	if _, _, err := New("what nobody sweeps"); err == nil {
		t.Error("a folder was made that nothing sweeps")
	}
}
