package record

import (
	"errors"
	"math"
	"syscall"
)

// Extent is what the size of a run directory depends on.
type Extent struct {
	Trials   int     // every trial of the order, the pilot's and two repeats of each place included if they shall fit
	Seconds  float64 // of load in a trial, warm-up and the wait for the last answers included
	Agents   int
	Replicas int   // of the target that has most
	Workers  int   // per replica, of the target that has most
	LogBytes int64 // of all processes in a trial, beyond the few lines they write at start and end; access logs
}

// Sizes measured on full lines, rounded up: a histogram of 20,000 different
// durations takes 3.3 kB, a line without histograms 1 kB.
const (
	histogramBytes = 4 << 10
	lineBytes      = 1 << 10
	seriesBytes    = 512
	databaseBytes  = 4 << 10
	processBytes   = 64 << 10 // log of a process that writes no access log
	trialBytes     = 64 << 10 // trial.json, its event, and the folders
	runBytes       = 2 << 20  // run.json with all it repeats, the plans, the copies in events.jsonl
)

// Needs estimates the bytes of a run directory from above: what is held back
// on the disk while it is written is counted in.
func Needs(e Extent) int64 {
	seconds := math.Ceil(e.Seconds)
	load := float64(e.Agents) * (lineBytes + histogramBytes*float64(3+e.Replicas))
	members := e.Replicas*(1+e.Workers) + e.Agents + 3 // balancer, controller, host
	series := float64(members)*seriesBytes + databaseBytes
	logs := float64(e.Replicas+2)*processBytes + float64(e.LogBytes)
	trial := seconds*(load+series) + logs + trialBytes
	return int64(float64(e.Trials)*trial) + runBytes + reserveBytes
}

// DiskFull reports whether an error came from a disk, or a quota, that is used up.
func DiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
