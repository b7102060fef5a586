package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"bakeoff/internal/platform"
)

// event is what a session reports to the phase under way.
type event struct {
	session *session
	message message // nothing set: the agent is lost
}

// inbox holds events until the phase takes them. Its size is bounded by what may be put with room false.
type inbox struct {
	mu     sync.Mutex
	events []event
	limit  int
	wake   chan struct{}
}

func newInbox(limit int) inbox { return inbox{limit: limit, wake: make(chan struct{}, 1)} }

// put adds an event; bounded ones are refused when the limit is reached.
func (b *inbox) put(e event, bounded bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bounded && len(b.events) >= b.limit {
		return false
	}
	b.events = append(b.events, e)
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return true
}

// take empties the inbox.
func (b *inbox) take() []event {
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	b.events = nil
	return events
}

// session is the controller's end of one welcomed agent. Its goroutine owns
// the connection; once ended it never comes back.
type session struct {
	fleet  *Fleet
	index  int
	epoch  int64
	conn   net.Conn
	out    chan message
	ended  chan struct{}
	window tracker // reader goroutine only
	// priority is how the agent's machine schedules it, in its own words.
	priority string

	mu   sync.Mutex
	last time.Time
	why  string
}

// accept takes connections until the listener is closed.
func (f *Fleet) accept() {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			if f.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // such as no descriptor left: it may pass
			continue
		}
		f.strangers.add(conn)
		f.work.Go(func() { f.greet(conn) })
	}
}

// strangers are connections that have not said who they are, oldest first.
// One too many closes the oldest: who holds connections and says nothing
// must not keep an agent out, which says hello at once.
type strangers struct {
	limit int

	mu   sync.Mutex
	open []net.Conn
}

func (s *strangers) add(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) >= s.limit {
		_ = s.open[0].Close()
		s.open = slices.Delete(s.open, 0, 1)
	}
	s.open = append(s.open, conn)
}

// remove forgets a connection; false: it was closed for being one too many.
func (s *strangers) remove(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(s.open, conn)
	if at < 0 {
		return false
	}
	s.open = slices.Delete(s.open, at, at+1)
	return true
}

// greet hears a hello and serves the agent, or turns it away.
func (f *Fleet) greet(raw net.Conn) {
	defer raw.Close()
	unhook := context.AfterFunc(f.ctx, func() { _ = raw.Close() })
	defer unhook()

	conn := tls.Server(raw, f.tls)
	_ = conn.SetDeadline(time.Now().Add(greetWithin))
	in := newLineReader(conn, helloLimit)
	m, err := in.read()
	if !f.strangers.remove(raw) || err != nil || m.Hello == nil {
		return
	}
	s, reason := f.admit(m.Hello, conn)
	if reason != "" {
		_ = send(conn, message{Refusal: &refusal{Reason: reason}})
		return
	}
	in.limit = lineLimit
	s.serve(in)
}

// admit welcomes an agent to its slot, or says why not.
func (f *Fleet) admit(h *hello, conn net.Conn) (*session, string) {
	if !same(h.Token, f.token) {
		return nil, "wrong token"
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if reason := f.misplaced(h); reason != "" {
		return nil, reason
	}
	slot := f.slots[h.Index]
	if reason := f.foreign(h); reason != "" {
		select {
		case slot.refused <- reason:
		default:
		}
		return nil, reason
	}
	s := &session{
		fleet: f, index: h.Index, epoch: h.Epoch, conn: conn, last: time.Now(),
		out: make(chan message, 64), ended: make(chan struct{}), window: tracker{epoch: h.Epoch}, priority: h.Priority,
	}
	s.send(message{Welcome: &welcome{Epoch: h.Epoch, Lease: f.options.Silence, Clock: time.Now().UnixNano()}})
	slot.session, slot.lost = s, nil
	close(slot.joined)
	return s, ""
}

// misplaced says why there is no place for the agent; f.mu is held.
func (f *Fleet) misplaced(h *hello) string {
	if f.closing {
		return "the run is over"
	}
	if h.Index < 0 || h.Index >= len(f.slots) {
		return fmt.Sprintf("there is no agent %d among %d", h.Index, len(f.slots))
	}
	slot := f.slots[h.Index]
	if h.Epoch < slot.epoch {
		return fmt.Sprintf("agent %d of epoch %d was replaced by epoch %d", h.Index, h.Epoch, slot.epoch)
	}
	if h.Epoch > slot.epoch {
		return fmt.Sprintf("agent %d has epoch %d, not %d", h.Index, slot.epoch, h.Epoch)
	}
	if slot.session != nil {
		return fmt.Sprintf("agent %d of epoch %d has connected before", h.Index, h.Epoch)
	}
	return ""
}

// foreign says what makes the agent unfit for this run.
func (f *Fleet) foreign(h *hello) string {
	if h.Version != f.options.Version {
		return fmt.Sprintf("the agent has version %q, the controller %q", h.Version, f.options.Version)
	}
	if h.PlanDigest != f.options.PlanDigest {
		return fmt.Sprintf("the agent has plan %q, the controller %q", h.PlanDigest, f.options.PlanDigest)
	}
	return ""
}

// serve reads the agent's lines until the session ends, then reports the loss.
func (s *session) serve(in *lineReader) {
	var writer sync.WaitGroup
	writer.Go(s.write)
	s.end(s.read(in))
	writer.Wait()
	s.fleet.markLost(s)
}

// read handles lines until one fails, and says why it did.
func (s *session) read(in *lineReader) string {
	silence := s.fleet.options.Silence
	for {
		_ = s.conn.SetReadDeadline(time.Now().Add(silence))
		m, err := in.read()
		if err != nil {
			return s.reason(err, fmt.Sprintf("silent for %s", silence))
		}
		s.touch()
		if why := s.handle(m); why != "" {
			return why
		}
	}
}

// reason puts an error of the connection into words; late is what a time-out means.
func (s *session) reason(err error, late string) string {
	select {
	case <-s.ended: // by ourselves; the reason given then counts
		return ""
	default:
	}
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return late
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return s.fleet.departure(s)
	}
	return "connection failed: " + err.Error()
}

// notTaking is why an agent is lost that does not read.
const notTaking = "it does not take its orders"

// departure says why a connection was closed, giving the process a moment to be seen ended.
func (f *Fleet) departure(s *session) string {
	f.mu.Lock()
	process := f.slots[s.index].process
	f.mu.Unlock()
	if process == nil {
		return "it closed its connection"
	}
	select {
	case <-process.Done():
		return ending(process)
	case <-time.After(100 * time.Millisecond):
		return "it closed its connection"
	}
}

// handle takes one line; a text says why the agent is lost by it.
func (s *session) handle(m message) string {
	switch {
	case m.Beat != nil:
		s.send(message{Beat: &beat{Number: m.Beat.Number, Clock: time.Now().UnixNano()}})
	case m.Window != nil:
		return s.take(m)
	case m.Ready != nil, m.Stuck != nil, m.Sliced != nil, m.Done != nil:
		s.fleet.inbox.put(event{session: s, message: m}, false)
	default:
		return "it sent a line out of place"
	}
	return ""
}

// take judges a window by its numbers.
func (s *session) take(m message) string {
	last := s.window.last
	switch s.window.accept(m.Window.Epoch, m.Window.Sequence) {
	case gap:
		return fmt.Sprintf("window %d came after window %d: its books have a hole", m.Window.Sequence, last)
	case duplicate, stale:
		return ""
	}
	if !s.fleet.inbox.put(event{session: s, message: m}, true) {
		return "the controller could not take in its windows fast enough"
	}
	return ""
}

// touch notes a sign of life.
func (s *session) touch() {
	s.mu.Lock()
	s.last = time.Now()
	s.mu.Unlock()
}

// send queues a line; an agent that takes none for long is lost.
func (s *session) send(m message) {
	select {
	case <-s.ended:
	case s.out <- m:
	default:
		s.end(notTaking)
	}
}

// write sends the queued lines.
func (s *session) write() {
	for {
		select {
		case <-s.ended:
			return
		case m := <-s.out:
			_ = s.conn.SetWriteDeadline(time.Now().Add(s.fleet.options.Silence))
			if err := send(s.conn, m); err != nil {
				s.end(s.reason(err, notTaking))
				return
			}
		}
	}
}

// end closes the session; the first reason counts.
func (s *session) end(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why != "" {
		return
	}
	s.why = why
	close(s.ended)
	_ = closeRaw(s.conn)
}

// closeRaw closes a connection without TLS's farewell, which could block on a frozen peer.
func closeRaw(conn net.Conn) error {
	if secured, ok := conn.(*tls.Conn); ok {
		return secured.NetConn().Close()
	}
	return conn.Close()
}

// lost describes an ended session.
func (s *session) lost() Lost {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Lost{Agent: s.index, Epoch: s.epoch, Why: s.why, LastSign: s.last}
}

// markLost marks the agent of an ended session as lost, informs the phase under
// way, and kills the process: it has no right to send any more.
func (f *Fleet) markLost(s *session) {
	process := f.mark(s)
	f.inbox.put(event{session: s}, false)
	if process == nil || f.closed() {
		return
	}
	ctx, cancel := context.WithTimeout(f.ctx, 5*time.Second)
	defer cancel()
	_ = process.Stop(ctx, 0) // Heal and Close try again and report
}

// mark enters an ended session's agent as lost and returns its process; nil
// when another one has taken the place.
func (f *Fleet) mark(s *session) platform.Process {
	lost := s.lost()
	f.mu.Lock()
	defer f.mu.Unlock()
	slot := f.slots[s.index]
	if slot.session != s {
		return nil
	}
	slot.lost = &lost
	return slot.process
}

// send writes one line.
func send(conn net.Conn, m message) error {
	line, err := encode(m)
	if err != nil {
		return err
	}
	_, err = conn.Write(line)
	return err
}
