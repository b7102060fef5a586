package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

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

// A Sink is a collector that runs are written to: an Influx or an OTLP.
type Sink interface {
	open() (taker, former, error)
}

// taker is a collector that is being written to.
type taker interface {
	name() string                                // with its address, for messages
	begin(ctx context.Context) error             // finds out what it is, before the first batch
	post(ctx context.Context, text []byte) error // of points, one behind the other: nil, a refusal, or what may be tried again
}

// former makes what turns a run in a folder into points, each handed to put, which keeps no reference to it. omit is
// called for each sample that is left out for want of a name.
type former func(dir string, run record.Run, put func(point []byte), omit func()) forming

// forming turns what is followed of a run into points. What it makes of a record depends on the record alone.
type forming interface {
	take(item record.Item) error
	spoil(folder string) // a line of this trial cannot be read
	finish()             // has everything be points that is not yet
}

// batch is the points of one request.
type batch struct {
	text []byte
	ends []int // of each point in the text
}

func (b batch) points() int { return len(b.ends) }

// halves are two batches of a batch of at least two points.
func (b batch) halves() (first, second batch) {
	n := len(b.ends) / 2
	at := b.ends[n-1]
	first, second.text = batch{b.text[:at], b.ends[:n]}, b.text[at:]
	for _, end := range b.ends[n:] {
		second.ends = append(second.ends, end-at)
	}
	return first, second
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

// Feed writes a run to a collector while it lasts. The record is its buffer: while the server is slow or away it
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
func Start(ctx context.Context, dir string, to Sink, tell func(string)) (*Feed, error) {
	t, form, err := to.open()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	reading, stop := context.WithCancelCause(ctx)
	f := &Feed{stop: stop, cancel: cancel, done: make(chan struct{})}
	go f.run(ctx, &sender{taker: t, tell: tell, every: liveEvery, feed: f}, source{dir: dir, form: form, live: true, ended: reading})
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
func Backfill(ctx context.Context, dir string, to Sink, tell func(string)) (Counts, error) {
	t, form, err := to.open()
	if err != nil {
		return Counts{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := &Feed{stop: func(error) {}, cancel: cancel, done: make(chan struct{})}
	f.run(ctx, &sender{taker: t, tell: tell, feed: f, attempts: 8}, source{dir: dir, form: form, ended: context.Background()})
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
			f.count(func(c *Counts) { c.Left += int64(b.points()) })
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
	dir   string
	form  former
	live  bool            // the run goes on: whatever comes is waited for until ended
	ended context.Context // ends when the run has
	omit  func()          // is called for each point that is left out for want of a name
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
	shape forming         // nil until the run has said what it is
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
			if err := r.begin(*item.Event); err != nil {
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
	if r.shape != nil && errors.As(err, &line) {
		r.shape.spoil(filepath.Base(filepath.Dir(line.File)))
	}
}

// begin makes the shape for a run, of its first event.
func (r *reading) begin(e record.Event) error {
	var head struct{ Run record.Run }
	if err := json.Unmarshal(e.Fields, &head); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	r.shape = r.form(r.dir, head.Run, r.put, r.omit)
	return nil
}

// packer puts points into batches.
type packer struct {
	hand    func(batch) error
	under   batch
	flushed time.Time // when a batch was last handed over for its age
	err     error
}

// put adds a point; an empty one is none.
func (p *packer) put(point []byte) {
	if len(point) == 0 {
		return
	}
	p.under.text = append(p.under.text, point...)
	p.under.ends = append(p.under.ends, len(p.under.text))
	if p.under.points() >= mostLines || len(p.under.text) >= mostBytes {
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
	if p.under.points() == 0 || p.err != nil {
		return
	}
	p.err = p.hand(p.under)
	p.under = batch{}
}

// sender sends batches one after another.
type sender struct {
	taker
	tell     func(string)
	feed     *Feed
	every    time.Duration // between two batches, until hurry is closed
	hurry    <-chan struct{}
	attempts int  // at one batch; 0: until there is no more time
	failing  bool // and it was said
	begun    bool
	singles  int // points refused one by one since the server last took something
}

// all sends what comes until there is no more, or no more time: then what is left is counted.
func (s *sender) all(ctx context.Context, queue <-chan batch) error {
	var failed error
	for b := range queue {
		if failed != nil || ctx.Err() != nil {
			s.feed.count(func(c *Counts) { c.Left += int64(b.points()) })
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
			s.feed.count(func(c *Counts) { c.Written += int64(b.points()) })
			return nil
		case errors.As(err, &no):
			return s.refused(ctx, b, no)
		}
		s.ill(err)
		if ctx.Err() != nil {
			s.feed.count(func(c *Counts) { c.Left += int64(b.points()) })
			return nil
		}
		if s.attempts > 0 && attempt >= s.attempts {
			s.feed.count(func(c *Counts) { c.Left += int64(b.points()) })
			return fmt.Errorf("%s: given up after %d attempts: %w", s.name(), attempt, err)
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
		s.begun = true
	}
	return s.post(ctx, b.text)
}

// refused halves a batch that the server will not take as a whole, down to the single point that it will not take.
func (s *sender) refused(ctx context.Context, b batch, no *refusal) error {
	if no.final || no.dropped > 0 || b.points() == 1 || s.singles >= mostSingles {
		lost := b.points()
		if no.dropped > 0 {
			lost = min(no.dropped, b.points())
		}
		if !no.final {
			s.singles++
		}
		s.feed.count(func(c *Counts) {
			c.Refused += int64(lost)
			c.Written += int64(b.points() - lost)
			c.Cause = no.Error()
		})
		return nil
	}
	first, second := b.halves()
	if err := s.send(ctx, first); err != nil {
		s.feed.count(func(c *Counts) { c.Left += int64(second.points()) })
		return err
	}
	return s.send(ctx, second)
}

// ill counts a failure and says the first of several.
func (s *sender) ill(err error) {
	s.feed.count(func(c *Counts) { c.Retries++; c.Cause = err.Error() })
	if !s.failing {
		s.failing = true
		s.tell(fmt.Sprintf("%s: %v; it is tried again, the run does not wait for it", s.name(), err))
	}
}

func (s *sender) well() {
	s.singles = 0
	if s.failing {
		s.failing = false
		s.tell(s.name() + " takes points again")
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
