package figures

import (
	"math"
	"testing"
	"time"

	"bakeoff/internal/limit"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

func near(got, want float64) bool { return math.Abs(got-want) <= 1e-6*math.Abs(want) }

// What an answer costs is CPU time and memory by the answers of the same phase, tier by tier, and what a replica takes before any
// load is read from its first sample.
func TestCosts(t *testing.T) {
	r := recordtest.Of(2, "a", "b")
	r.Change = func(tr *record.Trial) {
		for i := range tr.Replicas {
			tr.Replicas[i].ReadyS = float64(tr.Block) + 0.5*float64(i)
		}
	}
	s := build(t, r.Write(t))
	if len(s.Costs) != 4 || s.Costs[0].Phase != "closed" || s.Costs[0].Rate != 0 || s.Costs[2].Phase != "open" || s.Costs[2].Rate != 600 {
		t.Fatalf("costs of %d phases and targets: %+v", len(s.Costs), s.Costs)
	}
	for _, c := range s.Costs {
		perS := 1000.0
		if c.Phase == "open" {
			perS = 600
		}
		for tier, want := range map[string]struct {
			cores, bytes float64
			kind         string
		}{"target": {0.8, 180e6, "PSS"}, "balancer": {0.1, 12e6, "RSS"}, "database": {0.5, 690e6, "PSS"}, "agent": {0.3, 56e6, "PSS"}} {
			got, known := c.Tier(tier)
			if !known || !near(got.PerAnswer.Median, want.cores/perS) || !near(got.PerCPUSecond.Median, perS/want.cores) || !near(got.PerMiB.Median, perS*(1<<20)/want.bytes) {
				t.Errorf("%s, %s: %+v", c.Phase, tier, got)
			}
			if got.CPUFrom != "/proc" || got.MemoryFrom != want.kind || got.PerAnswer.N != 2 {
				t.Errorf("%s, %s: from %s and %s, %d blocks", c.Phase, tier, got.CPUFrom, got.MemoryFrom, got.PerAnswer.N)
			}
		}
	}
	if _, known := s.Costs[0].Tier("controller"); known {
		t.Error("costs of a tier that no answer needs")
	}
	want := Spread{N: 4, Median: 1.75, Min: 1, Max: 2.5}
	if len(s.Idle) != 2 || s.Idle[1].Target != "b" || s.Idle[0].ReadyS != want || s.Idle[0].Memory.Median != 90e6 || s.Idle[0].Memory.N != 4 || s.Idle[0].Kind != "PSS" {
		t.Errorf("before any load: %+v", s.Idle)
	}
}

// Where a tier's members or blocks were read in several places, all of them are named, each once.
func TestSourcesOfCosts(t *testing.T) {
	of := func(from string, pss int64) PhaseFigures {
		return PhaseFigures{Goodput: 10, Resources: []Resource{{Tier: "target", Name: "a-1", PerReqS: 0.1, From: from, RSSBytes: 1, PSSBytes: pss}}}
	}
	cost, known := tierCost("target", []PhaseFigures{of("cgroup v2", 1), of("/proc", 0), of("cgroup v2", 1), of("", 0)})
	if !known || cost.CPUFrom != "cgroup v2, /proc" || cost.MemoryFrom != "PSS, RSS" || cost.PerAnswer.N != 4 {
		t.Errorf("%+v", cost)
	}
}

// Running servers have no cost: nobody sees their processes.
func TestCostsOfServers(t *testing.T) {
	s := build(t, recordtest.Servers(t, "127.0.0.1:8080"))
	if len(s.Costs)+len(s.Idle) != 0 {
		t.Errorf("%+v, %+v", s.Costs, s.Idle)
	}
}

// The CPU time of a tree is that of its own control group where it has one, and the figure says so.
func TestCPUOfAGroup(t *testing.T) {
	at := recordtest.Epoch()
	for version, from := range map[float64]string{0: "/proc", 1: "cgroup v1", 2: "cgroup v2"} {
		u := usage{grew: map[string]float64{}}
		for second := range 3 {
			s := record.Series{At: at.Add(time.Duration(second) * time.Second), CPUNS: int64(second) * 5e8}
			if version > 0 {
				s.Values = map[string]float64{record.GroupVersion: version, record.GroupCPUNS: float64(second) * 7e8}
			}
			if second == 0 {
				u.first, u.last = s, s
			}
			u.add(s, false)
		}
		want := 0.5
		if version > 0 {
			want = 0.7
		}
		if got := u.resource(); got.From != from || got.Cores != want {
			t.Errorf("%v: %v cores from %s, want %v from %s", version, got.Cores, got.From, want, from)
		}
	}
}

// Statements under way are those of samples within the phase, and in turns within the target's turns.
func TestStatementsUnderWay(t *testing.T) {
	at := recordtest.Epoch()
	for turns, want := range map[bool]float64{false: 6, true: 4} {
		u := usage{grew: map[string]float64{}}
		for second, running := range []float64{1, 5, 9, 1} { // the first and the last are not under load
			values := map[string]float64{threadsRunning: running}
			if second == 1 {
				values[record.InTurn] = 1
			}
			s := record.Series{At: at.Add(time.Duration(second) * time.Second), Values: values}
			if second == 0 {
				u.first, u.last = s, s
			}
			u.add(s, turns)
		}
		if got := u.running / float64(u.sampled); got != want {
			t.Errorf("in turns %v: %v statements at a time, want %v", turns, got, want)
		}
	}
}

// In turns a process is judged by the time in which it was its target's turn, and the machine by what the run used in that time.
func TestObservedInTurns(t *testing.T) {
	at := recordtest.Epoch()
	all := map[member]*usage{}
	put := func(tier, name string, second int, cores float64, values map[string]float64) {
		s := record.Series{At: at.Add(time.Duration(second) * time.Second), Phase: 1, Tier: tier, Name: name, CPUNS: int64(cores * float64(second) * 1e9), Values: values}
		m := member{1, tier, name}
		if all[m] == nil {
			all[m] = &usage{Resource: Resource{Tier: tier, Name: name}, first: s, last: s, grew: map[string]float64{}}
		}
		all[m].add(s, true)
	}
	for second := range 5 {
		ns := func(share float64) float64 { return share * float64(second) * 1e9 }
		put("target", "a-1", second, 0.3, map[string]float64{record.BusiestThreadNS: ns(0.3), record.BusiestThreadWaitNS: ns(0.01)})
		put("target", "a-1/7", second, 0.3, map[string]float64{record.BusiestThreadNS: ns(0.3), record.BusiestThreadWaitNS: ns(0.01)})
		put("database", "db", second, 0.1, map[string]float64{"innodb_row_lock_time": float64(1000 * second)})
		put("host", "host", second, 1.9, map[string]float64{record.ListenDrops: float64(10 * second)})
		put("others", "others", second, 1.4, nil)
	}
	f := PhaseFigures{Number: 1}
	f.observe(all, record.Trial{Phases: []record.Phase{{Number: 1, Started: at, Ended: at.Add(4 * time.Second), Turns: &record.PhaseTurns{OnS: 1.25}}}})
	if want := 0.4*3.2 + 0.1; !near(f.observed.host, want) { // 0.1 cores of strangers
		t.Errorf("the machine: %v cores, want %v", f.observed.host, want)
	}
	if f.observed.locked != 0 || f.observed.dropped != 0 {
		t.Errorf("locks %v and drops %v are of all targets together", f.observed.locked, f.observed.dropped)
	}
	whole := PhaseFigures{Number: 1}
	whole.observe(all, record.Trial{Phases: []record.Phase{{Number: 1, Started: at, Ended: at.Add(4 * time.Second)}}})
	if !near(whole.observed.locked, 1) || !near(whole.observed.dropped, 10) {
		t.Errorf("not in turns: locks %v, drops %v", whole.observed.locked, whole.observed.dropped)
	}
	for _, m := range f.observed.members {
		want := map[string]float64{"a-1": 0.96, "a-1/7": 0.96, "db": -1}[m.Name]
		if math.Abs(m.Thread-want) > 1e-9 || m.Part != (m.Name == "a-1/7") {
			t.Errorf("%+v, want a thread of %v", m, want)
		}
	}
}

// A process that is none of a replica's workers is judged like one; its CPU time is part of the replica's. A replica without such a
// process, or without workers, has none.
func TestObservedNextToWorkers(t *testing.T) {
	u := &usage{Resource: Resource{Tier: "target", Name: "a-1"}, grew: map[string]float64{record.OtherThreadNS: 3.8e9, record.OtherThreadWaitNS: 1e8, record.BusiestThreadNS: 1e9}}
	u.first = record.Series{At: recordtest.Epoch()}
	u.last = record.Series{At: recordtest.Epoch().Add(4 * time.Second), Values: map[string]float64{record.BusiestThreadNS: 1e9}}
	o := observed{}
	o.add(member{1, "target", "a-1"}, u, 1)
	if len(o.members) != 1 || o.members[0].Part {
		t.Errorf("%+v", o.members)
	}
	u.last.Values[record.OtherThreadNS] = 3.8e9
	o = observed{}
	o.add(member{1, "target", "a-1"}, u, 1)
	if len(o.members) != 2 || !o.members[1].Part || o.members[1].CPU != 0 || !near(o.members[1].Thread, 0.95) || !near(o.members[1].Waited, 0.025) {
		t.Fatalf("%+v", o.members)
	}
	r := reading([]observed{o, o}, 4, true)
	if found := limit.Find(r); found.Tier != limit.Target || found.What != limit.CPU || found.Member != "a-1/no worker" {
		t.Errorf("%+v", found)
	}
}

// A loader that says nothing of itself is judged as a process; an agent's quota is its own unless it is the whole run's.
func TestObservedAgents(t *testing.T) {
	s := &spent{length: 4 * time.Second, cpu: time.Second, throttled: 2 * time.Second, run: []time.Duration{time.Second, 3 * time.Second}, waited: []time.Duration{0, time.Second}, cores: 0.5}
	m := s.member("agent 0", 2, 0.1, true)
	if m.Thread != 0.75 || m.Waited != 0.25 || m.CPU != 0.25 || m.Quota != 0.5 || m.Throttled != 0.5 {
		t.Errorf("%+v", m)
	}
	if m := s.member("agent 0", 2, 0.4, true); m.Quota != 0 || m.Throttled != 0 {
		t.Errorf("the quota of the whole run is called its own: %+v", m)
	}
	if m := s.member("agent 0", 0.5, 0, true); m.Quota != 0 {
		t.Errorf("all cores of the run are called a quota: %+v", m)
	}
	s.run = nil
	for one, want := range map[bool]float64{true: 0.25, false: limit.Unknown} {
		if m := s.member("agent 0", 2, 0, one); m.Thread != want {
			t.Errorf("one loop %v, not timed by itself: a thread of %v, want %v", one, m.Thread, want)
		}
	}
	o := observed{}
	o.add(member{1, "agent", "agent-0"}, &usage{Resource: Resource{Tier: "agent", Name: "agent-0"}}, 1)
	if got := o.all(2, true); len(got) != 1 || got[0].Name != "agent-0" {
		t.Errorf("%+v", got)
	}
	o.agents = map[int]*spent{3: s}
	if got := o.all(2, true); len(got) != 1 || got[0].Name != "agent 3" {
		t.Errorf("%+v", got)
	}
}
