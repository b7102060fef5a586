package record

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// A process that is being started has every open file for a moment: the run that is closed then is free all the same.
func TestNoLockOutlivesTheWriter(t *testing.T) {
	w, err := Create(t.TempDir(), smallRun(), nil, nil, began)
	check(t, err)
	inherit(t, w.events.os)
	check(t, w.Close())
	if mustOpen(t, w.Dir()).Live() {
		t.Error("a run that is closed is live")
	}
	c, err := OpenCopy(w.Dir())
	check(t, err)
	inherit(t, c.events)
	check(t, c.Close())
	if mustOpen(t, w.Dir()).Live() {
		t.Error("a copy that is closed is live")
	}
}

// inherit keeps a file open until the test ends, as a child does.
func inherit(t *testing.T, f *os.File) {
	t.Helper()
	fd, err := unix.Dup(int(f.Fd()))
	check(t, err)
	t.Cleanup(func() { check(t, unix.Close(fd)) })
}
