package kube

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bakeoff/internal/platform"
)

// removeWithin is how long the cluster may take to remove the objects of a run.
const removeWithin = 3 * time.Minute

// listed is an object that is there.
type listed struct {
	kind kind
	meta.ObjectMeta
}

// brought are the kinds of workloads that no run has, but that others may have brought into its namespace.
func brought() []kind {
	return []kind{{"DaemonSet", "apps", "daemonsets"}, {"ReplicaSet", "apps", "replicasets"}, {"CronJob", "batch", "cronjobs"}}
}

// mayMiss reports whether a kind is left out where it cannot be listed: who starts a run with an Ingress or a route needs the right to
// list them, and a cluster that has none does not know the kind; what nobody made for a run needs no rights.
func mayMiss(k kind) bool {
	return k.group == groupIngress || k.group == groupRoute || slices.Contains(brought(), k)
}

// objects are those of a kind with these labels.
func (c *Cluster) objects(ctx context.Context, k kind, namespace string, labels url.Values) ([]listed, error) {
	var list meta.PartialObjectMetadataList
	err := c.api.get(ctx, where(k.group, namespace, k.plural), labels, &list)
	if mayMiss(k) && (apierrors.IsForbidden(err) || apierrors.IsNotFound(err)) {
		return nil, nil
	}
	if err != nil {
		return nil, denied(err)
	}
	var out []listed
	for _, one := range list.Items {
		out = append(out, listed{k, one.ObjectMeta})
	}
	return out, nil
}

// Remove removes every object of the run, its namespace where it is the run's own, and returns once nothing is left. What
// is not there is no error. A namespace in which another run has objects stays as it is, and one that holds what is not bakeoff's stays
// with that, which are errors.
func (l *Laptop) Remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, removeWithin, fmt.Errorf("the cluster has not removed everything within %v", removeWithin))
	defer cancel()
	own := false
	err := insist(ctx, func(ctx context.Context) (err error) {
		own, err = l.owns(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if !own {
		return l.removeOurs(ctx)
	}
	theirs, err := l.theirs(ctx)
	switch {
	case err != nil:
		return err
	case len(theirs) > 0:
		stays := fmt.Errorf("kube: namespace %s is run %s's own, but holds what is not bakeoff's, and stays: %s", l.Namespace, l.Run, strings.Join(theirs, ", "))
		return errors.Join(l.removeOurs(ctx), stays)
	}
	return l.removeAll(ctx, []kind{{"Namespace", "", "namespaces"}}, "")
}

// removeOurs removes the objects of the run alone. The controller makes others: it goes first, and what it owns with it. Where it does
// not go, as on a node that is lost, the others are removed all the same.
func (l *Laptop) removeOurs(ctx context.Context) error {
	first, cancel := context.WithTimeout(ctx, removeWithin/3)
	defer cancel()
	if err := l.removeAll(first, removable()[:1], l.Namespace); err != nil && first.Err() == nil {
		return err
	}
	return l.removeAll(ctx, removable(), l.Namespace)
}

// theirs are objects in the run's own namespace that nobody has made for it and that nothing owns, of the kinds that only users make: of
// the others clusters put some into every namespace. It fails where another run has objects there.
func (l *Laptop) theirs(ctx context.Context) (out []string, err error) {
	if err := l.alone(ctx); err != nil {
		return nil, err
	}
	for _, k := range append(removable(), brought()...) {
		if slices.Contains([]string{"ConfigMap", "Secret", "RoleBinding", "Role", "ServiceAccount"}, k.name) {
			continue
		}
		var all []listed
		err := insist(ctx, func(ctx context.Context) (err error) {
			all, err = l.objects(ctx, k, l.Namespace, nil)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, o := range all {
			if o.Labels[labelManager] != platform.Manager && len(o.OwnerReferences) == 0 && o.DeletionTimestamp == nil {
				out = append(out, k.name+" "+o.Name)
			}
		}
	}
	return out, nil
}

// owns reports whether the namespace is the run's own; it is not where who asks may not see it.
func (l *Laptop) owns(ctx context.Context) (bool, error) {
	by, err := l.Owner(ctx)
	return by == l.Run, err
}

// Owner is the run whose own the namespace is; empty: there is none, or who asks may not see it.
func (l *Laptop) Owner(ctx context.Context) (run string, err error) {
	var n meta.PartialObjectMetadata
	err = l.api.get(ctx, where("", "", "namespaces", l.Namespace), nil, &n)
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		return "", nil
	case err != nil:
		return "", denied(err)
	case n.Labels[labelManager] != platform.Manager:
		return "", nil
	}
	return n.Labels[labelRun], nil
}

// alone fails where another run has objects in the namespace.
func (l *Laptop) alone(ctx context.Context) error {
	var there []Found
	err := insist(ctx, func(ctx context.Context) (err error) {
		there, err = l.Find(ctx, l.Namespace)
		return err
	})
	if err != nil {
		return err
	}
	for _, f := range there {
		if f.Run != l.Run {
			return fmt.Errorf("kube: namespace %s is run %s's own, but holds run %s, too: it stays", l.Namespace, l.Run, f.Run)
		}
	}
	return nil
}

// removeAll removes the objects of some kinds, and waits until they are gone.
func (l *Laptop) removeAll(ctx context.Context, kinds []kind, namespace string) error {
	asked := map[string]bool{}
	for {
		var left []string
		err := insist(ctx, func(ctx context.Context) (err error) {
			left, err = l.removeOnce(ctx, kinds, namespace, asked)
			return err
		})
		if err != nil || len(left) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kube: %w: %s", context.Cause(ctx), strings.Join(left, ", "))
		case <-time.After(lookEvery):
		}
	}
}

// removeOnce asks the cluster to remove what it was not asked to remove yet, and returns what is there.
func (l *Laptop) removeOnce(ctx context.Context, kinds []kind, namespace string, asked map[string]bool) ([]string, error) {
	var left []string
	for _, k := range kinds {
		all, err := l.objects(ctx, k, namespace, l.selector())
		if err != nil {
			return nil, err
		}
		for _, o := range all {
			left = append(left, k.name+" "+o.Name)
			if asked[string(o.UID)] || o.DeletionTimestamp != nil { // once is enough
				continue
			}
			if err := l.delete(ctx, o, namespace); err != nil {
				return nil, err
			}
			asked[string(o.UID)] = true
		}
	}
	return left, nil
}

// delete removes just this object, not one that has taken its name since. What it owns goes before it.
func (l *Laptop) delete(ctx context.Context, o listed, namespace string) error {
	foreground := meta.DeletePropagationForeground
	how := meta.DeleteOptions{Preconditions: &meta.Preconditions{UID: &o.UID}, PropagationPolicy: &foreground}
	err := l.api.remove(ctx, where(o.kind.group, namespace, o.kind.plural, o.Name), how)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("%s %s: %w", o.kind.name, o.Name, denied(err))
	}
	return nil
}

// Found is a run that has objects in a cluster.
type Found struct {
	Namespace, Run string
	// Answers: the pod of its controller runs, and can be asked for the run.
	Answers bool
	// InProgress: its controller has not ended, or was not started yet.
	InProgress bool
	// Over: its controller has ended as it should.
	Over bool
}

// beginsWithin is how long a run whose controller has no pod yet may just be starting.
const beginsWithin = 15 * time.Minute

// lostAfter is how long after its time a pod that is to end is believed to be ending. Then its node is lost.
const lostAfter = time.Minute

// look says of the pods of its controller how the run is, which began at that time.
func (f *Found) look(pods []core.Pod, made, now time.Time) {
	f.InProgress = len(pods) == 0 && now.Sub(made) < beginsWithin
	for _, p := range pods {
		if d := p.DeletionTimestamp; d != nil && now.Sub(d.Time) > lostAfter {
			continue
		}
		f.Answers = f.Answers || p.Status.Phase == core.PodRunning
		f.InProgress = f.InProgress || p.Status.Phase != core.PodSucceeded && p.Status.Phase != core.PodFailed
		f.Over = f.Over || p.Status.Phase == core.PodSucceeded
	}
}

// sightings are runs, and when the last object of each was made.
type sightings map[Found]time.Time

func (s sightings) add(namespace string, o listed) {
	f := Found{Namespace: namespace, Run: o.Labels[labelRun]}
	if last, known := s[f]; !known || o.CreationTimestamp.After(last) {
		s[f] = o.CreationTimestamp.Time
	}
}

// within are the runs in a namespace, by any object.
func (c *Cluster) within(ctx context.Context, namespace string, ours url.Values) (sightings, error) {
	seen := sightings{}
	for _, k := range removable() {
		all, err := c.objects(ctx, k, namespace, ours)
		if err != nil {
			return nil, err
		}
		for _, o := range all {
			seen.add(namespace, o)
		}
	}
	return seen, nil
}

// everywhere are the runs that have a namespace of their own, by that, and those in others by their Jobs.
func (c *Cluster) everywhere(ctx context.Context, ours url.Values) (sightings, error) {
	seen := sightings{}
	all, err := c.objects(ctx, kind{"Namespace", "", "namespaces"}, "", ours)
	if apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("%w (a namespace is looked at without that right where it is named: --namespace)", err)
	}
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		seen.add(n.Name, n)
	}
	jobs, err := c.objects(ctx, removable()[0], "", ours)
	if err != nil && !apierrors.IsForbidden(err) {
		return nil, err
	}
	for _, o := range jobs {
		seen.add(o.Namespace, o)
	}
	return seen, nil
}

// Find finds the runs in a namespace; without one, those that have a namespace of their own, and those in others where who asks may
// list Jobs in all of them.
func (c *Cluster) Find(ctx context.Context, namespace string) ([]Found, error) {
	look := c.everywhere
	if namespace != "" {
		look = func(ctx context.Context, ours url.Values) (sightings, error) { return c.within(ctx, namespace, ours) }
	}
	seen, err := look(ctx, url.Values{"labelSelector": {labelManager + "=" + platform.Manager + "," + labelRun}})
	if err != nil {
		return nil, err
	}
	var out []Found
	for f, made := range seen {
		pods, err := c.At(f.Namespace, f.Run).pods(ctx, labelRole+"="+platform.RoleController)
		if namespace == "" && apierrors.IsForbidden(err) {
			continue // somebody else's
		}
		if err != nil {
			return nil, err
		}
		f.look(pods, made, time.Now())
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b Found) int { return strings.Compare(a.Namespace+" "+a.Run, b.Namespace+" "+b.Run) })
	return out, nil
}
