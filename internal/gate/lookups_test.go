package gate

import (
	"strings"
	"testing"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// counted is a witness of a phase of 100 lookups, 60 of them of keys that exist.
func counted(change func(*record.Witness)) record.Witness {
	w := record.Witness{
		DatabaseReads: 100, BalancerTotal: 100, Lookups: new(int64(100)), Statements: new(int64(100)), RowsByName: new(int64(60)), RowsByOther: new(int64(0)),
		Ranges: new(int64(0)), Empty: new(int64(40)),
		Counters: map[string]string{
			"lookups": record.CountsLookups + " (Handler_read_key)", "statements": record.CountsLookups + " (Handler_commit)",
			"rows_by_name": record.CountsHits + " (INDEX_STATISTICS)", "rows_by_other": "none (INDEX_STATISTICS)",
			"ranges": "none (Select_range)", "empty": "one per miss (Empty_queries)",
		},
	}
	change(&w)
	return w
}

func TestLookups(t *testing.T) {
	clean := stats.Books{Planned: 100, Sent: 100, OK: 100}
	bad := stats.Books{Planned: 100, Sent: 100, OK: 98, Bad: 2}
	cut := stats.Books{Planned: 110, Sent: 110, OK: 100, Timeout: 6, Error: 4}
	by := func(kind string, n int64) func(*record.Witness) {
		return func(w *record.Witness) { w.DatabaseOthers = map[string]int64{kind: n} }
	}
	perLookup := func(rows int64) func(*record.Witness) {
		return func(w *record.Witness) {
			w.RowsByName, w.Counters["rows_by_name"] = new(rows), record.CountsLookups+" (table_io_waits)"
		}
	}
	for _, c := range []struct {
		name   string
		books  stats.Books
		hits   int64
		misses int64
		change func(*record.Witness)
		want   string // a part of each reason, in order, with commas between
	}{
		{"honest", clean, 60, 40, func(*record.Witness) {}, ""},
		{"nothing is counted", clean, 60, 40, func(w *record.Witness) { *w = record.Witness{DatabaseReads: 3} }, ""},
		{"a copy of the table, of which Witness says so", clean, 60, 40, func(w *record.Witness) {
			w.DatabaseReads, w.Lookups, w.Statements, w.RowsByName = 2, new(int64(2)), new(int64(2)), new(int64(1))
		}, ""},
		{"a copy of the table, the reads paid in two statements", clean, 60, 40, func(w *record.Witness) {
			w.Statements, w.RowsByName, w.RowsByOther, w.DatabaseOthers = new(int64(2)), new(int64(0)), new(int64(100)), map[string]int64{"select": -98}
		}, "2 statements that touched,2 SELECT,0 rows by the index,100 rows of the table"},
		{"one statement for many", clean, 60, 40, func(w *record.Witness) {
			w.Statements, w.DatabaseOthers = new(int64(10)), map[string]int64{"select": -90}
		}, "10 statements,10 SELECT"},
		{"cheap statements by the primary key", clean, 60, 40, func(w *record.Witness) {
			w.RowsByName, w.RowsByOther = new(int64(0)), new(int64(100))
		}, "0 rows by the index,100 rows of the table by another"},
		{"a range for each", clean, 60, 40, func(w *record.Witness) { w.Ranges = new(int64(60)) }, "60 times"},
		{"statements that find nothing, as payment", clean, 60, 40, func(w *record.Witness) { w.Empty = new(int64(41)) }, "41 SELECT statements without a row"},
		{"one statement for many that do not exist", clean, 60, 40, func(w *record.Witness) { w.Empty = new(int64(39)) }, "39 SELECT statements without a row"},
		{"other statements that find nothing", clean, 60, 40, func(w *record.Witness) {
			w.Empty, w.DatabaseOthers = new(int64(43)), map[string]int64{"select": 3}
		}, ""},
		{"more of them than there were", clean, 60, 40, func(w *record.Witness) {
			w.Empty, w.DatabaseOthers = new(int64(44)), map[string]int64{"select": 3}
		}, "44 SELECT statements without a row"},
		{"always the same key", clean, 60, 40, func(w *record.Witness) { w.RowsByName = new(int64(100)) }, "100 rows by the index"},
		{"more index reads than the digests say", clean, 60, 40, func(w *record.Witness) { w.Lookups = new(int64(101)) }, "101 index reads"},
		{"statements of sessions", clean, 60, 40, func(w *record.Witness) { w.Statements = new(int64(101)) }, "101 statements"},
		{"variables of the server", clean, 60, 40, by("select", 3), ""},
		{"other SELECT statements that touch the table", clean, 60, 40, func(w *record.Witness) {
			w.Statements, w.DatabaseOthers = new(int64(103)), map[string]int64{"select": 3}
		}, "103 statements"},
		{"one SET, and a second statement for each", clean, 60, 40, func(w *record.Witness) {
			w.Statements, w.DatabaseOthers = new(int64(200)), map[string]int64{"select": 100, "set_option": 1}
		}, "200 statements that touched a table and 1 that may each"},
		{"a SET that ends a transaction", clean, 60, 40, func(w *record.Witness) {
			w.Statements, w.DatabaseOthers = new(int64(101)), map[string]int64{"set_option": 1}
		}, ""},
		{"a SHOW, and more than its end", clean, 60, 40, func(w *record.Witness) {
			w.Statements, w.DatabaseOthers = new(int64(102)), map[string]int64{"show_variables": 1}
		}, "102 statements"},
		{"a second statement for each, and transactions that come to nothing", clean, 60, 40, func(w *record.Witness) {
			w.Statements, w.DatabaseOthers = new(int64(200)), map[string]int64{"select": 100, "rollback": 100}
		}, "200 statements"},
		{"variables instead of lookups", clean, 60, 40, func(w *record.Witness) {
			w.Statements, w.DatabaseOthers = new(int64(90)), map[string]int64{"select": 10}
		}, "90 statements"},
		{"transactions", clean, 60, 40, by("rollback", 100), ""},
		{"transactions that are committed", clean, 60, 40, func(w *record.Witness) {
			w.Statements, w.DatabaseOthers = new(int64(200)), map[string]int64{"commit": 100}
		}, ""},
		{"commits without lookups", clean, 60, 40, func(w *record.Witness) {
			w.Statements, w.DatabaseOthers = new(int64(99)), map[string]int64{"commit": 100}
		}, "99 statements"},
		{"prepared for each request", clean, 60, 40, func(w *record.Witness) {
			w.Statements, w.DatabaseOthers = new(int64(101)), map[string]int64{"stmt_prepare": 100}
		}, "101 statements"},
		{"misses count too", clean, 60, 40, perLookup(100), ""},
		{"misses count too, and are too few", clean, 60, 40, perLookup(99), "99 rows by the index"},
		{"the target draws keys", clean, 0, 0, func(w *record.Witness) { w.RowsByName = new(int64(7)) }, ""},
		{"wrong answers", bad, 60, 40, func(w *record.Witness) { w.RowsByName = new(int64(58)) }, ""},
		{"wrong answers, of keys that do not exist", bad, 60, 40, func(w *record.Witness) { w.Empty = new(int64(42)) }, ""},
		{"too many even for them", bad, 60, 40, func(w *record.Witness) { w.Empty = new(int64(43)) }, "43 SELECT statements without a row"},
		{"cut, of keys that do not exist", cut, 60, 40, func(w *record.Witness) {
			w.DatabaseReads, w.Lookups, w.Statements, w.Empty = 108, new(int64(108)), new(int64(108)), new(int64(48))
		}, ""},
		{"wrong answers do not explain it", bad, 60, 40, func(w *record.Witness) { w.RowsByName = new(int64(57)) }, "57 rows by the index"},
		{"cut, looked up", cut, 60, 40, func(w *record.Witness) {
			w.DatabaseReads, w.Lookups, w.Statements, w.RowsByName = 108, new(int64(108)), new(int64(108)), new(int64(68))
		}, ""},
		{"cut, more than were written", cut, 60, 40, func(w *record.Witness) {
			w.DatabaseReads, w.Lookups, w.Statements, w.RowsByName = 108, new(int64(108)), new(int64(109)), new(int64(69))
		}, "109 statements,69 rows by the index"},
		{"cut, fewer than answers", cut, 60, 40, func(w *record.Witness) { w.Statements = new(int64(99)) }, "99 statements"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := NewPhase(record.Phase{Witness: counted(c.change)})
			sum := stats.Totals{Window: stats.Window{Books: c.books, Hits: c.hits, Misses: c.misses}}
			if c.books.Timeout > 0 {
				sum.Unwritten = 2
			}
			found := p.lookups(sum)
			wants := strings.Split(c.want, ",")
			if c.want == "" {
				wants = nil
			}
			if len(found) != len(wants) {
				t.Fatalf("%d reasons, not %d: %+v", len(found), len(wants), found)
			}
			for i, want := range wants {
				if found[i].Code != record.CodeLookups || !strings.Contains(found[i].Text, want) {
					t.Errorf("%+v, want %q", found[i], want)
				}
			}
			p.Warmup = true
			if found := p.lookups(sum); found != nil {
				t.Errorf("of the warm-up: %+v", found)
			}
		})
	}
}
