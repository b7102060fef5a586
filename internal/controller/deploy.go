package controller

import (
	"context"
	"crypto/rand"
	"encoding/hex"
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
	"bakeoff/internal/record"
	"bakeoff/internal/target"
)

// deployment is one target started in replicas behind a balancer.
type deployment struct {
	entrant  *entrant
	nonce    string
	replicas []*target.Replica
	records  []record.Replica
	nginx    *balancer.Nginx // nil unless the plan's balancer is nginx
	urls     []string        // what the agents load
}

// deploy starts the replicas side by side, waits until each is ready, and
// puts the balancer before them. What was started is in the deployment also
// when it returns an error; the caller stops it.
func (s *stage) deploy(ctx context.Context, e *entrant, logDir string) (*deployment, error) {
	d := &deployment{entrant: e, nonce: newNonce()}
	began := time.Now()
	for i := range e.Replicas {
		r, err := s.startReplica(ctx, d, i, logDir)
		if err != nil {
			return d, err
		}
		d.replicas = append(d.replicas, r)
	}
	if err := d.ready(ctx, began); err != nil {
		return d, err
	}
	return d, s.balance(ctx, d, logDir)
}

func (s *stage) startReplica(ctx context.Context, d *deployment, index int, logDir string) (*target.Replica, error) {
	port, err := s.replicaPort(ctx, index)
	if err != nil {
		return nil, err
	}
	e := d.entrant
	return target.Start(ctx, target.Launch{
		Prepared: e.prepared, Platform: s.o.Platform, Name: e.plan.Name + "-" + strconv.Itoa(index+1), Port: port,
		Nonce: d.nonce, Workers: e.Workers, Pool: e.Pool, AccessLog: e.AccessLog,
		Settings: e.plan.Settings, Database: s.db.Access(), LogDir: logDir,
	})
}

// replicaPort is a free port, or the one an external balancer expects.
func (s *stage) replicaPort(ctx context.Context, index int) (int, error) {
	if ports := s.o.Plan.Balancer.ReplicaPorts; len(ports) > 0 {
		return ports[index], nil
	}
	port, err := s.o.Platform.Port(ctx)
	if err != nil {
		return 0, fmt.Errorf("replica: %w", err)
	}
	return port, nil
}

// readyWithin bounds the wait for a target's workers: the slowest took 8 s on
// a loaded machine.
const readyWithin = 2 * time.Minute

// ready waits for all replicas at once.
func (d *deployment) ready(ctx context.Context, began time.Time) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyWithin, fmt.Errorf("not ready after %v", readyWithin))
	defer cancel()
	d.records = make([]record.Replica, len(d.replicas))
	group, ctx := errgroup.WithContext(ctx)
	for i, r := range d.replicas {
		group.Go(func() error {
			workers, err := r.Ready(ctx)
			d.records[i] = record.Replica{
				Name: r.Process().Name(), Address: r.Address(), PID: r.Process().PID(),
				ReadyS: time.Since(began).Seconds(), Workers: workers,
			}
			return err
		})
	}
	return group.Wait()
}

// balance puts the plan's balancer before the replicas.
func (s *stage) balance(ctx context.Context, d *deployment, logDir string) error {
	switch s.o.Plan.Balancer.Kind {
	case "external":
		d.urls = []string{s.o.Plan.Balancer.URL}
		return nil
	case "direct":
		for _, r := range d.replicas {
			d.urls = append(d.urls, "http://"+r.Address())
		}
		return nil
	}
	dir := filepath.Join(logDir, "nginx")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("balancer: %w", err)
	}
	backends := make([]balancer.Backend, len(d.replicas))
	for i, r := range d.replicas {
		backends[i] = balancer.Backend{Name: r.Process().Name(), Address: r.Address()}
	}
	var err error
	d.nginx, err = balancer.Start(ctx, balancer.Options{
		Platform: s.o.Platform, Dir: dir, Backends: backends, InFlight: s.o.Plan.InFlight(),
	})
	if err != nil {
		return err
	}
	d.urls = []string{d.nginx.URL()}
	return nil
}

// endpoints are the replicas as the contract check sees them.
func (d *deployment) endpoints() []target.Endpoint {
	out := make([]target.Endpoint, len(d.replicas))
	for i, r := range d.replicas {
		out[i] = target.Endpoint{Name: r.Process().Name(), URL: "http://" + r.Address(), Nonce: d.nonce}
	}
	return out
}

// names are the replicas' names by address.
func (d *deployment) names() map[string]string {
	out := map[string]string{}
	for _, r := range d.replicas {
		out[r.Address()] = r.Process().Name()
	}
	return out
}

// front is the address of the balancer, or of the first replica where there is none.
func (d *deployment) front() string { return d.urls[0] }

// commands are the shell lines of everything started.
func (d *deployment) commands() []string {
	var out []string
	for _, r := range d.replicas {
		out = append(out, r.Command())
	}
	if d.nginx != nil {
		out = append(out, d.nginx.Command())
	}
	return out
}

// sources are the process trees to sample.
func (d *deployment) sources() []collect.Source {
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

// countConnections notes how many client connections each worker holds now.
func (d *deployment) countConnections() error {
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
		counts, err := collect.Connections(number, slices.Collect(maps.Keys(pids)))
		if err != nil {
			return err
		}
		for pid, n := range counts {
			pids[pid].Connections = n
		}
	}
	return nil
}

// stop ends the balancer first, so that nothing is asked of ending replicas,
// then the replicas side by side.
func (d *deployment) stop(ctx context.Context) error {
	patience := grace(ctx)
	ctx, cancel := teardown(ctx)
	defer cancel()
	var errs []error
	if d.nginx != nil {
		errs = append(errs, d.nginx.Stop(ctx, patience))
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, r := range d.replicas {
		wait.Go(func() {
			if err := r.Stop(ctx, patience); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// intact tells whether every worker that was ready still lives.
func (d *deployment) intact() error {
	var errs []error
	for _, r := range d.replicas {
		errs = append(errs, r.Intact())
	}
	return errors.Join(errs...)
}

func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}
