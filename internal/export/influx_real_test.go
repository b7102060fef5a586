package export

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"bakeoff/internal/export/exporttest"
	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/stats"
)

// TestRealInfluxDB writes a run with everything in it, twice, and reads it back: every count of the record once, and
// every numeric field of every point as it was made.
func TestRealInfluxDB(t *testing.T) {
	at := exporttest.InfluxDB(t)
	dir := recordtest.Spoiled(t)
	to := Influx{URL: at, Database: "bake off"}
	first := backfill(t, dir, to, SchemaBoth)
	again := backfill(t, dir, to, SchemaBoth)
	if first.Written == 0 || first != again || !first.Whole() {
		t.Fatalf("written %+v, then %+v", first, again)
	}
	want := sums(t, dir, "")
	got := exporttest.Query(t, at, to.Database, `SELECT sum(sent) AS sent, sum(ok) AS ok, sum(hits) AS hits, sum(response_count) AS n FROM bakeoff`)[0]
	for name, n := range map[string]int64{"sent": want.Books.Sent, "ok": want.Books.OK, "hits": want.Hits, "n": want.Response.Count()} {
		if x := got.Float(t, name); x != float64(n) {
			t.Errorf("sum of %s is %v, the record has %d", name, x, n)
		}
	}
	done := want.Books.OK + want.Books.Bad + want.Books.Timeout + want.Books.Error
	count := exporttest.Query(t, at, to.Database, `SELECT sum("count") AS n FROM jmeter WHERE "transaction"='all' AND statut='all'`)[0]
	if x := count.Float(t, "n"); x != float64(done) || done == 0 {
		t.Errorf("sum of count is %v, the record has %d", x, done)
	}
	refused := exporttest.Query(t, at, to.Database, `SELECT sum(ok) AS ok FROM bakeoff WHERE valid=0`)[0]
	if x := refused.Float(t, "ok"); x != float64(sums(t, dir, record.Invalid).Books.OK+sums(t, dir, record.TrialAborted).Books.OK) || x == 0 {
		t.Errorf("%v answers of refused trials", x)
	}
	everyField(t, at, to.Database, dir)
}

func backfill(t *testing.T, dir string, to Influx, schema string) Counts {
	t.Helper()
	to.Schema = schema
	counts, err := Backfill(context.Background(), dir, to, func(text string) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// sums adds up every window of a run that can be read, or those of trials of one status.
func sums(t *testing.T, dir, status string) stats.Totals {
	t.Helper()
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all stats.Totals
	for w, err := range Windows(r) {
		if err == nil && (status == "" || w.Status == status) && w.Status != record.Unfinished {
			all.Add(w.Line.Window)
		}
	}
	return all
}

// points are all that a run is made into.
func points(t *testing.T, dir, schema string) []Point {
	t.Helper()
	var out []Point
	r := &reading{source: source{dir: dir, ended: t.Context(), form: func(dir string, run record.Run, _ func([]byte), _ func()) forming {
		return shaperOf(dir, run, schema, func(p Point) { out = append(out, p) })
	}}, dir: dir}
	for item, err := range record.Follow(t.Context(), dir, record.Position{}) {
		if err != nil && tolerable(err) != nil {
			t.Fatal(err)
		}
		if err != nil {
			r.spoil(err)
			continue
		}
		if item.Pause != nil {
			break
		}
		if item.Event != nil && r.shape == nil {
			if err := r.begin(*item.Event); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.shape.take(item); err != nil {
			t.Fatal(err)
		}
	}
	r.shape.finish()
	return out
}

// everyField reads back every numeric field of every point.
func everyField(t *testing.T, at, database, dir string) {
	t.Helper()
	type key struct{ measurement, tags, at, field string }
	want := map[key]float64{}
	tagged := map[string][]string{}
	for _, p := range points(t, dir, SchemaBoth) {
		names, text := tagged[p.Measurement], ""
		for _, tag := range p.Tags {
			if tag.Value != "" {
				text += tag.Key + "=" + inLine(tag.Value) + ","
			}
			names = append(names, tag.Key)
		}
		tagged[p.Measurement] = names
		for _, f := range p.Fields {
			k := key{p.Measurement, text, strconv.FormatInt(p.At.UnixNano(), 10), f.Key}
			switch v := f.Value.(type) {
			case int64:
				want[k] = float64(v)
			case float64:
				want[k] = v
			}
		}
	}
	read := 0
	for measurement, names := range tagged {
		isTag := map[string]bool{}
		for _, name := range names {
			isTag[name] = true
		}
		for _, r := range exporttest.Query(t, at, database, fmt.Sprintf(`SELECT * FROM %q`, measurement)) {
			text := ""
			for _, name := range sorted(isTag) {
				if value, ok := r[name].(string); ok && value != "" {
					text += name + "=" + value + ","
				}
			}
			for field, value := range r {
				number, ok := value.(json.Number)
				if !ok || field == "time" || isTag[field] {
					continue
				}
				k := key{measurement, text, r["time"].(json.Number).String(), field}
				x, known := want[k]
				if got, _ := number.Float64(); !known || got != x {
					t.Fatalf("%v is %v, written was %v (%v)", k, number, x, known)
				}
				read++
				delete(want, k)
			}
		}
	}
	for k := range want {
		t.Fatalf("%v cannot be read back", k)
	}
	if read < 5000 {
		t.Errorf("%d fields read back", read)
	}
	t.Logf("%d numeric fields of %d measurements read back", read, len(tagged))
}

// TestSummaryIsTheRecord compares the exact figures of each phase with those of the report.
func TestSummaryIsTheRecord(t *testing.T) {
	dir := recordtest.Demo().Write(t)
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	summary, err := figures.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]figures.PhaseFigures{}
	for _, trial := range summary.Trials {
		for _, p := range trial.Phases {
			want[fmt.Sprintf("%d %s %s", trial.Block, trial.Target, p.Name)] = p
		}
	}
	seen := 0
	for _, p := range points(t, dir, SchemaBakeoff) {
		if p.Measurement != measurePhases {
			continue
		}
		tags, fields := map[string]string{}, map[string]any{}
		for _, tag := range p.Tags {
			tags[tag.Key] = tag.Value
		}
		for _, f := range p.Fields {
			fields[f.Key] = f.Value
		}
		w, ok := want[tags["block"]+" "+tags["target"]+" "+tags["phase"]]
		if tags["block"] == "0" {
			continue
		}
		seen++
		if !ok || fields["sent"] != w.Books.Sent || fields["goodput_per_s"] != w.Goodput || fields["response_p50_ms"] != w.Response[0].Seconds*1000 || w.Response[0].P != 50 {
			t.Errorf("%v: %v, the report has %+v", tags, fields, w.Books)
		}
		if _, has := fields["response_p99_99_ms"]; has {
			t.Errorf("%v: a percentile that too few samples support: %v", tags, fields)
		}
	}
	if seen != len(want) || seen == 0 {
		t.Errorf("%d phases, the report has %d", seen, len(want))
	}
}
