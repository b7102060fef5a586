package collect

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU times in /proc: USER_HZ, 100 on every Linux
// architecture that Go runs on (proc(5)).
const clockTick = time.Second / 100

// usage is what the kernel says of one process.
type usage struct {
	cpu time.Duration // user + system
	rss int64         // bytes
	pss int64         // bytes; 0 where not readable
}

// readUsage reads /proc/PID; ok is false when the process is gone.
func readUsage(pid int, withPSS bool) (u usage, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, false
	}
	// The command name stands in brackets and may hold spaces: fields count from after it.
	end := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 22 {
		return usage{}, false
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	pages, _ := strconv.ParseInt(fields[21], 10, 64)
	u = usage{cpu: time.Duration(user+system) * clockTick, rss: pages * int64(os.Getpagesize())}
	if withPSS {
		u.pss = readPSS(pid)
	}
	return u, true
}

func readPSS(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
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

// readHost returns the machine's busy CPU time, and values of /proc/stat,
// /proc/meminfo and the pressure files where the kernel has them.
func readHost() (busy time.Duration, used int64, values map[string]float64, err error) {
	values = map[string]float64{}
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, nil, fmt.Errorf("collect: %w", err)
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	names := []string{"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"}
	for i, name := range names {
		if i+1 >= len(fields) {
			break
		}
		ticks, _ := strconv.ParseInt(fields[i+1], 10, 64)
		values[name+"_ns"] = float64(time.Duration(ticks) * clockTick)
		if name != "idle" && name != "iowait" && name != "steal" {
			busy += time.Duration(ticks) * clockTick
		}
	}
	used = readMemory(values)
	readPressure(values)
	return busy, used, values, nil
}

// Stolen returns how much processor time the host has taken away from this
// machine since its boot, and how much has passed on all its cores.
func Stolen() (stolen, passed time.Duration, err error) {
	_, _, values, err := readHost()
	if err != nil {
		return 0, 0, err
	}
	for name, v := range values {
		if strings.HasSuffix(name, "_ns") && !strings.HasPrefix(name, "pressure_") {
			passed += time.Duration(v)
		}
	}
	return time.Duration(values["steal_ns"]), passed, nil
}

// readMemory adds swap-in counts and returns the memory in use in bytes.
func readMemory(values map[string]float64) int64 {
	var total, available int64
	data, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "MemTotal:":
			total = kib * 1024
		case "MemAvailable:":
			available = kib * 1024
		}
	}
	data, _ = os.ReadFile("/proc/vmstat")
	for line := range strings.Lines(string(data)) {
		if rest, found := strings.CutPrefix(line, "pswpin "); found {
			values["swap_in_pages"], _ = strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return total - available
}

// readPressure adds the total stall times of the kernel's pressure files,
// in nanoseconds, where they exist.
func readPressure(values map[string]float64) {
	for _, what := range []string{"cpu", "memory", "io"} {
		data, err := os.ReadFile("/proc/pressure/" + what)
		if err != nil {
			continue
		}
		line, _, _ := strings.Cut(string(data), "\n")
		if _, total, found := strings.Cut(line, "total="); found {
			us, _ := strconv.ParseFloat(total, 64)
			values["pressure_"+what+"_ns"] = us * 1000
		}
	}
}

// Connections counts the established TCP connections to the local port that
// each of the processes holds: how clients landed on workers that share one
// listening socket.
func Connections(port int, pids []int) (map[int]int, error) {
	inodes, err := establishedOn(port)
	if err != nil {
		return nil, err
	}
	out := make(map[int]int, len(pids))
	for _, pid := range pids {
		dir := fmt.Sprintf("/proc/%d/fd", pid)
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // ended meanwhile: it holds none
		}
		out[pid] = 0
		for _, e := range entries {
			link, err := os.Readlink(dir + "/" + e.Name())
			if err == nil && inodes[link] {
				out[pid]++
			}
		}
	}
	return out, nil
}

// establishedOn returns the sockets of established connections whose local
// port is port, named as in /proc/PID/fd.
func establishedOn(port int) (map[string]bool, error) {
	out := map[string]bool{}
	suffix := fmt.Sprintf(":%04X", port)
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("collect: %w", err)
		}
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "01" && strings.HasSuffix(f[1], suffix) {
				out["socket:["+f[9]+"]"] = true
			}
		}
	}
	return out, nil
}
