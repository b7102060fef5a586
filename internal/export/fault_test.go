package export

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// fake is an InfluxDB that keeps what it takes as the real one does: the last value of each field of each point.
type fake struct {
	// fault may answer in its place: request n, from 1, of that many lines. Nil, nil: it takes them. took has it take
	// them before it answers.
	fault func(r *http.Request, n int, lines []string) (*http.Response, error)

	version string // 1.8.10 if empty
	front   int    // answers of 502 to /ping before the first of its own, as of a proxy
	query   int    // status of queries, 200 if 0
	made    bool   // a database, by a query
	status  string // of the run that is played; complete if empty

	mu       sync.Mutex
	path     string // of the last write, with its query
	requests int
	most     int // lines of one request
	points   map[string]map[string]string
	times    []time.Time // of requests
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	version := cmp.Or(f.version, "1.8.10")
	switch {
	case r.URL.Path == "/ping" && f.front > 0:
		f.front--
		return reply(http.StatusBadGateway, "no upstream", nil), nil
	case r.URL.Path == "/ping":
		return reply(http.StatusNoContent, "", http.Header{"X-Influxdb-Version": {version}}), nil
	case r.URL.Path == "/query" && version[0] == '1':
		f.made = f.query == 0
		return reply(cmp.Or(f.query, http.StatusOK), `{"results":[{"statement_id":0}]}`, nil), nil
	}
	if r.URL.Path != "/write" && r.URL.Path != "/api/v2/write" {
		return nil, fmt.Errorf("asked for %s", r.URL.Path)
	}
	f.path = r.URL.String()
	if r.URL.Query().Get("precision") != "ns" {
		return nil, errors.New("no precision")
	}
	zip, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	f.requests++
	f.most = max(f.most, len(lines))
	f.times = append(f.times, time.Now())
	if f.fault != nil {
		if res, err := f.fault(r, f.requests, lines); res != nil || err != nil {
			return res, err
		}
	}
	f.take(lines)
	return reply(http.StatusNoContent, "", nil), nil
}

func reply(status int, text string, header http.Header) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(text))}
}

// take keeps lines.
func (f *fake) take(lines []string) {
	if f.points == nil {
		f.points = map[string]map[string]string{}
	}
	for _, line := range lines {
		key, fields := split(line)
		if f.points[key] == nil {
			f.points[key] = map[string]string{}
		}
		maps.Copy(f.points[key], fields)
	}
}

// split parses a line: what identifies its point, and its fields.
func split(line string) (key string, fields map[string]string) {
	end := strings.LastIndexByte(line, ' ')
	at := 0
	for line[at] != ' ' || line[at-1] == '\\' {
		at++
	}
	fields = map[string]string{}
	quoted, begin := false, at+1
	for i := begin; i <= end; i++ {
		switch {
		case line[i] == '"' && line[i-1] != '\\':
			quoted = !quoted
		case (line[i] == ',' || i == end) && !quoted:
			name, value, _ := strings.Cut(line[begin:i], "=")
			fields[name] = value
			begin = i + 1
		}
	}
	return line[:at] + line[end:], fields
}

// A server may say by seconds or by a date when it is to be asked again; more than a minute is not obeyed.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 6, 30, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "-5": 0, "7": 7 * time.Second, "3600": time.Minute, "9223372036854775807": time.Minute, "soon": 0,
		"Mon, 23 Nov 2026 06:30:09 GMT": 9 * time.Second, "Mon, 23 Nov 2026 07:30:00 GMT": time.Minute, "Mon, 23 Nov 2026 06:29:00 GMT": 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

const lasts = 20 // seconds of load

// play writes a run of two trials while time goes by: two agents, a window a second each.
func play(t *testing.T, w *record.Writer, status string) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, target := range []string{"a", "b"} {
		tw, err := w.BeginTrial(1, i+1, target, 1)
		check(err)
		p := record.Phase{Number: 1, Name: "closed", Model: "closed", Connections: 8, DurationS: lasts, TimeoutS: 10, Started: time.Now().UTC()}
		rng := rand.New(rand.NewPCG(1, 2))
		for second := range lasts {
			time.Sleep(time.Second)
			for agent := range 2 {
				check(tw.Load(recordtest.Window(rng, p, second, agent, 20, []record.Replica{{Name: target + "-1"}, {Name: target + "-2"}})))
			}
		}
		p.Ended = time.Now().UTC()
		check(tw.Finish(record.Trial{Status: record.Valid, Started: p.Started, Ended: p.Ended, Phases: []record.Phase{p}}))
	}
	check(w.Finish(status, ""))
}

// live plays a run that is written to a server at the same time, and returns its folder, what became of its points, and how
// long the end took.
func live(t *testing.T, f *fake) (dir string, counts Counts, took time.Duration) {
	t.Helper()
	return follows(t, f.influx(SchemaBoth), cmp.Or(f.status, record.Complete))
}

// follows plays a run that ends so, into a collector.
func follows(t *testing.T, to Sink, status string) (dir string, counts Counts, took time.Duration) {
	t.Helper()
	r := recordtest.Of(1, "a", "b")
	r.Head.Plan = []byte(`{"phases":[{"name":"closed","model":"closed","connections":8}]}`)
	w := r.Begin(t)
	feed, err := Start(t.Context(), w.Dir(), to, func(text string) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	play(t, w, status)
	if d := time.Since(began); d != 2*lasts*time.Second {
		t.Errorf("the run took %v, its load takes %v", d, 2*lasts*time.Second)
	}
	ended := time.Now()
	counts, err = feed.Finish()
	if err != nil {
		t.Error(err)
	}
	return w.Dir(), counts, time.Since(ended)
}

func (f *fake) influx(schema string) Influx {
	return Influx{URL: "http://127.0.0.1:1", Database: "x", Schema: schema, transport: f}
}

// fault is one way in which a server can fail.
type fault struct {
	name string
	do   func(r *http.Request, n int, lines []string) (*http.Response, error)
	// want is what must have become of the points; their number is given.
	want func(c Counts, all int64) bool
	// requests is how many there may be at most.
	requests int
}

var errRefusedConnection = errors.New("connect: connection refused")

// always answers the same.
func alwaysStatus(status int, text string) func(*http.Request, int, []string) (*http.Response, error) {
	return func(*http.Request, int, []string) (*http.Response, error) { return reply(status, text, nil), nil }
}

func whole(c Counts, all int64) bool    { return c.Written == all && c.Whole() }
func nothing(c Counts, all int64) bool  { return c.Written == 0 && c.Left == all }
func refusing(c Counts, all int64) bool { return c.Written == 0 && c.Refused == all }

func faults() []fault {
	return []fault{
		{"well", nil, whole, 60},
		{"absent", func(*http.Request, int, []string) (*http.Response, error) { return nil, errRefusedConnection }, nothing, 20},
		{"absent at the start", func(_ *http.Request, n int, _ []string) (*http.Response, error) {
			if n <= 4 {
				return nil, errRefusedConnection
			}
			return nil, nil
		}, whole, 60},
		{"dies and comes back", func(_ *http.Request, n int, _ []string) (*http.Response, error) {
			if n > 5 && n < 9 {
				return nil, errRefusedConnection
			}
			return nil, nil
		}, whole, 60},
		{"hangs", func(r *http.Request, _ int, _ []string) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, nothing, 20},
		{"hangs from the third request on", func(r *http.Request, n int, _ []string) (*http.Response, error) {
			if n <= 2 {
				return nil, nil
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, func(c Counts, all int64) bool { return c.Written > 0 && c.Left > 0 && c.Written+c.Left == all }, 20},
		{"400", alwaysStatus(400, "unable to parse"), refusing, 200},
		{"401", alwaysStatus(401, "unauthorized access"), nothing, 20},
		{"413", func(_ *http.Request, _ int, lines []string) (*http.Response, error) {
			if len(lines) > 3 {
				return reply(413, "Request Entity Too Large", nil), nil
			}
			return nil, nil
		}, whole, 600},
		{"429", func(_ *http.Request, n int, _ []string) (*http.Response, error) {
			if n%2 == 1 {
				return reply(429, "too many", http.Header{"Retry-After": {"1"}}), nil
			}
			return nil, nil
		}, whole, 60},
		{"500", alwaysStatus(500, "engine: error"), nothing, 20},
		{"500 three times", func(_ *http.Request, n int, _ []string) (*http.Response, error) {
			if n <= 3 {
				return reply(500, "engine: error", nil), nil
			}
			return nil, nil
		}, whole, 60},
		{"ten times slow", func(r *http.Request, _ int, _ []string) (*http.Response, error) {
			time.Sleep(2 * time.Second)
			return nil, r.Context().Err()
		}, whole, 60},
		{"absent until shortly before the end", func() func(*http.Request, int, []string) (*http.Response, error) {
			var first time.Time
			return func(_ *http.Request, n int, _ []string) (*http.Response, error) {
				if n == 1 {
					first = time.Now()
				}
				if time.Since(first) < (2*lasts-8)*time.Second {
					return nil, errRefusedConnection
				}
				return nil, nil
			}
		}(), whole, 60},
		{"takes what it can parse", func(r *http.Request, _ int, lines []string) (*http.Response, error) {
			for _, line := range lines {
				if strings.HasPrefix(line, "bakeoff_phases") && strings.Contains(line, "target=a") {
					return reply(400, `{"error":"partial write: unable to parse 'x': invalid boolean dropped=0"}`, nil), nil
				}
			}
			return nil, nil
		}, func(c Counts, all int64) bool { return c.Refused == 1 && c.Written == all-1 && c.Left == 0 }, 80},
		{"one point it never takes", func(_ *http.Request, _ int, lines []string) (*http.Response, error) {
			for _, line := range lines {
				if strings.HasPrefix(line, "bakeoff_phases") && strings.Contains(line, "target=a") {
					return reply(400, "field type conflict", nil), nil
				}
			}
			return nil, nil
		}, func(c Counts, all int64) bool { return c.Refused == 1 && c.Written == all-1 && c.Left == 0 }, 80},
	}
}

// TestFaults follows a run, in virtual time, into servers that fail in every way: the run takes as long as it takes, the end
// at most 10 s more, every point is accounted for, and afterwards the whole run can be written without doubles.
func TestFaults(t *testing.T) {
	for _, c := range faults() {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{fault: c.do}
				dir, counts, took := live(t, f)
				all := int64(len(points(t, dir, SchemaBoth)))
				if took > 10*time.Second {
					t.Errorf("the end took %v", took)
				}
				if !c.want(counts, all) || counts.Written+counts.Refused+counts.Left != all || all < 200 {
					t.Errorf("%d points: %+v", all, counts)
				}
				if f.requests > c.requests || f.most > mostLines {
					t.Errorf("%d requests of up to %d lines", f.requests, f.most)
				}
				f.fault = nil
				after, err := Backfill(t.Context(), dir, f.influx(SchemaBoth), func(string) {})
				if err != nil || after.Written != all || !after.Whole() {
					t.Errorf("afterwards: %+v, %v", after, err)
				}
				f.holds(t, dir)
			})
		})
	}
}

// holds compares what a server has with what the run is made into.
func (f *fake) holds(t *testing.T, dir string) {
	t.Helper()
	want := &fake{}
	for _, p := range points(t, dir, SchemaBoth) {
		want.take(strings.Split(strings.TrimSuffix(string(p.line(nil)), "\n"), "\n"))
	}
	if len(want.points) != len(f.points) {
		t.Errorf("%d points are there, the run has %d", len(f.points), len(want.points))
	}
	var count float64
	for key, fields := range want.points {
		if !maps.Equal(fields, f.points[key]) {
			t.Fatalf("%s: %v, want %v", key, f.points[key], fields)
		}
		if strings.HasPrefix(key, "jmeter,") && strings.Contains(key, "statut=all,transaction=all") {
			x, err := strconv.ParseFloat(fields["count"], 64)
			if err != nil {
				t.Fatal(err)
			}
			count += x
		}
	}
	if count != 2*2*20*lasts {
		t.Errorf("the sum of count is %v, sent were %d", count, 2*2*20*lasts)
	}
}

// TestAborted has every point of a run that did not end as it should, all of whose record has been read.
func TestAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{status: record.Aborted}
		dir, counts, took := live(t, f)
		if all := int64(len(points(t, dir, SchemaBoth))); !whole(counts, all) || took > 2*time.Second {
			t.Errorf("%d points after %v: %+v", all, took, counts)
		}
		f.holds(t, dir)
	})
}

// broken ends an answer in its middle.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
func (broken) Close() error             { return nil }

// TestHalves covers servers that take what they then do not confirm: half of it, or all of it in an answer that breaks off.
func TestHalves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.fault = func(_ *http.Request, n int, lines []string) (*http.Response, error) {
			switch n % 3 {
			case 1:
				f.take(lines)
				return &http.Response{StatusCode: 204, Header: http.Header{}, Body: broken{}}, nil
			case 2:
				f.take(lines[:len(lines)/2])
				return reply(400, fmt.Sprintf(`{"error":"partial write: points beyond retention policy dropped=%d"}`, len(lines)-len(lines)/2), nil), nil
			}
			return nil, nil
		}
		dir, counts, took := live(t, f)
		all := int64(len(points(t, dir, SchemaBoth)))
		if took > 10*time.Second || counts.Refused == 0 || counts.Written == 0 || counts.Written+counts.Refused+counts.Left != all || counts.Retries == 0 {
			t.Errorf("%d points after %v: %+v", all, took, counts)
		}
		f.fault = nil
		if after, err := Backfill(t.Context(), dir, f.influx(SchemaBoth), func(string) {}); err != nil || !after.Whole() {
			t.Errorf("afterwards: %+v, %v", after, err)
		}
		f.holds(t, dir)
	})
}

// TestBackfillGivesUp ends with an error where the server never takes anything, and waits longer from attempt to attempt.
func TestBackfillGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: alwaysStatus(503, "starting")}
		dir := recordtest.Of(1, "a").Write(t)
		counts, err := Backfill(t.Context(), dir, f.influx(SchemaBakeoff), func(string) {})
		if err == nil || counts.Written > 0 || counts.Left == 0 || f.requests != 8 || !strings.Contains(err.Error(), "status 503: starting") {
			t.Errorf("%d requests, %+v, %v", f.requests, counts, err)
		}
		if first, last := f.times[1].Sub(f.times[0]), f.times[7].Sub(f.times[6]); first < leastWait/2 || last < 8*leastWait {
			t.Errorf("waited %v at first and %v at last", first, last)
		}
	})
}

// TestBoundedMemory leaves a long run to a server that hangs: no more waits than docs/collectors.md says.
func TestBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sending, halt := context.WithCancel(t.Context())
		fake := &fake{fault: func(*http.Request, int, []string) (*http.Response, error) {
			<-sending.Done()
			return nil, sending.Err()
		}}
		to := fake.influx(SchemaBakeoff)
		to.Timeout = time.Hour
		s, err := to.connect()
		if err != nil {
			t.Fatal(err)
		}
		f, queue := &Feed{}, make(chan batch, mostBatches)
		go (&sender{taker: s, feed: f, tell: func(string) {}}).all(sending, queue)
		var waiting, batches int
		into := f.into(sending, queue)
		p := &packer{hand: func(b batch) error {
			waiting += len(b.text)
			batches++
			return into(b)
		}}
		read := 0
		go func() {
			defer close(queue)
			for ; read < 20_000; read++ {
				p.put(Point{"m", nil, []Field{{"text", strings.Repeat("x", 1000)}}, time.Unix(int64(read), 0)}.line(nil))
			}
			p.flush()
		}()
		synctest.Wait()
		if waiting > 5<<20+batches<<10 || waiting < mostBytes*mostBatches || batches != mostBatches+2 || read == 20_000 {
			t.Errorf("%d bytes in %d batches wait, of %d points", waiting, batches, read)
		}
		halt()
		synctest.Wait()
		if f.counts.Left != 20_000 {
			t.Errorf("%+v", f.counts)
		}
	})
}

// TestSecretsStay looks for the password in what is sent to be seen, and in errors.
func TestSecretsStay(t *testing.T) {
	f := &fake{fault: func(r *http.Request, _ int, _ []string) (*http.Response, error) {
		if user, password, ok := r.BasicAuth(); !ok || user != "me" || password != "hunter2" || strings.Contains(r.URL.String(), "hunter2") {
			return nil, fmt.Errorf("asked as %q", r.URL)
		}
		return reply(401, "no", nil), nil
	}}
	to := f.influx(SchemaBakeoff)
	to.User, to.Password = "me", "hunter2"
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		_, err := Backfill(context.Background(), recordtest.Of(1, "a").Write(t), to, func(text string) { said.WriteString(text) })
		if text := fmt.Sprint(err) + said.String(); strings.Contains(text, "hunter2") || !strings.Contains(text, "status 401") {
			t.Errorf("said: %s", text)
		}
	})
}

// TestBegins covers what a server says of itself and of the database before it takes anything.
func TestBegins(t *testing.T) {
	missing := func(f *fake) func(*http.Request, int, []string) (*http.Response, error) {
		return func(*http.Request, int, []string) (*http.Response, error) {
			if !f.made {
				return reply(404, `{"error":"database not found: \"x\""}`, nil), nil
			}
			return nil, nil
		}
	}
	for _, c := range []struct {
		name    string
		fake    *fake
		missing bool // the database
		schema  string
		want    func(c Counts, f *fake) bool
	}{
		{"a user who may only write", &fake{query: 403}, false, SchemaBakeoff, func(c Counts, f *fake) bool { return c.Whole() && c.Written > 0 && c.Retries == 0 }},
		{"no database", &fake{}, true, SchemaBakeoff, func(c Counts, f *fake) bool { return c.Whole() && f.made && c.Retries == 0 }},
		{"no database, and no right to make it", &fake{query: 403}, true, SchemaBakeoff, func(c Counts, f *fake) bool {
			return c.Written == 0 && c.Left > 0 && strings.Contains(c.Cause, "create database") && strings.Contains(c.Cause, "403")
		}},
		{"a proxy whose server is not up", &fake{front: 2, version: "v3.0.1"}, false, SchemaBoth, func(c Counts, f *fake) bool {
			return c.Whole() && c.Retries == 2 && f.has("jmeter,application=none")
		}},
		{"version 3, without JMeter's", &fake{version: "v3.0.1"}, false, SchemaBakeoff, func(c Counts, f *fake) bool {
			return c.Whole() && c.Written > 0 && !f.has("jmeter,")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if c.missing {
					c.fake.fault = missing(c.fake)
				}
				counts, err := Backfill(t.Context(), recordtest.Of(1, "a").Write(t), c.fake.influx(c.schema), func(string) {})
				if !c.want(counts, c.fake) {
					t.Errorf("%+v, %v", counts, err)
				}
			})
		})
	}
}

// has reports whether a point is there whose line begins so.
func (f *fake) has(begin string) bool {
	for key := range f.points {
		if strings.HasPrefix(key, begin) {
			return true
		}
	}
	return false
}

// TestOneLine has every point be one line, whatever a server or a reason says: else a batch is cut within a point.
func TestOneLine(t *testing.T) {
	p := Point{"m", []Tag{{"a", "x\ny"}}, []Field{{"text", "one\ntwo\r\nthree\x00"}, {"k\n2", int64(1)}}, time.Unix(0, 5)}
	if got, want := string(p.line(nil)), "m,a=x\\ y text=\"one two  three \",k_2=1i 5\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
