// Package recordtest writes whole run directories for tests, every line as the real parts write it and every
// figure a pure function of its place, so that a reader's figures are known beforehand.
package recordtest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// Epoch is when runs begin unless set otherwise.
func Epoch() time.Time { return time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC) }

// Run is what a run is made of; tests change it before they write it.
type Run struct {
	Head    record.Run
	Targets []string
	Blocks  int
	ClosedS int // length of the closed phase in seconds; 0: there is none
	OpenS   int // of the open phase, likewise
	OpenHz  int
	// Rate is the number of correct answers per second of the closed phase; block 0 is the pilot.
	Rate func(target string, block int) int
	// Change may alter a trial before it is finished, its status for example.
	Change func(*record.Trial)
	// Cores are what the members of each tier use, those of the target each of its two replicas.
	Cores map[string]float64
	// Work, where it is set, is the CPU time in nanoseconds of each piece of the yardstick's work; two cores do four a second.
	Work func(target string, block int) int64
	Root string // the folder of runs; a temporary one if empty
	// Capacity, set by WithCapacity, is up to which rate a target meets the objective; nil: there are no stages.
	Capacity map[string]float64
}

// Demo is a run of three targets, three blocks of a closed and an open phase, and a pilot.
func Demo() *Run {
	r := Of(3, "django", "flask", "fastapi")
	rates := map[string]int{"django": 1000, "flask": 1400, "fastapi": 1200}
	r.Rate = func(target string, block int) int { return rates[target] + 10*block }
	r.Head.Pilot = &record.Pilot{Throughput: map[string]float64{"django": 1000, "flask": 1400, "fastapi": 1200}, Slowest: "django"}
	for i, t := range r.Targets {
		r.Head.Order = slices.Insert(r.Head.Order, i, record.Place{Block: 0, Position: i + 1, Target: t})
	}
	return r
}

// Of is a run of that many blocks of these targets, without a pilot, with 1,000 answers per second each.
func Of(blocks int, targets ...string) *Run {
	r := &Run{
		Targets: targets, Blocks: blocks, ClosedS: 4, OpenS: 4, OpenHz: 600,
		Rate:  func(string, int) int { return 1000 },
		Cores: map[string]float64{"target": 0.4, "balancer": 0.1, "database": 0.5, "agent": 0.15, "host": 1.9},
	}
	r.Head = record.Run{
		Bakeoff: "0.1.0", Name: "demo", PlanDigest: "f00dfeed0011223344556677", Seed: 7, Platform: "local",
		Machine: record.Machine{
			Fingerprint: "ab12", Hostname: "bench", CPU: "A CPU", Cores: 2, MemoryBytes: 8e9, Kernel: "6.1.0", OS: "Debian 12", Governor: "unknown",
		},
		Database: record.DatabaseInfo{
			Kind: "private", Vendor: "mariadb", Version: "10.11.6", MaxConnections: 200, Settings: map[string]string{"innodb_buffer_pool_size": "536870912"},
			Collation: "utf8mb4_general_ci", Rows: 1000000, Digest: "aa55aa55aa55aa55aa55", DigestAtFill: "x", DigestAtEnd: "x", FillSeconds: 9.1, Counter: "digest",
		},
		Balancer: record.BalancerInfo{Kind: "nginx", Version: "1.22.1", Settings: map[string]string{"keepalive": "64"}},
		Measured: 72, Wall: 240,
	}
	for _, t := range targets {
		r.Head.Targets = append(r.Head.Targets, info(t))
	}
	for b := 1; b <= blocks; b++ {
		for i, t := range targets {
			r.Head.Order = append(r.Head.Order, record.Place{Block: b, Position: i + 1, Target: t})
		}
	}
	r.Plan("throughput", "")
	return r
}

// Plan writes the plan as resolved, with this primary metric and further keys, such as `"delta":0.05`.
func (r *Run) Plan(primary, more string) {
	if more != "" {
		more = "," + more
	}
	r.Head.Plan = json.RawMessage(fmt.Sprintf(
		`{"name":"demo","seed":7,"blocks":%d,"primary":%q,"dataset":{"rows":1000000,"seed":1,"hit_ratio":0.5,"lookups":"client"}%s}`, r.Blocks, primary, more))
}

func info(name string) record.TargetInfo {
	return record.TargetInfo{
		Name: name, Recipe: name, Title: name, Replicas: 2, Workers: 2, Pool: new(8), Protocol: "text", AccessLog: new(false), Digest: "00112233445566778899aabbccddeeff",
		Settings: []record.Setting{{Name: "worker_class", Value: "gevent", Default: "sync", Source: "the framework's deployment guide, section Gunicorn"}},
		Versions: map[string]string{name: "5.2.1", "gunicorn": "23.0.0", "mysqlclient": "2.2.7"},
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Begin makes the run directory.
func (r *Run) Begin(t *testing.T) *record.Writer {
	t.Helper()
	root, started := r.Root, r.Head.Started
	if root == "" {
		root = filepath.Join(t.TempDir(), "runs")
	}
	if started.IsZero() {
		started = Epoch()
	}
	w, err := record.Create(root, r.Head, []byte("name: demo\n"), fmt.Appendf(nil, "name: demo\nblocks: %d\n", r.Blocks), started)
	check(t, err)
	return w
}

// Whole writes every trial of the order.
func (r *Run) Whole(t *testing.T, w *record.Writer) {
	t.Helper()
	for _, p := range r.Head.Order {
		r.Trial(t, w, p.Block, p.Position, p.Target, 1, nil)
	}
}

// Write makes the run directory, every trial in it, and ends the run as complete. It returns the directory.
func (r *Run) Write(t *testing.T) string {
	t.Helper()
	w := r.Begin(t)
	r.Whole(t, w)
	check(t, w.Finish(record.Complete, ""))
	return w.Dir()
}

// Trial writes one trial; change may alter it before it is finished.
func (r *Run) Trial(t *testing.T, w *record.Writer, block, position int, target string, attempt int, change func(*record.Trial)) {
	t.Helper()
	tw, err := w.BeginTrial(block, position, target, attempt)
	check(t, err)
	at := Epoch().Add(time.Duration(block*100+position*20+attempt) * time.Second)
	tr := record.Trial{Block: block, Target: target, Status: record.Valid, Started: at, Nonce: "n", Replicas: replicas(target, block)}
	closedS := r.ClosedS
	if block == 0 {
		closedS = 3
	}
	rng := rand.New(rand.NewPCG(uint64(block), uint64(len(target))))
	tr.Phases = append(tr.Phases, record.Phase{Number: 0, Name: "warmup", Model: "closed", Connections: 32, DurationS: 1, TimeoutS: 10, Warmup: true, Started: at, Ended: at.Add(time.Second)})
	if closedS > 0 {
		r.phase(t, tw, &tr, rng, record.Phase{Number: 1, Name: "closed", Model: "closed", Connections: 32, DurationS: float64(closedS), TimeoutS: 10}, r.Rate(target, block))
	}
	if block > 0 && r.OpenS > 0 {
		r.phase(t, tw, &tr, rng, record.Phase{Number: 2, Name: "open", Model: "open", Connections: 256, Rate: float64(r.OpenHz), Arrivals: "poisson", DurationS: float64(r.OpenS), TimeoutS: 10}, r.OpenHz)
	}
	if block > 0 && r.Capacity[target] > 0 {
		r.stages(t, tw, &tr, rng)
	}
	tr.Timeline = []record.Step{{Name: "start", Seconds: 1.5}, {Name: "verify-before", Seconds: 0.5}, {Name: "warmup", Seconds: 1}, {Name: "closed", Seconds: float64(closedS)}, {Name: "stop", Seconds: 0.7}}
	for _, alter := range []func(*record.Trial){r.Change, change} {
		if alter != nil {
			alter(&tr)
		}
	}
	check(t, tw.Finish(tr))
}

func replicas(target string, block int) []record.Replica {
	var out []record.Replica
	for i := 1; i <= 2; i++ {
		r := record.Replica{Name: fmt.Sprintf("%s-%d", target, i), Address: "127.0.0.1:8000", PID: 1000*block + i}
		for w := range 2 {
			r.Workers = append(r.Workers, record.Worker{PID: 1000*block + 10*i + w, Pool: 8, Protocol: "text", Connections: 9 - 7*w + block})
		}
		out = append(out, r)
	}
	return out
}

// phase writes the lines of one phase: two agents, and every tier once per second.
func (r *Run) phase(t *testing.T, tw *record.TrialWriter, tr *record.Trial, rng *rand.Rand, p record.Phase, rate int) {
	t.Helper()
	p.Started = tr.Started.Add(time.Duration(10*p.Number) * time.Second)
	p.Ended = p.Started.Add(p.Duration())
	var sent int64
	for second := range int(p.DurationS) {
		for agent := range 2 {
			l := Window(rng, p, second, agent, rate/2, tr.Replicas)
			sent += l.Books.Sent
			check(t, tw.Load(l))
		}
	}
	for second := range int(p.DurationS) + 1 {
		r.second(t, tw, tr, p, second)
	}
	p.Witness = record.Witness{DatabaseReads: sent, DatabaseOthers: map[string]int64{"begin": sent, "rollback": sent / 2}, BalancerTotal: sent, Connections: 16}
	tr.Phases = append(tr.Phases, p)
}

// Window is one second of one agent: n answers, the replicas in turn.
func Window(rng *rand.Rand, p record.Phase, second, agent, n int, replicas []record.Replica) record.Load {
	l := record.Load{
		Agent: agent, Epoch: 1, Sequence: int64(second + 1), Phase: p.Number, At: p.Started.Add(time.Duration(second) * time.Second),
	}
	l.Window = stats.Window{
		Begin: time.Duration(second) * time.Second, Length: time.Second,
		Books:  stats.Books{Planned: int64(n), Sent: int64(n), OK: int64(n)},
		Status: map[int]int64{200: int64(n)}, Checked: int64(n / 10), Hits: int64(n / 2), Misses: int64(n - n/2),
		Response: stats.NewHistogram(), Service: stats.NewHistogram(), Lateness: stats.NewHistogram(),
		Replicas: map[string]stats.Replica{}, CPU: 50_000_000,
		Resources: &stats.Resources{
			Descriptors: 40 + int64(agent), DescriptorLimit: 1024, Ports: 16, PortLow: 32768, PortHigh: 60999, Cores: 2,
			LoopCPU: []int64{45_000_000}, LoopWait: []int64{100_000},
		},
	}
	for i := range n {
		service := time.Duration(rng.ExpFloat64()*4e6) + 8*time.Millisecond
		l.Service.Record(service)
		l.Response.Record(service + 50*time.Microsecond)
		l.Lateness.Record(time.Duration(rng.IntN(200)) * time.Microsecond)
		name := replicas[i%len(replicas)].Name
		r := l.Replicas[name]
		if r.Service == nil {
			r.Service = stats.NewHistogram()
		}
		r.Answers++
		r.Service.Record(service)
		l.Replicas[name] = r
	}
	return l
}

// second writes the samples of every tier; three quarters of a replica's cores are its first worker's.
func (r *Run) second(t *testing.T, tw *record.TrialWriter, tr *record.Trial, p record.Phase, second int) {
	t.Helper()
	sample := func(tier, name string, cores float64, rss, pss int64) {
		check(t, tw.Series(record.Series{
			At: p.Started.Add(time.Duration(second) * time.Second), Phase: p.Number, Tier: tier, Name: name,
			CPUNS: int64(5e9 + cores*float64(second)*1e9), RSSBytes: rss, PSSBytes: pss,
		}))
	}
	own := r.Cores["target"]
	for _, replica := range tr.Replicas {
		sample("target", replica.Name, own, 150e6, 90e6)
		sample("target", fmt.Sprintf("%s/%d", replica.Name, replica.Workers[0].PID), 0.75*own, 70e6, 40e6)
		sample("target", fmt.Sprintf("%s/%d", replica.Name, replica.Workers[1].PID), 0.25*own, 70e6, 40e6)
	}
	sample("balancer", "nginx", r.Cores["balancer"], 12e6, 0)
	sample("database", "mariadb", r.Cores["database"], 700e6, 690e6)
	sample("agent", "agent-0", r.Cores["agent"], 30e6, 28e6)
	sample("agent", "agent-1", r.Cores["agent"], 30e6, 28e6)
	sample("host", "host", r.Cores["host"], 4e9, 0)
	if r.Work != nil {
		ns := r.Work(tr.Target, tr.Block)
		four := []int64{ns, ns + 1000, ns - 1000, ns}
		check(t, tw.Series(record.Series{
			At: p.Started.Add(time.Duration(second) * time.Second), Phase: p.Number, Tier: "yardstick", Name: "yardstick", WorkNS: [][]int64{four, four},
		}))
	}
}
