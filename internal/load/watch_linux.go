package load

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"bakeoff/internal/stats"
)

// beat sleeps and looks at the clock, until the watch is ended.
//
// It sleeps in the kernel and not in a timer of the runtime's, because
// those are late by themselves, and past the scheduler, because it would
// have to ask for a processor again (see poll.wait). The kernel says for how long its thread was
// ready and had no core; an absence without that, in which the whole process
// used no processor time, is one in which it was stopped.
func (w *watch) beat() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	stat, err := os.Open("/proc/thread-self/schedstat") // kept open: later there may be no descriptor left
	if err == nil {
		defer stat.Close()
	}
	moreProcessors(1) // it keeps one while it sleeps
	defer moreProcessors(-1)
	spec := unix.NsecToTimespec(int64(beatEvery))
	before, waited, used := time.Now(), waitOf(stat), processCPU()
	for n := 0; ; n++ {
		select {
		case <-w.ended:
			return
		default:
		}
		_, _, _ = unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0) // interrupted: a short beat
		now, waits, uses := time.Now(), waitOf(stat), processCPU()
		if over := now.Sub(before) - beatEvery; over >= awayAfter {
			switch {
			case waits-waited >= over/2:
				w.note(before, over, true)
			case uses-used < over/8+time.Millisecond:
				w.note(before, over, false)
			}
		}
		before, waited, used = now, waits, uses
		if n%countEvery == 0 {
			w.open.Store(max(w.open.Load(), openDescriptors()))
		}
	}
}

// waitOf reads for how long the thread of a schedstat file was ready and had
// no core; 0 where the kernel does not say.
func waitOf(stat *os.File) time.Duration {
	var b [64]byte
	if stat == nil {
		return 0
	}
	n, _ := unix.Pread(int(stat.Fd()), b[:], 0)
	_, wait := schedstat(b[:max(n, 0)])
	return wait
}

// schedstat reads the time on a core and that of waiting for one, "4711 42 7",
// and allocates nothing.
func schedstat(b []byte) (run, wait time.Duration) {
	var numbers [2]time.Duration
	at := 0
	for _, c := range b {
		if c >= '0' && c <= '9' {
			numbers[at] = 10*numbers[at] + time.Duration(c-'0')
		} else if at++; at == len(numbers) {
			return numbers[0], numbers[1]
		}
	}
	return 0, 0
}

// gauges are the means at this moment.
func (w *watch) gauges() stats.Means {
	m := stats.Means{Descriptors: max(w.open.Swap(0), openDescriptors()), Ports: int64(w.held()), TimeWait: timeWait()}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		m.DescriptorLimit = int64(min(limit.Cur, 1<<62))
	}
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		_, _ = fmt.Sscan(string(b), &m.PortLow, &m.PortHigh)
	}
	var cores unix.CPUSet
	if unix.SchedGetaffinity(0, &cores) == nil {
		m.Cores = float64(cores.Count())
	}
	if quota, _ := cpuQuota(); quota > 0 {
		m.Cores = min(m.Cores, quota)
	}
	return m
}

// count reads the counters.
func (w *watch) count() counters {
	c := counters{run: map[int]time.Duration{}, wait: map[int]time.Duration{}, stolen: stolen()}
	_, c.throttled = cpuQuota()
	for _, id := range w.threads() {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/schedstat", id)); err == nil {
			c.run[id], c.wait[id] = schedstat(b)
		}
	}
	return c
}

// openDescriptors counts them by the size of their folder, which needs no
// descriptor; before Linux 6.2 they must be listed.
func openDescriptors() int64 {
	if info, err := os.Stat("/proc/self/fd"); err == nil && info.Size() > 0 {
		return info.Size()
	}
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return int64(len(names)) - 1 // the listing's own
}

// timeWait is the number of closed connections that still hold their ports.
func timeWait() int64 {
	b, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(b, []byte("TCP: "))
	_, rest, _ = bytes.Cut(rest, []byte(" tw "))
	var n int64
	_, _ = fmt.Fscan(bytes.NewReader(rest), &n)
	return n
}

// clockTick is the unit of CPU times in /proc/stat, 100 a second on every Linux.
const clockTick = 10 * time.Millisecond

// stolen is what the host took away of this machine's time so far.
func stolen() time.Duration {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	f := bytes.Fields(line)
	if len(f) < 9 {
		return 0
	}
	ticks, _ := strconv.ParseInt(string(f[8]), 10, 64)
	return time.Duration(ticks) * clockTick
}
