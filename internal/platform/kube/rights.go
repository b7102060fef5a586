package kube

import (
	"slices"

	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"bakeoff/internal/platform"
)

// Rule is a right in the namespace of a run: verbs on resources of an API group, or on those of these names alone.
type Rule struct {
	Group     string
	Resources []string
	Verbs     []string
	Names     []string
}

// Rules are all rights that a controller of those workloads has, in its namespace alone. There is none to read, change
// or remove a secret: even an empty patch, and a removal in the foreground, are answered with the whole secret. A pod can mount
// every secret of its namespace all the same, and a controller makes pods. It runs no command in a pod and sees nothing of a node.
// Of what it applies it reads only its own Job, to know when the run was deleted.
func Rules(workloads []platform.Workload) []Rule {
	apply := []string{"create", "patch", "delete"} // server-side apply of a new object needs the first two
	rules := []Rule{
		{Resources: []string{"configmaps", "services"}, Verbs: apply},
		{Resources: []string{"secrets"}, Verbs: []string{"create"}},
		{Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch", "delete"}},
		{Resources: []string{"pods/log"}, Verbs: []string{"get"}},
		{Resources: []string{"events"}, Verbs: []string{"list", "watch"}},
		{Group: "batch", Resources: []string{"jobs"}, Verbs: apply},
	}
	if at := conducts(workloads); at >= 0 {
		own := []string{platform.ObjectName(workloads[at].Name)}
		rules = append(rules, Rule{Group: "batch", Resources: []string{"jobs"}, Verbs: []string{"get"}, Names: own})
	}
	var long []string
	for lifetime, name := range map[platform.Lifetime]string{platform.Deployed: "deployments", platform.Stateful: "statefulsets"} {
		if slices.ContainsFunc(workloads, func(w platform.Workload) bool { return w.Lifetime == lifetime }) {
			long = append(long, name)
		}
	}
	slices.Sort(long)
	if len(long) > 0 {
		rules = append(rules, Rule{Group: "apps", Resources: long, Verbs: apply})
	}
	for _, front := range fronts(workloads) {
		rules = append(rules, Rule{Group: front.group, Resources: []string{front.plural}, Verbs: apply})
	}
	return rules
}

// fronts are the kinds of objects that lead to services, as far as the workloads have them.
func fronts(workloads []platform.Workload) (out []kind) {
	for _, one := range []struct{ front, kind string }{{platform.FrontIngress, "Ingress"}, {platform.FrontRoute, "HTTPRoute"}} {
		if slices.ContainsFunc(workloads, func(w platform.Workload) bool { return w.Front.Kind == one.front }) {
			out = append(out, kinds()[rank(one.kind)])
		}
	}
	return out
}

// conducts is which workload has rights; -1: none.
func conducts(workloads []platform.Workload) int {
	return slices.IndexFunc(workloads, func(w platform.Workload) bool { return w.Rights })
}

// rights are the account of the workload that has some.
func (r *renderer) rights(workloads []platform.Workload) {
	at := conducts(workloads)
	if at < 0 {
		return
	}
	name := platform.ObjectName(workloads[at].Name)
	head := r.named(name, r.labelsOf(workloads[at]))
	var rules []rbac.PolicyRule
	for _, rule := range Rules(workloads) {
		rules = append(rules, rbac.PolicyRule{APIGroups: []string{rule.Group}, Resources: rule.Resources, Verbs: rule.Verbs, ResourceNames: rule.Names})
	}
	r.add("ServiceAccount", name, &core.ServiceAccount{
		TypeMeta: typed("ServiceAccount"), ObjectMeta: head, AutomountServiceAccountToken: new(false),
	})
	r.add("Role", name, &rbac.Role{TypeMeta: typed("Role"), ObjectMeta: head, Rules: rules})
	r.add("RoleBinding", name, &rbac.RoleBinding{
		TypeMeta: typed("RoleBinding"), ObjectMeta: head,
		Subjects: []rbac.Subject{{Kind: rbac.ServiceAccountKind, Name: name, Namespace: r.scope.Namespace}},
		RoleRef:  rbac.RoleRef{APIGroup: groupRights, Kind: "Role", Name: name},
	})
}

// owner is the controller's Job. Its removal does not wait for what it owns: that would need a right on its finalizers.
func (r *renderer) owner() []meta.OwnerReference { return ownedBy(r.scope.Owner) }

func ownedBy(o platform.Owner) []meta.OwnerReference {
	return []meta.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: o.Name, UID: types.UID(o.UID)}}
}
