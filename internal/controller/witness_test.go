package controller

import (
	"testing"

	"bakeoff/internal/database"
)

func TestWitnessTakesTheReadsOffTheSelects(t *testing.T) {
	before := count{db: database.Counters{Reads: 10, Others: map[string]int64{"select": 12}, Connections: 3}, balancer: 5}
	now := count{db: database.Counters{Reads: 110, Others: map[string]int64{"select": 115, "set_option": 400}, Connections: 103}, balancer: 105}
	w := minus(now, before)
	if w.DatabaseReads != 100 || w.BalancerTotal != 100 || w.Connections != 100 || w.DatabaseOthers["select"] != 3 || w.DatabaseOthers["set_option"] != 400 {
		t.Errorf("witness %+v", w)
	}
}
