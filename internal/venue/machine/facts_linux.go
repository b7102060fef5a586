package machine

import (
	"os"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"bakeoff/internal/collect"
	"bakeoff/internal/record"
)

// hardware is the model of the processor and the bytes of memory, "unknown" and 0 where the kernel does not say.
func hardware() (cpu string, memory int64) {
	cpu = "unknown"
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return cpu, 0
	}
	if cpus, err := proc.CPUInfo(); err == nil && len(cpus) > 0 && cpus[0].ModelName != "" {
		cpu = cpus[0].ModelName
	}
	if info, err := proc.Meminfo(); err == nil && info.MemTotalBytes != nil {
		memory = int64(*info.MemTotalBytes)
	}
	return cpu, memory
}

// microcode is the version of the processor's microcode; empty where the kernel does not say.
func microcode() string {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return ""
	}
	cpus, err := proc.CPUInfo()
	if err != nil || len(cpus) == 0 {
		return ""
	}
	return cpus[0].Microcode
}

func limits() record.Limits {
	l := record.Limits{
		CPUQuota: collect.Quota(), OpenFiles: hardLimit(unix.RLIMIT_NOFILE), Processes: hardLimit(unix.RLIMIT_NPROC),
		LocalPorts: spaced("/proc/sys/net/ipv4/ip_local_port_range"), Backlog: spaced("/proc/sys/net/core/somaxconn"),
		SMT: spaced("/sys/devices/system/cpu/smt/control"),
	}
	if _, chosen, found := strings.Cut(spaced("/sys/kernel/mm/transparent_hugepage/enabled"), "["); found {
		l.HugePages, _, _ = strings.Cut(chosen, "]")
	}
	return l
}

func hardLimit(of int) uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(of, &l) != nil {
		return 0
	}
	return l.Max
}

// spaced is the text of a file, with one blank between its words; empty where there is none.
func spaced(file string) string {
	data, _ := os.ReadFile(file)
	return strings.Join(strings.Fields(string(data)), " ")
}
