package load

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Realtime is the real-time priority that loops take where they are allowed to: the lowest.
const Realtime = 1

// goAhead has the kernel run the calling thread as soon as it wakes: with the
// round-robin real-time policy, where that is allowed (sched(7)). It returns
// what undoes that. The other threads of the process stay what they are: were they
// real-time too, those of the collector could keep each other, and all else
// on the machine, from running for a whole real-time slice of 100 ms.
func goAhead() (undo func()) {
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil || before.Policy == unix.SCHED_RR {
		return func() {}
	}
	ahead := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: Realtime}
	if unix.SchedSetAttr(0, &ahead, 0) != nil {
		return func() {}
	}
	return func() { _ = unix.SchedSetAttr(0, before, 0) }
}

// MayRealtime tells whether this process, and so one that it starts, is allowed that.
func MayRealtime() bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	undo := goAhead()
	defer undo()
	attr, err := unix.SchedGetAttr(0, 0)
	return err == nil && attr.Policy == unix.SCHED_RR
}
