package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/export/exporttest"
	"bakeoff/internal/figures"
	"bakeoff/internal/grafana"
	"bakeoff/internal/record"
)

// TestDashboardsCollected asks every query of every panel of a real InfluxDB that a real run was written to: none fails or
// is empty, and the figures are those of the record.
func TestDashboardsCollected(t *testing.T) {
	s := newScene(t)
	at := exporttest.InfluxDB(t)
	s.write("p.yaml", planText("go-nethttp", 2, "warmup: 500ms", fmt.Sprintf("collect: {influxdb: {url: %q, database: live, schema: both}}", at)))
	s.run(0, "run", "--short", "p.yaml")
	s.run(0, "render", "grafana", "--out", s.path("grafana"), "--url", at, "--database", "live")
	written, err := filepath.Glob(s.path("grafana", "dashboards", "*.json"))
	if err != nil || len(written) != len(grafana.Dashboards()) {
		t.Fatalf("dashboards %v: %v", written, err)
	}
	queries := map[string]bool{} // as they are in the files
	for _, file := range written {
		queriesOf(t, file, queries)
	}
	r := s.open()
	answers := map[string][]exporttest.Row{}
	asked := 0
	for _, d := range grafana.Dashboards() {
		for _, p := range d.Panels {
			for _, q := range p.Queries {
				if !queries[q.Text] {
					t.Errorf("%s, %s: the query is in no file: %s", d.UID, p.Title, q.Text)
				}
			}
		}
		asked += askPanels(t, at, "live", d, r, "go-nethttp", answers)
	}
	if asked < 30 {
		t.Errorf("%d queries", asked)
	}
	books := windowsOf(t, r)
	for title, want := range map[string]int64{
		"bakeoff-run: Requests sent": books.Sent, "bakeoff-run: Answered correctly": books.OK, "bakeoff-run: Never sent": books.Dropped,
		"bakeoff-run: Wrong answers, timeouts and errors": books.Bad + books.Timeout + books.Error,
		"bakeoff-jmeter: Requests":                        books.OK + books.Bad + books.Timeout + books.Error,
		"bakeoff-jmeter: Errors":                          books.Bad + books.Timeout + books.Error,
	} {
		if rows := answers[title]; len(rows) != 1 || theNumber(t, rows[0]) != float64(want) {
			t.Errorf("%s: %v, the record has %d", title, rows, want)
		}
	}
	summary, err := figures.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	phases := answers["bakeoff-run: Phases that have ended"]
	if len(phases) != len(summary.Trials) {
		t.Errorf("%d phases in the table, %d trials", len(phases), len(summary.Trials))
	}
	for _, trial := range summary.Trials {
		found := false
		for _, row := range phases {
			found = found || row["block"] == fmt.Sprint(trial.Block) && row.Float(t, "goodput_per_s") == trial.Phases[0].Goodput
		}
		if !found {
			t.Errorf("block %d: no goodput of %v in %v", trial.Block, trial.Phases[0].Goodput, phases)
		}
	}
}

// askPanels asks every query of a dashboard about a run and a target, as Grafana does: none may fail or be empty. It returns how many there
// are, and puts the answers under the dashboard's and the panel's names.
func askPanels(t *testing.T, at, database string, d grafana.Dashboard, r *record.Reader, target string, answers map[string][]exporttest.Row) (asked int) {
	t.Helper()
	run := r.Run()
	span := fmt.Sprintf("time >= %d AND time <= %d", run.Started.Add(-time.Minute).UnixNano(), run.Ended.Add(time.Minute).UnixNano())
	variables := strings.NewReplacer("$timeFilter", span, "$__interval", "1s", "$run", filepath.Base(r.Dir()), "$target", target)
	for _, p := range d.Panels {
		for _, q := range p.Queries {
			text := variables.Replace(q.Text)
			rows := exporttest.Query(t, at, database, text)
			if len(rows) == 0 {
				t.Errorf("%s, %s: empty: %s", d.UID, p.Title, text)
			}
			answers[d.UID+": "+p.Title] = rows
			asked++
		}
	}
	if rows := exporttest.Query(t, at, database, variables.Replace(d.Annotation())); len(rows) == 0 {
		t.Errorf("%s: no annotation", d.UID)
	}
	return asked
}

// theNumber is the only number of a row but its time.
func theNumber(t *testing.T, r exporttest.Row) float64 {
	t.Helper()
	for name := range r {
		if name != "time" {
			return r.Float(t, name)
		}
	}
	t.Fatalf("no number in %v", r)
	return 0
}

// queriesOf gathers the queries of a dashboard's file.
func queriesOf(t *testing.T, file string, into map[string]bool) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct{ Targets []struct{ Query string } }
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			into[q.Query] = true
		}
	}
}
