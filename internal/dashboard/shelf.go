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
	"sync/atomic"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/live"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

const mostKept = 16 // runs whose figures are kept, apart from those that are under way

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
		return "", fmt.Errorf("trials of %s is no folder", show.Inert(name))
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

// alone reports whether what other runs of its plan say is not known of a finished run, since another one was under way when it was
// read.
func (b *book) alone() bool { return b.reader != nil && !b.reader.Live() && b.reader.OnOneCore() }

// version is what the figures of a run depend on.
type version struct {
	events   int64 // bytes
	changed  time.Time
	live     bool
	finished int
}

// shelf keeps the figures of the runs that were looked at last, and of those that are under way.
type shelf struct {
	runs  *runs
	pause pause
	most  int64 // bytes of lines that are read of a finished run while another one is under way

	mu    sync.Mutex
	order []string // by directory, what was looked at last at the end
	kept  map[string]*entry
	lines map[string]headline // of all finished runs that were computed
}

type entry struct {
	live  atomic.Bool // the run was under way when it was looked at last
	mu    sync.Mutex  // held while the figures are computed: several pages wait for one result
	book  *book
	whole *live.State // a finished run as it was live; nil: not asked for
}

// headline is what the history says of the figures of a finished run.
type headline struct {
	version    version
	valid, run int    // trials
	text       string // the verdict, or what is wrong
	failed     bool   // there are no figures
}

func newShelf(root string) *shelf {
	all := newRuns(root)
	return &shelf{runs: all, kept: map[string]*entry{}, lines: map[string]headline{}, pause: pause{runs: all}, most: mostMeanwhile}
}

// entry is the place of a run.
func (s *shelf) entry(dir string) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.kept[dir]
	if e == nil {
		e = &entry{}
		s.kept[dir] = e
	}
	s.order = append(slices.DeleteFunc(s.order, func(o string) bool { return o == dir }), dir)
	s.bound()
	return e
}

// bound lets go of what was looked at longest ago. A run under way stays: when its figures may be computed again depends on when
// they were computed last.
func (s *shelf) bound() {
	for i := 0; len(s.order) > mostKept && i < len(s.order)-1; {
		dir := s.order[i]
		if s.kept[dir].live.Load() && record.Glance(dir).Live {
			i++
			continue
		}
		delete(s.kept, dir)
		s.order = slices.Delete(s.order, i, i+1)
	}
}

// headline is what is known of the figures of a finished run as it is now: they were computed here, or the run wrote them.
func (s *shelf) headline(dir string, now version) (headline, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h, known := s.lines[dir]; known && h.version == now {
		return h, true
	}
	h, err := written(dir, now)
	if err == nil {
		s.lines[dir] = h
	}
	return h, err == nil
}

// note keeps what the history says of a run.
func (s *shelf) note(dir string, b *book) {
	h := headline{version: b.version, failed: b.summary == nil, text: errorText(b.err)}
	if b.summary != nil {
		h.valid, h.run, h.text = b.summary.Attempts.Valid, b.summary.Attempts.Run, b.summary.Headline
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines[dir] = h
}

func (s *shelf) turn() *turn { return &turn{pause: &s.pause} }

// open is a run with its figures, as it is now. Where it is under way, they are computed again when a trial has ended, or more have
// than after, and restAfter times what that takes has passed. While a run is under way they are computed on one core, and of a finished
// run only if it is small. Where it is not the time to compute they are those of before, or missing with errResting or errLarge.
func (s *shelf) open(dir string, after int, t *turn) *book {
	e := s.entry(dir)
	e.mu.Lock()
	defer e.mu.Unlock()
	now := versionOf(dir)
	e.live.Store(now.live)
	if now.live {
		s.pause.saw(dir)
	}
	if b := e.book; b != nil {
		switch {
		case b.version == now && (!b.alone() || s.pause.measured()):
			return b
		case now.live && b.version.live && (b.version.finished == now.finished && b.finished > after || time.Since(b.read) < restAfter*b.took):
			return b
		}
	}
	if !t.take(now.live) {
		if e.book != nil && (now.live || e.book.version == now) {
			return e.book
		}
		return &book{version: now, err: errResting}
	}
	if t.measured && !now.live && bytesIn(dir) > s.most {
		return &book{version: now, err: errLarge}
	}
	e.book, e.whole = read(dir, now, t.measured), nil
	if !now.live {
		s.note(dir, e.book)
	}
	return e.book
}

func versionOf(dir string) version { return versionIn(record.Glance(dir)) }

func versionIn(l record.Listed) version {
	v := version{live: l.Live, finished: l.Finished}
	if info, err := os.Lstat(filepath.Join(l.Dir, "events.jsonl")); err == nil {
		v.events, v.changed = info.Size(), info.ModTime()
	}
	return v
}

// read computes the figures of a run. While the machine is being measured it uses one core, and reads no other runs. Whatever the record
// holds, no page ends by it.
func read(dir string, v version, measured bool) (b *book) {
	b = &book{version: v}
	clock, open := begin(), record.Open
	if measured {
		open = record.OpenOnOneCore
	}
	defer func() {
		b.took, b.read = clock.spent(), time.Now()
		if p := recover(); p != nil {
			b.err = fmt.Errorf("the record cannot be read: %v", p)
		}
	}()
	if b.reader, b.err = open(dir); b.err != nil {
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
	switch {
	case b.reader.Live():
		b.standing, b.err = b.summary.Standing()
	case !b.alone():
		b.others, b.err = figures.OtherRuns(b.reader, b.summary)
	}
	return b
}

// past is a run that nobody writes, as it was live. While another run is under way it waits for its turn, and has one only if it is
// small.
func (s *shelf) past(ctx context.Context, dir string, block int) (live.Update, error) {
	e := s.entry(dir)
	if u, known := e.past(block); known {
		return u, nil
	}
	turn := s.turn()
	for !turn.take(false) {
		select {
		case <-time.After(turn.wait):
		case <-ctx.Done():
			return live.Update{}, context.Cause(ctx)
		}
		turn = s.turn()
	}
	defer turn.end()
	if turn.measured && bytesIn(dir) > s.most {
		return live.Update{}, errLarge
	}
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

// past is a block of the run as it was live, where that is known.
func (e *entry) past(block int) (live.Update, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.whole == nil {
		return live.Update{}, false
	}
	return e.whole.Block(block), true
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
