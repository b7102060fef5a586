package kube

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/platform"
)

// newNodes is a stage whose pods run on real nodes, and an image that has a shell.
func newNodes(t *testing.T, name string) (*stage, string) {
	t.Helper()
	image := os.Getenv("BAKEOFF_KUBE_SHELL")
	if image == "" {
		t.Skip("SKIPPED: make test-kube runs this, with a cluster of three nodes in KUBECONFIG")
	}
	s := newStage(t, name)
	s.scope.NodeSelector = nil
	s.grant(t, s.rules())
	s.settle(t, 0)
	t.Cleanup(func() { s.disown(t) })
	return s, image
}

// shell is a workload of one pod that runs a script.
func shell(image, script string) platform.Workload {
	return platform.Workload{
		Name: "once", Role: platform.RoleAgent, Lifetime: platform.Once,
		Main: platform.Container{Image: image, Argv: []string{"/bin/sh", "-c", script}, Requests: platform.Amounts{MilliCPU: 10, Bytes: 16 << 20}},
	}
}

// On real nodes three copies run on a node each, their logs are whole, and nothing is left of them; a program's own end is known
// with its status.
func TestNodesRun(t *testing.T) {
	s, image := newNodes(t, "bakeoff-nodes-run")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r, err := s.controller.Run(ctx, s.scope, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	dir := t.TempDir()
	w := shell(image, `trap 'echo bye; exit 0' TERM; echo begin; while :; do sleep 0.1; done`)
	w.Name, w.Role, w.Target, w.Lifetime, w.Copies, w.OnePerNode = "target-x", platform.RoleTarget, "x", platform.Deployed, 3, true
	pods, err := r.Deploy(ctx, w, dir)
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[string]bool{}
	for _, p := range pods {
		now, err := p.Look(ctx)
		if err != nil || now.Restarts != 0 || !strings.Contains(now.Image, "@sha256:") || now.Ready != p.Placement().Ready || p.Address() == "" {
			t.Errorf("%+v at %q, %v", now, p.Address(), err)
		}
		nodes[now.Node] = true
	}
	began := time.Now()
	if err := pods[0].Stop(ctx, 5*time.Second); err != nil || len(nodes) != 3 {
		t.Errorf("on %v, stopped: %v", nodes, err)
	}
	t.Logf("stopped in %s", time.Since(began))
	for _, p := range pods {
		text, err := os.ReadFile(p.Log())
		if err != nil || string(text) != "begin\nbye\n" {
			t.Errorf("%s: %q, %v", p.Name(), text, err)
		}
	}
	one, err := r.Deploy(ctx, shell(image, `i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; sleep 1; echo last words; exit 7`), dir)
	if err != nil {
		t.Fatal(err)
	}
	<-one[0].Done()
	if got := one[0].Exit().String(); got != "exit status 7" {
		t.Error(got)
	}
	if err := r.Remove(ctx, "once"); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(one[0].Log())
	if err != nil || strings.Count(string(text), "\n") != 20001 || !strings.HasSuffix(string(text), "line 19999\nlast words\n") {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if left := objectsLeft(ctx, s.admin.client, s.namespace); left != "" {
		t.Errorf("left: %s", left)
	}
}

// What real nodes say of what does not fit is explained within 10 s of being visible.
func TestNodesExplain(t *testing.T) {
	s, image := newNodes(t, "bakeoff-nodes-explain")
	asTarget := func(w *platform.Workload, copies int) {
		w.Role, w.Target, w.Lifetime, w.Copies = platform.RoleTarget, "x", platform.Deployed, copies
		w.Main.Ports = []platform.Port{{Name: "http", Number: 8080}}
	}
	r, err := s.controller.Run(t.Context(), s.scope, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for name, c := range map[string]struct {
		script string
		change func(*platform.Workload)
		want   []string
	}{
		"crash": {"echo no such module; exit 7", func(w *platform.Workload) { asTarget(w, 1) }, []string{"ended before it was ready: exit status 7", "no such module"}},
		"memory": {"x=aaaaaaaa; while :; do x=$x$x; done", func(w *platform.Workload) {
			asTarget(w, 1)
			w.Main.Limits.Bytes = 32 << 20
		}, []string{"OOMKilled at its limit of 32Mi; raise kubernetes.resources.target"}},
		"program": {"", func(w *platform.Workload) { w.Main.Argv = []string{"/no/such/program"} }, []string{"the program of the pod", "/no/such/program"}},
		"image":   {"", func(w *platform.Workload) { w.Main.Image = image + "-none" }, []string{"is not in its registry (node-", "bakeoff image --push " + image + "-none"}},
		"secret": {
			"sleep 100", func(w *platform.Workload) { w.Main.Env = []platform.Variable{{Name: "A", Secret: "none", Key: "a"}} },
			[]string{`cannot be started: secret "bakeoff-none" not found`},
		},
		"nodes": {"sleep 100", func(w *platform.Workload) {
			asTarget(w, 9)
			w.OnePerNode = true
		}, []string{" of 9 has no node: ", "carry one already"}},
		"cores": {"sleep 100", func(w *platform.Workload) { w.Main.Requests.MilliCPU = 1e6 }, []string{"it has no node: ", "less than 1000 cores free"}},
		"ready": {"echo began; sleep 100", func(w *platform.Workload) {
			asTarget(w, 1)
			w.Within = 3 * time.Second
		}, []string{"was not ready within 3s: port 8080 takes no connection", "began"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := shell(image, c.script)
			w.Name = name
			c.change(&w)
			began := time.Now()
			_, err := r.Deploy(t.Context(), w, t.TempDir())
			t.Logf("after %s: %v", time.Since(began).Round(100*time.Millisecond), err)
			if took := time.Since(began); took > 25*time.Second { // most of it until the cluster shows it
				t.Errorf("explained after %s", took)
			}
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got  %v\nwant %s", err, want)
				}
			}
			if err := r.Remove(t.Context(), w.Name); err != nil {
				t.Error(err)
			}
		})
	}
}
