package export

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/export/exporttest"
	"bakeoff/internal/figures"
	"bakeoff/internal/grafana"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// asked is what a real InfluxDB answers to a panel's queries, in one interval.
func asked(t *testing.T, at, run, dashboard, panel string) (rows []exporttest.Row) {
	t.Helper()
	from := recordtest.Epoch().Add(-time.Hour)
	variables := strings.NewReplacer("$timeFilter", fmt.Sprintf("time >= %d AND time <= %d", from.UnixNano(), from.Add(4*time.Hour).UnixNano()),
		"$__interval", "10000d", "$run", run)
	for _, d := range grafana.Dashboards() {
		for _, p := range d.Panels {
			if d.UID != dashboard || p.Title != panel {
				continue
			}
			for _, q := range p.Queries {
				rows = append(rows, exporttest.Query(t, at, "x", variables.Replace(q.Text))...)
			}
		}
	}
	if len(rows) == 0 {
		t.Fatalf("%s, %s: no answer", dashboard, panel)
	}
	return rows
}

// TestRealDashboards compares panels with the record: the cores of a tier are those of all of its members, and of one
// that several targets share once; medians are the report's, of the last valid attempt at each block and no pilot.
func TestRealDashboards(t *testing.T) {
	at := exporttest.InfluxDB(t)
	r := recordtest.Demo()
	w := r.Begin(t)
	r.Whole(t, w)
	rate := r.Rate
	r.Rate = func(target string, block int) int { return 3 * rate(target, block) }
	r.Trial(t, w, 2, 4, "django", 2, nil)
	if err := w.Finish(record.Complete, ""); err != nil {
		t.Fatal(err)
	}
	backfill(t, w.Dir(), Influx{URL: at, Database: "x"}, SchemaBakeoff)
	run := filepath.Base(w.Dir())
	want := map[string]float64{
		"balancer": 0.1, "database": 0.5, "agent": 2 * 0.15, "host": 1.9, "django": 2 * 0.4, "flask": 2 * 0.4, "fastapi": 2 * 0.4,
	}
	tiers := asked(t, at, run, "bakeoff-tiers", "Cores used by each tier")
	for _, row := range tiers {
		name := fmt.Sprint(row["tier"])
		if row["tier"] == nil {
			name = fmt.Sprint(row["target"])
		}
		if got := row.Float(t, "sum"); math.Abs(got-want[name]) > 0.001 {
			t.Errorf("%s: %v cores, the record has %v", name, got, want[name])
		}
	}
	if len(tiers) != len(want) {
		t.Errorf("%d lines of %d", len(tiers), len(want))
	}
	read, err := record.Open(w.Dir())
	if err != nil {
		t.Fatal(err)
	}
	summary, err := figures.Build(read)
	if err != nil {
		t.Fatal(err)
	}
	bars := map[string]float64{}
	for _, row := range asked(t, at, run, "bakeoff-compare", "Goodput: median over the valid blocks") {
		bars[fmt.Sprint(row["target"], " ", row["phase"])] = row.Float(t, "median")
	}
	compared := 0
	for _, p := range summary.Phases {
		for _, target := range p.Targets {
			if got := bars[target.Target+" "+p.Name]; math.Abs(got-target.Goodput.Median) > 1e-9*got || got == 0 {
				t.Errorf("%s, %s: the bar is %v, the report says %v", target.Target, p.Name, got, target.Goodput.Median)
			}
			compared++
		}
	}
	if compared != len(bars) || compared != 6 {
		t.Errorf("%d bars, %d medians", len(bars), compared)
	}
}
