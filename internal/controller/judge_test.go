package controller

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// windowOf is a window of an agent that was on time.
func windowOf(books stats.Books) stats.Window {
	w := stats.Window{Books: books, Lateness: stats.NewHistogram(), Service: stats.NewHistogram(), Response: stats.NewHistogram()}
	for range books.Answered() {
		w.Lateness.Record(50 * time.Microsecond)
		w.Service.Record(5 * time.Millisecond)
	}
	return w
}

// ledgerOf is what one agent's windows come to.
func ledgerOf(agent int, windows ...stats.Window) *ledger {
	report := fleet.Report{Agents: []fleet.AgentReport{{Agent: agent}}}
	strain := &load.Strain{}
	for _, w := range windows {
		report.Agents[0].Totals.Add(w)
		strain.Add(w)
	}
	return newLedger(report, map[int]*load.Strain{agent: strain})
}

func TestJudge(t *testing.T) {
	good := stats.Books{Planned: 1000, Sent: 1000, OK: 1000}
	agree := record.Witness{DatabaseReads: 1000, BalancerTotal: 1000}
	late := windowOf(good)
	late.Lateness.Reset()
	for range 1000 {
		late.Lateness.Record(3 * time.Millisecond)
	}
	for name, c := range map[string]struct {
		w       stats.Window
		witness record.Witness
		codes   []string
	}{
		"all agree":              {windowOf(good), agree, nil},
		"a balancer that is not": {windowOf(good), record.Witness{DatabaseReads: 1000, BalancerTotal: -1}, nil},
		"the database saw less":  {windowOf(good), record.Witness{DatabaseReads: 999, BalancerTotal: 1000}, []string{"witness"}},
		"the balancer saw more":  {windowOf(good), record.Witness{DatabaseReads: 1000, BalancerTotal: 1001}, []string{"witness"}},
		"books that do not add up": {
			windowOf(stats.Books{Planned: 1000, Sent: 1000, OK: 999}), agree, []string{"books"},
		},
		"one in a thousand bad": {windowOf(stats.Books{Planned: 1000, Sent: 1000, OK: 999, Bad: 1}), agree, nil},
		"two in a thousand bad": {windowOf(stats.Books{Planned: 1000, Sent: 1000, OK: 998, Bad: 2}), agree, []string{"wrong-answers"}},
		"dropped": {
			windowOf(stats.Books{Planned: 1000, Sent: 900, Dropped: 100, OK: 900}),
			record.Witness{DatabaseReads: 900, BalancerTotal: 900},
			[]string{"wrong-answers"},
		},
		"an agent that was late": {late, agree, []string{"generator-limited"}},
	} {
		t.Run(name, func(t *testing.T) {
			tr := &trial{rec: record.Trial{Status: record.Valid}}
			l := ledgerOf(1, c.w)
			tr.judge(load.Phase{Name: "open", Model: load.Open}, l, c.witness, 0.02)
			var codes []string
			for _, r := range tr.rec.Reasons {
				codes = append(codes, r.Code)
			}
			if !slices.Equal(codes, c.codes) || (tr.rec.Status == record.Valid) != (c.codes == nil) {
				t.Errorf("status %s, reasons %v, want %v", tr.rec.Status, tr.rec.Reasons, c.codes)
			}
		})
	}
}

// The judgement is load.Health's: the same causes, in the record with their code. A disturbed machine
// is blamed for lateness, never for what an agent lacked.
func TestJudgeNamesTheCause(t *testing.T) {
	good := stats.Books{Planned: 1000, Sent: 1000, OK: 1000}
	late := windowOf(good)
	late.Lateness.Reset()
	late.Lateness.RecordN(3*time.Millisecond, 1000)
	late.Resources = &stats.Resources{Stopped: int64(203 * time.Millisecond)}
	lacking := windowOf(stats.Books{Planned: 1000, Sent: 1000, OK: 1000})
	lacking.Lost = map[string]int64{"descriptors": 500}
	lacking.Resources = &stats.Resources{Descriptors: 64, DescriptorLimit: 64}
	for name, c := range map[string]struct {
		w                 stats.Window
		stolen            float64
		code, cause, text string
	}{
		"stopped":                      {late, 0, "generator-limited", load.CauseStopped, "it stood still for 203ms at second 0 (the host took 0.0 %"},
		"stopped on a disturbed host":  {late, 0.2, "disturbed-host", load.CauseStopped, "it stood still for 203ms at second 0 (the host took 20.0 %"},
		"no descriptors":               {lacking, 0, "generator-limited", load.CauseDescriptors, "500 of 1,000 requests lost for want of descriptors (limit 64, 64 open)"},
		"no descriptors, stolen cores": {lacking, 0.2, "generator-limited", load.CauseDescriptors, "500 of 1,000 requests lost for want of descriptors (limit 64, 64 open)"},
	} {
		tr := &trial{rec: record.Trial{Status: record.Valid}}
		l := ledgerOf(1, c.w)
		tr.judge(load.Phase{Name: "open", Model: load.Open}, l, record.Witness{DatabaseReads: 1000, BalancerTotal: 1000}, c.stolen)
		r := tr.rec.Reasons
		if len(r) != 1 || r[0].Code != c.code || r[0].Cause != c.cause || !strings.Contains(r[0].Text, "agent 1: ") || !strings.Contains(r[0].Text, c.text) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestReasonsNameTheClasses(t *testing.T) {
	w := windowOf(stats.Books{Planned: 100, Sent: 100, OK: 90, Bad: 10})
	w.Outcomes = map[string]int64{"wrong id": 7, "status 500": 3}
	tr := &trial{rec: record.Trial{Status: record.Valid}}
	l := ledgerOf(0, w)
	tr.judge(load.Phase{Name: "closed", Model: load.Closed}, l, record.Witness{DatabaseReads: 100, BalancerTotal: 100}, 0)
	if len(tr.rec.Reasons) != 1 || !strings.Contains(tr.rec.Reasons[0].Text, "(status 500 3, wrong id 7)") {
		t.Errorf("reasons: %v", tr.rec.Reasons)
	}
}

func TestWitnessTakesTheReadsOffTheSelects(t *testing.T) {
	before := count{db: database.Counters{Reads: 10, Others: map[string]int64{"select": 12}, Connections: 3}, balancer: 5}
	now := count{db: database.Counters{Reads: 110, Others: map[string]int64{"select": 115, "set_option": 400}, Connections: 103}, balancer: 105}
	w := minus(now, before)
	if w.DatabaseReads != 100 || w.BalancerTotal != 100 || w.Connections != 100 || w.DatabaseOthers["select"] != 3 || w.DatabaseOthers["set_option"] != 400 {
		t.Errorf("witness %+v", w)
	}
}

// What the agents lost themselves is not left to look like the server's doing.
func TestJudgeTellsWhatTheAgentsLost(t *testing.T) {
	for lost, want := range map[int64]string{0: "", 30: "; 30 of them lost by the agents themselves", 100: "; all of them lost by the agents themselves"} {
		w := windowOf(stats.Books{Planned: 1000, Sent: 900, Dropped: 100, OK: 900})
		w.Lost = map[string]int64{"loop": lost}
		tr := &trial{rec: record.Trial{Status: record.Valid}}
		l := ledgerOf(1, w)
		tr.judge(load.Phase{Name: "open", Model: load.Open}, l, record.Witness{DatabaseReads: 900, BalancerTotal: 900}, 0)
		if got := tr.rec.Reasons[0]; got.Code != "wrong-answers" || !strings.HasSuffix(got.Text, "dropped 100"+want) {
			t.Errorf("%d lost: %+v", lost, got)
		}
	}
}
