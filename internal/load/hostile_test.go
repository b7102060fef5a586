package load

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bakeoff/internal/load/loadtest"
)

// hostile is a server on loopback that counts what it sees and does to each
// request what its fate says. Requests are counted when wholly read, answers when wholly written.
type hostile struct {
	listener net.Listener
	accepted atomic.Int64
	requests atomic.Int64
	answers  atomic.Int64
	unasked  atomic.Int64 // connections that were answered before any request
	latest   atomic.Int64 // unix ns of the latest request
	greet    func(s *hostile, c peer) (keep bool)
	fate     func(s *hostile, c peer, n int64, name string) (keep bool)
	secure   bool // over TLS; greet comes after the handshake
	pair     tls.Certificate
	all      sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]bool
}

// peer is a client's connection as a hostile server has it.
type peer struct {
	net.Conn              // what is spoken on, TLS where it is wanted
	tcp      *net.TCPConn // below it
}

// serverFor is a hostile server as the engine expects its servers.
func serverFor(t testing.TB, e Engine, s *hostile) *hostile {
	t.Helper()
	_, s.secure = e.(secured)
	return newHostile(t, s)
}

func newHostile(t testing.TB, s *hostile) *hostile {
	t.Helper()
	if s.secure {
		s.pair = loadtest.NewAuthority(t).Pair(t)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.listener, s.open = l, map[net.Conn]bool{}
	s.all.Go(s.accept)
	t.Cleanup(s.close)
	return s
}

func (s *hostile) url() string {
	scheme := "http://"
	if s.secure {
		scheme = "https://"
	}
	return scheme + s.listener.Addr().String()
}

func (s *hostile) close() {
	s.listener.Close()
	s.mu.Lock()
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.all.Wait()
}

func (s *hostile) accept() {
	for {
		c, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		s.accepted.Add(1)
		s.mu.Lock()
		s.open[c] = true
		s.mu.Unlock()
		s.all.Go(func() {
			s.serve(c.(*net.TCPConn))
			s.mu.Lock()
			delete(s.open, c)
			s.mu.Unlock()
			c.Close()
		})
	}
}

func (s *hostile) serve(tcp *net.TCPConn) {
	c := peer{tcp, tcp}
	if s.secure {
		secret := tls.Server(tcp, &tls.Config{Certificates: []tls.Certificate{s.pair}})
		if secret.Handshake() != nil {
			return
		}
		defer secret.Close()
		c.Conn = secret
	}
	if s.greet != nil && !s.greet(s, c) {
		return
	}
	br := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		n := s.requests.Add(1)
		s.latest.Store(time.Now().UnixNano())
		if !s.fate(s, c, n, r.URL.Query().Get("name")) {
			return
		}
	}
}

// answer writes a whole right answer.
func (s *hostile) answer(c peer, name string) bool {
	s.answers.Add(1)
	_, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX-Bakeoff-Replica: r-1\r\nContent-Length: %d\r\n\r\n%s", len(name), name)
	return err == nil
}

// cut resets the connection.
func cut(c peer) bool {
	c.tcp.SetLinger(0)
	c.tcp.Close()
	return false
}

// drain reads until the peer closes.
func drain(c peer) { io.Copy(io.Discard, c) }

// half sends bytes and then waits for them to be taken before the connection is closed or reset.
func half(c peer, text string) {
	io.WriteString(c, text)
	time.Sleep(time.Millisecond)
}

// fate is what a server does with a request or a connection.
type fate struct {
	name  string
	class string   // what the engine says of it; ok: ""
	or    []string // what it may say as well, when two ends act at the same moment
	greet func(s *hostile, c peer) bool
	fate  func(s *hostile, c peer, n int64, name string) bool
}

// fates are all the things that can be done to one request.
var fates = []fate{
	{name: "right", fate: func(s *hostile, c peer, _ int64, name string) bool { return s.answer(c, name) }},
	{name: "closed after each answer, unannounced", fate: func(s *hostile, c peer, _ int64, name string) bool {
		s.answer(c, name)
		return false
	}, or: []string{classClosedBefore, classReset}},
	{
		name: "reset after accept", class: classReset, or: []string{classClosedBefore},
		greet: func(_ *hostile, c peer) bool { return cut(c) },
	},
	{
		name: "closed after accept", class: classClosedBefore, or: []string{classReset},
		greet: func(*hostile, peer) bool { return false },
	},
	{
		name: "reset after the request", class: classReset,
		fate: func(_ *hostile, c peer, _ int64, _ string) bool { return cut(c) },
	},
	{
		name: "closed after the request", class: classClosedBefore,
		fate: func(*hostile, peer, int64, string) bool { return false },
	},
	{name: "reset within the header", class: classReset, fate: func(_ *hostile, c peer, _ int64, _ string) bool {
		half(c, "HTTP/1.1 200 OK\r\nContent-Le")
		return cut(c)
	}},
	{name: "closed within the header", class: classClosedEarly, fate: func(_ *hostile, c peer, _ int64, _ string) bool {
		half(c, "HTTP/1.1 200 OK\r\nContent-Le")
		return false
	}},
	{name: "reset within the body", class: classReset, fate: func(_ *hostile, c peer, _ int64, _ string) bool {
		half(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
		return cut(c)
	}},
	{name: "closed within the body", class: classClosedEarly, fate: func(_ *hostile, c peer, _ int64, _ string) bool {
		half(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
		return false
	}},
	{name: "closed within a chunk", class: classClosedEarly, fate: func(_ *hostile, c peer, _ int64, _ string) bool {
		half(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
		return false
	}},
	{name: "never answered", class: classTimeout, fate: func(_ *hostile, c peer, _ int64, _ string) bool {
		drain(c)
		return false
	}},
	{name: "one byte at a time", class: classTimeout, fate: func(_ *hostile, c peer, _ int64, _ string) bool {
		for i := range 1000 {
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nX: "[min(i, 19):min(i, 19)+1]); err != nil {
				return false
			}
			time.Sleep(5 * time.Millisecond)
		}
		return false
	}},
	{
		name: "answered before the request", class: classEarly, or: []string{classExtra, "wrong body", classTimeout},
		greet: func(s *hostile, c peer) bool {
			s.unasked.Add(1)
			return s.answer(c, "not yours") && s.answer(c, "nor this")
		},
		fate: func(s *hostile, c peer, _ int64, _ string) bool { drain(c); return false },
	},
	{name: "two answers to one request", class: classExtra, fate: func(s *hostile, c peer, _ int64, name string) bool {
		s.answers.Add(1)
		one := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(name), name)
		io.WriteString(c, one+one)
		return true
	}},
	{name: "not HTTP", class: classProtocol, fate: func(_ *hostile, c peer, _ int64, _ string) bool {
		half(c, "SSH-2.0-OpenSSH_9.2\r\n\r\n")
		return false
	}},
	{name: "endless header", class: classHeader, or: []string{classReset}, fate: func(_ *hostile, c peer, _ int64, _ string) bool {
		io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for {
			if _, err := io.WriteString(c, strings.Repeat("X-Padding: 0123456789012345678901234567890123456789\r\n", 100)); err != nil {
				return false
			}
		}
	}},
	{name: "interim answers without end", class: classHeader, or: []string{classReset}, fate: func(_ *hostile, c peer, _ int64, _ string) bool {
		for {
			if _, err := io.WriteString(c, strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 20)); err != nil {
				return false
			}
		}
	}},
	{name: "a body too long", class: classBody, or: []string{classReset}, fate: func(_ *hostile, c peer, _ int64, _ string) bool {
		half(c, "HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n")
		return false
	}},
	{name: "chunks without end", class: classBody, or: []string{classReset}, fate: func(_ *hostile, c peer, _ int64, _ string) bool {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			if _, err := io.WriteString(c, "4000\r\n"+strings.Repeat("0123456789abcdef", 0x400)+"\r\n"); err != nil {
				return false
			}
		}
	}},
	{name: "status 500", class: "status 500", fate: func(s *hostile, c peer, _ int64, _ string) bool {
		s.answers.Add(1)
		_, err := io.WriteString(c, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno")
		return err == nil
	}},
	{name: "a redirect", class: "status 302", fate: func(s *hostile, c peer, _ int64, _ string) bool {
		s.answers.Add(1)
		_, err := io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
		return err == nil
	}},
	{name: "a wrong body", class: "wrong body", fate: func(s *hostile, c peer, _ int64, _ string) bool { return s.answer(c, "nothing") }},
	{name: "an interim answer, then the right one", fate: func(s *hostile, c peer, _ int64, name string) bool {
		io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
		return s.answer(c, name)
	}},
	{name: "ended by closing", fate: func(s *hostile, c peer, _ int64, name string) bool {
		s.answers.Add(1)
		half(c, "HTTP/1.1 200 OK\r\n\r\n"+name)
		return false
	}},
	{name: "chunked with trailer", fate: func(s *hostile, c peer, _ int64, name string) bool {
		s.answers.Add(1)
		_, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\n%s\r\n%x\r\n%s\r\n0\r\nX-Sum: 1\r\n\r\n", name[:1], len(name)-1, name[1:])
		return err == nil
	}},
}
