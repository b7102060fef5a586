package controller

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"bakeoff/internal/collect"
	"bakeoff/internal/contract"
	"bakeoff/internal/dataset"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/record"
	"bakeoff/internal/venue"
)

// replicated is a target of a recipe, started in replicas behind a balancer.
type replicated struct {
	stage   *recipes
	entrant *entrant
	nonce   string
	at      venue.Deployed
	learned contract.Result // of the check before the load
}

// deploy has the venue start the target, and counts the database connections it has opened by then.
func (s *recipes) deploy(ctx context.Context, name, logDir string) (deployment, error) {
	d := &replicated{stage: s, entrant: s.entrantOf(name), nonce: newNonce()}
	var err error
	d.at, err = s.o.Venue.Deploy(ctx, venue.Deployment{
		Target: d.entrant.plan, Prepared: d.entrant.prepared, Deployment: d.entrant.Deployment,
		Balancer: s.o.Plan.Balancer, InFlight: s.o.Plan.InFlight(), Nonce: d.nonce, Database: s.db.Access(), LogDir: logDir,
	})
	if err != nil {
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

// endpoints are the replicas as the contract check sees them.
func (d *replicated) endpoints() []contract.Endpoint {
	replicas := d.at.Replicas()
	out := make([]contract.Endpoint, len(replicas))
	for i, r := range replicas {
		out[i] = contract.Endpoint{Name: r.Name, URL: "http://" + r.Address, Nonce: d.nonce}
	}
	return out
}

// names are the replicas' names by address.
func (d *replicated) names() map[string]string {
	out := map[string]string{}
	for _, r := range d.at.Replicas() {
		out[r.Address] = r.Name
	}
	return out
}

// describe fills in what was started.
func (d *replicated) describe(rec *record.Trial) {
	rec.Nonce, rec.Replicas, rec.Commands = d.nonce, d.at.Replicas(), d.at.Commands()
}

// check runs the contract check, through the balancer or the first replica where there is none.
func (d *replicated) check(ctx context.Context, when string, full bool) (findings, error) {
	asked := d.stage.contract()
	asked.Full = full
	result, err := d.stage.o.ask(ctx, asked, when, d.endpoints(), d.at.URLs()[0])
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

// ask makes the check.
func (o *Options) ask(ctx context.Context, c *contract.Contract, when string, replicas []contract.Endpoint, front string) (contract.Result, error) {
	if o.checked != nil {
		return o.checked(ctx, c, when, replicas, front)
	}
	return c.Check(ctx, when, replicas, front)
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
	return fleet.Task{URLs: d.at.URLs(), Contract: Contract, Workload: spec}, nil
}

// workers is the number of processes that said they are ready.
func (d *replicated) workers() int {
	n := 0
	for _, r := range d.at.Replicas() {
		n += len(r.Workers)
	}
	return n
}

// byHand are the address that is loaded and the command of every process, the database's too.
func (d *replicated) byHand() []string {
	var out []string
	if urls := d.at.URLs(); len(urls) > 0 {
		out = append(out, "loaded at "+strings.Join(urls, ", "))
	}
	return append(append(out, d.stage.command), d.at.Commands()...)
}

func (d *replicated) sources() []collect.Source { return d.at.Sources() }
func (d *replicated) countConnections() error   { return d.at.CountConnections() }
func (d *replicated) intact() error             { return d.at.Intact() }

func (d *replicated) freeze(ctx context.Context) error { return d.at.Freeze(ctx) }
func (d *replicated) thaw(ctx context.Context) error   { return d.at.Thaw(ctx) }

// stop ends everything the venue started.
func (d *replicated) stop(ctx context.Context) error {
	patience := grace(ctx)
	ctx, cancel := teardown(ctx)
	defer cancel()
	return d.at.Stop(ctx, patience)
}

func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}
