package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/collect"
	"bakeoff/internal/contract"
	"bakeoff/internal/figures"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
	"bakeoff/internal/venue"
)

// mostOfAnHour is how many bytes the record of an hour with many targets in turns may have.
const mostOfAnHour = 100e6

// The record of an hour with twenty targets that take turns has less than 100 MB: windows of two agents for each slice, histograms once a
// second of a target's own time, samples of 3 replicas with 2 workers each and of the tiers they share. What programs print is not
// in it, nor are reports. One block is written here, and counted as often as it fits into an hour; the whole hour, and the figures of
// it, with BAKEOFF_LONG.
func TestRecordOfAnHour(t *testing.T) {
	blocks := 1
	if os.Getenv("BAKEOFF_LONG") == "1" {
		blocks = 11
	}
	synctest.Test(t, func(t *testing.T) {
		var targets []string
		for i := range 20 {
			targets = append(targets, fmt.Sprintf("{name: target-%02d, recipe: flask}", i+1))
		}
		w := &crowd{world: newWorld()}
		w.machine.Cores, w.info.MaxConnections = 2, 5000
		o := w.options(t, fmt.Sprintf("blocks: %d\nturns: 250ms\nwarmup: 1s\ntargets: [%s]\n", blocks, strings.Join(targets, ", "))+
			"deployment: {replicas: 3, workers: 2, pool: 8}\nphases: [{name: closed, model: closed, connections: 32, duration: 6s},"+
			" {name: open, model: open, rate: 600, connections: 128, duration: 5500ms}]\n")
		o.Venue, o.Checked = w, w.check
		o.Load = func(context.Context, string, func(string)) (Loader, error) {
			return &crowdLoading{&loading{w.world}}, nil
		}
		dir, _ := conducted(t, o)
		w.wantNoMistake(t)
		for _, trial := range trialsOf(t, dir) {
			if !strings.HasSuffix(trial, " valid") {
				t.Error(trial)
			}
		}
		hour := sizeOfAnHour(t, dir, blocks > 1)
		if hour > mostOfAnHour {
			t.Errorf("the record of an hour has %.1f MB", hour/1e6)
		}
	})
}

// sizeOfAnHour is how many bytes the record of a run would have after an hour, with its figures where they are whole; by file printed.
func sizeOfAnHour(t *testing.T, dir string, whole bool) float64 {
	t.Helper()
	sizes := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		sizes[entry.Name()] += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := figures.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	summary, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if t.Logf("%-14s %8.2f MB", "summary.json", float64(len(summary))/1e6); whole {
		sizes["summary.json"] = int64(len(summary))
	}
	var sum int64
	for name, size := range sizes {
		t.Logf("%-14s %8.2f MB", name, float64(size)/1e6)
		sum += size
	}
	measured := 0.0
	for _, trial := range s.Trials {
		for _, phase := range trial.Phases {
			measured += phase.DurationS
		}
	}
	t.Logf("%.1f KB of windows per target and second", float64(sizes["load.jsonl"])/1e3/measured)
	wall := r.Run().Ended.Sub(r.Run().Started)
	hour := float64(sum) * max(1, time.Hour.Seconds()/wall.Seconds())
	t.Logf("%.1f MB in %v: %.1f MB in an hour", float64(sum)/1e6, wall.Round(time.Second), hour/1e6)
	return hour
}

// crowd is a world that is seen as closely as a real one, with figures as long as there.
type crowd struct{ *world }

// crowded is a target of three replicas.
type crowded struct{ *running }

const crowdReplicas = 3

func (c *crowd) Deploy(ctx context.Context, d venue.Deployment) (venue.Deployed, error) {
	out, err := c.world.Deploy(ctx, d)
	return crowded{out.(*running)}, err
}

func (c crowded) Replicas() (out []record.Replica) {
	for i := range crowdReplicas {
		r := record.Replica{Name: fmt.Sprintf("%s-%d", c.name, i+1), Address: "127.0.0.1:30532", PID: 16977, ReadyS: 2.871610205, Account: "62627", HeldBy: "cgroup"}
		for _, pid := range []int{16983, 16990} {
			r.Workers = append(r.Workers, record.Worker{PID: pid, Pool: 8, Protocol: "text", Connections: 14, Overlap: &record.Overlap{
				FirstBegan: 34426.826423018, FirstEnded: 34427.027032621, SecondBegan: 34426.826112237, SecondEnded: 34427.026941917,
			}})
		}
		out = append(out, r)
	}
	return out
}

func (c crowded) Sources() (out []collect.Source) {
	for i, r := range c.Replicas() {
		out = append(out, collect.Source{Tier: "target", Process: only{name: r.Name, pid: 1 + i}, Workers: []int{16983, 16990}})
	}
	return append(out, collect.Source{Tier: "balancer", Process: only{name: "balancer", pid: 1}})
}

// check finds what a real one of three replicas does: some 70 checks, in 300 ms.
func (c *crowd) check(ctx context.Context, of *contract.Contract, when string, replicas []contract.Endpoint, front string) (contract.Result, error) {
	result, err := c.world.check(ctx, of, when, replicas, front)
	time.Sleep(300 * time.Millisecond)
	for i := range 71 {
		result.Checks = append(result.Checks, record.Check{When: when, Name: "present", Replica: replicas[i%len(replicas)].Name, OK: true, Detail: "67 of 67 right"})
	}
	return result, err
}

// Sample has lines of every source at each interval, in addition to those of the world.
func (c *crowd) Sample(ctx context.Context, every time.Duration, sources []collect.Source, status collect.Status, sink func(record.Series) error) venue.Sampler {
	s := &crowdSampling{
		sampling: c.world.Sample(ctx, every, sources, status, sink).(*sampling), lines: sink, end: make(chan struct{}), ended: make(chan struct{}),
	}
	go func() {
		defer close(s.ended)
		for tick := time.NewTicker(every); ; {
			select {
			case <-s.end:
				tick.Stop()
				return
			case <-tick.C:
				s.look(time.Now())
			}
		}
	}()
	return s
}

type crowdSampling struct {
	*sampling
	lines      func(record.Series) error
	mu         sync.Mutex
	err        error
	end, ended chan struct{}
}

func (s *crowdSampling) Phase(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sampling.Phase(number)
}

func (s *crowdSampling) Stop() error {
	close(s.end)
	<-s.ended
	if s.err != nil {
		return s.err
	}
	return s.sampling.Stop()
}

// look has one line of each process tree, of each worker, and of the host at last.
func (s *crowdSampling) look(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase < 0 {
		return
	}
	line := func(source collect.Source, tier, name string, values map[string]float64) {
		sink := s.lines
		if source.Sink != nil {
			sink = source.Sink
		}
		err := sink(record.Series{At: at, Phase: s.phase, Tier: tier, Name: name, CPUNS: 1410000000, RSSBytes: 169537536, PSSBytes: 120949760, Values: values})
		if s.err == nil {
			s.err = err
		}
	}
	sources := append(s.sources, collect.Source{Tier: "agent", Process: only{name: "agent-0"}}, collect.Source{Tier: "agent", Process: only{name: "agent-1"}},
		collect.Source{Tier: "controller", Process: only{name: "controller"}}, collect.Source{Tier: "yardstick", Process: only{name: "yardstick"}})
	for _, source := range sources {
		name := source.Tier
		if source.Process != nil {
			name = source.Process.Name()
		}
		for _, pid := range source.Workers {
			line(source, source.Tier, fmt.Sprintf("%s/%d", name, pid), nil)
		}
		var values map[string]float64
		if source.Tier == "database" {
			values = crowdStatus()
		}
		line(source, source.Tier, name, values)
	}
	line(collect.Source{}, "host", "host", crowdHost(time.Since(s.world.began)))
}

// crowdStatus are a database's gauges, with the connections of each target.
func crowdStatus() map[string]float64 {
	values := map[string]float64{"target_connections": 39, "threads_connected": 40, "threads_created": 127, "threads_running": 1}
	for i, name := range strings.Fields("aborted_clients aborted_connects bytes_received bytes_sent connections created_tmp_disk_tables handler_read_key " +
		"innodb_buffer_pool_read_requests innodb_buffer_pool_reads innodb_data_reads innodb_data_writes innodb_row_lock_time innodb_row_lock_waits questions slow_queries") {
		values[name] = float64(i * 17715870)
	}
	return values
}

// crowdHost is a host of one core that nobody uses, as the world has it, with everything that a real one counts.
func crowdHost(at time.Duration) map[string]float64 {
	values := map[string]float64{"cpus": 1, "user_ns": 0, "steal_ns": 0, "idle_ns": float64(at), "strangers_ns": 0}
	for _, name := range strings.Fields("iowait_ns irq_ns kernel_threads_ns nice_ns pressure_cpu_ns pressure_io_ns pressure_memory_ns softirq_ns system_ns " +
		"swap_in_pages throttled_ns") {
		values[name] = 0
	}
	return values
}

// crowdLoading has two agents that each see a target answer 1,500 times a second in the closed model, and as many times as are planned in
// the open model.
type crowdLoading struct{ *loading }

const crowdAgents = 2

func (l *crowdLoading) Processes() []platform.Process { return nil }

func (l *crowdLoading) Turns(ctx context.Context, tasks []fleet.Task, sink func(int, fleet.Snapshot)) (Turns, error) {
	under, err := l.loading.Turns(ctx, tasks, sink)
	all := make([][crowdAgents]crowdAgent, len(tasks))
	for i := range all {
		for a := range all[i] {
			all[i][a] = crowdAgent{rng: rand.New(rand.NewPCG(uint64(i), uint64(a)))}
			all[i][a].unload()
		}
	}
	return &crowdTaking{under.(*taking), all, time.Now()}, err
}

type crowdTaking struct {
	*taking
	agents [][crowdAgents]crowdAgent
	begun  time.Time
}

func (t *crowdTaking) End(ctx context.Context) ([]fleet.Report, error) {
	reports, err := t.taking.End(ctx)
	for i := range reports {
		reports[i].Start = t.begun
	}
	return reports, err
}

// crowdAgent keeps the times of a phase on one target for a second, as agents do.
type crowdAgent struct {
	rng                         *rand.Rand
	response, service, lateness *stats.Histogram
	unloaded                    time.Duration
	sequence                    int64
}

func (a *crowdAgent) unload() (response, service, lateness *stats.Histogram) {
	response, service, lateness = a.response, a.service, a.lateness
	a.response, a.service, a.lateness = stats.NewHistogram(), stats.NewHistogram(), stats.NewHistogram()
	return response, service, lateness
}

// Slice takes 28 ms more than its length, as one of the demo does.
func (t *crowdTaking) Slice(_ context.Context, i int, s fleet.Slice) (fleet.Sliced, error) {
	name := strings.TrimPrefix(t.tasks[i].URLs[0], "http://")
	for a := range t.agents[i] {
		perSecond := 1500.0
		if phase := t.tasks[i].Phase; phase.Model == load.Open {
			perSecond = phase.Rate / crowdAgents
		}
		for _, w := range t.agents[i][a].slice(s, perSecond) {
			n := w.Books.Sent
			t.world.counters.Reads += n
			t.world.requests[name] += n
			t.world.count(phaseFaked{})
			t.agents[i][a].sequence++
			t.sink(i, fleet.Snapshot{Agent: a, Epoch: 1, Sequence: t.agents[i][a].sequence, At: time.Now(), Window: w})
		}
	}
	time.Sleep(s.Length + 28*time.Millisecond)
	return fleet.Sliced{Length: s.Length}, nil
}

// slice are the windows of the run-in and of what is counted: histograms are handed on once a second and at the phase's end.
func (a *crowdAgent) slice(s fleet.Slice, perSecond float64) (out []stats.Window) {
	for _, of := range []struct {
		begin, length time.Duration
		aside         bool
	}{{s.Begin, s.RunIn, true}, {s.Begin + s.RunIn, s.Length - s.RunIn, false}} {
		n := int64(math.Round(perSecond * of.length.Seconds()))
		w := stats.Window{
			Begin: of.begin, Length: of.length, Aside: of.aside, Books: stats.Books{Planned: n, Sent: n, OK: n}, Status: map[int]int64{200: n},
			Checked: n / 10, Hits: n / 2, Misses: n - n/2, Received: 340 * n, Written: 175 * n, CPU: 5057 * time.Microsecond, InFlight: new(0.0),
			Response: stats.NewHistogram(), Service: stats.NewHistogram(), Lateness: stats.NewHistogram(), Replicas: map[string]stats.Replica{},
			Resources: &stats.Resources{Descriptors: 63, DescriptorLimit: 20000, Ports: 16, PortLow: 32768, PortHigh: 60999, TimeWait: 11904, Cores: 2},
		}
		for i := range crowdReplicas {
			w.Replicas[fmt.Sprintf("replica-%d", i+1)] = stats.Replica{Answers: n / crowdReplicas}
		}
		for range n {
			took := time.Duration(8e6 * math.Exp(a.rng.NormFloat64()))
			a.service.Record(took)
			late := time.Duration(30e3 * math.Exp(a.rng.NormFloat64()))
			a.response.Record(took + late)
			a.lateness.Record(late)
			*w.InFlight += took.Seconds()
		}
		if end := of.begin + of.length; !of.aside && (end-a.unloaded >= time.Second || s.Until-end < time.Millisecond) {
			w.Response, w.Service, w.Lateness = a.unload()
			a.unloaded = end
		}
		out = append(out, w)
	}
	return out
}
