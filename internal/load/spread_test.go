package load

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// paths asks each URL for a path of its own.
type paths struct{ echoWork }

func (paths) AppendTargetOf(dst []byte, url int, _, _ uint64) []byte {
	return fmt.Appendf(dst, "/%d", url)
}
func (paths) Check(uint64, uint64, int, []byte) string { return "" }

// asked is a server that counts what it is asked for, and the connections that come.
type asked struct {
	*httptest.Server
	mu    sync.Mutex
	paths map[string]int64
	peers map[string]bool
}

func newAsked(t *testing.T) *asked {
	a := &asked{paths: map[string]int64{}, peers: map[string]bool{}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.paths[r.URL.Path]++
		a.peers[r.RemoteAddr] = true
		a.mu.Unlock()
		if r.URL.Path == "/3" {
			w.WriteHeader(http.StatusTeapot)
		}
		io.WriteString(w, "ok")
	}))
	t.Cleanup(a.Close)
	return a
}

// Each URL is asked as often as any other, whatever the connections, models and agents.
func TestEveryURLIsAsked(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"net/http", "raw"} {
		for _, model := range []string{Open, Closed} {
			for _, agents := range []int{1, 2} {
				t.Run(fmt.Sprintf("%s %s %d", engine, model, agents), func(t *testing.T) {
					t.Parallel()
					a := newAsked(t)
					job := openJob(4, 400, 500*ms, slices.Repeat([]string{a.URL}, 10)...)
					job.Phase.Model, job.Phase.Arrivals, job.Workload = model, Constant, paths{}
					sum := collectAll(t, engines[engine](), agents, job)
					if b := sum.Books; b.OK+b.Bad != b.Sent || b.OK < 20 || sum.URLs[3].OK != 0 || sum.URLs[3].Bad != b.Bad || sum.URLs[4].Bad != 0 || sum.Opened > 4 {
						t.Fatalf("%d opened, books %+v, outcomes %v", sum.Opened, b, sum.Outcomes)
					}
					// Open: every ten arrivals ask for all ten; a busy machine may drop some. Closed: each connection goes round.
					apart := int64(4)
					if model == Open {
						apart = 1 + sum.Books.Dropped
					}
					var counts []int64
					for i := range 10 {
						counts = append(counts, a.paths[fmt.Sprintf("/%d", i)])
					}
					if slices.Min(counts) == 0 || slices.Max(counts)-slices.Min(counts) > apart {
						t.Errorf("asked %v", counts)
					}
				})
			}
		}
	}
}

// Several servers: each has connections of every agent's, or the job is refused.
func TestSpreadOverServers(t *testing.T) {
	urls := []string{"http://127.0.0.1:1/a", "http://127.0.0.1:2", "http://127.0.0.1:1/b", "http://127.0.0.1:3", "https://127.0.0.1:1"}
	job := openJob(8, 100, time.Second, urls...)
	if err := job.check(); err != nil {
		t.Fatal(err)
	}
	s, err := job.spread()
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{0, 1, 3, 4}; !slices.Equal(s.servers, want) || !slices.Equal(s.order, []int{0, 1, 2, 3, 0}) || !slices.Equal(s.urls[0], []int{0, 2}) {
		t.Errorf("servers %v of %v, order %v, URLs %v", s.servers, want, s.order, s.urls)
	}
	for agents := 1; agents <= 5; agents++ {
		seen := map[int]int{}
		job.Phase.Connections = 4 * agents
		for n := range uint64(1000) {
			if n%uint64(agents) == 0 { // the first agent's
				seen[s.open(n)]++
			}
		}
		for url := range urls {
			if got, want := seen[url], 1000/agents/len(urls); got < want*6/10 || got > want*14/10 {
				t.Errorf("%d agents: the first asks for URL %d %d times, want about %d", agents, url, got, want)
			}
		}
		for index := range agents {
			mine := job
			mine.Share = Share{index, agents}
			servers := map[int]bool{}
			for _, c := range mine.connections() {
				servers[s.serverOf(c, Open, mine.Share)] = true
			}
			if len(servers) != 4 {
				t.Errorf("agent %d of %d reaches %d servers of 4", index, agents, len(servers))
			}
		}
	}
	for _, c := range []struct {
		connections, agents int
		model               string
		ok                  bool
	}{{4, 1, Open, true}, {3, 1, Open, false}, {7, 2, Open, false}, {8, 2, Open, true}, {4, 2, Closed, true}, {3, 1, Closed, false}} {
		job.Phase.Connections, job.Phase.Model, job.Share = c.connections, c.model, Share{0, c.agents}
		if err := job.Check(); (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "are needed") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// No more connections are opened than are needed: the one used last is used next.
func TestConnectionsAsNeeded(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, e Engine) {
		t.Parallel()
		s, other := serverFor(t, e, &hostile{fate: fates[0].fate}), serverFor(t, e, &hostile{fate: fates[0].fate})
		job := openJob(256, 50, 2*time.Second, s.url(), other.url())
		job.Phase.Arrivals = Constant
		sum := collect(t, e, job)
		// A busy machine delays answers, so that further connections are needed.
		if b := sum.Books; b.OK != b.Sent || b.OK < 50 || sum.Opened < 2 || sum.Opened > 2+10 {
			t.Errorf("%d connections opened for %d requests; outcomes %v", sum.Opened, b.Sent, sum.Outcomes)
		}
	})
}

// A socket of this machine is as good as an address, and takes no port.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.FormValue("name")+"@"+r.Host) })}
	go server.Serve(l)
	onPlain(t, func(t *testing.T, e Engine) {
		job := openJob(8, 200, 500*ms, "http://www.example.org")
		job.Dial, job.Workload = []string{"unix:" + path}, named{}
		sum := collect(t, e, job)
		if b := sum.Books; b.OK == 0 || b.OK != b.Sent || sum.Opened < 1 || sum.Resources.Ports != 0 {
			t.Errorf("books %+v, outcomes %v, %v; %d ports", b, sum.Outcomes, sum.Examples, sum.Resources.Ports)
		}
	})
	server.Close()
	onPlain(t, func(t *testing.T, e Engine) {
		job := openJob(1, 50, 100*ms, "http://www.example.org")
		job.Dial = []string{"unix:" + path}
		sum := collect(t, e, job)
		if b := sum.Books; b.Error != b.Sent || sum.Outcomes[classUnreachable]+sum.Outcomes[classRefused] != b.Sent || !strings.Contains(sum.Examples[classUnreachable]+sum.Examples[classRefused], path) {
			t.Errorf("books %+v, outcomes %v, %v", b, sum.Outcomes, sum.Examples)
		}
	})
}

// named wants the host in the answer, too.
type named struct{ echoWork }

func (named) Check(_, n uint64, _ int, body []byte) string {
	if string(body) != fmt.Sprintf("k%d@www.example.org", n) {
		return "wrong body"
	}
	return ""
}
