package load

import (
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
