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

	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"

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
	apply      any // its typed apply configuration
}

// kinds is the order in which objects are applied: what others refer to comes first.
func kinds() []string {
	return []string{
		"Namespace", "ServiceAccount", "Role", "RoleBinding", "Secret", "ConfigMap", "Service", "StatefulSet", "Deployment", "Job",
	}
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
	order := kinds()
	slices.SortStableFunc(r.out, func(a, b Object) int { return slices.Index(order, a.Kind) - slices.Index(order, b.Kind) })
	return r.out, nil
}

// renderer collects objects.
type renderer struct {
	scope platform.Scope
	out   []Object
}

func (r *renderer) add(kind, name string, apply any) {
	r.out = append(r.out, Object{Kind: kind, Name: name, apply: apply})
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
func (r *renderer) owners(w platform.Workload) []*metaac.OwnerReferenceApplyConfiguration {
	if r.scope.Owner.UID == "" || w.Rights {
		return nil
	}
	return r.owner()
}

// around is what no single workload has.
func (r *renderer) around(workloads []platform.Workload) {
	s := r.scope
	if s.Own {
		r.add("Namespace", s.Namespace, coreac.Namespace(s.Namespace).WithLabels(r.namespaceLabels()))
	}
	r.rights(workloads)
	for _, name := range slices.Sorted(maps.Keys(s.Secrets)) {
		secret := coreac.Secret(platform.ObjectName(name), s.Namespace).WithLabels(r.labels()).WithType("Opaque").WithStringData(s.Secrets[name])
		r.add("Secret", platform.ObjectName(name), secret)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Documents)) {
		labels := r.labels()
		maps.Copy(labels, s.Marks[name])
		r.add("ConfigMap", platform.ObjectName(name), coreac.ConfigMap(platform.ObjectName(name), s.Namespace).WithLabels(labels).WithData(s.Documents[name]))
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
