package kube

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"bakeoff/internal/platform"
)

const (
	// arriveWithin is how long a pod may take to get a node and its images, before it starts.
	arriveWithin = 5 * time.Minute
	// lookEvery is the time between two looks at pods that do not change.
	lookEvery = 500 * time.Millisecond
)

// A deployment is a workload that was applied.
type deployment struct {
	run      *Run
	workload platform.Workload
	object   string
	objects  []Object
	uids     map[string]types.UID // of the objects that were applied, by place
	mark     int                  // of the notes before it
	turn     chan struct{}        // holds one who removes it
	removing atomic.Bool
}

// apply applies the objects in their order. After an error the deployment has those alone that may have been made: another object may
// have the name of one that was not.
func (d *deployment) apply(ctx context.Context) error {
	for i, o := range d.objects {
		value, err := o.JSON()
		if err != nil {
			d.objects = d.objects[:i]
			return err
		}
		var made meta.PartialObjectMetadata
		unknown := false // whether it was made: an answer was lost
		err = d.run.insist(ctx, func(ctx context.Context) error {
			err := d.run.api.applied(ctx, o.at(), value, &made)
			unknown = unknown || err != nil && !answers(err)
			return err
		})
		if err != nil {
			if unknown {
				i++
			}
			d.objects = d.objects[:i]
			return d.refused(o, err)
		}
		d.run.mu.Lock()
		d.uids[o.at()] = made.UID
		d.run.mu.Unlock()
	}
	return nil
}

// refused says that the cluster would not take an object.
func (d *deployment) refused(o Object, err error) error {
	if m, ok := missing(err); ok {
		return Reason{Workload: who(d.workload), Text: m.String(), Line: m.Line()}
	}
	return Reason{Workload: who(d.workload), Text: fmt.Sprintf("the cluster refuses the %s %s: %s", o.Kind, o.Name, o.why(err)), err: err}
}

// wait waits until all pods are ready. The first reason why they cannot be ends it.
func (d *deployment) wait(ctx context.Context) ([]*core.Pod, error) {
	limit := within(d.workload) + arriveWithin
	seen := patience{}
	for began := time.Now(); ; {
		next := d.run.view.next()
		if err := d.run.Lost(); err != nil {
			return nil, err
		}
		pods := slices.DeleteFunc(d.run.view.of(d.object), func(p *core.Pod) bool { return p.DeletionTimestamp != nil })
		c := situation{d.run.scope, d.workload, pods, d.run.view.since(d.mark)}
		if len(pods) == d.workload.Pods() && !slices.ContainsFunc(pods, func(p *core.Pod) bool { return !ready(p) }) {
			return pods, c.limited()
		}
		if reason, final := seen.final(c.reasons(), time.Now()); final {
			return nil, reason
		}
		if time.Since(began) >= limit {
			return nil, c.late(limit)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ctx.Err(), c.late(time.Since(began)))
		case <-next:
		case <-time.After(lookEvery):
		}
	}
}

// ready reports whether a pod is.
func ready(p *core.Pod) bool { return condition(p, core.PodReady).Status == core.ConditionTrue }

// condition is one of a pod, the zero value where it has none of that type.
func condition(p *core.Pod, of core.PodConditionType) core.PodCondition {
	for _, c := range p.Status.Conditions {
		if c.Type == of {
			return c
		}
	}
	return core.PodCondition{}
}

// main is the status of a pod's main container, the zero value where it has none yet.
func mainOf(p *core.Pod) core.ContainerStatus {
	for _, c := range p.Status.ContainerStatuses {
		if c.Name == mainName {
			return c
		}
	}
	return core.ContainerStatus{}
}

// name is that of one of its pods, by its place among them.
func (d *deployment) name(i int) string {
	switch w := d.workload; {
	case w.Role == platform.RoleTarget:
		return fmt.Sprintf("%s-%d", w.Target, i+1)
	case w.Pods() > 1:
		return fmt.Sprintf("%s-%d", w.Name, i+1)
	default:
		return w.Name
	}
}

// log is the file of one of its pods; empty: it has none.
func (d *deployment) log(i int, logDir string) string {
	if logDir == "" {
		return ""
	}
	return filepath.Join(logDir, d.name(i)+".log")
}

// start makes processes of pods that are ready, and follows their logs.
func (d *deployment) start(pods []*core.Pod, logDir string) ([]platform.Pod, error) {
	r := d.run
	var all []*started
	for i, pod := range pods {
		s := newStarted(d, d.name(i), d.log(i, logDir), pod)
		all = append(all, s)
		r.mu.Lock()
		r.copies[pod.UID] = s
		r.mu.Unlock()
	}
	var out []platform.Pod
	for i, s := range all {
		now := r.view.pod(s.uid)
		s.see(now, now == nil)
		if err := s.open(); err != nil {
			for _, later := range all[i+1:] {
				later.log.skip()
			}
			return nil, Reason{Workload: who(d.workload), Text: "the log of the pod " + s.placed.Pod + " cannot be followed: " + words(err), err: err}
		}
		out = append(out, s)
	}
	return out, nil
}

// withLog adds to a reason what the pod has said that it is about, and keeps the logs of all pods.
func (d *deployment) withLog(ctx context.Context, err error, logDir string) error {
	if logDir == "" {
		return err
	}
	reason, ok := asReason(err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for i, pod := range d.run.view.of(d.object) {
		to := d.log(i, logDir)
		if mainOf(pod).ContainerID == "" || d.keep(ctx, pod, to) != nil {
			continue
		}
		if ok && pod.Name == reason.pod {
			reason.Log, reason.err = strings.TrimSpace(platform.LogTail(to)), err
			err = reason
		}
	}
	return err
}

// keep writes the log of a pod as it is into a file: that of the container which ended, where another has taken its place.
func (d *deployment) keep(ctx context.Context, pod *core.Pod, to string) error {
	file, err := newLogFile(to, d.workload.LogLimit)
	if err != nil {
		return err
	}
	defer file.close()
	query := url.Values{"container": {mainName}}
	if mainOf(pod).RestartCount > 0 {
		query.Set("previous", "true")
	}
	stream, err := d.run.api.stream(ctx, where("", pod.Namespace, "pods", pod.Name, "log"), query)
	if err != nil {
		return err
	}
	defer stream.Close() // read to its end
	_, err = io.Copy(file, stream)
	return err
}

// remove deletes the objects, and returns once no pod is left. Pods have this period, at most their own, to end by themselves.
func (d *deployment) remove(ctx context.Context, period time.Duration) error {
	d.removing.Store(true)
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var rest []Object
	for _, o := range slices.Backward(d.objects) {
		var err error
		switch o.Kind {
		case "ConfigMap", "Service":
			rest = append(rest, o)
		case "Ingress", "HTTPRoute": // before the pods, so that nothing is asked of those that end
			err = d.removeWhole(ctx, o)
		default:
			err = d.removeWithPods(ctx, o, period)
		}
		if err != nil {
			return err
		}
	}
	for _, o := range rest {
		if _, err := d.delete(ctx, o.at(), d.just(o)); err != nil {
			return err
		}
	}
	for _, s := range d.copies() {
		s.finish(ctx)
	}
	d.run.forget(d)
	return nil
}

// copies are its pods that were ready once.
func (d *deployment) copies() []*started {
	d.run.mu.Lock()
	defer d.run.mu.Unlock()
	var out []*started
	for _, s := range d.run.copies {
		if s.deployment == d {
			out = append(out, s)
		}
	}
	return out
}

// removeWhole deletes an object, and returns once it is gone: what serves it may have to let go of it first.
func (d *deployment) removeWhole(ctx context.Context, o Object) error {
	for ; ; pause(ctx, lookEvery) {
		gone, err := d.delete(ctx, o.at(), d.just(o))
		switch {
		case gone:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%s is not removed: %w: left: the %s %s", who(d.workload), ctx.Err(), o.Kind, o.Name)
		case err != nil:
			return err
		}
	}
}

// removeWithPods deletes what makes the pods, which the cluster then deletes, too: it stays until they are gone.
func (d *deployment) removeWithPods(ctx context.Context, o Object, period time.Duration) error {
	foreground, how := meta.DeletePropagationForeground, d.just(o)
	how.PropagationPolicy = &foreground
	hurried := map[types.UID]bool{}
	for {
		next := d.run.view.next()
		gone, err := d.delete(ctx, o.at(), how)
		pods := d.run.view.of(d.object)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("%s is not removed: %w: %s", who(d.workload), ctx.Err(), left(pods))
		case err != nil:
			return err
		case gone && len(pods) == 0:
			return nil
		}
		if err := d.hurry(ctx, pods, period, hurried); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-next:
		case <-time.After(lookEvery):
		}
	}
}

// hurry gives pods that are being deleted less time than they have. Those that are not yet would be replaced.
func (d *deployment) hurry(ctx context.Context, pods []*core.Pod, period time.Duration, hurried map[types.UID]bool) error {
	for _, pod := range pods {
		if period >= grace*time.Second || pod.DeletionTimestamp == nil || hurried[pod.UID] {
			continue
		}
		hurried[pod.UID] = true
		uid, seconds := pod.UID, max(1, int64(period/time.Second)) // 0 would forget the pod while it still runs
		how := meta.DeleteOptions{GracePeriodSeconds: &seconds, Preconditions: &meta.Preconditions{UID: &uid}}
		if _, err := d.delete(ctx, where("", pod.Namespace, "pods", pod.Name), how); err != nil {
			return err
		}
	}
	return nil
}

// just has the API delete the object that was applied, and not one that has taken its name since.
func (d *deployment) just(o Object) meta.DeleteOptions {
	d.run.mu.Lock()
	uid := d.uids[o.at()]
	d.run.mu.Unlock()
	if uid == "" { // whether it was made is not known: the answer was lost
		return meta.DeleteOptions{}
	}
	return meta.DeleteOptions{Preconditions: &meta.Preconditions{UID: &uid}}
}

// delete deletes an object and reports whether it was gone already, or has become another.
func (d *deployment) delete(ctx context.Context, at string, how meta.DeleteOptions) (gone bool, err error) {
	err = d.run.insist(ctx, func(ctx context.Context) error { return d.run.api.remove(ctx, at, how) })
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return true, nil
	}
	return false, denied(err)
}

// left are the pods that do not end, and their nodes.
func left(pods []*core.Pod) string {
	if len(pods) == 0 {
		return "no pod is left, but the cluster keeps the object"
	}
	var names []string
	for _, p := range pods {
		names = append(names, p.Name+" on "+p.Spec.NodeName)
	}
	return "left: " + strings.Join(names, ", ")
}
