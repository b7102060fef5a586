package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bakeoff/internal/stats"
)

const bufferSize = 4 << 10

// conn is one connection of the whole: opened when first needed and again
// whenever it was closed. It writes the request's bytes itself and reads the
// answer with net/http's own parser: so nothing is retried, and it is known
// whether a request was fully written. HTTP/2 it leaves to net/http, one request at
// a time. Only one goroutine uses it, except for abort.
type conn struct {
	origin *origin
	job    *Job
	dial   func(ctx context.Context, network, address string) (net.Conn, error)

	nc        net.Conn
	two       *http.ClientConn         // speaks HTTP/2 on nc; nil: HTTP/1.1 is spoken
	own       Exchanger                // nc, where it has a protocol of its own; else nil
	first     *firstError              // what ended the connection below it
	transport *http.Transport          // for HTTP/2, shared
	live      atomic.Pointer[net.Conn] // what abort cuts
	stopped   *atomic.Bool
	idle      func() error // what the idle connection brought without a request, without waiting; nil: cannot be asked
	in        limited
	br        *bufio.Reader
	request   []byte
	body      []byte
	head      http.Request // gives the parser the method
}

// limited reads from the connection as long as its budget lasts.
type limited struct {
	r    io.Reader
	left int64
	read bool  // anything since the request
	took int64 // bytes since then
	err  error
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errHeaderLimit
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	l.took += int64(n)
	l.read = l.read || n > 0
	l.err = err
	return n, err
}

// open connects; the time-out of the request covers it.
func (c *conn) open(ctx context.Context, r *result, deadline time.Time) error {
	r.stage = stageOpening
	dctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	network, address := "tcp", c.origin.address
	if path, ok := c.origin.socket(); ok {
		network, address = "unix", path
	}
	nc, err := c.dial(dctx, network, address)
	if err != nil {
		return cause(ctx, err)
	}
	c.idle = idleCheck(nc)
	if c.job.Phase.HTTP2 {
		c.first = &firstError{Conn: nc}
		nc = c.first
	}
	if c.origin.tls {
		r.stage = stageAgreeing
		if nc, err = c.secure(dctx, nc); err != nil {
			return cause(ctx, err)
		}
	}
	if c.job.Phase.HTTP2 {
		if err := c.begin(dctx, nc); err != nil {
			nc.Close()
			return cause(ctx, err)
		}
	}
	c.nc = nc
	c.live.Store(&nc)
	if c.own, _ = nc.(Exchanger); c.own != nil || c.two != nil {
		return nil // ask and stream set the deadline
	}
	if err := nc.SetDeadline(deadline); err != nil {
		return err
	}
	c.in.r = nc
	if c.br == nil {
		c.br = bufio.NewReaderSize(&c.in, bufferSize)
	} else {
		c.br.Reset(&c.in)
	}
	return nil
}

// secure agrees on TLS over a fresh connection, or closes it.
func (c *conn) secure(ctx context.Context, nc net.Conn) (net.Conn, error) {
	below := newSocket(nc)
	if below != nil {
		nc = below
	}
	t := tls.Client(nc, c.origin.secrets)
	err := t.HandshakeContext(ctx)
	if err != nil {
		nc.Close()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errNoAnswer
		}
		return nil, err
	}
	c.idle = below.idleCheck(t)
	return t, nil
}

// cause distinguishes an interruption from a time-out of one's own.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return syscall.ETIMEDOUT
	}
	return err
}

func (c *conn) close() {
	if c.nc != nil {
		c.live.Store(nil)
		if c.two != nil {
			c.two.Close()
			c.two = nil
		}
		c.nc.Close()
		c.nc = nil
	}
}

// abort makes every wait on the connection end at once; any goroutine may call it.
func (c *conn) abort() {
	if nc := c.live.Load(); nc != nil {
		(*nc).SetDeadline(time.Unix(1, 0))
	}
}

// usable reports whether a request may go out on the connection as it is. One
// that the server closed, or spoke on, between requests is closed: no bytes of it are ever taken for an answer.
func (c *conn) usable(deadline time.Time) bool {
	if c.nc == nil {
		return false
	}
	if c.idle == nil {
		return true
	}
	err := error(nil)
	if c.origin.tls && c.two == nil {
		err = c.nc.SetDeadline(deadline) // a record of the handshake may ask for another
	}
	if err == nil {
		err = c.idle()
	}
	if err != nil {
		c.close()
	}
	return err == nil
}

// untouched says what a fresh connection brought before any request; nil: nothing.
func (c *conn) untouched() error {
	if c.two != nil || c.idle == nil { // in HTTP/2 the server speaks first
		return nil
	}
	err := c.idle()
	if err == nil || errors.Is(err, errEarly) {
		return err
	}
	c.in.read, c.in.err = false, nil
	return c.failed(err)
}

// ask has a connection with a protocol of its own carry out the request.
func (c *conn) ask(r *result, deadline time.Time) (length int64, err error) {
	if err := c.nc.SetDeadline(deadline); err != nil {
		return 0, err
	}
	if c.stopped.Load() {
		return 0, errInterrupted
	}
	status, body, err := c.own.Exchange(c.request)
	r.sentBytes, r.received, r.written = c.own.Carried()
	c.in.read, c.in.err = r.received > 0, nil
	switch {
	case c.in.read:
		r.stage = stageAnswering
	case r.written:
		r.stage = stageWaiting
	default:
		r.stage = stageWriting
	}
	if err != nil {
		return 0, c.failed(err)
	}
	r.status, r.replica, c.body = status, c.origin.name, body
	if c.job.Phase.Reconnect {
		c.close()
	}
	return int64(len(body)), nil
}

// exchange writes the request and reads the answer to its last byte.
func (c *conn) exchange(r *result, deadline time.Time) (length int64, err error) {
	switch {
	case c.own != nil:
		return c.ask(r, deadline)
	case c.two != nil:
		return c.stream(r, deadline)
	}
	if err := c.nc.SetDeadline(deadline); err != nil {
		return 0, err
	}
	if c.stopped.Load() {
		return 0, errInterrupted
	}
	c.in.left, c.in.read, c.in.err, c.in.took = headerLimit, false, nil, 0
	defer func() {
		if r.received = c.in.took; c.in.read {
			r.stage = stageAnswering
		}
	}()
	r.stage = stageWriting
	n, err := c.nc.Write(c.request)
	r.written, r.sentBytes = n == len(c.request), int64(n)
	if err != nil {
		return 0, c.failed(err)
	}
	r.stage = stageWaiting
	end := c.writeLarge(r)
	defer end()
	resp, err := c.header()
	if err != nil {
		return 0, c.failed(err)
	}
	c.in.left = 1 << 62
	// The body is not closed: that would read the rest of one that is refused.
	length, err = c.readBody(resp, r.checked)
	if err != nil {
		return 0, c.failed(err)
	}
	if c.br.Buffered() > 0 {
		return 0, errExtra
	}
	c.served(r, resp)
	if end(); resp.Close || !r.written || c.job.Phase.Reconnect {
		c.close()
	}
	return length, nil
}

// writeLarge writes a large body while the answer is read, which may come before all of it is written (RFC 9112,
// 9.3). The function returned ends the writing, and says how far it came.
func (c *conn) writeLarge(r *result) (end func()) {
	body := c.job.large()
	if body == nil {
		return func() {}
	}
	nc, done, n := c.nc, make(chan struct{}), 0
	r.written = false
	go func() {
		defer close(done)
		n, _ = nc.Write(body) // what comes of an error is what is read then
	}()
	return sync.OnceFunc(func() {
		nc.SetWriteDeadline(time.Unix(1, 0))
		<-done
		r.sentBytes += int64(n)
		if r.written = n == len(body); !r.written {
			r.stage = stageWriting
		}
	})
}

// served notes what an answer's header says.
func (c *conn) served(r *result, resp *http.Response) {
	r.status = resp.StatusCode
	if r.replica = resp.Header.Get(stats.ReplicaHeader); r.replica == "" {
		r.replica = c.origin.name
	}
}

// header reads answers until one that is not an interim one.
func (c *conn) header() (*http.Response, error) {
	for range interimLimit + 1 {
		resp, err := http.ReadResponse(c.br, &c.head)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode == http.StatusSwitchingProtocols || resp.StatusCode < 100 || resp.ProtoMajor != 1 {
			return nil, errProtocol
		}
		if resp.StatusCode >= 200 {
			return resp, nil
		}
	}
	return nil, errHeaderLimit
}

// readBody reads the body to its end, into c.body when it is to be checked.
func (c *conn) readBody(resp *http.Response, keep bool) (int64, error) {
	limit := c.job.Phase.BodyLimit
	if resp.ContentLength > limit && c.head.Method != http.MethodHead {
		return 0, errBodyLimit
	}
	if cap(c.body) == 0 {
		c.body = make([]byte, 0, bufferSize)
	}
	buf, total := c.body[:0], int64(0)
	for {
		if len(buf) == cap(buf) {
			if keep {
				buf = append(buf, 0)[:len(buf)]
			} else {
				buf = buf[:0]
			}
		}
		n, err := resp.Body.Read(buf[len(buf):cap(buf)])
		buf, total = buf[:len(buf)+n], total+int64(n)
		c.body = buf
		switch {
		case total > limit:
			return 0, errBodyLimit
		case err == io.EOF:
			return total, nil
		case err != nil:
			return 0, err
		}
	}
}

// failed gives an error of the exchange its right name. Where reading failed the
// parser may have called what it had until then malformed: the failure counts.
func (c *conn) failed(err error) error {
	if c.in.err != nil {
		err = c.in.err
	}
	switch {
	case c.stopped.Load():
		return errInterrupted
	case errors.Is(err, errHeaderLimit):
		return errHeaderLimit
	case errors.Is(err, errBodyLimit):
		return errBodyLimit
	case !c.in.read && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
		return errNoAnswer
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	}
	if _, network := errors.AsType[net.Error](err); network {
		return err
	}
	if _, system := errors.AsType[syscall.Errno](err); system {
		return err
	}
	return fmt.Errorf("%w: %w", errProtocol, err)
}
