package record

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// from writes what is missing of a file of a directory.
func from(dir string, s FileSeal) func(int64, io.Writer) error {
	return func(at int64, w io.Writer) error {
		f, err := OpenFile(dir, s.Path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, io.NewSectionReader(f, at, s.Size-at))
		return err
	}
}

func paths(files []FileSeal) []string {
	var out []string
	for _, s := range files {
		out = append(out, s.Path)
	}
	return out
}

// While a run is written only its plans and finished trials can be copied; once it has ended everything can.
func TestFiles(t *testing.T) {
	w, err := Create(t.TempDir(), smallRun(), []byte(smallGiven), []byte(smallWhole), began)
	check(t, err)
	check(t, writeTrial(w, smallOrder()[0], 1, Valid))
	under, err := w.BeginTrial(1, 1, "b", 1)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(under.LogDir(), "b.log"), []byte("half"), 0o600))
	check(t, os.WriteFile(filepath.Join(w.Dir(), "agent.log"), []byte("half"), 0o600))
	trial := []string{"load.jsonl", "logs/target.log", "series.jsonl", "trial.json"}
	for i := range trial {
		trial[i] = "trials/0-1-a/" + trial[i]
	}
	want := append(append([]string{planFile, resolvedFile}, trial...), eventsFile, runFile)
	for _, all := range []bool{false, true} {
		if got, err := Files(w.Dir(), all); err != nil || !slices.Equal(paths(got), want) {
			t.Errorf("all %v: %q, %v", all, paths(got), err)
		}
	}
	check(t, errors.Join(under.Abandon("test"), w.Finish(Aborted, "test")))
	got, err := Files(w.Dir(), true)
	check(t, err)
	for _, more := range []string{"agent.log", "trials/1-1-b/logs/b.log", "trials/1-1-b/load.jsonl"} {
		if !slices.Contains(paths(got), more) {
			t.Errorf("%s is not among %q", more, paths(got))
		}
	}
	if last := paths(got)[len(got)-2:]; !slices.Equal(last, []string{eventsFile, runFile}) {
		t.Errorf("last are %q", last)
	}
	for _, s := range got {
		if what := s.proves(w.Dir()); what != "" {
			t.Errorf("%s: %s", s.Path, what)
		}
	}
	if got, err := Files(w.Dir(), false); err != nil || !slices.Equal(paths(got), want) {
		t.Errorf("%q, %v", paths(got), err)
	}
}

// However few of the files were copied, no trial of the copy is damaged; with all of them it is the run.
func TestCopyAnyNumber(t *testing.T) {
	s := &story{disk: &disk{}}
	check(t, s.begin(t.TempDir()))
	files, err := Files(s.dir, true)
	check(t, err)
	for n := range len(files) + 1 {
		c, err := OpenCopy(filepath.Join(t.TempDir(), "copy"))
		check(t, err)
		for _, one := range files[:n] {
			check(t, c.Take(one, from(s.dir, one)))
		}
		if _, err := OpenCopy(c.Dir()); !errors.Is(err, ErrInUse) {
			t.Errorf("a second one copies into it: %v", err)
		}
		check(t, c.Close())
		r, err := Open(c.Dir())
		if n < len(files)-1 && errors.Is(err, ErrNoRun) {
			continue
		}
		check(t, err)
		if damaged := states(r, Damaged); len(damaged) > 0 || n == len(files) && (len(r.Problems()) > 0 || len(states(r, Finished)) != 5) {
			t.Errorf("%d files: %q, %q", n, damaged, r.Problems())
		}
	}
}

// A file that is cut off goes on where it ends, one that differs from its seal is not put in its place, and events.jsonl
// grows as it does where it is written.
func TestTake(t *testing.T) {
	s := &story{disk: &disk{}}
	check(t, s.begin(t.TempDir()))
	files, err := Files(s.dir, true)
	check(t, err)
	c, err := OpenCopy(t.TempDir())
	check(t, err)
	defer c.Close()
	cut := errors.New("cut")
	for _, one := range files {
		var asked []int64
		half := func(at int64, w io.Writer) error {
			asked = append(asked, at)
			part := one
			part.Size = (at + one.Size) / 2
			return errors.Join(from(s.dir, part)(at, w), cut)
		}
		if err := errors.Join(c.Take(one, half), c.Take(one, half)); !errors.Is(err, cut) {
			t.Errorf("%s: %v", one.Path, err)
		}
		if want := []int64{0, one.Size / 2}; !reflect.DeepEqual(asked, want) {
			t.Errorf("%s: asked from %d on, want %d", one.Path, asked, want)
		}
		wrong := one
		wrong.SHA256 = strings.Repeat("0", 64)
		if err := c.Take(wrong, from(s.dir, one)); !errors.Is(err, ErrDiffers) {
			t.Errorf("%s: %v", one.Path, err)
		}
		if info, err := os.Stat(filepath.Join(c.Dir(), one.Path)); err == nil && info.Size() > 0 {
			t.Errorf("%s is there and differs", one.Path)
		}
		check(t, c.Take(one, from(s.dir, one)))
		check(t, c.Take(one, half)) // it is there: nothing is read
	}
	for _, path := range []string{"../out", "/etc/out", "trials/../../out"} {
		if err := c.Take(FileSeal{Path: path, Size: 1}, func(int64, io.Writer) error { return nil }); err == nil {
			t.Errorf("taken: %s", path)
		}
	}
}

// A copy is of a run in progress as long as it is open, and its events can be followed as they come.
func TestCopyIsFollowed(t *testing.T) { synctest.Test(t, copyIsFollowed) }

func copyIsFollowed(t *testing.T) {
	w, err := Create(t.TempDir(), smallRun(), []byte(smallGiven), []byte(smallWhole), began)
	check(t, err)
	c, err := OpenCopy(t.TempDir())
	check(t, err)
	take := func() {
		files, err := Files(w.Dir(), true)
		check(t, err)
		for _, one := range files {
			check(t, c.Take(one, from(w.Dir(), one)))
		}
	}
	take()
	var names []string
	for item, err := range Follow(t.Context(), c.Dir(), Position{}) {
		check(t, err)
		switch {
		case item.Pause == nil:
			names = append(names, item.name())
		case item.Pause.Live && len(names) < 3:
			check(t, writeTrial(w, smallOrder()[0], 1, Valid))
			take()
		case item.Pause.Live:
			check(t, w.Finish(Complete, ""))
			take()
			check(t, c.Close())
		}
	}
	var want []string
	for item, err := range Follow(t.Context(), w.Dir(), Position{}) {
		check(t, err)
		if item.Pause == nil {
			want = append(want, item.name())
		}
	}
	if !slices.Equal(names, want) || len(want) < 6 {
		t.Errorf("%q, want %q", names, want)
	}
}
