// Package kube turns the workloads of a run into the objects of a Kubernetes cluster. It is the only package that
// knows Kubernetes' own types. Every object bears the labels of its run; every pod runs as an ordinary
// user, on a read-only file system, without capabilities and without a token for the API, except the controller's. It
// refuses names that Kubernetes would.
package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bakeoff/internal/platform"
)

// Labels of every object.
const (
	labelManager = "app.kubernetes.io/managed-by"
	labelRun     = "bakeoff/run"
	labelRole    = "bakeoff/role"
	labelTarget  = "bakeoff/target"
	labelName    = "bakeoff/name" // of the workload's object; selects its pods
)

// An Object is one that a run applies to the cluster.
type Object struct {
	Kind, Name string
	namespace  string // empty for a Namespace
	value      any    // as the API's own type
}

// A kind says where the API has the objects of one kind.
type kind struct{ name, group, plural string }

// Groups of the API.
const (
	groupRights  = "rbac.authorization.k8s.io"
	groupIngress = "networking.k8s.io"
	groupRoute   = "gateway.networking.k8s.io"
)

// kinds are in the order in which objects are applied: what others refer to comes first.
func kinds() []kind {
	return []kind{
		{"Namespace", "", "namespaces"},
		{"ServiceAccount", "", "serviceaccounts"},
		{"Role", groupRights, "roles"},
		{"RoleBinding", groupRights, "rolebindings"},
		{"Secret", "", "secrets"},
		{"ConfigMap", "", "configmaps"},
		{"Service", "", "services"},
		{"StatefulSet", "apps", "statefulsets"},
		{"Deployment", "apps", "deployments"},
		{"Job", "batch", "jobs"},
		{"Ingress", groupIngress, "ingresses"},
		{"HTTPRoute", groupRoute, "httproutes"},
	}
}

// rank is the place of a kind in that order.
func rank(name string) int {
	return slices.IndexFunc(kinds(), func(k kind) bool { return k.name == name })
}

// version is how objects of the kind name the version of their type.
func (k kind) version() string {
	if k.group == "" {
		return "v1"
	}
	return k.group + "/v1"
}

// typed is what every object says of its type.
func typed(name string) meta.TypeMeta {
	return meta.TypeMeta{Kind: name, APIVersion: kinds()[rank(name)].version()}
}

// Render is all objects of the workloads of a run, in the order in which they are applied. It asks nothing of a cluster.
func Render(s platform.Scope, workloads []platform.Workload) ([]Object, error) {
	r := renderer{scope: s}
	if err := r.check(workloads); err != nil {
		return nil, fmt.Errorf("kube: %w", err)
	}
	r.around(workloads)
	for _, w := range workloads {
		r.workload(w)
	}
	slices.SortStableFunc(r.out, func(a, b Object) int { return rank(a.Kind) - rank(b.Kind) })
	return r.out, nil
}

// renderer collects objects.
type renderer struct {
	scope platform.Scope
	out   []Object
}

func (r *renderer) add(kind, name string, value any) {
	o := Object{Kind: kind, Name: name, namespace: r.scope.Namespace, value: value}
	if kind == "Namespace" {
		o.namespace = ""
	}
	r.out = append(r.out, o)
}

// named is what every object but a namespace begins with.
func (r *renderer) named(name string, labels map[string]string, owners ...meta.OwnerReference) meta.ObjectMeta {
	return meta.ObjectMeta{Name: name, Namespace: r.scope.Namespace, Labels: labels, OwnerReferences: owners}
}

var (
	runText       = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	namespaceText = runText
	workloadText  = regexp.MustCompile(`^[a-z0-9-]{1,72}$`)
)

func (r *renderer) check(workloads []platform.Workload) error {
	if !runText.MatchString(r.scope.Run) {
		return fmt.Errorf("%q is not the name of a run", r.scope.Run)
	}
	if !namespaceText.MatchString(r.scope.Namespace) {
		return fmt.Errorf("%q is not a namespace: at most 63 characters of a-z, 0-9 and -", r.scope.Namespace)
	}
	seen := map[string]bool{}
	for _, w := range workloads {
		switch {
		case !workloadText.MatchString(w.Name):
			return fmt.Errorf("%q is not the name of a workload", w.Name)
		case seen[platform.ObjectName(w.Name)]:
			return fmt.Errorf("two workloads are named %s", w.Name)
		case w.Lifetime == platform.Deployed && w.Copies < 1:
			return fmt.Errorf("%s: %d copies", w.Name, w.Copies)
		case w.Main.Image == "":
			return fmt.Errorf("%s: no image", w.Name)
		case w.Main.Ready != "" && len(w.Main.Ports) == 0:
			return fmt.Errorf("%s: is asked for %s, and has no port", w.Name, w.Main.Ready)
		case w.Storage.Bytes > 0 && w.Lifetime != platform.Stateful:
			return errors.New(w.Name + ": storage is for a stateful workload")
		}
		seen[platform.ObjectName(w.Name)] = true
		if err := checkFront(w.Front, seen); err != nil {
			return fmt.Errorf("%s: %w", w.Name, err)
		}
	}
	return nil
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// labels of every object of the run.
func (r *renderer) labels() map[string]string {
	return map[string]string{labelManager: platform.Manager, labelRun: r.scope.Run}
}

// labelsOf are those of a workload's objects and pods.
func (r *renderer) labelsOf(w platform.Workload) map[string]string {
	labels := r.labels()
	labels[labelRole], labels[labelName] = w.Role, platform.ObjectName(w.Name)
	if w.Target != "" {
		labels[labelTarget] = w.Target
	}
	return labels
}

// selector selects the pods of a workload.
func (r *renderer) selector(w platform.Workload) map[string]string {
	return map[string]string{labelRun: r.scope.Run, labelName: platform.ObjectName(w.Name)}
}

// owners of what the controller applies; none before its Job exists.
func (r *renderer) owners(w platform.Workload) []meta.OwnerReference {
	if r.scope.Owner.UID == "" || w.Rights {
		return nil
	}
	return r.owner()
}

// around is what no single workload has.
func (r *renderer) around(workloads []platform.Workload) {
	s := r.scope
	if s.Own {
		r.add("Namespace", s.Namespace, &core.Namespace{
			TypeMeta: typed("Namespace"), ObjectMeta: meta.ObjectMeta{Name: s.Namespace, Labels: r.namespaceLabels()},
		})
	}
	r.rights(workloads)
	for _, name := range slices.Sorted(maps.Keys(s.Secrets)) {
		object := platform.ObjectName(name)
		r.add("Secret", object, &core.Secret{
			TypeMeta: typed("Secret"), ObjectMeta: r.named(object, r.labels()), Type: core.SecretTypeOpaque, StringData: s.Secrets[name],
		})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Documents)) {
		labels, object := r.labels(), platform.ObjectName(name)
		maps.Copy(labels, s.Marks[name])
		r.add("ConfigMap", object, &core.ConfigMap{TypeMeta: typed("ConfigMap"), ObjectMeta: r.named(object, labels), Data: s.Documents[name]})
	}
}

// namespaceLabels ask the cluster to refuse any pod that has more rights than ours need.
func (r *renderer) namespaceLabels() map[string]string {
	labels := r.labels()
	for _, mode := range []string{"enforce", "warn"} {
		labels["pod-security.kubernetes.io/"+mode] = "restricted"
	}
	return labels
}
