package kube

import (
	"slices"

	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
	rbacac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"k8s.io/apimachinery/pkg/types"

	"bakeoff/internal/platform"
)

// Rule is a right in the namespace of a run: verbs on resources of an API group.
type Rule struct {
	Group     string
	Resources []string
	Verbs     []string
}

// Rules are all rights that a controller of those workloads has, in its namespace alone. There is none to read, change
// or remove a secret: even an empty patch, and a removal in the foreground, are answered with the whole secret. A pod can mount
// every secret of its namespace all the same, and a controller makes pods. It runs no command in a pod and sees nothing of a node.
func Rules(workloads []platform.Workload) []Rule {
	apply := []string{"create", "patch", "delete"} // server-side apply of a new object needs the first two
	rules := []Rule{
		{"", []string{"configmaps", "services"}, apply},
		{"", []string{"secrets"}, []string{"create"}},
		{"", []string{"pods"}, []string{"get", "list", "watch", "delete"}},
		{"", []string{"pods/log"}, []string{"get"}},
		{"", []string{"events"}, []string{"list", "watch"}},
		{"batch", []string{"jobs"}, apply},
	}
	var long []string
	for lifetime, name := range map[platform.Lifetime]string{platform.Deployed: "deployments", platform.Stateful: "statefulsets"} {
		if slices.ContainsFunc(workloads, func(w platform.Workload) bool { return w.Lifetime == lifetime }) {
			long = append(long, name)
		}
	}
	slices.Sort(long)
	if len(long) > 0 {
		rules = append(rules, Rule{"apps", long, apply})
	}
	return rules
}

// rights are the account of the workload that has some.
func (r *renderer) rights(workloads []platform.Workload) {
	at := slices.IndexFunc(workloads, func(w platform.Workload) bool { return w.Rights })
	if at < 0 {
		return
	}
	name, ns := platform.ObjectName(workloads[at].Name), r.scope.Namespace
	labels := r.labelsOf(workloads[at])
	role := rbacac.Role(name, ns).WithLabels(labels)
	for _, rule := range Rules(workloads) {
		role.WithRules(rbacac.PolicyRule().WithAPIGroups(rule.Group).WithResources(rule.Resources...).WithVerbs(rule.Verbs...))
	}
	r.add("ServiceAccount", name, coreac.ServiceAccount(name, ns).WithLabels(labels).WithAutomountServiceAccountToken(false))
	r.add("Role", name, role)
	r.add("RoleBinding", name, rbacac.RoleBinding(name, ns).WithLabels(labels).
		WithSubjects(rbacac.Subject().WithKind("ServiceAccount").WithName(name).WithNamespace(ns)).
		WithRoleRef(rbacac.RoleRef().WithAPIGroup("rbac.authorization.k8s.io").WithKind("Role").WithName(name)))
}

// owner is the controller's Job. Its removal does not wait for what it owns: that would need a right on its finalizers.
func (r *renderer) owner() []*metaac.OwnerReferenceApplyConfiguration {
	o := r.scope.Owner
	return []*metaac.OwnerReferenceApplyConfiguration{
		metaac.OwnerReference().WithAPIVersion("batch/v1").WithKind("Job").WithName(o.Name).WithUID(types.UID(o.UID)),
	}
}
