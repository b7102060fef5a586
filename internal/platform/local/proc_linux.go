package local

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// proc is one line of the process table.
type proc struct {
	Identity
	parent  int
	session int
	state   byte
}

func (p proc) dead() bool { return p.state == 'Z' || p.state == 'X' }

// readProc reads /proc/PID/stat. The command name in field 2 may hold spaces
// and parentheses, so the fields are counted from the last parenthesis.
func readProc(pid int) (proc, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return proc{}, err
	}
	f := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(f) < 20 {
		return proc{}, fmt.Errorf("local: /proc/%d/stat: %d fields", pid, len(f))
	}
	p := proc{Identity: Identity{PID: pid}, state: f[0][0]}
	var errs [3]error
	p.parent, errs[0] = strconv.Atoi(f[1])
	p.session, errs[1] = strconv.Atoi(f[3])
	p.Start, errs[2] = strconv.ParseUint(f[19], 10, 64)
	return p, errors.Join(errs[:]...)
}

// identify returns the identity of a process that exists.
func identify(pid int) (Identity, error) {
	p, err := readProc(pid)
	return p.Identity, err
}

// alive reports whether the very process exists and is not a zombie.
func (id Identity) alive() bool {
	p, err := readProc(id.PID)
	return err == nil && p.Start == id.Start && !p.dead()
}

// signal signals the very process; another one that has taken over its id is
// left alone, since the start time is compared after the id is pinned.
func (id Identity) signal(sig unix.Signal) error {
	fd, err := unix.PidfdOpen(id.PID, 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return id.signalUnpinned(sig)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if p, err := readProc(id.PID); err != nil || p.Start != id.Start {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}

func (id Identity) signalUnpinned(sig unix.Signal) error {
	if p, err := readProc(id.PID); err != nil || p.Start != id.Start {
		return unix.ESRCH
	}
	return unix.Kill(id.PID, sig)
}

// processes is the process table by id, taken in one pass over /proc.
func processes() (map[int]proc, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("local: process table: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("local: process table: %w", err)
	}
	table := make(map[int]proc, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, err := readProc(pid); err == nil { // else it has just ended
			table[pid] = p
		}
	}
	return table, nil
}

// descendants are the processes below root in the table, root excluded.
func descendants(table map[int]proc, root int) []proc {
	children := make(map[int][]int)
	for pid, p := range table {
		children[p.parent] = append(children[p.parent], pid)
	}
	var found []proc
	for next := children[root]; len(next) > 0; {
		pid := next[0]
		next = next[1:]
		if pid == root {
			continue
		}
		found = append(found, table[pid])
		next = append(next, children[pid]...)
	}
	return found
}

// pids are the process ids in ascending order.
func pids(list []proc) []int {
	ids := make([]int, len(list))
	for i, p := range list {
		ids[i] = p.PID
	}
	slices.Sort(ids)
	return ids
}
