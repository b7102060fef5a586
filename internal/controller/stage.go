package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"bakeoff/internal/collect"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/target"
)

// A stage is where the trials of a run take place: the targets, and whatever
// they share and outlives a trial. Before open it knows the plan alone. Its
// methods are called from one goroutine.
type stage interface {
	// preflight finds everything that can be known to be wrong before anything is started.
	preflight(ctx context.Context) error
	// missing is what this machine lacks.
	missing(ctx context.Context) ([]target.Need, error)
	// outline says in a few lines what is deployed, or asked of whom.
	outline() ([]string, error)
	// overhead is what a run costs in addition to its phases; it only serves to inform the user beforehand.
	overhead() plan.Overhead
	// owns reports whether targets are started and stopped here.
	owns() bool

	// open readies the targets and what they share, in the folder of a run. The
	// caller closes the stage, also after an error.
	open(ctx context.Context, dir string) error
	// same refuses to resume a run that was begun on another stage.
	same(rec record.Run) error
	// describe fills in what run.json says of the stage.
	describe(rec *record.Run)
	// change prepares changes of the truth while a phase is measured on that engine; nil: there are none.
	change(ctx context.Context, phase load.Phase, engine string, expect outlook) (*mover, error)
	// putBack ends the changes that targets kept from being ended, now that these are stopped.
	putBack(ctx context.Context) error
	// look fails where the stage is not any more as it was opened, which ends the run.
	look(ctx context.Context) error
	// deploy readies targets, side by side: one for a trial, or those of a block that take turns. What was started is in
	// the launched also where that has an error; the caller stops it.
	deploy(ctx context.Context, launches ...launch) []launched
	// sources are the process trees that outlive trials; gauges may be nil.
	sources() []collect.Source
	gauges() collect.Status
	// ended says which process of the stage itself has ended under way; nil: none.
	ended() error
	// end is the last look after all trials; update changes run.json.
	end(ctx context.Context, update func(func(*record.Run)) error) error
	close(ctx context.Context) error
}

// A deployment is one target ready to be asked. Only count's witnessCount and
// countConnections may be called while another method runs.
type deployment interface {
	// describe fills in what trial.json says of what was started.
	describe(rec *record.Trial)
	// check looks, before or after the load, whether answers are right; full is more of it, without
	// load. Wrong answers are no error: that is for a check that could not be made.
	check(ctx context.Context, when string, full bool) (findings, error)
	// examine looks, before the target is stopped, for what it left in the database; reasons are what was found there since
	// they were last asked for, and refuse the trial.
	examine(ctx context.Context) error
	reasons() []record.Reason
	// keptOpen checks that what is before the replicas could keep its connections to them; false: nobody keeps any.
	keptOpen() (record.Check, bool, error)
	// seen is what was declared of it, against what these checks and the witnesses saw.
	seen(ctx context.Context, checks []record.Check) ([]Seen, error)
	// task is where requests go and what is asked; the phase, seed and engine are left to the caller.
	task(phase load.Phase) (fleet.Task, error)
	// count begins to count the requests, once nothing is under way; account does where targets take turns.
	count(ctx context.Context) (witnessCount, error)
	account(ctx context.Context) (account, error)
	// freeze holds the target still until thaw; venue.ErrNoFreezing where that cannot be had.
	freeze(ctx context.Context) error
	thaw(ctx context.Context) error
	// redraw closes the connections to the replicas behind whatever is before them; errNoRedraw where new ones cost
	// more than a run-in hides.
	redraw(ctx context.Context) error
	// sources are the processes that were started; names those of replicas by address. claimed is a sample of the
	// database as its own trial has it.
	sources() []collect.Source
	claimed(line record.Series) record.Series
	names() map[string]string
	// workers is how many processes said they are ready; countConnections notes how many
	// client connections each holds now; intact fails when one is gone.
	workers() int
	countConnections() error
	// recovered waits until the target answers again after a load that may have been too much for it.
	recovered(ctx context.Context) error
	intact() error
	// manualCommands are lines that show a user how to reach and start it.
	manualCommands() []string
	stop(ctx context.Context) error
}

// launch is a target to be readied.
type launch struct {
	name, logDir string
	luck         record.Luck
	seed         uint64 // of the keys that the check of the contract asks for; 0: that of the run
}

// launched is what became of a launch.
type launched struct {
	deployment
	err error
}

// When a check is made.
const (
	before = "before"
	after  = "after"
)

// findings is what a check found: reasons are why a trial is invalid, none where every check holds.
type findings struct {
	checks  []record.Check
	reasons []record.Reason
	cookies []string // names of those that a balancer sets
}

// A tally says what others than the agents have counted since it was begun;
// that many requests were sent during that time.
type witnessCount func(ctx context.Context, sent int64) (record.Witness, error)

// An account is what others than the agents have counted of one target while several take turns. A count that
// comes late is another target's: then neither agrees with its agents.
type account interface {
	// still waits until nothing of any target is under way, and begins to count from there for all of them: once a phase, for the
	// first of them, when all are frozen.
	still(ctx context.Context) error
	// turn gives the target all that was counted since this was last called for anybody; cut says that
	// requests were cut short, so that statements may still be under way.
	turn(ctx context.Context, cut bool) error
	// total is what the target was given.
	total(ctx context.Context) (record.Witness, error)
}

// stage is the one for the plan's kind of targets.
func (o *Options) stage() stage {
	if o.Plan.Running() {
		return &servers{o: o, names: net.DefaultResolver}
	}
	return newRecipes(o)
}

// Preflight finds everything that can be known to be wrong before anything is
// started: a PlanError, a MissingError, or a check that could not be made.
func Preflight(ctx context.Context, o Options) error {
	if err := o.refused(); err != nil {
		return err
	}
	return o.stage().preflight(ctx)
}

// refused is what is wrong with the plan wherever its targets are.
func (o *Options) refused() error {
	findings := o.Plan.Versioned()
	if o.Refuses != nil {
		findings = append(findings, o.Refuses(o.Plan, o.PlanDir)...)
	}
	switch {
	case len(findings) == 0:
		return nil
	case o.PlanGiven != nil:
		return &PlanError{plan.Locate(o.PlanName, o.PlanGiven, findings)}
	}
	var errs []error
	for _, f := range findings {
		errs = append(errs, fmt.Errorf("%s: %s", f.Path, f.Text))
	}
	return &PlanError{errors.Join(errs...)}
}

// Missing returns what the plan needs and this machine lacks.
func Missing(ctx context.Context, o Options) ([]target.Need, error) { return o.stage().missing(ctx) }

// Outline says in a few lines what a run of the plan deploys, or asks of whom.
func (o Options) Outline() ([]string, error) { return o.stage().outline() }

// Fairness says in a few lines what targets have in common, and in what they may differ.
func (o Options) Fairness() ([]string, error) {
	if o.Plan.Running() {
		return nil, nil
	}
	entrants, err := o.resolve()
	if err != nil {
		return nil, err
	}
	if o.Plan.AllowUnfair != "" {
		return append(o.underBudget(entrants), "differences allowed: "+o.Plan.AllowUnfair), nil
	}
	if out := o.underBudget(entrants); out != nil {
		return out, nil
	}
	return []string{"all have the same replicas, workers and database connections"}, nil
}

// Overhead is what a run of the plan costs in addition to its phases.
func (o Options) Overhead() plan.Overhead { return o.costs(o.stage()) }

// BlockBothWays is how long a block takes with its targets in turns and one after another, whichever of them the plan asks for; turns
// are 0 where they cannot be had. Slices are those of the plan, or of 250 ms.
func (o Options) BlockBothWays() (turns, apart time.Duration) {
	p := *o.Plan
	o.Plan = &p
	p.Turns = cmp.Or(p.Turns, plan.Turns(250*time.Millisecond))
	if !p.Running() {
		if entrants, err := o.resolve(); err == nil {
			o.decideTurns(entrants)
		}
	}
	if o.inTurns() == nil {
		turns = p.Block(o.Overhead())
	}
	p.Turns = 0
	return turns, p.Block(o.Overhead())
}

// costs are the stage's and the loader's, of the blocks that the plan has.
func (o *Options) costs(on stage) plan.Overhead {
	out := on.overhead()
	out.Loading, out.Turns = o.Loading, o.inTurns() == nil
	return out
}
