package kube

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"bakeoff/internal/platform"
)

// What the cluster puts before pods leads every path of one host to a service of an address of its own, and bears the plan's annotations.
func TestFronts(t *testing.T) {
	objects := render(t)
	service := read[core.Service](t, objects, "Service", "bakeoff-front-a")
	if s := service.Spec; s.Type != core.ServiceTypeClusterIP || s.ClusterIP != "" || s.Selector[labelName] != "bakeoff-target-a" || s.Ports[0].Port != 8080 || s.Ports[0].TargetPort.IntValue() != 8080 {
		t.Errorf("%+v", s)
	}
	ingress := read[networking.Ingress](t, objects, "Ingress", "bakeoff-front-b")
	rule := ingress.Spec.Rules[0]
	if path := rule.HTTP.Paths[0]; *ingress.Spec.IngressClassName != "fast" || rule.Host != "b.bench.example" || path.Path != "/" || *path.PathType != networking.PathTypePrefix ||
		path.Backend.Service.Name != "bakeoff-front-b" || path.Backend.Service.Port.Number != 8080 || ingress.Annotations["c.example/d"] != "2" {
		t.Errorf("%+v", ingress)
	}
	route := read[httpRoute](t, objects, "HTTPRoute", "bakeoff-front-c")
	if s := route.Spec; s.ParentRefs[0] != (parentRef{"shared", "gateways"}) || !slices.Equal(s.Hostnames, []string{"c.bench.example"}) ||
		s.Rules[0].BackendRefs[0] != (backendRef{"bakeoff-front-c", 8080}) || route.Annotations["c.example/d"] != "2" {
		t.Errorf("%+v", s)
	}
	for _, name := range []string{"bakeoff-front-b", "bakeoff-front-c"} {
		if s := read[core.Service](t, objects, "Service", name); s.Annotations["c.example/d"] != "2" || s.Labels[labelTarget] == "" {
			t.Errorf("%s: %+v", name, s.ObjectMeta)
		}
	}
}

// The controller gets rights on what leads to services only where the run has such things, and none to read them.
func TestFrontRights(t *testing.T) {
	s, workloads := everything()
	rights := func(front string) (out []string) {
		kept := slices.DeleteFunc(slices.Clone(workloads), func(w platform.Workload) bool { return w.Front.Kind != "" && w.Front.Kind != front })
		objects, err := Render(s, kept)
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range read[rbac.Role](t, objects, "Role", "bakeoff-controller").Rules {
			if rule.APIGroups[0] == groupIngress || rule.APIGroups[0] == groupRoute {
				out = append(out, strings.Join(rule.Resources, " ")+": "+strings.Join(rule.Verbs, " "))
			}
		}
		return out
	}
	for front, want := range map[string][]string{
		"": nil, platform.FrontService: nil, platform.FrontIngress: {"ingresses: create patch delete"}, platform.FrontRoute: {"httproutes: create patch delete"},
	} {
		if got := rights(front); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", front, got, want)
		}
	}
}

// An Ingress is reached where its status says; where it says nothing, the message says what to do.
func TestPublished(t *testing.T) {
	for _, c := range []struct {
		status, class, want, why string
	}{
		{status: `{"loadBalancer":{"ingress":[{"ip":"10.0.0.5"}]}}`, want: "10.0.0.5"},
		{status: `{"loadBalancer":{"ingress":[{},{"hostname":"lb.example"}]}}`, want: "lb.example"},
		{status: `{}`, why: "no controller serves the default class of the cluster, or it publishes none, as behind a ClusterIP"},
		{status: `{"loadBalancer":{"ingress":[]}}`, class: `"ingressClassName":"fast"`, why: "no controller serves the class fast"},
	} {
		got, why, err := served(platform.Front{Kind: platform.FrontIngress}, []byte(`{"spec":{`+c.class+`},"status":`+c.status+`}`))
		if err != nil || got != c.want || (why.Text == "") != (c.why == "") || !strings.Contains(why.Text, c.why) {
			t.Errorf("%s: %q, %+v, %v", c.status, got, why, err)
		}
		if why.Text != "" && !strings.Contains(why.Hint, "balancer.address") {
			t.Errorf("%s: %q", c.status, why.Hint)
		}
	}
}

// A route is served once its own Gateway has accepted the route as it is now, and has found what it leads to.
func TestRouted(t *testing.T) {
	parent := func(name string, conditions ...string) string {
		return `{"parentRef":{"name":"` + name + `","namespace":"gateways"},"conditions":[` + strings.Join(conditions, ",") + `]}`
	}
	condition := func(kind, status, generation string) string {
		return `{"type":"` + kind + `","status":"` + status + `","observedGeneration":` + generation + `,"reason":"R","message":"M m"}`
	}
	for name, c := range map[string]struct {
		parents []string
		why     string // empty: it is served
		settles bool   // the reason is believed before the time is up
	}{
		"served":                        {parents: []string{parent("other"), parent("shared", condition("Accepted", "True", "3"), condition("ResolvedRefs", "True", "3"))}},
		"nobody has looked at it":       {why: "no controller has looked at its HTTPRoute: is there a Gateway gateways/shared"},
		"another Gateway's":             {parents: []string{parent("other", condition("Accepted", "True", "3"), condition("ResolvedRefs", "True", "3"))}, why: "no controller has looked"},
		"as it was before":              {parents: []string{parent("shared", condition("Accepted", "True", "2"), condition("ResolvedRefs", "True", "3"))}, why: "has not said whether its HTTPRoute is Accepted"},
		"half":                          {parents: []string{parent("shared", condition("Accepted", "True", "3"))}, why: "has not said whether its HTTPRoute is ResolvedRefs"},
		"not known yet":                 {parents: []string{parent("shared", condition("Accepted", "Unknown", "3"))}, why: "has not said whether its HTTPRoute is Accepted"},
		"refused":                       {parents: []string{parent("shared", condition("Accepted", "False", "3"))}, why: "not Accepted: R M m", settles: true},
		"what it leads to is not there": {parents: []string{parent("shared", condition("Accepted", "True", "3"), condition("ResolvedRefs", "False", "3"))}, why: "not ResolvedRefs: R M m", settles: true},
	} {
		front := platform.Front{Kind: platform.FrontRoute, Gateway: "shared", Namespace: "gateways", Address: "10.0.0.9"}
		got, why, err := served(front, []byte(`{"metadata":{"generation":3},"status":{"parents":[`+strings.Join(c.parents, ",")+`]}}`))
		if c.why == "" {
			if err != nil || got != "10.0.0.9" {
				t.Errorf("%s: %q, %+v, %v", name, got, why, err)
			}
			continue
		}
		if err != nil || got != "" || !strings.Contains(why.Text, c.why) || (why.after != never) != c.settles {
			t.Errorf("%s: %q, %+v, %v", name, got, why, err)
		}
	}
}

// A front is waited for by applying it again, which needs no right to read it; it goes before the pods do.
func TestFront(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := django()
		w.Front = platform.Front{Kind: platform.FrontIngress, Name: "front-django", Port: 8080, Host: "django.bench.example", Class: "fast"}
		s := newSite(t, w)
		var asked []string
		s.refuse = func(r *http.Request) error {
			if strings.Contains(r.URL.Path, "/ingresses") {
				asked = append(asked, r.Method)
			}
			return nil
		}
		r := s.run(t, Options{})
		defer r.Close()
		if _, err := r.Front(t.Context(), w.Name); err == nil {
			t.Error("a front of nothing")
		}
		if _, err := r.Deploy(t.Context(), w, ""); err != nil {
			t.Fatal(err)
		}
		ingresses := s.NetworkingV1().Ingresses("ns")
		time.AfterFunc(3*time.Second, func() {
			i, err := ingresses.Get(context.Background(), "bakeoff-front-django", meta.GetOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			i.Status.LoadBalancer.Ingress = []networking.IngressLoadBalancerIngress{{IP: "10.0.0.5"}}
			if _, err := ingresses.UpdateStatus(context.Background(), i, meta.UpdateOptions{}); err != nil {
				t.Error(err)
			}
		})
		began := time.Now()
		if at, err := r.Front(t.Context(), w.Name); err != nil || at != "10.0.0.5" || time.Since(began) < 3*time.Second || time.Since(began) > 5*time.Second {
			t.Errorf("%q after %v, %v", at, time.Since(began), err)
		}
		if slices.Contains(asked, http.MethodGet) || len(asked) < 3 {
			t.Errorf("asked by %q", asked)
		}
		if err := r.Remove(t.Context(), w.Name); err != nil {
			t.Fatal(err)
		}
		if _, err := ingresses.Get(t.Context(), "bakeoff-front-django", meta.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("the Ingress is there: %v", err)
		}
	})
}

// The removal of a front lasts until its object is gone, which the controller that serves it may delay; one that takes too long names it.
func TestFrontRemovalLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := django()
		w.Front = platform.Front{Kind: platform.FrontIngress, Name: "front-django", Port: 8080, Host: "django.bench.example"}
		s := newSite(t, w)
		held := time.Now().Add(time.Hour)
		s.PrependReactor("delete", "ingresses", func(clienttesting.Action) (bool, runtime.Object, error) {
			return time.Now().Before(held), nil, nil
		})
		r := s.run(t, Options{})
		defer r.Close()
		if _, err := r.Deploy(t.Context(), w, ""); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := r.Remove(short, w.Name)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "django is not removed: ") || !strings.Contains(err.Error(), "left: the Ingress bakeoff-front-django") {
			t.Errorf("%v", err)
		}
		began := time.Now()
		held = began.Add(10 * time.Second)
		if err := r.Remove(t.Context(), w.Name); err != nil || time.Since(began) < 10*time.Second {
			t.Errorf("removed after %v, %v", time.Since(began), err)
		}
	})
}

// Where nobody serves a front, that is said with the line that shows more.
func TestFrontUnserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := django()
		w.Front = platform.Front{Kind: platform.FrontIngress, Name: "front-django", Port: 8080, Host: "django.bench.example"}
		r := newSite(t, w).run(t, Options{})
		defer r.Close()
		if _, err := r.Deploy(t.Context(), w, ""); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err := r.Front(t.Context(), w.Name)
		want := "balancer of django: its Ingress has no address after 1m0s: no controller serves the default class of the cluster, or it publishes none, as behind a ClusterIP; " +
			"balancer.address says where connections are made (kubectl describe Ingress bakeoff-front-django -n ns)"
		if err == nil || err.Error() != want || time.Since(began) < servedWithin {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// A cluster without the Gateway API is distinguished from one without the namespace.
func TestNoGatewayAPI(t *testing.T) {
	gone := &apierrors.StatusError{ErrStatus: meta.Status{Reason: meta.StatusReasonNotFound, Code: 404, Message: "the server could not find the requested resource"}}
	if why := (Object{Kind: "HTTPRoute"}).why(gone); !strings.Contains(why, "the Gateway API is not installed") {
		t.Error(why)
	}
	gone.ErrStatus.Message = `namespaces "n" not found`
	if why := (Object{Kind: "HTTPRoute"}).why(gone); why != gone.ErrStatus.Message {
		t.Error(why)
	}
	if why := (Object{Kind: "Service"}).why(errors.New("x")); why != "x" {
		t.Error(why)
	}
}

// Objects of kinds that not every cluster knows, or that who removes a run may not list, are none.
func TestFrontsThatNobodyLists(t *testing.T) {
	for _, refusal := range []error{
		apierrors.NewForbidden(networking.Resource("ingresses"), "", errors.New("no")),
		&apierrors.StatusError{ErrStatus: meta.Status{Reason: meta.StatusReasonNotFound, Code: 404}},
	} {
		f := newFakeServer()
		f.refuse = func(*http.Request) error { return refusal }
		c := fakeCluster(t, f)
		for _, k := range removable() {
			got, err := c.objects(t.Context(), k, "ns", nil)
			if asked := k.name == "Ingress" || k.name == "HTTPRoute"; (err == nil) != asked || len(got) > 0 {
				t.Errorf("%s: %v, %v", k.name, got, err)
			}
		}
	}
}
