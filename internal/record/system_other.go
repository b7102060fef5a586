//go:build !linux

package record

import (
	"errors"
	"os"
	"syscall"
)

// ErrInUse is returned by Resume while another process writes the run. Only
// Linux knows.
var ErrInUse = errors.New("another process writes this run")

// openSafely are flags with which a pipe does not block.
const openSafely = syscall.O_NONBLOCK

func lock(*os.File) error { return nil }

func unlock(*os.File) error { return nil }

func locked(*os.File) bool { return false }

// Free is unknown on this system.
func Free(string) (int64, error) { return 0, errors.ErrUnsupported }

func allocate(*os.File, int64) error { return errors.ErrUnsupported }
