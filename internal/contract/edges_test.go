package contract

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/show"
)

// Each bound of the check from both sides, without a database.

var errGone = errors.New("gone")

// table is a database whose counts and errors a test sets.
type table struct {
	Fixture
	mu       sync.Mutex
	counters func(n int) (database.Counters, error) // of the n-th look, from 1
	looks    int
	names    []string // that were looked up
	lookup   error
	inserted []string
	deleted  []int64
	deletes  error
	within   time.Duration // that the last deletion might take
}

func (d *table) Counters(context.Context) (database.Counters, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.looks++; d.counters == nil {
		return database.Counters{}, nil
	}
	return d.counters(d.looks)
}

func (d *table) Lookup(_ context.Context, name string) (int64, bool, error) {
	d.names = append(d.names, name)
	return 0, false, d.lookup
}

func (d *table) Insert(_ context.Context, name string) (int64, error) {
	d.inserted = append(d.inserted, name)
	return int64(len(d.inserted)), nil
}

func (d *table) Delete(ctx context.Context, id int64) error {
	at, _ := ctx.Deadline()
	if d.within = time.Until(at); d.deletes == nil {
		d.deleted = append(d.deleted, id)
	}
	return d.deletes
}

// A Date is old from two seconds on, beyond what it is cut by; each answer is asked for over a connection of its own, and an end of
// the context ends the wait.
func TestAwakeInTime(t *testing.T) {
	asked := time.Date(2026, 11, 23, 6, 0, 10, 0, time.UTC)
	for age, want := range map[time.Duration]bool{0: false, 2 * time.Second: false, 3 * time.Second: true} {
		a := answer{asked: asked, header: http.Header{"Date": {asked.Add(-age).Format(http.TimeFormat)}}}
		if old(a) != want {
			t.Errorf("%v ago", age)
		}
	}
	if old(answer{asked: asked, header: http.Header{"Date": {"today"}}}) {
		t.Error("no Date is old")
	}
	var connections, requests atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	if err := Awake(t.Context(), []Endpoint{{URL: server.URL}}, 0); err != nil || requests.Load() != 3 || connections.Load() != 3 {
		t.Errorf("%v, %d requests over %d connections", err, requests.Load(), connections.Load())
	}
	for name, header := range map[string]string{"between two answers": "Thu, 01 Jan 2026 00:00:00 GMT", "in an answer": ""} {
		ctx, cancel := context.WithCancelCause(t.Context())
		ends := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if header == "" {
				cancel(errGone)
			}
			w.Header().Set("Date", header)
			time.AfterFunc(time.Millisecond, func() { cancel(errGone) })
		}))
		if err := Awake(ctx, []Endpoint{{URL: ends.URL}}, 1000); !errors.Is(err, errGone) {
			t.Errorf("%s: %v", name, err)
		}
		ends.Close()
	}
}

// An endpoint is given up after three requests in a row without an answer: one answer between them begins the count again.
func TestSilenceInARow(t *testing.T) {
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%3 != 0 {
			if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
				c.Close()
			}
		}
	}))
	defer server.Close()
	a := newAsker(hider(nil), time.Minute, Kept)
	defer a.close()
	for i := range 9 {
		if got := a.ask(t.Context(), http.MethodGet, server.URL, "/"); errors.Is(got.err, errGivenUp) || (got.err == nil) != (i%3 == 2) {
			t.Errorf("request %d: %v", i, got.err)
		}
	}
	if got := a.ask(t.Context(), http.MethodGet, "http://[::1", "/"); got.err == nil || got.shown != "" {
		t.Errorf("no address: %+v", got)
	}
	for length, whole := range map[int]bool{160: true, 161: false} {
		body := strings.Repeat("x", length)
		if got := askOnce(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }); strings.Contains(got.shown, body) != whole {
			t.Errorf("%d characters show as %s", length, got.shown)
		}
	}
	for length, ok := range map[int]bool{65536: true, 65537: false} {
		if got := askOnce(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", length)) }); (got.err == nil) != ok {
			t.Errorf("a body of %d bytes: %v", length, got.err)
		}
	}
	for err, want := range map[error]string{errGivenUp: errGivenUp.Error(), errTooLong: errTooLong.Error(), errGone: `asked for "k", expected exists false, id null, got no answer: gone`} {
		if got := judge(answer{err: err}, lookup{key: "k"}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The counts stand still once neither reads nor anything else are counted; what cannot be read, and an end of the context, is an error.
func TestIdleInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		busy := &table{counters: func(int) (database.Counters, error) {
			n := int64(min(time.Since(began), time.Second) / (10 * time.Millisecond))
			return database.Counters{Others: map[string]int64{"commit": n / 2}}, nil
		}}
		last, still, err := Idle(t.Context(), busy)
		if err != nil || !still || last.Others["commit"] != 50 || time.Since(began) < 1060*time.Millisecond || time.Since(began) > 1100*time.Millisecond {
			t.Errorf("%+v, still %v after %v: %v", last, still, time.Since(began), err)
		}
		for n := 1; n <= 2; n++ {
			broken := &table{counters: func(look int) (database.Counters, error) {
				if look == n {
					return database.Counters{}, errGone
				}
				return database.Counters{}, nil
			}}
			if _, still, err := Idle(t.Context(), broken); still || !errors.Is(err, errGone) || broken.looks != n {
				t.Errorf("look %d: still %v, %v", broken.looks, still, err)
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errGone)
		if _, still, err := Idle(ctx, &table{}); still || !errors.Is(err, errGone) {
			t.Errorf("still %v, %v", still, err)
		}
		s := &inspection{Contract: &Contract{Database: &table{}}}
		began = time.Now()
		if got, err := s.since(t.Context(), 1); err != nil || got.Reads != 0 || time.Since(began) != 63*time.Millisecond { // 1 + 2 + 4 + ... + 32
			t.Errorf("%+v after %v: %v", got, time.Since(began), err)
		}
		if _, err := s.since(ctx, 1); !errors.Is(err, errGone) {
			t.Errorf("%v", err)
		}
	})
}

// Whatever is asked of the database and fails is the error of that part of the check.
func TestPartsFailWithTheDatabase(t *testing.T) {
	for _, part := range parts() {
		if slices.Contains([]string{"length", "protocol", "keep-alive", "date"}, part.name) {
			continue // which ask nothing of it
		}
		s := inspect(t, Contract{Database: failsAll{}, Lookups: dataset.Client}, 2, http.NotFound)
		if err := part.run(s, t.Context()); !errors.Is(err, errGone) {
			t.Errorf("%s: %v", part.name, err)
		}
	}
	s := inspect(t, Contract{Database: &table{lookup: errGone}}, 1, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	for name, run := range map[string]func(context.Context) error{"hostile": s.checkHostile, "limits": s.checkLimits} {
		if err := run(t.Context()); !errors.Is(err, errGone) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// failsAll is a database that is gone.
type failsAll struct{ Fixture }

func (failsAll) Counters(context.Context) (database.Counters, error) {
	return database.Counters{}, errGone
}
func (failsAll) Explain(context.Context, string) (string, error)     { return "", errGone }
func (failsAll) Lookup(context.Context, string) (int64, bool, error) { return 0, false, errGone }
func (failsAll) Insert(context.Context, string) (int64, error)       { return 0, errGone }
func (failsAll) Delete(context.Context, int64) error                 { return errGone }

// A row that comes and goes is asked for at everybody after each step, and no row is left, also when the check is broken off.
func TestFreshRows(t *testing.T) {
	var asked askedOf
	db := &table{}
	s := inspect(t, Contract{Database: db}, 2, asked.ServeHTTP)
	if err := s.checkFresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked.count["r1"] != 5 || asked.count["r2"] != 5 || asked.count["front"] != 5 || len(db.inserted) != 2 || !slices.Equal(db.deleted, []int64{1, 2}) {
		t.Errorf("asked %v, inserted %q, deleted %v", asked.count, db.inserted, db.deleted)
	}
	if key := db.inserted[0]; !dataset.Plain(key) || !strings.EqualFold(key, db.inserted[1]) || key == db.inserted[1] && strings.ToLower(key) != strings.ToUpper(key) {
		t.Errorf("inserted %q", db.inserted)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	left := &table{}
	rows := freshRows{fixture: left, ids: []int64{3, 4}}
	if rows.first() != 3 {
		t.Errorf("the first is %d", rows.first())
	}
	if err := rows.clear(ctx); err != nil || !slices.Equal(left.deleted, []int64{3, 4}) || left.within < 9*time.Second || left.within > 10*time.Second || rows.first() != 0 {
		t.Errorf("%v: deleted %v within %v", err, left.deleted, left.within)
	}
	left.deletes = errGone
	rows.ids = []int64{5, 6}
	if err := rows.clear(t.Context()); !errors.Is(err, errGone) || len(rows.ids) != 2 {
		t.Errorf("%v: left %v", err, rows.ids)
	}
}

// Every hostile key is among those that are asked for, each is looked up once, and those that can be no name are asked for everywhere.
func TestHostileKeysAreAsked(t *testing.T) {
	s := inspect(t, Contract{}, 1, http.NotFound)
	asked := map[string]bool{}
	for _, k := range s.hostileKeys() {
		asked[k.key] = true
	}
	for _, want := range []string{
		`" OR ""="`, "0 OR 1=1", "\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80", strings.Repeat("😀", 255), strings.Repeat("é", 256),
	} {
		if !asked[want] {
			t.Errorf("not asked for: %.20q", want)
		}
	}
	for _, h := range dataset.HostileKeys() {
		if !asked[h.Key] {
			t.Errorf("not asked for: %s", h.What)
		}
	}
	var mu sync.Mutex
	queries := map[string]int{}
	db := &table{}
	s = inspect(t, Contract{Database: db}, 2, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		queries[r.URL.RawQuery]++
		w.WriteHeader(http.StatusNotFound)
	})
	if err := s.checkLimits(t.Context()); err != nil {
		t.Fatal(err)
	}
	if queries["name="] < 2 || queries["name="+strings.Repeat("x", 5000)] < 2 {
		t.Errorf("asked for %d empty names and %d long ones", queries["name="], queries["name="+strings.Repeat("x", 5000)])
	}
	if distinct := slices.Compact(slices.Sorted(slices.Values(db.names))); len(distinct) != len(db.names) || len(distinct) < 3 {
		t.Errorf("%d names are looked up %d times", len(distinct), len(db.names))
	}
	for _, check := range s.findings.checks() {
		if check.Name == "empty and too long" && !check.OK {
			t.Errorf("refused as it should be: %+v", check)
		}
	}
	for length, whole := range map[int]bool{60: true, 61: false} {
		key := strings.Repeat("k", length)
		h := hostileAnswer{hostile: hostile{key: key}, a: answer{status: 500}}
		drawn := inspect(t, Contract{}, 1, http.NotFound)
		_, absent := drawn.judgeDrawn(answer{status: 200, body: fmt.Appendf(nil, `{"name":%q,"exists":true,"id":5}`, key)})
		for name, text := range map[string]string{
			"hostile": h.judge(lookup{key: key}), "lookup": judge(answer{status: 500}, lookup{key: key}), "again": monotony(key, map[string]bool{key: true}, 2, 2),
			"refused": refused("GET", key, answer{status: 200}), "drawn": absent[:min(len(absent), strings.Index(absent+", got status", ", got status"))],
		} {
			if strings.Contains(text, `"`+key+`"`) != whole {
				t.Errorf("%s, %d characters: %s", name, length, text)
			}
		}
	}
}

// What a target draws is a key of letters and digits with its right answer.
func TestDrawnKeys(t *testing.T) {
	s := inspect(t, Contract{}, 1, http.NotFound)
	row := s.Dataset.Name(7)
	id := s.Dataset.First(7)
	for name, c := range map[string]struct {
		a    answer
		want string // of the problem; empty: none
	}{
		"right":       {answer{status: 200, body: fmt.Appendf(nil, `{"name":%q,"exists":true,"id":%d}`, row, id)}, ""},
		"absent":      {answer{status: 200, body: []byte(`{"name":"nobodyofthisname","exists":false,"id":null}`)}, ""},
		"another id":  {answer{status: 200, body: fmt.Appendf(nil, `{"name":%q,"exists":true,"id":%d}`, row, id+1)}, "expected exists true, id"},
		"no answer":   {answer{err: errGone}, "expected an answer that carries the key drawn, got no answer: gone"},
		"status 500":  {answer{status: 500, body: []byte("{}")}, "expected an answer that carries the key drawn, got status 500"},
		"no JSON":     {answer{status: 200, body: []byte("x")}, "expected an answer that carries the key drawn"},
		"another key": {answer{status: 200, body: []byte(`{"name":"a b","exists":false,"id":null}`)}, "a key of 1 to 255 letters and digits"},
		"no UTF-8":    {answer{status: 200, body: []byte("{\"name\":\"\xff\",\"exists\":false,\"id\":null}")}, "expected an answer that carries the key drawn"},
	} {
		got, problem := s.judgeDrawn(c.a)
		if (problem == "") != (c.want == "") || !strings.Contains(problem, c.want) || (got == "") != (c.want != "") {
			t.Errorf("%s: %q, %q", name, got, problem)
		}
	}
}

// Keys go to the replicas in turn and all through the balancer, one of each class to each replica; a full check asks everybody for all.
func TestWhereKeysAreAsked(t *testing.T) {
	for full, want := range map[bool]map[string]int{false: {"r1": 13, "r2": 12, "front": 13}, true: {"r1": 105, "r2": 105, "front": 105}} {
		var asked askedOf
		s := inspect(t, Contract{Full: full, Lookups: dataset.Client}, 2, asked.ServeHTTP)
		if err := s.checkLookups(t.Context()); err != nil {
			t.Fatal(err)
		}
		for at, n := range want {
			if asked.count[at] != n {
				t.Errorf("full %v: %s was asked %d times, want %d", full, at, asked.count[at], n)
			}
		}
	}
	var asked askedOf
	s := inspect(t, Contract{Database: &table{counters: func(n int) (database.Counters, error) {
		return database.Counters{Reads: int64(n)}, nil // something reads each time
	}}}, 1, asked.ServeHTTP)
	if err := s.checkPing(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked.count["r1"] != 3 || asked.count["front"] != 3 {
		t.Errorf("asked %v: a ping that asks the database is looked at three times", asked.count)
	}
	for _, check := range s.findings.checks() {
		if check.Name == "statements" && (check.OK || !strings.Contains(check.Detail, "ping: sent 2 requests, expected no statement, the database counted 1 that read rows and 0 others")) {
			t.Errorf("%+v", check)
		}
	}
}

// Requests and reads are added up over the steps of exact counts; a read is a SELECT, too.
func TestExactCounts(t *testing.T) {
	n := int64(0)
	s := inspect(t, Contract{Database: &table{counters: func(int) (database.Counters, error) {
		return database.Counters{Reads: 2 * n, Others: map[string]int64{"select": 3 * n, "begin": n}}, nil
	}}}, 1, http.NotFound)
	for range 2 {
		err := s.exactly(t.Context(), "step", func() {
			n++
			s.asked.Add(2)
			s.served.Add(2)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if s.per != 4 || s.reads != 4 || s.others["select"] != 2 || s.others["begin"] != 2 {
		t.Errorf("%d requests, %d reads, %v", s.per, s.reads, s.others)
	}
	if err := s.within(t.Context(), "step", func() { n++; s.asked.Add(1) }); err != nil {
		t.Fatal(err)
	}
	checks := s.findings.checks()
	if len(checks) != 1 || checks[0].OK || !strings.Contains(checks[0].Detail, "2 of 3 right; step: sent 1 requests, expected 0 to 1 row-reading statements, the database counted 2") {
		t.Errorf("%+v", checks)
	}
	f := findings{hide: hider(nil), endpoints: []Endpoint{{}}}
	long := strings.Repeat("y", 2000)
	f.remark("x", Endpoint{}, long)
	if got, want := f.checks()[0].Detail, show.Clip("not applicable; "+long, 1000); got != want {
		t.Errorf("%d characters, want %d", len(got), len(want))
	}
}

// A connection that is of no use says why: no address, nobody there, a body that is cut, a close.
func TestIdleConnectionsOfNoUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	answers := make(chan string, 1)
	closed := make(chan struct{}, 8)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 4096)
				if _, err := c.Read(buf); err != nil {
					return
				}
				text := <-answers
				_, _ = c.Write([]byte(text))
				if strings.Contains(text, "Content-Length: 9") {
					return
				}
				if _, err := c.Read(buf); err != nil {
					closed <- struct{}{}
				}
			}()
		}
	}()
	address := "http://" + listener.Addr().String()
	open := func(url, answer string) *IdleConnections {
		if answer != "" {
			answers <- answer
		}
		return OpenIdle(t.Context(), []Endpoint{{Name: "one", URL: url}}, time.Minute)
	}
	for name, c := range map[string]struct{ url, answer, want string }{
		"no address": {"http://[::1", "", "missing ']'"}, "nobody": {"http://127.0.0.1:1", "", "refused"}, "a cut body": {address, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "unexpected EOF"},
	} {
		connections := open(c.url, c.answer)
		checks, err := connections.Check(t.Context(), "after", time.Hour) // one of no use is not waited for
		if err != nil || len(checks) != 1 || checks[0].OK || !strings.Contains(checks[0].Detail, c.want) || !strings.HasPrefix(checks[0].Detail, "1m0s is declared; after ") {
			t.Errorf("%s: %+v, %v", name, checks, err)
		}
		connections.Close()
	}
	good := open(address, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errGone)
	if _, err := good.Check(ctx, "after", time.Hour); !errors.Is(err, errGone) {
		t.Errorf("%v", err)
	}
	good.Close()
	<-closed // nobody leaves it open
	if checks, err := good.Check(t.Context(), "after", 0); err != nil || checks[0].OK || !strings.Contains(checks[0].Detail, "the connection was closed") {
		t.Errorf("%+v, %v", checks, err)
	}
	(*IdleConnections)(nil).Close()
}

// A check looks after idle connections where the recipe declares a keep-alive time-out, and says what it found.
func TestKeepAliveOfACheck(t *testing.T) {
	for keep, checks := range map[time.Duration]int{0: 0, time.Minute: 2} {
		s := inspect(t, Contract{KeepAlive: keep}, 2, func(http.ResponseWriter, *http.Request) {})
		for _, run := range []func(context.Context) error{s.openIdle, s.checkKeepAlive} {
			if err := run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		got := s.findings.checks()
		if len(got) != checks {
			t.Errorf("%v: %+v", keep, got)
		}
		for _, c := range got {
			if !c.OK || !strings.Contains(c.Detail, "1m0s is declared; still open after") {
				t.Errorf("%+v", c)
			}
		}
		s.idle.Close()
	}
	s := inspect(t, Contract{KeepAlive: time.Minute, Full: true}, 1, func(http.ResponseWriter, *http.Request) {})
	if err := s.openIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.idle.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errGone)
	if err := s.checkKeepAlive(ctx); !errors.Is(err, errGone) {
		t.Errorf("%v", err)
	}
	s.dates[s.all[0].URL] = &dateSpan{firstAt: time.Now()}
	if err := s.checkDates(ctx); !errors.Is(err, errGone) {
		t.Errorf("%v", err)
	}
}

// What is said of a connection that was idle: it is asked until the declared time has passed.
func TestIdleConnectionsInWords(t *testing.T) {
	const ok, closes = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\npong"
	for _, c := range []struct {
		idle   time.Duration
		answer string
		want   string
		takes  time.Duration
	}{
		{1234 * time.Millisecond, ok, "true 1m0s is declared; still open after 1.23s", 0},
		{time.Minute - 1, ok, "true 1m0s is declared; still open after 1m0s", 0},
		{time.Minute, ok, "true 1m0s is declared; not checked after 1m0s", 0},
		{61400 * time.Millisecond, ok, "true 1m0s is declared; not checked after 1m1s", 0},
		{1234 * time.Millisecond, closes, "false 1m0s is declared; after 1.23s idle: " + errCloses.Error(), 0},
		{1234 * time.Millisecond, "", "false 1m0s is declared; after 1.23s idle: the connection was closed: i/o timeout", askTimeout},
	} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			defer far.Close()
			go func() {
				request := make([]byte, 1<<10)
				for {
					n, err := far.Read(request)
					if err != nil {
						return
					}
					if c.answer != "" && strings.HasSuffix(string(request[:n]), "\r\n\r\n") {
						_, _ = far.Write([]byte(c.answer))
					}
				}
			}()
			i := &IdleConnections{declared: time.Minute, all: []idleConnection{{at: Endpoint{Name: "one"}, conn: near, reader: bufio.NewReader(near), last: time.Now()}}}
			defer i.Close()
			time.Sleep(c.idle)
			began := time.Now()
			got, err := i.Check(t.Context(), "after", 0)
			if err != nil || len(got) != 1 || got[0].When != "after" || got[0].Replica != "one" || fmt.Sprint(got[0].OK, " ", got[0].Detail) != c.want || time.Since(began) != c.takes {
				t.Errorf("idle for %v: %+v, %v after %v, want %q", c.idle, got, err, time.Since(began), c.want)
			}
		})
	}
}

// breaking is a database in which nothing happens, and that is gone after some time.
type breaking struct {
	standing
	gone func() bool
}

func (d breaking) Counters(context.Context) (database.Counters, error) {
	if d.gone() {
		return database.Counters{}, errGone
	}
	return database.Counters{}, nil
}

// No connection stays open behind a check, nor behind one that could not be made.
func TestConnectionsOfACheckAreClosed(t *testing.T) {
	var asked, open atomic.Int64
	s := inspect(t, Contract{Database: breaking{standing{index: "name"}, func() bool { return asked.Load() > 5 }}}, 1, http.NotFound)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.NotFound(w, r)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	server.Start()
	defer server.Close()
	_, err := s.Contract.Check(t.Context(), "before", []Endpoint{{Name: "one", URL: server.URL, Nonce: "n"}}, "")
	for wait := 0; open.Load() > 0 && wait < 100; wait++ {
		time.Sleep(50 * time.Millisecond)
	}
	if !errors.Is(err, errGone) || asked.Load() <= 5 || open.Load() != 0 {
		t.Errorf("%v after %d requests: %d connections stay open", err, asked.Load(), open.Load())
	}
}
