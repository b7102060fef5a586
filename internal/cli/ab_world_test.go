package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bakeoff/internal/collect"
	"bakeoff/internal/contract"
	"bakeoff/internal/controller"
	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/fleet"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
	"bakeoff/internal/target"
	"bakeoff/internal/venue"
)

// abWorld is a venue, its database and targets, and a loader, without a process. Each fresh start of a target has a speed of
// its own, which varies by a CV of 2 % around what is set for it.
type abWorld struct {
	venue.Venue // what no run of two versions asks for
	mu          sync.Mutex
	rates       map[string]float64
	draw        map[string]*rand.Rand // of each target, so that who starts first does not matter
	spread      float64
	rate        map[string]float64 // of the deployment that is up
	reads       int64
	requests    map[string]int64
	rows        *dataset.Dataset
	sick        func(target string, deployment int) bool // a deployment that breaks the contract; nil: none does
	starts      map[string]int
	recipes     map[string]string // target to the first line of its program
	closing     error             // what closing the platform comes to
	unread      error             // what writing to stdout comes to
	machine     string            // its fingerprint; empty: "here"
}

// newABWorld is one in which base answers 10,000 requests a second, and head this multiple of them.
func newABWorld(seed uint64, head float64) *abWorld {
	return &abWorld{
		rates: map[string]float64{"base": 10_000, "head": 10_000 * head}, draw: map[string]*rand.Rand{"base": rand.New(rand.NewPCG(seed, 77)), "head": rand.New(rand.NewPCG(seed, 78))}, spread: 0.02,
		rate: map[string]float64{}, requests: map[string]int64{}, starts: map[string]int{}, recipes: map[string]string{},
	}
}

// open is in the place of a run's own opening of this machine.
func (w *abWorld) open(_ context.Context, _ Env, f runFlags, p planFile) (controller.Options, func() error, error) {
	return controller.Options{
		Plan: p.Plan, PlanGiven: p.given, PlanName: p.name, PlanDir: p.dir, Venue: w, Out: f.out, Resume: f.resume, MaxTime: f.maxTime, Version: "1",
		Load:    func(context.Context, string, func(string)) (controller.Loader, error) { return abLoader{w}, nil },
		Checked: w.check,
	}, func() error { return w.closing }, nil
}

func (w *abWorld) Name() string { return "fake" }
func (w *abWorld) Machine() record.Machine {
	return record.Machine{Cores: 2, Fingerprint: cmp.Or(w.machine, "here")}
}
func (w *abWorld) Room(string) int64         { return -1 }
func (w *abWorld) Others() []string          { return nil }
func (w *abWorld) Nodes() []record.Node      { return nil }
func (w *abWorld) Hidden() bool              { return false }
func (w *abWorld) Lost() error               { return nil }
func (w *abWorld) Clock([]int) time.Duration { return 0 }
func (w *abWorld) Overhead() plan.Overhead {
	return plan.Overhead{Setup: 10 * time.Second, Trial: 3 * time.Second, Phase: 500 * time.Millisecond}
}

func (w *abWorld) Missing(context.Context, *plan.Plan, []*target.Recipe) ([]target.Need, error) {
	return nil, nil
}

func (w *abWorld) Prepare(_ context.Context, r *target.Recipe, _ func(string, bool)) (*target.Prepared, error) {
	return &target.Prepared{Recipe: r, Digest: r.Title, Versions: map[string]string{"go": "1.26"}}, nil
}

func (w *abWorld) Programs(context.Context, *plan.Plan, string) ([]record.Program, error) {
	return nil, nil
}

func (w *abWorld) Balancer(context.Context, *plan.Plan) (record.BalancerInfo, error) {
	return record.BalancerInfo{Kind: "nginx"}, nil
}

func (w *abWorld) Database(_ context.Context, s venue.Storage) (venue.Database, error) {
	w.rows = s.Dataset
	return abTable{world: w}, nil
}

func (w *abWorld) Yardstick(context.Context, string) (collect.Source, error) {
	return collect.Source{}, nil
}

func (w *abWorld) Sample(_ context.Context, _ time.Duration, _ []collect.Source, _ collect.Status, sink func(record.Series) error) venue.Sampler {
	return &abSampler{sink: sink}
}

// abSampler sees a machine that nobody uses, when a phase begins and ends.
type abSampler struct {
	sink  func(record.Series) error
	phase int
	err   error
}

func (s *abSampler) Phase(number int) {
	if number >= 0 {
		s.phase = number
	}
	now := time.Now()
	s.err = errors.Join(s.err, s.sink(record.Series{At: now, Phase: s.phase, Tier: "host", Name: "host", Values: map[string]float64{"cpus": 1, "idle_ns": float64(now.UnixNano())}}))
}

func (s *abSampler) Stop() error { return s.err }

func (w *abWorld) Deploy(_ context.Context, d venue.Deployment) (venue.Deployed, error) {
	w.mu.Lock() // targets start side by side
	defer w.mu.Unlock()
	name := d.Target.Name
	w.starts[name]++
	w.rate[name] = w.rates[name] * math.Exp(w.spread*w.draw[name].NormFloat64())
	w.recipes[name] = d.Prepared.Recipe.Title
	return abDeployed{world: w, name: name}, nil
}

func (w *abWorld) check(_ context.Context, _ *contract.Contract, when string, _ []contract.Endpoint, front string) (contract.Result, error) {
	name := strings.TrimPrefix(front, "http://")
	w.mu.Lock()
	defer w.mu.Unlock()
	sick := w.sick != nil && w.sick(name, w.starts[name])
	return contract.Result{Checks: []record.Check{{When: when, Name: "present keys", OK: !sick}}, LengthPresent: 10, LengthAbsent: 20}, nil
}

// abDeployed is a target that is up.
type abDeployed struct {
	venue.Deployed // what no run of two versions asks for
	world          *abWorld
	name           string
}

func (d abDeployed) URLs() []string { return []string{"http://" + d.name} }
func (d abDeployed) Dial() []string { return nil }
func (d abDeployed) Replicas() []record.Replica {
	return []record.Replica{{Name: d.name + "-1", Address: "127.0.0.1:1"}}
}

func (d abDeployed) Requests(context.Context) (int64, error)   { return d.world.requests[d.name], nil }
func (d abDeployed) CountConnections() error                   { return nil }
func (d abDeployed) LogLines() (int64, error)                  { return 0, nil }
func (d abDeployed) Intact() error                             { return nil }
func (d abDeployed) Sources() []collect.Source                 { return nil }
func (d abDeployed) Freeze(context.Context) error              { return nil }
func (d abDeployed) Thaw(context.Context) error                { return nil }
func (d abDeployed) Redraw(context.Context) error              { return nil }
func (d abDeployed) Commands() []string                        { return nil }
func (d abDeployed) Stop(context.Context, time.Duration) error { return nil }

// abTable is the database.
type abTable struct {
	venue.Database // what no run of two versions asks for
	world          *abWorld
}

func (d abTable) Fill(_ context.Context, rows *dataset.Dataset, _ func(done, total int64)) (database.Filled, error) {
	return database.Filled{Digest: rows.Digest()}, nil
}

func (d abTable) Alone(context.Context, []string) (time.Duration, error) {
	return time.Millisecond, nil
}

func (d abTable) Info(context.Context) (database.Info, error) {
	return database.Info{Vendor: "mariadb", Version: "10", MaxConnections: 200}, nil
}
func (d abTable) Check(context.Context, *dataset.Dataset) error       { return nil }
func (d abTable) Digest(context.Context) (string, error)              { return d.world.rows.Digest(), nil }
func (d abTable) Status(context.Context) (map[string]float64, error)  { return nil, nil }
func (d abTable) ConnectionCount(context.Context) (int, error)        { return 0, nil }
func (d abTable) Connections(context.Context) (map[string]int, error) { return nil, nil }
func (d abTable) BeginMoves(context.Context, []dataset.Move) error    { return database.ErrNotOurs }
func (d abTable) Account(context.Context) (database.Account, error)   { return database.Account{}, nil }
func (d abTable) Retire(context.Context, database.Account) error      { return nil }
func (d abTable) Lookup(context.Context, string) (int64, bool, error) { return 1, true, nil }
func (d abTable) Busy(context.Context) ([]database.Session, error)    { return nil, nil }
func (d abTable) End(context.Context, []database.Session) error       { return nil }
func (d abTable) Process() platform.Process                           { return nil }
func (d abTable) Stop(context.Context, time.Duration) error           { return nil }
func (d abTable) Counters(context.Context) (database.Counters, error) {
	return database.Counters{Reads: d.world.reads}, nil
}

// abLoader is who loads.
type abLoader struct{ world *abWorld }

func (l abLoader) Heal(context.Context) error    { return nil }
func (l abLoader) Processes() []platform.Process { return nil }
func (l abLoader) Notes() []string               { return nil }
func (l abLoader) Close() error                  { return nil }

// answered is a window in which a target answered as many requests as it can, 1 ms each.
func (l abLoader) answered(task fleet.Task, begin, length time.Duration) stats.Window {
	name := strings.TrimPrefix(task.URLs[0], "http://")
	n := int64(l.world.rate[name] * length.Seconds())
	l.world.reads += n
	l.world.requests[name] += n
	w := stats.Window{
		Begin: begin, Length: length, Books: stats.Books{Planned: n, Sent: n, OK: n}, InFlight: new(0.001 * float64(n)),
		Lateness: stats.NewHistogram(), Service: stats.NewHistogram(), Response: stats.NewHistogram(),
	}
	w.Lateness.RecordN(50*time.Microsecond, n)
	w.Service.RecordN(time.Millisecond, n)
	return w
}

// Run is a phase at a stretch: the pilot's.
func (l abLoader) Run(_ context.Context, task fleet.Task, sink func(fleet.Snapshot)) (fleet.Report, error) {
	start := time.Now()
	time.Sleep(task.Phase.Duration)
	w := l.answered(task, 0, task.Phase.Duration)
	agent := fleet.AgentReport{Done: true, Totals: stats.Totals{Sending: w.Length}}
	agent.Totals.Add(w)
	sink(fleet.Snapshot{Epoch: 1, Sequence: 1, Window: w})
	return fleet.Report{Start: start, End: time.Now(), Agents: []fleet.AgentReport{agent}}, nil
}

func (l abLoader) Turns(_ context.Context, tasks []fleet.Task, sink func(int, fleet.Snapshot)) (controller.Turns, error) {
	return &abTurns{l, tasks, sink, time.Now()}, nil
}

// abTurns is a phase on targets that take turns.
type abTurns struct {
	abLoader
	tasks []fleet.Task
	sink  func(int, fleet.Snapshot)
	began time.Time
}

func (t *abTurns) Slice(_ context.Context, i int, s fleet.Slice) (fleet.Sliced, error) {
	time.Sleep(s.Length)
	aside := t.answered(t.tasks[i], s.Begin, s.RunIn)
	aside.Aside = true
	t.sink(i, fleet.Snapshot{Epoch: 1, Window: aside})
	parts := time.Duration(max(s.Parts, 1))
	at := func(part time.Duration) time.Duration { return s.Begin + s.RunIn + (s.Length-s.RunIn)*part/parts }
	for part := range parts {
		t.sink(i, fleet.Snapshot{Epoch: 1, Window: t.answered(t.tasks[i], at(part), at(part+1)-at(part))})
	}
	return fleet.Sliced{Length: s.Length}, nil
}

func (t *abTurns) End(context.Context) ([]fleet.Report, error) {
	out := make([]fleet.Report, len(t.tasks))
	for i := range out {
		out[i] = fleet.Report{Start: t.began, End: time.Now(), Agents: []fleet.AgentReport{{Done: true}}}
	}
	return out, nil
}

// abFolder is a folder of a target whose recipe has this title.
func abFolder(t *testing.T, title string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "app")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	writeRecipe(t, dir, title)
	return dir
}

func writeRecipe(t *testing.T, dir, title string) {
	t.Helper()
	text := fmt.Sprintf(`name: app
title: %s
language: go
prepare: {steps: [{run: ["true"]}]}
versions: [echo, "{}"]
start: [server]
processes: "1"
pool: {kind: bounded}
protocol: text
keepalive: 75s
settings: []
`, title)
	if err := os.WriteFile(filepath.Join(dir, "target.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// memoryDir is a temporary folder in memory where there is one, so that making files durable costs no time.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "bakeoff-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// abRun is what one bakeoff ab in a world came to.
type abRun struct {
	err           error
	stdout        string
	stderr        string
	json          abJSON
	comment, unit string
}

// compared runs bakeoff ab in this world with these flags.
func (w *abWorld) compared(t *testing.T, f abFlags, args ...string) abRun {
	t.Helper()
	return w.comparedIn(t.Context(), t, f, args...)
}

func (w *abWorld) comparedIn(ctx context.Context, t *testing.T, f abFlags, args ...string) abRun {
	t.Helper()
	out := memoryDir(t)
	var stdout bytes.Buffer
	var stderr bytes.Buffer
	env := Env{Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" }}
	if w.unread != nil {
		env.Stdout = failing{w.unread}
	}
	f.out, f.markdown, f.junit = filepath.Join(out, "runs"), filepath.Join(out, "c.md"), filepath.Join(out, "j.xml")
	if f.maxTime == 0 {
		f.maxTime = 5 * time.Minute
	}
	run := abRun{err: compareVersions(ctx, env, f, args, w.open), stdout: stdout.String()}
	run.stderr = stderr.String()
	if f.json {
		if err := json.Unmarshal(stdout.Bytes(), &run.json); err != nil {
			t.Fatalf("%v\n%s", err, stdout.String())
		}
	}
	comment, _ := os.ReadFile(f.markdown)
	unit, _ := os.ReadFile(f.junit)
	run.comment, run.unit = string(comment), string(unit)
	return run
}
