package cluster

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/balancer"
	"bakeoff/internal/database"
	"bakeoff/internal/grafana"
	"bakeoff/internal/influxd"
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
	return platform.Workload{
		Name: controllerName, Role: platform.RoleController, Lifetime: platform.Once, Rights: true, Early: true, Lifelong: b.lifelong(),
		Files:   map[string]string{"plan.yaml": string(b.o.Given)},
		Folders: []platform.Folder{{Path: "/run/bakeoff"}, temporary()},
		Main: with(platform.Container{
			Image: b.k.Image("bakeoff"), Argv: argv, Dir: "/run/bakeoff",
			Ports: []platform.Port{{Name: "laptop", Number: laptopPort}, {Name: "agents", Number: agentsPort}},
			Env: []platform.Variable{
				{Name: "HOME", Value: "/tmp"},
				{Name: "BAKEOFF_RUN", Value: b.o.Run},
				{Name: "BAKEOFF_JOB_UID", Field: "metadata.labels['batch.kubernetes.io/controller-uid']"},
				{Name: "POD_IP", Field: "status.podIP"},
				secret("BAKEOFF_TOKEN", runSecret, "token"),
			},
		}, b.k.Resources.Controller),
	}
}

// database is a private server.
func (b builder) database() (platform.Workload, error) {
	d := b.o.Plan.Database
	c := database.Container{FilesDir: platform.FilesDir, MaxConnections: d.MaxConnections, BufferPool: d.BufferPool, Settings: d.Settings}
	if c.MaxConnections == 0 {
		c.MaxConnections = b.o.Connections
	}
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
				secret(database.AdminPassword, databaseSecret, "admin-password"), secret(database.TargetPassword, databaseSecret, "password"),
			},
		}, b.k.Resources.Database),
	}, nil
}

// target is the replicas of one, and the balancer before them.
func (b builder) target(t plan.Target, r *target.Recipe) ([]platform.Workload, error) {
	d := b.o.Plan.Deployed(t)
	spec, err := target.Launch{
		Prepared: target.InImage(r), Host: "0.0.0.0", Name: t.Name, Port: targetPort, Workers: d.Workers, Pool: d.Pool, AccessLog: d.AccessLog,
		Settings: t.Settings, Database: database.AccessAt(platform.ObjectName(databaseName)),
	}.Spec()
	if err != nil {
		return nil, err
	}
	replicas := platform.Workload{
		Name: "target-" + t.Name, Role: platform.RoleTarget, Target: t.Name, Copies: d.Replicas, OnePerNode: b.k.Spread == plan.OnePerNode,
		Sampled: true, Folders: []platform.Folder{temporary()}, Within: r.ReadyWithin(),
		Main: with(platform.Container{
			Image: b.k.Image(r.Name), Argv: spec.Argv, Dir: spec.Dir, Env: environment(t.Name, spec.Env), Ready: "/ping",
			Ports: []platform.Port{{Name: "http", Number: targetPort}},
		}, b.k.Resources.Target),
	}
	if b.o.Plan.Balancer.Kind != "nginx" {
		return []platform.Workload{replicas}, nil
	}
	front, err := b.nginx(t, replicas.Name)
	return []platform.Workload{replicas, front}, err
}

// environment is that of a replica: what is secret comes from secrets, and each says who it is.
func environment(name string, pairs []string) []platform.Variable {
	var out []platform.Variable
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		v := platform.Variable{Name: key, Value: value}
		switch key {
		case database.TargetPassword:
			v = secret(key, databaseSecret, "password")
		case "BAKEOFF_NONCE":
			v = secret(key, runSecret, nonceOf(name))
		}
		out = append(out, v)
	}
	return append(out, platform.Variable{Name: "BAKEOFF_REPLICA", Field: "metadata.name"})
}

// nginx is before the replicas of one target. Until their addresses are known it finds them by the name of their workload,
// once, when it starts: round robin over all that are ready then.
func (b builder) nginx(t plan.Target, replicas string) (platform.Workload, error) {
	config, err := balancer.Config(balancer.Site{
		Backends: []balancer.Backend{{Name: t.Name, Address: platform.ObjectName(replicas) + ":" + strconv.Itoa(targetPort)}},
		InFlight: b.o.Plan.InFlight(), Front: fmt.Sprintf("0.0.0.0:%d", frontPort), Status: fmt.Sprintf("0.0.0.0:%d", statusPort),
	})
	if err != nil {
		return platform.Workload{}, err
	}
	const prefix = "/run/bakeoff"
	return platform.Workload{
		Name: "nginx-" + t.Name, Role: platform.RoleBalancer, Target: t.Name, Copies: 1, Sampled: true,
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

// agents are one workload each, so that a lost one can be replaced.
func (b builder) agents() []platform.Workload {
	var out []platform.Workload
	for i := range b.o.Plan.Agents.Count {
		var env []platform.Variable
		for _, name := range agentVariables() {
			env = append(env, secret(name, agentName(i), name))
		}
		out = append(out, b.apart(platform.Workload{
			Name: agentName(i), Role: platform.RoleAgent, Lifetime: platform.Once, Lifelong: b.lifelong(), Folders: []platform.Folder{temporary()},
			Main: with(platform.Container{Image: b.k.Image("bakeoff"), Argv: []string{programInImage, "agent"}, Env: env}, b.k.Resources.Agent),
		}))
	}
	return out
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
