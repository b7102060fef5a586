package collect

import (
	"fmt"
	"os"
	"strings"
)

// Connections counts the established TCP connections to the local port that
// each of the processes holds: how clients landed on workers that share one
// listening socket. Those that watcher has opened, a process that sends no load, are left out; 0: there is none.
func Connections(port int, pids []int, watcher int) (map[int]int, error) {
	inodes, err := establishedOn(port, watcher)
	if err != nil {
		return nil, err
	}
	out := make(map[int]int, len(pids))
	for _, pid := range pids {
		open := links(pid)
		if open == nil {
			continue // ended since: it holds none
		}
		out[pid] = 0
		for _, link := range open {
			if inodes[link] {
				out[pid]++
			}
		}
	}
	return out, nil
}

// links are what a process has open; nil where it has ended.
func links(pid int) []string {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	out := make([]string, 0, len(entries))
	for _, e := range entries {
		if link, err := os.Readlink(dir + "/" + e.Name()); err == nil {
			out = append(out, link)
		}
	}
	return out
}

// establishedOn returns the sockets of established connections whose local
// port is port, named as in /proc/PID/fd.
func establishedOn(port, watcher int) (map[string]bool, error) {
	out := map[string]bool{}
	suffix := fmt.Sprintf(":%04X", port)
	own := map[string]bool{}
	for _, link := range links(watcher) {
		own[link] = true
	}
	type pair struct{ local, remote string }
	sockets, mine := map[pair]string{}, map[pair]bool{}
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
			switch {
			case len(f) < 10 || f[3] != "01":
			case strings.HasSuffix(f[1], suffix):
				sockets[pair{f[1], f[2]}] = "socket:[" + f[9] + "]"
			case strings.HasSuffix(f[2], suffix) && own["socket:["+f[9]+"]"]:
				mine[pair{f[2], f[1]}] = true
			}
		}
	}
	for ends, socket := range sockets {
		if !mine[ends] {
			out[socket] = true
		}
	}
	return out, nil
}
