package contract_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bakeoff/internal/contract"
	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/gate"
	engine "bakeoff/internal/load"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// testFull finds nothing at an honest target, and that a clock stands still that was right at the start.
func (b *bench) testFull(t *testing.T) {
	full := *b.contract
	full.Full = true
	still := newFake(b.db, "two")
	// It goes a little fast, so that a slow machine sees it stand still before it is too old.
	still.around = dated([]string{time.Now().Add(2500 * time.Millisecond).UTC().Format(http.TimeFormat)})
	replicas, balancer := serveFakes(t, newFake(b.db, "one"), still)
	r, err := full.Check(t.Context(), "before", replicas, balancer)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Failed() {
		if c.Name != "date" || c.Replica == "fake-1" {
			t.Errorf("%+v", c)
		}
	}
	if !slices.ContainsFunc(r.Failed(), func(c record.Check) bool {
		return c.Replica == "fake-2" && strings.Contains(c.Detail, "Date to advance")
	}) {
		t.Error("a Date that stands still was let pass")
	}
}

// testLenient looks up what can be no name instead of refusing it, and takes bytes
// that are no text for U+FFFD, as many frameworks do: that is honest too.
func (b *bench) testLenient(t *testing.T) {
	f := newFake(b.db, "one")
	f.around = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		names, given := r.URL.Query()["name"]
		if r.Method != http.MethodGet || r.URL.Path != "/demo" || !given {
			next(w, r)
			return
		}
		name := strings.ToValidUTF8(names[0], "\ufffd")
		id, err := f.read(r.Context(), name)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write(encode(name, id))
	}
	replicas, balancer := serveFakes(t, f)
	b.mustPass(t, "before", replicas, balancer)
}

// primary is a database that looks names up by the primary key.
type primary struct{ contract.Fixture }

func (primary) Explain(context.Context, string) (string, error) { return "PRIMARY", nil }

func (b *bench) testOtherIndex(t *testing.T) {
	other := *b.contract
	other.Database = primary{b.server}
	replicas, _ := serveFakes(t, newFake(b.db, "one"))
	r, err := other.Check(t.Context(), "before", replicas, "")
	if err != nil {
		t.Fatal(err)
	}
	if failed := failedNames(r); !slices.Equal(failed, []string{"index"}) {
		t.Errorf("failed: %v", failed)
	}
}

// testCachingBalancer spares the replicas a request and blames none of them for it.
func (b *bench) testCachingBalancer(t *testing.T) {
	replicas, balancer := serveFakes(t, newFake(b.db, "one"))
	var mu sync.Mutex
	known := map[string]*httptest.ResponseRecorder{}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		rec := known[r.Method+r.RequestURI]
		if rec == nil {
			rec = httptest.NewRecorder()
			fetch(t, rec, r.Method, balancer+r.RequestURI)
			known[r.Method+r.RequestURI] = rec
		}
		for key, values := range rec.Header() {
			w.Header()[key] = values
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	}))
	defer front.Close()
	r, err := b.contract.Check(t.Context(), "after", replicas, front.URL)
	if err != nil {
		t.Fatal(err)
	}
	if failed := failedNames(r); !slices.Contains(failed, "statements") || !slices.Contains(failed, "fresh row") {
		t.Errorf("failed: %v", failed)
	}
	for _, c := range r.Failed() {
		if c.Replica != "" || c.When != "after" {
			t.Errorf("%+v", c)
		}
	}
}

func fetch(t *testing.T, rec *httptest.ResponseRecorder, method, url string) {
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Error(err)
		return
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	defer res.Body.Close()
	for key, values := range res.Header {
		rec.Header()[key] = values
	}
	rec.WriteHeader(res.StatusCode)
	_, _ = rec.Body.ReadFrom(res.Body)
}

// testNoBalancer asks the replicas alone.
func (b *bench) testNoBalancer(t *testing.T) {
	replicas, _ := serveFakes(t, newFake(b.db, "one"), newFake(b.db, "two"))
	r, err := b.contract.Check(t.Context(), "before", replicas, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Failed()) > 0 {
		t.Errorf("%+v", r.Failed())
	}
	if _, err := b.contract.Check(t.Context(), "before", nil, ""); err == nil {
		t.Error("no replicas: no error")
	}
}

// testInFlight never sends more at once than the target is deployed for.
func (b *bench) testInFlight(t *testing.T) {
	for _, bound := range []int{1, 2} {
		f := newFake(b.db, "one")
		var flying atomic.Int64
		f.read = func(ctx context.Context, name string) (int64, error) {
			defer flying.Add(-1)
			if n := flying.Add(1); n > int64(bound) {
				t.Errorf("%d at once, want at most %d", n, bound)
			}
			time.Sleep(time.Millisecond)
			return f.query(ctx, statement, name)
		}
		bounded := *b.contract
		bounded.InFlight = bound
		replicas, _ := serveFakes(t, f)
		if r, err := bounded.Check(t.Context(), "before", replicas, ""); err != nil || len(r.Failed()) > 0 {
			t.Errorf("%v %+v", err, r.Failed())
		}
	}
}

// failing is a database with one method that fails.
type failing struct {
	contract.Fixture
	method string
	after  int // calls that succeed first
}

var errBroken = errors.New("connection lost")

func (f *failing) fails(method string) error {
	if f.method != method {
		return nil
	}
	if f.after--; f.after >= 0 {
		return nil
	}
	return errBroken
}

func (f *failing) Lookup(ctx context.Context, name string) (int64, bool, error) {
	if err := f.fails("Lookup"); err != nil {
		return 0, false, err
	}
	return f.Fixture.Lookup(ctx, name)
}

func (f *failing) Insert(ctx context.Context, name string) (int64, error) {
	if err := f.fails("Insert"); err != nil {
		return 0, err
	}
	return f.Fixture.Insert(ctx, name)
}

func (f *failing) Explain(ctx context.Context, name string) (string, error) {
	if err := f.fails("Explain"); err != nil {
		return "", err
	}
	return f.Fixture.Explain(ctx, name)
}

func (f *failing) Counters(ctx context.Context) (database.Counters, error) {
	if err := f.fails("Counters"); err != nil {
		return database.Counters{}, err
	}
	return f.Fixture.Counters(ctx)
}

// testDatabaseFails is an error of ours, not the target's, and leaves no row behind.
func (b *bench) testDatabaseFails(t *testing.T) {
	replicas, balancer := serveFakes(t, newFake(b.db, "one"))
	for _, f := range []failing{{method: "Lookup"}, {method: "Insert", after: 1}, {method: "Explain"}, {method: "Counters"}, {method: "Counters", after: 12}} {
		f.Fixture = b.server
		broken := *b.contract
		broken.Database = &f
		if _, err := broken.Check(t.Context(), "before", replicas, balancer); !errors.Is(err, errBroken) {
			t.Errorf("%s fails: %v", f.method, err)
		}
	}
	b.onlyOurRows(t)
}

// testInterrupted ends soon, with the cause, and leaves no row behind.
func (b *bench) testInterrupted(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	f := newFake(b.db, "one")
	f.around = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		if next(w, r); r.FormValue("name") != "" && b.count(t) > testRows {
			cancel(cause)
		}
	}
	replicas, balancer := serveFakes(t, f)
	if _, err := b.contract.Check(ctx, "before", replicas, balancer); !errors.Is(err, cause) {
		t.Errorf("error %v, want %v", err, cause)
	}
	if ctx.Err() == nil {
		t.Fatal("never interrupted")
	}
	b.onlyOurRows(t)
}

func (b *bench) count(t *testing.T) (n int) {
	t.Helper()
	if err := b.db.QueryRow("SELECT COUNT(*) FROM demo_data").Scan(&n); err != nil {
		t.Error(err)
	}
	return n
}

func (b *bench) onlyOurRows(t *testing.T) {
	t.Helper()
	if n := b.count(t); n != testRows {
		t.Errorf("the table has %d rows, want %d", n, testRows)
	}
}

// testUnderLoad is about targets that keep the contract only while nobody is
// loading them: the checks before and after find nothing, the sampled check during the load and
// the counts around it do.
func (b *bench) testUnderLoad(t *testing.T) {
	for _, c := range []struct {
		name    string
		busy    func(f *fake, name string) int64
		bad     bool // found by the sample
		witness bool // found by the counts
	}{
		{"honest", nil, false, false},
		{"own copy", func(_ *fake, name string) int64 { id, _ := b.data.Lookup(name); return id }, false, true},
		{"nothing exists", func(*fake, string) int64 { return 0 }, true, true},
		{"asks, then says anything", func(f *fake, name string) int64 { _, _ = f.query(context.Background(), statement, name); return 9 }, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(b.db, "one")
			if c.busy != nil {
				f.read = whenBusy(f, c.busy)
			}
			replicas, balancer := serveFakes(t, f)
			before := b.mustPass(t, "before", replicas, balancer)
			books, unwritten, reads, served := b.load(t, before, balancer, f.served.Load)
			b.mustPass(t, "after", replicas, balancer)
			if found := books.Bad > 0; found != c.bad {
				t.Errorf("sample: %+v", books)
			}
			reasons := gate.Witness(books, unwritten, reads, served)
			if found := len(reasons) > 0; found != c.witness {
				t.Errorf("counts: %+v, %d reads, %d served: %+v", books, reads, served, reasons)
			}
		})
	}
}

// whenBusy replaces read while other requests are in flight.
func whenBusy(f *fake, busy func(*fake, string) int64) reader {
	var flying atomic.Int64
	read := f.read
	return func(ctx context.Context, name string) (int64, error) {
		defer flying.Add(-1)
		if flying.Add(1) > 10 { // more than the check sends at once
			return busy(f, name), nil
		}
		return read(ctx, name)
	}
}

func (b *bench) mustPass(t *testing.T, when string, replicas []contract.Endpoint, balancer string) contract.Result {
	t.Helper()
	r, err := b.contract.Check(t.Context(), when, replicas, balancer)
	if err != nil || len(r.Failed()) > 0 {
		t.Fatalf("%s: %v %+v", when, err, r.Failed())
	}
	return r
}

// load sends lookups over 32 connections for a moment, and returns the books and
// what the witnesses counted; count is the balancer's.
func (b *bench) load(t *testing.T, learned contract.Result, balancer string, count func() int64) (books stats.Books, unwritten, reads, served int64) {
	t.Helper()
	workload, err := b.data.Workload(dataset.WorkloadSpec{
		Dataset: b.data.Spec(), Seed: 3, HitRatio: 0.5, Lookups: dataset.Client,
		LengthPresent: learned.LengthPresent, LengthAbsent: learned.LengthAbsent,
	})
	if err != nil {
		t.Fatal(err)
	}
	before, seen := b.counters(t), count()
	outcomes := map[string]int64{}
	err = engine.NewHTTP().Run(t.Context(), engine.Job{
		URLs: []string{balancer}, Share: engine.Share{Index: 0, Of: 1}, Seed: 3, Workload: workload, Start: time.Now(),
		Phase: engine.Phase{Model: engine.Closed, Connections: 32, Duration: 700 * time.Millisecond, Timeout: 10 * time.Second, CheckShare: 0.1},
	}, func(w stats.Window) {
		books.Add(w.Books)
		unwritten += w.Unwritten
		for class, n := range w.Outcomes {
			outcomes[class] += n
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := books.Exact(); err != nil || books.Answered() < 32 { // one a connection, on the busiest machine
		t.Fatalf("%+v: %v", books, err)
	}
	reads, served = b.counters(t).Reads-before.Reads, count()-seen
	t.Logf("%+v, of which %v; %d reads, %d at the balancer", books, outcomes, reads, served)
	return books, unwritten, reads, served
}

func (b *bench) counters(t *testing.T) database.Counters {
	t.Helper()
	c, err := b.server.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}
