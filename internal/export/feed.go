package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
)

// Bounds of what waits to be sent.
const (
	mostLines   = 5000                   // of a batch
	mostBytes   = 512 << 10              // likewise
	mostBatches = 8                      // that wait: with one being filled and one being sent at most 5 MiB
	gatherFor   = 4 * time.Second        // for which a batch is filled while a run lasts
	liveEvery   = 500 * time.Millisecond // between two batches while a run lasts: what is left of an outage must not be a load of its own
	// flushWithin is for how long what remains is sent once a run has ended; countWithin for how long what then is left
	// is counted.
	flushWithin = 8 * time.Second
	countWithin = 1500 * time.Millisecond
	leastWait   = 500 * time.Millisecond // before another attempt, doubled with each
	mostWait    = 30 * time.Second
	// mostSingles is how many points are looked for one by one that a server will not take: then whatever it refuses
	// is given up as it is.
	mostSingles = 20
)

// batch is some lines of one request.
type batch struct {
	lines  []byte
	points int
}

// Counts say what became of a run's points.
type Counts struct {
	Written int64  // points that the server has taken
	Refused int64  // points that it will never take
	Left    int64  // points that were not sent before the time was up
	More    bool   // there was no time to count all of those
	Retries int64  // attempts that failed
	Omitted int64  // samples of tiers' members beyond the first 64, which are written nowhere
	Cause   string // the last failure, in words
}

// Whole says that the server has every point.
func (c Counts) Whole() bool { return c.Refused == 0 && c.Left == 0 && !c.More }

// Feed writes a run to an InfluxDB while it lasts. The record is its buffer: while the server is slow or away it
// reads no further, so its memory is bounded and nothing waits for it.
type Feed struct {
	stop   context.CancelCauseFunc // of reading, once the run has ended
	cancel context.CancelFunc      // of everything
	done   chan struct{}

	mu     sync.Mutex
	counts Counts
	err    error
}

// Causes for which a feed ends.
var (
	errEnded = errors.New("the run has ended")
	errLate  = errors.New("there was no time to count what is left")
)

// Start begins to follow a run from its beginning: what was written before is written again, and is the same. tell is
// called from another goroutine when the server fails and when it is back.
func Start(ctx context.Context, dir string, to Influx, schema string, tell func(string)) (*Feed, error) {
	s, err := to.connect()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	reading, stop := context.WithCancelCause(ctx)
	f := &Feed{stop: stop, cancel: cancel, done: make(chan struct{})}
	go f.run(ctx, &sender{server: s, tell: tell, every: liveEvery, feed: f, jmeter: schema != SchemaBakeoff}, source{dir: dir, schema: schema, live: true, ended: reading})
	return f, nil
}

// Finish has the feed send what remains, for 10 s at most, and says what became of all points.
func (f *Feed) Finish() (Counts, error) {
	f.stop(errEnded)
	<-f.done
	f.cancel()
	return f.counts, f.err
}

// Backfill writes a whole run, or what there is of it.
func Backfill(ctx context.Context, dir string, to Influx, schema string, tell func(string)) (Counts, error) {
	s, err := to.connect()
	if err != nil {
		return Counts{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := &Feed{stop: func(error) {}, cancel: cancel, done: make(chan struct{})}
	f.run(ctx, &sender{server: s, tell: tell, feed: f, attempts: 8, jmeter: schema != SchemaBakeoff}, source{dir: dir, schema: schema, ended: context.Background()})
	return f.counts, f.err
}

// run reads in this goroutine and sends in another.
func (f *Feed) run(ctx context.Context, to *sender, from source) {
	defer close(f.done)
	queue := make(chan batch, mostBatches)
	sent := make(chan error, 1)
	sending, halt := context.WithCancel(ctx)
	defer halt()
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(from.ended, func() {
		time.AfterFunc(flushWithin, halt)
		time.AfterFunc(flushWithin+countWithin, func() { stop(errLate) })
	})()
	to.hurry = from.ended.Done()
	go func() { sent <- to.all(sending, queue) }()
	from.omit = func() { f.count(func(c *Counts) { c.Omitted++ }) }
	err := from.read(reading, f.into(sending, queue))
	close(queue)
	if errors.Is(err, errLate) {
		f.count(func(c *Counts) { c.More = true })
		err = nil
	}
	f.err = errors.Join(err, <-sent)
}

// into hands batches to a queue: it waits while that is full, and counts what is left once nothing is sent any more.
func (f *Feed) into(sending context.Context, queue chan<- batch) func(batch) error {
	return func(b batch) error {
		select {
		case queue <- b:
		case <-sending.Done():
			f.count(func(c *Counts) { c.Left += int64(b.points) })
		}
		return nil
	}
}

func (f *Feed) count(change func(*Counts)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.counts)
}

// source is the run that is read.
type source struct {
	dir, schema string
	live        bool            // the run goes on: whatever comes is waited for until ended
	ended       context.Context // ends when the run has
	omit        func()          // is called for each point that is left out for want of a name
}

// read hands over the whole run in batches: of one that goes on whatever comes until it has ended, and then, as of any
// other, all there is.
func (s source) read(ctx context.Context, hand func(batch) error) error {
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return err
	}
	r := &reading{source: s, dir: dir, packer: packer{hand: hand}}
	if s.live {
		following, stop := context.WithCancel(ctx)
		defer stop()
		defer context.AfterFunc(s.ended, stop)()
		if err := r.follow(following, false); err != nil {
			return err
		}
	}
	if err := r.follow(ctx, true); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if r.shape != nil {
		r.shape.finish()
	}
	r.flush()
	return r.err
}

// reading is a run that is being read.
type reading struct {
	source
	packer
	dir   string
	at    record.Position // behind what was read
	shape *shaper         // nil until the run has said what it is
}

// follow reads from where it is, until the context ends, or up to the end of what is there.
func (r *reading) follow(ctx context.Context, all bool) error {
	for item, err := range record.Follow(ctx, r.dir, r.at) {
		switch {
		case err != nil && tolerable(err) != nil:
			return err
		case err != nil:
			r.spoil(err)
			continue
		case item.Pause != nil && all:
			return nil
		case item.Pause != nil:
			r.age(time.Now())
			continue
		case item.Event != nil && item.Event.Kind == record.EventRun && r.shape == nil:
			if r.shape, err = r.shaper(r.dir, *item.Event, r.add); err != nil {
				return err
			}
		}
		r.at = item.Position
		if r.shape != nil {
			if err := r.shape.take(item); err != nil {
				return fmt.Errorf("export: %w", err)
			}
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

// spoil has no exact figures be written of the trial whose line cannot be read.
func (r *reading) spoil(err error) {
	var line *record.LineError
	if r.shape == nil || !errors.As(err, &line) {
		return
	}
	if t := r.shape.trials[filepath.Base(filepath.Dir(line.File))]; t != nil {
		t.spoiled = true
	}
}

// shaper makes the one for a run, of its first event.
func (s source) shaper(dir string, e record.Event, emit func(Point)) (*shaper, error) {
	var head struct{ Run record.Run }
	if err := json.Unmarshal(e.Fields, &head); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	name := filepath.Base(dir)
	out := newShaper(name, head.Run, s.schema, emit)
	out.omit = s.omit
	out.figures = func(p record.Proof, followed *figures.Followed) []Point { return summary(dir, name, p, followed) }
	out.starts = func() map[string]map[int]time.Time { return startsOf(dir) }
	return out, nil
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

// startsOf are the starts of the phases of finished trials, for lines from before they had a time of their own.
func startsOf(dir string) map[string]map[int]time.Time {
	out := map[string]map[int]time.Time{}
	r, err := record.Open(dir)
	if err != nil {
		return out
	}
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			continue
		}
		out[state.Folder] = map[int]time.Time{}
		for _, p := range trial.Phases {
			if p.Turns == nil {
				out[state.Folder][p.Number] = p.Started
			}
		}
	}
	return out
}

// packer puts points into batches.
type packer struct {
	hand    func(batch) error
	under   batch
	flushed time.Time // when a batch was last handed over for its age
	err     error
}

func (p *packer) add(point Point) {
	before := len(p.under.lines)
	p.under.lines = point.line(p.under.lines)
	if len(p.under.lines) == before {
		return
	}
	if p.under.points++; p.under.points >= mostLines || len(p.under.lines) >= mostBytes {
		p.flush()
	}
}

// age hands over what has come once the last batch was long enough ago.
func (p *packer) age(now time.Time) {
	if now.Sub(p.flushed) >= gatherFor {
		p.flushed = now
		p.flush()
	}
}

func (p *packer) flush() {
	if p.under.points == 0 || p.err != nil {
		return
	}
	p.err = p.hand(p.under)
	p.under = batch{}
}

// sender sends batches one after another.
type sender struct {
	*server
	tell     func(string)
	feed     *Feed
	every    time.Duration // between two batches, until hurry is closed
	hurry    <-chan struct{}
	attempts int  // at one batch; 0: until there is no more time
	jmeter   bool // its schema is written
	failing  bool // and it was said
	begun    bool
	singles  int // points refused one by one since the server last took something
}

// all sends what comes until there is no more, or no more time: then what is left is counted.
func (s *sender) all(ctx context.Context, queue <-chan batch) error {
	var failed error
	for b := range queue {
		if failed != nil || ctx.Err() != nil {
			s.feed.count(func(c *Counts) { c.Left += int64(b.points) })
			continue
		}
		failed = s.send(ctx, b)
		select {
		case <-s.hurry:
		case <-time.After(s.every):
		}
	}
	return failed
}

// send sends a batch until it is taken or refused, or there is no more time.
func (s *sender) send(ctx context.Context, b batch) error {
	for attempt, wait := 1, leastWait; ; attempt, wait = attempt+1, min(2*wait, mostWait) {
		err := s.try(ctx, b)
		var no *refusal
		switch {
		case err == nil:
			s.well()
			s.feed.count(func(c *Counts) { c.Written += int64(b.points) })
			return nil
		case errors.As(err, &no):
			return s.refused(ctx, b, no)
		}
		s.ill(err)
		if ctx.Err() != nil {
			s.feed.count(func(c *Counts) { c.Left += int64(b.points) })
			return nil
		}
		if s.attempts > 0 && attempt >= s.attempts {
			s.feed.count(func(c *Counts) { c.Left += int64(b.points) })
			return fmt.Errorf("influxdb: given up after %d attempts: %w", attempt, err)
		}
		rest := wait/2 + rand.N(wait)
		var busy *trouble
		if errors.As(err, &busy) && busy.after > 0 {
			rest = busy.after
		}
		if s.pause(ctx, rest) {
			wait = leastWait / 2 // there is little time, and it is worth another try
		}
	}
}

// try sends a batch once; before the first one it asks what the server is.
func (s *sender) try(ctx context.Context, b batch) error {
	if !s.begun {
		if err := s.begin(ctx); err != nil {
			return err
		}
		if s.three && s.jmeter {
			var no *refusal
			if err := s.post(ctx, everyTag(time.Unix(0, 0)).line(nil)); err != nil && !errors.As(err, &no) {
				return err
			}
		}
		s.begun = true
	}
	return s.post(ctx, b.lines)
}

// refused halves a batch that the server will not take as a whole, down to the single point that it will not take.
func (s *sender) refused(ctx context.Context, b batch, no *refusal) error {
	if no.dropped > 0 || b.points == 1 || s.singles >= mostSingles {
		lost := b.points
		if no.dropped > 0 {
			lost = min(no.dropped, b.points)
		}
		s.singles++
		s.feed.count(func(c *Counts) {
			c.Refused += int64(lost)
			c.Written += int64(b.points - lost)
			c.Cause = no.Error()
		})
		return nil
	}
	at := bytes.IndexByte(b.lines[len(b.lines)/2:], '\n') + len(b.lines)/2 + 1
	if at >= len(b.lines) {
		at = bytes.IndexByte(b.lines, '\n') + 1
	}
	n := bytes.Count(b.lines[:at], []byte("\n"))
	if err := s.send(ctx, batch{b.lines[:at], n}); err != nil {
		s.feed.count(func(c *Counts) { c.Left += int64(b.points - n) })
		return err
	}
	return s.send(ctx, batch{b.lines[at:], b.points - n})
}

// ill counts a failure and says the first of several.
func (s *sender) ill(err error) {
	s.feed.count(func(c *Counts) { c.Retries++; c.Cause = err.Error() })
	if !s.failing {
		s.failing = true
		s.tell(fmt.Sprintf("influxdb at %s: %v; it is tried again, the run does not wait for it", s.URL, err))
	}
}

func (s *sender) well() {
	s.singles = 0
	if s.failing {
		s.failing = false
		s.tell(fmt.Sprintf("influxdb at %s takes points again", s.URL))
	}
}

// pause waits before another attempt, at most until the run ends: true says that it has ended during that time.
func (s *sender) pause(ctx context.Context, d time.Duration) (ended bool) {
	hurry := s.hurry
	select {
	case <-hurry:
		hurry = nil // it ended before
	default:
	}
	select {
	case <-ctx.Done():
	case <-hurry:
		return true
	case <-time.After(d):
	}
	return false
}
