package record

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A copy that is extended has the events and the lines of the trial under way as they come, by whole lines. A trial has ended in it only
// once its files are there, and in the end it is the run.
func TestExtend(t *testing.T) {
	w, err := Create(t.TempDir(), smallRun(), []byte(smallGiven), []byte(smallWhole), began)
	check(t, err)
	c, err := OpenCopy(t.TempDir())
	check(t, err)
	withheld := 0 // bytes at the end of each file
	read := func(path string, from int64) ([]byte, error) {
		data, err := os.ReadFile(filepath.Join(w.Dir(), path))
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
		data = data[:max(0, len(data)-withheld)]
		return data[min(from, int64(len(data))):], err
	}
	take := func() {
		t.Helper()
		files, err := Files(w.Dir(), true)
		check(t, err)
		for _, one := range files {
			check(t, c.Take(one, from(w.Dir(), one)))
		}
	}
	take()
	place := smallOrder()[0]
	load := filepath.Join(trialsFolder, "0-1-a", loadFile)
	check(t, os.MkdirAll(filepath.Dir(filepath.Join(c.Dir(), load)), 0o700))
	check(t, os.WriteFile(filepath.Join(c.Dir(), load), bytes.Repeat([]byte("of an earlier life\n"), 1000), 0o600))
	tw, err := w.BeginTrial(place.Block, place.Position, place.Target, 1)
	check(t, err)
	for i, l := range loads(place) {
		check(t, tw.Load(l))
		for _, withheld = range []int{3, 0} {
			check(t, c.Extend(read))
			if half, err := os.ReadFile(filepath.Join(c.Dir(), load)); err != nil || !bytes.HasSuffix(half, []byte("\n")) {
				t.Errorf("line %d: half a line: %q, %v", i+1, half[max(0, len(half)-20):], err)
			}
		}
		got, err := os.ReadFile(filepath.Join(c.Dir(), load))
		check(t, err)
		if want, err := read(load, 0); err != nil || !bytes.Equal(got, want) || len(want) == 0 {
			t.Fatalf("line %d: %d bytes, want %d, %v", i+1, len(got), len(want), err)
		}
	}
	check(t, errors.Join(tw.Series(serie(place)), tw.Series(serie(place))))
	check(t, tw.Finish(Trial{Status: Valid}))
	files, err := Files(w.Dir(), true)
	check(t, err)
	for _, one := range files {
		if one.Path == "trials/0-1-a/series.jsonl" { // Take was interrupted after it
			check(t, c.Take(one, from(w.Dir(), one)))
		}
	}
	for range 2 {
		check(t, c.Extend(func(path string, from int64) ([]byte, error) {
			data, err := read(path, from)
			if filepath.Base(path) == seriesFile {
				data = data[:bytes.IndexByte(data, '\n')+1]
			}
			return data, err
		}))
		for _, one := range files {
			if what := one.proves(c.Dir()); one.Path == "trials/0-1-a/series.jsonl" && what != "" {
				t.Errorf("what Take made is damaged: %s", what)
			}
		}
	}
	r := mustOpen(t, c.Dir())
	if states(r, Finished) != nil || states(r, Damaged) != nil || len(states(r, Unfinished)) != 1 {
		t.Errorf("before its files are there the trial is %+v", r.Trials())
	}
	take()
	check(t, c.Extend(read))
	r = mustOpen(t, c.Dir())
	if len(states(r, Finished)) != 1 || states(r, Damaged) != nil {
		t.Errorf("with them it is %+v", r.Trials())
	}
	check(t, w.Finish(Aborted, "test"))
	check(t, c.Extend(read))
	take()
	check(t, c.Close())
	want, err := Files(w.Dir(), true)
	check(t, err)
	for _, s := range want {
		if what := s.proves(c.Dir()); what != "" {
			t.Errorf("%s: %s", s.Path, what)
		}
	}
}

// What cannot be read ends the extending; a file that begins again is read again from its beginning.
func TestExtendBeginsAgain(t *testing.T) {
	s := &story{disk: &disk{}}
	check(t, s.begin(t.TempDir()))
	events, err := os.ReadFile(filepath.Join(s.dir, eventsFile))
	check(t, err)
	c, err := OpenCopy(t.TempDir())
	check(t, err)
	defer c.Close()
	away := errors.New("away")
	if err := c.Extend(func(string, int64) ([]byte, error) { return nil, away }); !errors.Is(err, away) {
		t.Error(err)
	}
	for range 2 {
		check(t, c.Extend(func(path string, from int64) ([]byte, error) {
			if path != eventsFile {
				return nil, nil
			}
			return events[from:], nil
		}))
		got, err := os.ReadFile(filepath.Join(c.Dir(), eventsFile))
		if check(t, err); len(got) == 0 || !bytes.HasPrefix(events, got) || len(c.growth.under) != 1 {
			t.Errorf("%d bytes of %d, under way %v", len(got), len(events), c.growth.under)
		}
		check(t, c.events.Truncate(0))
	}
}
