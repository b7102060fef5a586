package export

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// Schemas say which measurements are written.
const (
	SchemaBakeoff = "bakeoff" // every figure of the record, see docs/collectors.md
	SchemaJMeter  = "jmeter"  // what JMeter's own listener writes
	SchemaBoth    = "both"
)

const (
	// settled is by how much a target's windows must have gone on before what was of an earlier time is written: its
	// agents send a second's windows within a second of each other.
	settled = 2 * time.Second
	// held is for how long what was written is kept, to be written again with whatever comes late.
	held = 30 * time.Second
	// mostNames is how many names that a server can choose become values of a tag; the rest are stats.Other.
	mostNames = 64
)

// shaper turns what is followed of a run into points. What it makes of a record depends on the record alone, and
// not on when it was seen: a run that is written while it lasts and again afterwards gives the same points.
type shaper struct {
	naming
	calendar
	bakeoff bool
	jmeter  bool
	figures func(record.Proof, *figures.Followed) []Point // summary of a finished trial
	emit    func(Point)

	trials  map[string]*shaped  // by folder, while they are under way
	jmeters map[string]*buckets // by target
}

// shaped is one trial under way.
type shaped struct {
	record.Begun
	phases   map[int]*buckets
	followed figures.Followed
	spoiled  bool                     // a line of it cannot be read
	seen     []mark                   // of the points of its windows
	last     map[string]record.Series // of each member of a tier, by both
}

// mark is what identifies a point of the measurement of windows.
type mark struct {
	tags []Tag
	at   time.Time
}

// newShaper makes one for a run directory's name and its head.
func newShaper(name string, run record.Run, schema string, emit func(Point)) *shaper {
	return &shaper{
		naming: newNaming(name, run), bakeoff: schema != SchemaJMeter, jmeter: schema == SchemaJMeter || schema == SchemaBoth, emit: emit,
		trials: map[string]*shaped{}, jmeters: map[string]*buckets{},
	}
}

// form is the former of lines.
func (i Influx) form(dir string, run record.Run, put func([]byte), omit func()) forming {
	var line []byte
	s := shaperOf(dir, run, i.Schema, func(p Point) {
		line = p.line(line[:0])
		put(line)
	})
	s.omit = omit
	return s
}

// shaperOf makes one that reads what it needs of the run directory in addition to what is followed.
func shaperOf(dir string, run record.Run, schema string, emit func(Point)) *shaper {
	name := filepath.Base(dir)
	s := newShaper(name, run, schema, emit)
	s.figures = func(p record.Proof, followed *figures.Followed) []Point { return summary(dir, name, p, followed) }
	s.starts = func() map[string]map[int]time.Time { return startsOf(dir) }
	return s
}

// summary are the points of a finished trial, of the windows that were followed; of a damaged one there are none. No window
// is read again: the next trial is under way.
func summary(dir, name string, p record.Proof, followed *figures.Followed) []Point {
	raw, err := record.ReadTrial(dir, p)
	if err != nil {
		return nil // what of it can be read was written window by window
	}
	ends := map[int]time.Time{}
	for _, phase := range raw.Phases {
		ends[phase.Number] = phase.Ended
	}
	return summaryPoints(name, followed.Trial(raw), raw.Ended, ends)
}

// spoil has no exact figures be written of a trial.
func (s *shaper) spoil(folder string) {
	if t := s.trials[folder]; t != nil {
		t.spoiled = true
	}
}

// take shapes one item.
func (s *shaper) take(item record.Item) error {
	switch {
	case item.Event != nil:
		return s.event(*item.Event)
	case item.Load != nil:
		if t := s.trials[item.Trial]; t != nil {
			s.load(t, item.Load)
		}
	case item.Series != nil:
		if t := s.trials[item.Trial]; t != nil && s.bakeoff {
			s.series(t, *item.Series)
		}
	}
	return nil
}

func (s *shaper) event(e record.Event) error {
	switch e.Kind {
	case record.EventBegun:
		var b record.Begun
		if err := json.Unmarshal(e.Fields, &b); err != nil {
			return err
		}
		s.trials[b.Folder] = &shaped{Begun: b, phases: map[int]*buckets{}, last: map[string]record.Series{}}
	case record.EventTrial:
		var p record.Proof
		if err := json.Unmarshal(e.Fields, &p); err != nil {
			return err
		}
		return s.ended(p)
	case record.EventAbandoned:
		var a record.Abandoned
		if err := json.Unmarshal(e.Fields, &a); err != nil {
			return err
		}
		if t := s.trials[a.Folder]; t != nil {
			s.flush(t)
			delete(s.trials, a.Folder)
		}
	}
	return nil
}

// ended writes what is known of a trial once it has ended: whether it counts, and its exact figures.
func (s *shaper) ended(p record.Proof) error {
	t := s.trials[p.Folder]
	if t == nil {
		return nil
	}
	s.flush(t)
	delete(s.trials, p.Folder)
	if !s.bakeoff {
		return nil
	}
	valid := int64(0)
	if p.Status == record.Valid {
		valid = 1
	}
	for _, m := range t.seen {
		s.emit(Point{measureWindows, m.tags, []Field{{"valid", valid}}, m.at})
	}
	if s.figures == nil || t.spoiled {
		return nil
	}
	for _, point := range s.figures(p, &t.followed) {
		s.emit(point)
	}
	return nil
}

// flush writes all of a trial that has not been written.
func (s *shaper) flush(t *shaped) {
	for _, number := range slices.Sorted(maps.Keys(t.phases)) {
		t.phases[number].write(always)
	}
	if b := s.jmeters[t.Target]; b != nil {
		b.write(always)
	}
}

// finish writes all that has not been written.
func (s *shaper) finish() {
	for _, folder := range slices.Sorted(maps.Keys(s.trials)) {
		s.flush(s.trials[folder])
	}
}

// load adds a window to what it belongs to.
func (s *shaper) load(t *shaped, l *record.Load) {
	if s.bakeoff {
		t.followed.Add(l)
	}
	if !s.timed(t.Folder, l) {
		return
	}
	b := t.phases[l.Phase]
	if b == nil {
		b = s.begin(t, l)
		t.phases[l.Phase] = b
	}
	b.add(l)
	if !s.jmeter {
		return
	}
	if s.jmeters[t.Target] == nil {
		s.jmeters[t.Target] = &buckets{length: jmeterEvery, written: func(b *bucket) { s.jmeterPoints(t.Target, b) }}
	}
	s.jmeters[t.Target].connections = s.phase(l.Phase).Connections
	s.jmeters[t.Target].add(l)
}

// begin makes the buckets of a phase, and says that it begins.
func (s *shaper) begin(t *shaped, l *record.Load) *buckets {
	at, name := l.At.Add(-l.Begin), s.phase(l.Phase).Name
	tags := s.tags(t, l.Phase)
	if s.jmeter {
		s.annotate(t, at, name+" started")
	}
	if !s.bakeoff {
		return &buckets{length: time.Second, written: func(*bucket) {}}
	}
	s.emit(Point{measureEvents, with([]Tag{{"run", s.run}, {"target", t.Target}}, Tag{"kind", "phase"}), []Field{
		{"title", name}, {"text", "block " + strconv.Itoa(t.Block) + ", " + t.Target + ": " + name}, {"block_number", int64(t.Block)},
	}, at})
	return &buckets{length: time.Second, written: func(b *bucket) {
		if !b.marked {
			b.marked = true
			t.seen = append(t.seen, mark{tags, b.at})
		}
		s.windowPoints(t, tags, b)
	}}
}

// tags are those of a trial's phase.
func (s *shaper) tags(t *shaped, phase int) []Tag {
	return phaseTags(s.run, t.Begun, s.phase(phase).Name, kindOf(phase))
}

func phaseTags(run string, t record.Begun, phase, kind string) []Tag {
	return []Tag{
		{"attempt", strconv.Itoa(t.Attempt)}, {"block", strconv.Itoa(t.Block)}, {"kind", kind}, {"phase", phase}, {"run", run}, {"target", t.Target},
	}
}

// buckets gather the windows of one thing by the time at which they began.
type buckets struct {
	length      time.Duration
	written     func(*bucket) // writes one, and again when something came late
	connections int           // of the phase under way
	newest      time.Time     // begin of the latest window
	open        []*bucket     // ascending
}

// bucket is one stretch of time.
type bucket struct {
	at          time.Time // its start
	all         stats.Totals
	counted     stats.Books           // without what is aside
	on          map[int]time.Duration // by agent: time in counted
	connections int                   // the most of any phase in it
	dirty       bool                  // has what was not written
	marked      bool
}

// add adds a window. One that is later than all that is held is added to the earliest one held, so that sums stay exact.
func (b *buckets) add(l *record.Load) {
	at := l.At.Truncate(b.length)
	i, found := slices.BinarySearchFunc(b.open, at, func(x *bucket, at time.Time) int { return x.at.Compare(at) })
	if n := len(b.open); !found && n > 0 && at.Before(b.open[n-1].at.Add(-held)) {
		i, found = 0, true
	}
	if !found {
		b.open = slices.Insert(b.open, i, &bucket{at: at, on: map[int]time.Duration{}})
	}
	x := b.open[i]
	x.all.Add(l.Window)
	x.dirty = true
	x.connections = max(x.connections, b.connections)
	if !l.Aside {
		x.counted.Add(l.Books)
		x.on[l.Agent] += l.Length
	}
	if l.At.After(b.newest) {
		b.newest = l.At
	}
	b.write(func(x *bucket) bool { return !x.at.Add(b.length + settled).After(b.newest) })
	last := b.open[len(b.open)-1].at
	b.open = slices.DeleteFunc(b.open, func(x *bucket) bool { return x.at.Before(last.Add(-held)) })
}

// write writes those that have what was not written, and are ready.
func (b *buckets) write(ready func(*bucket) bool) {
	for _, x := range b.open {
		if x.dirty && ready(x) {
			x.dirty = false
			b.written(x)
		}
	}
}

func always(*bucket) bool { return true }

// span is the time in which its counted windows were: the longest of any agent.
func (x *bucket) span() time.Duration {
	var out time.Duration
	for _, d := range x.on {
		out = max(out, d)
	}
	return out
}

// sorted is what is in a map, by key.
func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// tolerable is nil for an error of one line, which others need not suffer from.
func tolerable(err error) error {
	var line *record.LineError
	if errors.As(err, &line) {
		return nil
	}
	return err
}
