package controller

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// In turns the database's gauges are marked for the target whose turn it is at the sample, in its own lines alone; what the database's
// control group used is nobody's share.
func TestGaugesOfATurn(t *testing.T) {
	w := recordtest.Of(1, "a", "b").Begin(t)
	r := &run{o: &Options{Plan: &plan.Plan{}, Venue: &world{}}}
	s := &shares{run: r, own: make([]int64, 2), now: -1}
	for i, name := range []string{"a", "b"} {
		tw, err := w.BeginTrial(1, i+1, name, 1)
		if err != nil {
			t.Fatal(err)
		}
		s.trials = append(s.trials, &trial{run: r, writer: tw})
	}
	sample := func() {
		t.Helper()
		line := record.Series{At: time.Now(), Tier: "database", Name: "db", Values: map[string]float64{
			"threads_running": 3, record.GroupVersion: 2, record.GroupCPUNS: 5, record.QuotaCores: 1,
		}}
		if err := s.line(line); err != nil {
			t.Fatal(err)
		}
		if len(line.Values) != 4 || line.Values[record.InTurn] != 0 {
			t.Errorf("the sampler's own line was changed: %v", line.Values)
		}
	}
	sample()
	ends := s.turn(s.trials[1])
	sample()
	ends()
	sample()
	for i, want := range [][]float64{{0, 0, 0}, {0, 1, 0}} {
		if err := s.trials[i].writer.Finish(record.Trial{Status: record.Valid}); err != nil {
			t.Fatal(err)
		}
		got := turnsIn(t, w.Dir(), i)
		if !slices.Equal(got, want) {
			t.Errorf("marks of target %d: %v, want %v", i, got, want)
		}
	}
}

// turnsIn are the marks in the lines of a trial, which have the gauge and the quota, and nothing of what the group used.
func turnsIn(t *testing.T, dir string, trial int) (out []float64) {
	t.Helper()
	read, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for s, err := range read.Trials()[trial].Series() {
		if err != nil {
			t.Fatal(err)
		}
		if s.Values["threads_running"] != 3 || s.Values[record.QuotaCores] != 1 || s.Values[record.GroupCPUNS]+s.Values[record.GroupVersion] != 0 {
			t.Errorf("%v", s.Values)
		}
		out = append(out, s.Values[record.InTurn])
	}
	return out
}

// How long a lookup takes at rest is asked with names from all over the table.
func TestLookupAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.alone = 250 * time.Microsecond
		dir, _ := conducted(t, w.options(t, "blocks: 1\n"+oneTarget+closedOnly))
		rows := w.rows
		if len(w.lookups) != timedLookups || w.lookups[0] != rows.Name(1) || w.lookups[timedLookups-1] != rows.Name(1+rows.Rows()*(timedLookups-1)/timedLookups) {
			t.Errorf("%d lookups: %q", len(w.lookups), w.lookups)
		}
		if got := runOf(t, dir).Database.LookupS; got != 250e-6 {
			t.Errorf("%v s, want %v", got, w.alone)
		}
	})
}
