package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"bakeoff/internal/calibrate"
	"bakeoff/internal/controller"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// Exit statuses.
const (
	exitDone         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitMissed       = 3
	exitTooFew       = 4
	exitPrerequisite = 5
	exitInterrupted  = 130
)

// usageError is a mistake in the command line or a plan.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// hintedError is a mistake in the command line with the way out of it.
type hintedError struct {
	usageError
	hint string
}

func (e hintedError) Unwrap() error { return e.usageError }

// misused returns a mistake in the command line with the way out of it.
func misused(hint, format string, args ...any) error {
	return hintedError{usageError{fmt.Errorf(format, args...)}, hint}
}

// missingError is a prerequisite that this machine lacks, with the line that installs it.
type missingError struct {
	err  error
	hint string
}

func (e missingError) Error() string { return e.err.Error() }
func (e missingError) Unwrap() error { return e.err }

// exitStatus maps an error to the program's exit status; the only place that does.
func exitStatus(err error) int {
	var usage usageError
	var missing missingError
	var ended endedError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &ended):
		return cmp.Or(ended.Exit, exitFailed)
	case errors.Is(err, controller.ErrInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &usage), isCobraUsage(err):
		return exitUsage
	case errors.As(err, &missing):
		return exitPrerequisite
	case errors.Is(err, controller.ErrTooFewValid), errors.Is(err, calibrate.ErrDisturbed), errors.Is(err, errInvalidLoad), errors.Is(err, errInconclusive), errors.Is(err, errNoBaseline), errors.Is(err, errCeiling):
		return exitTooFew
	case errors.Is(err, errMissed), errors.Is(err, errWorse), errors.Is(err, errMisled), only(err, errThreshold):
		return exitMissed
	case only(err, record.ErrNoRun): // a run that failed before it had one has no wrong usage
		return exitUsage
	default:
		return exitFailed
	}
}

// only reports whether err is target and nothing else: of errors that are joined, each is.
func only(err, target error) bool {
	if several, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // each level is looked at
		return !slices.ContainsFunc(several.Unwrap(), func(one error) bool { return !only(one, target) })
	}
	inner := errors.Unwrap(err)
	return err == target || inner != nil && only(inner, target) //nolint:errorlint // likewise
}

// isCobraUsage reports whether an error is the library's own about an unknown command; those have no type.
func isCobraUsage(err error) bool {
	return strings.HasPrefix(err.Error(), "unknown command") || strings.HasPrefix(err.Error(), "required flag")
}

// conclude prints err the way every command does and returns the exit status.
func conclude(stderr io.Writer, root *cobra.Command, err error) int {
	status := exitStatus(err)
	if err == nil {
		return status
	}
	fmt.Fprintf(stderr, "bakeoff: error: %s\n", show.InertLines(strings.TrimSpace(err.Error())))
	hint := hintOf(err)
	if status == exitUsage && isCobraUsage(err) {
		hint = fmt.Sprintf("'%s --help' lists the commands", root.Name())
	}
	if hint != "" {
		fmt.Fprintf(stderr, "bakeoff: hint: %s\n", show.InertLines(hint))
	}
	return status
}

// withSignals returns a context that the first SIGINT, SIGTERM or SIGHUP cancels with
// ErrInterrupted. The second one leaves at once: the guard ends what is left.
func withSignals(parent context.Context, stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it for us
		signal.Notify(signals, syscall.SIGHUP)
	}
	said := newQueue(stderr, false) // a terminal that is paused must not keep the signal from its work
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for count := 0; ; count++ {
			select {
			case <-done:
				return
			case <-signals:
			}
			if count == 1 {
				os.Exit(exitInterrupted)
			}
			cancel(controller.ErrInterrupted)
			said.put("bakeoff: interrupted, ending cleanly (interrupt again to leave at once)\n")
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		<-stopped
		cancel(nil)
		said.close()
	}
}
