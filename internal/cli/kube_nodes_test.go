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
	if os.Getenv("BAKEOFF_KUBE_NODES") != "1" {
		t.Skip("SKIPPED: make test-kube runs this, with a cluster of three nodes in KUBECONFIG")
	}
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
	return r
}

// A run in a cluster leaves the same run directory as one on one machine: every trial is checked and counted as there, three replicas are on
// three nodes and are the same ones at the end, and nothing of the run is left in the cluster.
func TestKubeNodesRun(t *testing.T) {
	n := newNodes(t)
	for _, kind := range []string{"nginx", "direct"} {
		t.Run(kind, func(t *testing.T) {
			n := n
			n.t = t
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
			}
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

// nothingLeft wants no namespace of a run in the cluster.
func (n nodes) nothingLeft() {
	n.t.Helper()
	out, err := exec.CommandContext(n.t.Context(), "kubectl", "get", "namespaces", "-l", "app.kubernetes.io/managed-by=bakeoff", "-o", "name").CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		n.t.Errorf("left in the cluster: %s %v", out, err)
	}
}
