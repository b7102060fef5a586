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

	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
)

// ErrInterrupted is the cause of a context cancelled by the user: the run
// ends cleanly and is marked aborted.
var ErrInterrupted = errors.New("interrupted")

// ErrTooFewValid is returned when a run finished but a target lacks a valid
// trial in some block.
var ErrTooFewValid = errors.New("a target lacks enough valid trials")

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
	Plan         *plan.Plan
	PlanGiven    []byte // the plan file as it was given
	Recipes      fs.FS  // the folder targets/
	Platform     platform.Platform
	PlatformName string
	Self         []string // argv of this program, before a role's name
	AgentEnv     []string // environment of the agents as KEY=VALUE, such as which certificates to trust
	CacheDir     string   // prepared targets and filled tables
	Out          string   // folder of runs
	Resume       string   // an existing run directory to go on with
	Keep         bool     // leave the first trial's processes running until the context ends
	Short        bool
	Shared       bool
	// Others names the runs that shared the machine with this one so far; nil means none can.
	Others  func() []string
	MaxTime time.Duration // 0: no bound
	Version string
	// NewEngine makes the engines by name as agents do; used to refuse unknown ones early.
	Engines map[string]func() load.Engine
	// Progress is told what happens; nil tells nobody. It is called from one goroutine at a time.
	Progress func(Event)
}

// Event is something a person may want to see.
type Event struct {
	Block, Blocks int    // 0 is the pilot
	Trial, Trials int    // in the whole run, from 1
	Attempt       int    // of the trial, from 1
	Target        string // empty outside trials
	Text          string
	// Lasting texts stay to be read when the next event comes; Verbatim ones are
	// to be copied, too: nothing stands before them.
	Lasting, Verbatim bool
	// Expect is how long the step is expected to last; 0 when unknown.
	Expect time.Duration
}

func (o *Options) tell(e Event) {
	if o.Progress != nil {
		o.Progress(e)
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
