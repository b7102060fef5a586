package machine

import "github.com/prometheus/procfs"

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
