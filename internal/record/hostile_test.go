//go:build linux

package record

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// within ends the test where a reader hangs.
func within(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("%s: the reader hangs", what)
	}
}

// everything reads all there is of a run by every way there is, and returns what was found wrong.
func everything(dir string) string {
	var found []string
	add := func(err error) {
		if err != nil {
			found = append(found, err.Error())
		}
	}
	r, err := Open(dir)
	add(err)
	if err == nil {
		for _, p := range r.Problems() {
			found = append(found, p.String())
		}
		for _, trial := range r.Trials() {
			for _, err := range trial.Loads() {
				add(err)
			}
			for _, err := range trial.Series() {
				add(err)
			}
		}
	}
	runs, err := List(filepath.Dir(dir))
	add(err)
	for _, l := range runs {
		found = append(found, l.Problem)
	}
	return strings.Join(found, "\n")
}

// follows reads the run as a follower does until it has all there is.
func follows(t *testing.T, dir string) {
	for i, err := range Follow(t.Context(), dir, Position{}) {
		if err == nil && i.Pause != nil {
			return
		}
	}
}

// Nothing in a run directory makes a reader hang, read for ever, or follow it elsewhere: a pipe, a device, a link,
// a file without end in the place of each file.
func TestHostileFiles(t *testing.T) {
	whole := smallRunIn(t, true)
	plant := map[string]func(path string) error{
		"pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"held pipe": func(path string) error { // somebody might write into it, so that a reader of it waits
			err := syscall.Mkfifo(path, 0o600)
			f, oerr := os.OpenFile(path, os.O_RDWR, 0)
			t.Cleanup(func() { f.Close() })
			return errors.Join(err, oerr)
		},
		"device": func(path string) error { return os.Symlink("/dev/zero", path) },
		"link":   func(path string) error { return os.Symlink(filepath.Join(whole, runFile), path) },
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"huge": func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 20<<30))
		},
	}
	dir := filepath.Join(memory(t), "runs", "run")
	for kind, put := range plant {
		for _, name := range []string{runFile, eventsFile, planFile, "trials/1-1-b/trial.json", "trials/1-1-b/load.jsonl", "trials/1-1-b/series.jsonl"} {
			if kind == "huge" && name != runFile && name != eventsFile && name != "trials/1-1-b/load.jsonl" {
				continue // one of each kind of reading is enough
			}
			copyRun(t, whole, dir)
			check(t, os.Remove(filepath.Join(dir, name)))
			check(t, put(filepath.Join(dir, name)))
			within(t, kind+" as "+name, func() {
				if found := everything(dir); !strings.Contains(found, name) && !strings.Contains(found, filepath.Base(name)) {
					t.Errorf("%s as %s was not found: %s", kind, name, found)
				}
				follows(t, dir)
			})
		}
	}
}

// An event cannot make a folder elsewhere a trial.
func TestTrialElsewhere(t *testing.T) {
	for _, folder := range []string{"../../elsewhere", "1-9-c", "1-9-../../../x", "/etc", ".", ""} {
		dir := smallRunIn(t, false)
		elsewhere := filepath.Join(dir, "..", "elsewhere")
		check(t, os.CopyFS(elsewhere, os.DirFS(filepath.Join(dir, trialsFolder, "1-1-b"))))
		rewriteEvents(t, dir, func(e Event) bool { return e.folder() != "1-1-b" })
		proof := asJSON(t, Proof{folder, 1, 1, "b", 1, Valid, sum(nil)})
		f, err := os.OpenFile(filepath.Join(dir, eventsFile), os.O_APPEND|os.O_WRONLY, 0)
		check(t, err)
		n := int64(len(eventsOf(t, dir)) + 1)
		_, err = f.Write(frame(asJSON(t, Event{Sequence: n, At: began, Kind: EventTrial, Fields: json.RawMessage(proof)})))
		check(t, errors.Join(err, f.Close()))
		r := mustOpen(t, dir)
		for _, trial := range r.Trials() {
			if filepath.Dir(trial.Dir()) != filepath.Join(dir, trialsFolder) || trial.Folder == folder {
				t.Errorf("%q is read as a trial", folder)
			}
		}
		if p := r.Problems(); len(p) != 1 || !strings.HasPrefix(p[0].String(), "events.jsonl:") || !strings.Contains(p[0].What, "is not the folder of trial 1-1 of \"b\"") {
			t.Errorf("%q: problems %v", folder, p)
		}
		follows(t, dir)
	}
}

// A finished trial holds no file open, and a finished run none at all.
func TestFinishClosesFiles(t *testing.T) {
	dir := memory(t)
	held := func() (names []string) {
		fds, err := filepath.Glob("/proc/self/fd/*")
		check(t, err)
		for _, fd := range fds {
			if name, err := os.Readlink(fd); err == nil && strings.HasPrefix(name, dir) {
				names = append(names, filepath.Base(name))
			}
		}
		return names
	}
	w, err := Create(dir, smallRun(), nil, nil, began)
	check(t, err)
	check(t, writeTrial(w, smallOrder()[0], 1, Valid))
	begun, err := w.BeginTrial(1, 1, "b", 1)
	check(t, err)
	if got := held(); !slices.Equal(slices.Sorted(slices.Values(got)), []string{eventsFile, loadFile, seriesFile}) {
		t.Errorf("held while one trial is under way: %v", got)
	}
	check(t, begun.Abandon("no reason"))
	check(t, w.Finish(Complete, ""))
	if got := held(); len(got) > 0 {
		t.Errorf("held at the end: %v", got)
	}
}
