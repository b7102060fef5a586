package remote

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bakeoff/internal/record"
)

const token = "secret"

// wire carries requests to a handler without a network, so that time can be virtual.
type wire struct {
	handler  http.Handler
	down     atomic.Bool  // nobody answers
	requests atomic.Int64 // that were sent, down or not
}

var errDown = errors.New("connection refused")

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.requests.Add(1)
	if w.down.Load() {
		return nil, errDown
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	out, in := io.Pipe()
	a := &answering{header: http.Header{}, body: in, ready: make(chan struct{})}
	go func() {
		w.handler.ServeHTTP(a, r)
		a.WriteHeader(http.StatusOK)
		in.Close()
	}()
	context.AfterFunc(r.Context(), func() { out.CloseWithError(r.Context().Err()) })
	select {
	case <-a.ready:
		return &http.Response{StatusCode: a.status, Header: a.header, Body: out, Request: r, ProtoMajor: 1, ProtoMinor: 1}, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// answering is the answer of a handler.
type answering struct {
	header http.Header
	body   *io.PipeWriter
	once   sync.Once
	status int
	ready  chan struct{} // closed once status is known
}

func (a *answering) Header() http.Header { return a.header }
func (a *answering) Flush()              {}

func (a *answering) WriteHeader(status int) {
	a.once.Do(func() {
		a.status = status
		close(a.ready)
	})
}

func (a *answering) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// cutting cuts the answers, or the bodies of requests, of a transport after a number of bytes.
type cutting struct {
	to    http.RoundTripper
	after func() int64 // for the next body; negative: it is not cut
	sent  bool         // bodies of requests are cut, not those of answers

	cuts  int
	bytes int64 // of answers, that came through
	asked map[string]int
}

// RoundTrip implements http.RoundTripper.
func (c *cutting) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.asked != nil {
		c.asked[r.URL.Path]++
	}
	if n := int64(-1); c.sent && r.Body != nil && r.Body != http.NoBody {
		if n = c.after(); n >= 0 {
			r = r.Clone(r.Context())
			r.Body = &cutBody{c: c, body: r.Body, left: n, whole: false}
			r.ContentLength = -1
		}
	}
	answer, err := c.to.RoundTrip(r)
	if err == nil && !c.sent {
		n := c.after()
		answer.Body = &cutBody{c: c, body: answer.Body, left: n, whole: n < 0, count: true}
	}
	return answer, err
}

type cutBody struct {
	c            *cutting
	body         io.ReadCloser
	left         int64
	whole, count bool
}

var errCut = errors.New("cut")

func (b *cutBody) Read(p []byte) (int, error) {
	if !b.whole {
		if b.left == 0 {
			b.c.cuts++
			b.whole = true // once
			b.body.Close()
			return 0, errCut
		}
		p = p[:min(int64(len(p)), b.left)]
	}
	n, err := b.body.Read(p)
	b.left -= int64(n)
	if b.count {
		b.c.bytes += int64(n)
	}
	return n, err
}

func (b *cutBody) Close() error { return b.body.Close() }

// first cuts the first bodies, each after fewer than that many bytes.
func first(bodies int, fewer int64, seed uint64) func() int64 {
	rng := rand.New(rand.NewPCG(seed, 1))
	return func() int64 {
		if bodies--; bodies < 0 {
			return -1
		}
		return rng.Int64N(fewer)
	}
}

// server is one of a run that has not begun.
func server(t *testing.T, o Options) *Server {
	t.Helper()
	o.Token = token
	if o.Stop == nil {
		o.Stop = func() { t.Error("stopped") }
	}
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ended is one of a run that has ended.
func ended(t *testing.T, dir string) *Server {
	t.Helper()
	s := server(t, Options{})
	s.Opened(dir)
	s.Ended(Outcome{})
	return s
}

// copyOf fetches what a server has into a new folder.
func copyOf(t *testing.T, c *Client) string {
	t.Helper()
	to, err := record.OpenCopy(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Fetch(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return to.Dir()
}

// within fails unless a time is between two others.
func within(t *testing.T, got, least, most time.Duration) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("after %v, want %v to %v", got, least, most)
	}
}
