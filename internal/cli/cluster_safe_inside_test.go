package cli

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bakeoff/internal/remote"
)

// labelled is an object of a run.
func labelled(run string) map[string]any {
	return map[string]any{"metadata": map[string]any{"labels": map[string]any{"app.kubernetes.io/managed-by": "bakeoff", "bakeoff/run": run}}}
}

// Of two runs that begin at once in a namespace the second takes nothing from the first, which it had not seen, and says which it is.
func TestRunAwayAtOnce(t *testing.T) {
	for _, created := range []int{1, 2} { // as the cluster looks at the second one's first object, or as that is made
		runAtOnce(t, created)
	}
}

func runAtOnce(t *testing.T, created int) {
	c := newConductor(t, func(*conductor) remote.Outcome { t.Error("conducted"); return remote.Outcome{} })
	theirs := []string{"/api/v1/namespaces/n/secrets/bakeoff-run", "/api/v1/namespaces/n/serviceaccounts/bakeoff-controller"}
	came := 0
	c.api.Before = func(method, path string) int {
		if method != http.MethodPost || !strings.HasSuffix(path, "/serviceaccounts") {
			return 0
		}
		if came++; came == created {
			for _, at := range theirs {
				c.api.Put(at, labelled("other"))
			}
		}
		return 0
	}
	status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--namespace", "n", "--out", c.out)
	if status != exitUsage || came < created || !strings.Contains(c.stderr.String(), "namespace n holds run other") || !slices.Equal(c.api.Objects(), theirs) {
		t.Errorf("status %d, %q:\n%s", status, c.api.Objects(), c.stderr)
	}
}

// What is not of a run, but has a name that the controller would use, is refused by that name before anything is made, and stays.
func TestRunAwayTakesNothing(t *testing.T) {
	c := newConductor(t, func(*conductor) remote.Outcome { t.Error("conducted"); return remote.Outcome{} })
	theirs := []string{"/api/v1/namespaces/n/services/bakeoff-database"}
	c.api.Put(theirs[0], map[string]any{})
	status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--namespace", "n", "--out", c.out)
	if status != exitFailed || !strings.Contains(c.stderr.String(), "Service bakeoff-database: it is not of a run") || !slices.Equal(c.api.Objects(), theirs) {
		t.Errorf("status %d, %q:\n%s", status, c.api.Objects(), c.stderr)
	}
	for _, r := range c.api.Requests() {
		if strings.HasPrefix(r, "PATCH") || strings.HasPrefix(r, "DELETE") {
			t.Error(r)
		}
	}
}

// Where it is not known whether the run's own namespace was made, it is removed: here Ctrl-C comes before the answer does.
func TestRunAwayNamespaceUnanswered(t *testing.T) {
	c := newConductor(t, func(*conductor) remote.Outcome { t.Error("conducted"); return remote.Outcome{} })
	ctx, cancel := context.WithCancel(t.Context())
	asked, made := make(chan struct{}), false
	c.api.Applied = func(object map[string]any) {
		if made = object["kind"] == "Namespace"; !made {
			t.Errorf("made: %v", object)
		}
		cancel()
		select {
		case <-asked: // the command goes on without the answer
		case <-time.After(10 * time.Second):
		}
	}
	once := sync.OnceFunc(func() { close(asked) })
	c.api.Before = func(method, path string) int {
		if method == http.MethodGet && strings.HasPrefix(path, "/api/v1/namespaces/bakeoff-direct") && ctx.Err() != nil {
			once()
		}
		return 0
	}
	status, _ := c.command(ctx, "run", c.planFile(), "--platform", "kubernetes", "--out", c.out)
	if status == exitDone || !made || len(c.api.Objects()) > 0 {
		t.Errorf("status %d, made %v, left %q:\n%s", status, made, c.api.Objects(), c.stderr)
	}
}

// A namespace that is another run's own takes no run: it would be removed with the other.
func TestRunAwayInAnothersOwn(t *testing.T) {
	c := newConductor(t, func(*conductor) remote.Outcome { t.Error("conducted"); return remote.Outcome{} })
	c.api.Put("/api/v1/namespaces/n", labelled("other"))
	status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--namespace", "n", "--out", c.out)
	if status != exitUsage || !strings.Contains(c.stderr.String(), "namespace n is the own one of run other") || len(c.api.Objects()) != 1 {
		t.Errorf("status %d, %q:\n%s", status, c.api.Objects(), c.stderr)
	}
}

// What begins a run ends with the controller's Job, where nobody comes to remove it.
func TestRunAwayOwned(t *testing.T) {
	c := newConductor(t, func(c *conductor) remote.Outcome {
		r, w := c.begin()
		r.Trial(c.t, w, 1, 1, "go", 1, nil)
		return remote.Outcome{}
	})
	if status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--detach", "--out", c.out); status != exitDone {
		t.Fatalf("status %d:\n%s", status, c.stderr)
	}
	<-c.done
	owned := 0
	var job string
	for _, at := range c.api.Objects() {
		if strings.HasSuffix(at, "/jobs/bakeoff-controller") {
			job = c.api.UID(at)
		}
	}
	for _, at := range c.api.Objects() {
		switch by := c.api.Owners(at); {
		case strings.Contains(at, "/jobs/"), strings.Contains(at, "/pods/"), strings.Count(at, "/") == 4: // the Job, its pod, the namespace
		case !slices.Equal(by, []string{job}):
			t.Errorf("%s is owned by %q, want %s", at, by, job)
		default:
			owned++
		}
	}
	if owned != 7 || job == "" {
		t.Errorf("%d objects are owned by %q: %q", owned, job, c.api.Objects())
	}
}

// A log that cannot be read is no obstacle for ever: it is named, here and in the run directory, and everything is removed.
func TestUnreadableLog(t *testing.T) {
	c := newConductor(t, whole)
	c.api.Before = func(_, path string) int {
		if strings.HasSuffix(path, "/log") {
			return http.StatusForbidden
		}
		return 0
	}
	status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--short", "--out", c.out)
	if status != exitDone || !strings.Contains(c.stderr.String(), "1 log of the cluster cannot be read") || len(c.api.Objects()) > 0 {
		t.Errorf("status %d, left %q:\n%s", status, c.api.Objects(), c.stderr)
	}
	text, err := os.ReadFile(filepath.Join(c.local().Dir(), "cluster", "unread.txt"))
	if err != nil || !strings.Contains(string(text), "log of bakeoff-controller-x, main") {
		t.Errorf("%q, %v", text, err)
	}
}

// Where it is not known which pods there are nothing is removed, and clean leaves a run in progress alone.
func TestNothingIsRemovedUnseen(t *testing.T) {
	var ended atomic.Bool
	c := newConductor(t, func(c *conductor) remote.Outcome {
		defer ended.Store(true)
		return whole(c)
	})
	c.api.Before = func(_, path string) int {
		if ended.Load() && strings.HasSuffix(path, "/pods") {
			return http.StatusForbidden
		}
		return 0
	}
	status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--short", "--out", c.out)
	if status != exitFailed || !strings.Contains(c.stderr.String(), "nothing was removed") {
		t.Errorf("status %d:\n%s", status, c.stderr)
	}
	for _, r := range c.api.Requests() {
		if strings.HasPrefix(r, "DELETE") {
			t.Error(r)
		}
	}
	c.api.Before = nil
	status, stdout := c.command(t.Context(), "clean", "--context", "test", "--out", c.out)
	if status != exitDone || !strings.Contains(stdout, "left alone, as it may be in progress") || !strings.Contains(stdout, "bakeoff clean --context test --namespace ") || len(c.api.Objects()) == 0 {
		t.Errorf("status %d: %s", status, stdout)
	}
}

// A run whose controller is up, but was never heard, is not removed: it may be measuring.
func TestOwnRunUnheard(t *testing.T) {
	c := newConductor(t, func(c *conductor) remote.Outcome {
		<-c.t.Context().Done()
		return remote.Outcome{}
	})
	c.api.Proxy = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no proxy for you", http.StatusForbidden) })
	status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--out", c.out)
	said := c.stderr.String()
	if status != exitFailed || !strings.Contains(said, "no proxy for you") || !strings.Contains(said, "nothing was removed") || !strings.Contains(said, "bakeoff clean") {
		t.Errorf("status %d:\n%s", status, said)
	}
	for _, r := range c.api.Requests() {
		if strings.HasPrefix(r, "DELETE") {
			t.Error(r)
		}
	}
}

// What is left a day after a run that nobody came for is its namespace: clean says that it removes it, and makes no folder for nothing.
func TestCleanEmptyNamespace(t *testing.T) {
	c := newConductor(t, whole)
	object := labelled("old")
	object["metadata"].(map[string]any)["creationTimestamp"] = "2026-11-01T12:00:00Z"
	c.api.Put("/api/v1/namespaces/bakeoff-old", object)
	status, stdout := c.command(t.Context(), "clean", "--context", "test", "--out", c.out)
	made, err := os.ReadDir(c.out)
	if status != exitDone || !strings.Contains(stdout, "removed: run old from namespace bakeoff-old\n") || len(c.api.Objects()) > 0 || err != nil || len(made) > 0 {
		t.Errorf("status %d, left %q, made %v, %v:\n%s%s", status, c.api.Objects(), made, err, stdout, c.stderr)
	}
}

// A run that was fetched and is kept is removed by clean, which has nothing more to fetch.
func TestKept(t *testing.T) {
	c := newConductor(t, whole)
	status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--cleanup", "never", "--out", c.out)
	if said := c.stderr.String(); status != exitDone || !strings.Contains(said, "is still in namespace bakeoff-direct-") || !strings.Contains(said, ", for a day after its end; bakeoff clean --namespace ") || !strings.Contains(said, " removes it\n") || strings.Contains(said, "fetches") {
		t.Errorf("status %d:\n%s", status, said)
	}
}

// Who comes when the controller has ended, too, hears so: attach has nothing to follow, and clean nothing to fetch.
func TestTooLate(t *testing.T) {
	c := newConductor(t, whole)
	c.api.Put("/api/v1/namespaces/bakeoff-old", labelled("old"))
	pod := labelled("old")
	labels, _ := pod["metadata"].(map[string]any)["labels"].(map[string]any)
	labels["bakeoff/role"], labels["bakeoff/name"] = "controller", "bakeoff-controller"
	pod["status"] = map[string]any{"phase": "Succeeded"}
	c.api.Put("/api/v1/namespaces/bakeoff-old/pods/bakeoff-controller-x", pod)
	there := c.api.Objects()
	status, _ := c.command(t.Context(), "attach", "old", "--namespace", "bakeoff-old", "--out", c.out)
	if said := c.stderr.String(); status != exitFailed || !strings.Contains(said, "run old has ended, and so has its controller") || !strings.Contains(said, "bakeoff clean --namespace bakeoff-old") || !slices.Equal(c.api.Objects(), there) {
		t.Errorf("status %d, left %q:\n%s", status, c.api.Objects(), said)
	}
	status, stdout := c.command(t.Context(), "clean", "--context", "test", "--out", c.out)
	if said := c.stderr.String(); status != exitDone || !strings.Contains(stdout, "removed: run old") || !strings.Contains(said, "run old: its controller has ended or is lost: the run directory is where it was fetched before") || slices.Contains(c.api.Objects(), there[0]) {
		t.Errorf("status %d, left %q:\n%s%s", status, c.api.Objects(), stdout, said)
	}
}

// A controller that cannot come up has measured nothing: what was made for it is removed.
func TestNeverUp(t *testing.T) {
	c := newConductor(t, func(*conductor) remote.Outcome { return remote.Outcome{} })
	up := c.api.Applied
	c.api.Applied = func(object map[string]any) {
		up(object)
		if c.pod != "" {
			c.api.Put(c.pod, map[string]any{
				"metadata": map[string]any{"labels": map[string]any{
					"app.kubernetes.io/managed-by": "bakeoff", "bakeoff/run": runOf(object), "bakeoff/role": "controller", "bakeoff/name": "bakeoff-controller",
				}},
				"spec": map[string]any{"nodeName": "node-1", "containers": []any{map[string]any{"name": "main", "image": "r/b:1"}}},
				"status": map[string]any{"phase": "Pending", "containerStatuses": []any{map[string]any{
					"name": "main", "image": "r/b:1", "state": map[string]any{"waiting": map[string]any{"reason": "ErrImagePull", "message": "rpc error: code = NotFound desc = r/b:1: not found"}},
				}}},
			})
		}
	}
	status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--out", c.out)
	if status != exitFailed || !strings.Contains(c.stderr.String(), "is not in its registry") || len(c.api.Objects()) > 0 {
		t.Errorf("status %d, left %q:\n%s", status, c.api.Objects(), c.stderr)
	}
}

func runOf(object map[string]any) any {
	meta, _ := object["metadata"].(map[string]any)
	labels, _ := meta["labels"].(map[string]any)
	return labels["bakeoff/run"]
}

// Flags that mean nothing where a run is are refused.
func TestFlagsOfPlaces(t *testing.T) {
	c := newConductor(t, whole)
	for _, args := range [][]string{
		{"--namespace", "n"},
		{"--context", "c"},
		{"--detach"},
		{"--platform", "kubernetes", "--keep"},
		{"--platform", "kubernetes", "--share-machine"},
		{"--platform", "kubernetes", "--dashboard", "--detach"},
		{"--platform", "kubernetes", "--cleanup", "sometimes"},
		{"--platform", "nomad"},
	} {
		if status, _ := c.command(t.Context(), append([]string{"run", c.planFile(), "--out", c.out}, args...)...); status != exitUsage {
			t.Errorf("%q: status %d:\n%s", args, status, c.stderr)
		}
	}
	if asked := c.api.Requests(); len(asked) > 0 {
		t.Errorf("asked the cluster: %q", asked)
	}
}

// Who may not make a namespace is shown that one which is there will do; a Role would not help.
func TestRunAwayWithoutNamespaces(t *testing.T) {
	for namespace, hinted := range map[string]bool{"": true, "n": false} {
		c := newConductor(t, func(*conductor) remote.Outcome { t.Error("conducted"); return remote.Outcome{} })
		c.api.Denied = map[string]bool{"create namespaces": true, "create roles": true}
		args := []string{"run", c.planFile(), "--platform", "kubernetes", "--out", c.out}
		if namespace != "" {
			args = append(args, "--namespace", namespace)
		}
		status, _ := c.command(t.Context(), args...)
		said := c.stderr.String()
		if status != exitPrerequisite || !strings.Contains(said, "has a Role with all") || strings.Contains(said, "--namespace names one that is there") != hinted || len(c.api.Objects()) > 0 {
			t.Errorf("in %q: status %d, %q:\n%s", namespace, status, c.api.Objects(), said)
		}
	}
}

// A Secret for the registry is in a namespace that is there; one that is made for the run has none.
func TestRunAwayPullSecret(t *testing.T) {
	c := newConductor(t, func(*conductor) remote.Outcome { t.Error("conducted"); return remote.Outcome{} })
	file := c.planFile()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	with := strings.Replace(string(text), "\nkubernetes:", "\nkubernetes:\n  pull_secret: mine", 1)
	if err := os.WriteFile(file, []byte(with), 0o600); err != nil || with == string(text) {
		t.Fatal(err, with)
	}
	status, _ := c.command(t.Context(), "run", file, "--platform", "kubernetes", "--out", c.out)
	if said := c.stderr.String(); status != exitUsage || !strings.Contains(said, "has no Secret mine") || !strings.Contains(said, "hint: --namespace names") || len(c.api.Requests()) > 0 {
		t.Errorf("status %d, asked %q:\n%s", status, c.api.Requests(), said)
	}
}

// A cluster that is too old for a run is refused before anything is made.
func TestRunAwayOld(t *testing.T) {
	c := newConductor(t, func(*conductor) remote.Outcome { t.Error("conducted"); return remote.Outcome{} })
	c.api.Put("/version", map[string]any{"major": "1", "minor": "28", "gitVersion": "v1.28.3"})
	status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--out", c.out)
	if said := c.stderr.String(); status != exitPrerequisite || !strings.Contains(said, "Kubernetes 1.28 (v1.28.3), and a run needs 1.29") || !slices.Equal(c.api.Objects(), []string{"/version"}) {
		t.Errorf("status %d, %q:\n%s", status, c.api.Objects(), said)
	}
}
