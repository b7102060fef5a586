//go:build !linux

package local

import (
	"context"
	"errors"
	"fmt"
	"os"

	"bakeoff/internal/platform"
)

// Platform runs processes on this machine; it implements platform.Platform.
type Platform struct{ platform.Platform }

// Open refuses: the package needs Linux.
func Open(context.Context, Options) (*Platform, error) {
	return nil, fmt.Errorf("local: a run on this machine needs Linux: %w", errors.ErrUnsupported)
}

// SetLabel does nothing.
func (*Platform) SetLabel(context.Context, string) error { return errors.ErrUnsupported }

// Others are none.
func (*Platform) Others() []Holder { return nil }

// Guard refuses: the package needs Linux.
func Guard() int {
	fmt.Fprintln(os.Stderr, "bakeoff: error: guard needs Linux")
	return 2
}

// Sweep finds nothing: without Linux nothing was started.
func Sweep(context.Context, string) (Swept, error) { return Swept{}, nil }

// SweepMarked finds nothing, likewise.
func SweepMarked(context.Context) (Swept, error) { return Swept{}, nil }
