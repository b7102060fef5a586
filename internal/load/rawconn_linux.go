package load

import (
	"cmp"
	"os"

	"golang.org/x/sys/unix"
)

// States of a connection. One that is closed has no socket.
const (
	isClosed uint8 = iota
	isConnecting
	isWriting
	isReading
	isIdle
)

// rawConn is one connection of the whole: opened when first needed and again
// whenever it was closed.
type rawConn struct {
	loop        *loop
	destination *destination
	origin      *origin // of the request
	server      int     // which of the spread's
	index       int     // in the loop
	number      int     // among all
	fd          int     // -1: none
	generation  int32
	state       uint8
	reused      bool // the request did not open the connection
	busy        bool // a request is in flight
	stream      uint64
	n           uint64 // closed model: of the next request
	res         result
	parser      parser
	rest        []byte // of the request, not yet written
	tail        []byte // of a large body, not yet written
	wrote       error  // why no more could be written; what the server said before may still be read

	before, after *rawConn // in flight, in order of sending
}

// begin starts one request; it may end at once.
func (c *rawConn) begin(a arrival, now int64) {
	l := c.loop
	c.origin = &l.run.spread.origins[a.url]
	c.res = result{stream: c.stream, n: a.n, intended: a.intended, sent: now, origin: c.origin}
	l.ledger.book.sent(now)
	c.enlist()
	var err error
	if l.out, err = l.run.job.appendRequest(l.out[:0], c.origin, c.stream, a.n); err != nil {
		c.fail(err)
		return
	}
	c.res.checked = l.run.job.checks(c.stream, a.n) || l.run.job.moving(c.stream, a.n) >= 0
	c.tail, c.wrote = l.run.job.large(), nil
	c.parser.reset(l.run.job.Method == "HEAD", c.res.checked, l.run.job.Phase.BodyLimit)
	if c.fd >= 0 && l.checkFirst && !quiet(c.fd) {
		c.close()
	}
	if c.reused = c.fd >= 0; c.reused {
		c.write(l.out)
		return
	}
	c.rest = append(c.rest[:0], l.out...)
	if err := c.open(); err != nil {
		c.fail(err)
	}
}

// open begins to connect.
func (c *rawConn) open() error {
	fd, err := unix.Socket(c.destination.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	c.fd, c.state = fd, isConnecting
	c.generation++
	if c.destination.family != unix.AF_UNIX {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
		// A request is one small segment: it needs no congestion control that paces, and is not to be
		// held back by one. Where this one is not allowed the system's own stays.
		_ = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno")
	}
	if prepare := c.loop.run.prepare; prepare != nil {
		if err := prepare(fd); err != nil {
			return err
		}
	}
	if err := unix.Connect(fd, c.destination.address); err != nil && err != unix.EINPROGRESS {
		return os.NewSyscallError("connect", err)
	}
	return c.loop.poll.add(fd, c.index, c.generation)
}

// event is called when something happened on the socket.
func (c *rawConn) event(events uint32) {
	if c.state == isConnecting {
		if events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) == 0 {
			return
		}
		if !c.connected(events) {
			return
		}
	}
	if c.state == isWriting && events&unix.EPOLLOUT != 0 {
		c.write(c.rest)
	}
	ends := events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	if c.fd >= 0 && (ends || events&unix.EPOLLIN != 0) {
		c.read(ends)
	}
}

// connected sends the request over a connection that has just been opened; false when it came to nothing.
func (c *rawConn) connected(events uint32) bool {
	l := c.loop
	code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	if err != nil {
		c.fail(os.NewSyscallError("connect", err))
		return false
	}
	l.ledger.book.opened(l.now())
	switch {
	case !l.permitted():
		c.fail(errNotPermitted)
		return false
	case events&unix.EPOLLIN != 0:
		if err := c.unasked(); err != nil {
			c.fail(err)
			return false
		}
	}
	c.state = isWriting
	return true
}

// unasked names what a fresh connection brought before any request.
func (c *rawConn) unasked() error {
	n, errno := rawReceive(c.fd, c.loop.buf)
	switch {
	case n > 0:
		return errEarly
	case errno == 0:
		return errNoAnswer
	case errno == unix.EAGAIN:
		return nil
	}
	return errno
}

// write sends the request, or what is left of it.
func (c *rawConn) write(b []byte) {
	n, err := c.push(b)
	switch {
	case err != nil:
		c.unwritable(err)
		return
	case n < len(b):
		c.rest = append(c.rest[:0], b[n:]...)
		c.state = isWriting
		return
	}
	c.rest = c.rest[:0]
	n, err = c.push(c.tail)
	switch c.tail = c.tail[n:]; {
	case err != nil:
		c.unwritable(err)
	case len(c.tail) > 0:
		c.state = isWriting
	default:
		c.res.written = true
		c.state = isReading
	}
}

// push writes what the socket takes.
func (c *rawConn) push(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, errno := rawSend(c.fd, b)
	c.res.sentBytes += int64(n)
	if errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR {
		return n, errno
	}
	return n, nil
}

// unwritable goes on to what the server said before it took no more: its answer, or nothing.
func (c *rawConn) unwritable(err error) {
	c.wrote = err
	c.state = isReading
	if c.res.sentBytes == 0 {
		c.lost(err)
		return
	}
	if c.read(true); c.fd >= 0 && c.busy {
		c.lost(err)
	}
}

// read takes what the peer has sent; ends says that it sends no more.
func (c *rawConn) read(ends bool) {
	l := c.loop
	for c.fd >= 0 {
		n, errno := rawReceive(c.fd, l.buf)
		switch {
		case errno == unix.EAGAIN:
			return
		case errno == unix.EINTR:
			continue
		case !c.busy: // closed, or spoken on, between requests
			l.checkFirst = true
			c.close()
			return
		case errno != 0:
			c.lost(cmp.Or(c.wrote, error(errno)))
			return
		case n == 0:
			c.endOfStream()
			return
		}
		c.res.received += int64(n)
		if c.parse(l.buf[:n]); n < len(l.buf) && !ends {
			return
		}
	}
}

// parse feeds the parser and ends the request with its answer.
func (c *rawConn) parse(b []byte) {
	took, err := c.parser.feed(b)
	switch {
	case err != nil:
		c.fail(err)
	case !c.parser.done():
	case took < len(b):
		c.fail(errExtra)
	case c.res.sentBytes == 0:
		c.fail(errEarly)
	default:
		c.answered()
	}
}

// endOfStream ends the request with what the end of the stream makes of it.
func (c *rawConn) endOfStream() {
	if err := c.parser.eof(); err != nil {
		c.lost(cmp.Or(c.wrote, err))
		return
	}
	c.answered()
}

// lost fails a request whose connection ended. If the connection had served others before
// and nothing of an answer came, the server may have closed it unannounced.
func (c *rawConn) lost(err error) {
	if c.reused && !c.parser.begun {
		c.loop.checkFirst = true
	}
	c.fail(err)
}

// answered ends the request with a whole answer.
func (c *rawConn) answered() {
	l := c.loop
	c.res.ended = l.now()
	c.res.status = c.parser.status
	if c.res.replica = c.origin.name; len(c.parser.replica) > 0 {
		c.res.replica = l.name(c.parser.replica)
	}
	l.run.job.judge(&c.res, c.parser.length, c.parser.body)
	if c.parser.closes || !c.res.written || l.run.job.Phase.Reconnect {
		c.close()
	} else {
		c.state = isIdle
	}
	c.done()
}

// fail ends the request without a whole answer, and the connection.
func (c *rawConn) fail(err error) {
	c.res.stage = c.stage()
	c.close()
	c.res.ended = c.loop.now()
	c.res.class, c.res.cause = classify(err), err
	c.done()
}

// stage is how far the request has come.
func (c *rawConn) stage() string {
	switch {
	case c.state == isConnecting:
		return stageOpening
	case c.parser.begun:
		return stageAnswering
	case !c.res.written && c.state == isWriting:
		return stageWriting
	}
	return stageWaiting
}

// done books the request's end; the connection is free, or waits for its next turn.
func (c *rawConn) done() {
	l := c.loop
	c.delist()
	l.ledger.book.finished(&c.res)
	if !l.closed {
		l.release(c)
		return
	}
	think := int64(l.run.job.Phase.Think)
	switch c.res.class {
	case classRefused, classUnreachable, classPorts, classDescriptors, classMemory, classRequest:
		l.paused.push(due{c, c.res.ended + think + int64(pause)})
	default:
		if think > 0 {
			l.think.push(due{c, c.res.ended + think})
		} else {
			l.ready.push(due{c, c.res.ended})
		}
	}
}

func (c *rawConn) close() {
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
	}
	c.state = isClosed
}

// enlist puts the connection at the end of those in flight.
func (c *rawConn) enlist() {
	l := c.loop
	c.before, c.after, c.busy = l.latest, nil, true
	if l.latest != nil {
		l.latest.after = c
	} else {
		l.first = c
	}
	l.latest = c
	l.flying++
}

// delist takes it out again.
func (c *rawConn) delist() {
	l := c.loop
	if c.before != nil {
		c.before.after = c.after
	} else {
		l.first = c.after
	}
	if c.after != nil {
		c.after.before = c.before
	} else {
		l.latest = c.before
	}
	c.before, c.after, c.busy = nil, nil, false
	l.flying--
}

// name returns a replica's name without allocating one that is known.
func (l *loop) name(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if s, ok := l.names[string(b)]; ok {
		return s
	}
	if len(l.names) >= maxReplicas {
		return classOther
	}
	s := string(b)
	l.names[s] = s
	return s
}
