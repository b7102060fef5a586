package export

import (
	"encoding/csv"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/jtl"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/stats"
)

// jtlRows are the rows of a result file by label: each by column.
func jtlRows(t *testing.T, text string) map[string][]map[string]string {
	t.Helper()
	lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]map[string]string{}
	for _, fields := range lines[1:] {
		row := map[string]string{}
		for i, name := range lines[0] {
			row[name] = fields[i]
		}
		out[row["label"]] = append(out[row["label"]], row)
	}
	return out
}

func integer(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestJTL has as many rows as the measured phases that count have requests, with the percentiles of the record to JMeter's
// resolution of a millisecond, each within its phase.
func TestJTL(t *testing.T) {
	dir := recordtest.Spoiled(t)
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := figures.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if _, err := JTL(t.Context(), &out, r); err != nil {
		t.Fatal(err)
	}
	rows := jtlRows(t, out.String())
	want := map[string]*stats.Totals{}
	for w, err := range Windows(r) {
		if err == nil && counts(s, w) {
			label := w.Target + " " + w.PhaseName
			if want[label] == nil {
				want[label] = &stats.Totals{}
			}
			want[label].Add(w.Line.Window)
		}
	}
	if len(want) != 6 || len(rows) != len(want) {
		t.Fatalf("labels of %d kinds, the record has %d", len(rows), len(want))
	}
	for label, totals := range want {
		if int64(len(rows[label])) != totals.Books.Sent {
			t.Errorf("%s: %d rows, %d were sent", label, len(rows[label]), totals.Books.Sent)
		}
		times := totals.Response
		if strings.HasSuffix(label, " closed") {
			times = totals.Service
		}
		closeTo(t, label, rows[label], times)
	}
}

// closeTo compares percentiles of rows with a distribution's: they may be a millisecond apart, by rounding, and a bucket.
func closeTo(t *testing.T, label string, rows []map[string]string, times *stats.Histogram) {
	t.Helper()
	var elapsed []int64
	for _, row := range rows {
		elapsed = append(elapsed, integer(t, row["elapsed"]))
	}
	slices.Sort(elapsed)
	for _, q := range []float64{0.5, 0.9, 0.99, 1} {
		value, _ := times.Quantile(q)
		got := elapsed[int(math.Ceil(q*float64(len(elapsed))))-1]
		if d := math.Abs(float64(got) - float64(value)/1e6); d > 1 {
			t.Errorf("%s: quantile %g is %d ms, the record's is %v", label, q, got, value)
		}
	}
}

// oddRun is a run of one target in turns, with everything that can become of a request; the distribution of two slices is in
// the second.
func oddRun(t *testing.T) *record.Reader {
	t.Helper()
	w := recordtest.Of(1, "a").Begin(t)
	tw, err := w.BeginTrial(1, 1, "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	at := recordtest.Epoch()
	times := stats.NewHistogram()
	times.RecordN(20*time.Millisecond, 3)
	times.RecordN(40*time.Millisecond, 2)
	times.RecordN(2*time.Second, 1)
	times.RecordOver(5 * time.Second)
	response := stats.NewHistogram()
	response.RecordN(time.Minute, 6) // of the closed model it says nothing
	bad := stats.NewHistogram()
	bad.RecordN(40*time.Millisecond, 2)
	for i, window := range []stats.Window{
		{Books: stats.Books{Planned: 2, Sent: 2, OK: 2}, Status: map[int]int64{200: 2}, Service: stats.NewHistogram(), Response: stats.NewHistogram(), Received: 90},
		{
			Books:  stats.Books{Planned: 8, Sent: 6, Dropped: 2, OK: 2, Bad: 2, Timeout: 1, Error: 1},
			Status: map[int]int64{200: 2, 201: 1, 503: 1}, Response: response, Service: times, BadService: bad,
			Outcomes: map[string]int64{"status 503": 1, "wrong id": 1, "timeout": 1, "reset": 1, "not started": 2}, Examples: map[string]string{"reset": "connection reset by peer", "wrong id": "key k-1: id 8, not 7"},
			ErrorTime: 5.25, Received: 70,
		},
	} {
		window.Begin, window.Length = time.Duration(i)*250*time.Millisecond, 250*time.Millisecond
		if err := tw.Load(record.Load{Epoch: 1, Sequence: int64(i + 1), Phase: 1, At: at.Add(time.Duration(i) * time.Second), Window: window}); err != nil {
			t.Fatal(err)
		}
	}
	p := record.Phase{Number: 1, Name: "closed", Model: "closed", Connections: 4, DurationS: 0.5, TimeoutS: 5, Started: at, Ended: at.Add(2 * time.Second)}
	if err := tw.Finish(record.Trial{Status: record.Valid, Started: at, Ended: p.Ended, Phases: []record.Phase{p}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(record.Complete, ""); err != nil {
		t.Fatal(err)
	}
	r, err := record.Open(w.Dir())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestJTLOutcomes writes each outcome as JMeter does.
func TestJTLOutcomes(t *testing.T) {
	rows := jtlRows(t, exported(t, JTL, oddRun(t)))["a closed"]
	var got []string
	for _, row := range rows {
		got = append(got, strings.Join([]string{row["success"], row["responseCode"], row["responseMessage"], row["failureMessage"], row["allThreads"], row["bytes"]}, "|"))
	}
	slices.Sort(got)
	want := []string{
		"false|200|OK|wrong id|4|20",
		"false|503|Service Unavailable||4|20",
		"false|Non HTTP response code: reset|Non HTTP response message: reset||4|20",
		"false|Non HTTP response code: timeout|Non HTTP response message: timeout||4|20",
		"true|200|OK||4|20", "true|200|OK||4|20", "true|200|OK||4|20", "true|201|Created||4|20",
	}
	if !slices.Equal(got, want) {
		t.Errorf("rows\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, row := range rows {
		elapsed := integer(t, row["elapsed"])
		switch {
		case row["success"] == "true" && elapsed != 20 && elapsed != 2000,
			row["responseCode"] == "503" && elapsed != 40, row["failureMessage"] == "wrong id" && elapsed != 40,
			strings.HasSuffix(row["responseCode"], "timeout") && elapsed != 5000, strings.HasSuffix(row["responseCode"], "reset") && elapsed != 250:
			t.Errorf("%v", row)
		}
		end := time.UnixMilli(integer(t, row["timeStamp"]) + elapsed)
		if end.Before(recordtest.Epoch()) || end.After(recordtest.Epoch().Add(1250*time.Millisecond)) {
			t.Errorf("ended at %v: %v", end, row)
		}
	}
}

// TestJTLThereAndBack imports what was exported: the counts are the same, and so is the goodput.
func TestJTLThereAndBack(t *testing.T) {
	r := twoTargets(t, "django", "flask")
	s, err := figures.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	text := exported(t, JTL, r)
	back, err := jtl.Import(strings.NewReader(text), jtl.Options{File: "out.jtl", Root: t.TempDir(), Name: "back", Bakeoff: "0.1.0"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := record.Open(back.Dir)
	if err != nil {
		t.Fatal(err)
	}
	twice, err := figures.Build(again)
	if err != nil {
		t.Fatal(err)
	}
	var sent, ok int64
	for _, trial := range s.Trials {
		sent, ok = sent+trial.Phases[0].Books.Sent, ok+trial.Phases[0].Books.OK
	}
	for _, trial := range twice.Trials {
		sent, ok = sent-trial.Phases[0].Books.Sent, ok-trial.Phases[0].Books.OK
	}
	if sent != 0 || ok != 0 || back.Rows == 0 || fmt.Sprint(back.Targets) != "[django-closed flask-closed]" {
		t.Errorf("%+v: %d requests and %d right answers more than came back", back, sent, ok)
	}
}
