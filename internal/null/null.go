// Package null is a server that costs as little as a server can and looks nothing up: what the load engine and the path
// to a server can do, and how true their figures are, is measured with it. It answers every GET with the same few
// bytes, after what the path asks for:
//
//	/                 nothing
//	/wait/10ms        waits that long
//	/work/20          that number of pieces of work of package yardstick
//	/stall/2s/1s      at once; but from 2 s later on it answers nothing for 1 s
//
// It reads HTTP/1.1 without bodies, and closes a connection on whatever else.
package null

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bakeoff/internal/yardstick"
)

// Body is what every answer holds.
const Body = `{"name":"null","exists":false,"id":null}`

const (
	lineLimit = 8 << 10
	mostWork  = 100_000
	mostWait  = time.Minute
)

var errPath = errors.New("null: no such path")

// Server answers on one listener.
type Server struct {
	answer []byte
	stall  atomic.Pointer[stall]
	work   sync.Pool
}

// stall is a stretch of time in which nothing is answered.
type stall struct{ from, until time.Time }

// New makes a server.
func New() *Server {
	s := &Server{answer: fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(Body), Body)}
	return s
}

// Serve answers until ctx ends or the listener fails. It closes all its connections.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var open sync.WaitGroup
	defer open.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before the wait
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("null: %w", err)
		}
		open.Go(func() {
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			defer conn.Close()
			s.converse(ctx, conn)
		})
	}
}

// converse answers the requests of one connection.
func (s *Server) converse(ctx context.Context, conn net.Conn) {
	in := bufio.NewReaderSize(conn, lineLimit)
	for {
		path, err := request(in)
		if err != nil || s.do(ctx, path) != nil {
			return
		}
		if _, err := conn.Write(s.answer); err != nil {
			return
		}
	}
}

// request reads one up to its empty line.
func request(in *bufio.Reader) (path string, err error) {
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		switch {
		case first:
			words := strings.Fields(string(line))
			if len(words) != 3 || words[0] != "GET" {
				return "", errPath
			}
			path = words[1]
		case len(line) <= 2:
			return path, nil
		}
	}
}

// do is what a path asks for.
func (s *Server) do(ctx context.Context, path string) error {
	words := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case words[0] == "wait" && len(words) == 2:
		d, err := duration(words[1])
		if err == nil {
			sleep(ctx, d)
		}
		return err
	case words[0] == "work" && len(words) == 2:
		return s.workFor(words[1])
	case words[0] == "stall" && len(words) == 3:
		return s.hold(words[1], words[2])
	case path != "/":
		return errPath
	}
	if held := s.stall.Load(); held != nil {
		if now := time.Now(); !now.Before(held.from) {
			sleep(ctx, held.until.Sub(now))
		}
	}
	return nil
}

// hold plans a stall.
func (s *Server) hold(in, long string) error {
	after, err := duration(in)
	if err != nil {
		return err
	}
	lasts, err := duration(long)
	if err != nil {
		return err
	}
	from := time.Now().Add(after)
	s.stall.Store(&stall{from, from.Add(lasts)})
	return nil
}

func (s *Server) workFor(number string) error {
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > mostWork {
		return errPath
	}
	do, ok := s.work.Get().(func() error)
	if !ok {
		if do, err = yardstick.NewWork(); err != nil {
			return err
		}
	}
	defer s.work.Put(do)
	for range n {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > mostWait {
		return 0, errPath
	}
	return d, nil
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
