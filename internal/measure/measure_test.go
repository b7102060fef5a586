package measure

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/endpoint"
	"bakeoff/internal/load"
	"bakeoff/internal/stats"
)

// window makes one of a second; response times are from 1 ms to n ms.
func window(second int, n int64) stats.Window {
	w := stats.Window{Begin: time.Duration(second) * time.Second, Length: time.Second, Books: stats.Books{Planned: n, Sent: n, OK: n}}
	w.Response, w.Service, w.Lateness = stats.NewHistogram(), stats.NewHistogram(), stats.NewHistogram()
	for i := range n {
		w.Response.Record(time.Duration(i+1) * time.Millisecond)
	}
	return w
}

// Seconds are passed on whole and in order, whichever agent is ahead.
func TestSeconds(t *testing.T) {
	var passed []int64
	next := 0
	s := seconds{agents: 2, pass: func(t *tally) {
		if t.Begin != time.Duration(next)*time.Second {
			passed = append(passed, -1)
		}
		next++
		passed = append(passed, t.Books.Planned)
	}}
	s.add(window(0, 1))
	s.add(window(1, 2))
	s.add(window(2, 4))
	if len(passed) != 0 {
		t.Errorf("passed on before both agents told theirs: %v", passed)
	}
	s.add(window(0, 10))
	s.add(window(1, 20))
	s.add(window(3, 8))
	s.flush()
	if want := []int64{11, 22, 4, 8}; !slices.Equal(passed, want) {
		t.Errorf("passed on %v, want %v", passed, want)
	}
}

func TestFiguresOfCensored(t *testing.T) {
	h := stats.NewHistogram()
	h.RecordN(10*time.Millisecond, 300)
	for range 100 {
		h.RecordOver(time.Second)
	}
	got := map[string]figure{}
	for _, f := range figures(h) {
		got[f.name] = f
	}
	for name, want := range map[string]struct {
		value    time.Duration
		censored bool
	}{"min": {10 * time.Millisecond, false}, "p50": {10 * time.Millisecond, false}, "max": {time.Second, true}, "mean": {257500 * time.Microsecond, true}} {
		f := got[name]
		if !f.known || f.censored != want.censored || (f.value-want.value).Abs() > want.value/500 {
			t.Errorf("%s is %+v, want %+v", name, f, want)
		}
	}
	if f := got["p90"]; f.known || f.needs != 1000 || f.text() != "-" {
		t.Errorf("p90 of 400 samples: %+v", f)
	}
	for _, f := range figures(stats.NewHistogram()) {
		if f.known || f.text() != "-" {
			t.Errorf("%s of nothing is known: %+v", f.name, f)
		}
	}
}

// More outcomes than a window names do not disturb the sum of the errors.
func TestErrorsOfManyStatuses(t *testing.T) {
	s := newTally(0)
	s.Books = stats.Books{Planned: 20, Sent: 20, Bad: 12, Timeout: 1, Error: 7}
	s.Outcomes = map[string]int64{"status 500": 9, "timeout": 1, "reset": 5, "other": 5} // 3 statuses among the last
	if got := s.errors(); len(got) != 2 || got["reset"] != 5 || got["other"] != 2 {
		t.Errorf("errors: %v", got)
	}
}

// What a lost agent left open is closed, so that the books hold.
func TestCloseBooks(t *testing.T) {
	s := newTally(0)
	s.Books = stats.Books{Planned: 10, Sent: 8, OK: 5, Error: 1}
	s.Outcomes = map[string]int64{"reset": 1}
	s.closeBooks()
	if err := s.Books.Exact(); err != nil || s.Books.Dropped != 2 || s.Books.Error != 3 || s.errors()[agentLost] != 2 {
		t.Errorf("%v: %+v, errors %v", err, s.Books, s.errors())
	}
	if whose, _ := fault(agentLost); whose != load.Ours {
		t.Errorf("a lost agent is the fault of %s", whose)
	}
}

// The whole page, of a load with everything in it.
func TestLoadText(t *testing.T) {
	work, err := endpoint.NewRequests([]byte(`{"targets": [["/x"], ["/y"]], "status": "2xx"}`))
	if err != nil {
		t.Fatal(err)
	}
	j := &Job{URLs: []string{"http://127.0.0.1:8080/x", "http://127.0.0.1:8080/y"}, Agents: 2, Workload: work}
	j.Task.Engine = "native"
	j.Warmup.Duration = 5 * time.Second
	j.Phase = load.Phase{Model: load.Open, Rate: 1200, Arrivals: load.Poisson, Connections: 256, Duration: 10 * time.Second, Timeout: time.Second}
	m := newMeasurement(j.Phase, 2, nil)
	m.passed = j.Phase.Duration
	w := stats.Window{
		Books:     stats.Books{Planned: 12_000, Sent: 11_900, Dropped: 100, OK: 11_000, Bad: 500, Timeout: 300, Error: 100, Late: 7, Queued: 1234},
		Status:    map[int]int64{200: 11_000, 503: 500},
		Outcomes:  map[string]int64{"status 503": 500, "timeout": 300, "refused": 60, "ports": 40},
		Lost:      map[string]int64{"ports": 40},
		Unwritten: 100, Opened: 256, CPU: 2 * time.Second,
		Response: stats.NewHistogram(), Service: stats.NewHistogram(), Lateness: stats.NewHistogram(),
	}
	w.Examples = map[string]string{"refused": "connection refused by 127.0.0.1:8080", "ports": "cannot assign requested address (127.0.0.1:8080)\x1b[2J"}
	w.Received, w.Written = 14_000_000, 900_000
	w.BadResponse, w.BadService = stats.NewHistogram(), stats.NewHistogram()
	w.BadResponse.RecordN(time.Millisecond, 500)
	w.BadService.RecordN(800*time.Microsecond, 500)
	w.Response.RecordN(time.Millisecond, 500)
	w.Service.RecordN(800*time.Microsecond, 500)
	w.Response.RecordN(2*time.Millisecond, 11_000)
	w.Service.RecordN(1500*time.Microsecond, 11_000)
	one := stats.URL{OK: 5_900, Timeout: 50, Status: map[int]int64{200: 5_900}, Response: stats.NewHistogram(), Service: stats.NewHistogram()}
	one.Response.RecordN(2*time.Millisecond, 5_900)
	other := stats.URL{OK: 5_100, Bad: 500, Timeout: 250, Error: 100, Status: map[int]int64{200: 5_100, 503: 500}, Response: stats.NewHistogram(), Service: stats.NewHistogram()}
	other.Response.RecordN(3*time.Millisecond, 5_600)
	w.URLs = map[int]stats.URL{0: one, 1: other}
	w.Lateness.RecordN(80*time.Microsecond, 11_900)
	for range 400 {
		w.Response.RecordOver(time.Second)
	}
	for range 300 {
		w.Service.RecordOver(time.Second)
	}
	m.total.Add(w)
	m.agents[1].Add(w)
	m.lost = []string{"agent 0 was lost: it froze"}
	spread := 34 * time.Millisecond
	m.spread = &spread
	var b strings.Builder
	if err := WriteText(&b, j, m, m.Result(j)); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "page.golden")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the page is\n%s\nwant\n%s", &b, want)
	}
	m.interrupted, m.passed, m.lost = true, 3*time.Second, nil
	b.Reset()
	if err := WriteText(&b, j, m, m.Result(j)); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); !strings.Contains(text, "\nInterrupted after 3s of 10s: ") || strings.Contains(text, "INVALID") {
		t.Errorf("the page of an interrupted load is\n%s", text)
	}
}

// Goodput is that of the answers that came while requests were sent; cut short, of those that came until then.
func TestGoodputOfAMeasurement(t *testing.T) {
	for name, c := range map[string]struct {
		ended   time.Duration // after the start
		stop    bool
		windows []int64 // ok in each second
		want    float64
	}{
		"to its end":  {4 * time.Second, false, []int64{1, 1, 2, 2}, 4.0 / 3},
		"interrupted": {1500 * time.Millisecond, true, []int64{3, 6}, 6},
	} {
		m := newMeasurement(load.Phase{Model: load.Closed, Duration: 3 * time.Second}, 1, nil)
		ctx, cancel := context.WithCancel(t.Context())
		err := m.run(ctx, film{c.windows, c.ended, c.stop, cancel}, nil)
		cancel()
		if r := m.Result(&Job{}); err != nil || math.Abs(r.Goodput-c.want) > 1e-9 {
			t.Errorf("%s: %v, goodput %v, want %v", name, err, r.Goodput, c.want)
		}
	}
}

// film is a generator that plays the seconds of one agent, and may be cut short.
type film struct {
	ok    []int64
	ended time.Duration
	stop  bool
	cut   context.CancelFunc
}

func (f film) Run(ctx context.Context, _ load.Phase, sink func(int, stats.Window)) (Ending, error) {
	for second, n := range f.ok {
		sink(0, stats.Window{Begin: time.Duration(second) * time.Second, Length: time.Second, Books: stats.Books{Planned: n, Sent: n, OK: n}})
	}
	if f.stop {
		f.cut()
	}
	began := time.Now()
	return Ending{Began: began, Ended: began.Add(f.ended)}, ctx.Err()
}

// Waiting for a connection is the server's doing only where there were enough of them.
func TestWhyQueued(t *testing.T) {
	m := newMeasurement(load.Phase{Model: load.Open, Connections: 100, Duration: 10 * time.Second}, 1, nil)
	m.passed = 10 * time.Second
	for busy, want := range map[float64]string{90: "while the server paused", 499: "while the server paused", 501: "(--connections)", 1000: "(--connections)"} {
		m.total.InFlight = &busy
		if got := m.whyQueued(); !strings.Contains(got, want) {
			t.Errorf("%v connections in use on average: %q, want %q", busy/10, got, want)
		}
	}
	m.total.InFlight = nil
	if got := m.whyQueued(); !strings.Contains(got, "(--connections)") {
		t.Errorf("where it is not known: %q", got)
	}
}

// A number of requests that the time did not allow is said to be one.
func TestCutShort(t *testing.T) {
	for name, c := range map[string]struct {
		asked, planned int64
		passed         time.Duration
		interrupted    bool
		want           string
	}{
		"no number":       {0, 2, time.Second, false, ""},
		"all of them":     {4, 4, time.Second, false, ""},
		"not all of them": {4, 2, time.Second, false, ", not all of 4 requests: --duration 1s was over"},
		"interrupted":     {4, 2, time.Second, true, ""},
		"an agent lost":   {4, 2, time.Second / 2, false, ""},
	} {
		m := newMeasurement(load.Phase{Requests: c.asked, Duration: time.Second}, 1, nil)
		m.passed, m.interrupted, m.total.Books.Planned = c.passed, c.interrupted, c.planned
		if got := m.cutShort(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
