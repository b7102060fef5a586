package dashboard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/live"
	"bakeoff/internal/record"
)

const (
	mostKept = 16 // runs whose figures are kept
	// restAfter is how many times as long as the figures of a run under way took to compute nobody computes them again: the
	// machine is being measured.
	restAfter = 20
)

// errNoSuchRun is that there is no run of that name in the folder.
var errNoSuchRun = errors.New("there is no such run in this folder")

// folder is the directory of a run, by its name in the folder of runs. Nothing else can be named: no path, and no link to elsewhere.
func (s *Server) folder(name string) (string, error) {
	if name == "" || strings.HasPrefix(name, ".") || name != filepath.Base(name) || !filepath.IsLocal(name) || strings.ContainsAny(name, "\\/\x00") {
		return "", errNoSuchRun
	}
	dir := filepath.Join(s.root, name)
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
		return "", errNoSuchRun
	}
	if info, err := os.Lstat(filepath.Join(dir, "trials")); err == nil && !info.IsDir() {
		return "", fmt.Errorf("trials of %s is no folder", name)
	}
	return dir, nil
}

// book is what is shown of one run: its figures, and what they are of.
type book struct {
	reader   *record.Reader
	summary  *figures.Summary
	others   figures.Others
	standing *figures.Verdict // nil, unless the run is under way
	err      error
	read     time.Time // when
	took     time.Duration
	version  version
	finished int // trials that ended, valid or not
}

// version is what the figures of a run depend on.
type version struct {
	events   int64 // bytes
	changed  time.Time
	live     bool
	finished int
}

// shelf keeps the figures of the runs that were looked at last.
type shelf struct {
	mu    sync.Mutex
	order []string // by directory, the newest last
	kept  map[string]*entry
}

type entry struct {
	mu    sync.Mutex // held while the figures are computed: several pages wait for one result
	book  *book
	whole *live.State // a finished run as it was live; nil: not asked for
}

func newShelf() *shelf { return &shelf{kept: map[string]*entry{}} }

// entry is the place of a run.
func (s *shelf) entry(dir string) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.kept[dir]
	if e == nil {
		e = &entry{}
		s.kept[dir] = e
		s.order = append(s.order, dir)
	}
	for len(s.order) > mostKept {
		delete(s.kept, s.order[0])
		s.order = s.order[1:]
	}
	return e
}

// open is a run with its figures, as it is now. Where it is under way, they are computed again when a trial has ended, or more have
// than after, and restAfter times what that takes has passed.
func (s *shelf) open(dir string, after int) *book {
	e := s.entry(dir)
	e.mu.Lock()
	defer e.mu.Unlock()
	now := versionOf(dir)
	if b := e.book; b != nil {
		switch {
		case b.version == now:
			return b
		case now.live && b.version.live && (b.version.finished == now.finished && b.finished > after || time.Since(b.read) < restAfter*b.took):
			return b
		}
	}
	e.book, e.whole = read(dir, now), nil
	return e.book
}

// peek is what is kept of a run as it is now, or nil.
func (s *shelf) peek(dir string) *book {
	s.mu.Lock()
	e := s.kept[dir]
	s.mu.Unlock()
	if e == nil || !e.mu.TryLock() {
		return nil
	}
	defer e.mu.Unlock()
	if e.book == nil || e.book.version != versionOf(dir) {
		return nil
	}
	return e.book
}

func versionOf(dir string) version {
	l := record.Glance(dir)
	v := version{live: l.Live, finished: l.Finished}
	if info, err := os.Lstat(filepath.Join(dir, "events.jsonl")); err == nil {
		v.events, v.changed = info.Size(), info.ModTime()
	}
	return v
}

// read computes the figures of a run. Whatever its record holds, no page ends by it.
func read(dir string, v version) (b *book) {
	b = &book{version: v, read: time.Now()}
	defer func() {
		b.took = time.Since(b.read)
		b.read = time.Now()
		if p := recover(); p != nil {
			b.err = fmt.Errorf("the record cannot be read: %v", p)
		}
	}()
	if b.reader, b.err = record.Open(dir); b.err != nil {
		return b
	}
	if b.summary, b.err = figures.Build(b.reader); b.err != nil {
		return b
	}
	for _, t := range slices.Concat(b.summary.Trials, b.summary.Pilot) {
		if t.Status == record.Valid || t.Status == record.Invalid {
			b.finished++
		}
	}
	if b.reader.Live() {
		b.standing, b.err = b.summary.Standing()
		return b
	}
	b.others, b.err = figures.OtherRuns(b.reader, b.summary)
	return b
}

// past is a run that nobody writes, as it was live.
func (s *shelf) past(ctx context.Context, dir string, block int) (live.Update, error) {
	e := s.entry(dir)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.whole == nil {
		state, err := replay(ctx, dir)
		if err != nil {
			return live.Update{}, err
		}
		e.whole = state
	}
	return e.whole.Block(block), nil
}

// replay follows a run to what there is of it now.
func replay(ctx context.Context, dir string) (*live.State, error) {
	state := live.New()
	for item, err := range record.Follow(ctx, dir, record.Position{}) {
		var line *record.LineError
		switch {
		case errors.As(err, &line):
			state.Damaged(inside(dir, line))
		case err != nil:
			return state, fmt.Errorf("dashboard: %w", err)
		default:
			state.Take(item)
			if item.Pause != nil {
				return state, nil
			}
		}
	}
	return state, context.Cause(ctx)
}

// inside says what is wrong with a line, with its file relative to the run.
func inside(dir string, e *record.LineError) string {
	one := *e
	if rel, err := filepath.Rel(dir, e.File); err == nil {
		one.File = rel
	}
	return one.Error()
}
