package cluster

import (
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/balancer"
	"bakeoff/internal/database"
	"bakeoff/internal/grafana"
	"bakeoff/internal/influxd"
	"bakeoff/internal/jmeter"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/target"
)

// controller conducts the run, and keeps its directory until it was fetched.
func (b builder) controller() platform.Workload {
	argv := []string{programInImage, "conduct", platform.FilesDir + "/plan.yaml"}
	if b.o.Short {
		argv = append(argv, "--short")
	}
	argv = append(argv, b.o.flags()...)
	files := map[string]string{"plan.yaml": string(b.o.Given)}
	if b.o.TestPlan != nil {
		files[testPlanFile] = string(b.o.TestPlan)
		argv = append(argv, "--plan-dir", b.o.PlanDir)
	}
	env := []platform.Variable{
		{Name: "HOME", Value: "/tmp"},
		{Name: "BAKEOFF_RUN", Value: b.o.Run},
		{Name: "BAKEOFF_JOB_UID", Field: "metadata.labels['batch.kubernetes.io/controller-uid']"},
		{Name: "POD_IP", Field: "status.podIP"},
		secret("BAKEOFF_TOKEN", runSecret, TokenKey),
		secret("BAKEOFF_SAMPLERS_KEY", samplersSecret, SamplersKey),
	}
	if b.o.Plan.Database.Kind == database.KindExternal {
		env = append(env, secret(DSNVariable, runSecret, DSNKey))
	}
	image, folders := "bakeoff", []platform.Folder{{Path: "/run/bakeoff"}, temporary()}
	if b.o.Plan.Uses(plan.JMeter) { // its masters run next to the controller, and have files of keys, and the key pair where servers have it
		image, folders = jmeterImage, []platform.Folder{{Path: "/run/bakeoff"}, {Path: temporary().Path}, {Path: KeeperDir}}
	}
	return platform.Workload{
		Name: controllerName, Role: platform.RoleController, Lifetime: platform.Once, Rights: true, Early: true,
		Lifelong: b.lifelong() + KeptFor,
		Files:    files,
		Folders:  folders,
		Main: with(platform.Container{
			Image: b.k.Image(image), Argv: argv, Dir: "/run/bakeoff", Env: env,
			Ports: []platform.Port{{Name: "laptop", Number: laptopPort}, {Name: "agents", Number: agentsPort}},
		}, b.k.Resources.Controller),
	}
}

// adminKey is that of the password of our own account, in the secret of the database.
const adminKey = "admin-password"

// container is that of a private server.
func (b builder) container() database.Container {
	d := b.o.Plan.Database
	c := database.Container{FilesDir: platform.FilesDir, MaxConnections: d.MaxConnections, BufferPool: d.BufferPool, Settings: d.Settings}
	if c.MaxConnections == 0 {
		c.MaxConnections = b.o.Connections
	}
	return c
}

// database is a private server.
func (b builder) database() (platform.Workload, error) {
	c := b.container()
	files, err := c.Files()
	if err != nil {
		return platform.Workload{}, err
	}
	return platform.Workload{
		Name: databaseName, Role: platform.RoleDatabase, Lifetime: platform.Stateful, Sampled: true, Files: files, Within: 3 * time.Minute,
		Folders: []platform.Folder{{Path: database.RunDir, Memory: true, Bytes: 16 * mebi}, temporary()},
		Storage: platform.Storage{Path: database.DataDir, Bytes: int64(b.k.Storage.Database.Size), Class: b.k.Storage.Database.Class},
		Main: with(platform.Container{
			Image: b.k.Image("database"), Argv: c.Start(), Ports: []platform.Port{{Name: "mysql", Number: database.ContainerPort}},
			Env: []platform.Variable{
				secret(database.AdminPassword, databaseSecret, adminKey), secret(database.TargetPassword, databaseSecret, passwordKey),
			},
		}, b.k.Resources.Database),
	}, nil
}

// target is the replicas of one, and the balancer before them, which finds them by their workload's name.
func (b builder) target(t plan.Target, r *target.Recipe) ([]platform.Workload, error) {
	replicas, err := b.replicas(t, r, b.launch(t, r), targetName(t.Name))
	if err != nil {
		return nil, err
	}
	replicas.Front = b.front(t)
	if b.o.Plan.Balancer.Kind != "nginx" {
		return []platform.Workload{replicas}, nil
	}
	front, err := b.nginx(t, []balancer.Backend{{Name: t.Name, Address: at(platform.ObjectName(replicas.Name), targetPort)}})
	return []platform.Workload{replicas, front}, err
}

func targetName(target string) string { return "target-" + target }

// at is host:port.
func at(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// launch is how each replica of a target starts, without what each start has of its own.
func (b builder) launch(t plan.Target, r *target.Recipe) target.Launch {
	d := b.o.Plan.Deployed(t)
	return target.Launch{
		Prepared: target.InImage(r), Host: "0.0.0.0", Name: t.Name, Port: targetPort, Workers: d.Workers, Pool: d.Pool, AccessLog: d.AccessLog,
		Settings: t.Settings, Database: database.AccessAt(platform.ObjectName(databaseName)),
	}
}

// Keys of the secret of a target's start.
const (
	nonceKey    = "nonce"
	passwordKey = "password"
)

// replicas are those of a target, started as the launch says, with what is secret from the secret of that name.
func (b builder) replicas(t plan.Target, r *target.Recipe, l target.Launch, from string) (platform.Workload, error) {
	spec, err := l.Spec()
	if err != nil {
		return platform.Workload{}, err
	}
	return platform.Workload{
		Name: targetName(t.Name), Role: platform.RoleTarget, Target: t.Name, Copies: b.o.Plan.Deployed(t).Replicas,
		OnePerNode: b.k.Spread == plan.OnePerNode, Sampled: true, Folders: []platform.Folder{temporary()}, Within: r.ReadyWithin(),
		Main: with(platform.Container{
			Image: b.k.Image(r.Name), Argv: spec.Argv, Dir: spec.Dir, Env: b.environment(from, spec.Env), Ready: "/ping",
			Ports: []platform.Port{{Name: "http", Number: targetPort}},
		}, b.k.Resources.Target),
	}, nil
}

// environment is that of a replica: what is secret comes from a secret. Behind a balancer that does not say who has answered, each
// replica learns its name, to say so itself.
func (b builder) environment(from string, pairs []string) []platform.Variable {
	var out []platform.Variable
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		v := platform.Variable{Name: key, Value: value}
		switch key {
		case database.TargetPassword:
			v = secret(key, from, passwordKey)
		case "BAKEOFF_NONCE":
			v = secret(key, from, nonceKey)
		}
		out = append(out, v)
	}
	if b.o.Plan.Balancer.InCluster() {
		out = append(out, platform.Variable{Name: "BAKEOFF_REPLICA", Field: "metadata.name"})
	}
	return out
}

// front is what the cluster puts before the replicas of a target.
func (b builder) front(t plan.Target) platform.Front {
	p := b.o.Plan.Balancer
	kind := map[string]string{plan.BalancerService: platform.FrontService, plan.BalancerIngress: platform.FrontIngress, plan.BalancerGateway: platform.FrontRoute}[p.Kind]
	if kind == "" {
		return platform.Front{}
	}
	return platform.Front{
		Kind: kind, Name: frontName(t.Name), Port: targetPort, Host: p.HostOf(t.Name), Class: p.Class, Gateway: p.Name, Namespace: p.Namespace,
		Annotations: p.Annotations, Address: p.Address,
	}
}

func frontName(target string) string { return "front-" + target }

func nginxName(target string) string { return "nginx-" + target }

// nginx is before the replicas of one target. A backend that is a name is looked up once, when it starts: round robin over all that
// are ready then.
func (b builder) nginx(t plan.Target, backends []balancer.Backend) (platform.Workload, error) {
	config, err := balancer.Config(balancer.Site{
		Backends: backends, InFlight: b.o.Plan.InFlight(), Front: at("0.0.0.0", frontPort), Status: at("0.0.0.0", statusPort),
	})
	if err != nil {
		return platform.Workload{}, err
	}
	const prefix = "/run/bakeoff"
	return platform.Workload{
		Name: nginxName(t.Name), Role: platform.RoleBalancer, Target: t.Name, Copies: 1, Sampled: true,
		Files: map[string]string{"nginx.conf": string(config)}, Folders: []platform.Folder{{Path: prefix}, temporary()},
		Main: with(platform.Container{
			Image: b.k.Image("nginx"), Argv: []string{"nginx", "-p", prefix, "-e", "stderr", "-c", platform.FilesDir + "/nginx.conf"},
			Ports: []platform.Port{{Name: "http", Number: frontPort}, {Name: "status", Number: statusPort}},
		}, b.k.Resources.Balancer),
	}, nil
}

// agentVariables are those of an agent, as the fleet gives them to it: all of them are known only once the controller listens.
func agentVariables() []string {
	return []string{
		"BAKEOFF_AGENT_TOKEN", "BAKEOFF_CONTROLLER", "BAKEOFF_AGENT_INDEX", "BAKEOFF_AGENT_EPOCH", "BAKEOFF_CONTROLLER_FINGERPRINT", "BAKEOFF_PLAN_DIGEST",
	}
}

func agentName(i int) string { return "agent-" + strconv.Itoa(i) }

// agentCount is how many agents phases of bakeoff's own engines need, jmeterCount how many servers those of JMeter.
func (b builder) agentCount() int {
	if b.o.Plan.Uses(plan.Native) || b.o.Plan.Uses(plan.HTTP) {
		return b.o.Plan.Agents.Count
	}
	return 0
}

func (b builder) jmeterCount() int {
	if b.o.Plan.Uses(plan.JMeter) {
		return b.o.Plan.Agents.Count
	}
	return 0
}

// agents are one workload each, so that a lost one can be replaced, and so are servers of JMeter.
func (b builder) agents() []platform.Workload {
	var out []platform.Workload
	for i := range b.agentCount() {
		out = append(out, b.agent(agentName(i), agentVariables()))
	}
	for i := range b.jmeterCount() {
		out = append(out, b.jmeter(jmeterName(i)))
	}
	return out
}

// jmeterImage has JMeter, Java and this program; jmeterQuota is what servers of JMeter have among the quotas of tiers.
const (
	jmeterImage = "jmeter"
	jmeterQuota = "jmeter"
)

// jmeterPrefix begins the names of servers, as JMeter's loader calls them.
const jmeterPrefix = "jmeter-server-"

func jmeterName(i int) string { return jmeterPrefix + strconv.Itoa(i) }

// jmeter is a server of JMeter: this program in its pod takes what it needs from who knows the token of its secret, and starts it.
func (b builder) jmeter(name string) platform.Workload {
	return b.apart(platform.Workload{
		Name: name, Role: platform.RoleAgent, Lifetime: platform.Once, Lifelong: b.lifelong(), Sampled: true,
		Folders: []platform.Folder{{Path: KeeperDir}, temporary()},
		Main: with(platform.Container{
			Image: b.k.Image(jmeterImage), Argv: []string{programInImage, "jmeter-server"},
			Env:   []platform.Variable{secret("BAKEOFF_TOKEN", name, TokenKey)},
			Ports: []platform.Port{{Name: "files", Number: KeeperPort}, {Name: "rmi", Number: jmeter.ServerPort}},
		}, b.k.Resources.JMeter),
	})
}

// agent has these variables, from the secret of its own name.
func (b builder) agent(name string, variables []string) platform.Workload {
	var env []platform.Variable
	for _, v := range variables {
		env = append(env, secret(v, name, v))
	}
	return b.apart(platform.Workload{
		Name: name, Role: platform.RoleAgent, Lifetime: platform.Once, Lifelong: b.lifelong(), Folders: []platform.Folder{temporary()}, Sampled: true,
		Main: with(platform.Container{Image: b.k.Image("bakeoff"), Argv: []string{programInImage, "agent"}, Env: env}, b.k.Resources.Agent),
	})
}

// apart keeps who loads away from what is loaded, unless the plan gives a reason why that cannot be.
func (b builder) apart(w platform.Workload) platform.Workload {
	w.AwayFrom, w.MustKeep = []string{platform.RoleTarget, platform.RoleDatabase}, b.k.AllowColocated == ""
	return w
}

// influxdb keeps its data as long as its pod is there.
func (b builder) influxdb() platform.Workload {
	const data = "/data"
	config := influxd.Config{Dir: data, Addr: fmt.Sprintf("0.0.0.0:%d", influxPort), RPC: "127.0.0.1:8088"}
	return platform.Workload{
		Name: influxName, Role: platform.RoleCollector, Copies: 1, Files: map[string]string{"influxd.conf": config.Text()},
		Folders: []platform.Folder{{Path: data}, temporary()},
		Main: with(platform.Container{
			Image: b.k.Image("influxdb"), Argv: []string{"influxd", "-config", platform.FilesDir + "/influxd.conf"}, Ready: "/ping",
			Ports: []platform.Port{{Name: "http", Number: influxPort}},
		}, b.k.Resources.InfluxDB),
	}
}

// grafana adds what a Grafana needs to show the run, with the labels by which its usual sidecar finds files.
func (b builder) grafana(scope *platform.Scope) error {
	source := grafana.Source{
		URL: fmt.Sprintf("http://%s.%s.svc:%d", platform.ObjectName(influxName), b.o.Namespace, influxPort), Database: "bakeoff", Version: 1,
	}
	files, err := grafana.Files(source, "/var/lib/grafana/dashboards/bakeoff")
	if err != nil {
		return err
	}
	for name, text := range files {
		document, mark := "grafana-dashboards", "grafana_dashboard"
		switch path.Dir(name) {
		case "provisioning/datasources":
			document, mark = "grafana-datasources", "grafana_datasource"
		case "provisioning/dashboards":
			document, mark = "grafana-provider", ""
		}
		if scope.Documents[document] == nil {
			scope.Documents[document], scope.Marks[document] = map[string]string{}, map[string]string{}
		}
		scope.Documents[document][path.Base(name)] = string(text)
		if mark != "" {
			scope.Marks[document][mark] = "1"
		}
	}
	return nil
}
