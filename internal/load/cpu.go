package load

import (
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// processCPU is the user and system time the process has used so far.
func processCPU() time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// use is what the process has used so far.
type use struct{ cpu, pause time.Duration }

// processUse is the CPU time and the collector's pauses so far.
func processUse() use {
	var gc debug.GCStats
	debug.ReadGCStats(&gc)
	return use{processCPU(), gc.PauseTotal}
}

// noUse is what a loop accounts for that is not the process's first.
func noUse() use { return use{} }
