package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"bakeoff/internal/platform"
)

// Laptop is one run in a cluster as who started it sees it: its objects are made and removed, and its controller is reached, from
// outside.
type Laptop struct {
	*Cluster
	Namespace, Run string
}

// At is the run of that name in a namespace.
func (c *Cluster) At(namespace, run string) *Laptop { return &Laptop{c, namespace, run} }

// insist tries until the cluster answers, for a minute at most: it may be away for a moment.
func insist(ctx context.Context, try func(context.Context) error) error {
	for began := time.Now(); ; pause(ctx, againAfter) {
		err := try(ctx)
		if err == nil || answers(err) || ctx.Err() != nil || time.Since(began) >= awayFor {
			return err
		}
	}
}

// selector selects the objects of the run.
func (l *Laptop) selector(more ...string) url.Values {
	labels := append([]string{labelManager + "=" + platform.Manager, labelRun + "=" + l.Run}, more...)
	return url.Values{"labelSelector": {strings.Join(labels, ",")}}
}

// removable are the kinds that objects of a run may be of, in the order in which they are removed: what makes others comes first.
func removable() []kind {
	return []kind{
		{"Job", "batch", "jobs"},
		{"Ingress", groupIngress, "ingresses"},
		{"HTTPRoute", groupRoute, "httproutes"},
		{"Deployment", "apps", "deployments"},
		{"StatefulSet", "apps", "statefulsets"},
		{"Pod", "", "pods"},
		{"Service", "", "services"},
		{"ConfigMap", "", "configmaps"},
		{"Secret", "", "secrets"},
		{"PersistentVolumeClaim", "", "persistentvolumeclaims"},
		{"RoleBinding", groupRights, "rolebindings"},
		{"Role", groupRights, "roles"},
		{"ServiceAccount", "", "serviceaccounts"},
	}
}

// laptopRules are the rights that who starts a run needs: those that its controller gets, since nobody can give a right that they
// lack, and those to apply, to reach and to remove the rest.
func laptopRules(workloads []platform.Workload) []Rule {
	apply := []string{"create", "patch", "list", "delete"}
	rules := Rules(workloads)
	for _, front := range fronts(workloads) {
		rules = append(rules, Rule{Group: front.group, Resources: []string{front.plural}, Verbs: []string{"list"}})
	}
	return append(rules,
		Rule{Resources: []string{"secrets"}, Verbs: []string{"patch", "list", "delete"}},
		Rule{Resources: []string{"configmaps", "services"}, Verbs: []string{"list"}},
		Rule{Resources: []string{"serviceaccounts"}, Verbs: apply},
		Rule{Group: groupRights, Resources: []string{"roles", "rolebindings"}, Verbs: apply},
		Rule{Resources: []string{"pods/proxy"}, Verbs: []string{"get", "create"}},
		Rule{Group: "batch", Resources: []string{"jobs"}, Verbs: []string{"list"}},
		Rule{Group: "apps", Resources: []string{"deployments", "statefulsets"}, Verbs: []string{"list", "delete"}},
		Rule{Resources: []string{"persistentvolumeclaims"}, Verbs: []string{"list", "delete"}},
	)
}

// Missing are the rights that who asks lacks for a run of those workloads. With own the namespace is made for the run.
func (l *Laptop) Missing(ctx context.Context, workloads []platform.Workload, own bool) ([]Missing, error) {
	out, err := l.Lacking(ctx, l.Namespace, laptopRules(workloads))
	if err != nil || !own {
		return out, err
	}
	more, err := l.Lacking(ctx, "", []Rule{{Resources: []string{"namespaces"}, Verbs: []string{"get", "list", "create", "delete"}}})
	return append(out, more...), err
}

// pods are those of the run, or of a role in it.
func (l *Laptop) pods(ctx context.Context, more ...string) ([]core.Pod, error) {
	var list core.PodList
	if err := l.api.get(ctx, where("", l.Namespace, "pods"), l.selector(more...), &list); err != nil {
		return nil, denied(err)
	}
	return list.Items, nil
}

// Controller waits until the controller of the run is up, and returns the name of its pod. It ends at once, with a Reason, where it
// cannot come up by itself. w is its workload.
func (l *Laptop) Controller(ctx context.Context, w platform.Workload) (string, error) {
	limit := within(w) + arriveWithin
	seen := patience{}
	for began := time.Now(); ; pause(ctx, lookEvery) {
		var s situation
		err := insist(ctx, func(ctx context.Context) (err error) {
			s, err = l.situation(ctx, w)
			return err
		})
		if ctx.Err() != nil {
			return "", fmt.Errorf("kube: the controller: %w", context.Cause(ctx))
		}
		if err != nil {
			return "", err
		}
		for _, p := range s.pods {
			if mainOf(p).State.Running != nil {
				return p.Name, nil
			}
		}
		if reason, final := seen.final(s.reasons(), time.Now()); final {
			return "", reason
		}
		if time.Since(began) >= limit {
			return "", s.late(limit)
		}
	}
}

// situation is what the cluster shows of a workload of the run.
func (l *Laptop) situation(ctx context.Context, w platform.Workload) (situation, error) {
	s := situation{scope: platform.Scope{Run: l.Run, Namespace: l.Namespace}, workload: w}
	pods, err := l.pods(ctx, labelName+"="+platform.ObjectName(w.Name))
	if err != nil {
		return s, err
	}
	for i := range pods {
		if pods[i].DeletionTimestamp == nil {
			s.pods = append(s.pods, &pods[i])
		}
	}
	job, err := l.job(ctx, platform.ObjectName(w.Name))
	if err != nil {
		return s, err
	}
	events, err := l.events(ctx)
	for i, e := range events {
		if about := e.InvolvedObject; about.Kind == "Job" && about.UID != job {
			continue // that of an earlier run in this namespace
		}
		s.notes = append(s.notes, note{i + 1, e.ResourceVersion, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, strings.Join(strings.Fields(e.Message), " ")})
	}
	return s, err
}

// job is the UID of the Job of that name; empty: it is not there.
func (l *Laptop) job(ctx context.Context, name string) (types.UID, error) {
	var job meta.PartialObjectMetadata
	err := l.api.get(ctx, where("batch", l.Namespace, "jobs", name), nil, &job)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	return job.UID, denied(err)
}

// Gone says why the pod of the controller cannot answer any more; nil while it may, or while the cluster does not answer either.
func (l *Laptop) Gone(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var p core.Pod
	err := l.api.get(ctx, where("", l.Namespace, "pods", name), nil, &p)
	ended := mainOf(&p).State.Terminated
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("the controller is gone: its pod %s was removed", name)
	case err != nil:
		return nil
	case p.DeletionTimestamp != nil:
		return fmt.Errorf("the controller is gone: its pod %s is being removed", name)
	case ended != nil:
		return fmt.Errorf("the controller is gone: its pod %s has ended: %s", name, exitOf(*ended))
	case p.Status.Phase == core.PodFailed:
		return fmt.Errorf("the controller is gone: its pod %s has failed: %s: %s", name, p.Status.Reason, p.Status.Message)
	}
	return nil
}

// Proxy is how a port of a pod is reached through the API server: requests to the URL go there.
func (l *Laptop) Proxy(pod string, port int) (http.RoundTripper, string, error) {
	client, ok := l.api.rest.(*rest.RESTClient)
	if !ok {
		return nil, "", errors.New("kube: no connection to the cluster")
	}
	at := client.Get().AbsPath(where("", l.Namespace, "pods", fmt.Sprintf("%s:%d", pod, port), "proxy")).URL().String()
	if client.Client == nil || client.Client.Transport == nil {
		return http.DefaultTransport, at, nil
	}
	return client.Client.Transport, at, nil
}

// Token is the run's, from its secret.
func (l *Laptop) Token(ctx context.Context, secret, key string) (string, error) {
	var s core.Secret
	if err := l.api.get(ctx, where("", l.Namespace, "secrets", platform.ObjectName(secret)), nil, &s); err != nil {
		return "", fmt.Errorf("kube: the token of run %s: %s", l.Run, words(err))
	}
	if s.Labels[labelRun] != l.Run {
		return "", fmt.Errorf("kube: namespace %s holds run %s, not %s", l.Namespace, s.Labels[labelRun], l.Run)
	}
	if len(s.Data[key]) == 0 {
		return "", fmt.Errorf("kube: run %s has no token", l.Run)
	}
	return string(s.Data[key]), nil
}
