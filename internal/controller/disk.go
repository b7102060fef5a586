package controller

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"bakeoff/internal/show"
)

// A DiskError says that the disk of the run directory has no room for the run.
type DiskError struct {
	Dir    string // the run directory, or the folder it would be made in
	Begun  bool   // Dir is a run directory: finished trials are in it, and it can be gone on with
	Free   int64  // bytes
	Needed int64  // bytes, about
	err    error  // of the operating system; nil when it was seen beforehand
}

func (e *DiskError) Error() string {
	text := fmt.Sprintf("%s has %s free, the run needs about %s more", e.Dir, show.Megabytes(float64(e.Free)), show.Megabytes(float64(e.Needed)))
	if e.err != nil {
		first, _, _ := strings.Cut(e.err.Error(), "\n")
		return first + " (" + text + ")"
	}
	return text
}

func (e *DiskError) Unwrap() error { return e.err }

// diskNeeded is about how many bytes so many trials take, as seen in runs:
// 100 kB a trial, 10 kB a second of series, 6 kB a second of each agent; and
// 3 MB for the rest.
func (o *Options) diskNeeded(trials int) int64 {
	var length time.Duration
	for _, p := range o.Plan.Phases {
		length += time.Duration(p.Duration)
	}
	seconds := int64((length + time.Duration(o.Plan.Warmup)) / time.Second)
	return 3e6 + int64(trials)*(100e3+seconds*(10e3+6e3*int64(o.Plan.Agents.Count)))
}

// room refuses to begin or to go on where the disk has no room for so many trials.
func (o *Options) room(dir string, trials int) error {
	needed, free := o.diskNeeded(trials), o.Venue.Room(dir)
	if free >= 0 && free < needed {
		return &DiskError{Dir: dir, Free: free, Needed: needed}
	}
	return nil
}

// explainDisk adds to an error that a full disk caused what is needed.
func (r *run) explainDisk(err error) error {
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return err
	}
	dir := r.writer.Dir()
	return &DiskError{Dir: dir, Begun: true, Free: r.o.Venue.Room(dir), Needed: r.o.diskNeeded(r.trials - r.number), err: firstError(err)}
}

// firstError is the first of joined errors: on a full disk the others repeat it.
func firstError(err error) error {
	for {
		joined, ok := err.(interface{ Unwrap() []error })
		if !ok {
			return err
		}
		err = joined.Unwrap()[0]
	}
}
