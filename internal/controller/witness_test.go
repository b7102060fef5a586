package controller

import (
	"testing"

	"bakeoff/internal/database"
	"bakeoff/internal/record"
)

func TestWitnessTakesTheReadsOffTheSelects(t *testing.T) {
	before := count{db: database.Counters{Reads: 10, Others: map[string]int64{"select": 12}, Connections: 3}, balancer: 5}
	now := count{db: database.Counters{Reads: 110, Others: map[string]int64{"select": 115, "set_option": 400}, Connections: 103}, balancer: 105}
	w := minus(now, before, false)
	if w.DatabaseReads != 100 || w.BalancerTotal != 100 || w.Connections != 100 || w.DatabaseOthers["select"] != 3 || w.DatabaseOthers["set_option"] != 400 {
		t.Errorf("witness %+v", w)
	}
}

// TestWitnessSaysWhatEachCounterCounts wants counts that were found usable in the record, with what they were found to count, and
// no others; and lookups that were no SELECT of their own noted as fewer than none.
func TestWitnessSaysWhatEachCounterCounts(t *testing.T) {
	s := newRecipes(&Options{})
	s.meanings = database.Meanings{
		database.Lookups:     {Counter: "reads", Counts: database.PerLookup, Used: true},
		database.Statements:  {Counter: "commits", Counts: database.PerLookup, Used: true},
		database.RowsByName:  {Counter: "rows", Counts: database.PerHit, Used: true},
		database.RowsByOther: {Counter: "rows", Counts: "5 hits counted 7", Used: false},
	}
	d := &replicated{stage: s}
	now := count{db: database.Counters{Reads: 100, Others: map[string]int64{"select": 10}, Touched: database.Touched{KeyReads: 100, Commits: 10, ByName: 60, ByOther: 9}}, balancer: -1}
	w := d.minus(now, count{balancer: -1})
	if w.Lookups == nil || *w.Lookups != 100 || w.Statements == nil || *w.Statements != 10 || w.RowsByName == nil || *w.RowsByName != 60 || w.RowsByOther != nil {
		t.Errorf("counted %+v", w)
	}
	if len(w.Counters) != 3 || w.Counters["rows_by_name"] != record.CountsHits+" (rows)" || w.Counters["statements"] != record.CountsLookups+" (commits)" {
		t.Errorf("counters %v", w.Counters)
	}
	if w.DatabaseOthers["select"] != -90 {
		t.Errorf("others %v", w.DatabaseOthers)
	}
	if record.CountsLookups != database.PerLookup || record.CountsHits != database.PerHit {
		t.Error("the record's words are not the database's")
	}
}
