package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Missing is a right that somebody lacks.
type Missing struct {
	Who       string // empty: who asks
	Verb      string
	Group     string
	Resource  string // with its subresource: pods/log
	Name      string // empty: of all of them
	Namespace string // empty: of no namespace
}

// String says it.
func (m Missing) String() string {
	who := "you"
	if m.Who != "" {
		who = m.Who
	}
	text := fmt.Sprintf("%s may not %s %s", who, m.Verb, m.Resource)
	if m.Name != "" {
		text += " " + m.Name
	}
	if m.Namespace != "" {
		text += " in " + m.Namespace
	}
	return text + ": " + m.Line()
}

// Line is the command that asks the cluster for the right.
func (m Missing) Line() string {
	resource, sub, _ := strings.Cut(m.Resource, "/")
	if m.Group != "" {
		resource += "." + m.Group
	}
	if m.Name != "" {
		resource += "/" + m.Name
	}
	text := fmt.Sprintf("kubectl auth can-i %s %s", m.Verb, resource)
	if sub != "" { // pods/log would be a pod of that name
		text += " --subresource=" + sub
	}
	if m.Namespace != "" {
		text += " -n " + m.Namespace
	}
	if m.Who != "" {
		text += " --as=" + m.Who
	}
	return text
}

// forbiddenText is what the API says of a right that somebody lacks.
var forbiddenText = regexp.MustCompile(`User "([^"]+)" cannot (\w+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)")?`)

// missing is the right that was lacking where the API has refused.
func missing(err error) (Missing, bool) {
	if !apierrors.IsForbidden(err) {
		return Missing{}, false
	}
	found := forbiddenText.FindStringSubmatch(err.Error())
	if found == nil {
		return Missing{}, false
	}
	return Missing{Who: found[1], Verb: found[2], Resource: found[3], Group: found[4], Namespace: found[5]}, true
}

// denied says so in the user's words where a right is missing.
func denied(err error) error {
	if err == nil {
		return nil
	}
	if m, ok := missing(err); ok {
		return fmt.Errorf("kube: %s: %w", m, err)
	}
	return fmt.Errorf("kube: %w", err)
}

// A review asks the API whether who asks has a right.
type review struct {
	meta.TypeMeta
	Spec struct {
		Attributes attributes `json:"resourceAttributes"`
	} `json:"spec"`
	Status struct {
		Allowed bool `json:"allowed"`
	} `json:"status,omitzero"`
}

type attributes struct {
	Namespace   string `json:"namespace,omitempty"`
	Verb        string `json:"verb"`
	Group       string `json:"group,omitempty"`
	Resource    string `json:"resource"`
	Subresource string `json:"subresource,omitempty"`
	Name        string `json:"name,omitempty"`
}

// each are the single rights of a rule.
func (r Rule) each(namespace string) []Missing {
	names := r.Names
	if len(names) == 0 {
		names = []string{""}
	}
	var out []Missing
	for _, resource := range r.Resources {
		for _, verb := range r.Verbs {
			for _, name := range names {
				out = append(out, Missing{Verb: verb, Group: r.Group, Resource: resource, Name: name, Namespace: namespace})
			}
		}
	}
	return out
}

// Lacking are those rights of the rules that who asks does not have in the namespace; an empty namespace is for what belongs to
// none.
func (c *Cluster) Lacking(ctx context.Context, namespace string, rules []Rule) ([]Missing, error) {
	var out []Missing
	for _, rule := range rules {
		for _, m := range rule.each(namespace) {
			allowed, err := c.may(ctx, m)
			if err != nil {
				return nil, fmt.Errorf("kube: %w", err)
			}
			if !allowed {
				out = append(out, m)
			}
		}
	}
	return out, nil
}

// may asks for one right.
func (c *Cluster) may(ctx context.Context, m Missing) (bool, error) {
	const group = "authorization.k8s.io"
	var r review
	r.TypeMeta = meta.TypeMeta{Kind: "SelfSubjectAccessReview", APIVersion: group + "/v1"}
	resource, sub, _ := strings.Cut(m.Resource, "/")
	r.Spec.Attributes = attributes{m.Namespace, m.Verb, m.Group, resource, sub, m.Name}
	value, err := json.Marshal(r)
	if err != nil {
		return false, err
	}
	var answer review
	err = c.api.create(ctx, where(group, "", "selfsubjectaccessreviews"), value, false, &answer)
	return answer.Status.Allowed, err
}
