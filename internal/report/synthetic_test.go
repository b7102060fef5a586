package report

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// The synthetic run: three targets, two blocks and the pilot, every line as
// the real parts write it, and every figure a pure function of the place.
var epoch = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

const syntheticPlan = `{"name":"demo","seed":7,"blocks":3,"primary":"throughput","dataset":{"rows":1000000,"seed":1,"hit_ratio":0.5,"lookups":"client"}}`

func targetInfo(name string) record.TargetInfo {
	return record.TargetInfo{
		Name: name, Recipe: name, Title: name, Replicas: 2, Workers: 2, Pool: new(8), Protocol: "text", AccessLog: new(false), Digest: "00112233445566778899aabbccddeeff",
		Settings: []record.Setting{{Name: "worker_class", Value: "gevent", Default: "sync", Source: "the framework's deployment guide, section Gunicorn"}},
		Versions: map[string]string{name: "5.2.1", "gunicorn": "23.0.0", "mysqlclient": "2.2.7"},
	}
}

// synthetic is what the run is made of; tests change it.
type synthetic struct {
	targets []string
	blocks  int
	closedS int
	openS   int
	rates   map[string]int // correct answers per second of a block's closed phase
	openHz  int
	run     record.Run
}

func demo() *synthetic {
	s := &synthetic{
		targets: []string{"django", "flask", "fastapi"}, blocks: 3, closedS: 4, openS: 4, openHz: 600,
		rates: map[string]int{"django": 1000, "flask": 1400, "fastapi": 1200},
	}
	s.run = record.Run{
		Bakeoff: "0.1.0", Name: "demo", PlanDigest: "f00dfeed0011223344556677", Seed: 7, Platform: "local",
		Machine:  record.Machine{Fingerprint: "ab12", Hostname: "bench", CPU: "A CPU", Cores: 2, MemoryBytes: 8e9, Kernel: "6.1.0", OS: "Debian 12", Governor: "unknown"},
		Database: record.DatabaseInfo{Kind: "private", Vendor: "mariadb", Version: "10.11.6", MaxConnections: 200, Settings: map[string]string{"innodb_buffer_pool_size": "536870912"}, Collation: "utf8mb4_general_ci", Rows: 1000000, Digest: "aa55aa55aa55aa55aa55", DigestAtFill: "x", DigestAtEnd: "x", FillSeconds: 9.1, Counter: "digest"},
		Balancer: record.BalancerInfo{Kind: "nginx", Version: "1.22.1", Settings: map[string]string{"keepalive": "64"}},
		Plan:     json.RawMessage(syntheticPlan), Measured: 72, Wall: 240,
		Pilot: &record.Pilot{Throughput: map[string]float64{"django": 1000, "flask": 1400, "fastapi": 1200}, Slowest: "django"},
	}
	for i, t := range s.targets {
		s.run.Targets = append(s.run.Targets, targetInfo(t))
		s.run.Order = append(s.run.Order, record.Place{Block: 0, Position: i + 1, Target: t})
	}
	for b := 1; b <= s.blocks; b++ {
		for i, t := range s.targets {
			s.run.Order = append(s.run.Order, record.Place{Block: b, Position: i + 1, Target: t})
		}
	}
	return s
}

// only keeps one target and so many blocks, without a pilot.
func (s *synthetic) only(target string, blocks int) *synthetic {
	s.targets, s.blocks = []string{target}, blocks
	s.run.Targets, s.run.Order = []record.TargetInfo{targetInfo(target)}, nil
	for b := 1; b <= blocks; b++ {
		s.run.Order = append(s.run.Order, record.Place{Block: b, Position: 1, Target: target})
	}
	s.run.Plan = json.RawMessage(strings.Replace(syntheticPlan, `"blocks":3`, fmt.Sprintf(`"blocks":%d`, blocks), 1))
	return s
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// begin makes the run directory.
func (s *synthetic) begin(t *testing.T) *record.Writer {
	t.Helper()
	root := filepath.Join(t.TempDir(), "runs")
	return must[*record.Writer](t)(record.Create(root, s.run, []byte("name: demo\n"), []byte("name: demo\nblocks: 3\n"), epoch))
}

// open reads what was written.
func open(t *testing.T, w *record.Writer) *Summary {
	t.Helper()
	r := must[*record.Reader](t)(record.Open(w.Dir()))
	return must[*Summary](t)(Build(r))
}

// trial writes one trial; change may alter it before it is finished.
func (s *synthetic) trial(t *testing.T, w *record.Writer, block, position int, target string, attempt int, change func(*record.Trial)) {
	t.Helper()
	tw := must[*record.TrialWriter](t)(w.BeginTrial(block, position, target, attempt))
	at := epoch.Add(time.Duration(block*100+position*20+attempt) * time.Second)
	tr := record.Trial{Status: record.Valid, Started: at, Nonce: "n", Replicas: s.replicas(target, block)}
	closedS := s.closedS
	if block == 0 {
		closedS = 3
	}
	rng := rand.New(rand.NewPCG(uint64(block), uint64(len(target))))
	tr.Phases = append(tr.Phases, record.Phase{Number: 0, Name: "warmup", Model: "closed", Connections: 32, DurationS: 1, TimeoutS: 10, Warmup: true, Started: at, Ended: at.Add(time.Second)})
	s.phase(t, tw, &tr, rng, record.Phase{Number: 1, Name: "closed", Model: "closed", Connections: 32, DurationS: float64(closedS), TimeoutS: 10}, s.rates[target]+block*10)
	if block > 0 {
		s.phase(t, tw, &tr, rng, record.Phase{Number: 2, Name: "open", Model: "open", Connections: 256, Rate: float64(s.openHz), Arrivals: "poisson", DurationS: float64(s.openS), TimeoutS: 10}, s.openHz)
	}
	tr.Timeline = []record.Step{{Name: "start", Seconds: 1.5}, {Name: "verify", Seconds: 0.5}, {Name: "warmup", Seconds: 1}, {Name: "closed", Seconds: float64(closedS)}, {Name: "stop", Seconds: 0.7}}
	if change != nil {
		change(&tr)
	}
	check(t, tw.Finish(tr))
}

func (s *synthetic) replicas(target string, block int) []record.Replica {
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
func (s *synthetic) phase(t *testing.T, tw *record.TrialWriter, tr *record.Trial, rng *rand.Rand, p record.Phase, rate int) {
	t.Helper()
	p.Started = tr.Started.Add(time.Duration(10*p.Number) * time.Second)
	p.Ended = p.Started.Add(time.Duration(p.DurationS * float64(time.Second)))
	var sent int64
	for second := range int(p.DurationS) {
		for agent := range 2 {
			l := window(rng, p, second, agent, rate/2, tr.Replicas)
			sent += l.Books.Sent
			check(t, tw.Load(l))
		}
	}
	for second := range int(p.DurationS) + 1 {
		s.second(t, tw, tr, p, second)
	}
	p.Witness = record.Witness{DatabaseReads: sent, DatabaseOthers: map[string]int64{"begin": sent, "rollback": sent / 2}, BalancerTotal: sent, Connections: 16}
	tr.Phases = append(tr.Phases, p)
}

// window is one second of one agent: n answers, the replicas in turn.
func window(rng *rand.Rand, p record.Phase, second, agent, n int, replicas []record.Replica) record.Load {
	l := record.Load{
		Agent: agent, Epoch: 1, Sequence: int64(second + 1), Phase: p.Number,
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

// second writes the samples of every tier: each replica uses 0.4 cores, its workers 0.3 and 0.1.
func (s *synthetic) second(t *testing.T, tw *record.TrialWriter, tr *record.Trial, p record.Phase, second int) {
	t.Helper()
	sample := func(tier, name string, cores float64, rss, pss int64) {
		check(t, tw.Series(record.Series{
			At: p.Started.Add(time.Duration(second) * time.Second), Phase: p.Number, Tier: tier, Name: name,
			CPUNS: int64(5e9 + cores*float64(second)*1e9), RSSBytes: rss, PSSBytes: pss,
		}))
	}
	for _, r := range tr.Replicas {
		sample("target", r.Name, 0.4, 150e6, 90e6)
		sample("target", fmt.Sprintf("%s/%d", r.Name, r.Workers[0].PID), 0.3, 70e6, 40e6)
		sample("target", fmt.Sprintf("%s/%d", r.Name, r.Workers[1].PID), 0.1, 70e6, 40e6)
	}
	sample("balancer", "nginx", 0.1, 12e6, 0)
	sample("database", "mariadb", 0.5, 700e6, 690e6)
	sample("agent", "agent-0", 0.15, 30e6, 28e6)
	sample("agent", "agent-1", 0.15, 30e6, 28e6)
	sample("host", "host", 1.9, 4e9, 0)
}

// whole writes every trial of the order.
func (s *synthetic) whole(t *testing.T, w *record.Writer) {
	t.Helper()
	for _, p := range s.run.Order {
		s.trial(t, w, p.Block, p.Position, p.Target, 1, nil)
	}
}
