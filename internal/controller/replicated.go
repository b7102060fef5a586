package controller

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
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
	"bakeoff/internal/record"
	"bakeoff/internal/venue"
)

// replicated is a target of a recipe, started in replicas behind a balancer.
type replicated struct {
	stage   *recipes
	entrant *entrant
	nonce   string
	luck    record.Luck
	at      venue.Deployed
	err     error                     // of the start
	learned contract.Result           // of the check before the load
	open    int                       // database connections after the start
	stood   bool                      // still, for some time
	idle    *contract.IdleConnections // from the check before the load to that after it
	login   database.Account          // by which it reaches the database
	found   []record.Reason           // by the database; guarded by the stage
}

// deploy has the venue start the targets, and counts the database connections they have opened by then. Where those that
// started side by side have opened too many together, it starts them again one by one, to find whose they are.
func (s *recipes) deploy(ctx context.Context, launches ...launch) []launched {
	held, err := s.db.ConnectionCount(ctx)
	started := s.start(ctx, launches)
	s.noRoom(started)
	if err == nil {
		err = s.withinBudget(ctx, held, started)
	}
	out := make([]launched, len(launches))
	for i, d := range started {
		if out[i] = (launched{d, d.err}); d.err == nil {
			out[i].err = err
		}
	}
	if len(launches) > 1 && errors.Is(err, errConnections) && stopAll(ctx, started) == nil {
		return s.oneByOne(ctx, held, launches)
	}
	return out
}

// start starts the targets side by side; each has its own error.
func (s *recipes) start(ctx context.Context, launches []launch) []*replicated {
	out := make([]*replicated, len(launches))
	group := errgroup.Group{}
	group.SetLimit(max(atOnce, s.o.Venue.Machine().Cores))
	for i, l := range launches {
		out[i] = &replicated{stage: s, entrant: s.entrantOf(l.name), nonce: newNonce(), luck: l.luck}
		group.Go(func() error {
			out[i].err = out[i].start(ctx, l.logDir)
			return nil
		})
	}
	_ = group.Wait()
	return out
}

// oneByOne starts one target after the other and refuses each that opens more connections than the plan gives it. It is stopped
// before the next one starts, which may need them. held are open that are no target's.
func (s *recipes) oneByOne(ctx context.Context, held int, launches []launch) []launched {
	out := make([]launched, len(launches))
	for i := range launches {
		started := s.start(ctx, launches[i:i+1])
		d := started[0]
		out[i] = launched{d, d.err}
		err := s.withinBudget(ctx, held, started)
		if errors.Is(err, errConnections) {
			out[i].err = errors.Join(err, stopAll(ctx, started))
			continue
		}
		if held += d.open; out[i].err == nil {
			out[i].err = err
		}
	}
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

// atOnce is how many targets start at the same time at least, on a machine of fewer cores: a start also waits.
const atOnce = 2

func (d *replicated) start(ctx context.Context, logDir string) (err error) {
	if err := d.admit(ctx); err != nil {
		return err
	}
	d.at, err = d.stage.o.Venue.Deploy(ctx, venue.Deployment{
		Target: d.entrant.plan, Prepared: d.entrant.prepared, Deployment: d.entrant.Deployment,
		Balancer: d.stage.o.Plan.Balancer, InFlight: d.stage.o.Plan.InFlight(), Nonce: d.nonce, Database: d.login.Access,
		Luck: d.luck, LogDir: logDir,
	})
	return err
}

// errConnections is why a target that opened too many database connections is refused.
var errConnections = errors.New("more database connections than declared")

// closingWithin is how long connections that a target opened while it started may take to close.
const closingWithin = time.Second

// withinBudget refuses targets that have opened more database connections than the plan gives them, together where they
// started side by side; held were open before. In the pilot each starts alone.
func (s *recipes) withinBudget(ctx context.Context, held int, started []*replicated) error {
	inFlight, budget := s.o.Plan.InFlight(), 0
	var sums []string
	for _, d := range started {
		budget += d.entrant.connections(inFlight)
		sums = append(sums, d.entrant.sum(inFlight))
	}
	for end := time.Now().Add(closingWithin); ; {
		open, err := s.db.ConnectionCount(ctx)
		if err != nil {
			return err
		}
		open = max(0, open-held)
		if len(started) == 1 {
			started[0].open = open
		}
		if open <= budget {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w: %d are open after the start, the plan gives %s", errConnections, open, givenTo(sums))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// givenTo names who is given that many connections.
func givenTo(sums []string) string {
	if len(sums) == 1 {
		return "it " + sums[0]
	}
	return "all that started together " + strings.Join(sums, " and ")
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
	out := &record.Declared{Connections: e.connections(inFlight), Protocol: e.recipe.Protocol, AccessLog: e.AccessLog, KeepAliveS: d.keepAlive().Seconds()}
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
	asked := d.stage.contract()
	asked.Full, asked.Long = full, d.stage.o.LongKeepAlive
	asked.Protocol, asked.KeepAlive, asked.Secrets = d.entrant.recipe.Protocol, d.keepAlive(), []string{d.login.Password}
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
	return findings{result.Checks, result.Reasons()}, nil
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
	return &contract.Contract{Dataset: s.rows, Database: s.db, Lookups: p.Dataset.Lookups, Seed: s.o.contractSeed(), InFlight: p.InFlight()}
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
	if pings(p, phase) {
		return d.pingTask()
	}
	spec, err := json.Marshal(dataset.WorkloadSpec{
		Dataset: d.stage.rows.Spec(), Seed: p.Seed, Salt: phase.Salt, HitRatio: p.Dataset.HitRatio,
		Lookups:       lookupsOf(p, phase),
		Moves:         d.stage.movesIn(phase),
		LengthPresent: d.learned.LengthPresent, LengthAbsent: d.learned.LengthAbsent,
	})
	if err != nil {
		return fleet.Task{}, fmt.Errorf("controller: %w", err)
	}
	return fleet.Task{URLs: d.at.URLs(), Contract: Contract, Workload: spec}, nil
}

// pingTask asks for the text that proves which process answers, and that no target takes from the database.
func (d *replicated) pingTask() (fleet.Task, error) {
	urls := d.at.URLs()
	spec := endpoint.Spec{Status: "200", Body: d.nonce}
	for range urls {
		spec.Targets = append(spec.Targets, []string{"/ping"})
	}
	workload, err := json.Marshal(spec)
	if err != nil {
		return fleet.Task{}, fmt.Errorf("controller: %w", err)
	}
	return fleet.Task{URLs: urls, Contract: endpoint.Contract, Workload: workload}, nil
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
		err = d.at.Stop(ctx, patience)
	}
	return errors.Join(err, d.dismiss(ctx))
}

func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}
