package kube_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"bakeoff/internal/platform"
	"bakeoff/internal/platform/kube"
	"bakeoff/internal/platform/kube/kubetest"
)

const (
	inN  = "/api/v1/namespaces/n/"
	jobs = "/apis/batch/v1/namespaces/n/jobs/"
)

// opened is a stand-in of an API, and the run r in its namespace n.
func opened(t *testing.T) (*kubetest.API, *kube.Laptop) {
	t.Helper()
	a := kubetest.NewAPI(t)
	t.Setenv("KUBECONFIG", a.Kubeconfig(t, "test"))
	c, err := kube.Open("test")
	if err != nil {
		t.Fatal(err)
	}
	return a, c.At("n", "r")
}

// of is an object of a run.
func of(run string, more map[string]any) map[string]any {
	out := map[string]any{"metadata": map[string]any{"labels": map[string]any{"app.kubernetes.io/managed-by": "bakeoff", "bakeoff/run": run}}}
	for key, value := range more {
		out[key] = value
	}
	return out
}

// conducting is the pod of a controller in a state.
func conducting(phase string, state map[string]any) map[string]any {
	p := of("r", map[string]any{
		"spec": map[string]any{"nodeName": "node-1", "containers": []any{map[string]any{"name": "main", "image": "r.example/bakeoff:1"}}},
		"status": map[string]any{"phase": phase, "containerStatuses": []any{
			map[string]any{"name": "main", "image": "r.example/bakeoff:1", "state": state},
		}},
	})
	labels, _ := p["metadata"].(map[string]any)["labels"].(map[string]any)
	labels["bakeoff/role"], labels["bakeoff/name"] = "controller", "bakeoff-controller"
	return p
}

func controller() platform.Workload {
	return platform.Workload{
		Name: "controller", Role: platform.RoleController, Lifetime: platform.Once,
		Main: platform.Container{Ports: []platform.Port{{Name: "laptop", Number: 8080}}},
	}
}

// What is removed is the run's and nothing else, the controller first; it takes until the last object is gone.
func TestRemove(t *testing.T) {
	a, l := opened(t)
	theirs := []string{inN + "configmaps/theirs", inN + "pods/other", "/api/v1/namespaces/n"}
	for _, at := range theirs {
		a.Put(at, of("other", nil))
	}
	job, slow := jobs+"bakeoff-controller", inN+"persistentvolumeclaims/storage-bakeoff-database-0"
	for _, at := range []string{
		job, slow, inN + "services/bakeoff-controller", inN + "secrets/bakeoff-run", inN + "configmaps/bakeoff-controller", inN + "serviceaccounts/bakeoff-controller",
		"/apis/rbac.authorization.k8s.io/v1/namespaces/n/roles/bakeoff-controller", "/apis/rbac.authorization.k8s.io/v1/namespaces/n/rolebindings/bakeoff-controller",
		"/apis/apps/v1/namespaces/n/deployments/bakeoff-target-a", "/apis/apps/v1/namespaces/n/statefulsets/bakeoff-database", inN + "pods/bakeoff-agent-0-x",
	} {
		a.Put(at, of("r", nil))
	}
	a.Keeps = map[string]bool{slow: true}
	looks := 0
	a.Before = func(method, path string) int {
		if method == http.MethodGet && strings.HasSuffix(path, "/persistentvolumeclaims") {
			if looks++; looks == 4 {
				a.Drop(slow)
			}
		}
		return 0
	}
	if err := l.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := a.Objects(); !slices.Equal(left, slices.Sorted(slices.Values(theirs))) || looks < 4 {
		t.Errorf("%d looks, left %q", looks, left)
	}
	removed := map[string]int{}
	first := ""
	for _, r := range a.Requests() {
		if at, ok := strings.CutPrefix(r, "DELETE "); ok {
			if first == "" {
				first = at
			}
			removed[at]++
		}
	}
	if first != job || removed[slow] != 1 {
		t.Errorf("first %q; the slow one %d times", first, removed[slow])
	}
	if err := l.Remove(t.Context()); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

// A namespace is removed only if it bears the run's labels.
func TestRemoveNamespace(t *testing.T) {
	for run, left := range map[string]int{"r": 0, "other": 1} {
		a, l := opened(t)
		a.Put("/api/v1/namespaces/n", of(run, nil))
		a.Put(inN+"services/bakeoff-controller", of("r", nil))
		if err := l.Remove(t.Context()); err != nil || len(a.Objects()) != left {
			t.Errorf("of run %s: %v, left %q", run, err, a.Objects())
		}
	}
}

// A run's own namespace stays where another run has objects in it, and that run is named.
func TestRemoveNamespaceOfTwo(t *testing.T) {
	a, l := opened(t)
	there := []string{"/api/v1/namespaces/n", inN + "secrets/bakeoff-run", inN + "services/bakeoff-controller"}
	for i, run := range []string{"r", "other", "r"} {
		a.Put(there[i], of(run, nil))
	}
	if err := l.Remove(t.Context()); err == nil || !strings.Contains(err.Error(), "n is run r's own, but holds run other") || !slices.Equal(a.Objects(), there) {
		t.Errorf("%v, left %q", err, a.Objects())
	}
	if err := l.At("n", "other").Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Remove(t.Context()); err != nil || len(a.Objects()) > 0 {
		t.Errorf("alone: %v, left %q", err, a.Objects())
	}
}

// A run's own namespace stays with what is not bakeoff's in it, which is named; what the run has made goes. Objects that clusters put into
// every namespace, and those that others own, keep none.
func TestRemoveNamespaceWithTheirs(t *testing.T) {
	a, l := opened(t)
	ns, theirs := "/api/v1/namespaces/n", "/apis/apps/v1/namespaces/n/deployments/theirs"
	a.Put(ns, of("r", nil))
	a.Put(inN+"services/bakeoff-controller", of("r", nil))
	a.Put(inN+"configmaps/kube-root-ca.crt", map[string]any{})
	a.Put(theirs, map[string]any{})
	cron := "/apis/batch/v1/namespaces/n/cronjobs/nightly"
	a.Put(cron, map[string]any{})
	owned := map[string]any{"metadata": map[string]any{"ownerReferences": []any{map[string]any{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "theirs-1", "uid": "x"}}}}
	a.Put(inN+"pods/theirs-1-x", owned)
	want := []string{ns, inN + "configmaps/kube-root-ca.crt", inN + "pods/theirs-1-x", theirs, cron}
	if err := l.Remove(t.Context()); err == nil || !strings.Contains(err.Error(), "namespace n is run r's own, but holds what is not bakeoff's, and stays: Deployment theirs") ||
		!slices.Equal(a.Objects(), slices.Sorted(slices.Values(want))) {
		t.Errorf("%v, left %q", err, a.Objects())
	}
	a.Drop(theirs)
	if err := l.Remove(t.Context()); err == nil || !strings.Contains(err.Error(), "and stays: CronJob nightly") || len(a.Objects()) != len(want)-1 {
		t.Errorf("%v, left %q", err, a.Objects())
	}
	a.Drop(cron)
	if err := l.Remove(t.Context()); err != nil || len(a.Objects()) > 0 {
		t.Errorf("without them: %v, left %q", err, a.Objects())
	}
}

// Who may not list namespaces is shown how to look into one.
func TestFindWithoutRights(t *testing.T) {
	a, l := opened(t)
	a.Before = func(method, path string) int {
		if path == "/api/v1/namespaces" {
			return http.StatusForbidden
		}
		return 0
	}
	if _, err := l.Find(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "where it is named: --namespace") {
		t.Errorf("%v", err)
	}
	if found, err := l.Find(t.Context(), "n"); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// The logs of all pods of the run, of containers that were started, and the events of bakeoff's objects are kept.
func TestEvidence(t *testing.T) {
	a, l := opened(t)
	running := map[string]any{"running": map[string]any{}}
	a.Put(inN+"pods/bakeoff-target-a-1", of("r", map[string]any{"status": map[string]any{
		"initContainerStatuses": []any{map[string]any{"name": "sampler", "state": running}},
		"containerStatuses":     []any{map[string]any{"name": "main", "state": running, "restartCount": 2}},
	}}))
	a.Put(inN+"pods/bakeoff-agent-0-x", of("r", map[string]any{"status": map[string]any{
		"containerStatuses": []any{map[string]any{"name": "main", "state": map[string]any{"waiting": map[string]any{"reason": "ErrImagePull"}}}},
	}}))
	a.Put(inN+"pods/theirs", of("other", map[string]any{"status": map[string]any{"containerStatuses": []any{map[string]any{"name": "main", "state": running}}}}))
	for name, about := range map[string]string{"e1": "bakeoff-agent-0-x", "e2": "theirs", "e3": "storage-bakeoff-database-0"} {
		a.Put(inN+"events/"+name, map[string]any{
			"type": "Warning", "reason": "Failed", "message": "no\nimage", "lastTimestamp": "2026-11-28T12:00:00Z",
			"involvedObject": map[string]any{"kind": "Pod", "name": about},
		})
	}
	dir := filepath.Join(t.TempDir(), "cluster")
	if found, err := l.Evidence(t.Context(), dir); err != nil || found.Files != 4 || len(found.Lost) > 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	var names []string
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		names = append(names, e.Name())
	}
	want := []string{"bakeoff-target-a-1-main-previous.log", "bakeoff-target-a-1-main.log", "bakeoff-target-a-1-sampler.log", "events.txt"}
	if !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
	text, err := os.ReadFile(filepath.Join(dir, "events.txt"))
	if err != nil || string(text) != "2026-11-28T12:00:00Z Warning Pod/bakeoff-agent-0-x Failed: no image\n"+
		"2026-11-28T12:00:00Z Warning Pod/storage-bakeoff-database-0 Failed: no image\n" {
		t.Errorf("%q, %v", text, err)
	}
	a.Before = func(_, path string) int {
		if strings.HasSuffix(path, "-1/log") {
			return http.StatusForbidden
		}
		return 0
	}
	found, err := l.Evidence(t.Context(), dir)
	unread, rerr := os.ReadFile(filepath.Join(dir, "unread.txt"))
	if err != nil || rerr != nil || len(found.Lost) != 3 || strings.Count(string(unread), "log of bakeoff-target-a-1, ") != 3 {
		t.Errorf("logs that cannot be read: %+v, %v, %q, %v", found, err, unread, rerr)
	}
	away := 2
	a.Before = func(string, string) int {
		if away--; away >= 0 {
			return http.StatusServiceUnavailable
		}
		return 0
	}
	if _, err := l.Evidence(t.Context(), dir); err != nil {
		t.Errorf("the cluster was away for a second: %v", err)
	}
	a.Before = nil
	if _, err := l.Evidence(t.Context(), "/dev/null/cluster"); err == nil {
		t.Error("a folder that cannot be made is no error")
	}
	none := filepath.Join(t.TempDir(), "none")
	if found, err := l.At("n", "q").Evidence(t.Context(), none); err != nil || found.Files != 1 { // the events of the namespace
		t.Errorf("%+v, %v", found, err)
	}
	if found, err := l.At("m", "q").Evidence(t.Context(), none+"2"); err != nil || found.Files > 0 {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := os.Stat(none + "2"); err == nil {
		t.Error("a folder for nothing")
	}
}

// beginning are the objects that begin a run in the namespace n.
func beginning(t *testing.T, run string) []kube.Object {
	t.Helper()
	w := controller()
	w.Rights, w.Main.Image, w.Files = true, "r.example/bakeoff:1", map[string]string{"plan.yaml": "name: x"}
	scope := platform.Scope{Run: run, Namespace: "n", Secrets: map[string]map[string]string{"run": {"token": run}}}
	objects, err := kube.Render(scope, []platform.Workload{w})
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// Objects are made, and owned by the Job among them. A second time nothing changes; what another run has is left to it.
func TestCreate(t *testing.T) {
	a, l := opened(t)
	for range 2 { // the answers to the first requests may have been lost
		if err := l.Create(t.Context(), beginning(t, "r")); err != nil {
			t.Fatal(err)
		}
	}
	there, job := a.Objects(), a.UID(jobs+"bakeoff-controller")
	for _, at := range there {
		if by := a.Owners(at); !slices.Equal(by, []string{job}) && at != jobs+"bakeoff-controller" {
			t.Errorf("%s is owned by %q, want %s", at, by, job)
		}
	}
	if len(there) != 7 || job == "" {
		t.Errorf("the Job is %q of %q", job, there)
	}
	other := l.At("n", "q")
	var taken kube.Taken
	if err := other.Create(t.Context(), beginning(t, "q")); !errors.As(err, &taken) || taken.Run != "r" || taken.Name != "bakeoff-controller" {
		t.Errorf("%v", err)
	}
	if err := other.Remove(t.Context()); err != nil || !slices.Equal(a.Objects(), there) || a.UID(jobs+"bakeoff-controller") != job {
		t.Errorf("%v, left %q of %q", err, a.Objects(), there)
	}
	a.Drop(inN + "serviceaccounts/bakeoff-controller")
	a.Put(inN+"serviceaccounts/bakeoff-controller", map[string]any{})
	if err := other.Create(t.Context(), beginning(t, "q")); !errors.As(err, &taken) || taken.Run != "" || !strings.Contains(err.Error(), "it is not of a run") {
		t.Errorf("of nobody: %v", err)
	}
}

// The controller's pod is waited for; why it cannot come up ends the waiting.
func TestController(t *testing.T) {
	a, l := opened(t)
	a.Put(inN+"pods/bakeoff-controller-x", conducting("Pending", map[string]any{"waiting": map[string]any{"reason": "ContainerCreating"}}))
	looks := 0
	a.Before = func(_, path string) int {
		if strings.HasSuffix(path, "/pods") {
			if looks++; looks == 2 {
				a.Put(inN+"pods/bakeoff-controller-x", conducting("Running", map[string]any{"running": map[string]any{}}))
			}
		}
		return 0
	}
	if pod, err := l.Controller(t.Context(), controller()); err != nil || pod != "bakeoff-controller-x" || looks != 2 {
		t.Errorf("%q after %d looks, %v", pod, looks, err)
	}
	a.Put(inN+"pods/bakeoff-controller-x", conducting("Pending", map[string]any{"waiting": map[string]any{
		"reason": "ErrImagePull", "message": "rpc error: code = NotFound desc = r.example/bakeoff:1: not found",
	}}))
	_, err := l.Controller(t.Context(), controller())
	var reason kube.Reason
	if !errors.As(err, &reason) || !strings.Contains(err.Error(), "r.example/bakeoff:1 is not in its registry") {
		t.Errorf("%v", err)
	}
}

// A cluster that does not know containers next to others is refused by its version; one that does not say what it is, is not.
func TestOld(t *testing.T) {
	for minor, old := range map[string]bool{"28": true, "28+": true, "29": false, "37+": false, "": false} {
		a, l := opened(t)
		if minor != "" {
			a.Put("/version", map[string]any{"major": "1", "minor": minor, "gitVersion": "v1." + minor})
		}
		if err := l.Old(t.Context()); (err != nil) != old || old && !strings.Contains(err.Error(), "a run needs 1.29 or later") {
			t.Errorf("1.%s: %v", minor, err)
		}
	}
}

// What the cluster has said of the Job of an earlier run, which had the same name, is no reason of this one.
func TestControllerAfterAnother(t *testing.T) {
	for uid, refused := range map[string]bool{"before": false, "now": true} {
		a, l := opened(t)
		a.Put(jobs+"bakeoff-controller", map[string]any{"metadata": map[string]any{"uid": "now"}})
		a.Put(inN+"events/e", map[string]any{
			"reason": "FailedCreate", "message": `pods "x" is forbidden: violates PodSecurity "restricted:latest"`,
			"involvedObject": map[string]any{"kind": "Job", "name": "bakeoff-controller", "uid": uid},
		})
		looks := 0
		a.Before = func(_, path string) int {
			if strings.HasSuffix(path, "/pods") {
				if looks++; looks == 2 {
					a.Put(inN+"pods/bakeoff-controller-x", conducting("Running", map[string]any{"running": map[string]any{}}))
				}
			}
			return 0
		}
		if _, err := l.Controller(t.Context(), controller()); (err != nil) != refused || refused && !strings.Contains(err.Error(), "violates PodSecurity") {
			t.Errorf("of the Job %s: %v", uid, err)
		}
	}
}

// A pod that has ended, or was removed, does not come back; one that runs may, and so may a cluster that does not answer.
func TestGone(t *testing.T) {
	a, l := opened(t)
	ended := map[string]any{"terminated": map[string]any{"reason": "OOMKilled", "exitCode": 137}}
	for name, pod := range map[string]map[string]any{
		"": conducting("Running", map[string]any{"running": map[string]any{}}), "has ended": conducting("Failed", ended), "was removed": nil,
	} {
		a.Drop(inN + "pods/p")
		if pod != nil {
			a.Put(inN+"pods/p", pod)
		}
		err := l.Gone(t.Context(), "p")
		if (err == nil) != (name == "") || err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", name, err)
		}
	}
	a.Before = func(string, string) int { return http.StatusServiceUnavailable }
	if err := l.Gone(t.Context(), "p"); err != nil {
		t.Errorf("the cluster does not answer: %v", err)
	}
}

// What goes to the URL of a proxy reaches the pod, with its header and as it was asked for.
func TestProxy(t *testing.T) {
	a, l := opened(t)
	var asked string
	a.Proxy = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = fmt.Sprint(r.Method, " ", r.URL.Path, " ", r.URL.RawQuery, " ", r.Header.Get("X-Bakeoff-Token"))
		fmt.Fprint(w, "from the pod")
	})
	transport, base, err := l.Proxy("p", 8080)
	if err != nil || base != a.URL+"/api/v1/namespaces/n/pods/p:8080/proxy" {
		t.Fatalf("%q, %v", base, err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/file/a%20b?offset=3", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Bakeoff-Token", "t")
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || string(text) != "from the pod" || asked != "POST /file/a b offset=3 t" {
		t.Errorf("%q, %q, %v", text, asked, err)
	}
}

// The token is that of the run, from a secret that the run has.
func TestToken(t *testing.T) {
	a, l := opened(t)
	if _, err := l.Token(t.Context(), "run", "token"); err == nil {
		t.Error("there is none")
	}
	a.Put(inN+"secrets/bakeoff-run", of("other", map[string]any{"data": map[string]any{"token": []byte("x")}}))
	if _, err := l.Token(t.Context(), "run", "token"); err == nil || !strings.Contains(err.Error(), "holds run other") {
		t.Errorf("of another run: %v", err)
	}
	a.Put(inN+"secrets/bakeoff-run", of("r", map[string]any{"data": map[string]any{"token": []byte("secret")}}))
	if got, err := l.Token(t.Context(), "run", "token"); err != nil || got != "secret" {
		t.Errorf("%q, %v", got, err)
	}
}

// The runs of a namespace are found by any object, those that have a namespace of their own by that, those in others by their Jobs.
func TestFind(t *testing.T) {
	a, l := opened(t)
	a.Put("/api/v1/namespaces/own", of("mine", nil))
	a.Put("/api/v1/namespaces/theirs", map[string]any{"metadata": map[string]any{"labels": map[string]any{"app.kubernetes.io/managed-by": "helm"}}})
	a.Put(inN+"secrets/bakeoff-run", of("left", nil))
	a.Put(inN+"pods/bakeoff-controller-x", conducting("Running", nil))
	a.Put("/apis/batch/v1/namespaces/theirs/jobs/bakeoff-controller", of("guest", nil))
	a.Put("/apis/batch/v1/namespaces/theirs/jobs/other", map[string]any{"metadata": map[string]any{"labels": map[string]any{"app.kubernetes.io/managed-by": "helm"}}})
	guest := kube.Found{Namespace: "theirs", Run: "guest"}
	for namespace, want := range map[string][]kube.Found{
		"": {{Namespace: "own", Run: "mine"}, guest}, "n": {{Namespace: "n", Run: "left"}, {Namespace: "n", Run: "r", Answers: true, InProgress: true}}, "theirs": {guest}, "else": nil,
	} {
		if got, err := l.Find(t.Context(), namespace); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %+v, %v", namespace, got, err)
		}
	}
	a.Before = func(_, path string) int {
		if path == "/api/v1/namespaces/theirs/pods" {
			return http.StatusForbidden
		}
		return 0
	}
	if got, err := l.Find(t.Context(), ""); err != nil || len(got) != 1 || got[0].Run != "mine" {
		t.Errorf("without rights where others are: %+v, %v", got, err)
	}
	if _, err := l.Find(t.Context(), "theirs"); err == nil {
		t.Error("nothing was seen there")
	}
	a.Before = func(_, path string) int {
		if path == "/apis/batch/v1/jobs" {
			return http.StatusForbidden
		}
		return 0
	}
	if got, err := l.Find(t.Context(), ""); err != nil || len(got) != 1 || got[0].Run != "mine" {
		t.Errorf("without the right to list all Jobs: %+v, %v", got, err)
	}
}

// A run is in progress until its controller has ended, and while it may just be starting.
func TestFindInProgress(t *testing.T) {
	for name, c := range map[string]struct {
		phase               string        // of the controller's pod; empty: there is none
		ending              time.Duration // since when it was to have ended; 0: it is not to end
		age                 time.Duration
		answers, inProgress bool
		over                bool
	}{
		"just begun":       {age: time.Minute, inProgress: true},
		"never got a pod":  {age: time.Hour},
		"waits for a node": {phase: "Pending", age: time.Hour, inProgress: true},
		"runs":             {phase: "Running", age: time.Hour, answers: true, inProgress: true},
		"out of reach":     {phase: "Unknown", age: time.Hour, inProgress: true},
		"has ended":        {phase: "Succeeded", age: time.Minute, over: true},
		"has failed":       {phase: "Failed", age: time.Minute},
		"is ending":        {phase: "Running", ending: 10 * time.Second, age: time.Hour, answers: true, inProgress: true},
		"its node is lost": {phase: "Running", ending: 2 * time.Minute, age: time.Hour},
	} {
		made := time.Now().Add(-c.age).UTC().Format(time.RFC3339)
		for namespace, at := range map[string]string{"": "/api/v1/namespaces/n", "n": inN + "secrets/bakeoff-run"} {
			a, l := opened(t)
			object := of("r", nil)
			object["metadata"].(map[string]any)["creationTimestamp"] = made
			a.Put(at, object)
			if c.phase != "" {
				pod := conducting(c.phase, nil)
				if c.ending > 0 {
					pod["metadata"].(map[string]any)["deletionTimestamp"] = time.Now().Add(-c.ending).UTC().Format(time.RFC3339)
				}
				a.Put(inN+"pods/bakeoff-controller-x", pod)
			}
			want := []kube.Found{{Namespace: "n", Run: "r", Answers: c.answers, InProgress: c.inProgress, Over: c.over}}
			if got, err := l.Find(t.Context(), namespace); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s, in %q: %+v, %v", name, namespace, got, err)
			}
		}
	}
}

// The Role in docs/kubernetes.md has every right that a run needs, and no other.
func TestDocumentedRole(t *testing.T) {
	text, err := os.ReadFile("../../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, role, _ := strings.Cut(string(text), "## Rights")
	_, role, _ = strings.Cut(role, "```yaml\n")
	role, _, _ = strings.Cut(role, "```")
	var documented struct {
		Rules []struct {
			APIGroups, Resources, Verbs []string
		}
	}
	var tree map[string]any
	if err := yaml.Unmarshal([]byte(role), &tree); err != nil {
		t.Fatal(err)
	}
	decode(t, tree, &documented)
	has := map[string]bool{}
	for _, r := range documented.Rules {
		for _, group := range r.APIGroups {
			rights(has, kube.Rule{Group: group, Resources: r.Resources, Verbs: r.Verbs})
		}
	}
	_, workloads := kube.Everything()
	needs := map[string]bool{}
	for _, r := range kube.LaptopRules(workloads) {
		rights(needs, r)
	}
	for one := range needs {
		if !has[one] {
			t.Errorf("missing: %s", one)
		}
	}
	for one := range has {
		if !needs[one] {
			t.Errorf("not needed: %s", one)
		}
	}
}

func rights(into map[string]bool, r kube.Rule) {
	for _, resource := range r.Resources {
		for _, verb := range r.Verbs {
			into[verb+" "+resource+" "+r.Group] = true
		}
	}
}

func decode(t *testing.T, tree, into any) {
	t.Helper()
	text, err := json.Marshal(tree)
	if err := errors.Join(err, json.Unmarshal(text, into)); err != nil {
		t.Fatal(err)
	}
}
