package kube

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"bakeoff/internal/platform"
)

// A server is a real cluster, with client-go's typed client in addition to ours.
type server struct {
	*Cluster
	client kubernetes.Interface
}

// realCluster is the one of the kubeconfig; as is who asks, or its owner where that is empty.
func realCluster(t *testing.T, as string) server {
	t.Helper()
	if os.Getenv("BAKEOFF_KUBE") != "1" {
		t.Skip("SKIPPED: make test-kube-api runs this, with a cluster in KUBECONFIG")
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	config.Impersonate = rest.ImpersonationConfig{UserName: as}
	c, err := open(config)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	s := server{c, client}
	if as == "" {
		routes.make(t, s)
	}
	return s
}

// definition is that of HTTPRoute, which a cluster need not have: one that a test has made is removed after all of them.
type definition struct {
	once sync.Once
	made *server
}

var routes definition

const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

func (d *definition) make(t *testing.T, s server) {
	t.Helper()
	d.once.Do(func() {
		text, err := os.ReadFile("kubetest/httproute.json")
		if err != nil {
			t.Fatal(err)
		}
		err = s.api.create(t.Context(), definitions, text, false, nil)
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		if err == nil {
			d.made = &s
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := s.api.get(t.Context(), where(groupRoute, "default", "httproutes"), nil, nil)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestMain(m *testing.M) {
	code := m.Run()
	if s := routes.made; s != nil {
		if err := s.api.remove(context.Background(), definitions+"/httproutes."+groupRoute, meta.DeleteOptions{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// namespace makes one that is removed after the test, with a level of Pod Security.
func namespace(t *testing.T, c server, name, level string) {
	t.Helper()
	labels := map[string]string{"pod-security.kubernetes.io/enforce": level, "pod-security.kubernetes.io/warn": level}
	if _, err := c.client.CoreV1().Namespaces().Apply(t.Context(), coreac.Namespace(name).WithLabels(labels), meta.ApplyOptions{FieldManager: "test"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := c.client.CoreV1().Namespaces().Delete(ctx, name, meta.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// A real API server takes every object at the strictest level of Pod Security, without a warning, both as a dry run and
// applied; a second time nothing changes.
func TestAPITakesAll(t *testing.T) {
	c := realCluster(t, "")
	s, workloads := everything()
	s.Namespace, s.Own, s.Owner = "bakeoff-test-all", false, platform.Owner{} // whose owner is not there is removed
	namespace(t, c, s.Namespace, "restricted")
	objects, err := Render(s, workloads)
	if err != nil {
		t.Fatal(err)
	}
	if refused, err := c.Check(t.Context(), objects); err != nil || len(refused) > 0 {
		t.Fatalf("%q, %v", refused, err)
	}
	if _, err := c.client.CoreV1().Services(s.Namespace).Get(t.Context(), "bakeoff-database", meta.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a check has made a service: %v", err)
	}
	for range 2 {
		for _, o := range objects {
			if err := c.apply(t.Context(), o, false); err != nil {
				t.Errorf("%s %s: %v", o.Kind, o.Name, err)
			}
		}
	}
	if seen := c.warnings.take(); len(seen) > 0 {
		t.Errorf("warnings %q", seen)
	}
	d, err := c.client.AppsV1().Deployments(s.Namespace).Get(t.Context(), "bakeoff-target-django", meta.GetOptions{})
	if err != nil || d.Generation != 1 {
		t.Errorf("applied twice it is generation %d, %v", d.Generation, err)
	}
}

// What is missing is said by the object's name: every right of somebody who has none, and a namespace.
func TestAPIRefuses(t *testing.T) {
	c := realCluster(t, "")
	s, workloads := everything()
	s.Namespace, s.Own = "bakeoff-test-none", false
	objects, err := Render(s, workloads)
	if err != nil {
		t.Fatal(err)
	}
	for name, who := range map[string]server{`namespaces "bakeoff-test-none" not found`: c, `User "nobody" cannot `: realCluster(t, "nobody")} {
		refused, err := who.Check(t.Context(), objects)
		if err != nil || len(refused) != len(objects) {
			t.Fatalf("%d of %d refused, %v", len(refused), len(objects), err)
		}
		for _, r := range refused {
			if !strings.Contains(r.Why, name) {
				t.Errorf("%s, want %s", r, name)
			}
		}
	}
}

// The controller has the rights that Rules name and no others: it may apply what it applies, and is refused what it
// must not do. What it has applied ends with its Job.
func TestAPIRights(t *testing.T) {
	c := realCluster(t, "")
	s, workloads := everything()
	s.Namespace, s.Own, s.Owner = "bakeoff-test-rights", false, platform.Owner{}
	namespace(t, c, s.Namespace, "restricted")
	controller := realCluster(t, "system:serviceaccount:"+s.Namespace+":bakeoff-controller")
	before, _ := split(t, s, workloads)
	for _, o := range before {
		if err := c.apply(t.Context(), o, false); err != nil {
			t.Fatal(err)
		}
		if err := controller.apply(t.Context(), o, true); strings.HasPrefix(o.Kind, "Role") && !apierrors.IsForbidden(err) {
			t.Errorf("the controller may apply %s: %v", o.Kind, err)
		}
	}
	job, err := c.client.BatchV1().Jobs(s.Namespace).Get(t.Context(), "bakeoff-controller", meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Owner = platform.Owner{Name: job.Name, UID: string(job.UID)}
	_, after := split(t, s, workloads)
	for _, o := range after {
		if err := controller.apply(t.Context(), o, false); err != nil {
			t.Errorf("%s %s: %v", o.Kind, o.Name, err)
		}
	}
	refusesRest(t, controller, s.Namespace)
	remove := meta.DeletePropagationBackground
	if err := c.client.BatchV1().Jobs(s.Namespace).Delete(t.Context(), job.Name, meta.DeleteOptions{PropagationPolicy: &remove}); err != nil {
		t.Fatal(err)
	}
	left := 1
	for deadline := time.Now().Add(time.Minute); left > 0 && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		all, err := c.client.AppsV1().Deployments(s.Namespace).List(t.Context(), meta.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		left = len(all.Items)
	}
	if left > 0 {
		t.Errorf("%d deployments are left without their Job", left)
	}
}

// split are the objects that a laptop applies, and those that the controller applies.
func split(t *testing.T, s platform.Scope, workloads []platform.Workload) (before, after []Object) {
	t.Helper()
	objects, err := Render(s, workloads)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o.Name == "bakeoff-controller" {
			before = append(before, o)
		} else {
			after = append(after, o)
		}
	}
	return before, after
}

// refusesRest asks for what the controller must not do, and for what it needs in addition to applying.
func refusesRest(t *testing.T, controller server, ns string) {
	t.Helper()
	core, foreground := controller.client.CoreV1(), meta.DeletePropagationForeground
	for what, err := range map[string]error{
		"reads a secret":      second(core.Secrets(ns).Get(t.Context(), "bakeoff-run", meta.GetOptions{})),
		"patches a secret":    second(core.Secrets(ns).Apply(t.Context(), coreac.Secret("bakeoff-run", ns), meta.ApplyOptions{FieldManager: "test"})),
		"removes a secret":    core.Secrets(ns).Delete(t.Context(), "bakeoff-run", meta.DeleteOptions{DryRun: []string{meta.DryRunAll}, PropagationPolicy: &foreground}),
		"lists secrets":       second(core.Secrets(ns).List(t.Context(), meta.ListOptions{})),
		"sees nodes":          second(core.Nodes().List(t.Context(), meta.ListOptions{})),
		"sees pods of others": second(core.Pods("default").List(t.Context(), meta.ListOptions{})),
		"makes a pod itself":  second(core.Pods(ns).Apply(t.Context(), coreac.Pod("p", ns), meta.ApplyOptions{FieldManager: "test"})),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("the controller %s: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"list pods":   second(core.Pods(ns).List(t.Context(), meta.ListOptions{})),
		"list events": second(core.Events(ns).List(t.Context(), meta.ListOptions{})),
		"remove":      controller.client.AppsV1().Deployments(ns).Delete(t.Context(), "bakeoff-nginx-django", meta.DeleteOptions{}),
	} {
		if err != nil {
			t.Errorf("the controller may not %s: %v", what, err)
		}
	}
	if _, err := core.Pods(ns).GetLogs("none", &corev1.PodLogOptions{}).DoRaw(t.Context()); !apierrors.IsNotFound(err) {
		t.Errorf("the controller may not read a log: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
