// Package controller conducts a run: it prepares the targets, starts and
// fills the database, takes every trial through fresh start, check, warm-up,
// measurement, check and stop, and writes the run directory. It knows no
// platform by name, draws nothing on a screen, and claims nothing: what a
// record allows to say is for its readers.
package controller

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"bakeoff/internal/contract"
	"bakeoff/internal/fleet"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/target"
	"bakeoff/internal/venue"
)

// ErrInterrupted is the cause of a context cancelled by the user: the run
// ends cleanly and is marked aborted.
var ErrInterrupted = errors.New(record.Interrupted)

// ErrTooFewValid is returned when a run finished but a target lacks a valid
// trial in some block.
var ErrTooFewValid = errors.New("a target lacks enough valid trials")

// ErrMaxTime is the cause of a run that was cut short because it took too long; it is marked aborted.
var ErrMaxTime = errors.New("the run took longer than --max-time")

// ErrContract is returned when a target does not keep the contract.
var ErrContract = errors.New("a target does not keep the contract")

// Grace is how long processes get to end by themselves between trials, and
// when the user interrupts.
const (
	Grace            = 10 * time.Second
	GraceInterrupted = 4 * time.Second
)

// attempts is how often a trial is tried: once, and at most twice again at the end of its block.
const attempts = 3

// Options say what to run and where.
type Options struct {
	Plan      *plan.Plan
	PlanGiven []byte      // the plan file as it was given
	PlanName  string      // of that file, for messages
	PlanDir   string      // of that file: what paths of recipes are relative to
	Recipes   fs.FS       // the folder targets/
	Venue     venue.Venue // where things live
	DSN       string      // of an external database, where its file is not here
	// Load starts who loads, with a folder for its logs; tell is called with what takes its time.
	Load func(ctx context.Context, logDir string, tell func(text string)) (Loader, error)
	// Needs is what the machine lacks for who loads; nil: nothing can be missing.
	Needs func(ctx context.Context, p *plan.Plan) []target.Need
	// Refuses is what is wrong with a plan for who loads; dir is that of the plan's file. Nil: nothing can be.
	Refuses func(p *plan.Plan, dir string) []plan.Finding
	// Loading is what who loads costs in addition: its start, and that of each stretch of load.
	Loading       plan.Loading
	Out           string // folder of runs
	Resume        string // an existing run directory to resume
	LongKeepAlive bool   // Verify waits for the whole of the declared keep-alive, not 5 s at most
	Keep          bool   // leave the first trial's processes running until the context ends
	Short         bool
	Shared        bool
	Apart         bool                // agents may be on other machines, with clocks of their own
	Calibration   *record.Calibration // of this machine; nil: none
	MaxTime       time.Duration       // 0: no bound
	Version       string
	Revisions     *record.Revisions // that a run compares of one target; nil: it compares targets
	Search        string            // which part of a search for the best setting of its targets the run is; empty: of none
	noTurns       error             // why targets take no turns after all, found in the run
	salt          string            // of the run; empty in one that was begun before there were salts
	// Progress is called with what happens, which a run also writes into its record; nil shows nobody. It is called
	// from one goroutine at a time.
	Progress func(record.Progress)

	// Opened is called with the run directory once it is there, before anything is in it; nil: nobody follows. It must not block.
	Opened func(dir string)

	// Checked makes the contract's check in place of the contract itself, for a venue whose targets answer no requests; nil
	// for every other.
	Checked func(ctx context.Context, c *contract.Contract, when string, replicas []contract.Endpoint, front string) (contract.Result, error)
}

// Turns is a phase under way on several targets. *fleet.Turns is one.
type Turns interface {
	// Slice sends load to one target and returns when all of it is answered or timed out.
	Slice(ctx context.Context, task int, s fleet.Slice) (fleet.Sliced, error)
	// End returns what became of the phase on each target, whatever went before.
	End(ctx context.Context) ([]fleet.Report, error)
}

// A Loader is who loads: the fleet today. Only one Run or Heal is under way at a time.
type Loader interface {
	// Run carries out one phase and hands every window to sink, from its own goroutine. A lost
	// agent is no error: it is in the report.
	Run(ctx context.Context, task fleet.Task, sink func(fleet.Snapshot)) (fleet.Report, error)
	// Turns readies one phase on several targets that take turns, and hands every window to sink with the
	// number of its task. Where it returns no error the caller ends it.
	Turns(ctx context.Context, tasks []fleet.Task, sink func(task int, s fleet.Snapshot)) (Turns, error)
	// Heal replaces what was lost.
	Heal(ctx context.Context) error
	// Processes are the loader's own, to be sampled; Notes say of them what a reader of the run must know.
	Processes() []platform.Process
	Notes() []string
	Close() error
}

func (o *Options) tell(e record.Progress) {
	if o.Progress != nil {
		o.Progress(e)
	}
}

// alsoRecorded writes what happens into the record before it is shown: anyone who follows the record sees the same.
// What cannot be written is shown all the same, and does not end the run: where the record itself cannot
// be written any more, the next line of it does.
func alsoRecorded(w *record.Writer, progress func(record.Progress)) func(record.Progress) {
	return func(e record.Progress) {
		if !e.Passing {
			_ = w.Progress(e)
		}
		if progress != nil {
			progress(e)
		}
	}
}

// grace is how long a stop may take, depending on whether the user is waiting.
func grace(ctx context.Context) time.Duration {
	if ctx.Err() != nil {
		return GraceInterrupted
	}
	return Grace
}

// teardown returns a context for clearing up, which outlives ctx by a bounded time.
func teardown(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
}
