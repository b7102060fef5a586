package collect

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"

	"bakeoff/internal/record"
)

// Where Linux describes itself.
const (
	procRoot   = "/proc"
	cgroupRoot = "/sys/fs/cgroup"
)

// clockTick is the unit of CPU times in /proc: USER_HZ, 100 on every Linux
// architecture that Go runs on (proc(5)).
const clockTick = time.Second / 100

// kernelThread is the flag PF_KTHREAD of a process (include/linux/sched.h).
const kernelThread = 0x00200000

// kernel reads what Linux reports about the machine and its processes.
type kernel struct {
	files  procfs.FS
	proc   string  // root of files
	cgroup string  // root of the control groups
	cpus   []int64 // that the run may use; empty: all
	self   int     // process id of the controller
}

func openKernel(proc, cgroup string, cpus []int64, self int) (kernel, error) {
	files, err := procfs.NewFS(proc)
	if err != nil {
		return kernel{}, fmt.Errorf("collect: %w", err)
	}
	return kernel{files: files, proc: proc, cgroup: cgroup, cpus: cpus, self: self}, nil
}

// thisMachine is the kernel that this process runs on.
func thisMachine() (kernel, error) {
	return openKernel(procRoot, cgroupRoot, usableCPUs(), os.Getpid())
}

// process is one process as the kernel describes it.
type process struct {
	pid, parent int
	name        string
	started     uint64        // ticks after boot: distinguishes two processes with one id
	cpu         time.Duration // user + system, with ended children that it has waited for
	rss         int64         // bytes
	kernel      bool          // a thread of the kernel
}

// process reads one process; ok is false when it is gone.
func (k kernel) process(pid int) (p process, ok bool) {
	found, err := k.files.Proc(pid)
	if err != nil {
		return process{}, false
	}
	s, err := found.Stat()
	if err != nil {
		return process{}, false
	}
	ticks := int64(s.UTime) + int64(s.STime) + int64(s.CUTime) + int64(s.CSTime)
	return process{
		pid: pid, parent: s.PPID, name: s.Comm, started: s.Starttime, cpu: time.Duration(ticks) * clockTick,
		rss: int64(s.ResidentMemory()), kernel: s.Flags&kernelThread != 0,
	}, true
}

// proportional is the memory of a process with shared pages divided among their users; 0 where not readable.
func (k kernel) proportional(pid int) int64 {
	data, err := os.ReadFile(filepath.Join(k.proc, strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, found := strings.CutPrefix(line, "Pss:"); found {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib * 1024
		}
	}
	return 0
}

// processor sums up the times of the CPUs that the run may use, in nanoseconds since boot, and counts them.
func (k kernel) processor() (map[string]float64, error) {
	stat, err := k.files.Stat()
	if err != nil {
		return nil, fmt.Errorf("collect: %w", err)
	}
	var sum procfs.CPUStat
	n := 0
	for number, cpu := range stat.CPU {
		if k.uses(number) {
			sum = plus(sum, cpu)
			n++
		}
	}
	if n == 0 {
		sum, n = stat.CPUTotal, max(len(stat.CPU), 1)
	}
	ns := func(seconds float64) float64 { return float64(time.Duration(seconds*100+0.5) * clockTick) }
	return map[string]float64{
		"cpus": float64(n), "user_ns": ns(sum.User), "nice_ns": ns(sum.Nice), "system_ns": ns(sum.System), "idle_ns": ns(sum.Idle),
		"iowait_ns": ns(sum.Iowait), "irq_ns": ns(sum.IRQ), "softirq_ns": ns(sum.SoftIRQ), "steal_ns": ns(sum.Steal),
	}, nil
}

func (k kernel) uses(number int64) bool {
	for _, one := range k.cpus {
		if one == number {
			return true
		}
	}
	return len(k.cpus) == 0
}

func plus(a, b procfs.CPUStat) procfs.CPUStat {
	return procfs.CPUStat{
		User: a.User + b.User, Nice: a.Nice + b.Nice, System: a.System + b.System, Idle: a.Idle + b.Idle,
		Iowait: a.Iowait + b.Iowait, IRQ: a.IRQ + b.IRQ, SoftIRQ: a.SoftIRQ + b.SoftIRQ, Steal: a.Steal + b.Steal,
	}
}

// host returns the machine's busy CPU time, its memory in use in bytes, and values: CPU times, pages read
// from swap, pressure where the kernel measures it, and how long a CPU quota held back our control group.
func (k kernel) host() (busy time.Duration, used int64, values map[string]float64, err error) {
	if values, err = k.processor(); err != nil {
		return 0, 0, nil, err
	}
	for _, name := range []string{"user_ns", "nice_ns", "system_ns", "irq_ns", "softirq_ns"} {
		busy += time.Duration(values[name])
	}
	if memory, err := k.files.Meminfo(); err == nil && memory.MemTotalBytes != nil && memory.MemAvailableBytes != nil {
		used = int64(*memory.MemTotalBytes - *memory.MemAvailableBytes)
	}
	if pages, ok := k.swappedIn(); ok {
		values["swap_in_pages"] = pages
	}
	for _, what := range []string{"cpu", "memory", "io"} {
		if pressure, err := k.files.PSIStatsForResource(what); err == nil && pressure.Some != nil {
			values["pressure_"+what+"_ns"] = float64(pressure.Some.Total) * 1000
		}
	}
	if throttled, cores, ok := k.throttled(); ok {
		values[record.ThrottledNS] = float64(throttled)
		if cores > 0 {
			values[record.QuotaCores] = cores
		}
	}
	if drops, ok := k.listenDrops(); ok {
		values[record.ListenDrops] = drops
	}
	return busy, used, values, nil
}

func (k kernel) swappedIn() (pages float64, ok bool) {
	data, err := os.ReadFile(filepath.Join(k.proc, "vmstat"))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(data)) {
		if rest, found := strings.CutPrefix(line, "pswpin "); found {
			pages, err = strconv.ParseFloat(strings.TrimSpace(rest), 64)
			return pages, err == nil
		}
	}
	return 0, false
}

// throttled is how long CPU quotas have held back this process's control group and those above it, in either
// version of control groups, where they are usually mounted, and the smallest of those quotas in cores; 0: none.
func (k kernel) throttled() (sum time.Duration, cores float64, ok bool) {
	text, err := os.ReadFile(filepath.Join(k.proc, strconv.Itoa(k.self), "cgroup"))
	if err != nil {
		return 0, 0, false
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		roots := []string{"", "unified"}
		if parts[1] != "" {
			roots = []string{"cpu", "cpu,cpuacct"}
			if !strings.Contains(","+parts[1]+",", ",cpu,") {
				continue
			}
		}
		for _, root := range roots {
			for dir := parts[2]; ; dir = filepath.Dir(dir) {
				here := filepath.Join(k.cgroup, root, dir)
				if one, found := throttledIn(here); found {
					sum, ok = sum+one, true
				}
				if n := quotaIn(here); n > 0 && (cores == 0 || n < cores) {
					cores = n
				}
				if dir == "/" || dir == "." {
					break
				}
			}
		}
	}
	return sum, cores, ok
}

// quotaIn reads how many cores a control group may use: cpu.max in version 2, "max 100000" or "50000 100000", two
// files in version 1; 0 where there is no bound.
func quotaIn(dir string) float64 {
	first := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(dir, name))
		line, _, _ := strings.Cut(string(text), "\n")
		return line
	}
	quota, period, found := strings.Cut(first("cpu.max"), " ")
	if !found {
		quota, period = first("cpu.cfs_quota_us"), first("cpu.cfs_period_us")
	}
	q, _ := strconv.ParseFloat(quota, 64)
	p, _ := strconv.ParseFloat(period, 64)
	if q <= 0 || p <= 0 {
		return 0
	}
	return q / p
}

// throttledIn reads cpu.stat: microseconds in version 2, nanoseconds in version 1.
func throttledIn(dir string) (time.Duration, bool) {
	text, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil:
		case name == "throttled_usec":
			return time.Duration(n) * time.Microsecond, true
		case name == "throttled_time":
			return time.Duration(n), true
		}
	}
	return 0, false
}

// initialNamespace is the number of the PID namespace that holds all others (include/linux/proc_ns.h).
const initialNamespace = "pid:[4026531836]"

// container says that processes outside this one's PID namespace may exist and cannot be seen.
func (k kernel) container() bool {
	link, err := os.Readlink(filepath.Join(k.proc, strconv.Itoa(k.self), "ns", "pid"))
	return err == nil && link != initialNamespace
}
