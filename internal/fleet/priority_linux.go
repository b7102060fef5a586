package fleet

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"bakeoff/internal/load"
)

// shortSlice is how long an agent asks to run at a time; the shorter, the
// sooner it is let run when it wakes (EEVDF, Linux 6.12 and later).
const shortSlice = 100 * time.Microsecond

// GoFirst has the kernel run this process soon when it wakes, by short time
// slices, so that an agent on the same machine as what it loads is on time.
// Its loops ask for more by themselves (see load.Realtime). Threads that start
// later inherit it.
func GoFirst() error {
	short := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Runtime: uint64(shortSlice)}
	if err := forEachThread(&short); err != nil {
		return fmt.Errorf("fleet: priority: %w", err)
	}
	return nil
}

// forEachThread sets the policy of all threads; one that ends meanwhile is no error.
func forEachThread(attr *unix.SchedAttr) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetAttr(id, attr, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// Priority says in words how the kernel schedules an agent that this process has started.
func Priority(pid int) string {
	attr, err := unix.SchedGetAttr(pid, 0)
	if err != nil {
		return "with an unknown priority"
	}
	how := fmt.Sprintf("at niceness %d", attr.Nice)
	if attr.Runtime > 0 && time.Duration(attr.Runtime) <= shortSlice {
		how = fmt.Sprintf("in time slices of %v", time.Duration(attr.Runtime))
	}
	if load.MayRealtime() {
		how += fmt.Sprintf(", its loops at real-time priority %d, before what they load", load.Realtime)
	}
	return how
}
