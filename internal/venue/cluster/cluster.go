// Package cluster says what a run is made of in a cluster: a controller, agents, a database, the replicas of each
// target with a balancer before them, collectors; which image each has, what it is started with, what it asks for, and which
// nodes it keeps away from. It describes them as workloads and knows no Kubernetes of its own. It is also the venue
// of a run whose controller is a pod itself: it has a platform.Cluster start the workloads, asks the samplers next to them what they
// use, and proves where they are. It refuses
// what a plan says that only one machine has: an external balancer, the path of a database's program, files that the controller in
// the cluster does not have.
package cluster

import (
	"fmt"
	"strings"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/target"
)

// Options are what the workloads of a run follow from.
type Options struct {
	Plan        *plan.Plan
	Given       []byte           // the plan's file, which the controller reads
	Short       bool             // which it cuts down again
	Recipes     []*target.Recipe // of its targets, in their order; none for running servers
	Connections int              // that the database has to allow
	Run         string           // name of the run
	Namespace   string
	Own         bool   // the namespace is made for the run
	DSN         string // of an external database; only the controller has it
	TestPlan    []byte // the file of agents.jmx; nil: there is none
	PlanDir     string // where that is relative to, on the machine of who starts the run
	Starting
}

// Names of workloads, secrets and documents.
const (
	controllerName = "controller"
	databaseName   = "database"
	influxName     = "influxdb"
	runSecret      = "run"
	samplersSecret = "samplers"
	databaseSecret = "database"
)

// Ports that pods listen on.
const (
	targetPort  = 8080
	frontPort   = 8080 // of nginx
	statusPort  = 8081 // its counter
	laptopPort  = 8080 // of the controller
	agentsPort  = 8443 // likewise
	influxPort  = 8086
	samplerPort = 8079
)

const mebi = 1 << 20

// Check finds what the plan says that cannot be in a cluster, each at its place in the plan's file.
func Check(p *plan.Plan) []plan.Finding {
	var out []plan.Finding
	add := func(path, hint, format string, args ...any) {
		out = append(out, plan.Finding{Path: path, Hint: hint, Text: fmt.Sprintf(format, args...)})
	}
	if p.Kubernetes.Tag == "" {
		add("kubernetes", "such as kubernetes: {registry: registry.example/bakeoff}", "is missing: it says where the images of a run in a cluster are")
	}
	if p.Balancer.Kind == "external" {
		add("balancer.kind", "nginx, direct, service, ingress or gateway", "an external balancer cannot know the addresses of pods before they are there")
	}
	if strings.HasPrefix(p.Database.Server, "/") {
		add("database.server", "kubernetes.images.database", "in a cluster the server is that of the image of the database")
	}
	for i, t := range p.Targets {
		if t.Driver() {
			add(fmt.Sprintf("targets[%d].kind", i), "remove it", "a driver cannot be used in a cluster yet: the agents there do not reach the database")
		}
		if t.Folder() {
			add(fmt.Sprintf("targets[%d].recipe", i), "", "a folder cannot be used in a cluster yet: the controller there does not have it")
		}
		if strings.Trim(t.Name, "-") != t.Name {
			add(fmt.Sprintf("targets[%d].name", i), "", "%q is a label in a cluster, and has to begin and end with a letter or a digit", t.Name)
		}
	}
	return append(out, uncollected(p.Collect)...)
}

// uncollected finds what a collector needs that the controller in a cluster does not have: files, and what is secret.
func uncollected(c plan.Collect) (out []plan.Finding) {
	for _, one := range []struct{ path, text, what string }{
		{"influxdb.user", c.InfluxDB.User, "a user"},
		{"influxdb.password_file", c.InfluxDB.PasswordFile, "a file"},
		{"influxdb.token_file", c.InfluxDB.TokenFile, "a file"},
		{"influxdb.ca_file", c.InfluxDB.CAFile, "a file"},
		{"otlp.token_file", c.OTLP.TokenFile, "a file"},
		{"otlp.headers_file", c.OTLP.HeadersFile, "a file"},
		{"otlp.ca_file", c.OTLP.CAFile, "a file"},
	} {
		if one.text != "" {
			out = append(out, plan.Finding{
				Path: "collect." + one.path, Hint: "export the run once it has ended",
				Text: one.what + " of a collector cannot be used in a cluster yet: the controller there does not get it",
			})
		}
	}
	return out
}

// builder makes the workloads of one run.
type builder struct {
	o Options
	k plan.Kubernetes
}

// Workloads are all of a run, in the order in which they come up, and what they have in common. A plan for which Check
// finds something has none.
func Workloads(o Options) (platform.Scope, []platform.Workload, error) {
	b := builder{o, o.Plan.Kubernetes}
	scope := b.scope()
	all := []platform.Workload{b.controller()}
	if o.Plan.Collect.InfluxDB.Kind == plan.KindManaged {
		all = append(all, b.influxdb())
		if err := b.grafana(&scope); err != nil {
			return scope, nil, err
		}
	}
	if o.Plan.Database.Kind == database.KindPrivate {
		db, err := b.database()
		if err != nil {
			return scope, nil, err
		}
		all = append(all, db)
	}
	for i, r := range o.Recipes {
		some, err := b.target(o.Plan.Targets[i], r)
		if err != nil {
			return scope, nil, err
		}
		all = append(all, some...)
	}
	return scope, append(all, b.agents()...), nil
}

// scope is what every pod has.
func (b builder) scope() platform.Scope {
	pods := b.k.Pods
	s := platform.Scope{
		Run: b.o.Run, Namespace: b.o.Namespace, Own: b.o.Own, PullSecret: b.k.PullSecret,
		NodeSelector: pods.NodeSelector, Priority: pods.PriorityClass, Annotations: pods.Annotations,
		Sampler: platform.Container{
			Image: b.k.Image("bakeoff"), Argv: []string{programInImage, "sample"},
			Env:   []platform.Variable{secret("BAKEOFF_SAMPLERS_PUBLIC", samplersSecret, SamplersPublic), {Name: "BAKEOFF_POD", Field: "metadata.uid"}},
			Ports: []platform.Port{{Name: "sampler", Number: samplerPort}}, Requests: platform.Amounts{MilliCPU: 20, Bytes: 32 * mebi},
		},
		Secrets:   map[string]map[string]string{runSecret: {TokenKey: ""}, samplersSecret: {SamplersKey: "", SamplersPublic: ""}},
		Documents: map[string]map[string]string{}, Marks: map[string]map[string]string{},
	}
	for _, t := range pods.Tolerations {
		s.Tolerations = append(s.Tolerations, platform.Toleration(t))
	}
	b.secrets(s.Secrets)
	return s
}

// secrets adds the keys of all that are made for the run.
func (b builder) secrets(all map[string]map[string]string) {
	for i := range b.agentCount() {
		all[agentName(i)] = map[string]string{}
		for _, name := range agentVariables() {
			all[agentName(i)][name] = ""
		}
	}
	for i := range b.jmeterCount() {
		all[jmeterName(i)] = map[string]string{TokenKey: ""}
	}
	switch b.o.Plan.Database.Kind {
	case database.KindPrivate:
		all[databaseSecret] = map[string]string{adminKey: "", passwordKey: ""}
	case database.KindExternal:
		all[runSecret][DSNKey] = ""
	}
	if b.o.Plan.Running() {
		return
	}
	for _, t := range b.o.Plan.Targets {
		all[targetName(t.Name)] = map[string]string{nonceKey: "", passwordKey: ""}
	}
}

// programInImage is where the image of bakeoff has it.
const programInImage = "/bakeoff"

func secret(name, from, key string) platform.Variable {
	return platform.Variable{Name: name, Secret: from, Key: key}
}

// with gives a container what its role asks for.
func with(c platform.Container, r plan.Resource) platform.Container {
	c.Requests = platform.Amounts{MilliCPU: int64(r.Requests.CPU), Bytes: int64(r.Requests.Memory)}
	c.Limits = platform.Amounts{MilliCPU: int64(r.Limits.CPU), Bytes: int64(r.Limits.Memory)}
	return c
}

// temporary is a folder for programs that need one.
func temporary() platform.Folder {
	return platform.Folder{Path: "/tmp", Memory: true, Bytes: 64 * mebi}
}

// lifelong is how long the pods of a run may be there until it ends: what a run ahead of all repetitions takes, and an hour.
func (b builder) lifelong() time.Duration {
	overhead := plan.Overhead{Setup: 5 * time.Minute, Trial: 30 * time.Second, Phase: time.Second}
	return (3*b.o.Plan.Expected(overhead) + time.Hour).Round(time.Second)
}
