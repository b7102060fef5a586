package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"bakeoff/internal/collect"
	"bakeoff/internal/contract"
	"bakeoff/internal/database"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/target"
	"bakeoff/internal/venue"
)

// What the controller asks of a venue, and of what is deployed there.

func (w *world) Name() string            { return "fake" }
func (w *world) Machine() record.Machine { return w.machine }
func (w *world) Nodes() []record.Node    { return w.nodes }
func (w *world) Room(string) int64       { return w.room }
func (w *world) Others() []string        { return w.others }
func (w *world) Overhead() plan.Overhead { return w.overhead }
func (w *world) Hidden() bool            { return false }
func (w *world) Lost() error             { return w.lost }

// Yardstick has one core, and one time for each sample of a phase.
func (w *world) Yardstick(_ context.Context, file string) (collect.Source, error) {
	if err := w.call("yardstick"); w.work == nil || err != nil {
		return collect.Source{}, err
	}
	w.note("yardstick starts")
	return collect.Source{
		Tier: "yardstick", Process: &ruler{world: w, file: file}, Work: func() [][]int64 { return [][]int64{{w.work(time.Since(w.began))}} },
	}, os.WriteFile(file, nil, 0o600)
}

// ruler is the process of a yardstick.
type ruler struct {
	platform.Process
	world *world
	file  string
}

func (r *ruler) Name() string { return "yardstick" }
func (r *ruler) PIDs() []int  { return nil }
func (r *ruler) Stop(context.Context, time.Duration) error {
	_, err := os.Stat(r.file)
	r.world.note("yardstick ends, its file %v", err)
	return r.world.call("end of the yardstick")
}

func (w *world) Temporary(string) (string, func() error, error) {
	if err := w.call("temporary folder"); err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "controller-test-")
	w.temporary = dir
	return dir, func() error { return errors.Join(os.RemoveAll(dir), w.call("end of the folder")) }, err
}

func (w *world) Programs(context.Context, *plan.Plan, string) ([]record.Program, error) {
	return w.programs, w.call("programs")
}

func (w *world) Missing(context.Context, *plan.Plan, []*target.Recipe) ([]target.Need, error) {
	return w.lacking, w.call("missing")
}

func (w *world) Prepare(_ context.Context, r *target.Recipe, _ func(string, bool)) (*target.Prepared, error) {
	w.prepared = append(w.prepared, r.Title)
	return &target.Prepared{Recipe: r, Digest: w.digest}, w.call("prepare")
}

func (w *world) Balancer(context.Context, *plan.Plan) (record.BalancerInfo, error) {
	return record.BalancerInfo{Kind: "nginx"}, w.call("balancer")
}

func (w *world) Database(_ context.Context, s venue.Storage) (venue.Database, error) {
	if err := w.call("database"); err != nil {
		return nil, err
	}
	w.note("database starts")
	w.rows, w.less = s.Dataset, s.Less
	return &table{world: w}, nil
}

func (w *world) Sample(_ context.Context, every time.Duration, sources []collect.Source, _ collect.Status, sink func(record.Series) error) venue.Sampler {
	s := &sampling{world: w, sources: sources, sink: sink, phase: -1}
	if w.every = append(w.every, every); w.sampled != nil {
		s.err = w.sampled(len(w.every))
	}
	return s
}

// sampling looks at a machine of one core that the run itself never uses, when a phase begins and ends.
type sampling struct {
	world   *world
	sources []collect.Source
	sink    func(record.Series) error
	phase   int
	err     error
}

func (s *sampling) Phase(number int) {
	if number >= 0 {
		s.phase = number
	}
	defer func() { s.phase = number }()
	at := time.Since(s.world.began)
	since := func(f func(time.Duration) time.Duration) float64 {
		if f == nil {
			return 0
		}
		return float64(f(at))
	}
	for _, source := range s.sources {
		if source.Work != nil {
			s.err = errors.Join(s.err, s.sink(record.Series{At: time.Now(), Phase: s.phase, Tier: source.Tier, Name: source.Tier, WorkNS: source.Work()}))
		}
	}
	for _, of := range []string{"1", "2"} {
		if s.world.up != "" && s.world.pss > 0 {
			s.err = errors.Join(s.err, s.sink(record.Series{At: time.Now(), Phase: s.phase, Tier: "target", Name: s.world.up + "-" + of, PSSBytes: s.world.pss / 2}))
		}
	}
	foreign, stolen := since(s.world.foreign), since(s.world.stolen)
	host := record.Series{At: time.Now(), Phase: s.phase, Tier: "host", Name: "host", RSSBytes: s.world.used, Values: map[string]float64{
		"cpus": 1, "user_ns": foreign, "steal_ns": stolen, "idle_ns": float64(at) - foreign - stolen, "strangers_ns": 0,
	}}
	if s.world.blind != nil && s.world.blind(at) {
		host.Values = nil
	}
	s.err = errors.Join(s.err, s.sink(host))
	if s.world.up == "" {
		return
	}
	s.err = errors.Join(s.err, s.sink(record.Series{At: time.Now(), Phase: s.phase, Tier: "database", Name: "database", Values: s.world.underLoad()}))
}

func (s *sampling) Stop() error { return errors.Join(s.err, s.world.call("sampler")) }

// underLoad are the database's gauges, with the connections of each target that runs.
func (w *world) underLoad() map[string]float64 {
	values := map[string]float64{"connections": 20, database.TargetConnections: 0}
	for _, name := range w.running() {
		held := float64(w.act(name).held)
		values[database.TargetConnections] += held
		if account := w.accountOf(name); account != "" && held > 0 {
			values[database.ConnectionsOf(account)] = held
		}
	}
	return values
}

// running are the targets that run.
func (w *world) running() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for name, runs := range w.live {
		if runs {
			out = append(out, name)
		}
	}
	return out
}

// accountOf is a target's own account, empty where all share one.
func (w *world) accountOf(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shared {
		return ""
	}
	return w.users[name]
}

// between is something that takes a share of the core from one moment to another.
func between(from, until time.Duration, share float64) func(time.Duration) time.Duration {
	return func(at time.Duration) time.Duration {
		return time.Duration(share * float64(max(min(at, until)-from, 0)))
	}
}

// Deploy takes 3 s, less where it is interrupted.
func (w *world) Deploy(ctx context.Context, d venue.Deployment) (venue.Deployed, error) {
	name := d.Target.Name
	w.mu.Lock()
	w.at[name]++
	w.luck = append(w.luck, d.Luck)
	w.users[name], w.trust, w.logDir = d.Database.User, d.Trust, d.LogDir
	w.mu.Unlock()
	w.note("start %s", name)
	if err := w.call("deploy"); err != nil {
		return &running{world: w, name: name}, err
	}
	select {
	case <-ctx.Done():
		return &running{world: w, name: name}, context.Cause(ctx)
	case <-time.After(3 * time.Second):
	}
	w.mu.Lock()
	w.up, w.live[name] = name, true
	w.mu.Unlock()
	return &running{world: w, name: name}, w.act(name).deploy
}

// act is what the target's present deployment does.
func (w *world) act(name string) act {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.at[name] - 1; n >= 0 && n < len(w.script[name]) {
		return w.script[name][n]
	}
	return act{}
}

const busyPID = 7

// only is a process known by nothing but its name and id.
type only struct {
	platform.Process
	name string
	pid  int
}

func (o only) Name() string { return o.name }
func (o only) PIDs() []int  { return []int{o.pid} }

// running is a deployed target.
type running struct {
	world *world
	name  string
}

func (r *running) URLs() []string { return []string{"http://" + r.name} }
func (r *running) Dial() []string { return r.world.dial }
func (r *running) Replicas() []record.Replica {
	worker := record.Worker{PID: 1, Connections: 3}
	if r.world.act(r.name).drops {
		worker.Connections = 0
	}
	var out []record.Replica
	for i := range r.world.pods {
		out = append(out, record.Replica{Name: fmt.Sprintf("%s-%d", r.name, i+1), Address: fmt.Sprintf("10.0.0.%d:1", i+1), Pod: fmt.Sprintf("pod-%d", i+1), Workers: []record.Worker{worker}})
	}
	if out != nil {
		return out
	}
	return []record.Replica{{Name: r.name + "-1", Address: "127.0.0.1:1", Workers: []record.Worker{worker}, HeldBy: r.world.heldBy, Others: r.world.containers, Image: r.world.act(r.name).image}}
}

func (r *running) Requests(context.Context) (int64, error) {
	return r.world.requests[r.name], r.world.call("requests")
}

func (r *running) LogLines() (int64, error) { return r.world.lines[r.name], r.world.call("log lines") }

func (r *running) Intact() error {
	return cmp.Or(r.world.act(r.name).intact, r.world.call("intact"))
}

func (r *running) CountConnections() error {
	if err := r.world.call("count connections"); err != nil {
		return err
	}
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	r.world.counted = append(r.world.counted, time.Since(r.world.began))
	return r.world.countErr
}

func (r *running) Sources() []collect.Source {
	pid := 1
	if r.name == "flask" {
		pid = busyPID
	}
	return []collect.Source{{Tier: "target", Process: only{name: r.name + "-1", pid: pid}}}
}
func (r *running) Freeze(context.Context) error { return r.hold("freeze", true) }
func (r *running) Thaw(context.Context) error   { return r.hold("thaw", false) }
func (r *running) Redraw(context.Context) error {
	r.world.note("redraw %s", r.name)
	return cmp.Or(r.world.act(r.name).redraw, r.world.call("redraw"))
}

func (r *running) hold(name string, still bool) error {
	err := cmp.Or(r.world.act(r.name).still, r.world.call(name))
	if err == nil {
		if began := r.world.act(r.name).freezing; still && began != nil {
			began()
		}
		r.world.frozen[r.name] = still
	}
	return err
}
func (r *running) Commands() []string { return []string{"start " + r.name} }
func (r *running) Stop(_ context.Context, grace time.Duration) error {
	if r.world.frozen[r.name] {
		r.world.note("MISTAKE: %s is frozen", r.name)
	}
	r.world.note("stop %s within %v", r.name, grace)
	r.world.mu.Lock()
	r.world.up = ""
	delete(r.world.live, r.name)
	r.world.mu.Unlock()
	act := r.world.act(r.name)
	if act.stopping != nil {
		act.stopping()
	}
	return cmp.Or(act.stop, r.world.call("stop"))
}

// check is the contract's.
func (w *world) check(_ context.Context, c *contract.Contract, when string, _ []contract.Endpoint, front string) (contract.Result, error) {
	name := strings.TrimPrefix(front, "http://")
	w.asked = append(w.asked, *c)
	w.note("check %s %s", name, when)
	if err := w.call("check"); err != nil {
		return contract.Result{}, err
	}
	act := w.act(name)
	if act.check != nil {
		return contract.Result{}, act.check
	}
	if act.checking != nil {
		if err := act.checking(when); err != nil {
			return contract.Result{}, err
		}
	}
	return contract.Result{Checks: []record.Check{{When: when, Name: "present keys", OK: act.fails != when}}, LengthPresent: 10, LengthAbsent: 20, Cookies: w.cookies}, nil
}
