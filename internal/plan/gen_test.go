package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// drawPlan draws a plan as Load would return it.
func drawPlan(t *rapid.T) *Plan {
	agents := rapid.IntRange(1, 64).Draw(t, "agents")
	p := &Plan{
		Name:        name(t, "name"),
		Description: prose(t, "description"),
		Seed:        rapid.Uint64().Draw(t, "seed"),
		Blocks:      rapid.IntRange(1, 1000).Draw(t, "blocks"),
		Delta:       Delta(float64(rapid.IntRange(1, 500).Draw(t, "delta")) / 1000),
		Dataset:     drawDataset(t),
		Database:    drawDatabase(t),
		Balancer:    Balancer{Kind: rapid.SampledFrom([]string{"nginx", "direct"}).Draw(t, "balancer")},
		Agents:      Agents{Count: agents, Engine: "http"},
		Deployment: Deployment{
			Replicas: rapid.IntRange(1, 100).Draw(t, "replicas"), Workers: rapid.IntRange(1, 256).Draw(t, "workers"),
			Pool: rapid.IntRange(1, 10_000).Draw(t, "pool"), AccessLog: rapid.Bool().Draw(t, "access log"),
		},
		Warmup:      FixedWarmup(duration(t, "warmup", 0, time.Hour)),
		Pilot:       duration(t, "pilot", 500*time.Millisecond, time.Hour),
		AllowHosts:  rapid.SliceOfN(rapid.SampledFrom([]string{"10.0.0.1", "db.example", "::2", "no", "1e5.x"}), 0, 3).Draw(t, "hosts"),
		AllowUnfair: "on: # because 'it' \"is\" so",
	}
	if rapid.Bool().Draw(t, "budget") {
		p.Budget = Budget{Connections: rapid.IntRange(1, 1_000_000).Draw(t, "connections"), Workers: rapid.IntRange(1, 25_600).Draw(t, "workers in all")}
	}
	if rapid.Bool().Draw(t, "trust") {
		onOff := func(name string) string { return rapid.SampledFrom([]string{"", Off}).Draw(t, name) }
		p.Trust = Trust{
			Lookups: onOff("lookups"), Moves: onOff("moves"), Bodies: onOff("bodies"), Salt: onOff("salt"), Statements: onOff("statements"),
			Processes: onOff("processes"), Record: onOff("record"), Account: rapid.SampledFrom([]string{"", Shared}).Draw(t, "account"),
			User: rapid.SampledFrom([]string{"", Shared}).Draw(t, "user"),
		}
	}
	if rapid.Bool().Draw(t, "external balancer") {
		p.Balancer = Balancer{Kind: "external", URL: "http://[::1]:8080/x", ReplicaPorts: rapid.SliceOfNDistinct(rapid.IntRange(1, 65535), 1, 5, rapid.ID).Draw(t, "ports")}
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "targets") {
		p.Targets = append(p.Targets, drawTarget(t, i))
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "phases") {
		p.Phases = append(p.Phases, drawPhase(t, i, max(agents, p.reach())))
	}
	p.Collect = drawCollect(t)
	if rapid.Bool().Draw(t, "thresholds") {
		p.Thresholds = []string{p.Phases[0].Name + ": service p99 < 50ms", fmt.Sprintf("%s: %s.errors <= 0.1%%", p.Phases[0].Name, p.Targets[0].Name)}
	}
	p.Primary = map[string]string{"closed": Throughput, "open": P99AtRate}[p.Phases[0].Model]
	if rapid.Bool().Draw(t, "running") {
		makeRunning(t, p)
	}
	p.Kubernetes = drawKubernetes(t, p)
	drawBrought(t, p)
	return p
}

// drawBrought gives some plans a balancer that a cluster brings along.
func drawBrought(t *rapid.T, p *Plan) {
	if p.Running() || p.Kubernetes.Registry == "" || p.Uses(JMeter) || rapid.Bool().Draw(t, "no balancer of the cluster") {
		return
	}
	b := Balancer{Kind: rapid.SampledFrom([]string{BalancerService, BalancerIngress, BalancerGateway}).Draw(t, "brought"), EqualWithin: Delta(rapid.SampledFrom([]float64{0, 0.02}).Draw(t, "equal"))}
	if slices.ContainsFunc(p.Targets, func(t Target) bool { return !namespaceText.MatchString(t.Name) }) {
		b.Kind = BalancerService // the names of targets are no part of a host
	}
	if b.Kind != BalancerService {
		b.Host, b.Address = "{target}.bench.example", rapid.SampledFrom([]string{"10.0.0.5", "traefik.kube-system:8080", "[fd00::1]:80"}).Draw(t, "address")
		b.Annotations = map[string]string{"a.example/b": "on"}
	}
	switch b.Kind {
	case BalancerIngress:
		b.Class = "no"
	case BalancerGateway:
		b.Name, b.Namespace = "1", rapid.SampledFrom([]string{"", "on"}).Draw(t, "namespace")
	}
	p.Balancer = b
}

func drawKubernetes(t *rapid.T, p *Plan) Kubernetes {
	if rapid.Bool().Draw(t, "no kubernetes") {
		return Kubernetes{}
	}
	k := Kubernetes{
		Registry: "10.0.0.1:5000/a", Tag: rapid.SampledFrom([]string{"", "1", "0.10", "on"}).Draw(t, "tag"),
		Images:     map[string]string{"bakeoff": "x.example/b@sha256:" + strings.Repeat("0a", 32)},
		PullSecret: rapid.SampledFrom([]string{"", "no", "1"}).Draw(t, "pull secret"), Spread: rapid.SampledFrom([]string{"", AnyNode}).Draw(t, "spread"),
		AllowColocated: rapid.SampledFrom([]string{"", "three nodes carry it all"}).Draw(t, "colocated"),
		Pods: Pods{
			NodeSelector: map[string]string{"pool": "on", "a.example/b": ""}, PriorityClass: "high", Annotations: map[string]string{"a/b": "1"},
			Tolerations: []Toleration{{Operator: "Exists"}, {Key: "k.example/x", Value: "1", Effect: "NoExecute"}},
		},
	}
	k.Resources.Agent = Resource{Limits: Amounts{Cores(rapid.Int64Range(1, 20_000).Draw(t, "cores")), mebi * Bytes(rapid.Int64Range(1, 5000).Draw(t, "memory"))}}
	if p.Database.Kind == "private" {
		k.Resources.Database.Requests.CPU = Cores(rapid.Int64Range(1, 20_000).Draw(t, "cores of the database"))
		k.Storage.Database = Volume{Size: gibi * Bytes(rapid.Int64Range(1, 3000).Draw(t, "size")), Class: "fast"}
	}
	k.fill(p)
	return k
}

func drawCollect(t *rapid.T) Collect {
	schema := rapid.SampledFrom([]string{"bakeoff", "jmeter", "both"}).Draw(t, "schema")
	return Collect{InfluxDB: rapid.SampledFrom([]InfluxDB{
		{},
		{Kind: KindManaged, Schema: schema},
		{URL: "http://127.0.0.1:8086", Database: "1e3", Schema: schema, User: "~", PasswordFile: "p"},
		{URL: "https://[::1]/influx", Bucket: "a b", Org: "on", Schema: schema, TokenFile: "t", CAFile: "null"},
	}).Draw(t, "influxdb"), OTLP: rapid.SampledFrom([]OTLP{
		{},
		{URL: "http://127.0.0.1:4318", TokenFile: "on", HeadersFile: "1e3"},
		{URL: "https://[::1]/opentelemetry", CAFile: "null"},
	}).Draw(t, "otlp")}
}

// makeRunning turns a plan of recipes into one of running servers.
func makeRunning(t *rapid.T, p *Plan) {
	p.Dataset, p.Database, p.Balancer, p.Deployment, p.Trust, p.Budget, p.AllowUnfair = Dataset{}, Database{}, Balancer{}, Deployment{}, Trust{}, Budget{}, ""
	for i := range p.Targets {
		p.Targets[i] = Target{
			Name: p.Targets[i].Name, Kind: KindURL,
			URL: rapid.SampledFrom([]string{"http://127.0.0.1:8080/", "http://[::1]/a%20b?x=1&y", "https://localhost", "http://127.0.0.1:1/?"}).Draw(t, "url"),
			Expect: Expect{
				Status: rapid.SampledFrom([]int{200, 201, 404, 599}).Draw(t, "status"),
				Body:   rapid.SampledFrom([]string{"", "pong", "on: # 'a' \"b\"", "~", "1", "{\n}"}).Draw(t, "body"),
			},
		}
		if strings.HasPrefix(p.Targets[i].URL, "https:") {
			p.Targets[i].TLS = rapid.SampledFrom([]TLS{{}, {Insecure: true}, {CAFile: "ca", ServerName: "on.example"}, {CertFile: "~", KeyFile: "1"}}).Draw(t, "tls")
		}
	}
	for i := range p.Phases {
		p.Phases[i].Lookups = ""
	}
}

func drawDataset(t *rapid.T) Dataset {
	least := rapid.IntRange(1, 255).Draw(t, "min")
	most := rapid.IntRange(least, 255).Draw(t, "max")
	return Dataset{
		Rows: rapid.IntRange(1, mostRows(most)).Draw(t, "rows"), Seed: rapid.Uint64().Draw(t, "dataset seed"),
		Lengths:  Lengths{least, most},
		HitRatio: rapid.Float64Range(0, 1).Draw(t, "hit ratio"), Lookups: lookups(t),
	}
}

func drawDatabase(t *rapid.T) Database {
	if rapid.Bool().Draw(t, "external") {
		return Database{Kind: "external", DSNFile: rapid.SampledFrom([]string{"dsn", "/run/a b/..c", "~", "1", "null"}).Draw(t, "dsn")}
	}
	return Database{
		Kind:           "private",
		Server:         rapid.SampledFrom([]string{"", "mariadb", "mysql", "/opt/my sql/bin/mysqld"}).Draw(t, "server"),
		MaxConnections: rapid.SampledFrom([]int{0, 10, 100_000}).Draw(t, "max connections"),
		BufferPool:     rapid.SampledFrom([]string{"", "512M", "1G"}).Draw(t, "buffer pool"),
		Settings:       settings(t, `[a-z][a-z0-9_]{1,20}zx`),
	}
}

func drawTarget(t *rapid.T, i int) Target {
	return Target{
		Name: fmt.Sprintf("%d-%s", i, name(t, "target")[:1]), Recipe: name(t, "recipe"),
		Server: rapid.SampledFrom([]string{"", "no", "1"}).Draw(t, "server"), SettingOf: rapid.SampledFrom([]string{"", "", "on", "1e3"}).Draw(t, "setting of"),
		Variant: rapid.SampledFrom([]string{"", "bounded", "-", "007", "1e3"}).Draw(t, "variant"), Settings: settings(t, `X_[A-Z0-9_]{1,30}`),
		Replicas: rapid.IntRange(0, 100).Draw(t, "replicas"), Workers: rapid.IntRange(0, 256).Draw(t, "workers"), Pool: rapid.IntRange(0, 10_000).Draw(t, "pool"),
	}
}

func drawPhase(t *rapid.T, i, agents int) Phase {
	ph := Phase{
		Name: fmt.Sprintf("%s-%d", name(t, "phase")[:1], i), Model: rapid.SampledFrom([]string{"open", "closed"}).Draw(t, "model"),
		Connections: rapid.IntRange(agents, 100_000).Draw(t, "connections"), Duration: duration(t, "duration", 100*time.Millisecond, 24*time.Hour),
		Timeout: duration(t, "timeout", time.Millisecond, 2*time.Minute), CheckShare: rapid.Float64Range(0.1, 1).Draw(t, "check share"),
		Reconnect: rapid.Bool().Draw(t, "reconnect"), Lookups: lookups(t),
	}
	if ph.Model == "closed" {
		ph.Ramp = duration(t, "ramp", 0, time.Duration(ph.Duration)-1)
		ph.Think = duration(t, "think", 0, time.Hour)
		return ph
	}
	ph.Arrivals = rapid.SampledFrom([]string{"poisson", "constant"}).Draw(t, "arrivals")
	if rapid.Bool().Draw(t, "of pilot") {
		ph.RateOfPilot = rapid.Float64Range(1e-3, 10).Draw(t, "rate of pilot")
	} else {
		ph.Rate = rapid.Float64Range(1e-3, 1e7).Draw(t, "rate")
	}
	return ph
}

func name(t *rapid.T, label string) string {
	return rapid.StringMatching(`[a-z0-9-]{1,63}`).Draw(t, label)
}

func lookups(t *rapid.T) string {
	return rapid.SampledFrom([]string{"client", "server"}).Draw(t, "lookups")
}

func duration(t *rapid.T, label string, least, most time.Duration) Duration {
	return Duration(rapid.Int64Range(int64(least), int64(most)).Draw(t, label))
}

func prose(t *rapid.T, label string) string {
	clean := func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}
	return strings.Map(clean, rapid.StringN(0, 50, 200).Draw(t, label))
}

func settings(t *rapid.T, key string) map[string]string {
	m := rapid.MapOfN(rapid.StringMatching(key), rapid.Custom(func(t *rapid.T) string { return strings.ReplaceAll(prose(t, "value"), "\n", " ") }), 0, 3).Draw(t, "settings")
	if len(m) == 0 {
		return nil
	}
	return m
}

// TestResolvedLoads is the property that a resolved plan, as YAML and as JSON,
// loads as itself and obeys the schema.
func TestResolvedLoads(t *testing.T) {
	schema := compiled(t)
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		for kind, data := range map[string][]byte{"YAML": p.YAML(), "JSON": p.canonical()} {
			q, err := Load("resolved", data)
			if err != nil {
				t.Fatalf("%s:\n%s\n%v", kind, data, err)
			}
			if diff := cmp.Diff(p, q, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", kind, diff)
			}
			if p.Digest() != q.Digest() || len(Diff(p, q)) != 0 {
				t.Fatalf("%s: digests differ: %v", kind, Diff(p, q))
			}
			if err := schema.Validate(tree(t, data)); err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
		}
	})
}

// TestShortLoads is the property that a short plan is a plan, is no larger
// than the plan in anything, and is not shortened further.
func TestShortLoads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		before := p.Digest()
		s := p.Short()
		if p.Digest() != before {
			t.Fatal("Short changed the plan")
		}
		q, err := Load("short", s.YAML())
		if err != nil {
			t.Fatalf("%s\n%v", s.YAML(), err)
		}
		if diff := cmp.Diff(s, q, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
		if diff := Diff(s, s.Short()); len(diff) > 0 {
			t.Fatalf("shortened twice: %v", diff)
		}
		if s.Dataset.Rows > min(p.Dataset.Rows, 20_000) || s.Blocks > min(p.Blocks, 2) || s.Measured() > p.Measured() ||
			s.InFlight() > p.InFlight() || s.Pilot > p.Pilot || s.Warmup.Most > p.Warmup.Most {
			t.Fatalf("larger: %s", s.YAML())
		}
		for _, target := range s.Targets {
			if d := s.Deployed(target); target.SettingOf == "" && d.Workers != min(p.Deployment.Workers, 1) {
				t.Fatalf("%s has %d workers", target.Name, d.Workers)
			}
		}
	})
}
