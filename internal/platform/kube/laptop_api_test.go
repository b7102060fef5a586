package kube

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bakeoff/internal/platform"
)

// somebody is a user who has just these rights in a namespace.
func somebody(t *testing.T, admin server, ns string, rules []Rule) server {
	t.Helper()
	const name = "bakeoff-test-user"
	role := &rbac.Role{ObjectMeta: meta.ObjectMeta{Name: name, Namespace: ns}}
	for _, r := range rules {
		role.Rules = append(role.Rules, rbac.PolicyRule{APIGroups: []string{r.Group}, Resources: r.Resources, Verbs: r.Verbs, ResourceNames: r.Names})
	}
	binding := &rbac.RoleBinding{
		ObjectMeta: meta.ObjectMeta{Name: name, Namespace: ns}, Subjects: []rbac.Subject{{Kind: rbac.UserKind, Name: name}},
		RoleRef: rbac.RoleRef{APIGroup: groupRights, Kind: "Role", Name: name},
	}
	api := admin.client.RbacV1()
	if err := errors.Join(second(api.Roles(ns).Create(t.Context(), role, meta.CreateOptions{})),
		second(api.RoleBindings(ns).Create(t.Context(), binding, meta.CreateOptions{}))); err != nil {
		t.Fatal(err)
	}
	user := realCluster(t, name)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		lacking, err := user.Lacking(t.Context(), ns, rules)
		if err == nil && len(lacking) == 0 {
			return user
		}
		if time.Now().After(deadline) {
			t.Fatalf("lacking: %v, %v", lacking, err)
		}
	}
}

// Who has the rights that are documented begins a run. One that begins at the same moment takes nothing from it. All that begins a run
// ends with its Job.
func TestAPILaptop(t *testing.T) {
	admin := realCluster(t, "")
	s, workloads := everything()
	s.Namespace, s.Own, s.Owner, s.NodeSelector = "bakeoff-test-laptop", false, platform.Owner{}, map[string]string{"bakeoff-test": "nowhere"}
	namespace(t, admin, s.Namespace, "restricted")
	user := somebody(t, admin, s.Namespace, laptopRules(workloads))
	beginning := func(run string) (*Laptop, []Object) {
		s := s
		s.Run = run
		objects, err := Render(s, workloads)
		if err != nil {
			t.Fatal(err)
		}
		mine := slices.DeleteFunc(objects, func(o Object) bool { return o.Name != "bakeoff-controller" && o.Name != "bakeoff-run" })
		return user.At(s.Namespace, run), mine
	}
	first, objects := beginning("first-1")
	for range 2 { // an answer may be lost
		if err := first.Create(t.Context(), objects); err != nil {
			t.Fatal(err)
		}
	}
	there := func() (all, owned []string) {
		for _, k := range removable() {
			found, err := admin.objects(t.Context(), k, s.Namespace, url.Values{"labelSelector": {labelRun + "=first-1"}})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range found {
				all = append(all, k.name)
				if len(o.OwnerReferences) == 1 && o.OwnerReferences[0].Kind == "Job" {
					owned = append(owned, k.name)
				}
			}
		}
		return all, owned
	}
	other, others := beginning("second-1")
	var taken Taken
	if err := other.Create(t.Context(), others); !errors.As(err, &taken) || taken.Run != "first-1" {
		t.Errorf("%v", err)
	}
	if err := other.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	all, owned := there()
	for _, kind := range []string{"ServiceAccount", "Role", "RoleBinding", "Secret", "ConfigMap", "Service"} {
		if !slices.Contains(owned, kind) {
			t.Errorf("no %s of the run is owned by its Job: %q of %q", kind, owned, all)
		}
	}
	background := meta.DeletePropagationBackground
	if err := admin.client.BatchV1().Jobs(s.Namespace).Delete(t.Context(), "bakeoff-controller", meta.DeleteOptions{PropagationPolicy: &background}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		if all, _ = there(); len(all) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(fmt.Sprint("left without the Job: ", all))
		}
	}
}
