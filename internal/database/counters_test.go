package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bakeoff/internal/dataset"
)

const lookup = "SELECT id, name FROM demo_data WHERE name = ? ORDER BY id LIMIT 1"

// ask is one lookup as a target does it; a name that is absent is no error.
func ask(ctx context.Context, c interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, name string,
) error {
	var id int64
	var got string
	if err := c.QueryRowContext(ctx, lookup, name).Scan(&id, &got); !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return nil
}

// names are present and absent ones.
func names(t *testing.T, d *dataset.Dataset, n int) []string {
	keys, err := dataset.NewKeys(d, 5, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]string, n)
	for i := range list {
		key, _, _ := keys.AppendKey(nil, 1, uint64(i))
		list[i] = string(key)
	}
	return list
}

func countExactly(t *testing.T, s *Server, d *dataset.Dataset) {
	const n = 200
	ctx := t.Context()
	all := names(t, d, n)
	text, prepared := asTarget(t, s.Access(), true), asTarget(t, s.Access(), false)
	for _, c := range []struct {
		name   string
		do     func() error
		reads  int64
		others map[string]int64 // of those named
		opened int64
	}{
		{"nothing", func() error { return nil }, 0, nil, 0},
		{"text, connection per request", func() error {
			for _, name := range all {
				c, err := text.Conn(ctx)
				if err != nil {
					return err
				}
				if _, err := c.ExecContext(ctx, "SET SESSION sql_auto_is_null = 0"); err != nil {
					return err
				}
				if err := ask(ctx, c, name); err != nil {
					return err
				}
				_ = c.Raw(func(any) error { return errors.New("x") })
				_ = c.Close()
				text.SetMaxIdleConns(-1)
			}
			return nil
		}, n, map[string]int64{"select": n, "set_option": n}, n},
		{"prepared for each request, eight at a time", func() error {
			var wg sync.WaitGroup
			errs := make([]error, 8)
			prepared.SetMaxIdleConns(8)
			for w := range errs {
				wg.Go(func() {
					for i := w; i < n; i += len(errs) {
						errs[w] = errors.Join(errs[w], ask(ctx, prepared, all[i]))
					}
				})
			}
			wg.Wait()
			return errors.Join(errs...)
		}, n, map[string]int64{"select": n, "stmt_prepare": n, "stmt_execute": n, "stmt_close": n}, -1},
		{"prepared once", func() error {
			statement, err := prepared.PrepareContext(ctx, lookup)
			if err != nil {
				return err
			}
			defer statement.Close()
			for _, name := range all {
				var id int64
				var got string
				if err := statement.QueryRowContext(ctx, name).Scan(&id, &got); err != nil && !errors.Is(err, sql.ErrNoRows) {
					return err
				}
			}
			return nil
		}, n, map[string]int64{"select": n, "stmt_execute": n}, -1},
		{"in a transaction", func() error {
			for _, name := range all {
				tx, err := prepared.BeginTx(ctx, nil)
				if err != nil {
					return err
				}
				if err := errors.Join(ask(ctx, tx, name), tx.Rollback()); err != nil {
					return err
				}
			}
			return nil
		}, n, map[string]int64{"begin": n, "rollback": n, "select": n}, -1},
		{"pings and variables only", func() error {
			for range n {
				var v string
				if err := errors.Join(prepared.PingContext(ctx), prepared.QueryRowContext(ctx, "SELECT @@version").Scan(&v)); err != nil {
					return err
				}
			}
			return nil
		}, 0, map[string]int64{"select": n}, -1},
		{"each one twice", func() error {
			for _, name := range all {
				if err := errors.Join(ask(ctx, prepared, name), ask(ctx, prepared, name)); err != nil {
					return err
				}
			}
			return nil
		}, 2 * n, nil, -1},
	} {
		before, err := s.Counters(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		ourselves(t, s, d)
		got := settle(t, s, before)
		if got.Reads != c.reads {
			t.Errorf("%s: %d reads counted, %d made", c.name, got.Reads, c.reads)
		}
		for kind, want := range c.others {
			if got.Others[kind] != want {
				t.Errorf("%s: %d %s counted, %d made (%v)", c.name, got.Others[kind], kind, want, got.Others)
			}
		}
		if c.opened >= 0 && got.Connections != c.opened {
			t.Errorf("%s: %d connections counted, %d opened", c.name, got.Connections, c.opened)
		}
		if c.others == nil && c.reads == 0 && len(got.Others) != 0 {
			t.Errorf("%s: our own statements are counted: %v", c.name, got.Others)
		}
	}
}

// settle reads the counters once the server has taken in what the driver
// sends without waiting for an answer (closing a statement).
func settle(t *testing.T, s *Server, before Counters) Counters {
	t.Helper()
	var last Counters
	for range 50 {
		now, err := s.Counters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := now.Sub(before)
		if last.Others != nil && maps.Equal(got.Others, last.Others) {
			return got
		}
		last = got
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the counters do not settle")
	return last
}

// ourselves does everything of ours that reads the table or asks for status.
func ourselves(t *testing.T, s *Server, d *dataset.Dataset) {
	t.Helper()
	ctx := t.Context()
	for i := range int64(5) {
		_, _, err1 := s.Lookup(ctx, d.Name(1+i))
		_, err2 := s.Status(ctx)
		_, err3 := s.ConnectionCount(ctx)
		_, err4 := s.Explain(ctx, fmt.Sprint(i))
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Alone(ctx, []string{d.Name(1), d.Name(2)}); err != nil {
		t.Fatal(err)
	}
	id, err := s.Insert(ctx, "ourselves")
	if err := errors.Join(err, s.Delete(ctx, id), s.Check(ctx, d)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Digest(ctx); err != nil {
		t.Fatal(err)
	}
}

// Alone times executions and nothing else: one statement is prepared, and executed once more than there are names, as often as it is
// sent as text, and the status is asked for after them. So it takes less than a whole Lookup, which prepares, closes and asks for the status.
func TestAlone(t *testing.T) {
	s, d := shared(t)
	var names []string
	for i := range int64(40) {
		names = append(names, d.Name(1+i))
	}
	whole := make([]time.Duration, len(names))
	for i, name := range names {
		began := time.Now()
		if _, _, err := s.Lookup(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		whole[i] = time.Since(began)
	}
	slices.Sort(whole)
	ours := func() map[string]int64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return maps.Clone(s.last)
	}
	before := ours()
	took, err := s.Alone(t.Context(), append(names, "no such name"))
	if err != nil || took <= 0 || took >= whole[len(whole)/4] {
		t.Errorf("alone %v, with all around it %v: %v", took, whole[len(whole)/4], err)
	}
	after := ours()
	for kind, want := range map[string]int64{"Com_stmt_prepare": 1, "Com_stmt_execute": 42, "Com_show_status": 1} {
		if got := after[kind] - before[kind]; got != want {
			t.Errorf("%s: %d, want %d", kind, got, want)
		}
	}
	if texts := after["Com_select"] - before["Com_select"]; texts < 42 { // MySQL counts those that are executed, too
		t.Errorf("%d statements as text, want 42", texts)
	}
	for name, names := range map[string][]string{"no names": nil, "a quote": {"a", "' or 1 = 1"}, "a backslash": {`a\`}} {
		if _, err := s.Alone(t.Context(), names); err == nil {
			t.Error(name)
		}
	}
}

func TestCountersExact(t *testing.T) {
	s, d := shared(t)
	countExactly(t, s, d)
}

// TestCountersAfterOurConnectionBroke shows that what an ended session of
// ours did stays taken off.
func TestCountersAfterOurConnectionBroke(t *testing.T) {
	s, d := shared(t)
	before, err := s.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ourselves(t, s, d)
	s.mu.Lock()
	s.dropConn()
	s.mu.Unlock()
	ourselves(t, s, d)
	got := settle(t, s, before)
	if got.Reads != 0 || got.Connections != 0 {
		t.Errorf("%+v", got)
	}
}

// TestCountersByDigest counts on a server that keeps statement digests and is used by others.
func TestCountersByDigest(t *testing.T) {
	_, d := shared(t)
	s := startPrivate(t, Options{CacheDir: fixture.testCache, Dataset: d, Settings: map[string]string{"performance-schema": "ON"}})
	if _, err := s.Fill(t.Context(), d, nil); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{ // as on a server of somebody else
		"UPDATE performance_schema.setup_instruments SET ENABLED = 'YES' WHERE NAME LIKE 'statement/%'",
		"UPDATE performance_schema.setup_consumers SET ENABLED = 'YES' WHERE NAME IN ('statements_digest', 'thread_instrumentation', 'global_instrumentation')",
	} {
		if err := s.run(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if why, err := s.tryCounter(t.Context(), ByDigest); err != nil || why != "" && s.private.binary.vendor == MySQL {
		t.Fatalf("%s, %v", why, err)
	} else if why != "" {
		t.Skipf("%s cannot count so: %s", s.private.binary.version, why)
	}
	before, err := s.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ourselves(t, s, d)
	if got := settle(t, s, before); got.Reads != 0 {
		t.Errorf("%d statements of our own counted", got.Reads)
	}
	stop := others(t, s)
	defer stop()
	if err := s.chooseCounter(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info, err := s.Info(t.Context()); err != nil || info.Counter != ByDigest || !strings.Contains(info.CounterReason, "others use the server; statement digests lose") {
		t.Errorf("counted by %s: %q, %v", info.Counter, info.CounterReason, err)
	}
	e := externalOn(t, s, "norights")
	if _, err := e.Fill(t.Context(), d, nil); err == nil || !strings.Contains(err.Error(), "GRANT SELECT ON performance_schema") {
		t.Errorf("without the right to read digests: %v", err)
	}
	stop()
	if err := s.explore(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for what, used := range map[string]bool{Lookups: false, Statements: false, RowsByName: true, RowsByOther: true, Ranges: false} {
		if got := info.Meanings[what]; got.Used != used || !used && got.Counts != othersUse {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

// TestResting wants nothing counted as running while nobody asks anything, also where the event scheduler runs.
func TestResting(t *testing.T) {
	s, _ := shared(t)
	look := func() int64 {
		t.Helper()
		if err := s.findResting(t.Context()); err != nil {
			t.Fatal(err)
		}
		c, err := s.Counters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c.Running
	}
	if n := look(); n != 0 || s.resting != 0 {
		t.Errorf("%d statements run on a private server, %d of them always", n, s.resting)
	}
	if err := s.run(t.Context(), "SET GLOBAL event_scheduler = ON"); err != nil {
		t.Fatal(err)
	}
	n := look()
	t.Logf("with the event scheduler %d statements run always", s.resting)
	if n != 0 {
		t.Errorf("%d statements run", n)
	}
	if err := s.run(t.Context(), "SET GLOBAL event_scheduler = OFF"); err != nil {
		t.Fatal(err)
	}
	if n := look(); n != 0 || s.resting != 0 {
		t.Errorf("%d statements run behind it, %d always", n, s.resting)
	}
}

// others reads another table of the server all the time until it is stopped.
func others(t *testing.T, s *Server) (stop func()) {
	t.Helper()
	if err := s.run(t.Context(), "CREATE TABLE IF NOT EXISTS other (id int PRIMARY KEY)", "GRANT SELECT ON bakeoff.other TO 'bakeoff_target'@'127.0.0.1'"); err != nil {
		t.Fatal(err)
	}
	db := asTarget(t, s.Access(), true)
	ctx, cancel := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	for range 4 {
		reading.Go(func() {
			for ctx.Err() == nil {
				_, _ = db.ExecContext(ctx, "SELECT id FROM other WHERE id = 1")
			}
		})
	}
	return func() { cancel(); reading.Wait() }
}

// Ends of statements are counted where these touch a table, and otherwise at most one for each that may end a transaction: the gate's bound
// on them rests on this.
func TestEndsOfStatements(t *testing.T) {
	s, d := shared(t)
	const n = 10
	name := names(t, d, 1)[0]
	db := asTarget(t, s.Access(), true)
	db.SetMaxOpenConns(1)
	prepare := "PREPARE p FROM 'SELECT id, name FROM demo_data WHERE name = ? ORDER BY id LIMIT 1'"
	for kinds, c := range map[string]struct {
		statements  []string
		least, most int64 // ends that are counted of each round
	}{
		"variables":             {[]string{"SELECT @@version", "SELECT 1"}, 0, 0},
		"SET and SHOW":          {[]string{"SET sql_auto_is_null = 0", "SHOW VARIABLES LIKE 'version'"}, 0, 2},
		"rolled back":           {[]string{"START TRANSACTION", "SELECT id FROM demo_data WHERE name = '" + name + "'", "ROLLBACK"}, 1, 1},
		"committed":             {[]string{"START TRANSACTION", "SELECT id FROM demo_data WHERE name = '" + name + "'", "COMMIT"}, 2, 2},
		"prepared in SQL":       {[]string{prepare, "SET @n = '" + name + "'", "EXECUTE p USING @n", "DEALLOCATE PREPARE p"}, 1, 1},
		"nothing, of the table": {[]string{"SELECT id FROM demo_data WHERE 0 = 1"}, 1, 1},
	} {
		before, err := s.Counters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			for _, statement := range c.statements {
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
		}
		got := settle(t, s, before)
		if ends := got.Touched.Commits; ends < c.least*n || ends > c.most*n {
			t.Errorf("%s: %d ends counted, want %d to %d (%v)", kinds, ends, c.least*n, c.most*n, got.Others)
		}
		// EXECUTE is counted among the executions of prepared statements too.
		if kinds == "prepared in SQL" && (got.Others["execute_sql"] != n || got.Others["stmt_execute"] != n) {
			t.Errorf("%s: %v", kinds, got.Others)
		}
	}
}

// TestCounterReason wants said why a way of counting was not taken, and that a time zone the server does
// not know distorts the count.
func TestCounterReason(t *testing.T) {
	s, d := shared(t)
	for zone, spoils := range map[string]bool{"UTC": false, "Nowhere/Town": true} {
		if err := s.explainCounter(t.Context(), ByHandler, []string{"for a reason"}, zone); err != nil {
			t.Fatal(err)
		}
		info, err := s.Info(t.Context())
		if err != nil || !strings.HasPrefix(info.CounterReason, "for a reason") || strings.Contains(info.CounterReason, "time zone "+zone) != spoils {
			t.Errorf("%s: %q, %v", zone, info.CounterReason, err)
		}
	}
	if _, err := s.Fill(t.Context(), d, nil); err != nil { // chooses again
		t.Fatal(err)
	}
}
