package local

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A guest gets a control group (version 2) of its own where the guard may make one. Whatever a process does to its parents, its
// session, its environment and its limits, it stays in the group in which it was born: leaving needs the right to write
// to the files of both groups, which an account of its own does not have.

// groups are those of one run: a folder with one group for each guest, numbered as its tree. The zero value: there are none.
type groups struct{ dir string }

// groupPrefix begins the name of a run's folder of groups; the guard's process id and the token follow.
const groupPrefix = "bakeoff-"

// newGroups makes the folder in the guard's own group; none where that cannot be had, or would change what is measured. It
// removes what guards that are gone left.
func newGroups(t token) groups {
	own, err := ownGroup()
	if err != nil {
		return groups{}
	}
	sweepGroups(own)
	g := groups{filepath.Join(own, fmt.Sprintf("%s%d-%v", groupPrefix, os.Getpid(), t))}
	if os.Mkdir(g.dir, 0o755) != nil {
		return groups{}
	}
	if weighs(g.dir) {
		g.remove()
		return groups{}
	}
	return g
}

// weighs reports whether the kernel gives a group its processor time as if it were one process. Then targets in it would have
// another share of the cores than they have next to the database and the agents without a group.
func weighs(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "cpu.weight"))
	return err == nil
}

// sweepGroups ends what lives in the groups of guards that are gone, and removes them.
func sweepGroups(own string) {
	found, _ := filepath.Glob(filepath.Join(own, groupPrefix+"*"))
	for _, dir := range found {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), groupPrefix), "-")
		if _, err := os.Stat("/proc/" + pid); errors.Is(err, os.ErrNotExist) && !foreign(dir) {
			groups{dir}.clear(time.Second)
		}
	}
}

// foreign reports whether a process in a group, or in one below it, is of another process id namespace: then so may the guard
// be, and it may live.
func foreign(dir string) bool {
	data, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if slices.Contains(strings.Fields(string(data)), "0") {
		return true
	}
	entries, _ := os.ReadDir(dir)
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.IsDir() && foreign(filepath.Join(dir, e.Name())) })
}

// clear ends what lives in the groups and removes them, within a time.
func (g groups) clear(within time.Duration) {
	for end := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
		g.killAll()
		g.remove()
		if _, err := os.Stat(g.dir); err != nil || time.Now().After(end) {
			return
		}
	}
}

// ownGroup is the folder of the group that this process is in.
func ownGroup() (string, error) {
	mount, root, err := groupMount()
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	path, ok := unifiedPath(data)
	if !ok {
		return "", errors.New("this process is in no control group of version 2")
	}
	if root != "/" {
		if path, ok = strings.CutPrefix(path, root); !ok {
			return "", fmt.Errorf("the control group %s is not under %s", path, root)
		}
	}
	return filepath.Join(mount, path), nil
}

// unifiedPath is the group of version 2 in the text of /proc/PID/cgroup.
func unifiedPath(data []byte) (string, bool) {
	for line := range strings.SplitSeq(string(data), "\n") {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return path, true
		}
	}
	return "", false
}

// groupMount is where the groups of version 2 are mounted, and which of them is the mount's root.
func groupMount() (mount, root string, err error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", "", err
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		if f := strings.Fields(before); len(f) > 4 && strings.HasPrefix(after, "cgroup2 ") {
			return f[4], f[3], nil
		}
	}
	return "", "", errors.New("no control groups of version 2 are mounted")
}

// open makes the group of a tree and opens it, for a process to be born in; -1: there is none.
func (g groups) open(number int) int {
	if g.dir == "" || os.Mkdir(g.of(number), 0o755) != nil {
		return -1
	}
	fd, err := unix.Open(g.of(number), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		g.drop(number)
		return -1
	}
	return fd
}

func (g groups) of(number int) string { return filepath.Join(g.dir, strconv.Itoa(number)) }

// numberOf is the tree in whose group a process is.
func (g groups) numberOf(pid int) (int, bool) {
	if g.dir == "" {
		return 0, false
	}
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return 0, false
	}
	path, ok := unifiedPath(data)
	if !ok {
		return 0, false
	}
	_, rest, ok := strings.Cut(path, "/"+filepath.Base(g.dir)+"/")
	if !ok {
		return 0, false
	}
	first, _, _ := strings.Cut(rest, "/")
	number, err := strconv.Atoi(first)
	return number, err == nil
}

// kill ends every process in a tree's group at once, also those that are being forked; kernels before 5.14 cannot.
func (g groups) kill(number int) {
	if g.dir != "" {
		_ = os.WriteFile(filepath.Join(g.of(number), "cgroup.kill"), []byte("1"), 0)
	}
}

// killAll is kill for all trees.
func (g groups) killAll() {
	if g.dir != "" {
		_ = os.WriteFile(filepath.Join(g.dir, "cgroup.kill"), []byte("1"), 0)
	}
}

// drop removes a tree's group with those that were made below it. Nothing is in it any more.
func (g groups) drop(number int) {
	if g.dir != "" {
		removeGroup(g.of(number))
	}
}

// remove removes the folder.
func (g groups) remove() {
	if g.dir != "" {
		removeGroup(g.dir)
	}
}

// removeGroup removes a group and those below it, the lowest first: its files are the kernel's.
func removeGroup(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if entry.IsDir() {
			removeGroup(filepath.Join(dir, entry.Name()))
		}
	}
	_ = os.Remove(dir)
}
