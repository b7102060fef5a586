package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/stats"
)

// Frames of RFC 9113, 6, and their flags.
const (
	frameData, frameHeaders, frameReset, frameSettings       = 0, 1, 3, 4
	framePing, frameGoAway, frameWindow, frameContinued      = 6, 7, 8, 9
	flagEnd, flagAck, flagEndHeaders, flagNone               = 1, 1, 4, 0
	preface                                                  = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	status200                                           byte = 0x88 // RFC 7541, appendix A: the whole line by its index
)

// frame is one frame on the wire.
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	b = append(b, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// literal is a header field as a literal (RFC 7541, 6.2.2) with a name and a value below 127 bytes.
func literal(name, value string) []byte {
	b := append([]byte{0, byte(len(name))}, name...)
	return append(append(b, byte(len(value))), value...)
}

// speaker answers the streams of one HTTP/2 connection.
type speaker struct {
	c      net.Conn
	stream uint32
	number int64 // of the request, over all connections
}

func (s speaker) headers(flags byte, block ...[]byte) {
	s.c.Write(frame(frameHeaders, flagEndHeaders|flags, s.stream, slices.Concat(block...)))
}

func (s speaker) data(flags byte, text string) {
	s.c.Write(frame(frameData, flags, s.stream, []byte(text)))
}

func (s speaker) right() {
	s.headers(flagNone, []byte{status200}, literal("x-bakeoff-replica", "r-1"))
	s.data(flagEnd, "ok")
}

func (s speaker) reset() {
	s.c.Write(frame(frameReset, flagNone, s.stream, []byte{0, 0, 0, 2}))
}

func (s speaker) goAway() {
	payload := binary.BigEndian.AppendUint32(nil, s.stream)
	s.c.Write(frame(frameGoAway, flagNone, 0, append(payload, 0, 0, 0, 0)))
}

// statusLine is :status by its index, with a value of its own.
func statusLine(text string) []byte { return append([]byte{0x08, byte(len(text))}, text...) }

func (s speaker) status(text string) {
	s.headers(flagNone, statusLine(text))
	s.data(flagEnd, "ok")
}

func (s speaker) interim(n int) {
	for range n {
		s.headers(flagNone, statusLine("103"))
	}
}

// speakTwo is the whole of a server's side of a connection, as a greeting of hostile.
func speakTwo(fate func(s speaker) (keep bool)) func(*hostile, peer) bool {
	return func(h *hostile, c peer) bool {
		var head [9]byte
		if _, err := io.ReadFull(c, make([]byte, len(preface))); err != nil {
			return false
		}
		c.Write(frame(frameSettings, flagNone, 0, nil))
		for {
			if _, err := io.ReadFull(c, head[:]); err != nil {
				return false
			}
			payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
			if _, err := io.ReadFull(c, payload); err != nil {
				return false
			}
			kind, flags := head[3], head[4]
			if kind == frameData && len(payload) > 0 {
				c.Write(frame(frameWindow, flagNone, 0, binary.BigEndian.AppendUint32(nil, uint32(len(payload)))))
			}
			switch {
			case kind == frameSettings && flags&flagAck == 0:
				c.Write(frame(frameSettings, flagAck, 0, nil))
			case kind == framePing && flags&flagAck == 0:
				c.Write(frame(framePing, flagAck, 0, payload))
			case (kind == frameHeaders || kind == frameData) && flags&flagEnd != 0:
				s := speaker{c, binary.BigEndian.Uint32(head[5:]), h.requests.Add(1)}
				if !fate(s) {
					return false
				}
			}
		}
	}
}

// fatesOfTwo are what can be done to a request of HTTP/2.
var fatesOfTwo = []struct {
	name  string
	class string // ok: ""
	or    []string
	fate  func(s speaker) bool
}{
	{"right", "", nil, func(s speaker) bool { s.right(); return true }},
	{"interim answers first, then in pieces with trailers", "", nil, func(s speaker) bool {
		s.interim(interimLimit)
		s.headers(flagNone, []byte{status200})
		s.data(flagNone, "o")
		s.data(flagNone, "k")
		s.headers(flagEnd, literal("x-late", "1"))
		return true
	}},
	{"another status", "status 204", nil, func(s speaker) bool { s.headers(flagEnd, []byte{0x89}); return true }},
	{"wrong body", "wrong body", nil, func(s speaker) bool {
		s.headers(flagNone, []byte{status200})
		s.data(flagEnd, "no")
		return true
	}},
	{"no answer", classTimeout, nil, func(speaker) bool { return true }},
	{"half an answer", classTimeout, nil, func(s speaker) bool {
		s.headers(flagNone, []byte{status200})
		s.data(flagNone, "o")
		return true
	}},
	{"stream reset", classReset, nil, func(s speaker) bool { s.reset(); return true }},
	{"stream reset within the body", classReset, nil, func(s speaker) bool {
		s.headers(flagNone, []byte{status200})
		s.data(flagNone, "o")
		time.Sleep(time.Millisecond)
		s.reset()
		return true
	}},
	{"connection closed", classClosedBefore, []string{classReset}, func(speaker) bool { return false }},
	{"connection closed within the body", classClosedEarly, []string{classReset}, func(s speaker) bool {
		s.headers(flagNone, []byte{status200})
		s.data(flagNone, "o")
		time.Sleep(time.Millisecond)
		return false
	}},
	{"going away without an answer", classClosedBefore, []string{classReset}, func(s speaker) bool {
		s.stream-- // the last that it has taken care of
		s.goAway()
		return false
	}},
	{"going away, and an answer all the same", "", []string{classClosedBefore, classReset}, func(s speaker) bool {
		refused := s
		refused.stream--
		refused.goAway()
		s.right()
		return false
	}},
	{"going away after the answer", "", []string{classClosedBefore, classReset}, func(s speaker) bool {
		s.right()
		s.goAway()
		return true
	}},
	{"body longer than its length says", classExtra, nil, func(s speaker) bool {
		s.headers(flagNone, []byte{status200}, literal("content-length", "1"))
		s.data(flagEnd, "ok")
		return true
	}},
	{"body shorter than its length says", classClosedEarly, nil, func(s speaker) bool {
		s.headers(flagNone, []byte{status200}, literal("content-length", "3"))
		s.data(flagEnd, "ok")
		return true
	}},
	{"body too long", classBody, nil, func(s speaker) bool {
		s.headers(flagNone, []byte{status200})
		s.data(flagEnd, "okok")
		return true
	}},
	{"too many interim answers", classHeader, nil, func(s speaker) bool {
		s.interim(interimLimit + 1)
		s.right()
		return true
	}},
	{"header too long", classHeader, []string{classProtocol}, func(s speaker) bool {
		s.c.Write(frame(frameHeaders, flagNone, s.stream, []byte{status200}))
		block := bytes.Repeat(literal("x-long", strings.Repeat("x", 100)), 100)
		for range headerLimit / len(block) {
			s.c.Write(frame(frameContinued, flagNone, s.stream, block))
		}
		s.c.Write(frame(frameContinued, flagEndHeaders, s.stream, block))
		s.data(flagEnd, "ok")
		return true
	}},
	{"HTTP/1.1", classProtocol, nil, func(s speaker) bool {
		io.WriteString(s.c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		return true
	}},
	{"data for no stream", classProtocol, nil, func(s speaker) bool {
		s.stream = 0
		s.data(flagEnd, "ok")
		return true
	}},
	{"not modified, with the length of what was not", "status 304", nil, func(s speaker) bool {
		s.headers(flagEnd, []byte{0x8b}, literal("content-length", "5000000"))
		return true
	}},
	{"not modified, with a body", classExtra, nil, func(s speaker) bool {
		s.headers(flagNone, []byte{0x8b})
		s.data(flagEnd, "ok")
		return true
	}},
	{"status -1", classProtocol, nil, func(s speaker) bool { s.status("-1"); return true }},
	{"status 0200", classProtocol, nil, func(s speaker) bool { s.status("0200"); return true }},
	{"status +200", classProtocol, nil, func(s speaker) bool { s.status("+200"); return true }},
	{"status 99", classProtocol, nil, func(s speaker) bool { s.status("99"); return true }},
	{"status 1200", classProtocol, nil, func(s speaker) bool { s.status("1200"); return true }},
	{"another protocol", classProtocol, nil, func(s speaker) bool {
		s.headers(flagNone, statusLine("101"))
		s.right()
		return true
	}},
	{"an interim answer, then closed", classClosedEarly, []string{classReset}, func(s speaker) bool {
		s.interim(1)
		time.Sleep(time.Millisecond)
		return false
	}},
	{"frames of unknown kinds", "", nil, func(s speaker) bool {
		s.c.Write(frame(0x0c, flagNone, 0, []byte("origin")))
		s.right()
		return true
	}},
	{"an answer without a status", classProtocol, nil, func(s speaker) bool {
		s.headers(flagEnd, literal("x-a", "b"))
		return true
	}},
}

// twoJob is a short phase of HTTP/2.
func twoJob(connections int, d time.Duration, url string) Job {
	job := closedJob(connections, d, url)
	job.Phase.HTTP2, job.Phase.BodyLimit = true, 3
	job.Workload = oneThing{"/", "ok"}
	return job
}

func TestFatesOfTwo(t *testing.T) {
	t.Parallel()
	for _, f := range fatesOfTwo {
		for _, model := range []string{Open, Closed} {
			t.Run(f.name+" "+model, func(t *testing.T) {
				t.Parallel()
				s := newHostile(t, &hostile{greet: speakTwo(f.fate)})
				job := twoJob(4, 150*ms, s.url())
				if f.class == classTimeout {
					job.Phase.Timeout = 100 * ms
				}
				if model == Open {
					job.Phase.Model, job.Phase.Rate = Open, 200
				}
				sum := collect(t, NewHTTP(), job)
				if sum.Books.Sent == 0 { // the machine slept through it
					job.Phase.Duration, job.Start = 3*time.Second, time.Now()
					sum = collect(t, NewHTTP(), job)
				}
				bounds(t, s, &sum)
				expected := sum.Outcomes[f.class]
				if f.class == "" {
					expected = sum.Books.OK
				}
				for _, other := range f.or {
					expected += sum.Outcomes[other]
				}
				if expected != sum.Books.Sent || expected == 0 || f.class == "" && sum.Books.OK == 0 {
					t.Errorf("%d of %d requests are %q or %q; outcomes %v", expected, sum.Books.Sent, f.class, f.or, sum.Outcomes)
				}
				if words := sum.Examples[classProtocol]; strings.Contains(words, errProtocol.Error()) || f.class == classProtocol && words == "" {
					t.Errorf("what is wrong in HTTP/2: %q", words)
				}
			})
		}
	}
}

// One request at a time goes over a connection, which is kept; and a pause longer than the time-out does not hurt it.
func TestTwoKeepsConnections(t *testing.T) {
	t.Parallel()
	s := newHostile(t, &hostile{greet: speakTwo(func(s speaker) bool { s.right(); return true })})
	job := twoJob(3, 2*time.Second, s.url())
	job.Phase.Timeout, job.Phase.Think = 400*ms, 500*ms
	sum := collect(t, NewHTTP(), job)
	if sum.Books.OK != sum.Books.Sent || sum.Books.OK < 6 || sum.Opened != 3 {
		t.Errorf("books %+v, outcomes %v, %d connections opened", sum.Books, sum.Outcomes, sum.Opened)
	}
	if got := s.requests.Load(); got != sum.Books.Sent || sum.Replicas["r-1"].Answers != got {
		t.Errorf("the server counts %d requests, %d were sent; replicas %v", got, sum.Books.Sent, sum.Replicas)
	}
	job = twoJob(3, 500*ms, s.url())
	job.Phase.Reconnect, job.Phase.Think = true, 10*ms
	if sum = collect(t, NewHTTP(), job); sum.Opened != sum.Books.Sent || sum.Books.OK != sum.Books.Sent {
		t.Errorf("a connection per request: books %+v, outcomes %v, %d opened", sum.Books, sum.Outcomes, sum.Opened)
	}
}

// A connection that its server has announced to leave is no error: another is opened.
func TestTwoFollowsGoingAway(t *testing.T) {
	t.Parallel()
	s := newHostile(t, &hostile{greet: speakTwo(func(s speaker) bool {
		s.right()
		time.Sleep(20 * ms)
		s.goAway()
		return true
	})})
	job := twoJob(3, time.Second, s.url())
	job.Phase.Think = 200 * ms
	if sum := collect(t, NewHTTP(), job); sum.Books.OK != sum.Books.Sent || sum.Books.OK < 6 || sum.Opened != sum.Books.Sent {
		t.Errorf("books %+v, outcomes %v, %d connections opened", sum.Books, sum.Outcomes, sum.Opened)
	}
}

// Connections that end before a stream begins are distinguished from what is not known.
func TestTwoConnectionsCut(t *testing.T) {
	t.Parallel()
	for name, greet := range map[string]func(*hostile, peer) bool{
		"closed at once": func(*hostile, peer) bool { return false },
		"reset at once":  func(_ *hostile, c peer) bool { return cut(c) },
		"reset after a while": func(_ *hostile, c peer) bool {
			io.ReadFull(c, make([]byte, len(preface)))
			return cut(c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sum := collect(t, NewHTTP(), twoJob(4, 300*ms, newHostile(t, &hostile{greet: greet}).url()))
			if n := sum.Outcomes[classReset] + sum.Outcomes[classClosedBefore]; n != sum.Books.Sent || n == 0 {
				t.Errorf("%d of %d are reset or closed; outcomes %v", n, sum.Books.Sent, sum.Outcomes)
			}
		})
	}
}

// An answer to HEAD is whole when its stream has ended, and not before.
func TestTwoHeadWithoutEnd(t *testing.T) {
	t.Parallel()
	s := newHostile(t, &hostile{greet: speakTwo(func(s speaker) bool { s.headers(flagNone, []byte{status200}); return true })})
	job := twoJob(2, 300*ms, s.url())
	job.Method, job.Phase.Timeout = "HEAD", 100*ms
	if sum := collect(t, NewHTTP(), job); sum.Books.Timeout != sum.Books.Sent || sum.Books.Sent == 0 {
		t.Errorf("books %+v, outcomes %v", sum.Books, sum.Outcomes)
	}
}

// Method, header and body arrive as they do in HTTP/1.1.
func TestTwoRequests(t *testing.T) {
	t.Parallel()
	s := newHostile(t, &hostile{greet: speakTwo(func(s speaker) bool { s.headers(flagEnd, []byte{status200}); return true })})
	for _, c := range []struct {
		method, body, target string
		ok                   bool
	}{
		{"HEAD", "", "/", true},
		{"POST", strings.Repeat("x", 60_000), "/a?b=%zz", true}, // more than a frame
		{"GET", "", "//x?y", true},                              // not a host
		{"GET", "", "//%zz", false},                             // net/http would take it for a host, and cannot be changed in that
	} {
		job := twoJob(1, 200*ms, s.url())
		job.Method, job.Body, job.Workload = c.method, []byte(c.body), oneThing{c.target, ""}
		sum := collect(t, NewHTTP(), job)
		if good := sum.Books.OK == sum.Books.Sent && sum.Books.OK > 0; good != c.ok || !c.ok && sum.Outcomes[classRequest] != sum.Books.Sent {
			t.Errorf("%s %s: books %+v, outcomes %v", c.method, c.target, sum.Books, sum.Outcomes)
		}
	}
}

// An interruption does not wait for answers, and the native engine refuses what it cannot speak.
func TestTwoEnds(t *testing.T) {
	t.Parallel()
	s := newHostile(t, &hostile{greet: speakTwo(func(s speaker) bool { return true })})
	ctx, cancel := context.WithTimeout(t.Context(), 200*ms)
	defer cancel()
	begun := time.Now()
	sum, err := runJob(ctx, t, NewHTTP(), twoJob(4, time.Minute, s.url()))
	if !errors.Is(err, context.DeadlineExceeded) || sum.Outcomes[classInterrupted] != 4 || time.Since(begun) > 2*time.Second {
		t.Errorf("%v after %v: outcomes %v", err, time.Since(begun), sum.Outcomes)
	}
	if err := NewRaw(1).Run(t.Context(), twoJob(1, ms, s.url()), func(stats.Window) {}); err == nil || !strings.Contains(fmt.Sprint(err), "HTTP/2") {
		t.Errorf("the native engine: %v", err)
	}
}

// What is asked for over HTTP/2 is the target as it stands.
func TestTwoTargets(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RequestURI) }))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	for _, target := range []string{"/", "//x", "//x//y?", "//127.0.0.1/x?a=//b", "///", "/a%2Fb?c=%zz", "/?"} {
		job := twoJob(1, 60*ms, server.URL)
		job.Workload, job.Phase.BodyLimit = oneThing{target, target}, 0
		if sum := collect(t, NewHTTP(), job); sum.Books.OK != sum.Books.Sent || sum.Books.OK == 0 {
			t.Errorf("%s: books %+v, outcomes %v", target, sum.Books, sum.Outcomes)
		}
	}
}
