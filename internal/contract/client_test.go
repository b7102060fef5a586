package contract

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func askOnce(t *testing.T, h http.HandlerFunc) answer {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	a := newAsker(hider(nil), time.Minute, Kept)
	defer a.close()
	return a.ask(t.Context(), http.MethodGet, server.URL, "/")
}

// A kept connection that breaks is a failure: net/http alone would send the
// request again, and the target's statement would be counted twice.
func TestAskerRepeatsNothing(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var requests, connections atomic.Int64
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for first := true; ; first = false {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					if len(r.TransferEncoding) > 0 || r.ContentLength != 0 {
						t.Errorf("a GET with a body: %v %d", r.TransferEncoding, r.ContentLength)
					}
					requests.Add(1)
					if !first {
						return
					}
					fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			}()
		}
	}()
	a := newAsker(hider(nil), time.Minute, Kept)
	defer a.close()
	base := "http://" + listener.Addr().String()
	if got := a.ask(t.Context(), http.MethodGet, base, "/"); got.err != nil {
		t.Fatal(got.err)
	}
	if got := a.ask(t.Context(), http.MethodGet, base, "/"); got.err == nil {
		t.Errorf("the second request, whose connection broke, was answered: %v", got)
	}
	if requests.Load() != 2 || connections.Load() != 1 {
		t.Errorf("%d requests over %d connections, want 2 over 1", requests.Load(), connections.Load())
	}
}

func TestAskerGivesUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + listener.Addr().String()
	listener.Close()
	a := newAsker(hider(nil), time.Minute, Kept)
	for i := range 5 {
		got := a.ask(t.Context(), http.MethodGet, base, "/")
		if got.err == nil || errors.Is(got.err, errGivenUp) != (i >= 3) {
			t.Errorf("request %d: %v", i, got.err)
		}
	}
}

func TestAskerEnds(t *testing.T) {
	a := newAsker(hider(nil), -time.Second, Kept)
	if got := a.ask(t.Context(), http.MethodGet, "http://127.0.0.1:1", "/"); !errors.Is(got.err, errTooLong) {
		t.Errorf("asked for longer than allowed: %v", got.err)
	}
}

// A secret is hidden in each form it may take, also where the cut would fall into it.
func TestHider(t *testing.T) {
	const secret = `pa"ss\word <&> ü?`
	hide := hider([]string{secret, ""})
	for _, form := range []string{secret, fmt.Sprintf("%q", secret), "p=" + url.QueryEscape(secret), url.PathEscape(secret)} {
		if got := hide.Replace("with " + form + " it"); strings.Contains(got, "word") || !strings.Contains(got, "***") {
			t.Errorf("%s shows as %s", form, got)
		}
	}
	encoded, err := json.Marshal(map[string]string{"dsn": secret})
	if err != nil {
		t.Fatal(err)
	}
	if got := hide.Replace(string(encoded)); got != `{"dsn":"***"}` {
		t.Errorf("%s shows as %s", encoded, got)
	}
	if hider(nil).Replace("text") != "text" {
		t.Error("without secrets a text changes")
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Repeat("x", 155)+secret)
	}))
	defer server.Close()
	a := newAsker(hide, time.Minute, Kept)
	defer a.close()
	if got := a.ask(t.Context(), http.MethodGet, server.URL, "/").String(); strings.Contains(got, "pa") || !strings.Contains(got, "x***") {
		t.Errorf("a cut secret: %s", got)
	}
}

func TestAskerTakesAnswersAsTheyAre(t *testing.T) {
	redirect := askOnce(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) })
	if redirect.err != nil || redirect.status != http.StatusFound {
		t.Errorf("redirect: %v", redirect)
	}
	long := askOnce(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", answerLimit+1)) })
	if long.err == nil || len(long.body) > answerLimit+1 {
		t.Errorf("a body beyond the limit: %v, %d bytes", long.err, len(long.body))
	}
	full := askOnce(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", answerLimit)) })
	if full.err != nil || len(full.body) != answerLimit {
		t.Errorf("a body of the limit: %v", full.err)
	}
	header := askOnce(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 2*answerLimit))
	})
	if header.err == nil {
		t.Error("a header beyond the limit was taken")
	}
	cut := askOnce(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		fmt.Fprint(w, "12345")
	})
	if cut.err == nil || !strings.Contains(cut.String(), "broke off after 5 bytes") {
		t.Errorf("a cut body: %v", cut)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a := newAsker(hider(nil), time.Minute, Kept).ask(ctx, http.MethodGet, "http://127.0.0.1:1", "/"); !errors.Is(a.err, context.Canceled) {
		t.Errorf("cancelled: %v", a.err)
	}
}

func TestDemoPathEscapes(t *testing.T) {
	for _, key := range []string{"abc", "a b+c&d=e%f#g?h/i", "é😀", "\x00\r\n", "\xff", `"'\`} {
		u, err := url.ParseRequestURI(demoPath(key))
		if err != nil {
			t.Fatal(err)
		}
		values, err := url.ParseQuery(u.RawQuery)
		if err != nil || values.Get("name") != key || len(values) != 1 {
			t.Errorf("%q arrives as %q: %v", key, values, err)
		}
	}
	if got := demoPath("aZ9"); got != "/demo?name=aZ9" {
		t.Errorf("letters and digits are escaped: %s", got)
	}
}

func TestWrongType(t *testing.T) {
	for given, wrong := range map[string]bool{
		"application/json":                    false,
		"application/json; charset=utf-8":     false,
		`Application/JSON;charset="UTF-8"`:    false,
		"application/json; charset=latin1":    true,
		"application/jsonp":                   true,
		"text/html":                           true,
		"":                                    true,
		"application/json, application/json":  true,
		"application/problem+json; version=1": true,
	} {
		a := answer{header: http.Header{"Content-Type": {given}}}
		if got := wrongType(a); (got != "") != wrong {
			t.Errorf("%q: %q", given, got)
		}
	}
}

// The requests of a check have the header of those under load, byte by byte: Host alone, and Connection: close where a phase
// closes connections.
func TestHeaderIsThatOfTheLoad(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	heads := make(chan string)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf, n := make([]byte, 4096), 0
				for {
					more, err := c.Read(buf[n:])
					if n += more; err != nil {
						return
					}
					if bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						heads <- string(buf[:n])
						n = 0
						_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
					}
				}
			}()
		}
	}()
	host := listener.Addr().String()
	kept := "GET /demo?name=x HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	closed := "GET /demo?name=x HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"
	for connections, want := range map[Connections][]string{Kept: {kept, kept}, Closed: {closed, closed}, KeptAndClosed: {kept, closed, kept, closed}} {
		ask := newAsker(hider(nil), time.Minute, connections)
		for i := range want {
			done := make(chan answer, 1)
			go func() { done <- ask.ask(t.Context(), http.MethodGet, "http://"+host, "/demo?name=x") }()
			if got := <-heads; got != want[i] {
				t.Errorf("connections %d, request %d: %q, want %q", connections, i+1, got, want[i])
			}
			if a := <-done; a.err != nil {
				t.Error(a.err)
			}
		}
		ask.close()
	}
}
