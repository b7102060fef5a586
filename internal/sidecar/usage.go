package sidecar

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/target"
)

// Usage is one reading.
type Usage struct {
	At        time.Time `json:"at"`
	BootID    string    `json:"boot_id"` // of the node's kernel: equal ones are one machine
	Kernel    string    `json:"kernel"`
	CPUs      int       `json:"cpus"` // that the node has
	Host      *Host     `json:"host,omitempty"`
	Group     Group     `json:"group"`
	Processes []Process `json:"processes"`
}

// Host is the node under the pod.
type Host struct {
	CPU         string             `json:"cpu"` // model
	MemoryBytes int64              `json:"memory_bytes"`
	BusyNS      int64              `json:"busy_ns"` // of all its CPUs since boot
	UsedBytes   int64              `json:"used_bytes"`
	Values      map[string]float64 `json:"values"` // as of the host in series.jsonl
}

// Clock is the processor time of the main container.
type Clock struct {
	CPUNS      int64  `json:"cpu_ns"`
	Unmeasured string `json:"unmeasured,omitempty"` // why the figure means nothing
}

// Group is what the main container has used since it was started.
type Group struct {
	CPUNS       int64 `json:"cpu_ns"`
	Periods     int64 `json:"periods"`      // of its limit, while it had work
	Throttled   int64 `json:"throttled"`    // periods in which the limit was reached
	ThrottledNS int64 `json:"throttled_ns"` // time in which it was held back
	MemoryBytes int64 `json:"memory_bytes"` // with the pages of files that it has read
	// Unmeasured says why, where the figures mean nothing.
	Unmeasured string `json:"unmeasured,omitempty"`
}

// Process is one of the main container.
type Process struct {
	PID      int    `json:"pid"` // as its own log says it: the pod's containers share their processes
	Parent   int    `json:"parent"`
	Command  string `json:"command"`
	CPUNS    int64  `json:"cpu_ns"`
	RSSBytes int64  `json:"rss_bytes"`
	// PSSBytes is its memory with shared pages divided among their users, as of at most 10 s ago; 0: not readable.
	PSSBytes int64 `json:"pss_bytes,omitempty"`
	// Connections are those that it holds to the port that was asked for; nil: none was, or they cannot be read.
	Connections *int `json:"connections,omitempty"`
}

// Image is what the main container's image says of itself.
type Image struct {
	Recipe   string            `json:"recipe"`
	Digest   string            `json:"digest"` // of the recipe's folder, calculated now
	Versions map[string]string `json:"versions"`
}

// Usage reads all of it once; port 0 asks for no connections, and host for the node, too.
func (p Pod) Usage(port int, host bool) (Usage, error) {
	processes, err := p.processes()
	if err != nil {
		return Usage{}, fmt.Errorf("sidecar: %w", err)
	}
	u := Usage{
		At: time.Now(), CPUs: runtime.NumCPU(), Processes: processes, Group: p.group(processes[0].PID),
		BootID: p.text("sys/kernel/random/boot_id"), Kernel: p.text("sys/kernel/osrelease"),
	}
	if port > 0 && p.Connections != nil {
		p.connect(u.Processes, port)
	}
	if host && p.Host != nil {
		if u.Host, err = p.host(); err != nil {
			return Usage{}, fmt.Errorf("sidecar: %w", err)
		}
	}
	return u, nil
}

// Clock reads the processor time alone.
func (p Pod) Clock() (Clock, error) {
	processes, err := p.processes()
	if err != nil {
		return Clock{}, fmt.Errorf("sidecar: %w", err)
	}
	g := p.group(processes[0].PID)
	return Clock{CPUNS: g.CPUNS, Unmeasured: g.Unmeasured}, nil
}

// host reads the node.
func (p Pod) host() (*Host, error) {
	line, err := p.Host()
	if err != nil {
		return nil, err
	}
	memory := strings.Fields(p.field("meminfo", "MemTotal"))
	h := &Host{CPU: p.field("cpuinfo", "model name"), BusyNS: line.CPUNS, UsedBytes: line.RSSBytes, Values: line.Values}
	if len(memory) > 0 {
		kib, _ := strconv.ParseInt(memory[0], 10, 64) // the kernel writes numbers
		h.MemoryBytes = kib << 10
	}
	return h, nil
}

// field is what the first line of that name in a file of /proc says.
func (p Pod) field(file, name string) string {
	for line := range strings.Lines(p.text(file)) {
		key, value, found := strings.Cut(line, ":")
		if found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// connect notes the connections of each process.
func (p Pod) connect(processes []Process, port int) {
	var pids []int
	for _, one := range processes {
		pids = append(pids, one.PID)
	}
	held, err := p.Connections(port, pids)
	if err != nil {
		return
	}
	for i := range processes {
		if n, known := held[processes[i].PID]; known {
			processes[i].Connections = &n
		}
	}
}

// text is a file of /proc without its end of line; empty where it cannot be read.
func (p Pod) text(name string) string {
	data, err := os.ReadFile(filepath.Join(p.Proc, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// processes are those of the main container, by number: not those of our own container, and not the first of the
// pod, which holds what all containers share.
func (p Pod) processes() ([]Process, error) {
	own := p.groupOf(p.Self)
	if own == "" {
		return nil, errors.New("the control group of this program cannot be read")
	}
	entries, err := os.ReadDir(p.Proc)
	if err != nil {
		return nil, err
	}
	pause := p.groupOf(1)
	var out []Process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == 1 {
			continue
		}
		group := p.groupOf(pid)
		if group == "" || group == own || group == pause {
			continue
		}
		if one, ok := p.process(pid); ok {
			out = append(out, one)
		}
	}
	if len(out) == 0 {
		return nil, ErrNoContainer
	}
	slices.SortFunc(out, func(a, b Process) int { return a.PID - b.PID })
	return out, nil
}

// groupOf is the control group of a process, by which containers differ: that of the processor's time, or the only one
// of version 2. Empty: the process has ended.
func (p Pod) groupOf(pid int) string {
	only := ""
	for line := range strings.Lines(p.text(fmt.Sprintf("%d/cgroup", pid))) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(parts) != 3:
		case slices.Contains(strings.Split(parts[1], ","), "cpuacct"):
			return parts[2]
		case parts[1] == "":
			only = parts[2]
		}
	}
	return only
}

// Fields of /proc/PID/stat after the command, from the state as 0; and how long a tick is on every Linux.
const (
	statParent, statUser, statSystem, statPages = 1, 11, 12, 21

	tick = 10 * time.Millisecond
)

func (p Pod) process(pid int) (Process, bool) {
	text := p.text(fmt.Sprintf("%d/stat", pid))
	begin, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if begin < 0 || end < begin {
		return Process{}, false
	}
	fields := strings.Fields(text[end+1:])
	if len(fields) <= statPages || fields[0] == "Z" {
		return Process{}, false
	}
	number := func(at int) int64 {
		n, _ := strconv.ParseInt(fields[at], 10, 64) // the kernel writes numbers
		return n
	}
	return Process{
		PID: pid, Parent: int(number(statParent)), Command: text[begin+1 : end], CPUNS: (number(statUser) + number(statSystem)) * int64(tick),
		RSSBytes: number(statPages) * int64(os.Getpagesize()),
	}, true
}

// group reads the files of the main container's control group as that container sees them.
func (p Pod) group(pid int) Group {
	root := fmt.Sprintf("%d/root/sys/fs/cgroup", pid)
	if _, err := os.Stat(filepath.Join(p.Proc, root, "cgroup.controllers")); err == nil {
		return p.groupV2(root)
	}
	var g Group
	stat := p.numbers(root+"/cpu/cpu.stat", root+"/cpu,cpuacct/cpu.stat")
	g.Periods, g.Throttled, g.ThrottledNS = stat["nr_periods"], stat["nr_throttled"], stat["throttled_time"]
	var known [2]bool
	g.CPUNS, known[0] = p.number(root+"/cpuacct/cpuacct.usage", root+"/cpu,cpuacct/cpuacct.usage")
	g.MemoryBytes, known[1] = p.number(root + "/memory/memory.usage_in_bytes")
	if known != [2]bool{true, true} {
		return Group{Unmeasured: "the control group of the container cannot be read: does it run as another user?"}
	}
	return g
}

func (p Pod) groupV2(root string) Group {
	stat := p.numbers(root + "/cpu.stat")
	memory, known := p.number(root + "/memory.current")
	if _, timed := stat["usage_usec"]; !timed || !known {
		return Group{Unmeasured: "the control group of the container has no accounts of processor and memory"}
	}
	return Group{
		CPUNS: stat["usage_usec"] * 1000, Periods: stat["nr_periods"], Throttled: stat["nr_throttled"],
		ThrottledNS: stat["throttled_usec"] * 1000, MemoryBytes: memory,
	}
}

// number is that of the first file there is.
func (p Pod) number(names ...string) (int64, bool) {
	for _, name := range names {
		if n, err := strconv.ParseInt(p.text(name), 10, 64); err == nil {
			return n, true
		}
	}
	return 0, false
}

// numbers are those of the first file there is, by name.
func (p Pod) numbers(names ...string) map[string]int64 {
	out := map[string]int64{}
	for _, name := range names {
		for line := range strings.Lines(p.text(name)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				out[key] = n
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return out
}

// Image reads the recipe in the main container's image, and what was installed with it.
func (p Pod) Image() (Image, error) {
	processes, err := p.processes()
	if err != nil {
		return Image{}, fmt.Errorf("sidecar: %w", err)
	}
	root := filepath.Join(p.Proc, strconv.Itoa(processes[0].PID), "root")
	r, err := target.LoadFolder(filepath.Join(root, target.ImageRecipe), "")
	if err != nil {
		return Image{}, fmt.Errorf("sidecar: the image: %w", err)
	}
	image := Image{Recipe: r.Name, Digest: r.Digest()}
	data, err := os.ReadFile(filepath.Join(root, target.ImageVersions))
	if err == nil {
		err = json.Unmarshal(data, &image.Versions)
	}
	if err != nil {
		return Image{}, fmt.Errorf("sidecar: the image's versions: %w", err)
	}
	return image, nil
}
