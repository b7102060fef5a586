package load

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bakeoff/internal/load/loadtest"
)

// post is a job of one body on few connections.
func post(connections int, body []byte, url string) Job {
	job := closedJob(connections, 300*ms, url)
	job.Method, job.Body, job.Workload = http.MethodPost, body, oneThing{target: "/", body: ""}
	job.Phase.CheckShare, job.Phase.Timeout = 0, 20*time.Second
	return job
}

// A body of 10 MB arrives whole and in order, however slowly it is taken.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	body := bytes.Repeat([]byte("0123456789abcdef!"), 10<<20/17)
	want := sha256.Sum256(body)
	var whole, other atomic.Int64
	handle := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(20 * ms) // what the sockets hold is full by now
		sum := sha256.New()
		n, _ := io.Copy(sum, r.Body)
		if [32]byte(sum.Sum(nil)) == want && r.ContentLength == n && r.ContentLength == int64(len(body)) {
			whole.Add(1)
		} else {
			other.Add(1)
		}
	}
	onAll(t, func(t *testing.T, e Engine) {
		server := httptest.NewUnstartedServer(http.HandlerFunc(handle))
		if _, secure := e.(secured); secure {
			server.StartTLS()
		} else {
			server.Start()
		}
		defer server.Close()
		whole.Store(0)
		sum := collect(t, e, post(3, body, server.URL))
		b := sum.Books
		if b.OK == 0 || b.OK != b.Sent || whole.Load() != b.OK || other.Load() != 0 || sum.Opened > 3 || sum.Unwritten != 0 {
			t.Errorf("%d whole, %d others, %d opened, books %+v, outcomes %v %v", whole.Load(), other.Load(), sum.Opened, b, sum.Outcomes, sum.Examples)
		}
		if least := b.OK * int64(len(body)); sum.Written < least || sum.Written > least+b.OK*200 || sum.Received < 50*b.OK || sum.Received > 300*b.OK {
			t.Errorf("%d bytes written, at least %d are right; %d received in %d answers", sum.Written, least, sum.Received, b.OK)
		}
	})
}

// An answer that comes before a large request is written is an answer by its status, and the connection's last.
func TestEarlyAnswers(t *testing.T) {
	t.Parallel()
	const tooLarge = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
	onAll(t, func(t *testing.T, e Engine) {
		for name, c := range map[string]struct {
			status int
			fate   func(c peer, body io.Reader) (keep bool)
		}{
			"413, then closed": {413, func(c peer, _ io.Reader) bool { io.WriteString(c, tooLarge); time.Sleep(5 * ms); return false }},
			"413, then nothing is read": {413, func(c peer, _ io.Reader) bool {
				io.WriteString(c, tooLarge)
				time.Sleep(time.Second)
				return false
			}},
			"413, then all is read": {413, func(c peer, body io.Reader) bool {
				io.WriteString(c, tooLarge)
				_, err := io.Copy(io.Discard, body)
				return err == nil
			}},
			"413, after some of it": {413, func(c peer, body io.Reader) bool {
				io.CopyN(io.Discard, body, 300_000)
				io.WriteString(c, tooLarge)
				_, err := io.Copy(io.Discard, body) // whole where the agent had written all before it saw the answer
				return err == nil
			}},
			"200, then all is read": {200, func(c peer, body io.Reader) bool {
				io.WriteString(c, okLine+"Content-Length: 0\r\n\r\n")
				_, err := io.Copy(io.Discard, body)
				return err == nil
			}},
			"413, writing is closed": {413, func(c peer, _ io.Reader) bool {
				io.WriteString(c, tooLarge)
				c.tcp.CloseWrite()
				drain(c)
				return false
			}},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := serverFor(t, e, &hostile{greet: func(_ *hostile, p peer) bool {
					for in := bufio.NewReader(p); ; {
						if r, err := http.ReadRequest(in); err != nil || !c.fate(p, r.Body) {
							return false
						}
					}
				}})
				sum := collect(t, e, post(2, make([]byte, 16<<20), s.url()))
				if b := sum.Books; b.OK+b.Bad != b.Sent || sum.Status[c.status] != b.Sent || b.Sent == 0 || sum.Opened > b.Sent {
					t.Errorf("%d opened, books %+v, statuses %v, outcomes %v, %v", sum.Opened, b, sum.Status, sum.Outcomes, sum.Examples)
				}
			})
		}
	})
}

// nginx refuses a body that is too large for it before it has come.
func TestNginxRefusesLargeBodies(t *testing.T) {
	nginx := loadtest.StartNginxWith(t, loadtest.NginxOptions{Server: "client_max_body_size 1k; lingering_close off;"})
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			sum := collect(t, engine(), post(4, make([]byte, 8<<20), nginx.URL))
			if b := sum.Books; b.Bad != b.Sent || sum.Status[413] != b.Sent || b.Sent < 4 {
				t.Errorf("books %+v, statuses %v, outcomes %v, %v", b, sum.Status, sum.Outcomes, sum.Examples)
			}
		})
	}
}

// A method for which a body has a meaning says that there is none; others say nothing.
func TestLengthOfNoBody(t *testing.T) {
	for _, engine := range []func() Engine{engines["raw"], engines["net/http"]} {
		for method, want := range map[string]string{"POST": "0", "PUT": "0", "PATCH": "0", "GET": "", "DELETE": "", "OPTIONS": ""} {
			heard := make(chan string, 1000)
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heard <- strings.Join(r.Header["Content-Length"], ",") }))
			job := post(1, nil, server.URL)
			job.Method, job.Phase.Duration, job.Phase.Requests = method, job.Phase.Timeout, 5
			if b := collect(t, engine(), job).Books; b.OK == 0 || b.OK != b.Sent {
				t.Errorf("%s: %+v", method, b)
			}
			if got := <-heard; got != want {
				t.Errorf("%s says %q, want %q", method, got, want)
			}
			server.Close()
		}
	}
}

// Bytes are counted at both ends.
func TestBytes(t *testing.T) {
	onAll(t, func(t *testing.T, e Engine) {
		const answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
		s := serverFor(t, e, &hostile{fate: func(_ *hostile, c peer, _ int64, _ string) bool {
			_, err := io.WriteString(c, answer)
			return err == nil
		}})
		job := openJob(4, 100, 200*ms, s.url())
		job.Workload = oneThing{target: "/x", body: "hello"}
		sum := collect(t, e, job)
		request := int64(len("GET /x HTTP/1.1\r\nHost: \r\n\r\n") + len(s.listener.Addr().String()))
		if n := sum.Books.Sent; n == 0 || sum.Books.OK != n || sum.Received != n*int64(len(answer)) || sum.Written != n*request {
			t.Errorf("%d received and %d written in %d requests of %d bytes and answers of %d", sum.Received, sum.Written, n, request, len(answer))
		}
	})
}

// keyed puts the request's number into its places.
type keyed struct{ oneThing }

func (keyed) KeyMark() string                          { return "{k}" }
func (keyed) AppendKey(dst []byte, _, n uint64) []byte { return fmt.Appendf(dst, "key%d", n) }

// Keys are put into header and body, whose length says so, over HTTP/1.1 and HTTP/2; the rest of the header is as it was given.
func TestKeysInHeaderAndBody(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 20_000) + "{k}"
	for _, two := range []bool{false, true} {
		onPlain(t, func(t *testing.T, e Engine) {
			if _, raw := e.(*HTTP); two && !raw {
				return
			}
			for _, c := range []struct {
				header []Field
				body   string
			}{{[]Field{{"x-A", "<{k}> {k}"}, {"x-a", "b"}}, ""}, {nil, "{k}, {k} and {k}"}, {[]Field{{"Q", "{k}"}}, long}, {[]Field{{"Q", "plain"}}, "plain"}} {
				var mu sync.Mutex
				seen := map[string]bool{}
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					mu.Lock()
					defer mu.Unlock()
					seen[fmt.Sprintf("%q %q %s", r.Header["X-A"], r.Header["Q"], body)] = true
					if r.ContentLength != int64(len(body)) {
						t.Errorf("a length of %d for %d bytes", r.ContentLength, len(body))
					}
				}))
				server.Config.Protocols = new(http.Protocols)
				server.Config.Protocols.SetHTTP1(true)
				server.Config.Protocols.SetUnencryptedHTTP2(true)
				server.Start()
				job := post(2, []byte(c.body), server.URL)
				job.Phase.Model, job.Phase.Rate, job.Phase.Requests, job.Phase.HTTP2 = Open, 500, 12, two
				job.Workload, job.Header = keyed{oneThing{target: "/"}}, c.header
				sum := collect(t, e, job)
				server.Close()
				fill := func(text string, n int) string { return strings.ReplaceAll(text, "{k}", fmt.Sprintf("key%d", n)) }
				want := map[string]bool{}
				for n := range 12 {
					var a, q []string
					for _, f := range c.header {
						if f.Name == "Q" {
							q = append(q, fill(f.Value, n))
						} else {
							a = append(a, fill(f.Value, n))
						}
					}
					want[fmt.Sprintf("%q %q %s", a, q, fill(c.body, n))] = true
				}
				if sum.Books.OK != 12 || !maps.Equal(seen, want) {
					t.Errorf("HTTP/2 %v: books %+v, outcomes %v %v, seen %.300v", two, sum.Books, sum.Outcomes, sum.Examples, seen)
				}
			}
		})
	}
}

// Headers are sent as they are given: in their order, in their case, as often.
func TestHeaderAsGiven(t *testing.T) {
	onPlain(t, func(t *testing.T, e Engine) {
		heads := make(chan string, 1000)
		s := newHostile(t, &hostile{greet: func(_ *hostile, c peer) bool {
			b := make([]byte, 4096)
			n, _ := c.Read(b)
			heads <- string(b[:n])
			io.WriteString(c, okLine+"Connection: close\r\nContent-Length: 0\r\n\r\n")
			return false
		}})
		job := closedJob(1, 20*ms, s.url())
		job.Workload, job.Header = oneThing{target: "/"}, []Field{{"zZ-top", "1"}, {"accept", "a"}, {"zZ-top", "2"}, {"ACCEPT", "b,c"}}
		collect(t, e, job)
		want := "GET / HTTP/1.1\r\nHost: " + s.listener.Addr().String() + "\r\nzZ-top: 1\r\naccept: a\r\nzZ-top: 2\r\nACCEPT: b,c\r\n\r\n"
		if got := <-heads; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}
