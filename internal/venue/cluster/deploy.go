package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"bakeoff/internal/balancer"
	"bakeoff/internal/collect"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/sidecar"
	"bakeoff/internal/target"
	"bakeoff/internal/venue"
)

// deployed are the replicas of one target, and what is before them.
type deployed struct {
	venue    *Venue
	target   string
	applied  []string // workloads, in the order in which they came
	replicas []*replica
	records  []record.Replica
	nginx    *member            // nil unless the plan's balancer is nginx
	front    platform.Placement // of nginx, when it was started
	counter  *balancer.Counter
	urls     []string
	dial     []string         // where connections to the URLs are made; nil: where they say
	logs     []venue.LogLines // of each replica, as far as they were read
}

// replica is a pod of the target.
type replica struct {
	*target.Replica
	member  *member
	started platform.Placement
}

// Deploy implements venue.Venue.
func (v *Venue) Deploy(ctx context.Context, d venue.Deployment) (venue.Deployed, error) {
	out := &deployed{venue: v, target: d.Target.Name}
	l := v.b.launch(d.Target, d.Prepared.Recipe)
	l.Prepared, l.Database, l.Nonce, l.Padding, l.LogDir = d.Prepared, d.Database, d.Nonce, d.Luck.Padding, d.LogDir
	began := time.Now()
	w, err := v.workload(ctx, d.Target, d.Prepared.Recipe, l)
	if err != nil {
		return out, fmt.Errorf("target %s: %w", d.Target.Name, err)
	}
	w.Front = v.b.front(d.Target)
	out.applied = append(out.applied, w.Name)
	pods, err := v.cluster.Deploy(ctx, w, d.LogDir)
	if errors.Is(err, platform.ErrNoRoom) {
		return out, fmt.Errorf("%w: %w", venue.ErrNoRoom, err)
	}
	if err != nil {
		return out, err // it names the target
	}
	if err := out.take(pods, l); err != nil {
		return out, err
	}
	if err := out.ready(ctx, began, d.Prepared.Recipe.ReadyWithin()); err != nil {
		return out, err
	}
	if err := out.placed(w); err != nil {
		return out, err
	}
	return out, out.balance(ctx, d)
}

// take makes the pods replicas, numbered in their order.
func (d *deployed) take(pods []platform.Pod, l target.Launch) error {
	d.records = make([]record.Replica, len(pods))
	for i, pod := range pods {
		l.Name = fmt.Sprintf("%s-%d", d.target, i+1)
		m := d.venue.members.add(pod, l.Name, d.venue.asked)
		r, err := l.Attach(inside{m}, at(pod.Address(), targetPort), pod.Log())
		if err != nil {
			return err
		}
		d.replicas = append(d.replicas, &replica{r, m, pod.Placement()})
	}
	return nil
}

// ready waits for all replicas at once.
func (d *deployed) ready(ctx context.Context, began time.Time, within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("after %s, ready_within of the recipe", show.Duration(within)))
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	for i, r := range d.replicas {
		group.Go(func() error {
			workers, err := r.Ready(ctx)
			p := r.started
			d.records[i] = record.Replica{
				Name: r.Name(), Address: r.Address(), PID: r.Process().PID(), ReadyS: time.Since(began).Seconds(), Workers: workers,
				Pod: p.Pod, UID: p.UID, Node: p.Node, Image: p.Image, Restarts: p.Restarts, Others: p.Others,
			}
			return errors.Join(err, d.venue.places.learn(ctx, r.member))
		})
	}
	return group.Wait()
}

// placed fails where the replicas are not where and what the plan demands.
func (d *deployed) placed(w platform.Workload) error {
	var nodes []string
	for _, r := range d.replicas {
		p := r.started
		if w.OnePerNode && slices.Contains(nodes, p.Node) {
			return fmt.Errorf("target %s: %w: two replicas are on %s", d.target, venue.ErrPlacement, p.Node)
		}
		nodes = append(nodes, p.Node)
		if err := d.venue.places.image(w.Main.Image, p); err != nil {
			return fmt.Errorf("target %s: %w", d.target, err)
		}
	}
	if len(nodes) != w.Copies {
		return fmt.Errorf("target %s: %w: %d replicas, not %d", d.target, venue.ErrPlacement, len(nodes), w.Copies)
	}
	if err := d.venue.places.apart(nodes, d.venue.b.k.AllowColocated != ""); err != nil {
		return fmt.Errorf("target %s: %w", d.target, err)
	}
	return nil
}

// balance puts the plan's balancer before the replicas.
func (d *deployed) balance(ctx context.Context, of venue.Deployment) error {
	if of.Balancer.InCluster() {
		return d.behind(ctx, of)
	}
	if of.Balancer.Kind == "direct" {
		for _, r := range d.ordered(of.Luck.Order) {
			d.urls = append(d.urls, "http://"+r.Address())
		}
		return nil
	}
	var backends []balancer.Backend
	for _, r := range d.ordered(of.Luck.Order) {
		backends = append(backends, balancer.Backend{Name: r.Name(), Address: r.Address()})
	}
	return d.putBefore(ctx, of.Target, backends, of.LogDir)
}

// ordered are the replicas in the order that was drawn, of numbers from 1.
func (d *deployed) ordered(numbers []int) []*replica {
	var out []*replica
	for _, n := range numbers {
		if n >= 1 && n <= len(d.replicas) {
			out = append(out, d.replicas[n-1])
		}
	}
	for i := len(out); i < len(d.replicas); i++ {
		out = append(out, d.replicas[i])
	}
	return out
}

// frontWithin is how long nginx may take to answer once its pod is ready.
const frontWithin = 10 * time.Second

// putBefore starts nginx before the replicas and waits until it answers.
func (d *deployed) putBefore(ctx context.Context, t plan.Target, backends []balancer.Backend, logDir string) error {
	w, err := d.venue.b.nginx(t, backends)
	if err != nil {
		return err
	}
	d.applied = append(d.applied, w.Name)
	if d.nginx, err = d.venue.deployOne(ctx, w, "balancer", logDir); err != nil {
		return err
	}
	d.front, d.counter = d.nginx.Placement(), balancer.NewCounter(at(d.nginx.Address(), statusPort))
	ctx, cancel := context.WithTimeout(ctx, frontWithin)
	defer cancel()
	err = platform.Await(ctx, d.nginx, func(ctx context.Context) (bool, error) {
		_, err := d.counter.Requests(ctx)
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("balancer: nginx does not answer: %w: %s", err, platform.LogTail(d.nginx.Log()))
	}
	d.urls = []string{"http://" + at(d.nginx.Address(), frontPort)}
	return nil
}

// URLs implements venue.Deployed.
func (d *deployed) URLs() []string { return d.urls }

// Dial implements venue.Deployed.
func (d *deployed) Dial() []string { return d.dial }

// Replicas implements venue.Deployed.
func (d *deployed) Replicas() []record.Replica { return d.records }

// Requests implements venue.Deployed.
func (d *deployed) Requests(ctx context.Context) (int64, error) {
	if d.counter == nil {
		return -1, nil
	}
	return d.counter.Requests(ctx)
}

// LogLines implements venue.Deployed.
func (d *deployed) LogLines() (sum int64, err error) {
	if d.logs == nil {
		d.logs = make([]venue.LogLines, len(d.replicas))
	}
	for i, r := range d.replicas {
		if err := d.logs[i].Read(r.Log()); err != nil {
			return 0, fmt.Errorf("log of %s: %w", r.Name(), err)
		}
		sum += d.logs[i].Lines
	}
	return sum, nil
}

// CountConnections implements venue.Deployed.
func (d *deployed) CountConnections() error {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	for i, r := range d.replicas {
		usage, err := d.venue.asked.usage(ctx, r.member.Pod, wanted{port: targetPort})
		if err != nil {
			return err
		}
		for w := range d.records[i].Workers {
			if err := countOf(&d.records[i].Workers[w], usage.Processes); err != nil {
				return fmt.Errorf("%s: %w", r.Name(), err)
			}
		}
	}
	return nil
}

// countOf notes the connections of a worker; of one that has ended it changes nothing.
func countOf(worker *record.Worker, processes []sidecar.Process) error {
	for _, p := range processes {
		if p.PID != worker.PID {
			continue
		}
		if p.Connections == nil {
			return fmt.Errorf("the connections of worker %d cannot be read", p.PID)
		}
		worker.Connections = *p.Connections
	}
	return nil
}

// Freeze implements venue.Deployed: nobody holds processes of other pods still.
func (d *deployed) Freeze(context.Context) error { return venue.ErrNoFreezing }

// Thaw implements venue.Deployed.
func (d *deployed) Thaw(context.Context) error { return venue.ErrNoFreezing }

// Redraw implements venue.Deployed. Where there is no balancer of ours clients do all of it themselves.
func (d *deployed) Redraw(ctx context.Context) error {
	if d.nginx == nil {
		return nil
	}
	d.counter.Disconnect()
	return d.venue.asked.reload(ctx, d.nginx.Pod)
}

// lookWithin is how long a look at all pods may take: the cluster's API may be away for a minute.
const lookWithin = 70 * time.Second

// Intact implements venue.Deployed: the processes that were ready are there, in the same pods, which were never started again, and so is
// the database.
func (d *deployed) Intact() error {
	ctx, cancel := context.WithTimeout(context.Background(), lookWithin)
	defer cancel()
	errs := []error{d.venue.sameServer()}
	if d.nginx != nil {
		_, err := same(ctx, d.nginx.Pod, d.front)
		errs = append(errs, err)
	}
	for i, r := range d.replicas {
		now, err := same(ctx, r.member.Pod, r.started)
		d.records[i].Restarts = now.Restarts
		errs = append(errs, err, r.Intact())
	}
	return errors.Join(errs...)
}

// same fails where a pod is not as it was.
func same(ctx context.Context, p platform.Pod, was platform.Placement) (platform.Placement, error) {
	now, err := p.Look(ctx)
	if err != nil {
		if now.UID == "" { // it was not seen
			now = was
		}
		return now, fmt.Errorf("%w%s", err, endOf(p)) // it names the pod
	}
	var what string
	switch {
	case now.UID != was.UID:
		what = "is another one than at the start"
	case now.Restarts != was.Restarts || now.Restarts > 0:
		what = fmt.Sprintf("was started again, %d times so far", now.Restarts)
	case now.Image != was.Image:
		what = fmt.Sprintf("has another image (%s) than at the start (%s)", now.Image, was.Image)
	case now.Lapse != "":
		what = "was not ready for a while: " + now.Lapse
	case !now.Ready.Equal(was.Ready):
		what = "was not ready for a while"
	default:
		return now, nil
	}
	return now, fmt.Errorf("%w: pod %s on %s %s%s", venue.ErrPlacement, was.Pod, was.Node, what, endOf(p))
}

// endOf is why a pod, or its main container, has ended, where the cluster knows.
func endOf(p platform.Pod) string {
	select {
	case <-p.Done():
	default:
		return ""
	}
	if why := p.Exit().Why; why != "" {
		return ": " + why
	}
	return ""
}

// Sources implements venue.Deployed.
func (d *deployed) Sources() []collect.Source {
	var out []collect.Source
	for i, r := range d.replicas {
		source := collect.Source{Tier: "target", Process: r.member}
		for _, w := range d.records[i].Workers {
			source.Workers = append(source.Workers, w.PID)
		}
		out = append(out, source)
	}
	if d.nginx != nil {
		out = append(out, collect.Source{Tier: "balancer", Process: d.nginx})
	}
	return out
}

// Commands implements venue.Deployed: what runs in each pod.
func (d *deployed) Commands() []string {
	var out []string
	for _, r := range d.replicas {
		out = append(out, r.Command())
	}
	return out
}

// Stop removes the balancer first, so that nothing is asked of ending replicas.
func (d *deployed) Stop(ctx context.Context, _ time.Duration) error {
	if d.counter != nil {
		d.counter.Disconnect()
	}
	var errs []error
	for _, name := range slices.Backward(d.applied) {
		errs = append(errs, d.venue.cluster.Remove(ctx, name))
	}
	for _, r := range d.replicas {
		d.venue.members.drop(r.member)
	}
	d.venue.members.drop(d.nginx)
	return errors.Join(errs...)
}
