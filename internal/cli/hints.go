package cli

import (
	"errors"

	"bakeoff/internal/controller"
	"bakeoff/internal/platform/local"
	"bakeoff/internal/record"
)

// hintOf is what the user can do about an error, or nothing.
func hintOf(err error) string {
	var missing missingError
	var hinted hintedError
	var busy *local.BusyError
	var disk *controller.DiskError
	var ended endedError
	var lost lostError
	switch {
	case errors.As(err, &missing):
		return missing.hint
	case errors.As(err, &hinted):
		return hinted.hint
	case errors.As(err, &ended):
		return ended.Hint
	case errors.As(err, &lost):
		return lost.hint
	case errors.As(err, &busy):
		return "wait for it, or run at the same time with --share-machine, which marks both"
	case errors.Is(err, record.ErrNoRun):
		return "name the directory of one run; bakeoff list --out FOLDER shows those in a folder"
	case errors.As(err, &disk) && disk.Begun:
		return "free some space there, then resume with: bakeoff run --resume " + disk.Dir
	case errors.As(err, &disk):
		return "free some space there, or name a folder on another disk with --out"
	}
	return ""
}
