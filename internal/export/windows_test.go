package export_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bakeoff/internal/export"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/stats"
)

func open(t *testing.T, dir string) *record.Reader {
	t.Helper()
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// table reads a CSV with a header.
func table(t *testing.T, r *record.Reader) (rows []map[string]string, problems []record.Problem) {
	t.Helper()
	var out bytes.Buffer
	problems, err := export.CSV(context.Background(), &out, r)
	if err != nil {
		t.Fatal(err)
	}
	all, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range all[1:] {
		row := map[string]string{}
		for i, name := range all[0] {
			if _, twice := row[name]; twice {
				t.Fatalf("two columns %q", name)
			}
			row[name] = line[i]
		}
		rows = append(rows, row)
	}
	return rows, problems
}

// TestCSV reads the table back: every line of every trial, with the counts of its line.
func TestCSV(t *testing.T) {
	r := open(t, recordtest.Demo().Write(t))
	rows, problems := table(t, r)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	at := 0
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			t.Fatal(err)
		}
		names := map[int]string{}
		for _, p := range trial.Phases {
			names[p.Number] = p.Name
		}
		for line, err := range state.Loads() {
			if err != nil {
				t.Fatal(err)
			}
			p99, _ := line.Service.Quantile(0.99)
			want := map[string]string{
				"trial": state.Folder, "target": state.Target, "block": strconv.Itoa(state.Block), "status": "valid",
				"phase_name": names[line.Phase], "agent": strconv.Itoa(line.Agent), "sent": number(line.Books.Sent), "ok": number(line.Books.OK),
				"begin_ns": number(int64(line.Begin)), "hits": number(line.Hits), "service_p99_ns": number(int64(p99)),
				"service_count": number(line.Service.Count()), "received_bytes": "", "cpu_ns": number(int64(line.CPU)),
			}
			for name, value := range want {
				if got, has := rows[at][name]; got != value || !has {
					t.Errorf("%s, line of agent %d: %s is %q, want %q", state.Folder, line.Agent, name, got, value)
				}
			}
			at++
		}
	}
	if at != len(rows) || at < 100 {
		t.Errorf("%d rows of %d lines", len(rows), at)
	}
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// TestUnmeasuredCells are empty and not 0.
func TestUnmeasuredCells(t *testing.T) {
	rows, _ := table(t, open(t, recordtest.Unmeasured(t)))
	if len(rows) != 2 || rows[0]["status"] != "invalid" || rows[1]["attempt"] != "2" {
		t.Fatalf("rows %v", rows)
	}
	for _, name := range []string{"response_p99_ns", "lateness_count", "late", "queued", "cpu_ns", "in_flight_s"} {
		if got := rows[0][name]; got != "" {
			t.Errorf("%s was not measured, and is %q", name, got)
		}
	}
	if rows[0]["sent"] != "500" || rows[0]["service_count"] != "500" {
		t.Errorf("row %v", rows[0])
	}
}

// TestJSONL reads each line back as it was recorded, histograms and all.
func TestJSONL(t *testing.T) {
	r := open(t, recordtest.Demo().Write(t))
	var out bytes.Buffer
	if problems, err := export.JSONL(context.Background(), &out, r); err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	dec := json.NewDecoder(&out)
	for _, state := range r.Trials() {
		for want, err := range state.Loads() {
			if err != nil {
				t.Fatal(err)
			}
			var got export.Window
			if err := dec.Decode(&got); err != nil {
				t.Fatal(err)
			}
			if got.Trial != state.Folder || got.Line.Books != want.Books {
				t.Fatalf("%s: %+v, want the line %+v", got.Trial, got.Line, want)
			}
			for _, of := range []func(*record.Load) *stats.Histogram{
				func(l *record.Load) *stats.Histogram { return l.Response }, func(l *record.Load) *stats.Histogram { return l.Lateness },
			} {
				if diff := cmp.Diff(samples(of(&want)), samples(of(got.Line))); diff != "" {
					t.Fatal(diff)
				}
			}
		}
	}
	if dec.More() {
		t.Error("more lines than were recorded")
	}
}

func samples(h *stats.Histogram) map[int64]int64 {
	out := map[int64]int64{}
	for value, n := range h.Each {
		out[int64(value)] = n
	}
	return out
}

// TestDamaged exports what can be read of every trial, says what cannot, and which trials are refused.
func TestDamaged(t *testing.T) {
	dir := recordtest.Spoiled(t)
	whole := filepath.Join(dir, "trials", "1-1-django", "load.jsonl")
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(content, []byte("\n"))
	lines[1] = bytes.Replace(lines[1], []byte(`"ok":`), []byte(`"ko":`), 1)
	if err := os.WriteFile(whole, bytes.Join(lines, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	rows, problems := table(t, open(t, dir))
	found := map[string]int{}
	for _, row := range rows {
		found[row["trial"]+" "+row["status"]]++
	}
	if n := found["1-1-django damaged"]; n != len(lines)-2 {
		t.Errorf("%d rows of the trial with one bad line, want %d: %v", n, len(lines)-2, found)
	}
	for _, want := range []string{"2-1-django invalid", "3-1-django aborted", "0-1-django valid"} {
		if found[want] == 0 {
			t.Errorf("no row of %s: %v", want, found)
		}
	}
	var said []string
	for _, p := range problems {
		said = append(said, p.String())
	}
	for _, want := range []string{"trials/1-1-django/load.jsonl:2: ", "trials/3-2-flask/load.jsonl:1: "} {
		if !strings.Contains(strings.Join(said, "\n"), want) {
			t.Errorf("no problem %q in\n%s", want, strings.Join(said, "\n"))
		}
	}
}
