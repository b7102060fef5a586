package cli_test

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// A fault is what a test of one needs of its run; the zero value is two replicas of fastapi on two nodes, measured once.
type fault struct {
	target    string
	blocks    int
	load      time.Duration // of each trial
	resources string        // of the target
	images    string        // more of them
	takes     time.Duration // on two idle cores
}

// faulty is a cluster, and a plan whose phases are long enough for something to happen in them.
func faulty(t *testing.T, f fault) *cluster {
	t.Helper()
	inTime(t, cmp.Or(f.takes, 2*time.Minute))
	c := newCluster(t)
	registry := os.Getenv("BAKEOFF_KUBE_REGISTRY")
	c.write("p.yaml", fmt.Sprintf(`name: faults
blocks: %[7]d
warmup: 1s
dataset: {rows: 2000}
database: {buffer_pool: 128M}
deployment: {replicas: 2, workers: 1, pool: 4}
targets: [%[1]s]
agents: {count: 2}
balancer: {kind: direct}
phases: [{name: closed, model: closed, connections: 8, duration: %[8]s}]
kubernetes:
  registry: %[2]s
  tag: %[3]s
  images: {bakeoff: %[4]s%[6]s}
  allow_colocated: a test on few nodes
  resources:
    controller: {requests: {cpu: 50m, memory: 128Mi}}
    database: {requests: {cpu: 100m, memory: 512Mi}}
    agent: {requests: {cpu: 50m, memory: 128Mi}}
    target: %[5]s
`, cmp.Or(f.target, "fastapi"), registry, quotedOr(os.Getenv("BAKEOFF_KUBE_TAG"), "1"), quotedOr(os.Getenv("BAKEOFF_KUBE_IMAGE"), registry+"/bakeoff:1"),
		cmp.Or(f.resources, "{requests: {cpu: 50m, memory: 128Mi}}"), f.images, cmp.Or(f.blocks, 1), cmp.Or(f.load, 15*time.Second)))
	return c
}

// underLoad starts the run, and returns once a measured phase has been under way for a moment, with the pod of a replica: to look for
// it then would take a part of the phase.
func (c *cluster) underLoad() (e *execution, pod string) {
	c.t.Helper()
	e = c.start("run", "p.yaml", "--platform", "kubernetes", "--namespace", c.namespace, "--dashboard") // which brings the record as it is written
	c.t.Cleanup(func() {
		if c.t.Failed() {
			c.t.Logf("%s", e.stderr)
		}
	})
	e.await("checking the contract before the load", 1)
	pod = c.pod("target")
	e.await("closed: ", 1)
	time.Sleep(time.Second) // of load
	return e, pod
}

// feed is kubectl with a text as its input.
func (c *cluster) feed(text string, args ...string) {
	c.t.Helper()
	cmd := exec.Command("kubectl", args...)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("kubectl %q: %v\n%s", args, err, out)
	}
}

// a pod of a role.
func (c *cluster) pod(role string) string {
	c.t.Helper()
	return c.kubectl("get", "pods", "-l", "bakeoff/role="+role, "-o", "jsonpath={.items[0].metadata.name}")
}

// outlived wants the run to have gone on to its end: what the fault hit was refused for one of these reasons, with that text, and was
// measured again; nothing of the run is left in the cluster.
func (c *cluster) outlived(e *execution, codes []string, text string) {
	c.t.Helper()
	e.wantEnd(6 * time.Minute)
	r, seen := c.open(), map[string]string{}
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if state.State != record.Finished || err != nil {
			continue
		}
		for _, reason := range trial.Reasons {
			seen[reason.Code] += reason.Text + "\n"
		}
	}
	c.t.Logf("refused: %q", seen)
	named := slices.ContainsFunc(codes, func(code string) bool { return strings.Contains(seen[code], text) })
	if r.Run().Status != record.Complete || len(codes) > 0 && !named {
		c.t.Errorf("%s: %q, want one of %q with %q", r.Run().Status, seen, codes, text)
	}
	if measured, want := measured(c.t, r), len(r.Run().Order); len(measured) != want {
		c.t.Errorf("measured are %v, want %d", measured, want)
	}
	c.nothing()
}

// measured are the places that have a finished trial which nothing but the machine under the nodes speaks against.
func measured(t *testing.T, r *record.Reader) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, state := range r.Trials() {
		if state.State != record.Finished {
			continue
		}
		trial, err := state.Trial()
		if err != nil {
			t.Fatal(err)
		}
		if len(notMachine(trial.Reasons)) == 0 {
			out[fmt.Sprint(trial.Block, " ", trial.Target)] = true
		}
	}
	return out
}

// An agent whose pod is killed costs the trial; a new one takes its place.
func TestKubeFaultAgentKilled(t *testing.T) {
	c := faulty(t, fault{})
	e, _ := c.underLoad()
	c.kubectl("delete", "pod", "-l", "bakeoff/name=bakeoff-agent-1", "--grace-period=0", "--force", "--wait=false")
	c.outlived(e, []string{record.CodeAgentLost}, "agent 1 in phase closed")
}

// A replica that is evicted costs the trial, by that name; the next one has all of them again.
func TestKubeFaultTargetEvicted(t *testing.T) {
	c := faulty(t, fault{})
	e, pod := c.underLoad()
	c.feed(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"`+pod+`","namespace":"`+c.namespace+`"}}`,
		"create", "--raw", "/api/v1/namespaces/"+c.namespace+"/pods/"+pod+"/eviction", "-f", "-")
	c.outlived(e, []string{record.CodeWorkerGone, record.CodePlacement}, pod)
}

// A replica that is killed for its memory costs the trial, which names the limit. Its folders in memory, which count as its own, are
// filled with more than the limit.
func TestKubeFaultOutOfMemory(t *testing.T) {
	c := faulty(t, fault{resources: "{requests: {cpu: 50m, memory: 96Mi}, limits: {memory: 96Mi}}"})
	e, pod := c.underLoad()
	const fill = "head -c 66000000 /dev/zero >/tmp/full; head -c 66000000 /dev/zero >/dev/shm/full"
	out, err := exec.Command("kubectl", "exec", "-n", c.namespace, pod, "-c", "main", "--", "sh", "-c", fill).CombinedOutput()
	t.Logf("filled: %v %s", err, out) // it may be killed itself
	out, err = exec.Command("kubectl", "get", "pod", pod, "-n", c.namespace, "-o", "jsonpath={.status.containerStatuses}").CombinedOutput()
	t.Logf("then: %v %s", err, out) // it may be gone
	c.outlived(e, []string{record.CodePlacement, record.CodeWorkerGone}, "OOMKilled at its limit of 96Mi")
}

// A database that is killed is started again by the cluster, with cold caches: the run ends, and says why. The
// trial in progress does not count, no matter which part of bakeoff notices first.
func TestKubeFaultDatabaseKilled(t *testing.T) {
	c := faulty(t, fault{blocks: 2, takes: 90 * time.Second})
	e, _ := c.underLoad()
	const kill = `for p in /proc/[0-9]*; do read -r name <$p/comm; case $name in mariadbd|mysqld) kill -9 ${p#/proc/}; esac; done`
	if out, err := exec.Command("kubectl", "exec", "-n", c.namespace, c.pod("database"), "-c", "main", "--", "sh", "-c", kill).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	e.wantStatus(1, 4*time.Minute)
	if said := e.stderr.String(); !strings.Contains(said, "database") || !strings.Contains(said, "ended by SIGKILL") {
		t.Errorf("%s", said)
	}
	if r := c.open(); r.Run().Status != record.Aborted || len(measured(t, r)) > 0 {
		t.Errorf("%s, measured are %v", r.Run().Status, measured(t, r))
	}
	c.nothing()
}

// node sends a signal to the kubelet of a node, or to the API server: the test's owner says how.
func (c *cluster) node(signal, name string) {
	c.t.Helper()
	if out, err := exec.Command(os.Getenv("BAKEOFF_KUBE_SIGNAL"), signal, name).CombinedOutput(); err != nil {
		c.t.Fatalf("%s %s: %v\n%s", signal, name, err, out)
	}
}

func needSignals(t *testing.T) {
	t.Helper()
	if os.Getenv("BAKEOFF_KUBE_SIGNAL") == "" {
		t.Skip("SKIPPED: BAKEOFF_KUBE_SIGNAL names no program that stops a kubelet and an API server")
	}
}

// A node whose kubelet stands still keeps its pods running. Once the cluster takes it for lost the trial is refused, with the pod that
// was not ready at that time; when it comes back the run goes on.
func TestKubeFaultKubeletStopped(t *testing.T) {
	needSignals(t)
	c := faulty(t, fault{load: 75 * time.Second, takes: 4 * time.Minute})
	e, pod := c.underLoad()
	node := c.kubectl("get", "pod", pod, "-o", "jsonpath={.spec.nodeName}")
	c.node("STOP", node)
	defer c.node("CONT", node)
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
		ready := c.kubectl("get", "node", node, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		if ready == "Unknown" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the node is %s", ready)
		}
	}
	time.Sleep(10 * time.Second)
	c.node("CONT", node)
	c.outlived(e, []string{record.CodePlacement, record.CodeWorkerGone}, pod)
}

// An API server that is away for half a minute costs nothing: load does not pass it, and everybody waits for it.
func TestKubeFaultAPIAway(t *testing.T) {
	needSignals(t)
	c := faulty(t, fault{takes: 150 * time.Second})
	e, _ := c.underLoad()
	c.node("STOP", "api")
	time.Sleep(30 * time.Second)
	c.node("CONT", "api")
	c.outlived(e, nil, "")
}

// A namespace that is deleted under a run ends it; what is finished is here, and can be resumed.
func TestKubeFaultNamespaceDeleted(t *testing.T) {
	c := faulty(t, fault{blocks: 2, takes: 80 * time.Second})
	e, _ := c.underLoad()
	e.await("block 2 of 2", 1)
	c.kubectl("delete", "namespace", c.namespace, "--wait=false")
	e.wantEnd(4 * time.Minute)
	said, status := e.stderr.String(), e.cmd.ProcessState.ExitCode()
	if r := c.open(); status == 0 || len(finished(t, r)) == 0 || r.Run().Status == record.Complete || !strings.Contains(said, "bakeoff run --resume") {
		t.Errorf("status %d, %s, %v:\n%s", status, r.Run().Status, finished(t, r), said)
	}
	t.Logf("status %d:\n%s", status, said)
}

// A target that crashes at its start ends the run before anything is measured, with what it has said last.
func TestKubeFaultCrashLoop(t *testing.T) {
	django := os.Getenv("BAKEOFF_KUBE_REGISTRY") + "/django:" + cmp.Or(os.Getenv("BAKEOFF_KUBE_TAG"), "1")
	c := faulty(t, fault{target: "flask", images: `, flask: "` + django + `"`, takes: 40 * time.Second})
	began := time.Now()
	e := c.start("run", "p.yaml", "--platform", "kubernetes", "--namespace", c.namespace)
	e.wantStatus(1, 4*time.Minute)
	said := e.stderr.String()
	if !strings.Contains(said, "target flask: ") || !strings.Contains(said, "ended before it was ready: exit status") {
		t.Errorf("after %v:\n%s", time.Since(began), said)
	}
	c.nothing()
}

// A second run in the namespace of one that is under way is refused, and does not touch it.
func TestKubeFaultTwoAtOnce(t *testing.T) {
	inTime(t, time.Minute)
	c := newCluster(t)
	first, second := c.begin("--out", "one"), c.begin("--out", "two")
	first.wantEnd(5 * time.Minute)
	second.wantEnd(5 * time.Minute)
	loser, winner := second, first
	if first.cmd.ProcessState.ExitCode() == 2 {
		loser, winner = first, second
	}
	loser.wantStatus(2, time.Minute)
	if !strings.Contains(loser.stderr.String(), "there is room for one") {
		t.Errorf("%s", loser.stderr)
	}
	if status := winner.cmd.ProcessState.ExitCode(); status != 0 && status != 4 {
		t.Errorf("status %d:\n%s", status, winner.stderr)
	}
	c.nothing()
}
