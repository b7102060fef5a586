package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"

	"bakeoff/internal/platform"
)

// everything is a scope and workloads that use every field.
func everything() (platform.Scope, []platform.Workload) {
	container := func(image string, ports ...platform.Port) platform.Container {
		return platform.Container{Image: image, Ports: ports, Requests: platform.Amounts{MilliCPU: 1500, Bytes: 64 << 20}}
	}
	http := platform.Port{Name: "http", Number: 8080}
	s := platform.Scope{
		Run: "seed-1", Namespace: "ns", Own: true, Sampler: container("r/bakeoff:1", platform.Port{Name: "sampler", Number: 8079}),
		Owner: platform.Owner{Name: "bakeoff-controller", UID: "uid-1"}, PullSecret: "pull", NodeSelector: map[string]string{"pool": "a"},
		Tolerations: []platform.Toleration{{Key: "k", Operator: "Equal", Value: "v", Effect: "NoSchedule"}, {Operator: "Exists"}},
		Priority:    "high", Annotations: map[string]string{"a.example/b": "1"},
		Secrets:   map[string]map[string]string{"run": {"token": "t"}},
		Documents: map[string]map[string]string{"pages": {"a.json": "{}"}}, Marks: map[string]map[string]string{"pages": {"grafana_dashboard": "1"}},
	}
	conduct := container("r/bakeoff:1", platform.Port{Name: "laptop", Number: 8080}, platform.Port{Name: "agents", Number: 8443})
	conduct.Env = []platform.Variable{{Name: "TOKEN", Secret: "run", Key: "token"}, {Name: "POD", Field: "metadata.name"}, {Name: "EMPTY"}}
	conduct.Argv, conduct.Dir = []string{"/bakeoff", "conduct"}, "/run"
	database := container("mysql:8.0", platform.Port{Name: "mysql", Number: 3306})
	database.Limits = database.Requests
	replica := container("r/django:1", http)
	replica.Ready = "/ping"
	return s, []platform.Workload{
		{Name: "controller", Role: platform.RoleController, Lifetime: platform.Once, Rights: true, Early: true, Main: conduct, Lifelong: time.Hour, Files: map[string]string{"plan.yaml": "name: x\n"}},
		{Name: "database", Role: platform.RoleDatabase, Lifetime: platform.Stateful, Sampled: true, Main: database, Storage: platform.Storage{Path: "/data", Bytes: 20 << 30, Class: "fast"}},
		{Name: "target-django", Role: platform.RoleTarget, Target: "django", Copies: 3, OnePerNode: true, Sampled: true, Main: replica, Within: 90 * time.Second},
		{
			Name: "target-a", Role: platform.RoleTarget, Target: "a", Copies: 1, Main: replica,
			Front: platform.Front{Kind: platform.FrontService, Name: "front-a", Port: 8080},
		},
		{
			Name: "target-b", Role: platform.RoleTarget, Target: "b", Copies: 1, Main: replica,
			Front: platform.Front{Kind: platform.FrontIngress, Name: "front-b", Port: 8080, Host: "b.bench.example", Class: "fast", Annotations: map[string]string{"c.example/d": "2"}},
		},
		{
			Name: "target-c", Role: platform.RoleTarget, Target: "c", Copies: 1, Main: replica,
			Front: platform.Front{Kind: platform.FrontRoute, Name: "front-c", Port: 8080, Host: "c.bench.example", Gateway: "shared", Namespace: "gateways", Annotations: map[string]string{"c.example/d": "2"}},
		},
		{Name: "nginx-django", Role: platform.RoleBalancer, Target: "django", Copies: 1, Main: container("r/nginx:1", http), Folders: []platform.Folder{{Path: "/tmp", Memory: true, Bytes: 1 << 20}, {Path: "/run"}}},
		{Name: "agent-0", Role: platform.RoleAgent, Lifetime: platform.Once, Main: container("r/bakeoff:1"), AwayFrom: []string{platform.RoleTarget}, MustKeep: true},
		{Name: "agent-1", Role: platform.RoleAgent, Lifetime: platform.Once, Main: container("r/bakeoff:1"), AwayFrom: []string{platform.RoleTarget}},
	}
}

func render(t *testing.T) []Object {
	t.Helper()
	s, workloads := everything()
	objects, err := Render(s, workloads)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// read finds an object and reads it as the API's own type; a field that the type lacks fails.
func read[T any](t *testing.T, objects []Object, kind, name string) T {
	t.Helper()
	var out T
	at := slices.IndexFunc(objects, func(o Object) bool { return o.Kind == kind && o.Name == name })
	if at < 0 {
		t.Fatalf("no %s %s", kind, name)
	}
	data, err := objects[at].JSON()
	if err != nil {
		t.Fatal(err)
	}
	strict := json.NewDecoder(bytes.NewReader(data))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&out); err != nil {
		t.Fatalf("%s %s: %v", kind, name, err)
	}
	return out
}

// What others refer to comes first, and nothing comes twice.
func TestOrder(t *testing.T) {
	var got []string
	for _, o := range render(t) {
		got = append(got, o.Kind+" "+strings.TrimPrefix(o.Name, "bakeoff-"))
	}
	want := []string{
		"Namespace ns", "ServiceAccount controller", "Role controller", "RoleBinding controller", "Secret run", "ConfigMap pages", "ConfigMap controller",
		"Service controller", "Service database", "Service target-django", "Service target-a", "Service front-a", "Service target-b", "Service front-b",
		"Service target-c", "Service front-c", "Service nginx-django",
		"StatefulSet database", "Deployment target-django", "Deployment target-a", "Deployment target-b", "Deployment target-c", "Deployment nginx-django",
		"Job controller", "Job agent-0", "Job agent-1", "Ingress front-b", "HTTPRoute front-c",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// pods are the templates of all workloads by their object's name.
func pods(t *testing.T, objects []Object) map[string]core.PodTemplateSpec {
	t.Helper()
	out := map[string]core.PodTemplateSpec{}
	for _, o := range objects {
		switch o.Kind {
		case "Deployment":
			out[o.Name] = read[apps.Deployment](t, objects, o.Kind, o.Name).Spec.Template
		case "StatefulSet":
			out[o.Name] = read[apps.StatefulSet](t, objects, o.Kind, o.Name).Spec.Template
		case "Job":
			out[o.Name] = read[batch.Job](t, objects, o.Kind, o.Name).Spec.Template
		}
	}
	return out
}

// Every pod has no more rights than it needs, and what the plan adds to all of them.
func TestEveryPod(t *testing.T) {
	all := pods(t, render(t))
	if len(all) != 9 {
		t.Fatalf("%d pods", len(all))
	}
	for name, pod := range all {
		s := pod.Spec
		if token := s.AutomountServiceAccountToken; token == nil || *token != (name == "bakeoff-controller") {
			t.Errorf("%s: a token of the account: %v", name, token)
		}
		if links := s.EnableServiceLinks; links == nil || *links {
			t.Errorf("%s: variables of services", name)
		}
		if c := s.SecurityContext; c == nil || !*c.RunAsNonRoot || *c.RunAsUser != 10001 || c.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: %+v", name, c)
		}
		for _, c := range slices.Concat(s.Containers, s.InitContainers) {
			if p := c.SecurityContext; *p.AllowPrivilegeEscalation || !*p.ReadOnlyRootFilesystem || !slices.Equal(p.Capabilities.Drop, []core.Capability{"ALL"}) {
				t.Errorf("%s %s: %+v", name, c.Name, p)
			}
			if c.ReadinessProbe != nil || c.LivenessProbe != nil {
				t.Errorf("%s %s is asked during the load", name, c.Name)
			}
			if c.ImagePullPolicy != core.PullIfNotPresent || c.Resources.Requests.Cpu().MilliValue() != 1500 {
				t.Errorf("%s %s: %+v", name, c.Name, c)
			}
		}
		if len(s.ImagePullSecrets) != 1 || s.NodeSelector["pool"] != "a" || len(s.Tolerations) != 2 || s.PriorityClassName != "high" || pod.Annotations["a.example/b"] != "1" {
			t.Errorf("%s lacks what is added to every pod: %+v", name, s)
		}
		if pod.Labels["sidecar.istio.io/inject"] != "false" || pod.Annotations["linkerd.io/inject"] != "disabled" || pod.Labels[labelRun] != "seed-1" {
			t.Errorf("%s: labels %v, annotations %v", name, pod.Labels, pod.Annotations)
		}
	}
}

// Replicas are on nodes of their own, and agents away from them, always or where that can be.
func TestPlacement(t *testing.T) {
	all := pods(t, render(t))
	required := func(name string) []core.PodAffinityTerm {
		if a := all[name].Spec.Affinity; a != nil {
			return a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		}
		return nil
	}
	if terms := required("bakeoff-target-django"); len(terms) != 1 || terms[0].TopologyKey != "kubernetes.io/hostname" || terms[0].LabelSelector.MatchLabels[labelName] != "bakeoff-target-django" {
		t.Errorf("replicas: %+v", terms)
	}
	if terms := required("bakeoff-agent-0"); len(terms) != 1 || terms[0].LabelSelector.MatchLabels[labelRun] != "seed-1" || !slices.Equal(terms[0].LabelSelector.MatchExpressions[0].Values, []string{"target"}) {
		t.Errorf("an agent that must keep away: %+v", terms)
	}
	preferred := func(name string) (out []string) {
		for _, term := range all[name].Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			selector := term.PodAffinityTerm.LabelSelector
			of := selector.MatchLabels[labelRole]
			for _, e := range selector.MatchExpressions {
				of += strings.Join(e.Values, " ")
			}
			out = append(out, fmt.Sprint(term.Weight, " ", of))
		}
		return out
	}
	if got := preferred("bakeoff-agent-1"); len(required("bakeoff-agent-1")) != 0 || !slices.Equal(got, []string{"10 agent", "100 target"}) {
		t.Errorf("an agent that need not: %q", got)
	}
	if got := preferred("bakeoff-agent-0"); !slices.Equal(got, []string{"10 agent"}) {
		t.Errorf("agents among each other: %q", got)
	}
	if a := all["bakeoff-nginx-django"].Spec.Affinity; a != nil {
		t.Errorf("nginx: %+v", a)
	}
}

// What each kind of workload is applied as.
func TestKinds(t *testing.T) {
	objects := render(t)
	job := read[batch.Job](t, objects, "Job", "bakeoff-controller").Spec
	if *job.BackoffLimit != 0 || *job.ActiveDeadlineSeconds != 3600 || *job.TTLSecondsAfterFinished != 86400 || job.Template.Spec.RestartPolicy != core.RestartPolicyNever ||
		job.PodFailurePolicy.Rules[0].Action != batch.PodFailurePolicyActionFailJob || job.PodFailurePolicy.Rules[0].OnPodConditions[0].Type != core.DisruptionTarget {
		t.Errorf("job %+v", job)
	}
	db := read[apps.StatefulSet](t, objects, "StatefulSet", "bakeoff-database").Spec
	claim := db.VolumeClaimTemplates[0].Spec
	if *claim.StorageClassName != "fast" || claim.Resources.Requests.Storage().String() != "20Gi" || db.PersistentVolumeClaimRetentionPolicy.WhenDeleted != apps.DeletePersistentVolumeClaimRetentionPolicyType {
		t.Errorf("claim %+v", claim)
	}
	sampler := db.Template.Spec.InitContainers[0]
	if *sampler.RestartPolicy != core.ContainerRestartPolicyAlways || !*db.Template.Spec.ShareProcessNamespace || sampler.Resources.Limits.Cpu().MilliValue() != 1500 {
		t.Errorf("sampler next to a container with limits: %+v", sampler)
	}
	d := read[apps.Deployment](t, objects, "Deployment", "bakeoff-target-django").Spec
	replica := d.Template.Spec
	if *d.Replicas != 3 || d.Strategy.Type != apps.RecreateDeploymentStrategyType || *d.ProgressDeadlineSeconds != 150 ||
		replica.Containers[0].StartupProbe.FailureThreshold != 90 || replica.Containers[0].StartupProbe.HTTPGet.Path != "/ping" {
		t.Errorf("deployment %+v", d)
	}
	if len(replica.Containers[0].Resources.Limits) != 0 || len(replica.InitContainers[0].Resources.Limits) != 0 {
		t.Errorf("limits that nobody set: %+v", replica)
	}
	service := read[core.Service](t, objects, "Service", "bakeoff-controller").Spec
	if service.ClusterIP != core.ClusterIPNone || !service.PublishNotReadyAddresses || len(service.Ports) != 2 || service.Selector[labelName] != "bakeoff-controller" {
		t.Errorf("service %+v", service)
	}
	if env := pods(t, objects)["bakeoff-controller"].Spec.Containers[0].Env; env[0].ValueFrom.SecretKeyRef.Name != "bakeoff-run" || env[1].ValueFrom.FieldRef.FieldPath != "metadata.name" {
		t.Errorf("environment %+v", env)
	}
}

// The controller owns all that it applies, and not itself.
func TestOwner(t *testing.T) {
	for _, o := range render(t) {
		data, err := o.JSON()
		if err != nil {
			t.Fatal(err)
		}
		var head struct {
			Metadata struct {
				Labels          map[string]string
				OwnerReferences []struct{ Kind, Name, UID string }
			}
		}
		if err := json.Unmarshal(data, &head); err != nil {
			t.Fatal(err)
		}
		alone := slices.Contains([]string{"Namespace", "ServiceAccount", "Role", "RoleBinding", "Secret"}, o.Kind) || o.Name == "bakeoff-controller" || o.Name == "bakeoff-pages"
		if owners := head.Metadata.OwnerReferences; alone && owners != nil || !alone && (len(owners) != 1 || owners[0].UID != "uid-1") {
			t.Errorf("%s %s is owned by %v", o.Kind, o.Name, owners)
		}
		if head.Metadata.Labels[labelRun] != "seed-1" || head.Metadata.Labels[labelManager] != "bakeoff" {
			t.Errorf("%s %s: labels %v", o.Kind, o.Name, head.Metadata.Labels)
		}
	}
}

// The controller has no right to read, change or remove a secret, runs no command, and sees nothing of nodes.
func TestRights(t *testing.T) {
	role := read[rbac.Role](t, render(t), "Role", "bakeoff-controller")
	for _, rule := range role.Rules {
		for _, resource := range rule.Resources {
			if strings.ContainsAny(strings.Join(rule.Verbs, "")+resource, "*") || slices.Contains([]string{"nodes", "pods/exec", "pods/proxy", "roles"}, resource) {
				t.Errorf("rule %+v", rule)
			}
			if resource == "secrets" && !slices.Equal(rule.Verbs, []string{"create"}) { // the answer to a patch, and to a removal in the foreground, is all of it
				t.Errorf("secrets: %v", rule.Verbs)
			}
		}
	}
	s, workloads := everything()
	objects, err := Render(s, slices.DeleteFunc(workloads, func(w platform.Workload) bool { return w.Lifetime == platform.Stateful }))
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range read[rbac.Role](t, objects, "Role", "bakeoff-controller").Rules {
		if slices.Contains(rule.Resources, "statefulsets") {
			t.Errorf("a right that nothing needs: %+v", rule)
		}
	}
}

func TestRefuses(t *testing.T) {
	for name, change := range map[string]func(*platform.Scope, *platform.Workload){
		"run":       func(s *platform.Scope, _ *platform.Workload) { s.Run = "-a" },
		"namespace": func(s *platform.Scope, _ *platform.Workload) { s.Namespace = "Mine" },
		"workload":  func(_ *platform.Scope, w *platform.Workload) { w.Name = "a_b" },
		"twice":     func(_ *platform.Scope, w *platform.Workload) { w.Name = "agent-1" },
		"copies":    func(_ *platform.Scope, w *platform.Workload) { w.Copies = 0 },
		"image":     func(_ *platform.Scope, w *platform.Workload) { w.Main.Image = "" },
		"probe":     func(_ *platform.Scope, w *platform.Workload) { w.Main.Ports = nil },
		"storage":   func(_ *platform.Scope, w *platform.Workload) { w.Storage.Bytes = 1 },
		"front": func(_ *platform.Scope, w *platform.Workload) {
			w.Front = platform.Front{Kind: "service", Name: "a_b", Port: 1}
		},
		"its port": func(_ *platform.Scope, w *platform.Workload) { w.Front = platform.Front{Kind: "service", Name: "f"} },
		"its host": func(_ *platform.Scope, w *platform.Workload) {
			w.Front = platform.Front{Kind: "ingress", Name: "f", Port: 1}
		},
		"gateway": func(_ *platform.Scope, w *platform.Workload) {
			w.Front = platform.Front{Kind: "route", Name: "f", Port: 1, Host: "h"}
		},
		"its name": func(_ *platform.Scope, w *platform.Workload) {
			w.Front = platform.Front{Kind: "service", Name: "agent-1", Port: 1}
		},
	} {
		s, workloads := everything()
		change(&s, &workloads[2])
		if objects, err := Render(s, workloads); err == nil {
			t.Errorf("%s: %d objects", name, len(objects))
		}
	}
}

// Long names stay apart, and are no longer than a label of the longest thing that Kubernetes makes of them.
func TestObjectName(t *testing.T) {
	long := "target-" + strings.Repeat("a", 62)
	names := map[string]bool{}
	for _, name := range []string{long + "b", long + "c", "a", "target-x-"} {
		got := platform.ObjectName(name)
		if len(got) > 52 || !runText.MatchString(got) || names[got] {
			t.Errorf("%s: %s", name, got)
		}
		names[got] = true
	}
}

// Files are part of a pod, so that other files mean another pod.
func TestFilesChangePods(t *testing.T) {
	s, workloads := everything()
	seen := map[string]bool{}
	for i := range 2 {
		workloads[0].Files = map[string]string{"plan.yaml": fmt.Sprint(i)}
		objects, err := Render(s, workloads)
		if err != nil {
			t.Fatal(err)
		}
		seen[pods(t, objects)["bakeoff-controller"].Annotations["bakeoff/files"]] = true
	}
	if len(seen) != 2 || seen[""] {
		t.Errorf("annotations %v", seen)
	}
}
