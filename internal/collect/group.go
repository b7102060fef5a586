package collect

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/record"
)

// group is what the control groups of a process say that are not the controller's too.
type group struct {
	version   int           // 1 or 2 of the group that has the CPU time; 0: none has
	cpu       time.Duration // used by the group
	throttled time.Duration // for which quotas held it back
	held      bool          // throttled is known
	quota     float64       // the smallest in cores; 0: none
}

// hierarchies are the control groups of a process, by the controllers of their hierarchy: "" is version 2.
func (k kernel) hierarchies(pid int) map[string]string {
	text, err := os.ReadFile(filepath.Join(k.proc, strconv.Itoa(pid), "cgroup"))
	if err != nil {
		return nil
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 {
			out[parts[1]] = parts[2]
		}
	}
	return out
}

// group reads the groups of the first process of a tree that the controller is not in.
func (k kernel) group(tree []int) (g group) {
	ours := k.hierarchies(k.self)
	for controllers, path := range k.hierarchies(tree[0]) {
		for _, dir := range apart(path, ours[controllers]) {
			for _, root := range mounts(controllers) {
				here := filepath.Join(k.cgroup, root, dir)
				g.read(here, dir == path && only(here, tree), controllers == "")
			}
		}
	}
	return g
}

// only reports whether a group has no other processes than these: then its account is theirs.
func only(dir string, tree []int) bool {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return false
	}
	for _, field := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(field); err != nil || !slices.Contains(tree, pid) {
			return false
		}
	}
	return true
}

// mounts are the folders in which a hierarchy is usually found: one of version 1 in that of its controllers.
func mounts(controllers string) []string {
	if controllers == "" {
		return []string{"", "unified"}
	}
	return []string{controllers}
}

// apart are the group and those above it, up to the first that is above the controller's too.
func apart(path, ours string) []string {
	var out []string
	for dir := path; dir != "/" && dir != "." && dir != ours && !strings.HasPrefix(ours, dir+"/"); dir = filepath.Dir(dir) {
		out = append(out, dir)
	}
	return out
}

// read adds what one folder says; its CPU time only where that is the tree's own, the accounts of version 2 before others.
func (g *group) read(dir string, own, unified bool) {
	if used, ok := usedIn(dir, unified); ok && own && (g.version == 0 || unified) {
		g.cpu, g.version = used, 1
		if unified {
			g.version = 2
		}
	}
	if one, ok := throttledIn(dir); ok {
		g.throttled, g.held = g.throttled+one, true
	}
	if n := quotaIn(dir); n > 0 && (g.quota == 0 || n < g.quota) {
		g.quota = n
	}
}

// usedIn is the CPU time of a group: in cpu.stat of version 2 in microseconds, in cpuacct.usage of version 1 in nanoseconds.
func usedIn(dir string, unified bool) (time.Duration, bool) {
	if !unified {
		text, err := os.ReadFile(filepath.Join(dir, "cpuacct.usage"))
		if err != nil {
			return 0, false
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		return time.Duration(n), err == nil
	}
	text, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "usage_usec "); found {
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return time.Duration(n) * time.Microsecond, err == nil
		}
	}
	return 0, false
}

// into adds the readings to a line.
func (g group) into(line *record.Series) {
	if g.version > 0 {
		set(line, record.GroupVersion, float64(g.version))
		set(line, record.GroupCPUNS, float64(g.cpu))
	}
	if g.quota > 0 {
		set(line, record.QuotaCores, g.quota)
		set(line, record.ThrottledNS, float64(g.throttled))
	}
}

// set sets a value of a line.
func set(line *record.Series, name string, value float64) {
	if line.Values == nil {
		line.Values = map[string]float64{}
	}
	line.Values[name] = value
}
