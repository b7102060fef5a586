package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bakeoff/internal/load/loadtest"
)

// A connection on which the server closed, or spoke, between two requests is not used again: no request is lost
// to it, and no bytes of it are taken for an answer.
func TestIdleConnectionIsLookedAt(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]func(c peer) (keep bool){
		"closed": func(peer) bool { return false },
		"a late second answer": func(c peer) bool {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nk1")
			return true
		},
		"a 408, then closed": func(c peer) bool {
			io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			return false
		},
		"no more writing": func(c peer) bool {
			if secret, ok := c.Conn.(*tls.Conn); ok {
				secret.CloseWrite() // says so in a record, and closes nothing
			} else {
				c.tcp.CloseWrite()
			}
			return true
		},
		"reset": cut,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onAll(t, func(t *testing.T, e Engine) {
				t.Parallel()
				s := serverFor(t, e, &hostile{fate: func(s *hostile, c peer, _ int64, name string) bool {
					if !s.answer(c, name) {
						return false
					}
					time.Sleep(10 * ms)
					return then(c)
				}})
				job := openJob(1, 8, time.Second, s.url())
				job.Phase.Arrivals = Constant
				sum := collect(t, e, job)
				// A busy machine may send the next request before the server has done what it does.
				crossed := sum.Outcomes[classClosedBefore] + sum.Outcomes[classReset] + sum.Outcomes[classExtra]
				if b := sum.Books; b.OK == 0 || b.OK+crossed != b.Sent || crossed > b.Sent/2 || sum.Opened != b.Sent {
					t.Errorf("%d opened, books %+v, outcomes %v", sum.Opened, b, sum.Outcomes)
				}
			})
		})
	}
}

// What TLS itself says between requests, such as tickets for a later session, is no reason to open a connection again.
func TestTicketsLeaveConnectionsAlone(t *testing.T) {
	pair := loadtest.NewAuthority(t).Pair(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	var opened atomic.Int64
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.FormValue("name")) }),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				opened.Add(1)
			}
		},
	}
	go server.Serve(l)
	defer server.Close()
	job := openJob(2, 100, 500*ms, "https://"+l.Addr().String())
	sum := collect(t, secured{NewHTTP()}, job)
	if b := sum.Books; b.OK != b.Sent || b.OK == 0 || sum.Opened > 2 || opened.Load() != sum.Opened {
		t.Errorf("%d opened, %d accepted, books %+v, outcomes %v", sum.Opened, opened.Load(), b, sum.Outcomes)
	}
}

// nginx closes idle connections over TLS as it does without: each request then opens one, and none is lost.
func TestNginxClosesIdleConnections(t *testing.T) {
	t.Parallel()
	cert, key := loadtest.NewAuthority(t).Issue(t, time.Now().Add(time.Hour))
	nginx := loadtest.StartNginxWith(t, loadtest.NginxOptions{KeepAlive: 20 * ms, Cert: cert, Key: key})
	onAll(t, func(t *testing.T, e Engine) {
		t.Parallel()
		url := nginx.URL
		if _, over := e.(secured); over {
			url = nginx.Secure
		}
		job := openJob(4, 10, 1500*ms, url)
		job.Phase.Arrivals, job.Workload = Constant, oneThing{target: "/", body: nginxSays("/")}
		sum := collect(t, e, job)
		if b := sum.Books; b.OK != b.Sent || b.OK == 0 || sum.Opened < b.Sent/2 {
			t.Errorf("%d opened, books %+v, outcomes %v", sum.Opened, b, sum.Outcomes)
		}
	})
}

// The table of framings holds on the wire, with TLS and without: the engine's own connection reads what it says there.
func TestFramingsOnTheWire(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			t.Parallel()
			var text atomic.Pointer[string]
			s := newHostile(t, &hostile{secure: secure, fate: func(_ *hostile, c peer, _ int64, _ string) bool {
				io.WriteString(c, *text.Load())
				if secret, ok := c.Conn.(*tls.Conn); ok {
					secret.CloseWrite()
				}
				c.tcp.CloseWrite()
				drain(c)
				return false
			}})
			for _, f := range framings {
				rest, head := strings.CutPrefix(f.text, "HEAD ")
				text.Store(&rest)
				want := f.nethttp
				if want == "" {
					want = f.raw
				}
				if strings.HasSuffix(want, " extra") {
					want = classExtra
				}
				if got := onTheWire(t, s.url(), head); got != want {
					t.Errorf("%s: on the wire it is %s, in the table %s", f.name, shorten(got), shorten(want))
				}
			}
		})
	}
}

// onTheWire is what the http engine's connection makes of one answer.
func onTheWire(t *testing.T, url string, head bool) string {
	t.Helper()
	job := closedJob(1, time.Second, url)
	job.TLS.Insecure, job.Phase.BodyLimit = true, testBodyLimit
	if head {
		job.Method = "HEAD"
	}
	if err := job.check(); err != nil {
		t.Fatal(err)
	}
	origins, err := job.origins()
	if err == nil {
		err = job.secure(origins)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{origin: &origins[0], job: &job, dial: new(net.Dialer).DialContext, stopped: new(atomic.Bool), head: http.Request{Method: job.Method}}
	defer c.close()
	deadline := time.Now().Add(10 * time.Second)
	if c.request, err = job.appendRequest(nil, c.origin, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := c.open(context.Background(), new(result), deadline); err != nil {
		t.Fatal(err)
	}
	r := result{checked: true}
	length, err := c.exchange(&r, deadline)
	v := reading{status: r.status}
	switch {
	case err == nil:
		v.body, v.closes = string(c.body[:length]), c.nc == nil
	default:
		v.class = classify(err)
	}
	return v.String()
}
