package controller

import (
	"fmt"
	"strings"
	"time"

	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// A DiskError says that the disk of the run directory has no room for the run.
type DiskError struct {
	Dir    string // the run directory, or the folder it would be made in
	Begun  bool   // Dir is a run directory: finished trials are in it, and it can be resumed
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

// accessLogRate is what access logs are taken to grow by, in bytes a second: 10,000 lines of 100 bytes.
const accessLogRate = 10_000 * 100

// extent is what the size of a run directory with that many trials of the plan depends on.
func (o *Options) extent(trials int) record.Extent {
	p := o.Plan
	e := record.Extent{Trials: trials, Agents: p.Agents.Count, Seconds: time.Duration(p.Warmup.Most).Seconds()}
	for _, phase := range p.Phases {
		e.Seconds += time.Duration(phase.Duration).Seconds() + 1 // until the last answer is in
	}
	if p.Uses(plan.JMeter) { // its result files stay
		e.LogBytes = int64(e.Seconds * accessLogRate)
	}
	if p.Running() {
		return e
	}
	for _, t := range p.Targets {
		d := p.Deployed(t)
		e.Replicas, e.Workers = max(e.Replicas, d.Replicas), max(e.Workers, d.Workers)
	}
	if p.Deployment.AccessLog {
		e.LogBytes += int64(e.Seconds * accessLogRate)
	}
	return e
}

// room refuses to begin or to go on where the disk has no room for that many trials.
func (o *Options) room(dir string, trials int) error {
	needed, free := record.Needs(o.extent(trials)), o.Venue.Room(dir)
	if free >= 0 && free < needed {
		return &DiskError{Dir: dir, Free: free, Needed: needed}
	}
	return nil
}

// explainDisk adds to an error that a full disk caused what is needed.
func (r *run) explainDisk(err error) error {
	if !record.DiskFull(err) {
		return err
	}
	dir := r.writer.Dir()
	return &DiskError{Dir: dir, Begun: true, Free: r.o.Venue.Room(dir), Needed: record.Needs(r.o.extent(r.trials - r.number)), err: firstError(err)}
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
