package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// ErrPosition is returned by Follow for a position that the run does not have: it is of another run, or
// a power cut took the last events. The reader begins again.
var ErrPosition = errors.New("record: no such position in this run")

// An Item is one thing that Follow yields; one of Event, Load, Series and Pause is set.
type Item struct {
	Position Position // behind the item: Follow from here continues with the next one
	Event    *Event
	Trial    string  // folder of the trial whose line Load or Series is
	Load     *Load   // one agent's window
	Series   *Series // one sample
	Pause    *Pause  // all there is was given
}

// A Pause says that all there is was given; items that come later are new.
type Pause struct {
	Live bool // a process writes the run; when false, only a resumed run has more
}

// Follow yields everything a run's writer appends from a position on, in order: every event of
// events.jsonl, and every line of load.jsonl and series.jsonl. The lines of a trial come behind the event
// that it begins and before the one that it ended, those of one file in their order; how they mix with
// other events during that time depends on when they were seen. What a killed run left unfinished, and what was moved
// aside when the trial was repeated, ends without an event of its own.
//
// Whenever all there is was given it yields a Pause, and looks again four times a second. It ends when
// a complete run has been given whole, or, without an error, when ctx ends.
//
// A line that cannot be used is yielded as a LineError and the rest follows; after any other error
// nothing does. What a writer has not ended with a line feed is not yet there, so that a torn tail is
// never seen, nor is it when a resumed run overwrites it. Nothing is proven beyond each line's own
// checksum: what Open proves by reading every file again is not asked here. Memory is that of one line
// and of a few words per trial.
func Follow(ctx context.Context, dir string, from Position) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		f := &follower{dir: dir, ended: ctx.Err, yield: yield, at: from.clone(), lives: map[string]life{}, open: map[string]*lineFiles{}}
		defer f.close()
		if err := f.start(); err != nil {
			yield(Item{}, fmt.Errorf("record: follow %s: %w", dir, err))
			return
		}
		if err := f.follow(ctx); err != nil && !errors.Is(err, errStop) {
			yield(Item{}, fmt.Errorf("record: follow %s: %w", dir, err))
		}
	}
}

// lookEvery is the time between two looks at a run that is under way.
const lookEvery = 250 * time.Millisecond

// errStop says that the reader wants no more, or its context has ended.
var errStop = errors.New("stop")

type follower struct {
	dir    string
	ended  func() error // nil until the reader's context ends
	yield  func(Item, error) bool
	events *os.File
	at     Position
	open   map[string]*lineFiles // of the trials under way, by folder
	given  int64                 // items

	// What is known of the events up to scanned, which are ahead of those that were given: the files in a
	// folder are those of its last life.
	scanned  int64
	format   int
	lives    map[string]life
	complete bool
}

// life is the time from a trial's beginning to its end: a folder has a second one when it was moved aside
// and begun again.
type life struct {
	began int64 // where in events.jsonl
	said  bool  // by an event of its own
	ended bool
}

// lineFiles are the files of one life, open because they may be moved aside.
type lineFiles struct{ load, series *os.File }

func (f *follower) close() {
	for folder := range f.open {
		f.end(folder)
	}
	if f.events != nil {
		f.events.Close() // opened for reading
	}
}

// start opens the events and takes up the trials of the position that are still the same.
func (f *follower) start() (err error) {
	f.events, err = openRegular(filepath.Join(f.dir, eventsFile))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s: missing", ErrNoRun, eventsFile)
	}
	if err != nil {
		return err
	}
	if err := f.scan(); err != nil {
		return err
	}
	if f.format != 0 && !readable(f.format) {
		return &VersionError{eventsFile, f.format}
	}
	if f.at.events > f.scanned || !f.lineBegins(f.at.events) {
		return ErrPosition
	}
	f.at.trials = slices.DeleteFunc(f.at.trials, func(t under) bool { return !f.current(t) })
	return nil
}

// lineBegins reports whether a line of events.jsonl begins, or will begin, at the offset.
func (f *follower) lineBegins(offset int64) bool {
	var before [1]byte
	if offset == 0 {
		return true
	}
	_, err := f.events.ReadAt(before[:], offset-1)
	return err == nil && before[0] == '\n'
}

// current reports whether the files in the folder of a trial are those of its life.
func (f *follower) current(t under) bool {
	l, known := f.lives[t.folder]
	if t.begun == unnamed {
		return !known || !l.said
	}
	return known && l.began == t.begun
}

// scan reads the events that came since the last scan.
func (f *follower) scan() error {
	size, err := f.size()
	if err != nil || size == f.scanned {
		return err
	}
	base := f.scanned
	for l := range lines(io.NewSectionReader(f.events, base, size-base)) {
		e, err := l.event()
		switch {
		case errors.Is(err, errTorn):
			return nil
		case errors.Is(err, errTooLong):
			return &LineError{File: f.events.Name(), Offset: base + l.offset, What: err.Error()}
		case err == nil:
			f.note(e, base+l.offset)
		}
		f.scanned = base + l.offset + l.size
	}
	return nil
}

// size is that of events.jsonl; only a torn tail may be cut from it.
func (f *follower) size() (int64, error) {
	info, err := f.events.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() < f.scanned {
		return 0, ErrPosition
	}
	return info.Size(), nil
}

func (f *follower) note(e Event, at int64) {
	f.complete = false
	switch e.Kind {
	case EventRun:
		var fields struct{ Run struct{ Format int } }
		if json.Unmarshal(e.Fields, &fields) == nil {
			f.format = fields.Run.Format
		}
	case EventBegun:
		f.lives[e.folder()] = life{began: at, said: true}
	case EventTrial, EventAbandoned:
		l, known := f.lives[e.folder()]
		if !known || l.ended {
			l = life{began: at}
		}
		l.ended = true
		f.lives[e.folder()] = l
	case EventFinished:
		var fields struct{ Status string }
		f.complete = json.Unmarshal(e.Fields, &fields) == nil && fields.Status == Complete
	}
}

// follow looks until the run is complete or ctx ends.
func (f *follower) follow(ctx context.Context) error {
	said, live := int64(-1), false
	for ctx.Err() == nil {
		now := locked(f.events) // before the look: what a writer appends before it ends is seen
		if err := f.look(); err != nil {
			return err
		}
		if f.given != said || now != live {
			said, live = f.given, now
			if !f.yield(Item{Position: f.at.clone(), Pause: &Pause{Live: live}}, nil) {
				return errStop
			}
		}
		if f.complete && !live {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookEvery):
		}
	}
	return nil
}

// look gives all there is.
func (f *follower) look() error {
	if err := f.scan(); err != nil {
		return err
	}
	if err := f.drainAll(); err != nil {
		return err
	}
	base := f.at.events
	for l := range lines(io.NewSectionReader(f.events, base, f.scanned-base)) {
		if err := f.line(l, base+l.offset); err != nil {
			return err
		}
	}
	if err := f.findUnnamed(); err != nil {
		return err
	}
	return f.drainAll()
}

// line gives one event, and before the end of a trial what is left of its lines.
func (f *follower) line(l line, at int64) error {
	e, err := l.event()
	if err != nil {
		f.at.events = at + l.size
		return f.give(Item{}, &LineError{File: f.events.Name(), Offset: at, What: err.Error()})
	}
	switch e.Kind {
	case EventBegun:
		err = f.finish(e.folder()) // one that was never ended
	case EventTrial, EventAbandoned:
		if err = f.begin(e.folder(), at); err == nil {
			err = f.finish(e.folder())
		}
	case EventResumed:
		for _, t := range slices.Clone(f.at.trials) {
			err = errors.Join(err, f.finish(t.folder))
		}
	}
	if err != nil {
		return err
	}
	f.at.events = at + l.size
	if e.Kind == EventBegun {
		if err := f.begin(e.folder(), at); err != nil {
			return err
		}
	}
	return f.give(Item{Event: &e}, nil)
}

func (f *follower) give(i Item, err error) error {
	f.given++
	i.Position = f.at.clone()
	if f.ended() != nil || !f.yield(i, err) {
		return errStop
	}
	return nil
}

// begin takes up the trial that begins at that place in events.jsonl, unless it is under way already or
// its files have given way to those of a later life.
func (f *follower) begin(folder string, at int64) error {
	if folder == "" || f.at.of(folder) != nil {
		return nil
	}
	t := under{folder: folder, begun: at}
	if err := f.openFiles(t); err != nil || !f.current(t) {
		return err
	}
	f.at.trials = append(f.at.trials, t)
	return nil
}

// openFiles opens what is not open yet of a trial's files; one that is missing or no regular file has no
// lines. A later life is said to begin before its files are made: while none is, these are the right ones.
func (f *follower) openFiles(t under) error {
	files := f.open[t.folder]
	if files == nil {
		files = &lineFiles{}
		f.open[t.folder] = files
	}
	dir := filepath.Join(f.dir, trialsFolder, t.folder)
	var opened bool
	for name, file := range map[string]**os.File{loadFile: &files.load, seriesFile: &files.series} {
		if *file != nil {
			continue
		}
		if now, err := openRegular(filepath.Join(dir, name)); err == nil {
			*file, opened = now, true
		}
	}
	if !opened {
		return nil
	}
	err := f.scan()
	if !f.current(t) {
		f.end(t.folder)
	}
	return err
}

// finish gives what is left of a trial's lines and lets go of it.
func (f *follower) finish(folder string) error {
	t := f.at.of(folder)
	if t == nil {
		return nil
	}
	if err := f.drain(t); err != nil {
		return err
	}
	f.at.drop(folder)
	f.end(folder)
	return nil
}

// end closes the files of a trial.
func (f *follower) end(folder string) {
	if files := f.open[folder]; files != nil {
		for _, file := range []*os.File{files.load, files.series} {
			if file != nil {
				file.Close() // opened for reading
			}
		}
	}
	delete(f.open, folder)
}

// findUnnamed takes up the unfinished trials that no event names.
func (f *follower) findUnnamed() error {
	entries, err := os.ReadDir(filepath.Join(f.dir, trialsFolder))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var found []string
	for _, e := range entries {
		_, _, ok := parseFolder(e.Name())
		if _, named := f.lives[e.Name()]; ok && e.IsDir() && !named && f.at.of(e.Name()) == nil {
			found = append(found, e.Name())
		}
	}
	if len(found) == 0 {
		return nil
	}
	if err := f.scan(); err != nil { // a folder is made after the event that names it
		return err
	}
	for _, folder := range found {
		if _, named := f.lives[folder]; !named {
			f.at.trials = append(f.at.trials, under{folder: folder, begun: unnamed})
		}
	}
	return nil
}

func (f *follower) drainAll() error {
	for i := range f.at.trials {
		if err := f.drain(&f.at.trials[i]); err != nil {
			return err
		}
	}
	return nil
}

// drain gives the lines that a trial's files have now.
func (f *follower) drain(t *under) error {
	if f.current(*t) {
		if err := f.openFiles(*t); err != nil {
			return err
		}
	}
	files := f.open[t.folder]
	if files == nil {
		return nil
	}
	err := drainFile(f, files.load, &t.load, loadDecoder(f.format), func(l *Load) Item { return Item{Trial: t.folder, Load: l} })
	if err != nil {
		return err
	}
	return drainFile(f, files.series, &t.series, decode[Series], func(s *Series) Item { return Item{Trial: t.folder, Series: s} })
}

// drainFile gives the lines of a file from an offset on, which it moves.
func drainFile[T any](f *follower, file *os.File, offset *int64, decode func([]byte) (T, error), item func(*T) Item) error {
	if file == nil {
		return nil
	}
	info, err := file.Stat()
	if err != nil || info.Size() <= *offset {
		return err
	}
	base := *offset
	for l := range lines(io.NewSectionReader(file, base, info.Size()-base)) {
		var v T
		err := l.err
		switch {
		case errors.Is(err, errTorn):
			return nil
		case errors.Is(err, errTooLong):
			*offset = info.Size()
		default:
			*offset = base + l.offset + l.size
		}
		if err == nil {
			v, err = decode(l.record)
		}
		i := item(&v)
		if err != nil {
			i = Item{}
			err = &LineError{File: file.Name(), Offset: base + l.offset, What: err.Error()}
		}
		if err := f.give(i, err); err != nil {
			return err
		}
	}
	return nil
}
