package machine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"bakeoff/internal/balancer"
	"bakeoff/internal/collect"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/target"
	"bakeoff/internal/venue"
)

// deployed are the replicas of one target, and what is before them.
type deployed struct {
	platform platform.Platform
	account  string // that they run under; empty: ours
	replicas []*target.Replica
	records  []record.Replica
	nginx    *balancer.Nginx // nil unless the plan's balancer is nginx
	urls     []string
	logs     []venue.LogLines // of each replica, as far as they were read
}

// Deploy starts the replicas side by side, waits until each is ready, and
// puts the balancer before them.
func (v *Venue) Deploy(ctx context.Context, d venue.Deployment) (venue.Deployed, error) {
	out := &deployed{platform: v.Platform}
	if d.Trust.User != plan.Shared {
		out.account = v.accountFor(d.Prepared)
	}
	began := time.Now()
	for _, number := range order(d) {
		r, err := v.start(ctx, d, number-1, out.account)
		if err != nil {
			return out, err
		}
		out.replicas = append(out.replicas, r)
	}
	if err := out.ready(ctx, began, d.Prepared.Recipe.ReadyWithin()); err != nil {
		return out, err
	}
	return out, v.balance(ctx, d, out)
}

// order is that in which the replicas are started, as numbers from 1.
func order(d venue.Deployment) []int {
	out := slices.Clone(d.Luck.Order)
	for i := len(out); i < d.Replicas; i++ {
		out = append(out, i+1)
	}
	return out
}

func (v *Venue) start(ctx context.Context, d venue.Deployment, index int, account string) (*target.Replica, error) {
	port, err := v.port(ctx, d, index)
	if err != nil {
		return nil, err
	}
	return target.Start(ctx, target.Launch{
		Prepared: d.Prepared, Platform: v.Platform, Name: d.Target.Name + "-" + strconv.Itoa(index+1), Port: port,
		Nonce: d.Nonce, Workers: d.Workers, Pool: d.Pool, AccessLog: d.AccessLog,
		Settings: d.Target.Settings, Database: d.Database, Padding: d.Luck.Padding, LogDir: d.LogDir, User: account,
		Untracked: d.Trust.Processes == plan.Off,
	})
}

// port is a free one, or the one an external balancer expects.
func (v *Venue) port(ctx context.Context, d venue.Deployment, index int) (int, error) {
	if ports := d.Balancer.ReplicaPorts; len(ports) > 0 {
		return ports[index], nil
	}
	port, err := v.Platform.Port(ctx)
	if err != nil {
		return 0, fmt.Errorf("replica: %w", err)
	}
	return port, nil
}

// ready waits for all replicas at once.
func (d *deployed) ready(ctx context.Context, began time.Time, within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("after %s, ready_within of the recipe", show.Duration(within)))
	defer cancel()
	d.records = make([]record.Replica, len(d.replicas))
	group, ctx := errgroup.WithContext(ctx)
	for i, r := range d.replicas {
		group.Go(func() error {
			workers, err := r.Ready(ctx)
			d.records[i] = record.Replica{
				Name: r.Process().Name(), Address: r.Address(), PID: r.Process().PID(),
				ReadyS: time.Since(began).Seconds(), Workers: workers, Account: d.account, HeldBy: r.HeldBy(),
			}
			return err
		})
	}
	return group.Wait()
}

// balance puts the plan's balancer before the replicas.
func (v *Venue) balance(ctx context.Context, d venue.Deployment, out *deployed) error {
	switch d.Balancer.Kind {
	case "external":
		out.urls = []string{d.Balancer.URL}
		return nil
	case "direct":
		for _, r := range out.replicas {
			out.urls = append(out.urls, "http://"+r.Address())
		}
		return nil
	}
	dir := filepath.Join(d.LogDir, "nginx")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("balancer: %w", err)
	}
	backends := make([]balancer.Backend, len(out.replicas))
	for i, r := range out.replicas {
		backends[i] = balancer.Backend{Name: r.Process().Name(), Address: r.Address()}
	}
	var err error
	out.nginx, err = balancer.Start(ctx, balancer.Options{Platform: v.Platform, Dir: dir, Backends: backends, InFlight: d.InFlight})
	if err != nil {
		return err
	}
	out.urls = []string{out.nginx.URL()}
	return nil
}

func (d *deployed) URLs() []string             { return d.urls }
func (d *deployed) Dial() []string             { return nil }
func (d *deployed) Replicas() []record.Replica { return d.records }

func (d *deployed) Requests(ctx context.Context) (int64, error) {
	if d.nginx == nil {
		return -1, nil
	}
	return d.nginx.Requests(ctx)
}

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

// Commands are the shell lines of everything started.
func (d *deployed) Commands() []string {
	var out []string
	for _, r := range d.replicas {
		out = append(out, r.Command())
	}
	if d.nginx != nil {
		out = append(out, d.nginx.Command())
	}
	return out
}

// Sources are the process trees to sample.
func (d *deployed) Sources() []collect.Source {
	var out []collect.Source
	for i, r := range d.replicas {
		source := collect.Source{Tier: "target", Process: r.Process()}
		for _, w := range d.records[i].Workers {
			source.Workers = append(source.Workers, w.PID)
		}
		out = append(out, source)
	}
	if d.nginx != nil {
		out = append(out, collect.Source{Tier: "balancer", Process: d.nginx.Process()})
	}
	return out
}

// Freeze implements venue.Deployed.
func (d *deployed) Freeze(ctx context.Context) error {
	freezer, ok := d.platform.(platform.Freezer)
	if !ok {
		return venue.ErrNoFreezing
	}
	return freezer.Freeze(ctx, d.processes()...)
}

// Thaw implements venue.Deployed.
func (d *deployed) Thaw(ctx context.Context) error {
	freezer, ok := d.platform.(platform.Freezer)
	if !ok {
		return venue.ErrNoFreezing
	}
	return freezer.Thaw(ctx, d.processes()...)
}

// Redraw implements venue.Deployed. Where there is no balancer of ours clients do all of it themselves.
func (d *deployed) Redraw(ctx context.Context) error {
	if d.nginx == nil {
		return nil
	}
	return d.nginx.Redraw(ctx)
}

func (d *deployed) processes() []platform.Process {
	out := make([]platform.Process, len(d.replicas))
	for i, r := range d.replicas {
		out[i] = r.Process()
	}
	return out
}

func (d *deployed) CountConnections() error {
	for i, r := range d.replicas {
		_, port, err := net.SplitHostPort(r.Address())
		if err != nil {
			return fmt.Errorf("replica: %w", err)
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			return fmt.Errorf("replica: %w", err)
		}
		pids := map[int]*record.Worker{}
		for w := range d.records[i].Workers {
			worker := &d.records[i].Workers[w]
			pids[worker.PID] = worker
		}
		counts, err := collect.Connections(number, slices.Collect(maps.Keys(pids)), os.Getpid())
		if err != nil {
			return err
		}
		for pid, n := range counts {
			pids[pid].Connections = n
		}
	}
	return nil
}

// Stop ends the balancer first, so that nothing is asked of ending replicas,
// then the replicas side by side.
func (d *deployed) Stop(ctx context.Context, grace time.Duration) error {
	var errs []error
	if d.nginx != nil {
		errs = append(errs, d.nginx.Stop(ctx, grace))
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, r := range d.replicas {
		wait.Go(func() {
			if err := r.Stop(ctx, grace); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wait.Wait()
	if d.account != "" {
		if err := removeLitter(d.account, openToAll()...); err != nil {
			errs = append(errs, fmt.Errorf("what the target left: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Intact reports whether the balancer and every worker that was ready still live.
func (d *deployed) Intact() error {
	var errs []error
	if d.nginx != nil {
		select {
		case <-d.nginx.Process().Done():
			errs = append(errs, fmt.Errorf("balancer: nginx ended during the trial: %s", d.nginx.Process().Exit()))
		default:
		}
	}
	for _, r := range d.replicas {
		errs = append(errs, r.Intact())
	}
	return errors.Join(errs...)
}
