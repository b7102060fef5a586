package cli_test

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// cluster is a scene with a cluster of real nodes, and a namespace of its own in it.
type cluster struct {
	*scene
	namespace string
}

// newCluster needs the images of bakeoff, flask and database in a registry that the nodes can pull from; that of bakeoff may be
// another one.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	onNodes(t)
	registry := os.Getenv("BAKEOFF_KUBE_REGISTRY")
	c := &cluster{aloneScene(t), strings.ToLower("bakeoff-" + strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))}
	c.alone = true
	c.write("p.yaml", planText("flask", 2)+"balancer: {kind: direct}\nagents: {count: 1}\nkubernetes:\n  registry: "+registry+
		"\n  tag: "+quotedOr(os.Getenv("BAKEOFF_KUBE_TAG"), "1")+"\n  images: {bakeoff: "+quotedOr(os.Getenv("BAKEOFF_KUBE_IMAGE"), registry+"/bakeoff:1")+"}\n  spread: any\n  allow_colocated: a test on few nodes\n")
	c.kubectl("create", "namespace", c.namespace)
	t.Cleanup(func() {
		c.kubectl("delete", "namespace", c.namespace, "--wait=true", "--timeout=120s", "--ignore-not-found")
	})
	return c
}

// onNodes skips a test of real nodes that scripts/test-kube does not run: with the variables of that script alone it lacks images.
func onNodes(t *testing.T) {
	t.Helper()
	if os.Getenv("BAKEOFF_KUBE_NODES") != "1" {
		t.Skip("SKIPPED: make test-kube runs this, with a cluster of three nodes in KUBECONFIG")
	}
}

// inTime skips a test that would not end within the time which is left for tests in a cluster (scripts/test-kube).
func inTime(t *testing.T, takes time.Duration) {
	t.Helper()
	if why := late(os.Getenv("BAKEOFF_KUBE_UNTIL"), takes, time.Now()); why != "" {
		t.Skip("SKIPPED: " + why)
	}
}

// late says why a test does not begin any more; until is a time in seconds, and empty where there is no bound.
func late(until string, takes time.Duration, now time.Time) string {
	end, err := strconv.ParseInt(until, 10, 64)
	if err != nil {
		return ""
	}
	left := time.Unix(end, 0).Sub(now).Round(time.Second)
	if left >= takes {
		return ""
	}
	return fmt.Sprintf("it takes %v, and of the time for such tests %v are left", takes, max(left, 0))
}

func TestLate(t *testing.T) {
	now := time.Unix(1000, 0)
	for until, want := range map[string]string{
		"": "", "1120": "", "1119": "it takes 2m0s, and of the time for such tests 1m59s are left", "900": "it takes 2m0s, and of the time for such tests 0s are left",
	} {
		if got := late(until, 2*time.Minute, now); got != want {
			t.Errorf("%q: %q, want %q", until, got, want)
		}
	}
}

// quotedOr is a text as YAML, or another one where it is empty.
func quotedOr(text, other string) string { return strconv.Quote(cmp.Or(text, other)) }

// kubectl runs a command in the test's namespace.
func (c *cluster) kubectl(args ...string) string {
	c.t.Helper()
	out, err := exec.Command("kubectl", append(args, "-n", c.namespace)...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("kubectl %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// begin starts a run in the namespace.
func (c *cluster) begin(args ...string) *execution {
	return c.start(append([]string{"run", "p.yaml", "--short", "--platform", "kubernetes", "--namespace", c.namespace}, args...)...)
}

// nothing wants no object of bakeoff in the namespace.
func (c *cluster) nothing() {
	c.t.Helper()
	left := c.kubectl("get", "jobs,deployments,statefulsets,pods,services,configmaps,secrets,serviceaccounts,roles,rolebindings,persistentvolumeclaims",
		"-l", "app.kubernetes.io/managed-by=bakeoff", "-o", "name")
	if left != "" {
		c.t.Errorf("left:\n%s", left)
	}
}

// evidence wants the logs of the cluster in the run directory.
func (c *cluster) evidence() {
	c.t.Helper()
	for _, pattern := range []string{"events.txt", "bakeoff-controller-*-main.log"} {
		if found, err := filepath.Glob(filepath.Join(c.theRun(), "cluster", pattern)); err != nil || len(found) != 1 {
			c.t.Errorf("%s: %q, %v", pattern, found, err)
		}
	}
}

// A whole run in a cluster ends with the report and the record of a local one, and leaves nothing.
func TestKubeLaptopWhole(t *testing.T) {
	inTime(t, 70*time.Second)
	c := newCluster(t)
	e := c.begin()
	e.wantStatus(0, 5*time.Minute)
	r := c.open()
	if r.Run().Status != record.Complete || r.Run().Platform != "kubernetes" || len(r.Problems()) > 0 || len(finished(t, r)) == 0 {
		t.Errorf("%s on %s: %q", r.Run().Status, r.Run().Platform, r.Problems())
	}
	if !strings.Contains(e.stdout.String(), "flask") || !strings.Contains(e.stderr.String(), "the run asks the cluster for") {
		t.Errorf("%s\n%s", e.stdout, e.stderr)
	}
	c.evidence()
	c.nothing()
}

// Ctrl-C ends the run in the cluster; what is finished is here, and nothing is left there.
func TestKubeLaptopInterrupt(t *testing.T) {
	inTime(t, 60*time.Second)
	c := newCluster(t)
	e := c.begin()
	e.await("block 1 of 2", 1)
	e.signal(syscall.SIGINT)
	e.wantStatus(130, 3*time.Minute)
	if r := c.open(); r.Run().Status != record.Aborted || len(r.Problems()) > 0 {
		t.Errorf("%s: %q", r.Run().Status, r.Problems())
	}
	c.evidence()
	c.nothing()
}

// A laptop that is killed loses nothing: the run goes on, and attach fetches it.
func TestKubeLaptopKilled(t *testing.T) {
	inTime(t, 80*time.Second)
	c := newCluster(t)
	e := c.begin()
	e.await("block 1 of 2", 1)
	e.signal(syscall.SIGKILL)
	<-e.done
	name := c.kubectl("get", "job", "bakeoff-controller", "-o", `jsonpath={.metadata.labels.bakeoff/run}`)
	again := c.start("attach", name, "--namespace", c.namespace)
	again.wantStatus(0, 5*time.Minute)
	if r := c.open(); r.Run().Status != record.Complete || len(r.Problems()) > 0 {
		t.Errorf("%s: %q", r.Run().Status, r.Problems())
	}
	c.evidence()
	c.nothing()
}

// A controller that is killed costs the trial under way; the run is resumed in the cluster with the others.
func TestKubeLaptopControllerKilled(t *testing.T) {
	inTime(t, 2*time.Minute)
	c := newCluster(t)
	e := c.begin()
	e.await("block 2 of 2", 1)
	c.kubectl("delete", "pod", "-l", "bakeoff/role=controller", "--grace-period=1", "--wait=false")
	e.wantStatus(1, 3*time.Minute)
	before := c.open()
	if len(finished(t, before)) == 0 || !strings.Contains(e.stderr.String(), "bakeoff run --resume") {
		t.Errorf("%d trials:\n%s", len(finished(t, before)), e.stderr)
	}
	c.nothing()
	resumed := c.start("run", "p.yaml", "--short", "--platform", "kubernetes", "--namespace", c.namespace, "--resume", before.Dir())
	resumed.wantStatus(0, 5*time.Minute)
	if r := c.open(); r.Run().Status != record.Complete || len(r.Problems()) > 0 || len(r.Remaining()) > 0 {
		t.Errorf("%s: %q", r.Run().Status, r.Problems())
	}
	c.nothing()
}
