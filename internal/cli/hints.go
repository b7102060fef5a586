package cli

import (
	"errors"

	"bakeoff/internal/controller"
	"bakeoff/internal/platform/local"
)

// hintOf is what the user can do about an error, or nothing.
func hintOf(err error) string {
	var missing missingError
	var hinted hintedError
	var busy *local.BusyError
	var disk *controller.DiskError
	switch {
	case errors.As(err, &missing):
		return missing.hint
	case errors.As(err, &hinted):
		return hinted.hint
	case errors.As(err, &busy):
		return "wait for it, or run beside it with --share-machine, which marks both"
	case errors.As(err, &disk) && disk.Begun:
		return "make room there, then go on with: bakeoff run --resume " + disk.Dir
	case errors.As(err, &disk):
		return "make room there, or name a folder on another disk with --out"
	}
	return ""
}
