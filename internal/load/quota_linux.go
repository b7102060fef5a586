package load

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cpuQuota is the number of cores that this process's groups allow, 0 without
// a bound, and for how long those that bound it have held it back so far. It
// knows both versions of control groups, where they are usually mounted.
func cpuQuota() (cores float64, throttled time.Duration) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		read, roots := quotaV1, []string{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}
		switch {
		case parts[1] == "":
			read, roots = quotaV2, []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}
		case !strings.Contains(","+parts[1]+",", ",cpu,"):
			continue
		}
		for _, root := range roots {
			for dir := parts[2]; ; dir = filepath.Dir(dir) {
				if n := read(filepath.Join(root, dir)); n > 0 {
					throttled += throttledOf(filepath.Join(root, dir))
					if cores == 0 || n < cores {
						cores = n
					}
				}
				if dir == "/" || dir == "." {
					break
				}
			}
		}
	}
	return cores, throttled
}

// quotaV2 reads cpu.max, "max 100000" or "50000 100000".
func quotaV2(dir string) float64 {
	quota, period, _ := strings.Cut(firstLine(dir, "cpu.max"), " ")
	return ratio(quota, period)
}

func quotaV1(dir string) float64 {
	return ratio(firstLine(dir, "cpu.cfs_quota_us"), firstLine(dir, "cpu.cfs_period_us"))
}

// ratio is 0 where one of the two is not a number above 0.
func ratio(quota, period string) float64 {
	q, err := strconv.ParseFloat(quota, 64)
	if err != nil || q <= 0 {
		return 0
	}
	p, err := strconv.ParseFloat(period, 64)
	if err != nil || p <= 0 {
		return 0
	}
	return q / p
}

// throttledOf reads cpu.stat: microseconds in version 2, nanoseconds in version 1.
func throttledOf(dir string) time.Duration {
	text, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil:
		case name == "throttled_usec":
			return time.Duration(n) * time.Microsecond
		case name == "throttled_time":
			return time.Duration(n)
		}
	}
	return 0
}

func firstLine(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}
