package cli_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/rogpeppe/go-internal/testscript"

	"bakeoff/internal/fleet"
	"bakeoff/internal/load/loadtest"
)

// loadServer is what the tests put load on. It notes every request.
type loadServer struct {
	*httptest.Server
	until chan struct{} // ends what hangs

	mu       sync.Mutex
	requests []string // method, target, host, header X-Test, body
}

func newLoadServer(t interface{ Cleanup(func()) }) *loadServer {
	s := &loadServer{until: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		close(s.until)
		s.Close()
	})
	return s
}

func (s *loadServer) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.requests = append(s.requests, fmt.Sprintf("%s %s %s %q %s", r.Method, r.RequestURI, r.Host, r.Header.Get("X-Test"), body))
	s.mu.Unlock()
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, "/status/"):
		code, _ := strconv.Atoi(path[len("/status/"):])
		w.Header().Set("Location", s.URL+"/elsewhere")
		w.WriteHeader(code)
	case path == "/hang":
		select {
		case <-s.until:
		case <-r.Context().Done():
		}
	case path == "/reset":
		conn, _, _ := w.(http.Hijacker).Hijack()
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	default:
		io.WriteString(w, "ok")
	}
}

// seen are the requests so far, in no order that means anything.
func (s *loadServer) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.requests))
}

// await waits until the server has seen that many requests.
func (s *loadServer) await(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); len(s.seen()) < n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the server has seen %d requests after a minute, want %d", len(s.seen()), n)
		}
	}
}

// loadJSON is what load prints with --json.
type loadJSON struct {
	Planned, Sent, OK, Bad, Timeout, Error, Dropped, Late, Queued int64

	Errors, Status map[string]int64
	Examples       map[string]string `json:"error_examples"`
	Start          time.Time
	Version        string
	Engine         string
	URLs           []string
	Method         string
	Rate           *float64
	Received       int64 `json:"received_bytes"`
	Written        int64 `json:"written_bytes"`
	Opened         int64 `json:"connections_opened"`
	ByURL          []struct {
		URL      string
		Sent, OK int64
		Status   map[string]int64
		Response map[string]*int64 `json:"response_time_ns"`
	} `json:"by_url"`
	Duration    int64   `json:"duration_ns"`
	Offered     float64 `json:"offered_rate"`
	Achieved    float64 `json:"achieved_rate"`
	Goodput     float64
	Response    map[string]*int64 `json:"response_time_ns"`
	Service     map[string]*int64 `json:"service_time_ns"`
	Lateness    map[string]*int64 `json:"lateness_ns"`
	Needed      map[string]int64  `json:"samples_needed"`
	Censored    []string
	CPU         int64  `json:"cpu_ns"`
	StartSpread *int64 `json:"start_spread_ns"`
	Valid       *bool
	Reasons     []string
	Limits      []map[string]any `json:"generator_limits"`
	Agents      []map[string]any
}

// loadRun is one execution of load.
type loadRun struct {
	*execution
	loadJSON
}

// load runs load --json, which may be invalid: this machine is shared. What
// holds for every result is checked.
func (s *scene) load(args ...string) loadRun {
	s.t.Helper()
	e := s.start(append([]string{"load", "--json"}, args...)...)
	select {
	case <-e.done:
	case <-time.After(3 * time.Minute):
		s.t.Fatalf("%v has not ended\n%s", args, e.stderr)
	}
	r := loadRun{e, readLoad(s.t, e.stdout.String())}
	switch status := e.cmd.ProcessState.ExitCode(); {
	case status == 0 && *r.Valid && len(r.Reasons) == 0:
	case status == 4 && !*r.Valid && len(r.Reasons) > 0:
	case status == 130 && !*r.Valid && strings.HasPrefix(r.Reasons[0], "interrupted"):
	default:
		s.t.Errorf("exit status %d, valid %v, reasons %v\n%s", status, *r.Valid, r.Reasons, e.stderr)
	}
	return r
}

// loadText runs load and returns what it prints for people; a busy machine may have the measurement refused.
func (s *scene) loadText(args ...string) string {
	s.t.Helper()
	e := s.start(append([]string{"load"}, args...)...)
	e.wantEnd(3 * time.Minute)
	refused := strings.Contains(e.stderr.String(), "bakeoff: error: the measurement is invalid: generator-limited: ")
	if status := e.cmd.ProcessState.ExitCode(); status != 0 && (status != 4 || !refused) {
		s.t.Errorf("%v: exit status %d\nstderr:\n%s", args, status, e.stderr)
	}
	return e.stdout.String()
}

// refused are the reasons of an invalid measurement that a busy machine does not explain.
func (r *loadJSON) refused() []string {
	return slices.DeleteFunc(slices.Clone(r.Reasons), func(why string) bool { return strings.HasPrefix(why, "generator-limited: ") })
}

// readLoad reads a result; its keys are exactly these, its books exact.
func readLoad(t *testing.T, text string) loadJSON {
	t.Helper()
	var raw map[string]json.RawMessage
	var r loadJSON
	dec := json.NewDecoder(strings.NewReader(text))
	if err := dec.Decode(&raw); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	delete(raw, "ramp")   // of a ramp
	delete(raw, "by_url") // of several URLs
	wantKeys(t, "result", raw, `method urls addresses model rate engine version start error_examples ok_response_time_ns ok_service_time_ns received_bytes written_bytes
		received_bytes_per_second written_bytes_per_second connections_opened requirements planned sent ok bad timeout error dropped late queued errors status duration_ns offered_rate achieved_rate
		goodput response_time_ns service_time_ns lateness_ns samples_needed censored cpu_ns start_spread_ns valid reasons generator_limits agents`)
	for _, times := range []string{"response_time_ns", "service_time_ns", "lateness_ns"} {
		var of map[string]json.RawMessage
		if err := json.Unmarshal(raw[times], &of); err != nil {
			t.Fatal(err)
		}
		wantKeys(t, times, of, "min mean p50 p90 p95 p99 p99.9 p99.99 max")
	}
	for _, list := range []string{"censored", "reasons", "generator_limits", "agents"} {
		if string(raw[list]) == "null" {
			t.Errorf("%s is null, want a list", list)
		}
	}
	r.check(t)
	return r
}

func wantKeys(t *testing.T, what string, got map[string]json.RawMessage, want string) {
	t.Helper()
	keys, wanted := slices.Sorted(maps.Keys(got)), strings.Fields(want)
	slices.Sort(wanted)
	if !slices.Equal(keys, wanted) {
		t.Errorf("%s has keys %v, want %v", what, keys, wanted)
	}
}

// check is what holds for every result.
func (r *loadJSON) check(t *testing.T) {
	t.Helper()
	if r.Planned != r.Sent+r.Dropped || r.Sent != r.OK+r.Bad+r.Timeout+r.Error {
		t.Errorf("books: %+v", r)
	}
	var failed, answered int64
	for _, n := range r.Errors {
		failed += n
	}
	for _, n := range r.Status {
		answered += n
	}
	if failed != r.Error || answered != r.OK+r.Bad {
		t.Errorf("errors %v and status %v do not add up: %+v", r.Errors, r.Status, r)
	}
	for _, times := range []map[string]*int64{r.Response, r.Service, r.Lateness} {
		for name, value := range times {
			if name[0] == 'p' && value == nil && r.Needed[name] == 0 {
				t.Errorf("%s is null and not in samples_needed %v", name, r.Needed)
			}
		}
	}
	if within := r.Goodput * float64(r.Duration) / 1e9; within > float64(r.OK)+0.5 || r.Goodput < 0 {
		t.Errorf("goodput %v over %d ns, of %d answers in all", r.Goodput, r.Duration, r.OK)
	}
	for rate, n := range map[float64]int64{r.Offered: r.Planned, r.Achieved: r.Sent} {
		if got := rate * float64(r.Duration) / 1e9; got-float64(n) > 0.5 || float64(n)-got > 0.5 {
			t.Errorf("rate %v over %d ns is not %d", rate, r.Duration, n)
		}
	}
}

// whole runs load on a server of its own until nothing was dropped: on a busy
// machine the last arrivals may come too late to be sent.
func (s *scene) whole(path string, args ...string) (loadRun, *loadServer) {
	s.t.Helper()
	for range 5 {
		server := newLoadServer(s.t)
		if r := s.load(append(args, server.URL+path)...); r.Dropped == 0 {
			return r, server
		}
	}
	s.t.Fatalf("%v dropped arrivals five times", args)
	return loadRun{}, nil
}

func TestLoadOpen(t *testing.T) {
	s, w := newScene(t), loadtest.Watch(t)
	r, server := s.whole("/x?y=z", "--rate", "250", "--duration", "2s", "--warmup", "1s")
	if r.Planned != 500 || r.Sent != 500 || r.OK != 500 || r.Duration != 2e9 || r.Offered != 250 || r.Achieved != 250 || r.Goodput > 250 {
		t.Errorf("result: %+v", r.loadJSON)
	}
	if worst, _ := w.Worst(); r.Goodput < 225-250*worst.Seconds() { // answers after the end are none within it
		t.Errorf("goodput %v; the machine left a witness waiting for %v", r.Goodput, worst)
	}
	if r.StartSpread != nil {
		t.Errorf("one agent started within %d ns of itself", *r.StartSpread)
	}
	if r.Status["200"] != 500 || r.CPU <= 0 || len(r.Censored) != 0 {
		t.Errorf("result: %+v", r.loadJSON)
	}
	if want := map[string]int64{"p90": 1000, "p95": 2000, "p99": 10_000, "p99.9": 100_000, "p99.99": 1_000_000}; !maps.Equal(r.Needed, want) {
		t.Errorf("samples needed: %v, want %v", r.Needed, want)
	}
	for name, value := range r.Response {
		if (value == nil) != (r.Needed[name] > 0) {
			t.Errorf("%s: known %v, needs %d", name, value != nil, r.Needed[name])
		}
	}
	if p50 := *r.Response["p50"]; p50 < *r.Response["min"] || p50 > *r.Response["max"] {
		t.Errorf("p50 %d is not within min and max", p50)
	}
	seen := server.seen()
	if len(seen) <= 500 || len(seen) > 750 { // 250 of the warm-up; some of them may be dropped
		t.Errorf("the server saw %d requests, want 750", len(seen))
	}
	host := strings.TrimPrefix(server.URL, "http://")
	if want := "GET /x?y=z " + host + ` "" `; seen[0] != want || seen[len(seen)-1] != want {
		t.Errorf("requests: %q and %q, want %q", seen[0], seen[len(seen)-1], want)
	}
}

func TestLoadClosed(t *testing.T) {
	server, s := newLoadServer(t), newScene(t)
	r := s.load("--connections", "8", "--duration", "1s", server.URL)
	if r.Planned != r.Sent || r.Sent == 0 || r.OK != r.Sent || r.Dropped != 0 || len(r.refused()) > 0 {
		t.Errorf("result: %+v", r.loadJSON)
	}
	if got := len(server.seen()); int64(got) != r.Sent {
		t.Errorf("the server saw %d requests, %d were sent", got, r.Sent)
	}
	for name, value := range r.Response {
		if service := r.Service[name]; (value == nil) != (service == nil) {
			t.Errorf("%s: response %v, service %v", name, value, service)
		}
	}
	text := s.loadText("--connections", "8", "--duration", "500ms", server.URL)
	wantAll(t, "text", text, "closed model: 8 connections for 500ms", "users would see", "service time", "answers by status", "generator: ")
	if strings.Contains(text, "response time") {
		t.Errorf("the closed model claims response times:\n%s", text)
	}
}

func TestLoadTimeouts(t *testing.T) {
	server, s := newLoadServer(t), newScene(t)
	r := s.load("--rate", "250", "--duration", "1s", "--timeout", "400ms", server.URL+"/hang")
	if r.Planned != 250 || r.Timeout+r.Dropped != 250 || r.Timeout < 200 || r.Error != 0 || len(r.Status) != 0 {
		t.Fatalf("result: %+v", r.loadJSON)
	}
	for _, times := range []map[string]*int64{r.Response, r.Service} {
		if p50 := times["p50"]; p50 == nil || *p50 != 4e8 {
			t.Errorf("p50 among time-outs is %v, want 400 ms", p50)
		}
	}
	if want := []string{"min", "mean", "p50", "max"}; !slices.Equal(r.Censored, want) {
		t.Errorf("censored: %v, want %v", r.Censored, want)
	}
}

// Errors of the server are measurements, and no invalid ones.
func TestLoadErrors(t *testing.T) {
	server, s := newLoadServer(t), newScene(t)
	r := s.load("--connections", "4", "--duration", "300ms", server.URL+"/reset")
	if r.Error != r.Sent || r.Sent == 0 || r.Errors["reset"] != r.Error || len(r.refused()) > 0 || r.Response["min"] != nil {
		t.Errorf("resets: %+v", r.loadJSON)
	}
	refusing := httptest.NewServer(nil)
	refusing.Close()
	r = s.load("--connections", "4", "--duration", "300ms", refusing.URL)
	if r.Error != r.Sent || r.Sent == 0 || r.Errors["refused"] != r.Error || len(r.refused()) > 0 {
		t.Errorf("refusals: %+v", r.loadJSON)
	}
	text := s.loadText("--connections", "4", "--duration", "300ms", refusing.URL)
	wantAll(t, "text", text, "failures, and whose fault they are", "the server's", "the connection was refused")
}

func TestLoadStatus(t *testing.T) {
	server, s := newLoadServer(t), newScene(t)
	for _, c := range []struct {
		path, expect string
		ok           bool
	}{
		{"/status/204", "2xx", true},
		{"/status/302", "2xx", false},
		{"/status/302", "2xx,302", true},
		{"/", "404", false},
		{"/status/503", "2xx", false},
		{"/status/404", "404,410", true},
	} {
		r := s.load("--connections", "2", "--duration", "200ms", "--expect-status", c.expect, server.URL+c.path)
		if r.Sent == 0 || r.Error != 0 || (r.OK == r.Sent) != c.ok || (r.Bad == r.Sent) == c.ok {
			t.Errorf("%s, expecting %s: %+v", c.path, c.expect, r.loadJSON)
		}
	}
	if slices.ContainsFunc(server.seen(), func(r string) bool { return strings.Contains(r, "elsewhere") }) {
		t.Error("a redirect was followed")
	}
}

// Keys are put in place whatever they hold; which request has which depends on the seed
// alone, not on the number of agents; and so does the plan.
func TestLoadKeysAndAgents(t *testing.T) {
	keys := []string{"plain", "a b", "50%", "/?&=#", "ä", `"'<>`, "{key}", ".."}
	escaped := []string{"plain", "a%20b", "50%25", "%2F%3F%26%3D%23", "%C3%A4", "%22%27%3C%3E", "%7Bkey%7D", ".."}
	s := newScene(t)
	file := s.write("keys", strings.Join(keys, "\n")+"\r\n\n")
	var plans [][]string
	for _, c := range [][]string{{"1", "7"}, {"2", "7"}, {"1", "8"}} {
		r, server := s.whole("/{key}?again={key}", "--rate", "200", "--duration", "1s", "--arrivals", "poisson",
			"--agents", c[0], "--seed", c[1], "--keys", file, "-H", "Host: nowhere.invalid")
		if c[0] != "1" {
			r.nothingLeft(time.Second)
		}
		var targets []string
		for _, request := range server.seen() {
			targets = append(targets, strings.Fields(request)[1])
		}
		if int64(len(targets)) != r.Planned || r.Planned < 100 || r.Planned > 300 {
			t.Errorf("agents %s, seed %s: %d requests of %d planned", c[0], c[1], len(targets), r.Planned)
		}
		plans = append(plans, targets)
	}
	s.noFiles()
	if !slices.Equal(plans[0], plans[1]) {
		t.Error("two agents ask for something else than one")
	}
	if slices.Equal(plans[0], plans[2]) {
		t.Error("another seed asks for the same")
	}
	var want []string
	for _, e := range escaped {
		want = append(want, "/"+e+"?again="+e)
	}
	slices.Sort(want)
	if got := slices.Compact(plans[0]); !slices.Equal(got, want) {
		t.Errorf("targets: %q, want %q", got, want)
	}
}

// Several URLs, also with different paths, share the connections.
func TestLoadRamp(t *testing.T) {
	s := newScene(t)
	r, _ := s.whole("", "--ramp", "0:200:2s")
	if r.Planned != 200 || r.Duration != 2e9 { // the triangle's area
		t.Errorf("planned %d in %d ns, want 200 in 2 s", r.Planned, r.Duration)
	}
	r, server := s.whole("", "--ramp", "100:200:1s", "--duration", "2s", "--warmup", "500ms")
	if r.Planned != 350 || r.Duration != 2e9 {
		t.Errorf("planned %d in %d ns, want 350 in 2 s", r.Planned, r.Duration)
	}
	if got := len(server.seen()); got <= 350 || got > 350+50 { // the warm-up runs at 100/s
		t.Errorf("the server saw %d requests, want 400", got)
	}
}

func TestLoadInterrupted(t *testing.T) {
	t.Parallel()
	for _, agents := range []string{"1", "2"} {
		t.Run(agents, func(t *testing.T) {
			server, s := newLoadServer(t), newScene(t)
			e := s.start("load", "--json", "--rate", "200", "--duration", "1m", "--agents", agents, server.URL)
			server.await(t, 300)
			if now := fleet.Priority(e.cmd.Process.Pid); agents == "1" && !strings.Contains(now, "real-time") && !strings.Contains(now, "time slices") {
				t.Errorf("it runs %s, not before what it loads", now)
			}
			e.signal(syscall.SIGINT)
			e.wantStatus(130, 15*time.Second)
			r := readLoad(t, e.stdout.String())
			if r.Sent < 300 || r.Sent > 2000 || r.Duration < 1e9 || r.Duration > 15e9 || *r.Valid || !strings.HasPrefix(r.Reasons[0], "interrupted after ") {
				t.Errorf("result: %+v", r)
			}
			wantAll(t, "stderr", e.stderr.String(), "bakeoff: error: interrupted\n")
			if agents != "1" {
				e.nothingLeft(0)
			}
			s.noFiles()
		})
	}
}

// A warm-up that is interrupted leaves a result with nothing in it.
func TestLoadInterruptedWarmup(t *testing.T) {
	server, s := newLoadServer(t), newScene(t)
	e := s.start("load", "--json", "--rate", "200", "--warmup", "1m", server.URL)
	server.await(t, 50)
	e.signal(syscall.SIGINT)
	e.wantStatus(130, 15*time.Second)
	if r := readLoad(t, e.stdout.String()); r.Planned != 0 || r.Duration != 0 || *r.Valid {
		t.Errorf("result: %+v", r)
	}
}

// Too few descriptors are the generator's fault: the measurement is invalid.
func TestLoadInvalid(t *testing.T) {
	server, s := newLoadServer(t), newScene(t)
	cmd := exec.Command("sh", "-c", `ulimit -n 40; exec "$0" "$@"`, s.self, "load", "--json", "--rate", "400", "--timeout", "1s", "--duration", "500ms", server.URL+"/hang")
	cmd.Env = s.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, _ := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); got != 4 {
		t.Fatalf("exit status %d, want 4: %s", got, &stderr)
	}
	refused := exec.Command("sh", "-c", `ulimit -n 40; exec "$0" "$@"`, s.self, "load", "--connections", "64", server.URL) // which is known before
	refused.Env = s.env
	if out, _ := refused.CombinedOutput(); refused.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "64 connections of a process are too many: its descriptors allow 24") {
		t.Errorf("64 connections with 40 descriptors: %s", out)
	}
	r := readLoad(t, string(stdout))
	if *r.Valid || r.Errors["descriptors"] == 0 || !strings.Contains(strings.Join(r.Reasons, "\n"), "lost because no descriptors were left") {
		t.Errorf("result: %+v", r)
	}
	wantAll(t, "stderr", stderr.String(), "bakeoff: error: the measurement is invalid: generator-limited: ")
}

// An agent that is killed makes the measurement invalid; what was measured is printed.
func TestLoadLostAgent(t *testing.T) {
	server, s := newLoadServer(t), newScene(t)
	e := s.start("load", "--json", "--rate", "200", "--duration", "30s", "--agents", "2", server.URL)
	server.await(t, 300)
	e.watcher.look(false)
	killed := false
	for _, pid := range e.watcher.marked() {
		if line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); strings.HasSuffix(string(line), "\x00agent\x00") && !killed {
			killed = syscall.Kill(pid, syscall.SIGKILL) == nil
		}
	}
	if !killed {
		t.Fatal("found no agent to kill")
	}
	e.wantStatus(4, 15*time.Second)
	e.nothingLeft(0)
	r := readLoad(t, e.stdout.String())
	if *r.Valid || !strings.Contains(strings.Join(r.Reasons, "\n"), "was lost: ") || r.Sent < 100 || r.Duration >= 30e9 {
		t.Errorf("result: %+v", r)
	}
}

func TestLoadFiles(t *testing.T) {
	server, s := newLoadServer(t), newScene(t)
	r := s.load("--rate", "100", "--duration", "2s", "--agents", "2", "--hlog", "a.hlog", "--hgrm", "a.hgrm", "--window-json", "a.jsonl", server.URL)
	if r.StartSpread == nil || *r.StartSpread < 0 || *r.StartSpread > 2e9 {
		t.Errorf("two agents started within %v ns of each other", r.StartSpread)
	}
	readHlog(t, s.path("a.hlog"), r)
	hgrm, err := os.ReadFile(s.path("a.hgrm"))
	if err != nil {
		t.Fatal(err)
	}
	wantAll(t, "hgrm", string(hgrm), "Percentile", "Total count    =          200]")
	lines, err := os.ReadFile(s.path("a.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	seen, planned := map[string]bool{}, int64(0)
	for line := range strings.Lines(string(lines)) {
		var w struct {
			Agent    int
			Begin    int64 `json:"begin_ns"`
			Length   int64 `json:"length_ns"`
			Books    struct{ Planned int64 }
			Response json.RawMessage
		}
		if err := json.Unmarshal([]byte(line), &w); err != nil || len(w.Response) == 0 {
			t.Fatalf("%q: %v", line, err)
		}
		seen[fmt.Sprint(w.Agent, float64(w.Begin)/1e9)] = true
		planned += w.Books.Planned
	}
	if planned != 200 || !seen["0 0"] || !seen["1 0"] || !seen["0 1"] || !seen["1 1"] {
		t.Errorf("windows %v plan %d, want 200", seen, planned)
	}
}

// readHlog reads the log with the library's own reader.
func readHlog(t *testing.T, path string, r loadRun) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader := hdrhistogram.NewHistogramLogReader(file)
	counts, last := map[string]int64{}, map[string]int64{}
	for {
		h, err := reader.NextIntervalHistogram()
		if err != nil {
			t.Fatal(err)
		}
		if h == nil {
			break
		}
		if h.StartTimeMs() <= last[h.Tag()] || time.Since(time.UnixMilli(h.StartTimeMs())) > time.Minute {
			t.Errorf("%s begins at %d ms, the one before at %d", h.Tag(), h.StartTimeMs(), last[h.Tag()])
		}
		last[h.Tag()] = h.StartTimeMs()
		counts[h.Tag()] += h.TotalCount()
	}
	if counts["response"] != r.Planned-r.Error || counts["service"] != r.Sent-r.Error || len(counts) != 2 {
		t.Errorf("samples %v, result %+v", counts, r.loadJSON)
	}
}

// TestLoadScripts are the scripts that need a server.
func TestLoadScripts(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/load",
		Setup: func(env *testscript.Env) error {
			server := newLoadServer(deferred{env})
			env.Setenv("BAKEOFF_ASSETS", root)
			env.Setenv("BAKEOFF_CACHE", filepath.Join(env.WorkDir, "cache"))
			env.Setenv("URL", server.URL)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
	})
}

// deferred makes the end of a script the time to clean up.
type deferred struct{ env *testscript.Env }

func (d deferred) Cleanup(f func()) { d.env.Defer(f) }

// exits runs a command that must end with a status: exits STATUS COMMAND... Where a busy machine has the measurement
// refused, it is made again.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	for range 5 {
		got = 0
		err = ts.Exec(args[1], args[2:]...)
		if exit, ok := err.(*exec.ExitError); ok {
			got = exit.ExitCode()
		} else {
			ts.Check(err)
		}
		if got != 4 {
			break
		}
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// pemOf is the server's certificate, which is its own authority.
func pemOf(server *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}
