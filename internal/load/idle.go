package load

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// idleCheck returns a function that looks, without taking anything, what the peer
// has sent on a connection that waits for its next request: nil for nothing, errEarly for bytes nobody
// asked for, io.EOF where it sends no more. It is nil where the connection cannot be asked.
func idleCheck(nc net.Conn) func() error {
	raw := rawOf(nc)
	if raw == nil {
		return nil
	}
	var peek [1]byte
	var found error
	look := func(fd uintptr) {
		n, _, err := unix.Recvfrom(int(fd), peek[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case err == unix.EAGAIN, err == unix.EINTR:
			found = nil
		case err != nil:
			found = os.NewSyscallError("recvfrom", err)
		case n > 0:
			found = errEarly
		default:
			found = io.EOF
		}
	}
	return func() error { // not Read: that would mind the last request's deadline
		if err := raw.Control(look); err != nil {
			return err
		}
		return found
	}
}

func rawOf(nc net.Conn) syscall.RawConn {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// A socket lies below TLS. While it is still, reading takes what has come and waits
// for nothing: so TLS itself can say what an idle connection brought. Its bytes do not: they may be
// records of the handshake (RFC 8446, 4.6), and a server that closes says so in a record first.
type socket struct {
	net.Conn
	raw   syscall.RawConn
	still bool
}

// newSocket returns nil where the connection cannot be read without waiting.
func newSocket(nc net.Conn) *socket {
	raw := rawOf(nc)
	if raw == nil {
		return nil
	}
	return &socket{Conn: nc, raw: raw}
}

func (s *socket) Read(p []byte) (int, error) {
	if !s.still {
		return s.Conn.Read(p)
	}
	var n int
	var err error
	take := func(fd uintptr) {
		for {
			if n, _, err = unix.Recvfrom(int(fd), p, unix.MSG_DONTWAIT); err != unix.EINTR {
				return
			}
		}
	}
	if failed := s.raw.Control(take); failed != nil {
		return 0, failed
	}
	switch {
	case err == unix.EAGAIN:
		return 0, nothingYet{}
	case err != nil:
		return 0, os.NewSyscallError("recvfrom", err)
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// nothingYet is a time-out, after which TLS goes on as before.
type nothingYet struct{}

func (nothingYet) Error() string   { return "nothing has come yet" }
func (nothingYet) Timeout() bool   { return true }
func (nothingYet) Temporary() bool { return true }

// idleCheck is that of a connection under TLS; nil where the socket is.
func (s *socket) idleCheck(t *tls.Conn) func() error {
	if s == nil {
		return nil
	}
	return func() error {
		s.still = true
		defer func() { s.still = false }()
		var one [1]byte
		n, err := t.Read(one[:])
		switch {
		case n > 0:
			return errEarly
		case errors.Is(err, nothingYet{}):
			return nil
		}
		return err
	}
}
