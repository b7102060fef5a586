package recordtest

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// Plain writes what counts in the run that Spoiled writes, and nothing else.
func Plain(t *testing.T) string {
	t.Helper()
	r := Demo()
	w := r.Begin(t)
	for _, p := range r.Head.Order {
		if p.Block > 0 && p != (record.Place{Block: 2, Position: 1, Target: "django"}) && p.Block != 3 {
			r.Trial(t, w, p.Block, p.Position, p.Target, 1, nil)
		}
	}
	r.Trial(t, w, 2, 4, "django", 2, nil)
	check(t, w.Finish(record.Aborted, "test"))
	return w.Dir()
}

// Spoiled writes a run with everything in it that must be in no statistic: the pilot; a trial three times as
// fast that is invalid, and was repeated; and in block 3 an aborted, a damaged and an unfinished one.
func Spoiled(t *testing.T) string {
	t.Helper()
	r := Demo()
	w := r.Begin(t)
	for _, p := range r.Head.Order {
		switch {
		case p == record.Place{Block: 2, Position: 1, Target: "django"}:
			fast := Demo()
			fast.Rate = func(string, int) int { return 3020 }
			fast.Trial(t, w, 2, 1, "django", 1, func(tr *record.Trial) {
				tr.Status, tr.Reasons = record.Invalid, []record.Reason{{Code: record.CodeAgentLost, Text: "agent 1 was silent for 2.1 s"}}
			})
			r.Trial(t, w, 2, 4, "django", 2, nil)
		case p.Block < 3:
			r.Trial(t, w, p.Block, p.Position, p.Target, 1, nil)
		}
	}
	r.Trial(t, w, 3, 1, "django", 1, func(tr *record.Trial) { tr.Status = record.TrialAborted })
	r.Trial(t, w, 3, 2, "flask", 1, nil)
	check(t, os.WriteFile(filepath.Join(w.Dir(), "trials", "3-2-flask", "load.jsonl"), []byte("gone\n"), 0o600))
	begun, err := w.BeginTrial(3, 3, "fastapi", 1)
	check(t, err)
	check(t, begun.Abandon("interrupted"))
	check(t, w.Finish(record.Aborted, "the run took longer than --max-time 4m0s"))
	return w.Dir()
}

// Unmeasured writes a run of a loader that measures service time only, with an invalid trial that was
// repeated.
func Unmeasured(t *testing.T) string {
	t.Helper()
	w := Of(1, "django").Begin(t)
	service := stats.NewHistogram()
	service.RecordN(20*time.Millisecond, 500)
	phase := record.Phase{Number: 2, Name: "open", Model: "open", Connections: 8, Rate: 500, DurationS: 1, TimeoutS: 10, Started: Epoch(), Ended: Epoch().Add(time.Second)}
	late := []record.Reason{{Code: record.CodeGeneratorLimited, Text: "late", Cause: record.CauseUnknown}}
	for i, status := range []string{record.Invalid, record.Valid} {
		tw, err := w.BeginTrial(1, 1+i, "django", 1+i)
		check(t, err)
		check(t, tw.Load(record.Load{Phase: 2, Window: stats.Window{
			Length: time.Second, Books: stats.Books{Planned: 500, Sent: 500, OK: 500}, Service: service, Replicas: map[string]stats.Replica{"django-1": {Answers: 500}},
		}}))
		check(t, tw.Finish(record.Trial{
			Status: status, Reasons: late[:i], Phases: []record.Phase{phase}, Replicas: []record.Replica{{Name: "django-1"}, {Name: "django-2"}},
		}))
	}
	check(t, w.Finish(record.Complete, ""))
	return w.Dir()
}

// Servers writes a run of two running servers at most, at these addresses: one block of one closed phase.
func Servers(t *testing.T, addresses ...string) string {
	t.Helper()
	r := Of(1)
	r.Head.Database, r.Head.Balancer = record.DatabaseInfo{}, record.BalancerInfo{}
	r.Head.Plan = json.RawMessage(`{"name":"demo","seed":7,"blocks":1,"primary":"throughput"}`)
	r.Head.Notes = []string{"no second witness"}
	for i, address := range addresses {
		name := []string{"old", "new"}[i]
		r.Head.Targets = append(r.Head.Targets, record.TargetInfo{
			Name: name, Kind: record.KindURL, URL: "http://" + address + "/ping?x=1", Address: address,
			Expect: &record.Expect{Status: 200, Body: strings.Repeat("pong", i)},
		})
		r.Head.Order = append(r.Head.Order, record.Place{Block: 1, Position: i + 1, Target: name})
	}
	w := r.Begin(t)
	for _, p := range r.Head.Order {
		server(t, w, p)
	}
	check(t, w.Finish(record.Complete, ""))
	return w.Dir()
}

// server writes the trial of a running server: nobody but the agents counted anything.
func server(t *testing.T, w *record.Writer, p record.Place) {
	t.Helper()
	tw, err := w.BeginTrial(p.Block, p.Position, p.Target, 1)
	check(t, err)
	phase := record.Phase{
		Number: 1, Name: "closed", Model: "closed", Connections: 32, DurationS: 2, TimeoutS: 10,
		Started: Epoch(), Ended: Epoch().Add(2 * time.Second), Witness: record.Witness{DatabaseReads: -1, BalancerTotal: -1, Connections: -1},
	}
	for second := range 2 {
		l := Window(rand.New(rand.NewPCG(1, 2)), phase, second, 0, 1000*p.Position, []record.Replica{{Name: "none"}})
		l.Replicas, l.Hits, l.Misses = nil, 0, 0
		check(t, tw.Load(l))
	}
	for second := range 3 {
		for tier, cores := range map[string]float64{"agent": 0.2, "host": 1.2} {
			check(t, tw.Series(record.Series{
				At: Epoch().Add(time.Duration(second) * time.Second), Phase: 1, Tier: tier, Name: tier, CPUNS: int64(cores * float64(second) * 1e9), RSSBytes: 1e7,
			}))
		}
	}
	check(t, tw.Finish(record.Trial{Status: record.Valid, Started: Epoch(), Phases: []record.Phase{phase}, Timeline: []record.Step{{Name: "verify-before", Seconds: 0.6}}}))
}
