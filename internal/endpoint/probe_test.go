package endpoint

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bakeoff/internal/load"
)

// web answers with what its path says.
func web(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/500":
		w.WriteHeader(http.StatusInternalServerError)
	case "/moved":
		http.Redirect(w, r, "/", http.StatusFound)
	case "/closing":
		w.Header().Set("Connection", "close")
	case "/long":
		w.Write(make([]byte, load.DefaultBodyLimit+1))
	case "/cut":
		w.Header().Set("Content-Length", "10")
	case "/heard":
		io.WriteString(w, r.Host+" "+r.RequestURI)
		for name := range r.Header {
			io.WriteString(w, " "+name)
		}
		return
	}
	io.WriteString(w, "pong")
}

func probeOf(t *testing.T, url string) Probe {
	t.Helper()
	e, err := At(t.Context(), net.DefaultResolver, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return Probe{Endpoint: e, Status: 200, Connections: 2, Each: 3}
}

func TestProbe(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(web))
	defer server.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, c := range map[string]struct {
		url      string
		status   int
		body     string
		answered int
		failed   string   // the checks that do
		details  []string // of the checks, in order
	}{
		"right":           {server.URL + "/", 200, "pong", 6, "", []string{"6 of 6, 2 connections opened", "200 each time", `holds "pong" each time`}},
		"any body":        {server.URL, 200, "", 6, "", []string{"6 of 6", "200 each time"}},
		"as the engines":  {server.URL + "/heard?a=%20b", 200, " /heard?a=%20b", 6, "", []string{"6 of 6", "200", "holds"}},
		"no keep-alive":   {server.URL + "/closing", 200, "", 6, "", []string{"6 of 6, 6 connections opened", "200"}},
		"expected 302":    {server.URL + "/moved", 302, "", 6, "", []string{"6 of 6", "302 each time"}},
		"a redirect":      {server.URL + "/moved", 200, "", 6, "status", []string{"6 of 6", "302 in 6 of 6 answers, not 200"}},
		"a 500":           {server.URL + "/500", 200, "pong", 6, "status", []string{"6 of 6", "500 in 6 of 6 answers, not 200", "holds"}},
		"another body":    {server.URL + "/", 200, "ping", 6, "body", []string{"6 of 6", "200", `does not hold "ping" in 6 of 6 answers, it is "pong"`}},
		"down":            {gone.URL, 200, "", 0, "answers", []string{"dial tcp " + strings.TrimPrefix(gone.URL, "http://") + ": connect: connection refused"}},
		"a body too long": {server.URL + "/long", 200, "", 0, "answers", []string{"a body of more than 1048576 bytes"}},
		"a body cut":      {server.URL + "/cut", 200, "", 0, "answers", []string{"unexpected EOF"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			p := probeOf(t, c.url)
			p.Status, p.Body = c.status, c.body
			found, err := p.Check(t.Context(), "before")
			if err != nil || found.Answered != c.answered {
				t.Fatalf("%v, %d answered", err, found.Answered)
			}
			var failed []string
			for i, check := range found.Checks {
				if !check.OK {
					failed = append(failed, check.Name)
				}
				if i >= len(c.details) || !strings.Contains(check.Detail, c.details[i]) || check.When != "before" {
					t.Errorf("check %+v", check)
				}
			}
			if strings.Join(failed, " ") != c.failed || len(found.Checks) != len(c.details) {
				t.Errorf("failed %v of %+v", failed, found.Checks)
			}
			server.CloseClientConnections()
			goleak.VerifyNone(t, before)
		})
	}
}

// The probe sends what the engines send: no header but Host.
func TestProbeIsBare(t *testing.T) {
	heard := make(chan http.Header, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heard <- r.Header }))
	defer server.Close()
	if _, err := probeOf(t, server.URL).Check(t.Context(), "before"); err != nil {
		t.Fatal(err)
	}
	if h := <-heard; len(h) > 0 {
		t.Errorf("headers %v", h)
	}
}

// A probe that is interrupted ends at once, with the cause.
func TestProbeInterrupted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	if found, err := probeOf(t, server.URL).Check(ctx, "after"); !errors.Is(err, cause) {
		t.Errorf("%v, %+v", err, found)
	}
}

// The body of an answer is searched for the text; without one every body is right.
func TestRequestsJudgeBodies(t *testing.T) {
	for spec, want := range map[string][]string{
		`{"targets": [["/"]], "status": "200", "body": "ong"}`: {"", "wrong body", "wrong body"},
		`{"targets": [["/"]], "status": "200"}`:                {"", "", ""},
	} {
		w, err := NewRequests([]byte(spec))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, body := range []string{"pong", "ping", ""} {
			got = append(got, w.Check(0, 0, 200, []byte(body)))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", spec, got, want)
		}
	}
}
