package fleet

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// realtimePriority is the lowest there is: it puts agents before whatever
	// has none.
	realtimePriority = 1
	// shortSlice is how long an agent without that right asks to run at a
	// time; the shorter, the sooner it is let run when it wakes (EEVDF, Linux 6.12 and later).
	shortSlice = 100 * time.Microsecond
)

// GoFirst has the kernel run this process as soon as it wakes, so that an
// agent on the same machine as what it loads is on time: with the round-robin
// real-time policy where that is allowed (sched(7)), else with short time slices.
// Threads that start later inherit it.
func GoFirst() error {
	return goFirst(func(attr *unix.SchedAttr) error {
		return forEachThread(threads, func(id int) error { return unix.SchedSetAttr(id, attr, 0) })
	})
}

func goFirst(set func(*unix.SchedAttr) error) error {
	realtime := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: realtimePriority}
	if err := set(&realtime); err == nil {
		return nil
	}
	short := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Runtime: uint64(shortSlice)}
	if err := set(&short); err != nil {
		return fmt.Errorf("fleet: priority: %w", err)
	}
	return nil
}

// threads are the ids of this process' threads.
func threads() ([]int, error) {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, err
	}
	ids := make([]int, len(entries))
	for i, entry := range entries {
		if ids[i], err = strconv.Atoi(entry.Name()); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// forEachThread sets something of all threads; one that ends during that time is no
// error. It lists them again until it finds none to set: a thread that had not been
// set yet may have started another during that time, and a single one that is left behind
// keeps all that wait for it, while they spin, from running for up to 100 ms.
func forEachThread(list func() ([]int, error), set func(id int) error) error {
	done := map[int]bool{}
	for {
		ids, err := list()
		if err != nil {
			return err
		}
		before := len(done)
		for _, id := range ids {
			if done[id] {
				continue
			}
			if err := set(id); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
			done[id] = true
		}
		if len(done) == before {
			return nil
		}
	}
}

// Priority says in words how the kernel schedules a process.
func Priority(pid int) string {
	attr, err := unix.SchedGetAttr(pid, 0)
	if err != nil {
		return "with an unknown priority"
	}
	switch {
	case attr.Policy == unix.SCHED_RR:
		return fmt.Sprintf("at real-time priority %d, before what it loads", attr.Priority)
	case attr.Runtime > 0 && time.Duration(attr.Runtime) <= shortSlice:
		return fmt.Sprintf("in time slices of %v", time.Duration(attr.Runtime))
	}
	return fmt.Sprintf("at niceness %d", attr.Nice)
}
