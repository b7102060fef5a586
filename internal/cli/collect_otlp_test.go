package cli_test

import (
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"bakeoff/internal/export"
	"bakeoff/internal/export/exporttest"
)

// receiver takes OpenTelemetry's metrics, and keeps the last value of each counter of a name by its attributes.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	tokens map[string]bool
	last   map[string]map[string]int64
	when   map[string]uint64
	wrong  error
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{tokens: map[string]bool{}, last: map[string]map[string]int64{}, when: map[string]uint64{}}
	r.Server = httptest.NewServer(http.HandlerFunc(r.take))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens[req.Header.Get("Authorization")] = true
	var data metricspb.MetricsData
	zip, err := gzip.NewReader(req.Body)
	if err == nil {
		var text []byte
		if text, err = io.ReadAll(zip); err == nil {
			err = proto.Unmarshal(text, &data)
		}
	}
	if err != nil || req.URL.Path != "/v1/metrics" {
		r.wrong = cmp.Or(err, fmt.Errorf("asked for %s", req.URL.Path))
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for _, m := range data.ResourceMetrics[0].ScopeMetrics[0].Metrics {
		for _, p := range m.GetSum().GetDataPoints() {
			key := m.Name + fmt.Sprint(p.Attributes)
			if r.last[m.Name] == nil {
				r.last[m.Name] = map[string]int64{}
			}
			if p.TimeUnixNano >= r.when[key] {
				r.when[key], r.last[m.Name][key] = p.TimeUnixNano, p.GetAsInt()
			}
		}
	}
}

// sum is what all that has a counter has come to.
func (r *receiver) sum(name string) (sum int64) {
	for _, n := range r.last[name] {
		sum += n
	}
	return sum
}

// TestCollectOTLP writes a run in turns as OpenTelemetry's metrics while it lasts: its counts arrive, with the token of a
// file, which is nowhere in the run; and again by a command.
func TestCollectOTLP(t *testing.T) {
	exporttest.Needed(t)
	s := newScene(t)
	live, again := newReceiver(t), newReceiver(t)
	web := serve(t, s, "location /ping { return 200 pong; }")
	const token = "token-7f3a9c"
	s.write("token", token+"\n")
	s.write("p.yaml", serversText([][3]string{{"near", web.address + "/ping?x=1", ""}, {"far", web.address + "/ping?x=2", ""}},
		"turns: 150ms", `phases:
  - {name: closed, model: closed, connections: 4, duration: 1500ms, think: 5ms}
  - {name: open, model: open, rate: 100, connections: 8, duration: 1500ms}`, fmt.Sprintf("collect: {otlp: {url: %q, token_file: %q}}", live.URL, s.path("token"))))
	e := s.run(0, "run", "--short", "p.yaml")
	e.nothingLeft(time.Second)
	wantAll(t, "stderr", e.stderr.String(), "bakeoff: otlp at "+live.URL+": ", " points written\n")
	books := windowsOf(t, s.open())
	s.run(0, "export", "otlp", s.theRun(), "--url", again.URL)
	for name, r := range map[string]*receiver{"live": live, "afterwards": again} {
		if r.sum("bakeoff.requests.sent") != books.Sent || r.sum("bakeoff.requests.planned") != books.Planned || books.Sent == 0 || r.wrong != nil {
			t.Errorf("%s: sent %d, planned %d, %v; the record has %+v", name, r.sum("bakeoff.requests.sent"), r.sum("bakeoff.requests.planned"), r.wrong, books)
		}
	}
	if !live.tokens["Bearer "+token] || len(live.tokens) != 1 || again.tokens["Bearer "+token] {
		t.Errorf("live was sent %v, the other one %v", live.tokens, again.tokens)
	}
	if hits := grep(t, s.theRun(), token); len(hits) > 0 {
		t.Errorf("the token is in %v", hits)
	}
	s.write("headers", "Authorization: Basic hunter9\nX-Other: 1\n")
	s.run(0, "export", "otlp", s.theRun(), "--url", again.URL, "--headers-file", s.path("headers"))
	if !again.tokens["Basic hunter9"] {
		t.Errorf("with a file of headers it was sent %v", again.tokens)
	}
	s.write("headers", "X-Other: 1\nhunter9\n")
	if said := s.run(2, "export", "otlp", s.theRun(), "--url", again.URL, "--headers-file", s.path("headers")).stderr.String(); !strings.Contains(said, "headers:2 is not a header") || strings.Contains(said, "hunter9") {
		t.Errorf("said: %s", said)
	}
	s.run(2, "export", "otlp", s.theRun(), "--url", "http://metrics.example")
	s.write("token", "a\nb\n")
	s.run(2, "export", "otlp", s.theRun(), "--token-file", s.path("token"))
}

// moody is a collector that fails for a while, in every way in turn, then takes everything for a while, and so on.
type moody struct {
	mu    sync.Mutex
	began time.Time
	asked [2]int // while it took everything, and while it failed
}

// mood is how long each lasts.
const mood = 4 * time.Second

// failing reports whether it fails at a time.
func (m *moody) failing(at time.Time) bool { return at.Sub(m.began)/mood%2 == 1 }

func (m *moody) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	m.mu.Lock()
	failing, n := m.failing(time.Now()), m.asked[1]
	m.asked[map[bool]int{true: 1}[failing]]++
	m.mu.Unlock()
	switch {
	case !failing:
		io.Copy(io.Discard, req.Body)
		w.WriteHeader(http.StatusNoContent)
	case n%3 == 0:
		w.WriteHeader(http.StatusInternalServerError)
	case n%3 == 1:
		panic(http.ErrAbortHandler) // the connection is closed in the middle
	default:
		select {
		case <-req.Context().Done():
		case <-time.After(mood):
		}
	}
}

// TestCollectorDelaysNobody compares the agents' lateness in one run while its collector fails with that while it does not:
// windows of both alternate, so that whatever else the machine does comes to both.
func TestCollectorDelaysNobody(t *testing.T) {
	exporttest.Needed(t)
	s := newScene(t)
	m := &moody{began: time.Now()}
	collector := httptest.NewServer(m)
	defer collector.Close()
	web := serve(t, s, "location /ping { return 200 pong; }")
	s.write("p.yaml", serversText([][3]string{{"near", web.address + "/ping?x=1", ""}},
		"phases: [{name: open, model: open, rate: 400, arrivals: constant, connections: 16, duration: 32s}]", fmt.Sprintf("collect: {influxdb: {url: %q, database: live}}", collector.URL)))
	e := s.start("run", "p.yaml")
	e.wantEnd(3 * time.Minute)
	var late [2][]float64                             // p99 of each window's lateness in seconds
	planned, sent := map[int]int64{}, map[int]int64{} // by attempt
	for w, err := range export.Windows(s.open()) {
		if err != nil {
			t.Fatal(err)
		}
		planned[w.Attempt] += w.Line.Books.Planned
		sent[w.Attempt] += w.Line.Books.Sent
		end := w.At.Add(w.Line.Length)
		if m.failing(w.At) == m.failing(end) && w.Line.Lateness.Count() > 50 {
			p99, _ := w.Line.Lateness.Quantile(0.99)
			at := map[bool]int{true: 1}[m.failing(w.At)]
			late[at] = append(late[at], p99.Seconds())
		}
	}
	if m.asked[0] == 0 || m.asked[1] < 3 || len(late[0]) < 10 || len(late[1]) < 10 {
		t.Fatalf("asked %v times, %d and %d windows\nstderr:\n%s", m.asked, len(late[0]), len(late[1]), e.stderr)
	}
	well, failing := middle(late[0]), middle(late[1])
	t.Logf("median of the windows' p99 of lateness: %.0f us while the collector is well, %.0f us while it fails; %v sent, asked %v times", well*1e6, failing*1e6, sent, m.asked)
	if failing > 2*well+200e-6 {
		t.Errorf("agents are late by %.0f us while the collector fails, by %.0f us while it does not", failing*1e6, well*1e6)
	}
	for attempt, n := range planned {
		if n != 32*400 {
			t.Errorf("attempt %d: %d requests planned, not %d", attempt, n, 32*400)
		}
	}
	if last := lastAttempts(t, s.open())[0]; !busy(last.said) && sent[last.Attempt] < 32*400*98/100 {
		t.Errorf("%d requests sent of %d", sent[last.Attempt], 32*400)
	}
}

func middle(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}
