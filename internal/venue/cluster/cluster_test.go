package cluster

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/fleet"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/platform/kube"
	"bakeoff/internal/platform/kube/kubetest"
	"bakeoff/internal/target"
)

var update = flag.Bool("update", false, "write the golden files")

// planOf is a shipped plan by its name, or one in testdata.
func planOf(name string) string {
	if name == "seed-kubernetes" {
		return "../../../plans/seed-kubernetes.yaml"
	}
	return filepath.Join("testdata", name+".yaml")
}

// optionsOf are those of a plan.
func optionsOf(t *testing.T, name string) Options {
	t.Helper()
	given, err := os.ReadFile(planOf(name))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Load(name, given)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Plan: p, Given: given, Connections: 500, Run: name + "-1", Namespace: "bench", Own: true}
	if p.Running() {
		return o
	}
	for _, one := range p.Targets {
		r, err := target.Load(os.DirFS("../../../targets"), one.Recipe, one.Variant)
		if err != nil {
			t.Fatal(err)
		}
		o.Recipes = append(o.Recipes, r)
	}
	return o
}

// The objects of several plans are those of files, to the byte.
func TestGolden(t *testing.T) {
	for _, name := range []string{"seed", "seed-kubernetes", "external", "direct", "running", "service", "ingress", "gateway"} {
		t.Run(name, func(t *testing.T) {
			scope, workloads, err := Workloads(optionsOf(t, name))
			if err != nil {
				t.Fatal(err)
			}
			delete(scope.Documents, "grafana-dashboards") // internal/grafana has its own test of them
			for _, w := range workloads {
				for name := range w.Files {
					if w.Role == platform.RoleDatabase {
						w.Files[name] = "written by internal/database\n"
					}
				}
			}
			objects, err := kube.Render(scope, workloads)
			if err != nil {
				t.Fatal(err)
			}
			kubetest.Validate(t, objects)
			var got bytes.Buffer
			if err := kube.Write(&got, objects); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("not as in %s: go test ./internal/venue/cluster -run Golden -update, then git diff\n%s", golden, firstDifference(string(want), got.String()))
			}
		})
	}
}

func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return "want " + a[i] + "\ngot  " + b[i]
		}
	}
	return "one is longer"
}

// What a run asks for is what its pods ask for; in turns all targets are up at once.
func TestAsked(t *testing.T) {
	scope, workloads, err := Workloads(optionsOf(t, "seed"))
	if err != nil {
		t.Fatal(err)
	}
	const sampler = 20
	one := int64(3*(500+sampler) + 250 + sampler)
	around := int64(200 + 2000 + sampler + 250 + 2*(1000+sampler))
	for together, want := range map[bool]int64{true: around + 2*one, false: around + one} {
		if got := scope.Ask(workloads, together); got.MilliCPU != want || got.Storage != 20<<30 {
			t.Errorf("together %v: %+v, want %d thousandths of a core", together, got, want)
		}
	}
	if n := platform.Nodes(workloads); n != 3 {
		t.Errorf("%d nodes", n)
	}
	o := optionsOf(t, "seed")
	o.Plan.Kubernetes.AllowColocated = ""
	if _, workloads, err = Workloads(o); err != nil || platform.Nodes(workloads) != 5 { // of two agents
		t.Errorf("%d nodes where agents keep away, %v", platform.Nodes(workloads), err)
	}
}

// The controller may be there as long as it keeps the run directory after the longest run; agents end with the run.
func TestLifelong(t *testing.T) {
	_, workloads, err := Workloads(optionsOf(t, "direct"))
	if err != nil {
		t.Fatal(err)
	}
	lives := map[string]time.Duration{}
	for _, w := range workloads {
		lives[w.Role] = w.Lifelong
	}
	if keeps := lives[platform.RoleController] - lives[platform.RoleAgent]; lives[platform.RoleAgent] < time.Hour || keeps != 24*time.Hour {
		t.Errorf("%v", lives)
	}
}

// An agent gets every variable that the program asks for.
func TestAgentVariables(t *testing.T) {
	given := map[string]string{}
	for _, name := range agentVariables() {
		given[name] = "1"
	}
	o, err := fleet.FromEnvironment(func(name string) string { return given[name] })
	if err != nil || o.PlanDigest != "1" {
		t.Errorf("%+v, %v", o, err)
	}
}

// JMeter runs next to bakeoff's own engine, of an image of its own, and what the plan has no use for is not there.
func TestEngines(t *testing.T) {
	for engines, want := range map[string]string{
		"native":        "agent-0 agent-1",
		"jmeter":        "jmeter-server-0 jmeter-server-1",
		"native+jmeter": "agent-0 agent-1 jmeter-server-0 jmeter-server-1",
	} {
		o := optionsOf(t, "seed")
		for i, engine := range strings.Split(engines, "+") {
			if i > 0 {
				o.Plan.Phases = append(o.Plan.Phases, o.Plan.Phases[0])
			}
			o.Plan.Phases[i].Engine = engine
		}
		scope, workloads, err := Workloads(o)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, w := range workloads {
			jmeter := strings.HasSuffix(w.Main.Image, "/jmeter:1")
			if w.Role == platform.RoleAgent {
				names = append(names, w.Name)
			}
			if used := w.Name == controllerName && engines != "native" || strings.HasPrefix(w.Name, "jmeter"); jmeter != used {
				t.Errorf("%s: %s has the image %s", engines, w.Name, w.Main.Image)
			}
		}
		if _, agent := scope.Secrets["agent-0"]; strings.Join(names, " ") != want || agent != strings.Contains(want, "agent-0") {
			t.Errorf("%s: %v, secrets of agents %v", engines, names, agent)
		}
	}
}

// No password is written into what is not a secret.
func TestSecretsStayInSecrets(t *testing.T) {
	for _, name := range []string{"seed", "seed-kubernetes", "external"} {
		inSecrets(t, name)
	}
}

func inSecrets(t *testing.T, plan string) {
	t.Helper()
	scope, workloads, err := Workloads(optionsOf(t, plan))
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for name, keys := range scope.Secrets {
		for key := range keys {
			known++
			used := false
			for _, w := range append(workloads, platform.Workload{Main: scope.Sampler}) {
				for _, v := range w.Main.Env {
					used = used || v.Secret == name && v.Key == key
				}
			}
			if !used {
				t.Errorf("nothing reads %s of %s", key, name)
			}
		}
	}
	for _, w := range workloads {
		for _, v := range w.Main.Env {
			if _, ok := scope.Secrets[v.Secret][v.Key]; v.Secret != "" && !ok {
				t.Errorf("%s reads %s of %s, which is not there", w.Name, v.Key, v.Secret)
			}
			if secretive := strings.Contains(v.Name, "PASSWORD") || strings.Contains(v.Name, "TOKEN") || v.Name == "BAKEOFF_NONCE" || v.Name == DSNVariable; secretive && v.Secret == "" {
				t.Errorf("%s: %s is no secret", w.Name, v.Name)
			}
		}
	}
	if known < 10 {
		t.Errorf("%d keys of secrets", known)
	}
}

func TestCheck(t *testing.T) {
	for text, want := range map[string]string{
		"": "kubernetes",
		"kubernetes: {registry: r.example}\nbalancer: {kind: external, url: \"http://127.0.0.1:1\", replica_ports: [1]}": "balancer.kind",
		"kubernetes: {registry: r.example}\ndatabase: {server: /usr/sbin/mysqld}":                                        "database.server",
		"kubernetes: {registry: r.example}\ndatabase: {kind: external, dsn_file: dsn}":                                   "",
		"kubernetes: {registry: r.example}\nagents: {engine: jmeter}":                                                    "",
		"kubernetes: {registry: r.example}\nagents: {engine: jmeter, jmx: mine.jmx}":                                     "",
		"kubernetes: {registry: r.example}\nballast: 1":                                                                  "",
	} {
		p, err := plan.Load("p.yaml", []byte("name: p\ntargets: [{recipe: flask, name: a}]\nphases: [{model: closed, connections: 8, duration: 2s}]\n"+strings.Replace(text, "ballast: 1", "", 1)))
		if err != nil {
			t.Fatal(err)
		}
		got := Check(p)
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || got[0].Path != want) {
			t.Errorf("%q: %+v, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"influxdb: {url: \"http://127.0.0.1:8086\", database: d, user: u, password_file: p}":  "collect.influxdb.user collect.influxdb.password_file",
		"influxdb: {url: \"http://127.0.0.1:8086\", database: d, token_file: t}":              "collect.influxdb.token_file",
		"influxdb: {url: \"https://127.0.0.1:8086\", database: d, ca_file: c}":                "collect.influxdb.ca_file",
		"otlp: {url: \"https://127.0.0.1:4318\", token_file: t, headers_file: h, ca_file: c}": "collect.otlp.token_file collect.otlp.headers_file collect.otlp.ca_file",
		"influxdb: {kind: managed}":                               "",
		"influxdb: {url: \"http://127.0.0.1:8086\", database: d}": "",
	} {
		p, err := plan.Load("p.yaml", []byte("name: p\ntargets: [{recipe: flask, name: a}]\nphases: [{model: closed, connections: 8, duration: 2s}]\nkubernetes: {registry: r.example}\ncollect: {"+text+"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range Check(p) {
			got = append(got, f.Path)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	p := &plan.Plan{Kubernetes: plan.Kubernetes{Tag: "1"}, Targets: []plan.Target{{Name: "-a"}, {Name: "b", Recipe: "./mine"}}}
	if got := Check(p); len(got) != 2 || got[0].Path != "targets[0].name" || got[1].Path != "targets[1].recipe" {
		t.Errorf("%+v", got)
	}
}

// The controller has a test plan of the user's own next to the plan, and knows where it came from.
func TestBringsTestPlan(t *testing.T) {
	o := optionsOf(t, "direct")
	o.TestPlan, o.PlanDir = []byte("<jmeterTestPlan/>"), "/home/me/plans"
	_, workloads, err := Workloads(o)
	if err != nil {
		t.Fatal(err)
	}
	c := workloads[0]
	if c.Role != platform.RoleController || platform.FilesDir+"/test-plan.jmx" != TestPlan || c.Files["test-plan.jmx"] != "<jmeterTestPlan/>" ||
		c.Files["plan.yaml"] != string(o.Given) {
		t.Errorf("%s: %q", c.Name, c.Files)
	}
	if line := strings.Join(c.Main.Argv, " "); !strings.HasSuffix(line, " --plan-dir /home/me/plans") {
		t.Errorf("%s", line)
	}
	for _, one := range []struct {
		text []byte
		says string
	}{
		{make([]byte, mostBrought-4), ""},
		{make([]byte, mostBrought-3), "are 1048577 bytes"},
		{[]byte("<a name=\"caf\xe9\"/>"), "not UTF-8"},
	} {
		if err := Brings([]byte("plan"), one.text); one.says == "" && err != nil || one.says != "" && (err == nil || !strings.Contains(err.Error(), one.says)) {
			t.Errorf("%d bytes: %v, want %q", len(one.text), err, one.says)
		}
	}
}

// A target can read what its sampler knows: that opens nothing. The run's token and the samplers' key are with the controller alone.
func TestKeysOfTheController(t *testing.T) {
	scope, workloads, err := Workloads(optionsOf(t, "seed"))
	if err != nil {
		t.Fatal(err)
	}
	secret := map[string]string{runSecret: TokenKey, samplersSecret: SamplersKey}
	held := 0
	for _, w := range append(workloads, platform.Workload{Main: scope.Sampler}) {
		for _, v := range w.Main.Env {
			switch {
			case v.Secret == "" || secret[v.Secret] != v.Key:
			case w.Role == platform.RoleController:
				held++
			default:
				t.Errorf("%s has %s of the secret %s", w.Name, v.Key, v.Secret)
			}
		}
	}
	if held != len(secret) {
		t.Errorf("the controller has %d of them", held)
	}
}
