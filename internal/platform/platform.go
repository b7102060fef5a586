// Package platform says what bakeoff asks of the place its processes live in:
// start this process, give its process ids and log, end it, and leave nothing
// behind. It starts nothing itself; platform/local runs child processes on
// this machine, and platform/platformtest holds the contract suite that every
// implementation must pass.
package platform

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrClosed is returned by Start after Close was called, or after the
// platform lost the means to end what it starts.
var ErrClosed = errors.New("platform: closed")

// Spec describes one process to start.
type Spec struct {
	// Name identifies the process in the run, such as "django-2"; [a-z0-9-]{1,63}.
	Name string
	// Argv is the command and its arguments; secrets never go here.
	Argv []string
	// Env is the whole environment as KEY=VALUE; nothing is inherited. A
	// platform may add one variable of its own, by which it knows its processes again.
	Env []string
	// Dir is the working folder.
	Dir string
	// Log is the file that receives stdout and stderr, created with mode
	// 0600 and truncated. At most LogLimit bytes are kept; a line at the end says how
	// many were discarded. 0 means 16 MiB.
	Log      string
	LogLimit int64
	// User, when not empty, is the account the process runs as, by its name or its number; it needs
	// root and is refused otherwise.
	User string
	// Guest says that the process runs what others wrote: whatever it starts is held together as well as the machine
	// allows, and what it leaves behind is named. Its Process is a Guest.
	Guest bool
}

// Exit says how a process ended.
type Exit struct {
	Code   int       // exit status, or -1 when ended by a signal
	Signal string    // such as "SIGKILL"; empty when it exited by itself
	At     time.Time // when the end was seen
	Why    string    // what the platform says of it; empty where it knows no more
}

// String is the end in words.
func (e Exit) String() string {
	text := fmt.Sprintf("exit status %d", e.Code)
	if e.Signal != "" {
		text = "ended by " + e.Signal
	}
	if e.Why != "" {
		text += ": " + e.Why
	}
	return text
}

// A Process is one started process with everything it forks, wherever its
// descendants move: other process groups, other sessions, daemons.
type Process interface {
	// Name is the name given in the Spec.
	Name() string
	// PID is the process id of the first process.
	PID() int
	// PIDs are the ids of all living processes of the tree, the first one
	// included while it lives, in ascending order.
	PIDs() []int
	// Done is closed when the first process has ended; Exit is valid then.
	Done() <-chan struct{}
	Exit() Exit
	// Stop asks the first process to end (SIGTERM), waits up to grace, then kills
	// every process left of the tree and waits until none is left. Calling it again, or
	// after the end, is no error. A grace of 0 kills at once.
	Stop(ctx context.Context, grace time.Duration) error
}

// How the processes of a guest are held together.
const (
	HeldByGroup = "cgroup" // in a control group of their own
	HeldByGuard = "guard"  // by the walk of their common ancestor over the process table
)

// A Guest is a Process whose descendants may hide.
type Guest interface {
	// HeldBy is how its processes are held together.
	HeldBy() string
	// Left are the processes that outlived it when it was asked to end, once Stop has returned. They are ended by then.
	Left() []Leftover
}

// Leftover is a process that outlived the first one of its tree.
type Leftover struct {
	PID  int
	Name string // as the kernel calls it; empty where it had just ended
	// Unclaimed says that it may be another guest's that was there at the same time.
	Unclaimed bool
}

// String names it.
func (l Leftover) String() string {
	if l.Name == "" {
		return fmt.Sprintf("process %d", l.PID)
	}
	return fmt.Sprintf("process %d (%s)", l.PID, l.Name)
}

// A Freezer is a Platform that can hold processes still. A frozen tree uses no
// processor and answers nothing; its connections stay. Stop thaws a tree first, so that it can end by
// itself, and however the platform's user ends, nothing is left frozen.
type Freezer interface {
	// Freeze returns once every process of the trees was stopped; one that is started later by
	// a process outside the trees is not. Freezing what is frozen, is being stopped or
	// has ended is no error; what is being stopped is not held.
	Freeze(ctx context.Context, trees ...Process) error
	// Thaw lets them go on, also those that a Freeze whose context has ended was still about to hold. It is an error
	// if one cannot be thawed; that one may be thawed once more.
	Thaw(ctx context.Context, trees ...Process) error
}

// A Platform starts processes and owns them. It is safe for concurrent use.
// However its user ends, SIGKILL included, all processes it started are
// ended within 5 s.
type Platform interface {
	// Start returns once the process exists (not: once it is ready).
	Start(ctx context.Context, spec Spec) (Process, error)
	// Host is the address at which started processes are reached: 127.0.0.1
	// for local.
	Host() string
	// Port reserves a port nobody listens on and that Port will not return
	// again during the run.
	Port(ctx context.Context) (int, error)
	// Close kills everything still running and waits for it.
	Close() error
}
