package kube

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"bakeoff/internal/platform"
)

// Every kind is applied, by our name, and an object that is there keeps what others manage in it.
func TestApply(t *testing.T) {
	objects := render(t)
	client := newFakeServer(&core.ConfigMap{ObjectMeta: meta.ObjectMeta{Name: "bakeoff-pages", Namespace: "ns", Labels: map[string]string{"theirs": "1"}}})
	c := fakeCluster(t, client)
	for _, o := range objects {
		if err := c.apply(t.Context(), o, false); err != nil {
			t.Errorf("%s %s: %v", o.Kind, o.Name, err)
		}
	}
	d, err := client.AppsV1().Deployments("ns").Get(t.Context(), "bakeoff-target-django", meta.GetOptions{})
	if err != nil || *d.Spec.Replicas != 3 || len(d.ManagedFields) != 1 || d.ManagedFields[0].Manager != "bakeoff" {
		t.Errorf("%+v, %v", d, err)
	}
	for _, a := range client.Actions() {
		if a.Matches("patch", "secrets") {
			t.Errorf("a secret that was not there is patched: %v", a)
		}
	}
	pages, err := client.CoreV1().ConfigMaps("ns").Get(t.Context(), "bakeoff-pages", meta.GetOptions{})
	if err != nil || pages.Labels["theirs"] != "1" || pages.Labels["grafana_dashboard"] != "1" {
		t.Errorf("%+v, %v", pages, err)
	}
	at := slices.IndexFunc(objects, func(o Object) bool { return o.Kind == "Secret" })
	secret, err := client.CoreV1().Secrets("ns").Get(t.Context(), objects[at].Name, meta.GetOptions{})
	if err != nil || len(secret.StringData) == 0 || secret.Type != core.SecretTypeOpaque || secret.Labels[labelManager] != "bakeoff" {
		t.Errorf("%+v, %v", secret, err)
	}
	if err := c.apply(t.Context(), objects[at], false); err != nil {
		t.Errorf("a secret that is there already: %v", err)
	}
	for _, kind := range kinds() {
		if !slices.ContainsFunc(objects, func(o Object) bool { return o.Kind == kind.name }) {
			t.Errorf("no %s", kind.name)
		}
	}
}

// A check asks for dry runs only, and returns what the API refuses, or warns of, by the object's name; a cluster that does
// not answer is an error.
func TestCheck(t *testing.T) {
	objects := render(t)
	client := newFakeServer()
	refuse := schema.GroupResource{Group: "apps", Resource: "deployments"}
	looked, asked := "", 0
	client.PrependReactor("create", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		create := a.(clienttesting.CreateActionImpl)
		head, err := apimeta.Accessor(create.Object)
		if err != nil || !slices.Equal(create.CreateOptions.DryRun, []string{meta.DryRunAll}) {
			t.Errorf("%s is no dry run, %v", create.Resource.Resource, err)
			return true, create.Object, err
		}
		looked = create.Resource.Resource + "/" + head.GetName()
		if looked == "deployments/bakeoff-target-django" {
			return true, nil, apierrors.NewForbidden(refuse, head.GetName(), errors.New("no such\n right"))
		}
		return true, create.Object, nil
	})
	client.warn = func(*http.Request) string {
		asked++
		if looked == "jobs/bakeoff-agent-0" {
			looked = ""
			return "would violate PodSecurity"
		}
		return ""
	}
	c := fakeCluster(t, client)
	got, err := c.Check(t.Context(), objects)
	if err != nil || len(got) != 2 || got[0].Name != "bakeoff-target-django" || !strings.Contains(got[0].String(), "no such right") ||
		got[1].String() != "Job bakeoff-agent-0: would violate PodSecurity" {
		t.Errorf("%q, %v", got, err)
	}
	if asked != len(objects) {
		t.Errorf("%d requests for %d objects", asked, len(objects))
	}
	client.leave(true)
	if got, err := c.Check(t.Context(), objects); err == nil || !strings.Contains(err.Error(), "connection refused") || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
}

// What is there already is refused by its name, and it is said whose it is: whatever is applied would take it over.
func TestCheckTaken(t *testing.T) {
	objects := render(t)
	for want, labels := range map[string]map[string]string{
		"it is not of a run":    {"theirs": "1"},
		"it is of run before-1": {labelManager: platform.Manager, labelRun: "before-1"},
	} {
		client := newFakeServer(&core.ConfigMap{ObjectMeta: meta.ObjectMeta{Name: "bakeoff-pages", Namespace: "ns", Labels: labels}})
		got, err := fakeCluster(t, client).Check(t.Context(), objects)
		if err != nil || len(got) != 1 || got[0].Run != labels[labelRun] || !strings.HasPrefix(got[0].String(), "ConfigMap bakeoff-pages: "+want) {
			t.Errorf("%q, %v, want %s", got, err, want)
		}
	}
}

func TestOpen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	t.Setenv("KUBECONFIG", file)
	if _, err := Open(""); err == nil || !strings.Contains(err.Error(), "no cluster is configured: KUBECONFIG") {
		t.Errorf("without a configuration: %v", err)
	}
	if err := os.WriteFile(file, []byte(`
apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
users: [{name: a, user: {token: t}}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("b"); err == nil || !strings.Contains(err.Error(), `"b"`) {
		t.Errorf("a context that is not there: %v", err)
	}
	c, err := Open("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Check(t.Context(), []Object{render(t)[0]}); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("nobody answers: %v", err)
	}
}
