package collect

import (
	"fmt"
	"os"
	"strings"
)

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
