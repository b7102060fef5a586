package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"bakeoff/internal/platform"
)

const (
	// askEvery is the time between two looks at the Job that owns the run.
	askEvery = 5 * time.Second
	// awayFor is how long the API may be away before the cluster is lost.
	awayFor = time.Minute
)

// Options are what a run has in addition to its scope.
type Options struct {
	// PIDs are the process ids of a pod's main container, as its sampler sees them; nil: none are known.
	PIDs func(ctx context.Context, p platform.Pod) ([]int, error)
	// Note is called with a line for every event of an object of the run, from one goroutine; nil: nothing is.
	Note func(line string)
}

// A Run is the platform.Cluster of one run: it applies the run's workloads, and follows their pods, events and logs by
// watches, which survive an API that is away for less than a minute.
type Run struct {
	api     api
	scope   platform.Scope
	options Options
	view    *view
	ctx     context.Context // ended by Close
	stop    context.CancelFunc
	tasks   sync.WaitGroup

	mu       sync.Mutex
	secrets  map[string]string      // which secret has the newest values of one
	numbers  map[string]int         // how many of a name there are
	deployed map[string]*deployment // by the workload's name
	copies   map[types.UID]*started
	lost     error
}

// Run begins a run whose objects the Job s.Owner owns, in which this program is the controller. It fails when that Job is not
// there, or when pods and events cannot be followed. The caller closes it.
func (c *Cluster) Run(ctx context.Context, s platform.Scope, o Options) (*Run, error) {
	if err := (&renderer{scope: s}).check(nil); err != nil {
		return nil, fmt.Errorf("kube: %w", err)
	}
	r := &Run{
		api: c.api, scope: s, options: o,
		secrets: map[string]string{}, numbers: map[string]int{}, deployed: map[string]*deployment{}, copies: map[types.UID]*started{},
	}
	r.ctx, r.stop = context.WithCancel(ctx)
	r.view = newView(r.see)
	pods := follower[core.Pod]{
		api: c.api, at: where("", s.Namespace, "pods"), query: url.Values{"labelSelector": {labelRun + "=" + s.Run}},
		uid: func(p *core.Pod) types.UID { return p.UID }, put: r.view.putPod, refused: r.lose,
	}
	events := follower[core.Event]{
		api: c.api, at: where("", s.Namespace, "events"), uid: func(e *core.Event) types.UID { return e.UID }, put: r.view.putEvent, refused: r.lose,
	}
	for _, begin := range []func(context.Context) error{r.owned, pods.list, events.list} {
		if err := begin(ctx); err != nil {
			r.stop()
			return nil, denied(err)
		}
	}
	r.view.noted = r.note // the events that are there already are not of this run
	r.tasks.Go(func() { pods.run(r.ctx) })
	r.tasks.Go(func() { events.run(r.ctx) })
	r.tasks.Go(func() { r.listen(r.ctx) })
	return r, nil
}

// Close ends the watches and the logs; what was applied stays.
func (r *Run) Close() error {
	r.stop()
	r.tasks.Wait()
	return nil
}

// A deleted run has lost the Job that owns its objects.
type deleted struct{ job, namespace string }

func (d deleted) Error() string {
	return fmt.Sprintf("the run was deleted: the Job %s is not in the namespace %s any more", d.job, d.namespace)
}

// owned looks for the Job that owns the run.
func (r *Run) owned(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askEvery)
	defer cancel()
	owner := r.scope.Owner
	var job struct{ Metadata meta.ObjectMeta }
	err := r.api.get(ctx, where("batch", r.scope.Namespace, "jobs", owner.Name), nil, &job)
	head := job.Metadata
	if apierrors.IsNotFound(err) || err == nil && (string(head.UID) != owner.UID || head.DeletionTimestamp != nil) {
		return deleted{owner.Name, r.scope.Namespace}
	}
	return err
}

// listen finds out when the run was deleted, or when the API is away.
func (r *Run) listen(ctx context.Context) {
	heard := time.Now()
	for {
		pause(ctx, askEvery)
		err := r.owned(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			heard = time.Now()
		case errors.As(err, &deleted{}):
			r.lose(err)
			return
		case time.Since(heard) >= awayFor:
			r.lose(fmt.Errorf("the cluster's API has not answered since %s: %w", heard.Format(time.TimeOnly), err))
			return
		}
	}
}

// lose notes the first reason why the run is lost.
func (r *Run) lose(err error) {
	r.mu.Lock()
	r.lost = cmp.Or(r.lost, denied(err))
	r.mu.Unlock()
	r.view.turn()
}

// Lost implements platform.Cluster.
func (r *Run) Lost() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// see lets a started pod know what has become of it.
func (r *Run) see(pod *core.Pod, gone bool) {
	r.mu.Lock()
	s := r.copies[pod.UID]
	r.mu.Unlock()
	if s != nil {
		s.see(pod, gone)
	}
}

// note passes an event on.
func (r *Run) note(n note) {
	if r.options.Note != nil {
		r.options.Note(n.String())
	}
}

// insist tries until the cluster answers, unless it is away for too long.
func (r *Run) insist(ctx context.Context, try func(context.Context) error) error {
	for began := time.Now(); ; pause(ctx, againAfter) {
		err := try(ctx)
		switch {
		case err == nil || answers(err) || ctx.Err() != nil:
			return err
		case r.Lost() != nil:
			return r.Lost()
		case time.Since(began) >= awayFor:
			return err
		}
	}
}

// answers reports whether an error is what the API thinks of a request, which another try would not change.
func answers(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code < 500 && !apierrors.IsTooManyRequests(err)
}

// Secret implements platform.Cluster. New values are in a new object: a right to change one would be a right to read it.
func (r *Run) Secret(ctx context.Context, name string, values map[string]string) error {
	r.mu.Lock()
	last := r.numbers[name] // the controller may not look which are there
	r.mu.Unlock()
	for n := last + 1; ; n++ {
		as := name
		if n > 1 {
			as = fmt.Sprintf("%s-%d", name, n)
		}
		err := r.insist(ctx, func(ctx context.Context) error { return r.secret(ctx, as, values) })
		if apierrors.IsAlreadyExists(err) {
			continue
		}
		if err != nil {
			return denied(err)
		}
		r.mu.Lock()
		r.secrets[name], r.numbers[name] = as, n
		r.mu.Unlock()
		return nil
	}
}

func (r *Run) secret(ctx context.Context, name string, values map[string]string) error {
	all := renderer{scope: r.scope}
	object := platform.ObjectName(name)
	value, err := json.Marshal(core.Secret{
		TypeMeta: typed("Secret"), ObjectMeta: all.named(object, all.labels(), all.owner()...),
		Type: core.SecretTypeOpaque, StringData: values, Immutable: new(true),
	})
	if err != nil {
		return fmt.Errorf("kube: %w", err)
	}
	return r.api.create(ctx, path.Dir(where("", r.scope.Namespace, "secrets", object)), value, false, nil)
}

// newest has a container take secrets from where their newest values are.
func (r *Run) newest(c platform.Container) platform.Container {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.Env = slices.Clone(c.Env)
	for i, v := range c.Env {
		c.Env[i].Secret = cmp.Or(r.secrets[v.Secret], v.Secret)
	}
	return c
}

// render is what a workload is applied as, without what it shares with others.
func (r *Run) render(w platform.Workload) ([]Object, error) {
	s := r.scope
	s.Own, s.Secrets, s.Documents = false, nil, nil
	s.Sampler, w.Main = r.newest(s.Sampler), r.newest(w.Main)
	return Render(s, []platform.Workload{w})
}

// put adds a workload to those that are deployed.
func (r *Run) put(d *deployment) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.deployed[d.workload.Name] != nil {
		return fmt.Errorf("kube: %s is deployed already", d.workload.Name)
	}
	r.deployed[d.workload.Name] = d
	return nil
}

// forget removes a workload and its pods from those that are deployed.
func (r *Run) forget(d *deployment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.deployed, d.workload.Name)
	maps.DeleteFunc(r.copies, func(_ types.UID, s *started) bool { return s.deployment == d })
}

// finish finishes the removal of a workload of that name which took too long: the node of a pod may be back by now.
func (r *Run) finish(ctx context.Context, name string) error {
	r.mu.Lock()
	d := r.deployed[name]
	r.mu.Unlock()
	if d == nil || !d.removing.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, arriveWithin)
	defer cancel()
	return d.remove(ctx, time.Second)
}

// Deploy implements platform.Cluster. An error about the workload itself is a Reason.
func (r *Run) Deploy(ctx context.Context, w platform.Workload, logDir string) ([]platform.Pod, error) {
	objects, err := r.render(w)
	if err != nil {
		return nil, err
	}
	if err := r.finish(ctx, w.Name); err != nil {
		return nil, err
	}
	d := &deployment{run: r, workload: w, object: platform.ObjectName(w.Name), objects: objects, mark: r.view.mark(), turn: make(chan struct{}, 1)}
	d.uids = map[string]types.UID{}
	if err := r.put(d); err != nil {
		return nil, err
	}
	if err := d.apply(ctx); err != nil {
		return nil, err
	}
	pods, err := d.wait(ctx)
	if err != nil {
		return nil, d.withLog(ctx, err, logDir)
	}
	return d.start(pods, logDir)
}

// Remove implements platform.Cluster.
func (r *Run) Remove(ctx context.Context, name string) error {
	r.mu.Lock()
	d := r.deployed[name]
	r.mu.Unlock()
	if d == nil {
		return nil
	}
	return d.remove(ctx, grace*time.Second)
}
