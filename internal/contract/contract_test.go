package contract_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"bakeoff/internal/contract"
	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/platform"
)

const testRows = 20_000

// bench is a filled database and the contract over it, shared by the tests below.
type bench struct {
	platform platform.Platform
	server   *database.Server
	data     *dataset.Dataset
	db       *sql.DB // as targets reach it
	contract *contract.Contract
}

func newBench(t *testing.T) *bench {
	t.Helper()
	data, err := dataset.New(dataset.Spec{Rows: testRows, Seed: 1, MinLength: 1, MaxLength: 255})
	if err != nil {
		t.Fatal(err)
	}
	p := openPlatform(t)
	server, err := database.Start(t.Context(), database.Options{Platform: p, Dir: t.TempDir(), BufferPool: "64M"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.Background(), 10*time.Second); err != nil {
			t.Error(err)
		}
	})
	if _, err := server.Fill(t.Context(), data, nil); err != nil {
		t.Fatal(err)
	}
	return &bench{
		platform: p, server: server, data: data, db: openTarget(t, server.Access()),
		contract: &contract.Contract{Dataset: data, Database: server, Lookups: dataset.Client, Seed: 7, Secrets: []string{server.Access().Password}},
	}
}

func TestContract(t *testing.T) {
	b := newBench(t)
	t.Run("honest", b.testHonest)
	t.Run("lenient", b.testLenient)
	t.Run("another index", b.testOtherIndex)
	t.Run("one of three", b.testNamed)
	t.Run("full", b.testFull)
	t.Run("caching balancer", b.testCachingBalancer)
	t.Run("no balancer", b.testNoBalancer)
	t.Run("in flight", b.testInFlight)
	t.Run("protocol", b.testProtocol)
	t.Run("idle connection", b.testIdle)
	t.Run("database fails", b.testDatabaseFails)
	t.Run("interrupted", b.testInterrupted)
	t.Run("under load", b.testUnderLoad)
	b.contract.Database = &remembering{Fixture: b.server, known: map[string]int64{}}
	for _, c := range cheats() {
		t.Run(c.name, func(t *testing.T) { b.testCheat(t, c) })
	}
}

func (b *bench) testHonest(t *testing.T) {
	fakes := []*fake{newFake(b.db, "one"), newFake(b.db, "two"), newFake(b.db, "three")}
	for _, f := range fakes {
		f.read = f.inTransaction
	}
	replicas, balancer := serveFakes(t, fakes...)
	began := time.Now()
	r := b.mustPass(t, "before", replicas, balancer)
	t.Logf("took %s", time.Since(began))
	if r.Reasons() != nil {
		t.Errorf("Reasons = %+v", r.Reasons())
	}
	if want := len(encode("", 1)) - 1; r.LengthPresent != want {
		t.Errorf("LengthPresent = %d, want %d", r.LengthPresent, want)
	}
	if want := len(encode("", 0)); r.LengthAbsent != want {
		t.Errorf("LengthAbsent = %d, want %d", r.LengthAbsent, want)
	}
	if want := map[string]float64{"begin": 1, "rollback": 1, "select": 1}; !maps.Equal(r.Others, want) {
		t.Errorf("Others = %v, want %v", r.Others, want)
	}
	for _, c := range r.Checks {
		if c.When != "before" || c.Detail == "" {
			t.Errorf("%+v", c)
		}
	}
}

// remembering asks the database for each hostile key once: the table stays as
// it is, and there are many cheats.
type remembering struct {
	contract.Fixture
	known map[string]int64
}

func (r *remembering) Lookup(ctx context.Context, name string) (id int64, exists bool, err error) {
	id, found := r.known[name]
	if !found {
		id, _, err = r.Fixture.Lookup(ctx, name)
		r.known[name] = id
	}
	return id, id != 0, err
}

// testNamed blames the one replica of three that answers wrong.
func (b *bench) testNamed(t *testing.T) {
	fakes := []*fake{newFake(b.db, "one"), newFake(b.db, "two"), newFake(b.db, "three")}
	fakes[1].write = func(w http.ResponseWriter, name string, id int64) { writeAnswer(w, name, id+1) }
	replicas, _ := serveFakes(t, fakes...)
	r, err := b.contract.Check(t.Context(), "before", replicas, "")
	if err != nil {
		t.Fatal(err)
	}
	if failed := failedNames(r); !slices.Contains(failed, "present") || !slices.Contains(failed, "hostile") {
		t.Errorf("failed: %v", failed)
	}
	for _, c := range r.Failed() {
		if c.Replica != "fake-2" {
			t.Errorf("%+v", c)
		}
	}
	if reasons := r.Reasons(); len(reasons) != 1 || reasons[0].Code != "contract" || !strings.Contains(reasons[0].Text, "at fake-2: ") {
		t.Errorf("Reasons = %+v", reasons)
	}
}

func (b *bench) testCheat(t *testing.T, c cheat) {
	f := newFake(b.db, "one")
	c.spoil(f, b)
	fakes := []*fake{f}
	if c.twice {
		fakes = append(fakes, f)
	}
	replicas, _ := serveFakes(t, fakes...)
	r, err := b.contract.Check(t.Context(), "before", replicas, "")
	if err != nil {
		t.Fatal(err)
	}
	failed := failedNames(r)
	for _, want := range c.caught {
		if !slices.Contains(failed, want) {
			t.Errorf("check %q let it pass", want)
		}
	}
	for _, f := range r.Failed() {
		t.Logf("%+v", f)
		if utf8.RuneCountInString(f.Detail) > 1003 || strings.Contains(f.Detail, b.server.Access().Password) {
			t.Error("the detail is too long, or shows the password")
		}
	}
}

// cheat changes a target and names checks that must catch it.
type cheat struct {
	name   string
	spoil  func(f *fake, b *bench)
	caught []string
	twice  bool // as two replicas
}

func cheats() []cheat {
	return []cheat{
		{"answers from its own copy", func(f *fake, b *bench) {
			f.read = func(_ context.Context, name string) (int64, error) {
				id, _ := b.data.Lookup(name)
				return id, nil
			}
		}, []string{"statements", "fresh row"}, false},
		{"asks, but answers from its own copy", func(f *fake, b *bench) {
			f.read = func(ctx context.Context, name string) (int64, error) {
				if _, err := f.query(ctx, statement, name); err != nil {
					return 0, err
				}
				id, _ := b.data.Lookup(name)
				return id, nil
			}
		}, []string{"fresh row"}, false},
		{"caches", func(f *fake, _ *bench) { f.read = cached(f.read, true) }, []string{"statements", "fresh row"}, false},
		{"caches what exists", func(f *fake, _ *bench) { f.read = cached(f.read, false) }, []string{"statements", "fresh row"}, false},
		{"knows what does not exist", func(f *fake, b *bench) {
			read := f.read
			f.read = func(ctx context.Context, name string) (int64, error) {
				if _, found := b.data.Lookup(name); !found && dataset.Plain(name) {
					return 0, nil
				}
				return read(ctx, name)
			}
		}, []string{"statements", "fresh row"}, false},
		{"answers requests in flight by one statement", func(f *fake, _ *bench) { f.read = coalesced(f.read) }, []string{"statements"}, false},
		{"asks twice", func(f *fake, _ *bench) {
			read := f.read
			f.read = func(ctx context.Context, name string) (int64, error) {
				_, _ = read(ctx, name)
				return read(ctx, name)
			}
		}, []string{"statements"}, false},
		{"asks for two keys in one statement", func(f *fake, b *bench) {
			f.read = func(ctx context.Context, name string) (int64, error) {
				return f.query(ctx, "SELECT MIN(IF(name = ?, id, NULL)) FROM demo_data WHERE name IN (?, ?) HAVING MIN(IF(name = ?, id, NULL)) > 0",
					name, name, b.data.Name(1), name)
			}
		}, []string{"statements"}, false},
		{"reads the whole table", func(f *fake, _ *bench) {
			f.read = func(ctx context.Context, name string) (int64, error) {
				return f.query(ctx, "SELECT id FROM demo_data IGNORE INDEX (name) WHERE name = ? ORDER BY id LIMIT 1", name)
			}
		}, []string{"statements"}, false},
		{"highest id", func(f *fake, _ *bench) {
			f.read = func(ctx context.Context, name string) (int64, error) {
				return f.query(ctx, statement[:len(statement)-len("LIMIT 1")]+"DESC LIMIT 1", name)
			}
		}, []string{"several rows", "fresh row"}, false},
		{"stale rows", func(f *fake, b *bench) { f.read = snapshot(b.db) }, []string{"fresh row"}, false},
		{"remembers what was deleted", func(f *fake, _ *bench) {
			var seen sync.Map
			read := f.read
			f.read = func(ctx context.Context, name string) (int64, error) {
				id, err := read(ctx, name)
				if id != 0 || err != nil {
					seen.Store(strings.ToLower(name), id)
					return id, err
				}
				if last, ok := seen.Load(strings.ToLower(name)); ok {
					return last.(int64), nil
				}
				return 0, nil
			}
		}, []string{"fresh row"}, false},
		{"minds the case of letters", func(f *fake, _ *bench) {
			f.read = func(ctx context.Context, name string) (int64, error) {
				return f.query(ctx, "SELECT id FROM demo_data WHERE name = ? AND BINARY name = ? ORDER BY id LIMIT 1", name, name)
			}
		}, []string{"other case"}, false},
		{"takes keys for patterns", func(f *fake, _ *bench) {
			f.read = func(ctx context.Context, name string) (int64, error) {
				return f.query(ctx, "SELECT id FROM demo_data WHERE name LIKE ? ORDER BY id LIMIT 1", name)
			}
		}, []string{"hostile"}, false},
		{"writes keys into its statement", func(f *fake, _ *bench) {
			f.read = func(ctx context.Context, name string) (int64, error) {
				return f.query(ctx, concatenated(name))
			}
		}, []string{"hostile"}, false},
		{"writes keys into its statement, quotes doubled", func(f *fake, _ *bench) {
			f.read = func(ctx context.Context, name string) (int64, error) {
				return f.query(ctx, concatenated(strings.ReplaceAll(name, "'", "''")))
			}
		}, []string{"hostile"}, false},
		{"hides what goes wrong", func(f *fake, _ *bench) {
			f.read = func(ctx context.Context, name string) (int64, error) {
				id, _ := f.query(ctx, concatenated(name))
				return id, nil
			}
		}, []string{"hostile"}, false},
		{"500 on NUL", func(f *fake, _ *bench) {
			read := f.read
			f.read = func(ctx context.Context, name string) (int64, error) {
				if strings.Contains(name, "\x00") {
					return 0, errors.New("embedded null character")
				}
				return read(ctx, name)
			}
		}, []string{"hostile"}, false},
		{"500 on long keys", func(f *fake, _ *bench) {
			f.around = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
				if len(r.FormValue("name")) > 255 {
					http.Error(w, "data too long", http.StatusInternalServerError)
					return
				}
				next(w, r)
			}
		}, []string{"empty and too long", "hostile"}, false},
		{"finds the empty name", func(f *fake, b *bench) {
			f.around = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
				if r.URL.RawQuery == "name=" {
					writeAnswer(w, "", 1)
					return
				}
				next(w, r)
			}
		}, []string{"empty and too long"}, false},
		{"finds cut names", func(f *fake, _ *bench) {
			f.around = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
				if name := r.FormValue("name"); len(name) > 255 {
					writeAnswer(w, name, 3)
					return
				}
				next(w, r)
			}
		}, []string{"empty and too long"}, false},
		{"trims spaces", func(f *fake, _ *bench) {
			write := f.write
			f.write = func(w http.ResponseWriter, name string, id int64) { write(w, strings.TrimSpace(name), id) }
		}, []string{"hostile"}, false},
		{"body cut, length as announced", func(f *fake, _ *bench) { f.write = writeCut(false) }, []string{"present", "absent"}, false},
		{"body cut before its announced length", func(f *fake, _ *bench) { f.write = writeCut(true) }, []string{"present"}, false},
		{"200 with an error text", func(f *fake, _ *bench) {
			f.write = func(w http.ResponseWriter, name string, id int64) {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"error": "too many connections"}`)
			}
		}, []string{"present", "absent", "drawn by the target"}, false},
		{"404 for what does not exist", func(f *fake, _ *bench) {
			f.write = func(w http.ResponseWriter, name string, id int64) {
				w.Header().Set("Content-Type", "application/json")
				if id == 0 {
					w.WriteHeader(http.StatusNotFound)
				}
				_, _ = w.Write(encode(name, id))
			}
		}, []string{"absent", "hostile"}, false},
		{"an id of what does not exist", func(f *fake, _ *bench) {
			f.write = func(w http.ResponseWriter, name string, id int64) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(strings.Replace(string(encode(name, id)), "true", "false", 1)))
			}
		}, []string{"present"}, false},
		{"refuses quotes", func(f *fake, _ *bench) {
			f.around = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
				if strings.Contains(r.FormValue("name"), "'") {
					http.Error(w, "not allowed", http.StatusBadRequest)
					return
				}
				next(w, r)
			}
		}, []string{"hostile"}, false},
		{"draws keys of other characters", func(f *fake, _ *bench) {
			f.draw = func() string { return "no-" + drawName()[:1] + fmt.Sprint(time.Now().UnixNano()) }
		}, []string{"drawn by the target"}, false},
		{"finds what is not text", func(f *fake, _ *bench) {
			f.around = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
				if strings.HasPrefix(r.URL.RawQuery, "name=%FF") {
					writeAnswer(w, "%FF", 4)
					return
				}
				next(w, r)
			}
		}, []string{"hostile"}, false},
		{"another key", func(f *fake, _ *bench) {
			f.write = func(w http.ResponseWriter, name string, id int64) {
				if id%2 == 1 && len(name) > 30 {
					name = strings.ToUpper(name)
				}
				writeAnswer(w, name, id)
			}
		}, []string{"longest"}, false},
		{"further fields", func(f *fake, _ *bench) {
			f.write = func(w http.ResponseWriter, name string, id int64) {
				w.Header().Set("Content-Type", "application/json")
				text := encode(name, id)
				_, _ = w.Write(append(text[:len(text)-1], `,"server":"fast"}`...))
			}
		}, []string{"present", "absent"}, false},
		{"bodies of varying length", func(f *fake, _ *bench) {
			var mu sync.Mutex
			odd := false
			f.write = func(w http.ResponseWriter, name string, id int64) {
				mu.Lock()
				odd = !odd
				text := encode(name, id)
				if odd {
					text = append(text, '\n')
				}
				mu.Unlock()
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write(text)
			}
		}, []string{"length"}, false},
		{"not named JSON", func(f *fake, _ *bench) {
			f.write = func(w http.ResponseWriter, name string, id int64) {
				w.Header().Set("Content-Type", "text/html")
				_, _ = w.Write(encode(name, id))
			}
		}, []string{"content type"}, false},
		{"no Date", func(f *fake, _ *bench) { f.around = dated(nil) }, []string{"date"}, false},
		{"old Date", func(f *fake, _ *bench) {
			f.around = dated([]string{time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat)})
		}, []string{"date"}, false},
		{"Date to come", func(f *fake, _ *bench) {
			f.around = dated([]string{time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)})
		}, []string{"date"}, false},
		{"no time in Date", func(f *fake, _ *bench) { f.around = dated([]string{"today"}) }, []string{"date"}, false},
		{"draws one key for ever", func(f *fake, _ *bench) {
			f.draw = func() string { return "always" }
		}, []string{"drawn by the target"}, false},
		{"draws keys of one length", func(f *fake, _ *bench) {
			f.draw = func() string { return drawName()[:1] + fmt.Sprint(time.Now().UnixNano()) }
		}, []string{"drawn by the target"}, true},
		{"does not ask for keys it draws", func(f *fake, _ *bench) {
			f.around = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
				if r.URL.Path == "/demo" && r.URL.RawQuery == "" {
					writeAnswer(w, drawName()+"nowhere", 0)
					return
				}
				next(w, r)
			}
		}, []string{"statements"}, false},
		{"draws absent keys and claims a row", func(f *fake, _ *bench) {
			f.around = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
				if r.URL.Path == "/demo" && r.URL.RawQuery == "" {
					f.write = func(w http.ResponseWriter, name string, _ int64) { writeAnswer(w, name, 5) }
					defer func() { f.write = writeAnswer }()
				}
				next(w, r)
			}
		}, []string{"drawn by the target"}, false},
		{"takes any method", func(f *fake, _ *bench) {
			f.around = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
				r.Method = http.MethodGet
				next(w, r)
			}
		}, []string{"wrong method"}, false},
		{"500 on POST", func(f *fake, _ *bench) {
			f.around = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
				if r.Method == http.MethodPost {
					http.Error(w, "failed", http.StatusInternalServerError)
					return
				}
				next(w, r)
			}
		}, []string{"wrong method"}, false},
		{"takes any path", func(f *fake, _ *bench) {
			f.around = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
				if r.URL.Path != "/ping" {
					r.URL.Path = "/demo"
				}
				next(w, r)
			}
		}, []string{"unknown path"}, false},
		{"another process", func(f *fake, _ *bench) {
			f.around = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
				if r.URL.Path == "/ping" {
					fmt.Fprint(w, "pong")
					return
				}
				next(w, r)
			}
		}, []string{"ping"}, false},
		{"ping asks the database", func(f *fake, b *bench) {
			f.around = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
				if r.URL.Path == "/ping" {
					_, _ = f.db.Exec("DO 1")
				}
				next(w, r)
			}
		}, []string{"statements"}, false},
		{"shows its password", func(f *fake, b *bench) {
			f.read = func(context.Context, string) (int64, error) {
				return 0, fmt.Errorf("cannot connect with %s", b.server.Access().Password)
			}
		}, []string{"present"}, false},
		{"does not answer", func(f *fake, _ *bench) {
			f.around = func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
				c, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					c.Close()
				}
			}
		}, []string{"ping", "present", "hostile"}, false},
	}
}

type reader = func(ctx context.Context, name string) (int64, error)

// cached remembers what read said, also that there is no row if absent is set.
func cached(read reader, absent bool) reader {
	var mu sync.Mutex
	known := map[string]int64{}
	return func(ctx context.Context, name string) (int64, error) {
		mu.Lock()
		id, found := known[name]
		mu.Unlock()
		if found {
			return id, nil
		}
		id, err := read(ctx, name)
		if err == nil && (id != 0 || absent) {
			mu.Lock()
			known[name] = id
			mu.Unlock()
		}
		return id, err
	}
}

// coalesced lets requests for one name wait for a read of it under way.
func coalesced(read reader) reader {
	type call struct {
		done chan struct{}
		id   int64
		err  error
	}
	var mu sync.Mutex
	calls := map[string]*call{}
	return func(ctx context.Context, name string) (int64, error) {
		mu.Lock()
		c, found := calls[name]
		if found {
			mu.Unlock()
			<-c.done
			return c.id, c.err
		}
		c = &call{done: make(chan struct{})}
		calls[name] = c
		mu.Unlock()
		time.Sleep(5 * time.Millisecond) // until the others are there
		c.id, c.err = read(ctx, name)
		mu.Lock()
		delete(calls, name)
		mu.Unlock()
		close(c.done)
		return c.id, c.err
	}
}

// snapshot reads in one transaction that never ends, and so never sees a new row.
func snapshot(db *sql.DB) reader {
	var mu sync.Mutex
	var tx *sql.Tx
	return func(_ context.Context, name string) (int64, error) {
		mu.Lock()
		defer mu.Unlock()
		if tx == nil {
			var err error
			if tx, err = db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}); err != nil {
				return 0, err
			}
		}
		var id int64
		err := tx.QueryRow(statement, name).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return id, err
	}
}

// writeCut leaves off the end of each body: against the announced length, or with it.
func writeCut(broken bool) func(http.ResponseWriter, string, int64) {
	return func(w http.ResponseWriter, name string, id int64) {
		text := encode(name, id)
		w.Header().Set("Content-Type", "application/json")
		if broken {
			w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		}
		_, _ = w.Write(text[:len(text)-1])
	}
}

// dated gives every answer the same Date header.
func dated(date []string) func(http.ResponseWriter, *http.Request, http.HandlerFunc) {
	return func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		w.Header()["Date"] = date
		next(w, r)
	}
}
