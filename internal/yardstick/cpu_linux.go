package yardstick

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// systemClocks are those of the kernel, clock_gettime(2).
func systemClocks() clocks {
	read := func(clock int32) func() time.Duration {
		return func() time.Duration {
			var t unix.Timespec
			_ = unix.ClockGettime(clock, &t) // never fails for these clocks
			return time.Duration(t.Nano())
		}
	}
	return clocks{thread: read(unix.CLOCK_THREAD_CPUTIME_ID), process: read(unix.CLOCK_PROCESS_CPUTIME_ID)}
}

// usable are the CPUs that this process may run on.
func usable() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("yardstick: %w", err)
	}
	var out []int
	for n := range 64 * len(set) {
		if set.IsSet(n) {
			out = append(out, n)
		}
	}
	return out, nil
}

// pin keeps the calling thread on one CPU.
func pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("yardstick: %w", err)
	}
	return nil
}
