package collect

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/platform"
)

// machine is a made-up Linux: files as the kernel writes them, which a test changes as it goes on.
type machine struct {
	t                       *testing.T
	dir                     string
	user, system, idle      time.Duration // of each CPU
	irq, softirq, steal     time.Duration
	memory, io              time.Duration // pressure
	swapped                 int           // pages
	throttled               time.Duration
	quota                   int  // hundredths of a core; 0: none
	throttledOld            bool // control groups of version 1
	container               bool
	processes               map[int]*made
	controller, own, kernel *made
}

// made is one process of the machine.
type made struct {
	pid, parent      int
	name             string
	flags            int
	started          int
	used, ofChildren time.Duration
}

// newMachine has a controller, a target's process below a guard, and a thread of the kernel.
func newMachine(t *testing.T) *machine {
	m := &machine{t: t, dir: t.TempDir(), processes: map[int]*made{}, idle: time.Hour}
	m.add(1, 0, "init")
	m.controller = m.add(100, 1, "bakeoff")
	m.add(101, 100, "guard")
	m.own = m.add(102, 101, "gunicorn (a b)")
	m.kernel = m.add(2, 0, "kworker/0:1")
	m.kernel.flags = kernelThread | 0x40
	return m
}

func (m *machine) add(pid, parent int, name string) *made {
	p := &made{pid: pid, parent: parent, name: name, started: pid}
	m.processes[pid] = p
	return p
}

// use lets a process run: the CPUs are busy for so long, half of it on each.
func (m *machine) use(p *made, d time.Duration) {
	p.used += d
	m.user += d / 2
}

// until lets time pass in which each CPU is idle as long as it was not busy.
func (m *machine) until(passed time.Duration) {
	m.idle = time.Hour + passed - m.user - m.system - m.irq - m.softirq - m.steal
}

func (m *machine) file(text string, path ...string) {
	m.t.Helper()
	at := filepath.Join(append([]string{m.dir}, path...)...)
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// write brings the files up to date.
func (m *machine) write() {
	m.t.Helper()
	tick := func(d time.Duration) int64 { return int64(d / clockTick) }
	var stat strings.Builder
	for i, name := range []string{"cpu ", "cpu0", "cpu1", "cpu2"} {
		n := []int64{3, 1, 1, 1}[i] // the third CPU is not ours: its times count in the first line alone
		fmt.Fprintf(&stat, "%s %d 0 %d %d 0 %d %d %d 0 0\n", name,
			n*tick(m.user), n*tick(m.system), n*tick(m.idle), n*tick(m.irq), n*tick(m.softirq), n*tick(m.steal))
	}
	m.file(stat.String(), "proc", "stat")
	m.file("MemTotal: 1000 kB\nMemAvailable: 400 kB\n", "proc", "meminfo")
	m.file(fmt.Sprintf("nr_free_pages 5\npswpin %d\npswpout 7\n", m.swapped), "proc", "vmstat")
	for what, d := range map[string]time.Duration{"cpu": 0, "memory": m.memory, "io": m.io} {
		m.file(fmt.Sprintf("some avg10=0.00 avg60=0.00 avg300=0.00 total=%d\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n", d.Microseconds()), "proc", "pressure", what)
	}
	for _, p := range m.processes {
		m.file(fmt.Sprintf("%d (%s) S %d 1 1 0 -1 %d 0 0 0 0 %d 0 %d 0 20 0 1 0 %d 1000 10 %s\n", p.pid, p.name, p.parent, p.flags,
			tick(p.used), tick(p.ofChildren), p.started, strings.Repeat("0 ", 28)), "proc", fmt.Sprint(p.pid), "stat")
	}
	m.groups()
}

// groups writes the control group of the controller.
func (m *machine) groups() {
	m.t.Helper()
	namespace := initialNamespace
	if m.container {
		namespace = "pid:[4026532000]"
	}
	link := filepath.Join(m.dir, "proc", "100", "ns", "pid")
	if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
		m.t.Fatal(err)
	}
	_ = os.Remove(link)
	if err := os.Symlink(namespace, link); err != nil {
		m.t.Fatal(err)
	}
	if m.throttledOld {
		quota := -1
		if m.quota > 0 {
			quota = m.quota * 1000
		}
		m.file(fmt.Sprintf("%d\n", quota), "cgroup", "cpu,cpuacct", "ours", "cpu.cfs_quota_us")
		m.file("100000\n", "cgroup", "cpu,cpuacct", "ours", "cpu.cfs_period_us")
		m.file("4:cpu,cpuacct:/ours\n5:cpuset:/other\n1:name=systemd:/\n", "proc", "100", "cgroup")
		m.file("throttled_time 999999999999\n", "cgroup", "cpu,cpuacct", "other", "cpu.stat") // of no group of ours
		m.file(fmt.Sprintf("nr_throttled 1\nthrottled_time %d\n", m.throttled), "cgroup", "cpu,cpuacct", "ours", "cpu.stat")
		return
	}
	m.file("max 100000\n", "cgroup", "ours", "inner", "cpu.max")
	if m.quota > 0 {
		m.file("400000 100000\n", "cgroup", "ours", "inner", "cpu.max")
		m.file(fmt.Sprintf("%d 100000\n", m.quota*1000), "cgroup", "ours", "cpu.max")
	}
	m.file("0::/ours/inner\n", "proc", "100", "cgroup")
	m.file("usage_usec 5\nthrottled_usec 0\n", "cgroup", "ours", "inner", "cpu.stat")
	m.file(fmt.Sprintf("usage_usec 5\nthrottled_usec %d\n", m.throttled.Microseconds()), "cgroup", "ours", "cpu.stat")
}

// gone removes a process.
func (m *machine) gone(p *made) {
	m.t.Helper()
	delete(m.processes, p.pid)
	if err := os.RemoveAll(filepath.Join(m.dir, "proc", fmt.Sprint(p.pid))); err != nil {
		m.t.Fatal(err)
	}
}

// open is the machine as the package reads it; two of its three CPUs are ours.
func (m *machine) open() kernel {
	m.t.Helper()
	m.write()
	k, err := openKernel(filepath.Join(m.dir, "proc"), filepath.Join(m.dir, "cgroup"), []int64{0, 1}, m.controller.pid)
	if err != nil {
		m.t.Fatal(err)
	}
	return k
}

// tree is a process tree of the machine.
type tree struct {
	platform.Process
	name string
	pids []int
}

func (p tree) Name() string { return p.name }
func (p tree) PIDs() []int  { return p.pids }
