package cli_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/export/exporttest"
	"bakeoff/internal/grafana"
	"bakeoff/internal/jmeter"
	"bakeoff/internal/record"
)

// seed writes plans/seed-kubernetes.yaml as it is, except for the images: they are those of the cluster's registry.
func (n nodes) seed() string {
	n.t.Helper()
	text, err := os.ReadFile("../../plans/seed-kubernetes.yaml")
	if err != nil {
		n.t.Fatal(err)
	}
	images := fmt.Sprintf("bakeoff: %q, jmeter: %q", n.image, os.Getenv("BAKEOFF_KUBE_JMETER"))
	if mysql := os.Getenv("BAKEOFF_KUBE_MYSQL"); mysql != "" {
		images += fmt.Sprintf(", database: %q", mysql)
	} else {
		n.t.Log("SKIPPED: seed on MySQL: there is no image of one (scripts/mysql says why): the database is the one of the registry")
	}
	plan := string(text)
	for old, now := range map[string]string{
		"registry: registry.example/bakeoff": fmt.Sprintf("registry: %s\n  tag: %q", n.registry, n.tag),
		`images: {database: "mysql:8.0"}`:    "images: {" + images + "}",
	} {
		if strings.Count(plan, old) != 1 {
			n.t.Fatalf("the plan has not once %q", old)
		}
		plan = strings.Replace(plan, old, now, 1)
	}
	path := filepath.Join(n.t.TempDir(), "seed-kubernetes.yaml")
	if err := os.WriteFile(path, []byte(plan), 0o600); err != nil {
		n.t.Fatal(err)
	}
	return path
}

// namespace makes one, which is removed with all that is in it.
func (n nodes) namespace(name string) {
	n.t.Helper()
	n.kubectl("create", "namespace", name)
	n.t.Cleanup(func() { n.kubectl("delete", "namespace", name, "--wait=true", "--timeout=120s") })
	n.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
}

func (n nodes) kubectl(args ...string) string {
	n.t.Helper()
	out, err := exec.Command("kubectl", args...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("kubectl %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// influx is the address here of the InfluxDB of a run that is still in the namespace, by the Service that the data source of Grafana names.
func (n nodes) influx(namespace string) string {
	n.t.Helper()
	cmd := exec.CommandContext(n.t.Context(), "kubectl", "proxy", "--port=0")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = cmd.Wait() }) // the end of the test has killed it
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		n.t.Fatal(err)
	}
	_, address, found := strings.Cut(strings.TrimSpace(line), " on ")
	if !found {
		n.t.Fatalf("kubectl proxy says %q", line)
	}
	return fmt.Sprintf("http://%s/api/v1/namespaces/%s/services/bakeoff-influxdb:8086/proxy", address, namespace)
}

// provisioned wants the files of a Grafana in the namespace: a data source that names the run's InfluxDB, and each dashboard with all its queries.
func (n nodes) provisioned(namespace string) {
	n.t.Helper()
	var found struct {
		Items []struct{ Data map[string]string }
	}
	text := n.kubectl("get", "configmaps", "-n", namespace, "-l", "app.kubernetes.io/managed-by=bakeoff", "-o", "json")
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		n.t.Fatal(err)
	}
	files := map[string]string{}
	for _, one := range found.Items {
		maps.Copy(files, one.Data)
	}
	if url := fmt.Sprintf("http://bakeoff-influxdb.%s.svc:8086", namespace); !strings.Contains(text, url) {
		n.t.Errorf("no data source names %s", url)
	}
	dir := n.t.TempDir()
	for _, d := range grafana.Dashboards() {
		file := filepath.Join(dir, d.UID+".json")
		if err := os.WriteFile(file, []byte(files[d.UID+".json"]), 0o600); err != nil {
			n.t.Fatal(err)
		}
		queries := map[string]bool{}
		queriesOf(n.t, file, queries)
		for _, p := range d.Panels {
			for _, q := range p.Queries {
				if !queries[q.Text] {
					n.t.Errorf("%s, %s: the query is not in the cluster: %s", d.UID, p.Title, q.Text)
				}
			}
		}
	}
}

func needJMeter(t *testing.T) {
	t.Helper()
	if os.Getenv("BAKEOFF_KUBE_JMETER") == "" {
		t.Skip("SKIPPED: there is no image with Java, on which that of JMeter is made (scripts/test-kube)")
	}
}

// The seed's cluster, whole, in its short form: three replicas of three targets on three nodes, JMeter's master and two servers next to two
// agents of bakeoff's own, and an InfluxDB that has what was measured, for each panel of each dashboard.
func TestKubeNodesSeed(t *testing.T) {
	n := newNodes(t)
	needJMeter(t)
	inTime(t, 8*time.Minute)
	const namespace = "bakeoff-test-seed"
	n.namespace(namespace)
	runs := t.TempDir()
	stdout, stderr := n.bakeoff("run", "--platform", "kubernetes", "--short", "--namespace", namespace, "--cleanup", "never", "--out", runs, n.seed())
	t.Logf("%s\n%s", stderr, stdout)
	r := n.whole(runs)
	if run := r.Run(); len(run.Nodes) != 3 || len(run.Targets) != 3 {
		t.Errorf("nodes %+v, targets %+v", run.Nodes, run.Targets)
	} else {
		t.Logf("on %s %s", run.Database.Vendor, run.Database.Version)
	}
	n.provisioned(namespace)
	byJMeter := n.driven(r)
	at := n.influx(namespace)
	for target, done := range doneOf(t, r) {
		for measurement, want := range map[string]int64{"jmeter": done, jmeter.ListenerMeasurement: byJMeter[target]} {
			rows := exporttest.Query(t, at, "bakeoff", fmt.Sprintf(`SELECT sum("count") AS n FROM %s WHERE "application"='%s' AND "transaction"='all' AND statut='all'`, measurement, target))
			if len(rows) != 1 || rows[0].Float(t, "n") != float64(want) || want == 0 {
				t.Errorf("%s: %s has %v, the record %d requests", target, measurement, rows, want)
			}
		}
		for _, d := range grafana.Dashboards() {
			if d.UID == "bakeoff-compare" && !valid(t, r, target) {
				t.Logf("%s: no valid trial to compare", target)
				continue
			}
			askPanels(t, at, "bakeoff", d, r, target, map[string][]exporttest.Row{})
		}
	}
	stdout, stderr = n.bakeoff("clean", "--namespace", namespace, "--out", t.TempDir())
	t.Logf("%s\n%s", stderr, stdout)
	if left := n.kubectl("get", "jobs,deployments,statefulsets,pods,services,configmaps,secrets", "-n", namespace, "-l", "app.kubernetes.io/managed-by=bakeoff", "-o", "name"); left != "" {
		t.Errorf("left:\n%s", left)
	}
}

// driven are the requests of each target that JMeter made. In every trial all of its servers have sent some, and each replica has answered.
func (n nodes) driven(r *record.Reader) map[string]int64 {
	n.t.Helper()
	out := map[string]int64{}
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			n.t.Fatal(err)
		}
		n.placed(trial)
		engines := map[int]string{}
		for _, p := range trial.Phases {
			engines[p.Number] = p.Engine
		}
		servers := map[int]bool{}
		for line, err := range state.Loads() {
			if err != nil {
				n.t.Fatal(err)
			}
			if engines[line.Phase] != "jmeter" {
				continue
			}
			b := line.Books
			out[trial.Target] += b.OK + b.Bad + b.Timeout + b.Error
			servers[line.Agent] = servers[line.Agent] || b.OK > 0
		}
		if len(servers) != 2 || !servers[0] || !servers[1] {
			n.t.Errorf("block %d, %s: servers of JMeter with answers: %v", trial.Block, trial.Target, servers)
		}
	}
	return out
}

// valid reports whether a target has a trial that counts.
func valid(t *testing.T, r *record.Reader, target string) bool {
	t.Helper()
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			t.Fatal(err)
		}
		if trial.Target == target && trial.Status == record.Valid {
			return true
		}
	}
	return false
}

// A test plan of a team's own gets to the masters in the cluster as it is here, and is run as it is.
func TestKubeNodesOwnTestPlan(t *testing.T) {
	n := newNodes(t)
	needJMeter(t)
	inTime(t, 4*time.Minute)
	path := n.plan("balancer: {kind: nginx}\n")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	plan := string(text)
	for old, now := range map[string]string{
		"agents: {count: 2}": "agents: {engine: jmeter, count: 2, jmx: own.jmx}",
		"images: {":          fmt.Sprintf("images: {jmeter: %q, ", os.Getenv("BAKEOFF_KUBE_JMETER")),
	} {
		if strings.Count(plan, old) != 1 {
			t.Fatalf("the plan has not once %q", old)
		}
		plan = strings.Replace(plan, old, now, 1)
	}
	for file, content := range map[string]string{path: plan, filepath.Join(filepath.Dir(path), "own.jmx"): ownTestPlan} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runs := t.TempDir()
	stdout, stderr := n.bakeoff("run", "--platform", "kubernetes", "--short", "--out", runs, path)
	t.Logf("%s\n%s", stderr, stdout)
	r := n.whole(runs)
	if notes := strings.Join(r.Run().Notes, "\n"); !strings.Contains(notes, "the test plan is own.jmx (SHA-256 ") {
		t.Errorf("%s", notes)
	}
	if r.Run().PlanDir != filepath.Dir(path) {
		t.Errorf("the plan was in %s", r.Run().PlanDir)
	}
	for target, requests := range n.driven(r) {
		if requests == 0 {
			t.Errorf("%s: no request", target)
		}
	}
	rows, err := filepath.Glob(filepath.Join(r.Dir(), "agents", "jmeter-*.jmx"))
	if err != nil || len(rows) == 0 {
		t.Fatalf("%v, %v", rows, err)
	}
	if last, err := os.ReadFile(rows[len(rows)-1]); err != nil || string(last) != ownTestPlan {
		t.Errorf("%v: another test plan than mine was run:\n%s", err, last)
	}
	n.nothingLeft()
}

// ownTestPlan asks for the keys that it gets, as a team's own test plan may.
const ownTestPlan = `<?xml version="1.0" encoding="UTF-8"?>
<jmeterTestPlan version="1.2" properties="5.0" jmeter="5.6.3">
 <hashTree>
  <TestPlan guiclass="TestPlanGui" testclass="TestPlan" testname="own" enabled="true"/>
  <hashTree>
   <ThreadGroup guiclass="ThreadGroupGui" testclass="ThreadGroup" testname="users" enabled="true">
    <stringProp name="ThreadGroup.on_sample_error">continue</stringProp>
    <elementProp name="ThreadGroup.main_controller" elementType="LoopController" guiclass="LoopControlPanel" testclass="LoopController">
     <boolProp name="LoopController.continue_forever">false</boolProp>
     <intProp name="LoopController.loops">-1</intProp>
    </elementProp>
    <stringProp name="ThreadGroup.num_threads">${__P(threads)}</stringProp>
    <stringProp name="ThreadGroup.ramp_time">${__P(ramp)}</stringProp>
    <boolProp name="ThreadGroup.scheduler">true</boolProp>
    <stringProp name="ThreadGroup.duration">${__P(duration)}</stringProp>
    <stringProp name="ThreadGroup.delay">0</stringProp>
   </ThreadGroup>
   <hashTree>
    <CSVDataSet guiclass="TestBeanGUI" testclass="CSVDataSet" testname="keys" enabled="true">
     <stringProp name="filename">${__P(keys)}</stringProp>
     <stringProp name="fileEncoding">UTF-8</stringProp>
     <stringProp name="variableNames">key</stringProp>
     <boolProp name="ignoreFirstLine">false</boolProp>
     <stringProp name="delimiter">\t</stringProp>
     <boolProp name="quotedData">false</boolProp>
     <boolProp name="recycle">true</boolProp>
     <boolProp name="stopThread">false</boolProp>
     <stringProp name="shareMode">shareMode.all</stringProp>
    </CSVDataSet>
    <hashTree/>
    <HTTPSamplerProxy guiclass="HttpTestSampleGui" testclass="HTTPSamplerProxy" testname="look a key up" enabled="true">
     <elementProp name="HTTPsampler.Arguments" elementType="Arguments" guiclass="HTTPArgumentsPanel" testclass="Arguments">
      <collectionProp name="Arguments.arguments">
       <elementProp name="name" elementType="HTTPArgument">
        <boolProp name="HTTPArgument.always_encode">true</boolProp>
        <stringProp name="Argument.name">name</stringProp>
        <stringProp name="Argument.value">${key}</stringProp>
        <stringProp name="Argument.metadata">=</stringProp>
        <boolProp name="HTTPArgument.use_equals">true</boolProp>
       </elementProp>
      </collectionProp>
     </elementProp>
     <stringProp name="HTTPSampler.protocol">http</stringProp>
     <stringProp name="HTTPSampler.domain">${__P(host)}</stringProp>
     <stringProp name="HTTPSampler.port">${__P(port)}</stringProp>
     <stringProp name="HTTPSampler.path">/demo</stringProp>
     <stringProp name="HTTPSampler.method">GET</stringProp>
     <boolProp name="HTTPSampler.use_keepalive">true</boolProp>
    </HTTPSamplerProxy>
    <hashTree/>
   </hashTree>
  </hashTree>
 </hashTree>
</jmeterTestPlan>
`
