package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bakeoff/internal/collect"
	"bakeoff/internal/database"
	"bakeoff/internal/jmeter"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/sidecar"
	"bakeoff/internal/target"
	"bakeoff/internal/venue"
)

// fake is a cluster whose pods are servers of this process, each at an address of its own on the loopback device.
type fake struct {
	t *testing.T

	mu      sync.Mutex
	crowded bool   // all pods are on one node
	image   string // of pods that start from now on
	// unsampled: pods have no sampler.
	unsampled bool
	boots     func(node string) string
	recipe    sidecar.Image
	secrets   map[string]map[string]string
	pods      map[string][]*fakePod
	notes     []string
	bounded   bool // the last removal had a deadline
	deployed  map[string]platform.Workload
	front     func(w platform.Workload) (string, error) // where the front of a workload is reached
}

// given is how many pods have an address of their own so far.
var given atomic.Int32

// newAddress is one of the loopback device that no other test uses.
func newAddress() string {
	n := given.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 1+os.Getpid()%250, n/250, 1+n%250)
}

func newFake(t *testing.T) *fake {
	return &fake{
		t: t, image: "r/image@sha256:1", boots: func(node string) string { return "boot of " + node },
		secrets: map[string]map[string]string{}, pods: map[string][]*fakePod{}, deployed: map[string]platform.Workload{},
	}
}

// fakePod is one of its pods.
type fakePod struct {
	platform.Process
	of        *fake
	name, log string
	workload  string
	address   string
	placement platform.Placement
	done      chan struct{}
	gone      error // of the next look
	why       string
	nonce     string
	cpu       atomic.Int64
	requests  atomic.Int64 // that an nginx counts
	reloads   atomic.Int64
}

func (p *fakePod) Name() string                  { return p.name }
func (p *fakePod) Done() <-chan struct{}         { return p.done }
func (p *fakePod) Exit() platform.Exit           { return platform.Exit{Code: 1, Why: p.why} }
func (p *fakePod) Address() string               { return p.address }
func (p *fakePod) Log() string                   { return p.log }
func (p *fakePod) Placement() platform.Placement { return p.placement }
func (p *fakePod) Stop(ctx context.Context, _ time.Duration) error {
	return p.of.Remove(ctx, p.workload)
}

func (p *fakePod) Look(context.Context) (platform.Placement, error) {
	return p.placement, p.gone
}

// ends has the pod end for a reason.
func (p *fakePod) ends(why string) {
	p.why = why
	close(p.done)
}

// Deploy implements platform.Cluster.
func (f *fake) Deploy(_ context.Context, w platform.Workload, logDir string) ([]platform.Pod, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notes = append(f.notes, "deploy "+w.Name)
	f.deployed[w.Name] = w
	var out []platform.Pod
	for i := range w.Pods() {
		p := &fakePod{of: f, done: make(chan struct{}), address: newAddress()}
		p.placement = platform.Placement{Pod: fmt.Sprintf("%s-x%d", w.Name, i), UID: "uid of " + p.address, Node: fmt.Sprint("node-", i), Image: f.image, Ready: time.Unix(1000, 0)}
		if f.crowded {
			p.placement.Node = "node-0"
		}
		p.name, p.workload = w.Name, w.Name
		if w.Role == platform.RoleTarget {
			p.name = fmt.Sprintf("%s-%d", w.Target, i+1)
		}
		p.log = filepath.Join(logDir, p.name+".log")
		p.start(w)
		f.pods[w.Name] = append(f.pods[w.Name], p)
		out = append(out, p)
	}
	return out, nil
}

// value is that of a variable of a workload's main container.
func (f *fake) value(w platform.Workload, name string) string {
	for _, v := range w.Main.Env {
		if v.Name == name && v.Secret != "" {
			return f.secrets[v.Secret][v.Key]
		}
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// start listens as the pod of a workload would.
func (p *fakePod) start(w platform.Workload) {
	p.nonce = p.of.value(w, "BAKEOFF_NONCE")
	main := http.NewServeMux()
	named := slices.ContainsFunc(w.Main.Env, func(v platform.Variable) bool { return v.Name == "BAKEOFF_REPLICA" && v.Field == "metadata.name" })
	main.HandleFunc("/ping", func(w http.ResponseWriter, _ *http.Request) {
		if named {
			w.Header().Set("X-Bakeoff-Replica", p.placement.Pod)
		}
		fmt.Fprint(w, p.nonce)
	})
	p.listen(targetPort, main)
	status := http.NewServeMux()
	status.HandleFunc("/status", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "Active connections: 1\nserver accepts handled requests\n 1 1 %d\n", p.requests.Add(1))
	})
	p.listen(statusPort, status)
	if !p.of.unsampled {
		p.listen(samplerPort, http.HandlerFunc(p.sample))
	}
	line := fmt.Sprintf(`bakeoff: ready {"pid":21,"pool":%s,"protocol":"text","overlap":{"first_began":1,"first_ended":2,"second_began":1.1,"second_ended":2.1}}`+"\n",
		p.of.value(w, "DATABASE_POOL"))
	if err := os.WriteFile(p.log, []byte("some text\n"+line), 0o600); err != nil {
		p.of.t.Error(err)
	}
}

func (p *fakePod) listen(port int, h http.Handler) {
	l, err := net.Listen("tcp", at(p.address, port))
	if err != nil {
		p.of.t.Error(err)
		return
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	p.of.t.Cleanup(func() { server.Close() })
	go server.Serve(l)
}

// sample is its sampler.
func (p *fakePod) sample(w http.ResponseWriter, r *http.Request) {
	if !sidecar.Signed(r, sidecar.Public("secret"), p.placement.UID) {
		http.Error(w, "key", http.StatusUnauthorized)
		return
	}
	var answer any = struct{}{}
	switch r.Method + r.URL.Path {
	case "GET/usage":
		u := sidecar.Usage{
			BootID: p.of.boots(p.placement.Node), Kernel: "6", CPUs: 2, Group: sidecar.Group{CPUNS: p.cpu.Load(), MemoryBytes: 9, Periods: 4, Throttled: 3, ThrottledNS: 5},
			Processes: []sidecar.Process{{PID: 20, CPUNS: 1, RSSBytes: 100, PSSBytes: 60}, {PID: 21, CPUNS: 2, RSSBytes: 200, PSSBytes: 150}},
		}
		if r.FormValue("sample") == "" {
			u.Processes[0].PSSBytes, u.Processes[1].PSSBytes = 0, 0
		}
		if r.FormValue("port") == fmt.Sprint(targetPort) {
			u.Processes[1].Connections = new(7)
		}
		if r.FormValue("host") != "" {
			u.Host = &sidecar.Host{CPU: "Example", MemoryBytes: 1000, BusyNS: 50, UsedBytes: 60, Values: map[string]float64{"user_ns": 40, "pressure_io_ns": 8, "quota_cores": 1}}
		}
		answer = u
	case "GET/clock":
		answer = sidecar.Clock{CPUNS: p.cpu.Load()}
	case "GET/image":
		answer = p.of.recipe
	case "POST/reload":
		p.reloads.Add(1)
	default:
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// Front implements platform.Cluster.
func (f *fake) Front(_ context.Context, name string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.front(f.deployed[name])
}

// Remove implements platform.Cluster.
func (f *fake) Remove(ctx context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, f.bounded = ctx.Deadline()
	f.notes = append(f.notes, "remove "+name)
	delete(f.pods, name)
	return nil
}

// Secret implements platform.Cluster.
func (f *fake) Secret(_ context.Context, name string, values map[string]string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.secrets[name] = values
	return nil
}

// Lost implements platform.Cluster.
func (f *fake) Lost() error { return nil }

// scene is a venue of a plan with flask in three replicas.
func scene(t *testing.T, lines string) (*Venue, *fake, venue.Deployment) {
	t.Helper()
	text := "name: p\ntargets: [flask]\ndeployment: {replicas: 3, workers: 1, pool: 4}\nphases: [{model: closed, connections: 8, duration: 2s}]\n" +
		"kubernetes:\n  registry: r.example\n" + lines
	p, err := plan.Load("p.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := target.Load(os.DirFS("../../../targets"), "flask", "")
	if err != nil {
		t.Fatal(err)
	}
	f := newFake(t)
	f.recipe = sidecar.Image{Recipe: "flask", Digest: r.Digest(), Versions: map[string]string{"flask": "3"}}
	v := New(Options{Plan: p, Recipes: []*target.Recipe{r}, Run: "p-1", Namespace: "n"}, f, "secret")
	return v, f, venue.Deployment{
		Target: p.Targets[0], Prepared: target.InImage(r), Deployment: p.Deployed(p.Targets[0]), Balancer: p.Balancer, InFlight: 8, Nonce: "nonce-1",
		Database: database.Access{Host: "10.0.0.1", Port: 3306, User: "u", Password: "canary", Name: "d"}, Luck: record.Luck{Order: []int{3, 1, 2}},
		LogDir: t.TempDir(),
	}
}

// A target is started in pods on nodes of their own, behind an nginx that knows their addresses; all of it is in the record, and is
// removed in the opposite order.
func TestDeploy(t *testing.T) {
	v, f, d := scene(t, "")
	got, err := v.Deploy(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	front := f.pods["nginx-flask"][0]
	if urls := got.URLs(); len(urls) != 1 || urls[0] != "http://"+at(front.address, frontPort) {
		t.Errorf("URLs %v", urls)
	}
	if secret := f.secrets["target-flask"]; secret[nonceKey] != "nonce-1" || secret[passwordKey] != "canary" {
		t.Errorf("%v", f.secrets)
	}
	for i, r := range got.Replicas() {
		pod := f.pods["target-flask"][i].placement
		want := record.Replica{
			Name: fmt.Sprint("flask-", i+1), Address: at(f.pods["target-flask"][i].address, targetPort), PID: 20, Workers: r.Workers, ReadyS: r.ReadyS,
			Pod: pod.Pod, UID: pod.UID, Node: fmt.Sprint("node-", i), Image: "r/image@sha256:1",
		}
		if fmt.Sprint(r) != fmt.Sprint(want) || len(r.Workers) != 1 || r.Workers[0].PID != 21 || r.ReadyS <= 0 {
			t.Errorf("%+v, want %+v", r, want)
		}
	}
	for range 3 {
		front.requests.Add(1)
	}
	if n, err := got.Requests(t.Context()); err != nil || n != 3 {
		t.Errorf("%d requests, %v", n, err)
	}
	if err := got.CountConnections(); err != nil || got.Replicas()[2].Workers[0].Connections != 7 {
		t.Errorf("%+v, %v", got.Replicas()[2], err)
	}
	if n, err := got.LogLines(); err != nil || n != 6 {
		t.Errorf("%d lines, %v", n, err)
	}
	if err := got.Redraw(t.Context()); err != nil || front.reloads.Load() != 1 {
		t.Errorf("%d reloads, %v", front.reloads.Load(), err)
	}
	if err := errors.Join(got.Intact(), v.Lost()); err != nil {
		t.Error(err)
	}
	if !errors.Is(got.Freeze(t.Context()), venue.ErrNoFreezing) {
		t.Error("frozen")
	}
	if commands := strings.Join(got.Commands(), "\n"); strings.Contains(commands, "canary") || !strings.Contains(commands, `"$DATABASE_PASSWORD"`) {
		t.Errorf("%s", commands)
	}
	f.notes = nil
	if err := got.Stop(t.Context(), 0); err != nil || !slices.Equal(f.notes, []string{"remove nginx-flask", "remove target-flask"}) {
		t.Errorf("%v, %v", f.notes, err)
	}
}

// The order of the replicas behind the balancer is the one that was drawn.
func TestOrder(t *testing.T) {
	v, f, d := scene(t, "balancer: {kind: direct}")
	got, err := v.Deploy(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, i := range []int{2, 0, 1} {
		want = append(want, "http://"+at(f.pods["target-flask"][i].address, targetPort))
	}
	if !slices.Equal(got.URLs(), want) {
		t.Errorf("%v, want %v", got.URLs(), want)
	}
	if n, err := got.Requests(t.Context()); err != nil || n != -1 || got.Redraw(t.Context()) != nil {
		t.Errorf("%d requests without a balancer, %v", n, err)
	}
}

// What is not placed as the plan demands is refused by that name, at the start and afterwards.
func TestPlacement(t *testing.T) {
	for name, c := range map[string]struct {
		lines  string
		before func(v *Venue, f *fake)
		after  func(pods []*fakePod)
		want   string // of the error; empty: none
		other  bool   // the error is no placement
	}{
		"as it should be":          {},
		"two on a node":            {before: func(_ *Venue, f *fake) { f.crowded = true }, want: "two replicas are on node-0"},
		"two on a node, permitted": {lines: "  spread: any\n", before: func(_ *Venue, f *fake) { f.crowded = true }},
		"an agent next to one":     {before: func(v *Venue, _ *fake) { v.places.setAgent("agent-0", "node-1") }, want: "agent-0 is on node-1"},
		"an agent next to the database": {
			before: func(v *Venue, _ *fake) { v.places.setAgent("agent-1", "node-9"); v.places.setDatabase("node-9") }, want: "agent-1 is on node-9, as the database is",
		},
		"an agent that is gone": {before: func(v *Venue, _ *fake) { v.places.setAgent("a", "node-1"); v.places.dropAgent("a") }},
		"an agent, permitted":   {lines: "  allow_colocated: there are only three nodes\n", before: func(v *Venue, _ *fake) { v.places.setAgent("agent-0", "node-1") }},
		"another image than before": {
			before: func(v *Venue, _ *fake) {
				_ = v.places.image(v.b.k.Image("flask"), platform.Placement{Pod: "x", Node: "node-7", Image: "r/image@sha256:0"})
			}, want: "of pod target-flask-x0 is r/image@sha256:1 on node-0, and of pod x it was r/image@sha256:0 on node-7",
		},
		"a restart":            {after: func(p []*fakePod) { p[1].placement.Restarts = 1 }, want: "was started again, 1 times"},
		"a restart, explained": {after: func(p []*fakePod) { p[1].ends("OOMKilled at its limit"); p[1].placement.Restarts = 1 }, want: "started again, 1 times so far: OOMKilled at"},
		"gone, explained": {
			after: func(p []*fakePod) { p[1].ends("the pod was deleted"); p[1].gone = errors.New("not there") }, want: "not there: the pod was deleted", other: true,
		},
		"another pod":           {after: func(p []*fakePod) { p[1].placement.UID = "other" }, want: "is another one"},
		"another image":         {after: func(p []*fakePod) { p[2].placement.Image = "r/image@sha256:2" }, want: "has another image"},
		"not ready for a while": {after: func(p []*fakePod) { p[0].placement.Ready = time.Unix(2000, 0) }, want: "was not ready"},
		"its node was lost":     {after: func(p []*fakePod) { p[0].placement.Lapse = "NodeLost" }, want: "was not ready for a while: NodeLost"},
		"does not run": {
			after: func(p []*fakePod) { p[0].placement.Restarts, p[0].gone = 2, errors.New("does not run") }, want: "does not run", other: true,
		},
		"gone": {after: func(p []*fakePod) { p[0].gone = errors.New("evicted") }, want: "evicted", other: true},
	} {
		t.Run(name, func(t *testing.T) {
			v, f, d := scene(t, c.lines)
			if c.before != nil {
				c.before(v, f)
			}
			got, err := v.Deploy(t.Context(), d)
			if err == nil && c.after != nil {
				c.after(f.pods["target-flask"])
			}
			if err == nil {
				if err = got.Intact(); name == "does not run" && got.Replicas()[0].Restarts != 2 {
					t.Errorf("the record has %d restarts", got.Replicas()[0].Restarts)
				}
			}
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, venue.ErrPlacement) == c.other {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// Pods are sampled by their samplers; machines count once, whatever nodes they are.
func TestSample(t *testing.T) {
	v, f, d := scene(t, "  resources: {target: {limits: {cpu: 1500m}}}\n")
	f.boots = func(node string) string {
		if node == "node-2" {
			return "another"
		}
		return "one"
	}
	got, err := v.Deploy(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	for i, pod := range f.pods["target-flask"] {
		pod.cpu.Store(int64(1000 * (i + 1)))
	}
	lines := map[string]record.Series{}
	s := v.Sample(t.Context(), time.Hour, append(got.Sources(), collect.Source{Tier: "yardstick"}), nil, func(s record.Series) error {
		lines[s.Name] = s
		return nil
	})
	s.Phase(1)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if one := lines["flask-2"]; one.Tier != "target" || one.CPUNS != 2000 || one.RSSBytes != 300 || one.PSSBytes != 210 || one.Values["throttled_ns"] != 5 || one.Values["throttled_periods"] != 3 || one.Values["memory_bytes"] != 9 || one.Values[record.QuotaCores] != 1.5 {
		t.Errorf("%+v", one)
	}
	if one := lines["flask-2/21"]; one.CPUNS != 2 || one.RSSBytes != 200 || one.PSSBytes != 150 || one.Values["connections"] != 7 {
		t.Errorf("%+v", one)
	}
	host := lines["host"]
	if host.CPUNS != 100 || host.RSSBytes != 120 || host.Values["user_ns"] != 80 || host.Values["pressure_io_ns"] != 8 || host.Values["quota_cores"] != 0 || lines["controller"].CPUNS <= 0 || lines["balancer"].Values[record.QuotaCores] != 0 || lines["balancer"].Tier != "balancer" {
		t.Errorf("%+v", lines)
	}
	var numbers []int
	for _, source := range got.Sources()[:3] {
		numbers = append(numbers, source.Process.PIDs()...)
	}
	if sum := v.Clock(numbers); sum != 6000 {
		t.Errorf("clock %v", sum)
	}
	if own := v.Clock(append(numbers, os.Getpid())); own <= 6000 {
		t.Errorf("with our own time %v", own)
	}
	m := v.Machine()
	if nodes := v.Nodes(); len(nodes) != 3 || nodes[1].BootID != "one" || nodes[1].CPU != "Example" || m.Cores != 4 || m.MemoryBytes != 2000 || m.CPU != "Example" {
		t.Errorf("%+v, %+v", nodes, m)
	}
	close(f.pods["target-flask"][0].done)
	if pids := got.Sources()[0].Process.PIDs(); len(pids) != 0 {
		t.Errorf("an ended one has %v", pids)
	}
}

// A node that does not answer leaves the line of all machines without figures: they would fall.
func TestTogetherWithoutOne(t *testing.T) {
	host := &sidecar.Host{BusyNS: 5, Values: map[string]float64{"user_ns": 1}}
	all := []seen{{member: &member{}, host: true, usage: sidecar.Usage{BootID: "a", Host: host}}, {member: &member{}, host: true, err: errors.New("away")}}
	if line := together(all); line.Tier != "host" || line.CPUNS != 0 || len(line.Values) != 0 {
		t.Errorf("%+v", line)
	}
}

// Machines whose kernel does not say which it is count by their nodes.
func TestTogetherUnnamed(t *testing.T) {
	var all []seen
	for _, node := range []string{"node-0", "node-1"} {
		pod := &fakePod{placement: platform.Placement{Node: node}}
		all = append(all, seen{member: &member{Pod: pod}, host: true, usage: sidecar.Usage{Host: &sidecar.Host{BusyNS: 5}}})
	}
	if line := together(all); line.CPUNS != 10 {
		t.Errorf("%+v", line)
	}
}

// A worker whose connections cannot be read is named; one that has ended is no error.
func TestCountOf(t *testing.T) {
	w := record.Worker{PID: 21}
	if err := countOf(&w, []sidecar.Process{{PID: 20}, {PID: 21, Connections: new(0)}}); err != nil || w.Connections != 0 {
		t.Errorf("%+v, %v", w, err)
	}
	if err := countOf(&w, []sidecar.Process{{PID: 21}}); err == nil || !strings.Contains(err.Error(), "worker 21") {
		t.Errorf("%v", err)
	}
	if err := countOf(&w, nil); err != nil {
		t.Error(err)
	}
}

// An image is used if it was built from the recipe that this program has, which is found out before anything is measured.
func TestRollOut(t *testing.T) {
	for _, right := range []bool{true, false} {
		v, f, d := scene(t, "")
		if !right {
			f.recipe.Digest = "0123456789abcdef"
		}
		said := 0
		prepared, err := v.Prepare(t.Context(), d.Prepared.Recipe, func(string, bool) { said++ })
		if err != nil || len(v.pending) != 1 {
			t.Fatal(err)
		}
		err = v.rollOut(t.Context(), v.pending[0], d.Database, d.LogDir)
		if right && (err != nil || prepared.Versions["flask"] != "3") || !right && (err == nil || !strings.Contains(err.Error(), "another recipe")) {
			t.Errorf("right %v: %v, %v", right, prepared.Versions, err)
		}
		if !slices.Equal(f.notes, []string{"deploy target-flask", "remove target-flask"}) || said != 1 || !f.bounded {
			t.Errorf("%v, said %d, bounded %v", f.notes, said, f.bounded)
		}
	}
}

// An agent gets its environment from a secret of its own, and ends with its pod.
func TestAgents(t *testing.T) {
	v, f, d := scene(t, "")
	spec := platform.Spec{Name: "agent-0-2", Env: []string{"BAKEOFF_AGENT_TOKEN=a=b", "GOGC=50"}, Log: filepath.Join(d.LogDir, "agent-0-2.log")}
	p, err := v.Agents().Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if s := f.secrets["agent-0-2"]; len(s) != 2 || s["BAKEOFF_AGENT_TOKEN"] != "a=b" || p.Name() != "agent-0-2" || len(p.PIDs()) != 1 {
		t.Errorf("%v, %s", s, p.Name())
	}
	if err := v.places.apart([]string{"node-0"}, false); err == nil || !strings.Contains(err.Error(), "agent-0-2 is on node-0") {
		t.Errorf("%v", err)
	}
	if err := p.Stop(t.Context(), 0); err != nil || len(f.pods["agent-0-2"]) != 0 {
		t.Errorf("%v, %v", f.pods, err)
	}
	if err := v.places.apart([]string{"node-0"}, false); err != nil {
		t.Error(err)
	}
}

// A server of JMeter has a pod of its own, which takes its files from who knows the token of its secret, and is an agent as others.
func TestJMeterServers(t *testing.T) {
	v, f, d := scene(t, "")
	name := jmeterName(0)
	s, err := v.JMeter().Start(t.Context(), name, filepath.Join(d.LogDir, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	pod, dir := f.pods[name][0], t.TempDir()
	l, err := net.Listen("tcp", at(pod.address, KeeperPort))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	kept := make(chan error)
	go func() { kept <- (&jmeter.Keeper{Token: f.secrets[name][TokenKey], Dir: dir}).Serve(ctx, l) }()
	if err := s.Put(t.Context(), "keys-1.txt", strings.NewReader("a key")); err != nil || s.Host() != pod.address || s.Dir() != KeeperDir {
		t.Errorf("%s at %s: %v", s.Dir(), s.Host(), err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "keys-1.txt")); err != nil || string(text) != "a key" {
		t.Errorf("%q, %v", text, err)
	}
	cancel()
	if err := <-kept; err != nil {
		t.Error(err)
	}
	if err := v.places.apart([]string{"node-0"}, false); err == nil || !strings.Contains(err.Error(), name+" is on node-0") {
		t.Errorf("%v", err)
	}
	if err := s.Stop(t.Context(), 0); err != nil || len(f.pods[name]) != 0 || v.places.apart([]string{"node-0"}, false) != nil {
		t.Errorf("%v, %v", f.pods, err)
	}
}

// Masters of JMeter run next to the controller: they are measured as processes of a machine are, and servers by a quota of their own.
func TestOwnTree(t *testing.T) {
	v, f, d := scene(t, "  resources: {agent: {limits: {cpu: 3}}}\n")
	v.b.k.Resources.JMeter.Limits.CPU = 1500
	name := jmeterName(0)
	s, err := v.JMeter().Start(t.Context(), name, filepath.Join(d.LogDir, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	f.pods[name][0].cpu.Store(7)
	lines := map[string]record.Series{}
	gauges := func(context.Context) (map[string]float64, error) { return map[string]float64{"gauge": 4}, nil }
	sources := []collect.Source{{Tier: "agent", Process: s}, {Tier: "agent", Process: here{}}, {Tier: "database"}}
	sampler := v.Sample(t.Context(), time.Hour, sources, gauges, func(s record.Series) error {
		lines[s.Name] = s
		return nil
	})
	sampler.Phase(1)
	if err := sampler.Stop(); err != nil {
		t.Fatal(err)
	}
	if one := lines[name]; one.Tier != "agent" || one.CPUNS != 7 || one.Values[record.QuotaCores] != 1.5 {
		t.Errorf("%+v", one)
	}
	if one := lines["jmeter-master"]; one.Tier != "agent" || one.CPUNS <= 0 || one.RSSBytes <= 0 {
		t.Errorf("%+v", one)
	}
	if lines["database"].Values["gauge"] != 4 {
		t.Errorf("%+v", lines["database"])
	}
	if used := v.Clock([]int{os.Getppid()}); used <= 0 {
		t.Errorf("a process next to the controller has used %v", used)
	}
}

// here is a process of this machine, as a master is one.
type here struct{ platform.Process }

func (here) Name() string { return "jmeter-master" }
func (here) PIDs() []int  { return []int{os.Getpid()} }

// An external database is opened by what the controller was given, with the plan's consent alone, and nothing of it is deployed.
func TestExternal(t *testing.T) {
	v, f, _ := scene(t, "")
	v.b.o.DSN = "u:canary@tcp(db.example:3306)/d"
	_, err := v.Database(t.Context(), venue.Storage{Plan: plan.Database{Kind: "external", DSNFile: "dsn"}, Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "db.example") || strings.Contains(err.Error(), "canary") || len(f.notes) > 0 {
		t.Errorf("%v, %v", err, f.notes)
	}
}

// A workload without a sampler, such as an InfluxDB, is not asked for its node.
func TestInfluxDB(t *testing.T) {
	v, f, _ := scene(t, "collect: {influxdb: {kind: managed}}\n")
	f.unsampled = true
	url, err := v.InfluxDB(t.Context(), t.TempDir())
	if err != nil || url != "http://"+at(f.pods["influxdb"][0].address, influxPort) || len(v.Nodes()) != 0 {
		t.Errorf("%s, %v", url, err)
	}
}

// A sampler that was just started listens a moment later, and is waited for; that of a pod which has ended is not.
func TestSamplerListensLater(t *testing.T) {
	f, all, known := newFake(t), &members{}, newPlaces()
	p := &fakePod{of: f, done: make(chan struct{}), address: newAddress(), placement: platform.Placement{Node: "node-0"}}
	time.AfterFunc(300*time.Millisecond, func() { p.listen(samplerPort, http.HandlerFunc(p.sample)) })
	if err := known.learn(t.Context(), all.add(p, "agent-0", newSamplers("secret"))); err != nil || len(known.all()) != 1 {
		t.Errorf("%v, %v", known.all(), err)
	}
	gone := &fakePod{of: f, done: make(chan struct{}), address: newAddress(), placement: platform.Placement{Node: "node-1"}}
	close(gone.done)
	began := time.Now()
	if err := known.learn(t.Context(), all.add(gone, "agent-1", newSamplers("secret"))); err == nil || time.Since(began) > listensWithin/2 {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

// The proportional memory of a pod is said where that of all its processes is known, else not at all: a part of it would look small.
func TestProportionalOfAll(t *testing.T) {
	one := seen{member: &member{name: "flask-1"}, usage: sidecar.Usage{Processes: []sidecar.Process{{PID: 20, PSSBytes: 5}, {PID: 21, RSSBytes: 9}}}}
	lines := one.lines(collect.Source{Tier: "target", Workers: []int{20}}, 0)
	if whole := lines[1]; whole.Name != "flask-1" || whole.PSSBytes != 0 || whole.RSSBytes != 9 || lines[0].PSSBytes != 5 {
		t.Errorf("%+v", lines)
	}
}

// The programs of a run are those whose pods were there: nginx from the first deployment on.
func TestPrograms(t *testing.T) {
	v, _, d := scene(t, "")
	known := func() (names []string) {
		programs, err := v.Programs(t.Context(), v.b.o.Plan, "1.0")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range programs {
			names = append(names, p.Name)
			if p.Name == "nginx" && (p.Path != "r/image" || p.SHA256 != "1") {
				t.Errorf("%+v", p)
			}
		}
		return names
	}
	if got := known(); slices.Contains(got, "nginx") {
		t.Errorf("before: %q", got)
	}
	if _, err := v.Deploy(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if got := known(); !slices.Contains(got, "nginx") {
		t.Errorf("afterwards: %q", got)
	}
}
