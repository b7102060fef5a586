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

// sleep looks out until the watch is ended.
//
// It sleeps in the kernel and not in a timer of the runtime's, because
// those are late by themselves, and past the scheduler, because it would
// have to ask for a processor again (see poll.wait).
func (w *watch) sleep() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	moreProcessors(1) // it keeps one while it sleeps
	defer moreProcessors(-1)
	o := w.sampler()
	defer o.close()
	spec := unix.NsecToTimespec(int64(lookEvery))
	for {
		select {
		case <-w.ended:
			return
		default:
		}
		slept := int64(time.Since(w.start))
		_, _, _ = unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0) // interrupted: a short one
		o.woke(int64(time.Since(w.start)), slept, int64(lookEvery))
	}
}

// A sampler sees the absences of the thread that made it, and no other may
// use it. While it sleeps, an absence is what it sleeps longer than it meant to; while it is awake, what
// is neither its own processor time nor idle. The kernel says for how long it was ready and had
// no core; an absence without that is one in which it was stopped, if the whole
// process used no processor time during that time.
type sampler struct {
	watch   *watch
	usage   func() (run, waited, used time.Duration) // reads the counters
	stat    *os.File                                 // kept open: later there may be no descriptor left
	woken   int64                                    // when it last woke, ns since the start
	read    int64                                    // when the counters were read
	idle    int64                                    // for how long it slept, or waited for another goroutine, since then
	run     time.Duration
	waited  time.Duration
	used    time.Duration // by the whole process
	counted int64         // when the open descriptors were counted
}

func (w *watch) sampler() *sampler {
	o := &sampler{watch: w, woken: int64(time.Since(w.start))}
	o.usage = func() (run, waited, used time.Duration) { return threadCPU(), waitOf(o.stat), processCPU() }
	if stat, err := os.Open("/proc/thread-self/schedstat"); err == nil {
		o.stat = stat
	}
	o.read = o.woken
	o.run, o.waited, o.used = o.usage()
	return o
}

func (o *sampler) close() {
	if o.stat != nil {
		o.stat.Close()
	}
}

// woke notes that the thread is awake now, since when it had slept, and for how long it meant to.
func (o *sampler) woke(now, slept, meant int64) {
	awake, over := time.Duration(slept-o.woken), time.Duration(now-slept-max(meant, 0))
	from := o.woken
	o.woken = now
	o.idle += now - slept
	if awake < awayAfter && over < awayAfter && now-o.read < int64(lookEvery) {
		return
	}
	run, waited, used := o.usage()
	starved := waited - o.waited
	if over >= awayAfter {
		switch {
		case starved >= over/2:
			o.watch.note(o.watch.start.Add(time.Duration(slept)), over, true)
		case used-o.used < over/8+time.Millisecond:
			o.watch.note(o.watch.start.Add(time.Duration(slept)), over, false)
		}
	}
	if away := time.Duration(now-o.read-o.idle) - (run - o.run); awake >= awayAfter && away >= awayAfter {
		switch {
		case starved >= away/2:
			o.watch.note(o.watch.start.Add(time.Duration(from)), away, true)
		case used-o.used-(run-o.run) < away/8+time.Millisecond:
			o.watch.note(o.watch.start.Add(time.Duration(from)), away, false)
		}
	}
	o.read, o.idle, o.run, o.waited, o.used = now, 0, run, waited, used
	if now-o.counted >= int64(countEvery) {
		o.watch.open.Store(max(o.watch.open.Load(), sizeOfDescriptors()))
		o.counted = now
	}
}

// threadCPU is what this thread has used so far.
func threadCPU() time.Duration {
	var spec unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &spec); err != nil {
		return 0
	}
	return time.Duration(spec.Nano())
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

// gauges are the agent's resources at this moment.
func (w *watch) gauges() stats.Resources {
	m := stats.Resources{Descriptors: max(w.open.Swap(0), openDescriptors()), Ports: int64(w.held()), TimeWait: timeWait()}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		m.DescriptorLimit = int64(min(limit.Cur, 1<<62))
		m.Descriptors = min(m.Descriptors, m.DescriptorLimit) // one that was inherited with a number beyond the limit takes no place
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

// sizeOfDescriptors counts those that are open by the size of their folder, which
// needs no descriptor and takes no time; 0 before Linux 6.2, which does not report it.
func sizeOfDescriptors() int64 {
	info, err := os.Stat("/proc/self/fd")
	if err != nil {
		return 0
	}
	return info.Size()
}

// openDescriptors counts them by listing them where it must.
func openDescriptors() int64 {
	if n := sizeOfDescriptors(); n > 0 {
		return n
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
