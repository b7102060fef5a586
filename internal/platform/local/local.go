// Package local runs the processes of a bake-off as children of this machine
// and sees to it that none of them outlives the run.
//
// A second process of the same binary, the guard, is the parent of everything
// that is started. It is a child subreaper, so that a process which forks
// twice, changes its session and drops its environment is still handed back
// to it. The controller speaks to it over a socket pair; when that socket
// ends, because the controller closed the platform or died in any way, the
// guard kills all its descendants, reaps them and ends. When the guard itself
// dies, the controller inherits and kills the descendants, and Start refuses
// from then on. When both die at once, a third process, the deputy, ends what was
// left. Should that be killed as well, a state file per run names what was
// left, and Sweep ends it at the next start or by `bakeoff clean`, which also finds it by its mark.
//
// One run at a time may use the machine: the guard holds an abstract Unix
// socket, which the kernel gives back when it dies, until nothing it started
// is alive. Abstract sockets belong to a network namespace, so runs in
// different ones do not see each other.
//
// The package needs Linux; elsewhere Open refuses. It never kills by a
// process id alone: the start time (field 22 of /proc/PID/stat) must match too.
package local

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"bakeoff/internal/show"
)

// DefaultLock is the name of the abstract socket that stands for the machine.
const DefaultLock = "bakeoff-machine"

// ErrBusy says that another run holds the machine; the error that wraps it is
// a *BusyError.
var ErrBusy = errors.New("another run holds this machine")

// Options say how a Platform is opened.
type Options struct {
	// Self is the command that starts the guard role, such as
	// {"/usr/bin/bakeoff", "guard"}; that process must call Guard.
	Self []string
	// StateDir holds one file per living run; empty means DefaultStateDir.
	StateDir string
	// Share allows other runs on the machine at the same time.
	Share bool
	// Label names the run to others that find the machine taken.
	Label string
	// Lock is the name of the machine's lock; empty means DefaultLock.
	Lock string
	// Log receives what goes wrong out of sight; nil means nowhere.
	Log *slog.Logger

	noGroups   bool          // for tests: as where no control group can be made
	coldWithin time.Duration // for tests: another time for groups to freeze
}

// Holder describes a run on this machine.
type Holder struct {
	Controller Identity  `json:"controller"`
	Guard      Identity  `json:"guard"`
	Run        string    `json:"run"`
	Since      time.Time `json:"since"`
	Ending     bool      `json:"ending,omitempty"` // its controller is gone, its processes are being killed
}

// Identity is a process id together with its start time in clock ticks since
// boot, which no two processes of one boot share.
type Identity struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
}

// BusyError says who holds the machine.
type BusyError struct{ Holder Holder }

func (e *BusyError) Error() string {
	run := show.Clip(show.Inert(e.Holder.Run), 100) // another user's process may have written it
	if run == "" {
		run = "without a name"
	}
	return fmt.Sprintf("local: %v: run %s, process %d, since %s", ErrBusy, run,
		e.Holder.Controller.PID, e.Holder.Since.Local().Format("15:04:05"))
}

// Unwrap makes errors.Is(err, ErrBusy) true.
func (e *BusyError) Unwrap() error { return ErrBusy }

// Swept says what a sweep did.
type Swept struct {
	Runs      []string // labels (or tokens) of the dead runs whose leftovers were ended
	Processes []int    // ids of the processes that were killed
	Living    int      // runs left alone because they live
}

// DefaultStateDir is bakeoff/state in the user's cache folder.
func DefaultStateDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("local: state folder: %w", err)
	}
	return filepath.Join(dir, "bakeoff", "state"), nil
}

func (o Options) withDefaults() (Options, error) {
	if len(o.Self) == 0 {
		return o, errors.New("local: no command for the guard")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Lock == "" {
		o.Lock = DefaultLock
	}
	var err error
	if o.StateDir == "" {
		o.StateDir, err = DefaultStateDir()
	} else {
		o.StateDir, err = filepath.Abs(o.StateDir)
	}
	return o, err
}
