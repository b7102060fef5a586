package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"bakeoff/internal/dataset"
	"bakeoff/internal/plan"
)

const testRows = 20_000

var testSpec = dataset.Spec{Rows: testRows, Seed: 1, MinLength: 1, MaxLength: 255}

// fixture is the filled server that most tests share; only tests that leave
// the table as it was may use it.
var fixture struct {
	once      sync.Once
	platform  *processes
	dir       string
	server    *Server
	data      *dataset.Dataset
	filled    Filled
	err       error
	progress  []int64
	testCache string
}

func TestMain(m *testing.M) {
	if os.Getenv(fillerCache) != "" {
		os.Exit(filler())
	}
	code := m.Run()
	if fixture.platform != nil {
		if fixture.server != nil {
			if err := fixture.server.Stop(context.Background(), 30*time.Second); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
		_ = fixture.platform.Close()
		_ = os.RemoveAll(fixture.dir)
	}
	os.Exit(code)
}

func shared(t *testing.T) (*Server, *dataset.Dataset) {
	t.Helper()
	f := &fixture
	f.once.Do(func() {
		ctx := context.Background()
		f.platform = &processes{}
		if f.dir, f.err = os.MkdirTemp("", "bakeoff-test-"); f.err != nil {
			return
		}
		f.testCache = f.dir + "/cache"
		if f.data, f.err = dataset.New(testSpec); f.err != nil {
			return
		}
		f.server, f.err = Start(ctx, Options{Platform: f.platform, Dir: f.dir + "/run", CacheDir: f.testCache, Dataset: f.data})
		if f.err != nil {
			return
		}
		f.filled, f.err = f.server.Fill(ctx, f.data, func(done, _ int64) { f.progress = append(f.progress, done) })
	})
	if f.err != nil {
		t.Fatal(f.err)
	}
	return f.server, f.data
}

func startPrivate(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Platform == nil {
		o.Platform = newPlatform(t)
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background(), 30*time.Second); err != nil {
			t.Error(err)
		}
		if exists(s.private.base) {
			t.Errorf("%s is left", s.private.base)
		}
	})
	return s
}

// asTarget opens a pool as a target would.
func asTarget(t *testing.T, a Access, interpolate bool) *sql.DB {
	t.Helper()
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName = a.User, a.Password, "tcp", fmt.Sprintf("%s:%d", a.Host, a.Port), a.Name
	cfg.InterpolateParams = interpolate
	cfg.Collation = collation
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestFillFresh(t *testing.T) {
	s, d := shared(t)
	f := fixture.filled
	if f.FromCache || f.Warning != "" || f.Digest != d.Digest() || f.Seconds <= 0 {
		t.Errorf("%+v, want digest %s", f, d.Digest())
	}
	for i, done := range fixture.progress[1:] {
		if done < fixture.progress[i] {
			t.Errorf("progress goes back: %v", fixture.progress)
		}
	}
	if n := len(fixture.progress); fixture.progress[n-1] != testRows {
		t.Errorf("progress ends at %d", fixture.progress[n-1])
	}
	digest, err := s.Digest(t.Context())
	if err != nil || digest != d.Digest() {
		t.Errorf("digest %s, %v", digest, err)
	}
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"collation_server": collation, "character_set_server": "utf8mb4", "performance_schema": map[bool]string{false: "OFF", true: "ON"}[info.Vendor == MySQL], "innodb_doublewrite": "ON",
		"innodb_flush_log_at_trx_commit": "2", "local_infile": "OFF", "bind_address": "127.0.0.1", "skip_name_resolve": "ON",
		"max_connections": "208", "innodb_buffer_pool_size": "536870912", "general_log": "OFF",
	} {
		if info.Settings[name] != want {
			t.Errorf("the server reports %s = %q, not %q", name, info.Settings[name], want)
		}
	}
	if info.Collation != collation || info.MaxConnections != 208 || info.Version == "" || info.Kind != KindPrivate || info.Counter != ByHandler {
		t.Errorf("%+v", info)
	}
}

// TestProven wants a table refused that is not, to its last row, what was to be loaded.
func TestProven(t *testing.T) {
	s, d := shared(t)
	ctx := t.Context()
	if digest, err := s.proven(ctx, d); err != nil || digest != d.Digest() {
		t.Fatalf("%s, %v", digest, err)
	}
	const row = 778 // which no sample looks at
	if err := s.run(ctx, fmt.Sprintf("UPDATE demo_data SET name = CONCAT(name, 'x') WHERE id = %d", row)); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(ctx, d); err != nil {
		t.Errorf("the sample looks at row %d: the test proves nothing: %v", row, err)
	}
	if _, err := s.proven(ctx, d); !errors.Is(err, ErrData) {
		t.Errorf("another row %d: %v", row, err)
	}
	if err := s.run(ctx, fmt.Sprintf("UPDATE demo_data SET name = '%s' WHERE id = %d", d.Name(row), row)); err != nil {
		t.Fatal(err)
	}
}

// TestFillProves wants a table marked as complete to be filled again where a row is another.
func TestFillProves(t *testing.T) {
	shared(t)
	e := externalServer(t, "proves")
	good, err := dataset.New(dataset.Spec{Rows: 1000, Seed: 3, MinLength: 10, MaxLength: 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Fill(t.Context(), good, nil); err != nil {
		t.Fatal(err)
	}
	if err := e.run(t.Context(), "UPDATE demo_data SET name = CONCAT(name, 'x') WHERE id = 7"); err != nil {
		t.Fatal(err)
	}
	if err := e.setMark(t.Context(), markComplete); err != nil { // as if nobody had touched it
		t.Fatal(err)
	}
	filled, err := e.Fill(t.Context(), good, nil)
	if err != nil || filled.FromCache || filled.Digest != good.Digest() {
		t.Errorf("a table with another row was not made anew: %+v, %v", filled, err)
	}
}

func TestQueries(t *testing.T) {
	s, d := shared(t)
	ctx := t.Context()
	for id := int64(1); id <= d.Rows(); id += 997 {
		if got, ok, err := s.Lookup(ctx, strings.ToUpper(d.Name(id))); err != nil || !ok || got != d.First(id) {
			t.Errorf("row %d: %d %t %v, not %d", id, got, ok, err, d.First(id))
		}
	}
	for _, h := range dataset.HostileKeys() {
		if id, ok, err := s.Lookup(ctx, h.Key); err != nil || ok {
			t.Errorf("%s: %d %t %v", h.What, id, ok, err)
		}
	}
	if key, err := s.Explain(ctx, "nobody"); err != nil || key != indexName {
		t.Errorf("explain: key %q, %v", key, err)
	}
	id, err := s.Insert(ctx, "naïve ' name")
	if err != nil || id <= d.Rows() {
		t.Fatalf("inserted as %d, %v", id, err)
	}
	if got, ok, err := s.Lookup(ctx, "NAIVE ' NAME  "); err != nil || !ok || got != id { // general_ci: accents, case, trailing spaces
		t.Errorf("the inserted row: %d %t %v, not %d", got, ok, err, id)
	}
	if err := s.Check(ctx, d); !errors.Is(err, ErrRows) {
		t.Errorf("one row too many: %v", err)
	}
	if err := s.Delete(ctx, id); err != nil {
		t.Error(err)
	}
	if err := s.Delete(ctx, id); err == nil {
		t.Error("a row deleted twice")
	}
	if err := s.Delete(ctx, 1); err == nil {
		t.Error("a row of the dataset deleted")
	}
	if _, ok, err := s.Lookup(ctx, "naïve ' name"); ok || err != nil {
		t.Errorf("the deleted row: %t %v", ok, err)
	}
	if err := s.Check(ctx, d); err != nil {
		t.Error(err)
	}
	if status, err := s.Status(ctx); err != nil || status["threads_connected"] < 1 || status["questions"] < 10 {
		t.Errorf("status: %v %v", status, err)
	}
}

// TestRights shows that a target can do nothing but read the table.
func TestRights(t *testing.T) {
	s, _ := shared(t)
	db := asTarget(t, s.Access(), false)
	var n int
	if err := db.QueryRow("SELECT COUNT(*) FROM demo_data").Scan(&n); err != nil || n != testRows {
		t.Errorf("%d rows, %v", n, err)
	}
	for _, statement := range []string{
		"INSERT INTO demo_data (name) VALUES ('x')", "DELETE FROM demo_data", "UPDATE demo_data SET name = ''", "DROP TABLE demo_data",
		"CREATE TABLE other (id int)", "SELECT * FROM mysql.user", "SELECT * FROM mysql.global_priv", "SET GLOBAL max_connections = 5",
		"SELECT LOAD_FILE('/etc/passwd')  INTO OUTFILE '/tmp/bakeoff-no'", "CREATE USER x", "SHUTDOWN",
	} {
		if _, err := db.Exec(statement); err == nil {
			t.Errorf("allowed: %s", statement)
		}
	}
	if n, err := s.ConnectionCount(t.Context()); err != nil || n != 1 {
		t.Errorf("%d connections of the targets, %v", n, err)
	}
	if open, err := s.Connections(t.Context()); err != nil || len(open) != 1 || open[s.Access().User] != 1 {
		t.Errorf("connections by account %v, %v", open, err)
	}
}

func TestCheckRefuses(t *testing.T) {
	s, d := shared(t)
	ctx := t.Context()
	other, err := dataset.New(dataset.Spec{Rows: testRows, Seed: 2, MinLength: 1, MaxLength: 255})
	if err != nil {
		t.Fatal(err)
	}
	more, err := dataset.New(dataset.Spec{Rows: testRows + 1, Seed: 1, MinLength: 1, MaxLength: 255})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		want  *dataset.Dataset
		spoil []string
		mend  []string
		err   error
	}{
		{"good", d, nil, nil, nil},
		{"other data expected", other, nil, nil, ErrData},
		{"more rows expected", more, nil, nil, ErrRows},
		{
			"a row too few", d,
			[]string{"DELETE FROM demo_data WHERE id = 777"},
			[]string{fmt.Sprintf("INSERT INTO demo_data (id, name) VALUES (777, '%s')", d.Name(777))},
			ErrRows,
		},
		{
			"a row with another id", d,
			[]string{"UPDATE demo_data SET id = 30000 WHERE id = 777"},
			[]string{"UPDATE demo_data SET id = 777 WHERE id = 30000"},
			ErrData,
		},
		{
			"the first row changed", d,
			[]string{"UPDATE demo_data SET name = 'x' WHERE id = 1"},
			[]string{fmt.Sprintf("UPDATE demo_data SET name = '%s' WHERE id = 1", d.Name(1))},
			ErrData,
		},
		{
			"letter case changed", d,
			[]string{"UPDATE demo_data SET name = LOWER(name)"},
			nil, ErrData,
		},
		{"no index", d, []string{"ALTER TABLE demo_data DROP INDEX name"}, []string{addIndex}, ErrIndex},
		{
			"index on a prefix", d,
			[]string{"ALTER TABLE demo_data DROP INDEX name, ADD INDEX name (name(10))"},
			[]string{"ALTER TABLE demo_data DROP INDEX name", addIndex},
			ErrIndex,
		},
		{
			"one index more", d,
			[]string{"ALTER TABLE demo_data ADD INDEX more (create_time)"},
			[]string{"ALTER TABLE demo_data DROP INDEX more"},
			ErrIndex,
		},
		{
			"another collation", d,
			[]string{"ALTER TABLE demo_data MODIFY name varchar(255) COLLATE utf8mb4_unicode_ci NOT NULL"},
			[]string{"ALTER TABLE demo_data MODIFY name varchar(255) COLLATE utf8mb4_general_ci NOT NULL"},
			ErrCollation,
		},
		{
			"one column more", d,
			[]string{"ALTER TABLE demo_data ADD COLUMN more int"},
			[]string{"ALTER TABLE demo_data DROP COLUMN more"},
			ErrTable,
		},
		{
			"another engine", d,
			[]string{"ALTER TABLE demo_data DROP INDEX name, ENGINE = MyISAM"}, // MySQL's takes no key of 255 such characters
			[]string{"ALTER TABLE demo_data ENGINE = InnoDB", addIndex},
			ErrTable,
		},
		{"no table", d, []string{"RENAME TABLE demo_data TO away"}, []string{"RENAME TABLE away TO demo_data"}, ErrTable},
	} {
		if c.name == "letter case changed" {
			if err := s.run(ctx, "CREATE TABLE keep AS SELECT id, name FROM demo_data"); err != nil {
				t.Fatal(err)
			}
			c.mend = []string{"UPDATE demo_data JOIN keep USING (id) SET demo_data.name = keep.name", "DROP TABLE keep"}
		}
		if err := s.run(ctx, c.spoil...); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		err := s.Check(ctx, c.want)
		if !errors.Is(err, c.err) || c.err != nil && err == nil {
			t.Errorf("%s: %v", c.name, err)
		}
		t.Logf("%s: %v", c.name, err)
		if err := s.run(ctx, c.mend...); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
	if digest, err := s.Digest(ctx); err != nil || digest != d.Digest() {
		t.Errorf("mended: %s %v", digest, err)
	}
}

// A plan refuses with file and line what would be refused once everything is prepared, and every clear beginning of it.
func TestPlansRefuseOwnedSettings(t *testing.T) {
	for _, name := range owned {
		for _, given := range []string{name, name[:len(name)-1], "loose_" + name} {
			text := "name: x\ntargets: [flask]\nphases: [{model: closed, connections: 8, duration: 2s}]\ndatabase: {settings: {" + given + ": \"1\"}}\n"
			if _, err := plan.Load("x.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), "x.yaml:4:") {
				t.Errorf("%s: %v", given, err)
			}
		}
	}
}

func TestSettings(t *testing.T) {
	for name, value := range map[string]string{
		"datadir": "/x", "init-file": "/x", "skip-grant-tables": "", "port": "1", "bind_address": "0.0.0.0", "loose_datadir": "/x",
		"innodb_io_capacity": "1\ndatadir=/x", "Weird": "1", "a b": "1", "general-log": "ON", "skip-networking": "1",
	} {
		if err := checkSettings(map[string]string{name: value}); err == nil {
			t.Errorf("%s = %q accepted", name, value)
		}
	}
	if err := checkSettings(map[string]string{"innodb-io-capacity": "2000", "performance_schema": "ON"}); err != nil {
		t.Error(err)
	}
	got := render(MariaDB, pinned, []setting{{name: "innodb_doublewrite", value: "OFF"}})
	if !strings.Contains(got, "innodb_doublewrite = OFF\n") || strings.Contains(got, "innodb_doublewrite = ON") || strings.Contains(got, "mysqlx") {
		t.Error(got)
	}
	if !strings.Contains(render(MySQL, pinned), "mysqlx = OFF") {
		t.Error("MySQL's second listener is on")
	}
}
