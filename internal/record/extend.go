package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// growth is how far the files of a copy are that grow where the run is written.
type growth struct {
	scanned int64            // of events.jsonl
	under   map[string]bool  // folders of trials under way, by those events
	lines   map[string]int64 // bytes of their files that are here
}

// Extend appends what has come, by whole lines, to the files that grow where the run is written: events.jsonl, and load.jsonl and
// series.jsonl of the trials under way. A follower of the copy sees what one of the run sees. read gives bytes of a file from one
// on; none where there are no more. An event that ends a trial is left to Take, which makes the files of the trial first.
func (c *Copy) Extend(read func(path string, from int64) ([]byte, error)) error {
	if err := c.extend(read); err != nil {
		return fmt.Errorf("record: extend the copy in %s: %w", c.dir, err)
	}
	return nil
}

func (c *Copy) extend(read func(string, int64) ([]byte, error)) error {
	size, err := c.events.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	more, err := read(eventsFile, size)
	if err != nil {
		return err
	}
	until, err := c.scan(size, more)
	if err != nil {
		return err
	}
	if _, err := c.events.Write(more[:until-size]); err != nil {
		return err
	}
	for _, folder := range slices.Sorted(maps.Keys(c.growth.under)) {
		for _, name := range []string{loadFile, seriesFile} {
			if err := c.extendLines(path.Join(trialsFolder, folder, name), read); err != nil {
				return err
			}
		}
	}
	return nil
}

// scan notes the events after those that were noted, in the file and in what is to follow it, and returns up to where it may: an event
// whose end has not come, or that ends a trial, is not for now.
func (c *Copy) scan(size int64, more []byte) (until int64, err error) {
	if size < c.growth.scanned { // it has begun again
		c.growth.scanned, c.growth.under = 0, map[string]bool{}
	}
	base := c.growth.scanned
	for l := range lines(io.MultiReader(io.NewSectionReader(c.events, base, size-base), bytes.NewReader(more))) {
		e, err := l.event()
		at := base + l.offset
		switch {
		case errors.Is(err, errTooLong):
			return 0, fmt.Errorf("%s: %w", eventsFile, err)
		case errors.Is(err, errTorn), err == nil && e.Kind == EventTrial && at+l.size > size:
			return max(at, size), nil
		case err == nil:
			c.growth.note(e)
		}
		c.growth.scanned = at + l.size
	}
	return size + int64(len(more)), nil
}

func (g *growth) note(e Event) {
	switch e.Kind {
	case EventBegun:
		if folder := e.folder(); folder != "" {
			g.under[folder] = true
		}
	case EventTrial, EventAbandoned:
		delete(g.under, e.folder())
	case EventResumed, EventFinished:
		clear(g.under)
	}
}

// extendLines appends to a file of a trial, which begins again with each copying: what is there may be of an earlier life of the trial.
func (c *Copy) extendLines(name string, read func(string, int64) ([]byte, error)) error {
	if _, whole := c.taken[name]; whole {
		return nil
	}
	from := c.growth.lines[name]
	more, err := read(name, from)
	more = more[:bytes.LastIndexByte(more, '\n')+1]
	if err != nil || len(more) == 0 {
		return err
	}
	at, flags := filepath.Join(c.dir, filepath.FromSlash(name)), os.O_CREATE|os.O_WRONLY|openSafely
	if from == 0 {
		flags |= os.O_TRUNC
	}
	if err := os.MkdirAll(filepath.Dir(at), folderMode); err != nil {
		return err
	}
	file, err := os.OpenFile(at, flags, fileMode)
	if err != nil {
		return err
	}
	n, err := file.WriteAt(more, from)
	c.growth.lines[name] += int64(n)
	return errors.Join(err, file.Close())
}
