package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"bakeoff/internal/record"
)

// Machine reads what figures depend on; what the machine does not say is "unknown".
func (v *Venue) Machine() record.Machine {
	m := record.Machine{
		Cores: runtime.NumCPU(), OS: osName(),
		Governor: firstLine("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
		Virtual:  firstLine("/sys/class/dmi/id/product_name"),
	}
	m.CPU, m.MemoryBytes = hardware()
	m.Hostname, _ = os.Hostname()
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	m.Microcode, m.Limits = microcode(), limits()
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%d|%d|%s|%s|%s|%v|%s", m.CPU, m.Cores, m.MemoryBytes>>30, m.Kernel, m.OS, m.Microcode, m.Limits.CPUQuota, m.Limits.SMT))
	m.Fingerprint = hex.EncodeToString(sum[:8])
	return m
}

func firstLine(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}

func osName() string {
	data, _ := os.ReadFile("/etc/os-release")
	for line := range strings.Lines(string(data)) {
		if rest, found := strings.CutPrefix(line, "PRETTY_NAME="); found {
			return strings.Trim(strings.TrimSpace(rest), `"`)
		}
	}
	return "unknown"
}
