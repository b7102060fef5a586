package contract

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
)

// The rules of the check, without a database: what is asked of whom, how often, and which answers are right.

// standing is a database in which nothing happens.
type standing struct {
	Fixture
	index string
}

func (standing) Counters(context.Context) (database.Counters, error) { return database.Counters{}, nil }
func (s standing) Explain(context.Context, string) (string, error)   { return s.index, nil }
func (standing) Lookup(context.Context, string) (int64, bool, error) { return 0, false, nil }

// inspect is a check of 20,000 rows at some replicas and a balancer, all of them this server.
func inspect(t *testing.T, c Contract, replicas int, h http.HandlerFunc) *inspection {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	data, err := dataset.New(dataset.Spec{Rows: 20_000, Seed: 1, MinLength: 1, MaxLength: 255})
	if err != nil {
		t.Fatal(err)
	}
	c.Dataset, c.Seed = data, 7
	if c.Database == nil {
		c.Database = standing{index: "name"}
	}
	var all []Endpoint
	for i := range replicas {
		all = append(all, Endpoint{Name: fmt.Sprintf("a-%d", i+1), URL: server.URL + fmt.Sprintf("/r%d", i+1), Nonce: "n"})
	}
	s, err := newInspection(&c, "before", all, server.URL+"/front")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.asker.close)
	return s
}

// askedOf counts requests by the first part of their path, which stands for the endpoint.
type askedOf struct {
	mu    sync.Mutex
	count map[string]int
}

func (a *askedOf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if a.count == nil {
		a.count = map[string]int{}
	}
	a.count[at]++
	a.count[r.Method]++
	w.WriteHeader(http.StatusNotFound)
}

// Each hostile key is asked for at one replica in turn, those that can be no name at all of them, and every fifth through the
// balancer; a full check asks for all of them everywhere.
func TestWhoIsAskedForHostileKeys(t *testing.T) {
	var keys []hostile
	for i := range 12 {
		keys = append(keys, hostile{key: fmt.Sprint("k", i), path: "/demo"})
	}
	keys[4].key = ""
	for full, want := range map[bool]map[string]int{false: {"r1": 5, "r2": 4, "r3": 5, "front": 3}, true: {"r1": 12, "r2": 12, "r3": 12, "front": 12}} {
		var asked askedOf
		s := inspect(t, Contract{Full: full}, 3, asked.ServeHTTP)
		answers := s.askHostile(t.Context(), keys)
		sum := 0
		for at, n := range want {
			if sum += n; asked.count[at] != n {
				t.Errorf("full %v: %s was asked %d times, want %d", full, at, asked.count[at], n)
			}
		}
		if len(answers) != sum || s.asked.Load() != int64(sum) {
			t.Errorf("full %v: %d answers of %d", full, len(answers), sum)
		}
	}
}

// A name that exists is asked for with each change that a sloppy comparison forgives, and once as it is, escaped throughout.
func TestVariationsOfAName(t *testing.T) {
	keys := inspect(t, Contract{}, 1, nil).hostileKeys()
	asked := map[string]bool{}
	var names []string
	for _, k := range keys {
		if asked[k.key] = true; k.path != demoPath(k.key) {
			names = append(names, k.key)
		}
	}
	if len(names) != 1 || len(names[0]) > 80 {
		t.Fatalf("names that are escaped throughout: %q", names)
	}
	name, cut := names[0], names[0][:len(names[0])-1]
	for _, want := range []string{name + "  ", " " + name, name + "\x00", cut + "%", cut + "_", "'" + name + "'", name + "\n", escapeAll(name)} {
		if !asked[want] {
			t.Errorf("not asked for: %q", want)
		}
	}
}

// What is no lookup is sent to one replica and the balancer, in a full check to all.
func TestWhoIsAskedWhatIsNoLookup(t *testing.T) {
	for full, want := range map[bool]map[string]int{
		false: {"r1": 5, "r2": 0, "r3": 0, "front": 5, http.MethodPost: 2, http.MethodPut: 2, http.MethodDelete: 2},
		true:  {"r1": 5, "r2": 5, "r3": 5, "front": 5, http.MethodPost: 4, http.MethodPut: 4, http.MethodDelete: 4},
	} {
		var asked askedOf
		s := inspect(t, Contract{Full: full}, 3, asked.ServeHTTP)
		if err := s.checkMethods(t.Context()); err != nil {
			t.Fatal(err)
		}
		for at, n := range want {
			if asked.count[at] != n {
				t.Errorf("full %v: %s %d times, want %d", full, at, asked.count[at], n)
			}
		}
		for _, c := range s.findings.checks() {
			if !c.OK {
				t.Errorf("refused as it should: %+v", c)
			}
		}
	}
}

// How many keys of each class are asked for, where, and how many at once.
func TestHowOftenIsAsked(t *testing.T) {
	for full, want := range map[bool][2]int{false: {5, 3}, true: {50, 50}} {
		s := inspect(t, Contract{Full: full, Lookups: dataset.Client}, 2, http.NotFound)
		classes := map[string]int{}
		for _, l := range s.chooseKeys() {
			classes[l.class]++
			if row, found := s.Dataset.Lookup(l.key); l.class != "other case" && (found != l.exists() || found && row != l.id) {
				t.Errorf("%+v: the dataset has %d, %v", l, row, found)
			}
		}
		if classes["present"] != want[0] || classes["absent"] != want[1] || classes["shortest"] != 1 || classes["longest"] != 1 || classes["other case"] != 2 || classes["several rows"] != 1 {
			t.Errorf("full %v: %v", full, classes)
		}
		if most := s.most(); most != time.Minute && !full || most != 5*time.Minute && full {
			t.Errorf("full %v: at most %v", full, most)
		}
	}
	for name, c := range map[string]struct {
		contract Contract
		run      func(s *inspection) error
		each     int // of a replica
		front    int
	}{
		"repeated":         {Contract{}, func(s *inspection) error { return s.checkRepeated(t.Context()) }, 6, 6},
		"together":         {Contract{}, func(s *inspection) error { return s.checkTogether(t.Context()) }, 2 * atOnce, 0},
		"together, full":   {Contract{Full: true}, func(s *inspection) error { return s.checkTogether(t.Context()) }, 8 * atOnce, 0},
		"few at a time":    {Contract{InFlight: 3}, func(s *inspection) error { return s.checkTogether(t.Context()) }, 6, 0},
		"drawn":            {Contract{Lookups: dataset.Client}, func(s *inspection) error { return s.checkDrawn(t.Context()) }, 3, 3},
		"drawn under load": {Contract{Lookups: dataset.Server}, func(s *inspection) error { return s.checkDrawn(t.Context()) }, 20, 20},
		"drawn, full":      {Contract{Lookups: dataset.Client, Full: true}, func(s *inspection) error { return s.checkDrawn(t.Context()) }, 20, 20},
		"ping":             {Contract{}, func(s *inspection) error { return s.checkPing(t.Context()) }, 1, 1},
		"everywhere": {Contract{}, func(s *inspection) error {
			s.everywhere(t.Context(), s.present(""))
			return nil
		}, 1, 1},
		"lookups, full": {Contract{Full: true}, func(s *inspection) error { return s.checkLookups(t.Context()) }, 105, 105},
	} {
		var asked askedOf
		s := inspect(t, c.contract, 2, asked.ServeHTTP)
		if err := c.run(s); err != nil {
			t.Fatal(err)
		}
		if asked.count["r1"] != c.each || asked.count["r2"] != c.each || asked.count["front"] != c.front {
			t.Errorf("%s: asked %v, want %d of each replica and %d of the balancer", name, asked.count, c.each, c.front)
		}
	}
}

// Generated keys go to one replica in turn, and all of them through the balancer; in addition each replica gets one of every class.
func TestWhoIsAskedForGeneratedKeys(t *testing.T) {
	var asked askedOf
	s := inspect(t, Contract{Lookups: dataset.Client}, 2, asked.ServeHTTP)
	if err := s.checkLookups(t.Context()); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]int{"r1": 7 + 6, "r2": 6 + 6, "front": 13} {
		if asked.count[at] != want {
			t.Errorf("%s was asked %d times, want %d", at, asked.count[at], want)
		}
	}
}

// Several endpoints are asked at the same time, but no more than a target is deployed for.
func TestEndpointsAreAskedSideBySide(t *testing.T) {
	keys := []hostile{{key: "a", path: "/demo"}, {key: "b", path: "/demo"}}
	for name, run := range map[string]func(s *inspection) error{
		"lookups":   func(s *inspection) error { return s.checkLookups(t.Context()) },
		"repeated":  func(s *inspection) error { return s.checkRepeated(t.Context()) },
		"methods":   func(s *inspection) error { return s.checkMethods(t.Context()) },
		"hostile":   func(s *inspection) error { s.askHostile(t.Context(), keys); return nil },
		"fresh row": func(s *inspection) error { s.everywhere(t.Context(), s.present("")); return nil },
	} {
		for _, inFlight := range []int{0, 1} {
			var now, most atomic.Int64
			met := make(chan struct{})
			meet := sync.OnceFunc(func() { close(met) })
			s := inspect(t, Contract{InFlight: inFlight}, 2, func(w http.ResponseWriter, _ *http.Request) {
				n := now.Add(1)
				defer now.Add(-1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				if n > 1 {
					meet()
				}
				patience := 4 * time.Second // for a second one to come
				if inFlight == 1 {
					patience = 3 * time.Millisecond
				}
				select {
				case <-met:
				case <-time.After(patience):
					if inFlight == 0 {
						meet() // none came: the others need not wait
					}
				}
				w.WriteHeader(http.StatusNotFound)
			})
			if err := run(s); err != nil {
				t.Fatal(err)
			}
			if n := most.Load(); inFlight == 0 && n < 2 || inFlight == 1 && n != 1 {
				t.Errorf("%s, deployed for %d at once: %d were", name, inFlight, n)
			}
		}
	}
}

// Names are taken from the rows: the shortest, the longest, one in the other case, one that several rows have, and one that is short.
func TestKeysOfRows(t *testing.T) {
	s := inspect(t, Contract{}, 1, http.NotFound)
	short, long := s.extremes()
	least, most := 255, 1
	for row := range s.Dataset.Rows() {
		n := len(s.Dataset.Name(row + 1))
		least, most = min(least, n), max(most, n)
	}
	if len(short.key) != least || len(long.key) != most {
		t.Errorf("%d and %d characters, want %d and %d", len(short.key), len(long.key), least, most)
	}
	if l := s.swapped(); !strings.EqualFold(l.key, s.Dataset.Name(l.id)) || l.key == s.Dataset.Name(l.id) {
		t.Errorf("%+v", l)
	}
	l, found := s.shared()
	if !found || !strings.EqualFold(s.Dataset.Name(l.id), l.key) {
		t.Errorf("%+v, %v", l, found)
	}
	if name := s.shortName(); len(name) > 80 || name == "" {
		t.Errorf("%q", name)
	}
	for given, want := range map[string]string{"aZ9é@[`{": "Az9é@[`{", "": ""} {
		if got := swapCase(given); got != want {
			t.Errorf("%q: %q", given, got)
		}
	}
	seen := map[int64]bool{}
	s.scan(1<<40, func(row int64) bool { seen[row] = true; return true })
	if len(seen) != 20_000 || !seen[1] || !seen[20_000] {
		t.Errorf("%d rows are visited", len(seen))
	}
	visits := 0
	if s.scan(10, func(int64) bool { visits++; return visits < 4 }); visits != 4 {
		t.Errorf("%d visits", visits)
	}
	if got := escapeAll("aÿ"); got != "%61%C3%BF" {
		t.Errorf("%q", got)
	}
}

// A Date may differ by three seconds from the time of its answer, and by the second that it is cut to; it must go on.
func TestDates(t *testing.T) {
	s := inspect(t, Contract{}, 1, http.NotFound)
	asked := time.Date(2026, 11, 23, 6, 0, 10, 0, time.UTC)
	read := asked.Add(2 * time.Second)
	at := s.replicas[0]
	answered := func(dates ...string) answer {
		return answer{status: http.StatusOK, header: http.Header{"Date": dates}, asked: asked, read: read}
	}
	for after, right := range map[time.Duration]bool{-5 * time.Second: false, -4 * time.Second: true, 0: true, 5 * time.Second: true, 6 * time.Second: false} {
		if got := s.examineDate(at, answered(asked.Add(after).Format(http.TimeFormat))); (got == "") != right {
			t.Errorf("%v after it was asked: %q", after, got)
		}
	}
	for _, dates := range [][]string{nil, {"today"}, {asked.Format(http.TimeFormat), asked.Format(http.TimeFormat)}} {
		if got := s.examineDate(at, answered(dates...)); !strings.HasPrefix(got, "expected ") {
			t.Errorf("%q: %q", dates, got)
		}
	}
	refusal := answered("today")
	if refusal.status = http.StatusBadRequest; s.examineDate(at, refusal) != "" {
		t.Error("the Date of a refusal is looked at")
	}
	for _, c := range []struct {
		passed, on time.Duration
		right      bool
	}{{dateAdvance, time.Second, true}, {dateAdvance, 0, false}, {dateAdvance - 1, 0, true}, {time.Hour, time.Second, true}} {
		s := inspect(t, Contract{}, 1, http.NotFound)
		s.dates[s.replicas[0].URL] = &dateSpan{first: asked, firstAt: asked, last: asked.Add(c.on), lastAt: asked.Add(c.passed)}
		if err := s.checkDates(t.Context()); err != nil {
			t.Fatal(err)
		}
		if checks := s.findings.checks(); (len(checks) == 0) != c.right {
			t.Errorf("%+v: %+v", c, checks)
		}
	}
}

// A replica answers /ping with its own nonce, the balancer with that of any; with or without a line end.
func TestPings(t *testing.T) {
	s := inspect(t, Contract{}, 3, http.NotFound)
	s.replicas[0].Nonce, s.replicas[1].Nonce, s.replicas[2].Nonce = "one", "two", "two"
	for _, c := range []struct {
		at    Endpoint
		a     answer
		right bool
	}{
		{s.replicas[0], answer{status: 200, body: []byte("one")}, true},
		{s.replicas[0], answer{status: 200, body: []byte("one\n")}, true},
		{s.replicas[0], answer{status: 200, body: []byte("two")}, false},
		{s.replicas[0], answer{status: 201, body: []byte("one")}, false},
		{s.replicas[0], answer{status: 200, body: []byte("one"), err: errors.New("cut")}, false},
		{Endpoint{}, answer{status: 200, body: []byte("two")}, true},
		{Endpoint{}, answer{status: 200, body: []byte("three")}, false},
	} {
		if got := s.judgePing(c.at, c.a); (got == "") != c.right {
			t.Errorf("%s, %d %q: %q", c.at.Name, c.a.status, c.a.body, got)
		}
	}
	if got := s.nonces(); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("%q", got)
	}
}

// A refusal is any status from 300 on but that of a failure of the server.
func TestRefusals(t *testing.T) {
	for status, right := range map[int]bool{200: false, 299: false, 300: true, 404: true, 405: true, 500: false, 503: true} {
		if got := refused("POST", "/demo", answer{status: status}); (got == "") != right {
			t.Errorf("%d: %q", status, got)
		}
	}
	if refused("POST", "/demo", answer{status: 404, err: errors.New("cut")}) == "" {
		t.Error("no answer is a refusal")
	}
	for _, c := range []struct {
		key    string
		status int
		right  bool
	}{{"x", 400, false}, {"", 400, true}, {"", 499, true}, {"", 500, false}, {"", 399, false}, {"\xff", 400, true}, {strings.Repeat("x", 255), 400, false}, {strings.Repeat("é", 256), 400, true}} {
		h := hostileAnswer{hostile: hostile{key: c.key}, a: answer{status: c.status}}
		if got := h.judge(lookup{key: c.key}); (got == "") != c.right || strings.Contains(got, "or status 400") != (!c.right && h.limit()) {
			t.Errorf("%.5q, %d: %q", c.key, c.status, got)
		}
		if class := h.class(); (class == "hostile") == h.limit() {
			t.Errorf("%.5q: %s", c.key, class)
		}
	}
}

// Keys that a target draws must not come again unless they are short, and six of one length are no chance.
func TestMonotony(t *testing.T) {
	seen := map[string]bool{"abcd": true, "abc": true}
	for _, c := range []struct {
		name           string
		drawn, lengths int
		right          bool
	}{{"abcd", 2, 2, false}, {"abc", 2, 2, true}, {"new", 5, 1, true}, {"new", 6, 1, false}, {"new", 6, 2, true}} {
		if got := monotony(c.name, seen, c.drawn, c.lengths); (got == "") != c.right {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// Counts between two idle points, the index, and the protocol are entered with what is wrong.
func TestCountsAreEntered(t *testing.T) {
	for _, c := range []struct {
		reads, low, high int64
		want             string
	}{{3, 3, 3, ""}, {2, 3, 3, "x: sent 3 requests, expected 3 row"}, {4, 3, 3, "counted 4"}, {2, 2, 4, ""}, {4, 2, 4, ""}, {5, 2, 4, "expected 2 to 4 row"}} {
		s := inspect(t, Contract{}, 1, http.NotFound)
		s.bound("x", c.reads, c.low, c.high)
		if check := s.findings.checks()[0]; check.OK != (c.want == "") || !strings.Contains(check.Detail, c.want) {
			t.Errorf("%+v: %+v", c, check)
		}
	}
	for index, right := range map[string]bool{"name": true, "PRIMARY": false, "": false} {
		s := inspect(t, Contract{Database: standing{index: index}}, 1, http.NotFound)
		if err := s.checkIndex(t.Context()); err != nil || s.findings.checks()[0].OK != right {
			t.Errorf("%q: %v, %+v", index, err, s.findings.checks())
		}
	}
	for _, c := range []struct {
		protocol        string
		reads, executed int64
		checks          int
		right           bool
	}{{"text", 5, 0, 1, true}, {"text", 5, 1, 1, false}, {"prepared", 5, 5, 1, true}, {"prepared", 5, 4, 1, false}, {"", 5, 3, 0, true}, {"text", 0, 3, 0, true}} {
		s := inspect(t, Contract{Protocol: c.protocol}, 1, http.NotFound)
		s.reads, s.others["stmt_execute"] = c.reads, c.executed
		if err := s.checkProtocol(t.Context()); err != nil {
			t.Fatal(err)
		}
		checks := s.findings.checks()
		if len(checks) != c.checks || c.checks > 0 && (checks[0].OK != c.right || !strings.Contains(checks[0].Detail, fmt.Sprintf("%s; %d of %d reads by prepared statements", c.protocol, c.executed, c.reads))) {
			t.Errorf("%+v: %+v", c, checks)
		}
	}
	for kind, protocol := range map[string]string{"execute_sql": "text", "execute_immediate": "text", "stmt_execute": "prepared"} {
		s := inspect(t, Contract{Protocol: protocol}, 1, http.NotFound)
		if s.reads, s.others[kind] = 5, 5; protocol == "prepared" { // by the SQL statement EXECUTE
			s.others["execute_sql"] = 5
		}
		if err := s.checkProtocol(t.Context()); err != nil || s.findings.checks()[0].OK {
			t.Errorf("%s: %v, %+v", kind, err, s.findings.checks())
		}
	}
}

// The lengths of bodies and the statements per request are what all answers have in common.
func TestResultOfACheck(t *testing.T) {
	s := inspect(t, Contract{}, 1, http.NotFound)
	if r := s.result(); r.LengthAbsent != -1 || r.LengthPresent != -1 || len(r.Others) != 0 {
		t.Errorf("nothing was asked: %+v", r)
	}
	s.learn(30, lookup{key: "abc", id: 12})
	s.learn(32, lookup{key: "abcde", id: 12})
	s.learn(20, lookup{key: "abc"})
	s.others, s.per = map[string]int64{"rollback": 5, "commit": 0, "select": -3}, 10
	r := s.result()
	if r.LengthPresent != 25 || r.LengthAbsent != 17 || len(r.Others) != 1 || r.Others["rollback"] != 0.5 {
		t.Errorf("%+v", r)
	}
	if check := r.Checks[len(r.Checks)-1]; check.Name != "statements" || !strings.Contains(check.Detail, "others per request: rollback 0.50") {
		t.Errorf("%+v", check)
	}
	s.learn(31, lookup{key: "abc", id: 12})
	if err := s.checkLengths(t.Context()); err != nil || s.length(1) != -1 || s.length(0) != 17 {
		t.Errorf("%v, %v", err, s.lengths)
	}
	lengths := 0
	for _, check := range s.findings.checks() {
		if check.Name == "length" {
			if lengths++; check.OK || !strings.Contains(check.Detail, "1 of 2 right") || !strings.Contains(check.Detail, "bodies for present keys") {
				t.Errorf("%+v", check)
			}
		}
	}
	if lengths != 1 {
		t.Errorf("%d checks of lengths", lengths)
	}
}

// Findings are listed by check and endpoint, with the first two problems of each and a count of all.
func TestFindings(t *testing.T) {
	one, two := Endpoint{Name: "one"}, Endpoint{Name: "two"}
	f := findings{when: "after", hide: hider([]string{"secret"}), endpoints: []Endpoint{one, two, {}}}
	f.enter("b", two, "")
	f.enter("a", Endpoint{}, "")
	for i := range 3 {
		f.enter("b", one, fmt.Sprintf("problem %d of secret", i))
	}
	f.enter("b", one, "")
	f.remark("b", two, "noted")
	f.remark("c", one, "seen")
	var got []string
	for _, c := range f.checks() {
		got = append(got, fmt.Sprintf("%s %s %s %v %s", c.When, c.Name, c.Replica, c.OK, c.Detail))
	}
	want := []string{
		"after b one false 1 of 4 right; problem 0 of ***; problem 1 of ***", "after b two true 1 of 1 right; noted", "after a  true 1 of 1 right", "after c one true not applicable; seen",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := perRequest(nil); got != "no other statements" {
		t.Errorf("%q", got)
	}
}

// Where replicas have names to say, every right answer names the one that gave it: that of a replica itself, that of any through the
// balancer. Refusals need not.
func TestReplicasNameThemselves(t *testing.T) {
	for name, c := range map[string]struct {
		says   func(at string) []string // of an endpoint: r1, r2 or front
		status int
		bad    []string // endpoints at which it fails
	}{
		"as they should": {says: func(at string) []string {
			return map[string][]string{"r1": {"pod-1"}, "r2": {"pod-2"}, "front": {"pod-2"}}[at]
		}},
		"none does":             {says: func(string) []string { return nil }, bad: []string{"a-1", "a-2", ""}},
		"all say the same":      {says: func(string) []string { return []string{"pod-1"} }, bad: []string{"a-2"}},
		"one says it twice":     {says: func(string) []string { return []string{"pod-1", "pod-1"} }, bad: []string{"a-1", "a-2", ""}},
		"another target's":      {says: func(string) []string { return []string{"pod-3"} }, bad: []string{"a-1", "a-2", ""}},
		"refusals without them": {says: func(string) []string { return nil }, status: http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			s := inspect(t, Contract{}, 2, func(w http.ResponseWriter, r *http.Request) {
				at, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
				for _, text := range c.says(at) {
					w.Header().Add("X-Bakeoff-Replica", text)
				}
				w.WriteHeader(max(c.status, http.StatusOK))
			})
			for i := range s.replicas {
				s.replicas[i].Says = fmt.Sprintf("pod-%d", i+1)
			}
			for i, at := range s.all {
				if i < len(s.replicas) {
					at = s.replicas[i]
				}
				s.request(t.Context(), http.MethodGet, at, "/ping")
			}
			var bad []string
			looked := 0
			for _, check := range s.findings.checks() {
				if check.Name != "replica" {
					continue
				}
				if looked++; !check.OK {
					bad = append(bad, check.Replica)
				}
			}
			slices.Sort(bad)
			slices.Sort(c.bad)
			if !slices.Equal(bad, c.bad) || looked != 3 && c.status == 0 || looked > 0 && c.status != 0 {
				t.Errorf("%d looked at, wrong at %q, want %q", looked, bad, c.bad)
			}
		})
	}
	s := inspect(t, Contract{}, 2, func(http.ResponseWriter, *http.Request) {})
	s.request(t.Context(), http.MethodGet, s.replicas[0], "/ping")
	for _, check := range s.findings.checks() {
		if check.Name == "replica" {
			t.Errorf("where none has a name: %+v", check)
		}
	}
}

// Cookies of the balancer are those that no replica sets itself.
func TestCookiesOfTheBalancer(t *testing.T) {
	s := inspect(t, Contract{}, 1, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "session=1; Path=/")
		if strings.HasPrefix(r.URL.Path, "/front") {
			w.Header().Add("Set-Cookie", "route=\"x=y\"; HttpOnly")
			w.Header().Add("Set-Cookie", " lb = 2")
		}
	})
	for _, at := range s.all {
		s.request(t.Context(), http.MethodGet, at, "/ping")
	}
	if got := s.result().Cookies; !slices.Equal(got, []string{"lb", "route"}) {
		t.Errorf("%q", got)
	}
}

// The balancer is asked at its own address by the name that the URL has; replicas are asked where they are.
func TestBalancerElsewhere(t *testing.T) {
	hosts := map[string]int{}
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		hosts[r.Host]++
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	data, err := dataset.New(dataset.Spec{Rows: 20_000, Seed: 1, MinLength: 1, MaxLength: 255})
	if err != nil {
		t.Fatal(err)
	}
	s, err := newInspection(&Contract{Dataset: data, Seed: 1, Dial: address}, "before", []Endpoint{{Name: "a-1", URL: server.URL}}, "http://flask.bench.example")
	if err != nil {
		t.Fatal(err)
	}
	defer s.asker.close()
	for _, at := range s.all {
		if a := s.request(t.Context(), http.MethodGet, at, "/ping"); a.err != nil {
			t.Errorf("%s: %v", at.URL, a.err)
		}
	}
	if len(hosts) != 2 || hosts["flask.bench.example"] != 1 || hosts[address] != 1 {
		t.Errorf("%v", hosts)
	}
}
