package figures

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/limit"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// simulatedCase is the first line of a file of testdata/limits: what was simulated, and what limits it. The rest are the
// lines of load.jsonl and series.jsonl.
type simulatedCase struct {
	Simulated simulated `json:"simulated"`
	Tier      string    `json:"tier"` // empty: none
	What      string    `json:"what"`
}

type simulatedLine struct {
	Load   *record.Load   `json:"load,omitempty"`
	Series *record.Series `json:"series,omitempty"`
}

// simulatedCases are each kind of limit in three strengths; the weakest is just none.
func simulatedCases() map[string]simulatedCase {
	base := simulated{Cores: 8, Workers: 4, Pool: 8, Agent: 0.05, Balancer: 0.1, Worker: 0.5, Database: 0.2}
	out := map[string]simulatedCase{}
	kind := func(name, tier, what string, change func(s *simulated, strength int)) {
		for strength, of := range []string{"strong", "middle", "none"} {
			s := base
			change(&s, strength)
			c := simulatedCase{s, tier, what}
			if of == "none" {
				c.Tier, c.What = "", ""
			}
			out[name+"-"+of] = c
		}
	}
	// closed and the last one open: where every client waits for an answer, something is always used up
	load := func(s *simulated, strength, clients int, rate float64) {
		s.Clients = clients
		if strength == 2 {
			s.Clients, s.Rate = 0, rate
		}
	}
	kind("database-capped", limit.Database, limit.Queue, func(s *simulated, n int) {
		s.Serial = 2
		load(s, n, []int{64, 16, 0}[n], 350)
	})
	kind("balancer-burns", limit.Balancer, limit.CPU, func(s *simulated, n int) {
		s.Balancer = []float64{4, 1, 1}[n]
		load(s, n, 32, 800)
	})
	kind("generator-quota", limit.Generator, limit.Quota, func(s *simulated, n int) {
		s.Agent, s.AgentQuota = 0.5, []float64{0.05, 0.2, 0.2}[n]
		load(s, n, 32, 500)
	})
	kind("hot-worker", limit.Target, limit.CPU, func(s *simulated, n int) {
		s.Worker, s.Hot = 2, []float64{0.9, 0.5, 0.5}[n]
		load(s, n, 32, 640)
	})
	kind("small-pool", limit.Pool, limit.Connections, func(s *simulated, n int) {
		s.Workers, s.Delay, s.Pool, s.Clients = 2, 20, []int{1, 3, 8}[n], []int{32, 16, 12}[n]
	})
	kind("target-cpu", limit.Target, limit.CPU, func(s *simulated, n int) {
		s.Worker = []float64{8, 3, 3}[n]
		load(s, n, []int{64, 32, 0}[n], 1040)
	})
	kind("one-machine", limit.SharedMachine, limit.CPU, func(s *simulated, n int) {
		s.Cores, s.Agent, s.Balancer, s.Worker, s.Database = 2, 0.2, 0.2, 1, 0.6
		load(s, n, []int{64, 12, 0}[n], 780)
	})
	kind("row-locks", limit.Database, limit.Locks, func(s *simulated, n int) {
		s.Locked = 5
		load(s, n, []int{32, 8, 0}[n], 100)
	})
	kind("disk", limit.Database, limit.Disk, func(s *simulated, n int) {
		s.Disk, s.Missed = 10, []float64{1, 0.3, 0.05}[n]
		load(s, n, []int{16, 4, 0}[n], 400)
	})
	kind("listen-queue", limit.Target, limit.Listen, func(s *simulated, n int) {
		s.Clients, s.Drops = 16, []float64{0.2, 0.03, 0.005}[n]
	})
	kind("database-quota", limit.Database, limit.Quota, func(s *simulated, n int) {
		s.DatabaseQuota, s.Database = []float64{0.25, 1, 1}[n], 1
		load(s, n, 32, 600)
	})
	return out
}

// Every simulated case gets its limit, from its recorded lines alone.
func TestSimulatedLimits(t *testing.T) {
	right := 0
	cases := simulatedCases()
	for name, c := range cases {
		path := filepath.Join("testdata", "limits", name+".jsonl")
		if *update {
			c.write(t, path)
		}
		want, lines := readSimulated(t, path)
		if want != c {
			t.Errorf("%s: the file is of %+v, write it again: go test ./internal/figures -run SimulatedLimits -update", name, want)
		}
		s := want.summary(t, lines)
		got := s.Limits[0]
		if got.Tier == want.Tier && got.What == want.What {
			right++
		} else {
			t.Errorf("%s: %q %q, want %q %q\n%s", name, got.Tier, got.What, want.Tier, want.What, usesOf(got))
		}
		if got.Foreign != limit.Foreign(want.Tier) {
			t.Errorf("%s: foreign %v", name, got.Foreign)
		}
	}
	t.Logf("%d of %d named right", right, len(cases))
}

func usesOf(l Limit) string {
	var b strings.Builder
	for _, u := range l.Uses {
		data, _ := json.Marshal(u)
		b.WriteString(string(data) + "\n")
	}
	return b.String()
}

// write simulates the case into a file.
func (c simulatedCase) write(t *testing.T, path string) {
	t.Helper()
	var b strings.Builder
	put := func(v any) {
		b.Write(must[[]byte](t)(json.Marshal(v)))
		b.WriteByte('\n')
	}
	put(c)
	c.Simulated.run(recordtest.Epoch(), func(l record.Load) { put(simulatedLine{Load: &l}) }, func(s record.Series) { put(simulatedLine{Series: &s}) })
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(t, os.WriteFile(path, []byte(b.String()), 0o644))
}

func readSimulated(t *testing.T, path string) (c simulatedCase, lines []simulatedLine) {
	t.Helper()
	file := must[*os.File](t)(os.Open(path))
	defer file.Close()
	scanner := bufio.NewScanner(file)
	for first := true; scanner.Scan(); first = false {
		if first {
			check(t, json.Unmarshal(scanner.Bytes(), &c))
			continue
		}
		var l simulatedLine
		check(t, json.Unmarshal(scanner.Bytes(), &l))
		lines = append(lines, l)
	}
	check(t, scanner.Err())
	return c, lines
}

// summary is that of a run of one trial with these lines.
func (c simulatedCase) summary(t *testing.T, lines []simulatedLine) *Summary {
	t.Helper()
	r, s := recordtest.Of(1, "a"), c.Simulated
	r.Head.Machine.Cores = s.Cores
	r.Head.Database.LookupS = (s.Database + s.Delay + s.Disk + s.Serial + s.Locked) / 1e3
	w := r.Begin(t)
	tw, err := w.BeginTrial(1, 1, "a", 1)
	check(t, err)
	phase := record.Phase{
		Number: 1, Name: "closed", Model: "closed", Connections: s.Clients, DurationS: simSeconds, TimeoutS: 10, Started: recordtest.Epoch(), Ended: recordtest.Epoch().Add(simSeconds * time.Second),
		Witness: record.Witness{DatabaseReads: -1, BalancerTotal: -1, Connections: -1},
	}
	for _, l := range lines {
		if l.Load != nil {
			check(t, tw.Load(*l.Load))
		} else {
			check(t, tw.Series(*l.Series))
		}
	}
	check(t, tw.Finish(record.Trial{Status: record.Valid, Phases: []record.Phase{phase}, Declared: &record.Declared{Connections: s.Workers * s.Pool}, Replicas: []record.Replica{{Name: "a-1"}}}))
	check(t, w.Finish(record.Complete, ""))
	return build(t, w.Dir())
}

// Where another tier is the limit of both targets, the better figure is no claim.
func TestForeignLimitIsNoRanking(t *testing.T) {
	for cores, want := range map[float64]string{1.8: "a and b are not distinguishable above 801 answers/s: the database was the limit there", 0.5: "a is better than b: at least 2"} {
		r := recordtest.Of(7, "a", "b")
		r.Cores = map[string]float64{"target": 0.05, "balancer": 0.01, "database": cores, "agent": 0.01, "host": cores + 0.14}
		r.Rate = func(target string, block int) int { return map[string]int{"a": 1000, "b": 800}[target] + 2*block%3 }
		s := build(t, r.Write(t))
		if !strings.HasPrefix(s.Verdict.Head, want) {
			t.Errorf("%v cores of the database: %q, want %q", cores, s.Verdict.Head, want)
		}
		if l := s.Limits[0]; l.Foreign != (cores == 1.8) || l.Foreign && (l.Tier != limit.Database || l.What != limit.CPU || l.Share != 0.9) {
			t.Errorf("%v cores of the database: %+v", cores, l)
		}
	}
}

// A machine is never more than full, whatever its samples add up to.
func TestSharedMachineIsFullAtMost(t *testing.T) {
	for host, want := range map[float64]float64{1.8: 0.9, 2: 1, 2.05: 1} {
		if got := reading([]observed{{host: host}, {host: host + 0.01}, {host: host - 0.01}}, 2, false).Host; got != want {
			t.Errorf("%v of 2 cores: %v, want %v", host, got, want)
		}
	}
}

// A worker that is ready all the time is the limit, though another one, which is not, runs a little longer in every second block.
func TestWorkersAreJoinedByWhatTheyAreJudgedBy(t *testing.T) {
	var blocks []observed
	for i := range 4 {
		cold := 0.59 + 0.02*float64(i%2)
		blocks = append(blocks, observed{host: 1.2, members: []limit.Member{
			{Tier: limit.Target, Name: "a-1", CPU: 0.6 + cold, Thread: 0.61},
			{Tier: limit.Target, Name: "a-1/7", Part: true, CPU: 0.6, Thread: 0.6, Waited: 0.38},
			{Tier: limit.Target, Name: "a-1/8", Part: true, CPU: cold, Thread: cold, Waited: 0.05},
		}})
	}
	if found := limit.Find(reading(blocks, 4, true)); found.Tier != limit.Target || found.What != limit.CPU || found.Member != "a-1/7" {
		t.Errorf("%+v", found.Use)
	}
}
