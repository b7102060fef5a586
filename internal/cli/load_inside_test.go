package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"

	"bakeoff/internal/consent"
	"bakeoff/internal/endpoint"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/stats"
)

// names is a resolver that gives every name the same addresses and notes what it is asked.
type names struct {
	known []string
	asked []string
}

func (n *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.asked = append(n.asked, host)
	var out []netip.Addr
	for _, a := range n.known {
		out = append(out, netip.MustParseAddr(a))
	}
	if out == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return out, nil
}

// What a name leads to decides, not the name; a name without consent is not even looked up.
func TestAimAtNames(t *testing.T) {
	for _, c := range []struct {
		url     string
		allowed []string
		known   []string // addresses of the URL's host
		dial    string   // empty: refused
		asked   bool
	}{
		{"http://fine.example/", []string{"fine.example"}, []string{"127.0.0.7"}, "127.0.0.7:80", true},
		{"https://FINE.example/x", []string{"fine.example"}, []string{"127.0.0.7"}, "127.0.0.7:443", true},
		{"http://private.example:81/", []string{"private.example"}, []string{"10.0.0.1"}, "10.0.0.1:81", true},
		{"http://mapped.example/", []string{"mapped.example"}, []string{"::ffff:10.0.0.1"}, "10.0.0.1:80", true},
		{"http://unasked.example/", []string{"fine.example"}, []string{"127.0.0.1"}, "", false},
		{"http://meta.example/", []string{"meta.example"}, []string{"169.254.169.254"}, "", true},
		{"http://meta.example/", []string{"meta.example"}, []string{"::ffff:169.254.169.254"}, "", true},
		{"http://both.example/", []string{"both.example"}, []string{"127.0.0.1", "169.254.169.254"}, "", true},
		{"http://many.example/", []string{"many.example"}, []string{"224.0.0.1"}, "", true},
		{"http://all.example/", []string{"all.example"}, []string{"255.255.255.255"}, "", true},
		{"http://none.example/", []string{"none.example"}, []string{"0.0.0.0"}, "", true},
		{"http://gone.example/", []string{"gone.example"}, nil, "", true},
		{"http://localhost:82/", nil, []string{"127.0.0.1"}, "127.0.0.1:82", true},
		{"http://localhost/", nil, []string{"10.0.0.1"}, "", true},
		{"http://localhost/", []string{"10.0.0.2"}, []string{"10.0.0.1"}, "", true},
		{"http://10.0.0.1/", []string{"10.0.0.1"}, nil, "10.0.0.1:80", false},
		{"http://[::1]:83/", nil, nil, "[::1]:83", false},
	} {
		n := &names{known: c.known}
		a, err := aimAt(t.Context(), n, c.url, c.allowed)
		if (err == nil) != (c.dial != "") || a.Dial != c.dial {
			t.Errorf("%s -> %v: dials %q, %v; want %q", c.url, c.known, a.Dial, err, c.dial)
		}
		if asked := len(n.asked); asked > 1 || (asked == 1) != c.asked {
			t.Errorf("%s: looked up %v", c.url, n.asked)
		}
		if err == nil && a.Base != c.url[:len(a.Base)] {
			t.Errorf("%s: base %q", c.url, a.Base)
		}
		if err != nil && c.known != nil && exitStatus(err) != exitUsage {
			t.Errorf("%s: %v has status %d", c.url, err, exitStatus(err))
		}
	}
}

// moved is a resolver whose answer changes after the first time.
type moved struct{ asked int }

func (m *moved) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	m.asked++
	if m.asked == 1 {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("169.254.169.254")}, nil
}

// insideFlags are those of a command line.
func insideFlags(t *testing.T, l consent.Resolver, args ...string) *loadFlags {
	t.Helper()
	set := pflag.NewFlagSet("load", pflag.ContinueOnError)
	f := &loadFlags{lookup: l, given: set.Changed}
	f.register(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

// A name is looked up once; the server behind it hears its name. No goroutine outlives the load.
func TestLoadAlone(t *testing.T) {
	for _, engine := range engineNames() {
		t.Run(engine, func(t *testing.T) {
			hosts := make(chan string, 1)
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				select {
				case hosts <- r.Host:
				default: // one is enough
				}
			}))
			defer server.Close()
			_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
			before, priority := goleak.IgnoreCurrent(), fleet.Priority(os.Getpid())
			l := &moved{}
			f := insideFlags(t, l, "--rate", "200", "--duration", "1s", "--connections", "8", "--allow-host", "moving.example", "--json", "--engine", engine)
			var out, errs strings.Builder
			err := runLoad(t.Context(), Env{Stdout: &out, Stderr: &errs, Guest: true}, f, []string{"http://moving.example:" + port + "/"})
			if err != nil && !errors.Is(err, errInvalidLoad) {
				t.Fatalf("%v\n%s", err, &errs)
			}
			var r loadResult
			if err := json.Unmarshal([]byte(out.String()), &r); err != nil || r.Planned != 200 || r.OK < 190 {
				t.Errorf("%v, %d ok of %d", err, r.OK, r.Planned)
			}
			if host := <-hosts; host != "moving.example:"+port || l.asked != 1 {
				t.Errorf("the server heard %q, looked up %d times", host, l.asked)
			}
			if now := fleet.Priority(os.Getpid()); now != priority {
				t.Errorf("it ran %s and now runs %s: this process is not its own", priority, now)
			}
			server.CloseClientConnections()
			goleak.VerifyNone(t, before)
		})
	}
}

// An interrupted load leaves no goroutine either, and its result.
func TestLoadAloneInterrupted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	var out strings.Builder
	err := runLoad(ctx, Env{Stdout: &out, Stderr: io.Discard, Guest: true}, insideFlags(t, net.DefaultResolver, "-c", "8", "--json"), []string{server.URL})
	if exitStatus(err) != exitInterrupted {
		t.Errorf("exit status %d: %v", exitStatus(err), err)
	}
	var r loadResult
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil || r.Sent != 8 || r.Errors["interrupted"] != 8 || r.Valid {
		t.Errorf("%v, result %+v", err, r)
	}
	server.CloseClientConnections()
	goleak.VerifyNone(t, before)
}

// window makes one of a second; response times are from 1 ms to n ms.
func window(second int, n int64) load.Window {
	w := load.Window{Second: second, Books: stats.Books{Planned: n, Sent: n, OK: n}}
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
	s := seconds{agents: 2, pass: func(second int, t *tally) {
		if second != next {
			passed = append(passed, -1)
		}
		next++
		passed = append(passed, t.books.Planned)
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
	s := newTally()
	s.books = stats.Books{Planned: 20, Sent: 20, Bad: 12, Timeout: 1, Error: 7}
	s.outcomes = map[string]int64{"status 500": 9, "timeout": 1, "reset": 5, "other": 5} // 3 statuses among the last
	if got := s.errors(); len(got) != 2 || got["reset"] != 5 || got["other"] != 2 {
		t.Errorf("errors: %v", got)
	}
}

// What a lost agent left open is closed, so that the books hold.
func TestCloseBooks(t *testing.T) {
	s := newTally()
	s.books = stats.Books{Planned: 10, Sent: 8, OK: 5, Error: 1}
	s.outcomes["reset"] = 1
	s.closeBooks()
	if err := s.books.Exact(); err != nil || s.books.Dropped != 2 || s.books.Error != 3 || s.errors()[agentLost] != 2 {
		t.Errorf("%v: %+v, errors %v", err, s.books, s.errors())
	}
	if whose, _ := fault(agentLost); whose != load.Ours {
		t.Errorf("a lost agent is the fault of %s", whose)
	}
}

func TestSpanAndNumber(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", 999: "999 ns", 1000: "1.00 us", 99_949: "99.9 us", 99_950: "100 us", 999_499: "999 us", 999_500: "1.00 ms",
		12_345_678: "12.3 ms", 999_499_999: "999 ms", time.Second: "1.00 s", 90 * time.Second: "90.0 s", 1000 * time.Second: "1000 s",
	} {
		if got := span(d); got != want {
			t.Errorf("%d ns is %q, want %q", d, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.25: "1,234,567.3", 12.04: "12", 0.25: "0.3"} {
		if got := number(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

// The whole page, of a load with everything in it.
func TestLoadText(t *testing.T) {
	work, err := endpoint.NewRequests([]byte(`{"targets": [["/x"]], "status": "2xx"}`))
	if err != nil {
		t.Fatal(err)
	}
	j := &loadJob{urls: []string{"http://127.0.0.1:8080/x"}, agents: 2, Workload: work}
	j.task.Engine = "native"
	j.warmup.Duration = 5 * time.Second
	j.phase = load.Phase{Model: load.Open, Rate: 1200, Arrivals: load.Poisson, Connections: 256, Duration: 10 * time.Second, Timeout: time.Second}
	m := newMeasurement(j.phase, 2, nil)
	m.passed = j.phase.Duration
	w := load.Window{
		Books:     stats.Books{Planned: 12_000, Sent: 11_900, Dropped: 100, OK: 11_000, Bad: 500, Timeout: 300, Error: 100, Late: 7, Queued: 1234},
		Status:    map[int]int64{200: 11_000, 503: 500},
		Outcomes:  map[string]int64{"status 503": 500, "timeout": 300, "refused": 60, "ports": 40},
		Lost:      map[string]int64{"ports": 40},
		Unwritten: 100, Opened: 256, CPU: 2 * time.Second,
		Response: stats.NewHistogram(), Service: stats.NewHistogram(), Lateness: stats.NewHistogram(),
	}
	w.Response.RecordN(2*time.Millisecond, 11_500)
	w.Service.RecordN(1500*time.Microsecond, 11_500)
	w.Lateness.RecordN(80*time.Microsecond, 11_900)
	for range 400 {
		w.Response.RecordOver(time.Second)
	}
	for range 300 {
		w.Service.RecordOver(time.Second)
	}
	m.total.add(w)
	m.agents[1].add(w)
	m.lost = []string{"agent 0 was lost: it froze"}
	spread := 34 * time.Millisecond
	m.spread = &spread
	var b strings.Builder
	if err := writeLoadText(&b, j, m, m.result()); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "load", "page.golden")
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
	if err := writeLoadText(&b, j, m, m.result()); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); !strings.Contains(text, "\nInterrupted after 3s of 10s: ") || strings.Contains(text, "INVALID") {
		t.Errorf("the page of an interrupted load is\n%s", text)
	}
}
