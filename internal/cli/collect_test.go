package cli_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bakeoff/internal/export"
	"bakeoff/internal/export/exporttest"
	"bakeoff/internal/influxd"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// collectText is a short plan of two running servers that take turns.
func collectText(a, b *webServer, collect string) string {
	return serversText([][3]string{{"near", a.address + "/ping?x=1", ""}, {"far", b.address + "/ping?x=2", ""}},
		"pilot: 500ms", "turns: 150ms", `phases:
  - {name: closed, model: closed, connections: 4, duration: 1500ms, think: 5ms}
  - {name: open, model: open, rate: 100, connections: 8, duration: 1500ms}`, "collect: {influxdb: "+collect+"}")
}

// grep finds the files below a folder that hold a text.
func grep(t *testing.T, dir, text string) (hits []string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), text) {
			hits = append(hits, path)
		}
		return err
	})
	if err != nil || files < 5 {
		t.Fatalf("%d files in %s: %v", files, dir, err)
	}
	return hits
}

// windowsOf adds up every window of a run.
func windowsOf(t *testing.T, r *record.Reader) stats.Books {
	t.Helper()
	var out stats.Books
	for w, err := range export.Windows(r) {
		if err != nil {
			t.Fatal(err)
		}
		out.Add(w.Line.Books)
	}
	return out
}

// TestCollect writes a run in turns to a real InfluxDB while it lasts: all of its windows arrive, and writing the run
// again afterwards gives the same points, all of them.
func TestCollect(t *testing.T) {
	s := newScene(t)
	at := exporttest.InfluxDB(t)
	web := serve(t, s, "location /ping { return 200 pong; }")
	s.write("p.yaml", collectText(web, web, fmt.Sprintf("{url: %q, database: live, schema: both}", at)))
	const token = "token-7f3a9c"
	s.env = append(s.env, "BAKEOFF_INFLUXDB_TOKEN="+token)
	e := s.run(0, "run", "--short", "p.yaml")
	e.nothingLeft(time.Second)
	wantAll(t, "stderr", e.stderr.String(), "bakeoff: influxdb at "+at+": ", " points written\n")
	if hits := grep(t, s.dir, token); len(hits) > 0 || strings.Contains(e.stderr.String()+e.stdout.String(), token) {
		t.Errorf("the token is in %v, or was printed", hits)
	}
	r := s.open()
	books := windowsOf(t, r)
	done := books.OK + books.Bad + books.Timeout + books.Error
	count := exporttest.Query(t, at, "live", `SELECT sum("count") AS n FROM jmeter WHERE "transaction"='all' AND statut='all'`)
	sent := exporttest.Query(t, at, "live", `SELECT sum(sent) AS n FROM bakeoff`)
	if len(count) != 1 || count[0].Float(t, "n") != float64(done) || sent[0].Float(t, "n") != float64(books.Sent) || done == 0 {
		t.Errorf("counts %v, sent %v; the record has %+v", count, sent, books)
	}
	if status := s.run(0, "export", "influxdb", s.theRun(), "--url", at, "--database", "again", "--schema", "both"); !strings.Contains(status.stderr.String(), "points written") {
		t.Errorf("backfill: %s", status.stderr)
	}
	read := 0
	for _, measurement := range []string{"bakeoff", "bakeoff_replicas", "bakeoff_resources", "bakeoff_phases", "bakeoff_events", "jmeter", "events"} {
		live := exporttest.Query(t, at, "live", fmt.Sprintf(`SELECT * FROM %q`, measurement))
		again := exporttest.Query(t, at, "again", fmt.Sprintf(`SELECT * FROM %q`, measurement))
		if diff := cmp.Diff(live, again); diff != "" {
			t.Errorf("%s: live and afterwards differ:\n%.3000s", measurement, diff)
		}
		read += len(live)
	}
	if read < 100 {
		t.Errorf("%d points", read)
	}
	s.run(2, "export", "influxdb", s.theRun(), "--url", "http://metrics.example", "--database", "x")
}

// TestCollectorHangs runs against a collector that takes connections and never answers: the run ends as it should, at
// most 10 s later than it would, and says what was not sent.
func TestCollectorHangs(t *testing.T) {
	exporttest.Needed(t)
	s := newScene(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
		}
	}()
	web := serve(t, s, "location /ping { return 200 pong; }")
	s.write("p.yaml", collectText(web, web, fmt.Sprintf("{url: \"http://%s\", database: live}", l.Addr())))
	e := s.run(0, "run", "--short", "p.yaml")
	over := time.Now()
	r := s.open()
	if late := over.Sub(r.Run().Ended); late > 12*time.Second || late < 5*time.Second {
		t.Errorf("the program ended %v after its run", late)
	}
	wantAll(t, "stderr", e.stderr.String(), ": 0 points written, ", " not sent", "bakeoff: hint: the run directory has everything: bakeoff export influxdb ")
	if n := finished(t, r); n[record.Valid]+n[record.Invalid] < 4 {
		t.Errorf("trials %v", n)
	}
	for name, reasons := range reasonsOf(t, r) {
		for _, reason := range reasons {
			if reason.Code != "generator-limited" && reason.Code != "disturbed-host" && reason.Code != "block" {
				t.Errorf("%s: %s: %s", name, reason.Code, reason.Text)
			}
		}
	}
	var raw map[string]any
	if err := json.Unmarshal(r.Run().Plan, &raw); err != nil || raw["collect"] == nil {
		t.Errorf("the recorded plan has no collector: %v", err)
	}
}

// collector starts the managed InfluxDB of the scene's run again, and returns it with its address.
func (s *scene) collector() (look *execution, at string) {
	s.t.Helper()
	look = s.start("collector", s.theRun())
	look.await("is up until Ctrl-C", 1)
	for deadline := time.Now().Add(time.Minute); !strings.Contains(look.stdout.String(), "\n"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatal("the address was not printed within a minute")
		}
	}
	at, _, _ = strings.Cut(look.stdout.String(), " ")
	return look, at
}

// TestManagedCollector has a run start its own InfluxDB, which ends with it and leaves its data in the run directory; the
// same data is there when it is started again.
func TestManagedCollector(t *testing.T) {
	exporttest.Needed(t)
	s := newScene(t)
	if _, err := influxd.Program(); err != nil {
		t.Skipf("SKIPPED: %v (Debian package %s)", err, influxd.Package)
	}
	web := serve(t, s, "location /ping { return 200 pong; }")
	s.write("p.yaml", strings.Replace(collectText(web, web, "{}"), "{influxdb: {}}", "{influxdb: managed}", 1))
	e := s.run(0, "run", "--short", "p.yaml")
	e.nothingLeft(time.Second)
	wantAll(t, "stderr", e.stderr.String(), "influxdb of this run: http://127.0.0.1:", ", database bakeoff\n", " points written\n",
		"bakeoff: hint: to look at it again: bakeoff collector ")
	private(t, s.theRun())
	books := windowsOf(t, s.open())
	look, at := s.collector()
	sent := exporttest.Query(t, at, "bakeoff", `SELECT sum(sent) AS n FROM bakeoff`)
	if len(sent) != 1 || sent[0].Float(t, "n") != float64(books.Sent) || books.Sent == 0 {
		t.Errorf("sent %v, the record has %+v", sent, books)
	}
	if e := s.run(2, "collector", s.theRun()); !strings.Contains(e.stderr.String(), "is up already") {
		t.Errorf("a second one: %s", e.stderr)
	}
	look.signal(syscall.SIGINT)
	look.wantStatus(0, 30*time.Second)
	if _, err := net.Dial("tcp", strings.TrimPrefix(at, "http://")); err == nil {
		t.Errorf("%s is still up", at)
	}
	s.run(2, "export", "influxdb", s.theRun())
	s.run(2, "collector", s.theRun(), "--port", "70000")
}
