package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bakeoff/internal/platform"
)

// checkFront refuses a front that lacks something; seen are the names of objects, to which it adds its own.
func checkFront(f platform.Front, seen map[string]bool) error {
	name := platform.ObjectName(f.Name)
	switch {
	case f.Kind == "":
		return nil
	case !workloadText.MatchString(f.Name):
		return fmt.Errorf("%q is not the name of a front", f.Name)
	case seen[name]:
		return fmt.Errorf("its front and a workload are named %s", f.Name)
	case f.Port < 1:
		return errors.New("its front has no port")
	case f.Kind != platform.FrontService && f.Host == "":
		return errors.New("its front has no host")
	case f.Kind == platform.FrontRoute && f.Gateway == "":
		return errors.New("its front has no Gateway")
	}
	seen[name] = true
	return nil
}

// front adds what the cluster puts before the pods of a workload: a Service with an address of its own and, for the others, what leads
// to it. One without an address would leave it to each controller whether it asks the pods or the name.
func (r *renderer) front(w platform.Workload) {
	f := w.Front
	if f.Kind == "" {
		return
	}
	name := platform.ObjectName(f.Name)
	head := r.named(name, r.labelsOf(w), r.owners(w)...)
	head.Annotations = f.Annotations // some controllers read those of the Service that they send requests to
	r.add("Service", name, &core.Service{TypeMeta: typed("Service"), ObjectMeta: head, Spec: core.ServiceSpec{
		Type: core.ServiceTypeClusterIP, Selector: r.selector(w),
		Ports: []core.ServicePort{{Name: "http", Port: int32(f.Port), TargetPort: intstr.FromInt32(int32(f.Port))}},
	}})
	switch f.Kind {
	case platform.FrontIngress:
		r.add("Ingress", name, &networking.Ingress{TypeMeta: typed("Ingress"), ObjectMeta: head, Spec: ingressTo(f, name)})
	case platform.FrontRoute:
		r.add("HTTPRoute", name, &httpRoute{TypeMeta: typed("HTTPRoute"), ObjectMeta: head, Spec: routeTo(f, name)})
	}
}

// ingressTo leads every path of the host to a service.
func ingressTo(f platform.Front, service string) networking.IngressSpec {
	to := networking.IngressBackend{Service: &networking.IngressServiceBackend{Name: service, Port: networking.ServiceBackendPort{Number: int32(f.Port)}}}
	spec := networking.IngressSpec{Rules: []networking.IngressRule{{Host: f.Host, IngressRuleValue: networking.IngressRuleValue{
		HTTP: &networking.HTTPIngressRuleValue{Paths: []networking.HTTPIngressPath{{Path: "/", PathType: new(networking.PathTypePrefix), Backend: to}}},
	}}}}
	if f.Class != "" {
		spec.IngressClassName = &f.Class
	}
	return spec
}

// httpRoute is one of the Gateway API, as far as it is used here. The module of that API brings more than all the rest of it.
type httpRoute struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`
	Spec            routeSpec   `json:"spec"`
	Status          routeStatus `json:"status"`
}

type routeSpec struct {
	ParentRefs []parentRef `json:"parentRefs"`
	Hostnames  []string    `json:"hostnames"`
	Rules      []routeRule `json:"rules"`
}

type parentRef struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
}

type routeRule struct {
	BackendRefs []backendRef `json:"backendRefs"`
}

type backendRef struct {
	Name string `json:"name"`
	Port int32  `json:"port"`
}

// routeStatus is what the controllers of Gateways say of a route, each of its own.
type routeStatus struct {
	Parents []struct {
		ParentRef  parentRef        `json:"parentRef"`
		Conditions []meta.Condition `json:"conditions"`
	} `json:"parents,omitempty"`
}

// routeTo leads every path of the host to a service.
func routeTo(f platform.Front, service string) routeSpec {
	return routeSpec{
		ParentRefs: []parentRef{{Name: f.Gateway, Namespace: f.Namespace}}, Hostnames: []string{f.Host},
		Rules: []routeRule{{BackendRefs: []backendRef{{Name: service, Port: int32(f.Port)}}}},
	}
}

// servedWithin is how long the cluster may take to serve a front.
const servedWithin = time.Minute

// Front implements platform.Cluster. It applies the front's object again until the answer says that it is served: to read it would be
// one more right.
func (r *Run) Front(ctx context.Context, name string) (string, error) {
	r.mu.Lock()
	d := r.deployed[name]
	r.mu.Unlock()
	if d == nil || d.workload.Front.Kind == "" {
		return "", fmt.Errorf("kube: %s has no front that is deployed", name)
	}
	if f := d.workload.Front; f.Kind == platform.FrontIngress && f.Address != "" {
		return f.Address, nil
	}
	o, ok := d.frontObject()
	if !ok {
		return "", fmt.Errorf("kube: %s: its front has no object", name)
	}
	value, err := o.JSON()
	if err != nil {
		return "", err
	}
	seen := patience{}
	for began := time.Now(); ; pause(ctx, lookEvery) {
		var answer json.RawMessage
		if err := r.insist(ctx, func(ctx context.Context) error { return r.api.applied(ctx, o.at(), value, &answer) }); err != nil {
			return "", d.refused(o, err)
		}
		address, why, err := served(d.workload.Front, answer)
		if err != nil || address != "" {
			return address, err
		}
		why.Workload, why.Line = "balancer of "+d.workload.Target, fmt.Sprintf("kubectl describe %s %s -n %s", o.Kind, o.Name, r.scope.Namespace)
		if _, final := seen.final([]Reason{why}, time.Now()); final || ctx.Err() != nil || time.Since(began) >= servedWithin {
			return "", why
		}
	}
}

// frontObject is the one that says whether the front is served.
func (d *deployment) frontObject() (Object, bool) {
	kind := map[string]string{platform.FrontService: "Service", platform.FrontIngress: "Ingress", platform.FrontRoute: "HTTPRoute"}[d.workload.Front.Kind]
	for _, o := range d.objects {
		if o.Kind == kind && o.Name == platform.ObjectName(d.workload.Front.Name) {
			return o, true
		}
	}
	return Object{}, false
}

// served is where a front is reached, by its object as the cluster has it, or why it is not yet.
func served(f platform.Front, object []byte) (address string, why Reason, err error) {
	switch f.Kind {
	case platform.FrontService:
		var s core.Service
		err = json.Unmarshal(object, &s)
		return s.Spec.ClusterIP, Reason{Text: "its Service has no address", key: "address", after: never}, err
	case platform.FrontIngress:
		var i networking.Ingress
		if err := json.Unmarshal(object, &i); err != nil {
			return "", why, err
		}
		address, why = published(i)
		return address, why, nil
	}
	var route httpRoute
	if err := json.Unmarshal(object, &route); err != nil {
		return "", why, err
	}
	if why := notRouted(route, f); why.Text != "" {
		return "", why, nil
	}
	return f.Address, why, nil
}

// published is the address that the status of an Ingress has.
func published(i networking.Ingress) (string, Reason) {
	for _, at := range i.Status.LoadBalancer.Ingress {
		if address := cmp.Or(at.IP, at.Hostname); address != "" {
			return address, Reason{}
		}
	}
	class := "the default class of the cluster"
	if i.Spec.IngressClassName != nil {
		class = "the class " + *i.Spec.IngressClassName
	}
	return "", Reason{
		Text: fmt.Sprintf("its Ingress has no address after %v: no controller serves %s, or it publishes none, as behind a ClusterIP", servedWithin, class),
		Hint: "balancer.address says where connections are made", key: "address", after: never,
	}
}

// notRouted is why the Gateway of a route does not serve it as it is now; without a text: it does.
func notRouted(route httpRoute, f platform.Front) Reason {
	gateway := f.Gateway
	if f.Namespace != "" {
		gateway = f.Namespace + "/" + f.Gateway
	}
	for _, parent := range route.Status.Parents {
		if parent.ParentRef.Name != f.Gateway || parent.ParentRef.Namespace != "" && f.Namespace != "" && parent.ParentRef.Namespace != f.Namespace {
			continue
		}
		for _, wanted := range []string{"Accepted", "ResolvedRefs"} {
			c, known := conditionOf(parent.Conditions, wanted)
			switch {
			case !known, c.ObservedGeneration != route.Generation, c.Status == meta.ConditionUnknown:
				return Reason{Text: fmt.Sprintf("the Gateway %s has not said whether its HTTPRoute is %s", gateway, wanted), key: wanted, after: never}
			case c.Status != meta.ConditionTrue:
				return Reason{Text: fmt.Sprintf("the Gateway %s says of its HTTPRoute: not %s: %s %s", gateway, wanted, c.Reason, brief(c.Message)), key: "not " + wanted, after: settled}
			}
		}
		return Reason{}
	}
	return Reason{
		Text: fmt.Sprintf("no controller has looked at its HTTPRoute: is there a Gateway %s, with a controller?", gateway), Hint: "kubectl get gateways -A lists them",
		key: "parents", after: never,
	}
}

func conditionOf(all []meta.Condition, kind string) (meta.Condition, bool) {
	for _, c := range all {
		if c.Type == kind {
			return c, true
		}
	}
	return meta.Condition{}, false
}
