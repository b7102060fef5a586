package dashboard

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bakeoff/internal/record"
)

// The list of runs is that of record.List, however a run changes; one that nobody writes is read again only when its files change.
func TestListReadsAFinishedRunOnce(t *testing.T) {
	root := t.TempDir()
	done := demo(root).Write(t)
	check(t, os.Mkdir(filepath.Join(root, "none"), 0o700))
	w := demo(root).Begin(t)
	all := newRuns(root)
	same := func(when string) {
		t.Helper()
		if diff := cmp.Diff(must[[]record.Listed](t)(record.List(root)), must[[]record.Listed](t)(all.list())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	same("at first")
	path := filepath.Join(done, "run.json")
	info := must[os.FileInfo](t)(os.Stat(path))
	check(t, os.WriteFile(path, bytes.Repeat([]byte("x"), int(info.Size())), 0o600))
	check(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	if got := must[[]record.Listed](t)(all.list()); got[0].Dir != done || got[0].Problem != "" {
		t.Errorf("it is read again: %+v", got[0])
	}
	check(t, os.Chtimes(path, time.Time{}, info.ModTime().Add(time.Second)))
	same("after a change")
	check(t, w.Close())
	same("when the writer has gone")
	check(t, os.RemoveAll(done))
	same("when one is removed")
	if n := len(all.known); n != 2 {
		t.Errorf("%d runs are kept", n)
	}
	if got, err := newRuns(filepath.Join(root, "missing")).list(); err != nil || got != nil {
		t.Errorf("a missing folder: %v, %v", got, err)
	}
}

// Pages of all runs read what is kept of them.
func TestPagesUseTheListThatIsKept(t *testing.T) {
	root := t.TempDir()
	check(t, os.Mkdir(filepath.Join(root, "none"), 0o700))
	for _, path := range []string{"/history", "/compare"} {
		s := serving(t, Options{Root: root})
		if get(t, s, path); len(s.shelf.runs.known) != 1 {
			t.Errorf("%s keeps nothing", path)
		}
	}
}
