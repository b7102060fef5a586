package controller

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"bakeoff/internal/collect"
	"bakeoff/internal/contract"
	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/endpoint"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/venue"
)

// replicated is a target of a recipe, started in replicas behind a balancer.
type replicated struct {
	stage   *recipes
	entrant *entrant
	nonce   string
	luck    record.Luck
	seed    uint64 // of the keys that its check asks for
	at      venue.Deployed
	err     error                     // of the start
	learned contract.Result           // of the check before the load
	open    int                       // database connections after the start
	ownUser string                    // of an account of its own, by which they are counted; empty: all targets share one
	stood   bool                      // still, for some time
	idle    *contract.IdleConnections // from the check before the load to that after it
	login   database.Account          // by which it reaches the database
	found   []record.Reason           // by the database, and in the logs at its end; guarded by the stage
	served  int64                     // requests of its phases; 0: none has been counted yet
	lines   int64                     // of its logs at the end of the last one
}

// start starts the targets side by side; each has its own error.
func (s *recipes) start(ctx context.Context, launches []launch) []*replicated {
	out := make([]*replicated, len(launches))
	group := errgroup.Group{}
	group.SetLimit(s.o.Venue.Machine().Cores + moreStarts)
	for i, l := range launches {
		out[i] = &replicated{stage: s, entrant: s.entrantOf(l.name), nonce: newNonce(), luck: l.luck, seed: cmp.Or(l.seed, s.o.contractSeed())}
		group.Go(func() error {
			out[i].err = out[i].start(ctx, l.logDir)
			return nil
		})
	}
	_ = group.Wait()
	return out
}

// stopAll stops targets side by side.
func stopAll(ctx context.Context, started []*replicated) error {
	group := errgroup.Group{}
	for _, d := range started {
		group.Go(func() error { return d.stop(ctx) })
	}
	return group.Wait()
}

// moreStarts is how many targets more than the machine has cores start at the same time: a start also waits, for its proof that
// statements overlap and for the last of its workers.
const moreStarts = 1

func (d *replicated) start(ctx context.Context, logDir string) (err error) {
	if err := d.admit(ctx); err != nil {
		return err
	}
	if d.entrant.plan.Driver() {
		d.at = undeployed{}
		return nil
	}
	d.at, err = d.stage.o.Venue.Deploy(ctx, venue.Deployment{
		Target: d.entrant.plan, Prepared: d.entrant.prepared, Deployment: d.entrant.Deployment,
		Balancer: d.stage.o.Plan.Balancer, InFlight: d.stage.o.Plan.InFlight(), Nonce: d.nonce, Database: d.login.Access,
		Luck: d.luck, LogDir: logDir, Trust: d.stage.o.Plan.Trust,
	})
	return err
}

// endpoints are the replicas as the contract check sees them.
func (d *replicated) endpoints() []contract.Endpoint {
	replicas := d.at.Replicas()
	out := make([]contract.Endpoint, len(replicas))
	for i, r := range replicas {
		out[i] = contract.Endpoint{Name: r.Name, URL: "http://" + r.Address, Nonce: d.nonce}
		if d.stage.o.Plan.Balancer.InCluster() {
			out[i].Says = r.Pod
		}
	}
	return out
}

// names are the replicas' names by address, and by pod, which is what they call themselves.
func (d *replicated) names() map[string]string {
	out := map[string]string{}
	for _, r := range d.at.Replicas() {
		out[r.Address] = r.Name
		if r.Pod != "" {
			out[r.Pod] = r.Name
		}
	}
	return out
}

// describe fills in what was started.
func (d *replicated) describe(rec *record.Trial) {
	rec.Luck = &d.luck
	if d.at == nil { // there was no account for it
		return
	}
	rec.Nonce, rec.Replicas, rec.Commands = d.nonce, d.at.Replicas(), d.at.Commands()
	rec.Declared = d.declared()
}

// declared is what the recipe and the plan say of the target.
func (d *replicated) declared() *record.Declared {
	e, inFlight := d.entrant, d.stage.o.Plan.InFlight()
	out := &record.Declared{Connections: e.connections(inFlight), Protocol: e.recipe.Protocol, AccessLog: e.AccessLog, KeepAliveS: d.keepAlive().Seconds(), Driver: e.plan.Driver()}
	out.Shares = d.shares()
	out.Together = out.Connections
	if d.stage.o.inTurns() == nil {
		out.Together = 0
		for _, each := range d.stage.entrants {
			out.Together += each.connections(inFlight)
		}
	}
	return out
}

// keepAlive is how long the server leaves an idle connection open; 0: the recipe does not say.
func (d *replicated) keepAlive() time.Duration {
	idle, err := d.entrant.recipe.KeepAlive()
	if err != nil {
		return 0
	}
	return idle
}

// check runs the contract check, through the balancer or the first replica where there is none.
func (d *replicated) check(ctx context.Context, when string, full bool) (findings, error) {
	if d.entrant.plan.Driver() {
		return d.checkDriver(ctx, when)
	}
	asked := d.stage.contract()
	asked.Seed = d.seed
	asked.Full, asked.Long = full, d.stage.o.LongKeepAlive
	asked.Protocol, asked.KeepAlive, asked.Secrets = d.entrant.recipe.Protocol, d.keepAlive(), []string{d.login.Password}
	if dial := d.at.Dial(); len(dial) > 0 {
		asked.Dial = dial[0]
	}
	if d.stood && when == after && d.stage.o.Checked == nil {
		if err := contract.Awake(ctx, d.endpoints(), d.entrant.Workers); err != nil {
			return findings{}, err
		}
	}
	kept, err := d.kept(ctx, when)
	if err != nil {
		return findings{}, err
	}
	result, err := d.askFreely(ctx, asked, when)
	if errors.Is(err, database.ErrLocked) {
		return findings{reasons: d.reasons()}, nil
	}
	if err != nil {
		return findings{}, fmt.Errorf("contract of %s: %w", d.entrant.plan.Name, err)
	}
	result.Checks = append(kept, result.Checks...)
	if when == before {
		d.learned = result
		if d.stage.o.Checked == nil && !full && asked.KeepAlive > 0 {
			d.idle = contract.OpenIdle(ctx, d.endpoints(), asked.KeepAlive)
		}
	}
	return findings{checks: result.Checks, reasons: result.Reasons(), cookies: result.Cookies}, nil
}

// askFreely makes the check. Where somebody's locks are in its way they are ended; it is made once more where they were not
// the target's own.
func (d *replicated) askFreely(ctx context.Context, asked *contract.Contract, when string) (contract.Result, error) {
	result, err := d.stage.o.ask(ctx, asked, when, d.endpoints(), d.at.URLs()[0])
	if !errors.Is(err, database.ErrLocked) {
		return result, err
	}
	again, failed := d.freed(ctx, err)
	if failed != nil {
		return contract.Result{}, failed
	}
	if !again {
		return contract.Result{}, err
	}
	return d.stage.o.ask(ctx, asked, when, d.endpoints(), d.at.URLs()[0])
}

// kept looks after the load whether the connections that were idle over it are still there.
func (d *replicated) kept(ctx context.Context, when string) ([]record.Check, error) {
	if when != after || d.idle == nil {
		return nil, nil
	}
	defer d.idle.Close()
	return d.idle.Check(ctx, when, 0)
}

// contract is the check of the plan's contract against this stage's table.
func (s *recipes) contract() *contract.Contract {
	p := s.o.Plan
	return &contract.Contract{
		Dataset: s.rows, Database: s.db, Lookups: p.Dataset.Lookups, Seed: s.o.contractSeed(), InFlight: p.InFlight(), Connections: connectionsOf(p),
	}
}

// connectionsOf says which requests of a plan's phases have a connection of their own.
func connectionsOf(p *plan.Plan) contract.Connections {
	closed := 0
	for _, phase := range p.Phases {
		if phase.Reconnect {
			closed++
		}
	}
	switch closed {
	case 0:
		return contract.Kept
	case len(p.Phases):
		return contract.Closed
	}
	return contract.KeptAndClosed
}

// ask makes the check.
func (o *Options) ask(ctx context.Context, c *contract.Contract, when string, replicas []contract.Endpoint, front string) (contract.Result, error) {
	if o.Checked != nil {
		return o.Checked(ctx, c, when, replicas, front)
	}
	return c.Check(ctx, when, replicas, front)
}

// Contract is the name by which agents know the workload of package dataset.
const Contract = "lookup"

// task is lookups of the dataset's keys through the balancer.
func (d *replicated) task(phase load.Phase) (fleet.Task, error) {
	p := d.stage.o.Plan
	lookups := dataset.WorkloadSpec{
		Dataset: d.stage.rows.Spec(), Seed: p.Seed, Salt: phase.Salt, HitRatio: p.Dataset.HitRatio,
		Lookups:       lookupsOf(p, phase),
		Moves:         d.stage.movesIn(phase, d.entrant.plan.Name),
		LengthPresent: d.learned.LengthPresent, LengthAbsent: d.learned.LengthAbsent,
	}
	switch {
	case d.entrant.plan.Driver():
		return d.driverTask(lookups, pings(p, phase))
	case pings(p, phase):
		return d.pingTask(d.urls(phase), d.dial(phase))
	}
	spec, err := json.Marshal(lookups)
	if err != nil {
		return fleet.Task{}, fmt.Errorf("controller: %w", err)
	}
	return fleet.Task{URLs: d.urls(phase), Dial: d.dial(phase), Contract: Contract, Workload: spec}, nil
}

// urls are where the requests of a phase go: through what is before the replicas, or to these themselves.
func (d *replicated) urls(phase load.Phase) []string {
	if !direct(d.stage.o.Plan, phase) {
		return d.at.URLs()
	}
	var out []string
	for _, r := range d.at.Replicas() {
		out = append(out, "http://"+r.Address)
	}
	return out
}

// dial is where connections to them are made; nil: where they say.
func (d *replicated) dial(phase load.Phase) []string {
	if direct(d.stage.o.Plan, phase) {
		return nil
	}
	return d.at.Dial()
}

// pingTask asks for the text that proves which process answers, and that no target takes from the database.
func (d *replicated) pingTask(urls, dial []string) (fleet.Task, error) {
	spec := endpoint.Spec{Status: "200", Body: d.nonce}
	for range urls {
		spec.Targets = append(spec.Targets, []string{"/ping"})
	}
	workload, err := json.Marshal(spec)
	if err != nil {
		return fleet.Task{}, fmt.Errorf("controller: %w", err)
	}
	return fleet.Task{URLs: urls, Dial: dial, Contract: endpoint.Contract, Workload: workload}, nil
}

// workers is the number of processes that said they are ready.
func (d *replicated) workers() int {
	n := 0
	for _, r := range d.at.Replicas() {
		n += len(r.Workers)
	}
	return n
}

// manualCommands are the address that is loaded and the command of every process, the database's too.
func (d *replicated) manualCommands() []string {
	var out []string
	if urls := d.at.URLs(); len(urls) > 0 {
		out = append(out, "loaded at "+strings.Join(urls, ", "))
	}
	return append(append(out, d.stage.command), d.at.Commands()...)
}

func (d *replicated) sources() []collect.Source { return d.at.Sources() }
func (d *replicated) countConnections() error   { return d.at.CountConnections() }
func (d *replicated) recovered(ctx context.Context) error {
	if d.stage.o.Checked != nil {
		return nil
	}
	if err := contract.Answering(ctx, d.endpoints()); err != nil {
		return err
	}
	return contract.Awake(ctx, d.endpoints(), d.entrant.Workers)
}

func (d *replicated) intact() error {
	if d.at == nil {
		return nil
	}
	return d.at.Intact()
}

func (d *replicated) freeze(ctx context.Context) error {
	if !d.entrant.recipe.Freezes {
		return venue.ErrNoFreezing
	}
	d.stood = true
	return d.at.Freeze(ctx)
}

func (d *replicated) thaw(ctx context.Context) error   { return d.at.Thaw(ctx) }
func (d *replicated) redraw(ctx context.Context) error { return d.at.Redraw(ctx) }

// stop ends everything the venue started.
func (d *replicated) stop(ctx context.Context) error {
	patience := grace(ctx)
	ctx, cancel := teardown(ctx)
	defer cancel()
	d.idle.Close()
	var err error
	if d.at != nil {
		err = errors.Join(d.at.Stop(ctx, patience), d.lateLines())
	}
	return errors.Join(err, d.dismiss(ctx))
}

// lateLinesPerWorker are how many lines each worker may write while it ends, such as what it was busy with.
const lateLinesPerWorker = 100

// lateLines accuses a target whose access log is declared off of lines that it wrote only after its last phase: it may have kept them.
// Nothing is known where its logs have ended with it.
func (d *replicated) lateLines() error {
	if d.served == 0 || d.entrant.AccessLog {
		return nil
	}
	lines, err := d.at.LogLines()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if late := lines - d.lines; err == nil && late > int64(lateLinesPerWorker*max(1, d.workers()))+d.served/100 {
		d.accuse("", record.CodeLeftBehind, fmt.Sprintf("access log: off is declared, but the target wrote %d lines after the last phase, for %d requests in all of them", late, d.served))
	}
	return err
}

func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}
