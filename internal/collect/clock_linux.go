package collect

import (
	"time"

	"golang.org/x/sys/unix"
)

// Clock is the CPU time that living processes have used, to the nanosecond (clock_getcpuclockid(3)): ticks of
// /proc are too coarse for a quarter of a second. One that has ended adds nothing.
func Clock(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		var spec unix.Timespec
		if unix.ClockGettime(int32(^pid<<3|2), &spec) == nil { // CPUCLOCK_SCHED of the whole process
			sum += time.Duration(spec.Nano())
		}
	}
	return sum
}
