package kube

import (
	"errors"
	"slices"
	"strings"
	"testing"

	authorization "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
)

// Every right of the rules is asked for alone, subresources and single objects as such; those that are lacking are named with the
// line that asks for them.
func TestLacking(t *testing.T) {
	f := newFakeServer()
	var asked []string
	f.PrependReactor("create", "selfsubjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		review := a.(clienttesting.CreateActionImpl).Object.(*authorization.SelfSubjectAccessReview)
		at := review.Spec.ResourceAttributes
		asked = append(asked, strings.Join([]string{at.Verb, at.Group, at.Resource, at.Subresource, at.Name, at.Namespace}, " "))
		review.Status.Allowed = at.Verb != "create" && at.Subresource == "" && at.Name == ""
		return true, review, nil
	})
	got, err := fakeCluster(t, f).Lacking(t.Context(), "ns", []Rule{
		{Group: groupRights, Resources: []string{"roles"}, Verbs: []string{"create", "delete"}},
		{Resources: []string{"pods", "pods/log"}, Verbs: []string{"get"}},
		{Group: "batch", Resources: []string{"jobs"}, Verbs: []string{"get"}, Names: []string{"bakeoff-controller"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"create rbac.authorization.k8s.io roles   ns", "delete rbac.authorization.k8s.io roles   ns", "get  pods   ns", "get  pods log  ns",
		"get batch jobs  bakeoff-controller ns",
	}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	var text []string
	for _, m := range got {
		text = append(text, m.String())
	}
	want = []string{
		"you may not create roles in ns: kubectl auth can-i create roles.rbac.authorization.k8s.io -n ns",
		"you may not get pods/log in ns: kubectl auth can-i get pods --subresource=log -n ns",
		"you may not get jobs bakeoff-controller in ns: kubectl auth can-i get jobs.batch/bakeoff-controller -n ns",
	}
	if !slices.Equal(text, want) {
		t.Errorf("got %q, want %q", text, want)
	}
}

// What the API refuses for lack of a right is said with the line that asks for it; another refusal is not taken for one.
func TestDenied(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	for text, want := range map[string]string{
		`User "a" cannot list resource "nodes" in API group "" at the cluster scope`: "kube: a may not list nodes: kubectl auth can-i list nodes --as=a: ",
		"exceeded quota: q": `kube: pods "p" is forbidden: exceeded quota: q`,
	} {
		cause := apierrors.NewForbidden(pods, "p", errors.New(text))
		if got := denied(cause); !strings.HasPrefix(got.Error(), want) || !errors.Is(got, cause) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if denied(nil) != nil {
		t.Error("no error becomes one")
	}
}
