package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"bakeoff/internal/live"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

const (
	mostWatched = 8   // runs followed at once
	mostClients = 256 // of one run
	mostQueued  = 32  // messages that wait for one page
	mostRecent  = 240 // messages kept for pages that were cut off: a minute
	// writeWithin is for how long a page may take no bytes before it is given up; it comes back by itself.
	writeWithin = 10 * time.Second
	beatEvery   = 15 * time.Second
	// failedFor is how long a run that could not be followed is not followed again: each time the record is read from its beginning.
	failedFor = 30 * time.Second
	// unwatchedFor is how long a run is followed although no page listens: one that was cut off comes back by then.
	unwatchedFor = 30 * time.Second
)

// message is one event of a stream: what has changed, behind a position in the record.
type message struct {
	id   string
	data []byte // a JSON object that is not empty
}

// watches are the runs under way that somebody looks at.
type watches struct {
	ctx  context.Context
	stop context.CancelFunc
	mu   sync.Mutex
	of   map[string]*watch
	wait sync.WaitGroup
}

func newWatches() *watches {
	ctx, stop := context.WithCancel(context.Background())
	return &watches{ctx: ctx, stop: stop, of: map[string]*watch{}}
}

// close ends all of them and waits. None begins any more once the lock is free.
func (w *watches) close() {
	w.mu.Lock()
	w.stop()
	w.mu.Unlock()
	w.wait.Wait()
}

// open is the watch of a run, which begins with the first page, and ends with the last; nil where too many runs are watched, or the
// server is closed. One that has failed is the watch of its run for a while.
func (w *watches) open(dir string) *watch {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := w.of[dir]; one != nil && !one.gone() {
		one.touch()
		return one
	}
	for other, one := range w.of {
		if one.gone() {
			delete(w.of, other)
		}
	}
	if len(w.of) >= mostWatched || w.ctx.Err() != nil {
		return nil
	}
	one := newWatch()
	one.closing = w.ctx.Done()
	w.of[dir] = one
	w.wait.Go(func() {
		one.follow(dir, record.Follow(w.ctx, dir, record.Position{}))
		w.forget(dir, one)
	})
	return one
}

// forget lets go of a watch that has ended, with all that it knows of its run.
func (w *watches) forget(dir string, one *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of[dir] == one && one.gone() {
		delete(w.of, dir)
	}
}

// watch follows one run for all pages that show it.
type watch struct {
	ended chan struct{} // nobody writes the run any more, or it cannot be read
	ready chan struct{} // all there was has been read
	// closing is closed once the server is being closed: that a watch has ended says nothing of its run then. Nil: never.
	closing <-chan struct{}

	mu      sync.Mutex
	state   *live.State
	id      string // behind which the state is
	whole   []byte // the state as JSON; nil: not made since it changed
	recent  []message
	clients map[*client]bool
	err     error     // why the run is followed no longer although it may be under way
	failed  time.Time // when that happened
	asked   time.Time // when a page was last there, or asked for the watch
	left    bool      // nobody looks at the run any more: no page joins
}

// client is one page. Its queue is bounded, and nobody who fills it waits.
type client struct {
	queue   chan message
	skipped int // messages that it has lost; then nothing is queued until it has the whole state
}

func newWatch() *watch {
	return &watch{ended: make(chan struct{}), ready: make(chan struct{}), state: live.New(), clients: map[*client]bool{}, asked: time.Now()}
}

func (w *watch) over() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

// gone reports whether the watch has ended, or is about to, and another one may take its place.
func (w *watch) gone() bool {
	over := w.over()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.left || over && (w.err == nil || time.Since(w.failed) > failedFor)
}

// touch notes that a page asks for the watch.
func (w *watch) touch() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = time.Now()
}

// unwatched reports whether no page has been there for a while; then none joins any more. It is asked when the record has grown: to
// look whether one that does not grow does costs next to nothing.
func (w *watch) unwatched() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = len(w.clients) == 0 && time.Since(w.asked) > unwatchedFor
	return w.left
}

// follow takes in what the record yields until the run has ended, cannot be followed any more, or nobody looks at it.
func (w *watch) follow(dir string, items func(func(record.Item, error) bool)) {
	ready := sync.OnceFunc(func() { close(w.ready) })
	if err := w.read(dir, items, ready); err != nil {
		w.fail(err)
	}
	ready()
	close(w.ended)
}

// read takes in what the record yields, and says at each pause what has changed. What panics there is one run's record, and ends
// one watch: the process may be that of the run.
func (w *watch) read(dir string, items func(func(record.Item, error) bool), ready func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the record cannot be read: %v", p)
		}
	}()
	first := true
	for item, err := range items {
		var line *record.LineError
		if err != nil && !errors.As(err, &line) {
			return err
		}
		w.take(dir, item, line)
		if item.Pause == nil || err != nil {
			continue
		}
		if first {
			first = false
			w.begin(item.Position.String())
			ready()
		} else if err := w.publish(item.Position.String()); err != nil {
			return err
		}
		if !item.Pause.Live || w.unwatched() {
			break
		}
	}
	return nil
}

func (w *watch) take(dir string, item record.Item, line *record.LineError) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.whole = nil
	if line != nil {
		w.state.Damaged(inside(dir, line))
		return
	}
	w.state.Take(item)
}

func (w *watch) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err, w.failed = err, time.Now()
}

// begin forgets what has changed up to now: every page begins with the whole state. Pages that have waited for it join now.
func (w *watch) begin(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.id, w.asked = id, time.Now()
	w.state.Changed()
}

// publish gives every page what has changed. It waits for none.
func (w *watch) publish(id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.id, w.whole = id, nil
	data, err := json.Marshal(w.state.Changed())
	if err != nil {
		return fmt.Errorf("dashboard: %w", err)
	}
	m := message{id, data}
	w.recent = append(w.recent, m)
	if drop := len(w.recent) - mostRecent; drop > 0 {
		w.recent = append([]message(nil), w.recent[drop:]...)
	}
	for c := range w.clients {
		c.put(m)
	}
	return nil
}

// put queues a message; where there is no room, the page gets the whole state when it has taken what it has.
func (c *client) put(m message) {
	if c.skipped == 0 {
		select {
		case c.queue <- m:
			return
		default:
		}
	}
	c.skipped++
}

// errTooMany is that no further page is served, errManyRuns that no further run is watched.
var (
	errTooMany  = errors.New("too many pages watch this run")
	errManyRuns = errors.New("too many runs are watched")
)

// errLeft is that a watch ends since nobody has looked at its run: a page begins another one.
var errLeft = errors.New("nobody has watched this run")

// join adds a page to the watch of a run, once that knows all there was.
func (w *watches) join(ctx context.Context, dir, last string) (*watch, *client, error) {
	for {
		one := w.open(dir)
		if one == nil {
			return nil, nil, errManyRuns
		}
		select {
		case <-one.ready:
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
		if c, err := one.join(last); !errors.Is(err, errLeft) {
			return one, c, err
		}
	}
}

// join adds a page that has what is behind last; where that is not known any more it gets everything.
func (w *watch) join(last string) (*client, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.left:
		return nil, errLeft
	case len(w.clients) >= mostClients:
		return nil, errTooMany
	}
	c := &client{queue: make(chan message, mostQueued)}
	missed, known := w.since(last)
	if known && len(missed) < mostQueued {
		for _, m := range missed {
			c.queue <- m
		}
	} else {
		m, err := w.everything(0)
		if err != nil {
			return nil, err
		}
		c.queue <- m
	}
	w.clients[c] = true
	return c, nil
}

func (w *watch) leave(c *client) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.clients, c)
	w.asked = time.Now()
}

// since are the messages behind an identifier, and whether it is known.
func (w *watch) since(id string) ([]message, bool) {
	if id == "" {
		return nil, false
	}
	if id == w.id {
		return nil, true
	}
	for i, m := range w.recent {
		if m.id == id {
			return w.recent[i+1:], true
		}
	}
	return nil, false
}

// everything is the whole state as a message, made once for all pages that need it. Skipped is how many messages it stands for.
func (w *watch) everything(skipped int) (message, error) {
	if w.whole == nil {
		data, err := json.Marshal(w.state.Block(-1))
		if err != nil {
			return message{}, fmt.Errorf("dashboard: %w", err)
		}
		w.whole = data
	}
	data := w.whole
	if skipped > 0 {
		data = fmt.Appendf(nil, `{"skipped":%d,%s`, skipped, w.whole[1:])
	}
	return message{w.id, data}, nil
}

// catchUp is the whole state for a page that has lost messages and taken all the others; false where it has lost none.
func (w *watch) catchUp(c *client) (message, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.skipped == 0 || len(c.queue) > 0 {
		return message{}, false
	}
	m, err := w.everything(c.skipped)
	if err != nil {
		return message{}, false
	}
	c.skipped = 0
	return m, true
}

// block is everything of a block, or of the one under way where it is negative.
func (w *watch) block(block int) live.Update {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state.Block(block)
}

// now is what is under way.
func (w *watch) now() (live.Head, live.Now) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state.Head(), w.state.Now()
}

// stream sends a page what happens until the run or the page ends.
func (w *watch) stream(rw http.ResponseWriter, r *http.Request, c *client) {
	out := &stream{w: rw, control: http.NewResponseController(rw)}
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for out.err == nil {
		if m, lost := w.catchUp(c); lost {
			out.send("", m)
			continue
		}
		select {
		case m := <-c.queue:
			out.send("", m)
		case <-r.Context().Done():
			return
		case <-beat.C:
			out.text(": still here\n\n")
		case <-w.ended:
			select {
			case <-w.closing: // the page finds the server gone
			default:
				w.drain(out, c)
			}
			return
		}
	}
}

// drain sends what is left once the watch has ended, and says whether the run has ended or cannot be followed.
func (w *watch) drain(out *stream, c *client) {
	for out.err == nil {
		select {
		case m := <-c.queue:
			out.send("", m)
			continue
		default:
		}
		if m, lost := w.catchUp(c); lost {
			out.send("", m)
		}
		break
	}
	out.send(w.last())
}

// last is the event behind all others.
func (w *watch) last() (event string, m message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		return ended(w.id, w.state.Now().Status, false)
	}
	return failed(w.id, w.err.Error())
}

// ended is the event of a run that nobody writes any more: how it ended, or that it has not, and whether the stream has not given what
// came last.
func ended(id, status string, missed bool) (event string, m message) {
	data, err := json.Marshal(map[string]any{"status": show.Inert(status), "missed": missed})
	if err != nil {
		return failed(id, err.Error())
	}
	return "end", message{id, data}
}

// failed is the event of a run that cannot be followed, although it may be under way.
func failed(id, why string) (event string, m message) {
	data, err := json.Marshal(map[string]string{"text": show.Inert(why)})
	if err != nil {
		data = []byte(`{"text":"no reason is known"}`)
	}
	return "failed", message{id, data}
}

// stream is a response of events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

// send sends an event, with the time: its page knows by it how old the events of the record are, whenever it gets this one.
func (s *stream) send(event string, m message) {
	if event != "" {
		event = "event: " + event + "\n"
	}
	id := strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, m.id)
	s.text(fmt.Sprintf("%sid: %s\ndata: {\"clock\":%d,%s\n\n", event, id, time.Now().UnixMilli(), m.data[1:]))
}

func (s *stream) text(text string) {
	if s.err != nil {
		return
	}
	// A recorder of a test has no deadline.
	if err := s.control.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.err = err
		return
	}
	if _, s.err = s.w.Write([]byte(text)); s.err == nil {
		s.err = s.control.Flush()
	}
}
