package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// nodes is the real cluster of make test-kube.
type nodes struct {
	t        *testing.T
	program  string
	registry string
	image    string // of bakeoff
	tag      string // of the other images
}

func newNodes(t *testing.T) nodes {
	t.Helper()
	onNodes(t)
	n := nodes{t, os.Getenv("BAKEOFF_KUBE_PROGRAM"), os.Getenv("BAKEOFF_KUBE_REGISTRY"), os.Getenv("BAKEOFF_KUBE_IMAGE"), os.Getenv("BAKEOFF_KUBE_TAG")}
	if n.tag == "" {
		n.tag = "1"
	}
	return n
}

// plan writes a plan for the cluster, with these lines in addition.
func (n nodes) plan(lines string) string {
	n.t.Helper()
	path := filepath.Join(n.t.TempDir(), "pair.yaml")
	text := fmt.Sprintf(`name: pair
targets: [flask, fastapi]
deployment: {replicas: 3, workers: 2, pool: 4}
agents: {count: 2}
phases: [{model: closed, connections: 12, duration: 8s}]
kubernetes:
  registry: %s
  tag: %q
  images: {bakeoff: %q}
  allow_colocated: three nodes carry targets, database and agents
%s`, n.registry, n.tag, n.image, lines)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
	return path
}

// bakeoff runs the program and returns what it printed.
func (n nodes) bakeoff(args ...string) (stdout, stderr string) {
	n.t.Helper()
	cmd := exec.CommandContext(n.t.Context(), n.program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		n.t.Fatalf("%v: %v\n%s", args, err, errs.String())
	}
	return out.String(), errs.String()
}

// whole is the record of the one run in a folder, which nothing is wrong with.
func (n nodes) whole(runs string) *record.Reader {
	n.t.Helper()
	found, err := filepath.Glob(filepath.Join(runs, "*"))
	if err != nil || len(found) != 1 {
		n.t.Fatalf("run directories %v, %v", found, err)
	}
	r, err := record.Open(found[0])
	if err != nil {
		n.t.Fatal(err)
	}
	if problems := r.Problems(); len(problems) > 0 || r.Run().Status != record.Complete {
		n.t.Fatalf("%s: %v", r.Run().Status, problems)
	}
	for _, state := range r.Trials() {
		if trial, err := state.Trial(); err == nil && len(notMachine(trial.Reasons)) > 0 {
			n.complaints(filepath.Join(found[0], "trials", state.Folder, "logs"))
		}
	}
	return r
}

// complaints shows the last error in each log of a trial that was refused: the folder goes with the test.
func (n nodes) complaints(logs string) {
	n.t.Helper()
	files, err := filepath.Glob(filepath.Join(logs, "*"))
	if err != nil {
		n.t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			n.t.Fatal(err)
		}
		last := ""
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "Error") || strings.Contains(line, "error") {
				last = line
			}
		}
		if last != "" {
			n.t.Logf("%s: %s", file, last)
		}
	}
}

// A run in a cluster leaves the same run directory as one on one machine: every trial is checked and counted as there, three replicas are on
// three nodes and are the same ones at the end, and nothing of the run is left in the cluster.
func TestKubeNodesRun(t *testing.T) {
	n := newNodes(t)
	for _, kind := range []string{"nginx", "direct"} {
		t.Run(kind, func(t *testing.T) {
			n := n
			n.t = t
			inTime(t, 2*time.Minute)
			runs := t.TempDir()
			stdout, stderr := n.bakeoff("run", "--platform", "kubernetes", "--short", "--out", runs, n.plan("balancer: {kind: "+kind+"}\n"))
			t.Logf("%s\n%s", stderr, stdout)
			r := n.whole(runs)
			run := r.Run()
			if run.Platform != "kubernetes" || len(run.Nodes) != 3 || run.Database.Vendor == "" || run.Database.DigestAtEnd != run.Database.Digest || len(run.Targets[0].Versions) == 0 {
				t.Errorf("%+v", run)
			}
			if trials := r.Trials(); len(trials) != len(run.Order) {
				t.Errorf("%d trials of %d", len(trials), len(run.Order))
			}
			for _, state := range r.Trials() {
				trial, err := state.Trial()
				if err != nil {
					t.Fatal(err)
				}
				n.placed(trial)
				n.proportional(state)
			}
			n.eventsIn(runs)
			for _, want := range []string{"flask", "fastapi", "kubernetes"} {
				if !strings.Contains(stdout, want) {
					t.Errorf("the report does not name %s", want)
				}
			}
		})
	}
	n.nothingLeft()
}

// placed wants a trial to be as it is on one machine, on three nodes.
func (n nodes) placed(trial record.Trial) {
	n.t.Helper()
	at := fmt.Sprintf("block %d, %s", trial.Block, trial.Target)
	for _, reason := range notMachine(trial.Reasons) { // one machine may be three nodes
		n.t.Errorf("%s: %s: %s", at, reason.Code, reason.Text)
	}
	var on, images []string
	for _, r := range trial.Replicas {
		if r.Restarts != 0 || r.UID == "" || r.Pod == "" || !strings.Contains(r.Image, "@sha256:") || len(r.Workers) == 0 {
			n.t.Errorf("%s: %+v", at, r)
		}
		on, images = append(on, r.Node), append(images, r.Image)
	}
	slices.Sort(on)
	slices.Sort(images)
	if len(slices.Compact(on)) != 3 || len(slices.Compact(images)) != 1 {
		n.t.Errorf("%s: replicas on %v, of %v", at, on, images)
	}
	for _, c := range trial.Checks {
		if !c.OK {
			n.t.Errorf("%s: %s %s: %s", at, c.When, c.Name, c.Detail)
		}
	}
}

// proportional wants the memory of each replica in some sample with shared pages divided among its processes.
func (n nodes) proportional(state record.TrialState) {
	n.t.Helper()
	found, shared := map[string]bool{}, false
	for line, err := range state.Series() {
		if err != nil {
			n.t.Fatal(err)
		}
		if line.Tier == "target" && line.PSSBytes > 0 && !strings.Contains(line.Name, "/") {
			found[line.Name] = true
			shared = shared || line.PSSBytes < line.RSSBytes
		}
	}
	if len(found) != 3 || !shared {
		n.t.Errorf("%s: proportional memory of %v, less than resident: %v", state.Folder, found, shared)
	}
}

// eventsIn wants what the controller heard of the cluster in its log, as the cluster itself forgets it.
func (n nodes) eventsIn(runs string) {
	n.t.Helper()
	logs, err := filepath.Glob(filepath.Join(runs, "*", "cluster", "bakeoff-controller-*-main.log"))
	if err != nil || len(logs) != 1 {
		n.t.Fatalf("logs of the controller: %q, %v", logs, err)
	}
	text, err := os.ReadFile(logs[0])
	if err != nil || strings.Count(string(text), "bakeoff: event: ") < 6 { // each replica gets a node, and is started
		n.t.Errorf("%v: events in %q", err, text)
	}
}

// nothingLeft wants no namespace of a run in the cluster.
func (n nodes) nothingLeft() {
	n.t.Helper()
	out, err := exec.CommandContext(n.t.Context(), "kubectl", "get", "namespaces", "-l", "app.kubernetes.io/managed-by=bakeoff", "-o", "name").CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		n.t.Errorf("left in the cluster: %s %v", out, err)
	}
}

// Whole runs behind the balancers that a cluster brings along: a Service, an Ingress and an HTTPRoute whose controller is a stand-in of
// a class of its own. Every answer says who gave it, equal weights are demanded where the stand-in gives them, and its cookies are named.
func TestKubeNodesBalancers(t *testing.T) {
	n := newNodes(t)
	n.httpRoutes()
	for name, c := range map[string]struct {
		lines  func(t *testing.T) string // of the plan
		note   []string
		equal  bool
		pinned bool
	}{
		"service": {
			lines: func(*testing.T) string { return "balancer: {kind: service}\n" },
			note:  []string{"a Service spreads connections, not requests"}, pinned: true,
		},
		"ingress": {
			lines: func(t *testing.T) string {
				s, address := newStandIn(t, "bakeoff-stand-in", "", 0)
				s.cookie = "route"
				return fmt.Sprintf("balancer: {kind: ingress, class: bakeoff-stand-in, host: \"{target}.bench.example\", address: %q, equal_within: 2%%}\n", address)
			},
			note: []string{"the balancer before flask sets cookies (route)", "equal weights, within 1.0 %"}, equal: true,
		},
		"ingress-status": {
			lines: func(t *testing.T) string {
				s, _ := newStandIn(t, "bakeoff-stand-in", "", 80)
				s.publish = true
				return fmt.Sprintf("balancer: {kind: ingress, class: bakeoff-stand-in, host: \"{target}.bench.example\", equal_within: 2%%}\nallow_hosts: [%q]\n", s.ip)
			},
			note: []string{"equal weights, within 1.0 %"}, equal: true,
		},
		"gateway": {
			lines: func(t *testing.T) string {
				_, address := newStandIn(t, "", "bakeoff-stand-in", 0)
				return fmt.Sprintf("balancer: {kind: gateway, name: bakeoff-stand-in, host: \"{target}.bench.example\", address: %q, equal_within: 2%%}\n", address)
			},
			note: []string{"equal weights, within 1.0 %"}, equal: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := n
			n.t = t
			inTime(t, 2*time.Minute)
			runs := t.TempDir()
			stdout, stderr := n.bakeoff("run", "--platform", "kubernetes", "--short", "--out", runs, n.plan(c.lines(t)))
			t.Logf("%s\n%s", stderr, stdout)
			r := n.whole(runs)
			notes := strings.Join(r.Run().Notes, "\n")
			for _, want := range c.note {
				if !strings.Contains(notes, want) {
					t.Errorf("no note says %q:\n%s", want, notes)
				}
			}
			for _, state := range r.Trials() {
				trial, err := state.Trial()
				if err != nil {
					t.Fatal(err)
				}
				n.placed(trial)
				if s := trial.Declared.Shares; s == nil || len(s.Replicas) != 3 || (s.Within > 0) != c.equal {
					t.Errorf("%s: %+v", state.Folder, trial.Declared)
				}
				n.named(state, trial)
			}
		})
	}
	n.nothingLeft()
}

// named fails where an answer of a measured phase does not name a replica of its trial.
func (n nodes) named(state record.TrialState, trial record.Trial) {
	n.t.Helper()
	counted := map[string]int64{}
	var right int64
	for line, err := range state.Loads() {
		if err != nil {
			n.t.Fatal(err)
		}
		right += line.Books.OK
		for name, r := range line.Replicas {
			counted[name] += r.Answers - r.Errors
		}
	}
	for _, r := range trial.Replicas {
		right -= counted[r.Name]
		delete(counted, r.Name)
	}
	if right != 0 || len(counted) > 0 {
		n.t.Errorf("%s: %d right answers name nobody, or others: %v", state.Folder, right, counted)
	}
}

// httpRoutes has the cluster know HTTPRoutes, until the test ends where it did not before.
func (n nodes) httpRoutes() {
	n.t.Helper()
	const definition = "../platform/kube/kubetest/httproute.json"
	if exec.CommandContext(n.t.Context(), "kubectl", "get", "crd", "httproutes.gateway.networking.k8s.io").Run() == nil {
		return
	}
	if out, err := exec.CommandContext(n.t.Context(), "kubectl", "create", "-f", definition).CombinedOutput(); err != nil {
		n.t.Fatalf("%v: %s", err, out)
	}
	n.t.Cleanup(func() {
		if out, err := exec.Command("kubectl", "delete", "-f", definition).CombinedOutput(); err != nil {
			n.t.Errorf("%v: %s", err, out)
		}
	})
	if out, err := exec.CommandContext(n.t.Context(), "kubectl", "wait", "--for=condition=Established", "--timeout=30s", "crd/httproutes.gateway.networking.k8s.io").CombinedOutput(); err != nil {
		n.t.Fatalf("%v: %s", err, out)
	}
}
