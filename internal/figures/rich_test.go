package figures

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/capacity"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/stats"
)

// A run with all that a record can say: in turns and at a stretch, with time-outs, errors and stalls, repeats, quotas, workers, and
// samples of every kind. Every number is a function of its place.

// richPlan is what the figures read of the plan.
const richPlan = `{"name":"demo","seed":7,"blocks":4,"primary":"throughput","delta":"2%","allow_unfair":"one has a log",
"dataset":{"rows":1000,"seed":1,"hit_ratio":0.25,"lookups":"server"},"agents":{"engine":"native"},
"phases":[{"name":"closed"},{"name":"closed-reconnect","reconnect":true},{"name":"ping","reconnect":true},{"name":"open"},{"name":"driven","engine":"jmeter"}],
"thresholds":["closed: throughput > 1.02 * base.throughput","closed: p50 < 1.2 * base.max","open: p99 < 50ms","open: mean < 20ms","open: min > 1ms",
"open: max < 30s","open: service p90 < 40ms","open: errors < 2%","open: timeouts <= 8","open: dropped < 5%","open: late <= 3","open: queued < 9","open: bad < 1",
"open: rate > 20/s","driven: p50 < 40ms","driven: response p50 < 40ms","closed: base.throughput > 20","nowhere: ok > 1"]}`

func richHead() record.Run {
	r := recordtest.Of(4, record.Base, record.Head)
	run := r.Head
	run.Plan = json.RawMessage(richPlan)
	run.Revisions = &record.Revisions{Base: record.Revision{Given: "main", Commit: "00"}, Head: record.Revision{Given: ".", Dirty: true}}
	run.Baselines = []record.Baseline{
		{Seconds: 1, Disturbance: record.Disturbance{CPUTimeNS: 3e9}},
		{Seconds: 2, Cores: 3, Disturbance: record.Disturbance{Foreign: 0.2, Seen: 0.05, CPUTimeNS: 2e9, Strangers: []record.Stranger{{Name: "cc1", PID: 5, CPUNS: 1e8}}}},
	}
	run.Calibration = &record.Calibration{Engine: "native", Agents: 2, Ceilings: map[string]float64{record.PathNginx: 9000}}
	run.Database.LookupS, run.Database.DigestAtEnd = 0.0001, "y"
	run.Database.Uncounted, run.Database.AccountReason, run.Database.MovesReason = []string{"rows by name"}, "no right to create one", "not ours"
	run.Shared, run.ChecksLeftOut, run.Salt = true, []string{"moves: off"}, "salt"
	run.Targets[1].Digest = "another"
	run.Pilot = &record.Pilot{Throughput: map[string]float64{record.Base: 90, record.Head: 99}, Slowest: record.Base}
	for i, t := range []string{record.Base, record.Head} {
		run.Order = slices.Insert(run.Order, i, record.Place{Position: i + 1, Target: t})
	}
	return run
}

// richRun writes the run, and returns its directory.
func richRun(t *testing.T) string {
	t.Helper()
	r := recordtest.Of(4, record.Base, record.Head)
	r.Head = richHead()
	w := r.Begin(t)
	for _, p := range r.Head.Order {
		richTrial(t, w, p, 1, func(tr *record.Trial) {
			switch {
			case p.Block == 2 && p.Target == record.Head:
				tr.Status = record.Invalid
				tr.Reasons = []record.Reason{{Code: record.CodeWitness, Text: "one too many"}, {Code: record.CodeWitness, Text: "again"}, {Code: record.CodeBooks, Text: "a hole"}}
			case p.Block == 3 && p.Target == record.Base:
				tr.Status, tr.Reasons = record.Invalid, []record.Reason{{Code: record.CodeBooks, Text: "a hole"}}
			case p.Block == 4:
				tr.Warnings = []record.Reason{{Code: record.CodeDisturbedHost, Text: "a little"}}
			}
		})
	}
	richTrial(t, w, record.Place{Block: 2, Position: 3, Target: record.Head}, 2, nil)
	richTrial(t, w, record.Place{Block: 3, Position: 3, Target: record.Base}, 2, func(tr *record.Trial) {
		tr.Status, tr.Reasons = record.TrialAborted, []record.Reason{{Code: record.CodeInterrupted, Text: "interrupted"}}
	})
	check(t, w.Update(func(run *record.Run) { run.Wall = 400 }))
	check(t, w.Finish(record.Aborted, "the run took longer than --max-time 6m0s"))
	return w.Dir()
}

func richPhases(block int) []record.Phase {
	if block == 0 {
		return []record.Phase{{Number: 1000, Name: "pilot", Model: "closed", Connections: 8, DurationS: 2}}
	}
	return []record.Phase{
		{Number: 0, Name: "warmup", Model: "closed", Connections: 8, DurationS: 1, Warmup: true, Settling: &record.Settling{LeastS: 1, MostS: 5, State: "steady"}},
		{Number: 1, Name: "closed", Model: "closed", Connections: 8, DurationS: 4},
		{Number: 2, Name: "closed-reconnect", Model: "closed", Connections: 8, DurationS: 3},
		{Number: 3, Name: "ping", Model: "closed", Connections: 8, DurationS: 2, Ask: "ping"},
		{Number: 4, Name: "open", Model: "open", Connections: 64, Rate: 30_000, Arrivals: "constant", DurationS: 4},
		{Number: 5, Name: "driven", Model: "open", Connections: 64, Rate: 100, DurationS: 2, Engine: "jmeter"},
	}
}

func richTrial(t *testing.T, w *record.Writer, place record.Place, attempt int, change func(*record.Trial)) {
	t.Helper()
	tw := must[*record.TrialWriter](t)(w.BeginTrial(place.Block, place.Position, place.Target, attempt))
	which := map[string]int{record.Base: 1, record.Head: 2}[place.Target]
	tr := record.Trial{Status: record.Valid, Started: recordtest.Epoch().Add(time.Duration(100*place.Block+40*which) * time.Second), Declared: &record.Declared{Connections: 16}}
	for n := 1; n <= 2; n++ {
		r := record.Replica{Name: fmt.Sprintf("%s-%d", place.Target, n), ReadyS: 0.5 * float64(n+which)}
		for k := range 2 {
			r.Workers = append(r.Workers, record.Worker{PID: 10*n + k, Connections: 3*n + k})
		}
		tr.Replicas = append(tr.Replicas, r)
	}
	tr.Timeline = []record.Step{{Name: "table", Seconds: 0.25}, {Name: "start", Seconds: 1.5}, {Name: "verify-before", Seconds: 0.5}}
	for _, p := range richPhases(place.Block) {
		p.TimeoutS = 1
		p.Started = tr.Started.Add(time.Duration(6*p.Number%1000) * time.Second)
		p.Ended = p.Started.Add(2*p.Duration() + time.Second/2)
		if place.Block > 0 && p.Engine == "" {
			p.Turns = &record.PhaseTurns{Slices: 4 * int(p.DurationS), SliceS: 0.25, RunInS: 0.05, OnS: p.DurationS + 0.25, LeftOut: p.Number % 2, Rounds: 4 * int(p.DurationS), Frozen: true}
		}
		richLoads(t, tw, p, place, which)
		richSeries(t, tw, p, tr.Replicas, which)
		sent := int64(400 * p.DurationS)
		p.Witness = record.Witness{DatabaseReads: sent, BalancerTotal: sent, Connections: 4, DatabaseOthers: map[string]int64{"rollback": sent / 2, "begin": sent}}
		if p.Ask != "" {
			p.Witness = record.Witness{DatabaseReads: -1, BalancerTotal: -1, Connections: -1}
		}
		tr.Phases = append(tr.Phases, p)
		tr.Timeline = append(tr.Timeline, record.Step{Name: p.Name, Seconds: 1.1 * p.DurationS})
	}
	tr.Timeline = append(tr.Timeline, record.Step{Name: "verify-after", Seconds: 0.75}, record.Step{Name: "stop", Seconds: 0.7})
	if change != nil {
		change(&tr)
	}
	check(t, tw.Finish(tr))
}

// richLoads writes the windows of two agents: slices with a run-in, or seconds. The second slice of an open phase met a stall.
func richLoads(t *testing.T, tw *record.TrialWriter, p record.Phase, place record.Place, which int) {
	t.Helper()
	length := time.Second
	if p.Turns != nil {
		length = 250 * time.Millisecond
	}
	for slice := range int(p.Duration() / length) {
		begin := time.Duration(slice) * length
		for agent := range 2 {
			var windows []stats.Window
			if p.Turns != nil {
				aside := richWindow(p, place, which, slice, agent, 7)
				aside.Begin, aside.Length, aside.Aside = begin, length/5, true
				windows = append(windows, aside)
			}
			w := richWindow(p, place, which, slice, agent, 40+5*which+place.Block+slice)
			w.Begin, w.Length = begin, length
			if p.Turns != nil {
				w.Begin, w.Length = begin+length/5, length-length/5
			}
			switch {
			case p.Number == 1 && slice == 9 && place.Block == 1:
				w.Books.OK, w.Books.Error = 2, w.Books.OK+w.Books.Error-2
			case p.Number == 4 && slice == 1:
				w.Length += length
			case p.Number == 4 && slice == 15:
				w.Length += time.Millisecond // beyond the end of the phase
			}
			for _, each := range append(windows, w) {
				check(t, tw.Load(record.Load{Agent: agent, Epoch: 1, Sequence: int64(slice), Phase: p.Number, Window: each}))
			}
		}
	}
}

// richWindow is one of about n requests; those of the open phase stand for a thousand times as many.
func richWindow(p record.Phase, place record.Place, which, slice, agent, n int) stats.Window {
	times := int64(1)
	if p.Number == 4 {
		times = 1000
	}
	ok := times * int64(n)
	w := stats.Window{
		Books:  stats.Books{Planned: ok + 7, Sent: ok + 6, Dropped: 1, OK: ok, Bad: 2, Timeout: 1, Error: 3, Late: int64(agent), Queued: int64(slice % 3)},
		Status: map[int]int64{200: ok, 503: 2}, Outcomes: map[string]int64{"status 503": 2, "reset": 3}, Lost: map[string]int64{"ports": 1}, Unwritten: 1,
		Checked: ok / 2, Hits: ok / 4, Misses: ok - ok/4, Opened: int64(1 + agent), CPU: time.Duration(40+10*agent) * time.Millisecond, GCPause: time.Duration(slice) * time.Microsecond,
		InFlight: new(0.3 + 0.1*float64(which)), ErrorTime: 1.5,
		Service: stats.NewHistogram(), Response: stats.NewHistogram(), Lateness: stats.NewHistogram(), Replicas: map[string]stats.Replica{},
		Resources: &stats.Resources{
			Descriptors: int64(30 + slice), DescriptorLimit: 1024, Ports: 9, PortLow: 32768, PortHigh: 60999, Cores: 2, Throttled: int64(agent) * 5e6,
			LoopCPU: []int64{3e7 + int64(which)*1e6, 2e7}, LoopWait: []int64{1e6, 2e6},
		},
	}
	for i := range int64(10) {
		took := time.Duration(3+2*int(i)+which+slice%4+place.Block) * time.Millisecond
		w.Service.RecordN(took, ok/10)
		w.Response.RecordN(took+time.Millisecond, ok/10)
	}
	w.Lateness.RecordN(30*time.Microsecond, ok)
	if p.Engine != "" { // it says nothing of itself, nor when a request should have been sent
		w.Response, w.Lateness, w.Resources, w.InFlight = nil, nil, nil, nil
	}
	if p.Number == 4 {
		w.Response.RecordOver(time.Second)
		w.Service.RecordOver(time.Second)
	}
	for r, share := range []int64{3, 2} {
		service := stats.NewHistogram()
		service.RecordN(time.Duration(4+r)*time.Millisecond, ok*share/5)
		w.Replicas[fmt.Sprintf("%s-%d", place.Target, r+1)] = stats.Replica{Answers: ok * share / 5, Errors: int64(r), Service: service}
	}
	return w
}

// richSeries writes a sample of every tier each second. One worker of the first replica is gone at the end: its counter falls.
func richSeries(t *testing.T, tw *record.TrialWriter, p record.Phase, replicas []record.Replica, which int) {
	t.Helper()
	for second := range 2*int(p.DurationS) + 1 {
		at, s := p.Started.Add(time.Duration(second)*time.Second), float64(second)
		sample := func(tier, name string, cores float64, rss, pss int64, values map[string]float64) {
			line := record.Series{At: at, Phase: p.Number, Tier: tier, Name: name, CPUNS: int64(1e9 + cores*s*1e9), RSSBytes: rss + int64(second)*1e5, PSSBytes: pss, Values: values}
			check(t, tw.Series(line))
		}
		for i, r := range replicas {
			sample("target", r.Name, 0.3+0.1*float64(i), 80e6, 50e6, map[string]float64{
				record.GroupVersion: 2, record.GroupCPUNS: (0.35 + 0.1*float64(i)) * s * 1e9, record.QuotaCores: 0.75, record.ThrottledNS: 2e7 * s,
				record.BusiestThreadNS: 4e8 * s, record.BusiestThreadWaitNS: 1e7 * s,
			})
			for k, worker := range r.Workers {
				sample("target", fmt.Sprintf("%s/%d", r.Name, worker.PID), 0.2/float64(k+1), 30e6, 20e6, map[string]float64{record.BusiestThreadNS: 3e8 * s / float64(k+1)})
			}
		}
		sample("balancer", "nginx", 0.1, 9e6, 0, map[string]float64{record.BusiestThreadNS: 9e7 * s})
		sample("database", "mariadb", 0.5, 500e6, 400e6, map[string]float64{
			"threads_running": float64(2 + second%3), record.InTurn: float64(second % 2), "innodb_row_lock_time": 20 * s, "innodb_data_reads": 3 * s, "questions": 500 * s,
			record.QuotaCores: 1, record.ThrottledNS: 1e7 * s,
		})
		for agent := range 2 {
			sample("agent", fmt.Sprintf("agent-%d", agent), 0.12+0.02*float64(agent), 20e6, 0, nil)
		}
		sample("controller", "controller", 0.02, 40e6, 30e6, nil)
		sample("others", "others", 0.4, 0, 0, nil)
		sample("host", "host", 1.6, 3e9, 0, map[string]float64{
			record.ThrottledNS: 3e6 * s, record.ListenDrops: s, "pressure_io_ns": 4e7 * s, "iowait_ns": 6e7 * s,
		})
		ns := int64(2_000_000 + 100_000*which + p.Number)
		check(t, tw.Series(record.Series{At: at, Phase: p.Number, Tier: "yardstick", Name: "yardstick", WorkNS: [][]int64{{ns, ns + 1000}, {ns}}}))
	}
}

// parts are a summary as JSON, part by part.
func parts(t *testing.T, s *Summary) map[string]json.RawMessage {
	t.Helper()
	out := map[string]json.RawMessage{}
	check(t, json.Unmarshal(must[[]byte](t)(json.Marshal(s)), &out))
	return out
}

// searched is a run of a capacity whose trial of the pilot has the stages of a search.
func searched(t *testing.T) string {
	t.Helper()
	r := recordtest.Of(3, "django", "flask")
	r.ClosedS = 1
	r.WithCapacity(map[string]float64{"django": 400, "flask": 500})
	r.Head.Pilot.Capacity["flask"] = capacity.Result{Outcome: capacity.AtLeast, Lower: 600}
	r.Head.Order = slices.Insert(r.Head.Order, 0, record.Place{Position: 1, Target: "django"})
	r.Change = func(tr *record.Trial) {
		for i, p := range tr.Phases {
			if p.Stage != nil && tr.Block == 2 {
				p.Stage.Limited = i == len(tr.Phases)-1
			}
		}
	}
	return r.Write(t)
}

// Each part of the figures of such runs is what it was: where one changes on purpose, -update writes what it is now.
func TestFiguresOfRichRuns(t *testing.T) {
	var out strings.Builder
	said := map[string]string{}
	for _, run := range []struct {
		name string
		dir  string
	}{{"rich", richRun(t)}, {"searched", searched(t)}, {"spoiled", recordtest.Spoiled(t)}, {"unmeasured", recordtest.Unmeasured(t)}, {"servers", recordtest.Servers(t, "127.0.0.1:1", "10.0.0.1:2")}} {
		s := build(t, run.dir)
		s.Run.Ended = time.Time{} // the writer sets it
		all := parts(t, s)
		for _, part := range slices.Sorted(maps.Keys(all)) {
			line := fmt.Sprintf("%s %s %x", run.name, part, sha256.Sum256(all[part]))
			said[line] = string(all[part])
			fmt.Fprintln(&out, line)
		}
		for i, caveat := range s.Caveats {
			fmt.Fprintf(&out, "%s caveat %d %s\n", run.name, i, caveat)
		}
		if again, found := s.SearchAgain("django"); found {
			fmt.Fprintf(&out, "%s search %+v\n", run.name, again)
		}
	}
	golden(t, "rich.txt", []byte(out.String()))
	if t.Failed() {
		was := string(must[[]byte](t)(os.ReadFile("testdata/rich.txt")))
		for _, line := range strings.Split(out.String(), "\n") {
			if !strings.Contains(was, line) {
				t.Logf("%.60s is now %.2000s", line, said[line])
			}
		}
	}
}
