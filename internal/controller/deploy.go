package controller

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"bakeoff/internal/balancer"
	"bakeoff/internal/collect"
	"bakeoff/internal/contract"
	"bakeoff/internal/dataset"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/record"
	"bakeoff/internal/target"
)

// replicated is a target of a recipe, started in replicas behind a balancer.
type replicated struct {
	stage    *recipes
	entrant  *entrant
	nonce    string
	replicas []*target.Replica
	records  []record.Replica
	nginx    *balancer.Nginx // nil unless the plan's balancer is nginx
	urls     []string        // what the agents load
	learned  contract.Result // of the check before the load
}

// deploy starts the replicas side by side, waits until each is ready, and
// puts the balancer before them.
func (s *recipes) deploy(ctx context.Context, name, logDir string) (deployment, error) {
	d := &replicated{stage: s, entrant: s.entrantOf(name), nonce: newNonce()}
	began := time.Now()
	for i := range d.entrant.Replicas {
		r, err := s.startReplica(ctx, d, i, logDir)
		if err != nil {
			return d, err
		}
		d.replicas = append(d.replicas, r)
	}
	if err := d.ready(ctx, began); err != nil {
		return d, err
	}
	if err := s.balance(ctx, d, logDir); err != nil {
		return d, err
	}
	return d, s.withinBudget(ctx)
}

// withinBudget refuses a target that opened more database connections than the plan gives it.
func (s *recipes) withinBudget(ctx context.Context) error {
	open, err := s.db.ConnectionCount(ctx)
	if err != nil {
		return err
	}
	if budget := s.dbInfo.MaxConnections; open > budget {
		return fmt.Errorf("%d database connections are open after the start, the budget is %d", open, budget)
	}
	return nil
}

func (s *recipes) startReplica(ctx context.Context, d *replicated, index int, logDir string) (*target.Replica, error) {
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
func (s *recipes) replicaPort(ctx context.Context, index int) (int, error) {
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
func (d *replicated) ready(ctx context.Context, began time.Time) error {
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
func (s *recipes) balance(ctx context.Context, d *replicated, logDir string) error {
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
func (d *replicated) endpoints() []contract.Endpoint {
	out := make([]contract.Endpoint, len(d.replicas))
	for i, r := range d.replicas {
		out[i] = contract.Endpoint{Name: r.Process().Name(), URL: "http://" + r.Address(), Nonce: d.nonce}
	}
	return out
}

// names are the replicas' names by address.
func (d *replicated) names() map[string]string {
	out := map[string]string{}
	for _, r := range d.replicas {
		out[r.Address()] = r.Process().Name()
	}
	return out
}

// front is the address of the balancer, or of the first replica where there is none.
func (d *replicated) front() string { return d.urls[0] }

// describe fills in what was started.
func (d *replicated) describe(rec *record.Trial) {
	rec.Nonce, rec.Replicas, rec.Commands = d.nonce, d.records, d.commands()
}

// check runs the contract check.
func (d *replicated) check(ctx context.Context, when string, full bool) (findings, error) {
	asked := d.stage.contract()
	asked.Full = full
	result, err := asked.Check(ctx, when, d.endpoints(), d.front())
	if err != nil {
		return findings{}, fmt.Errorf("contract of %s: %w", d.entrant.plan.Name, err)
	}
	if when == before {
		d.learned = result
	}
	return findings{result.Checks, result.Reasons()}, nil
}

// contract is the check of the plan's contract against this stage's table.
func (s *recipes) contract() *contract.Contract {
	p := s.o.Plan
	return &contract.Contract{Dataset: s.rows, Database: s.db, Lookups: p.Dataset.Lookups, Seed: p.Seed, InFlight: p.InFlight(), Secrets: []string{s.db.Access().Password}}
}

// Contract is the name by which agents know the workload of package dataset.
const Contract = "lookup"

// task is lookups of the dataset's keys through the balancer.
func (d *replicated) task(phase load.Phase) (fleet.Task, error) {
	p := d.stage.o.Plan
	spec, err := json.Marshal(dataset.WorkloadSpec{
		Dataset: d.stage.rows.Spec(), Seed: p.Seed, HitRatio: p.Dataset.HitRatio,
		Lookups:       lookupsOf(p, phase),
		LengthPresent: d.learned.LengthPresent, LengthAbsent: d.learned.LengthAbsent,
	})
	if err != nil {
		return fleet.Task{}, fmt.Errorf("controller: %w", err)
	}
	return fleet.Task{URLs: d.urls, Contract: Contract, Workload: spec}, nil
}

// workers is the number of processes that said they are ready.
func (d *replicated) workers() int {
	n := 0
	for _, r := range d.records {
		n += len(r.Workers)
	}
	return n
}

// byHand are the address that is loaded and the command of every process, the database's too.
func (d *replicated) byHand() []string {
	var out []string
	if len(d.urls) > 0 {
		out = append(out, "loaded at "+strings.Join(d.urls, ", "))
	}
	return append(append(out, d.stage.command), d.commands()...)
}

// commands are the shell lines of everything started.
func (d *replicated) commands() []string {
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
func (d *replicated) sources() []collect.Source {
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
func (d *replicated) countConnections() error {
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
func (d *replicated) stop(ctx context.Context) error {
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
func (d *replicated) intact() error {
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
