package loadtest

import (
	"time"

	"golang.org/x/sys/unix"
)

// nap has the kernel put this thread to sleep; with time.Sleep Go's scheduler would wake it.
func nap(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil) // interrupted: the next one counts
}
