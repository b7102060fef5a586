package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// SweepMarked ends what dead runs have left without a state file that is known,
// by the mark that their processes carry. A run lives while its guard does.
func SweepMarked(ctx context.Context) (Swept, error) {
	return sweepMarked(ctx, func(token) bool { return true })
}

func sweepMarked(ctx context.Context, of func(token) bool) (Swept, error) {
	var swept Swept
	left, err := abandoned()
	if err != nil {
		return swept, err
	}
	var problems []error
	for _, t := range left {
		if !of(t) {
			continue
		}
		r := remnant{token: t}
		bounded, cancel := context.WithTimeout(ctx, killWait)
		problems = append(problems, r.end(bounded))
		cancel()
		swept.Runs = append(swept.Runs, "without a state file, "+t.String())
		for id := range r.killed {
			swept.Processes = append(swept.Processes, id.PID)
		}
	}
	return swept, errors.Join(problems...)
}

// abandoned are the tokens that processes of this user carry, but no guard.
func abandoned() ([]token, error) {
	table, err := processes()
	if err != nil {
		return nil, err
	}
	guarded := map[token]bool{}
	for pid := range table {
		if m, ok := markOf(pid); ok && ours(pid) {
			guarded[m.token] = guarded[m.token] || isGuard(pid)
		}
	}
	var out []token
	for t, has := range guarded {
		if !has {
			out = append(out, t)
		}
	}
	slices.Sort(out)
	return out, nil
}

// ours reports whether a process is this user's to end.
func ours(pid int) bool {
	var st unix.Stat_t
	uid := os.Geteuid()
	return unix.Stat("/proc/"+strconv.Itoa(pid), &st) == nil && (uid == 0 || int(st.Uid) == uid)
}

// isGuard recognises a guard, or its deputy, by its command.
func isGuard(pid int) bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return err == nil && slices.Contains(strings.Split(string(data), "\x00"), "guard")
}

// hunt kills processes that have just come and carry the mark, for a while. A chain of forks, where each ends at
// once, is always in another id than the one that a look at the whole table has found; the newest id is that of its latest one.
func (r *remnant) hunt(while time.Duration) {
	for end := time.Now().Add(while); time.Now().Before(end); {
		newest := newestPID()
		for pid := newest; pid > newest-3 && pid > 1; pid-- {
			if m, ok := markOf(pid); !ok || m.token != r.token || pid == os.Getpid() {
				continue
			}
			if p, err := readProc(pid); err == nil && p.signal(unix.SIGKILL) == nil {
				r.killed[p.Identity] = true
			}
		}
	}
}

// newestPID is the id that was given last, or 0.
func newestPID() int {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) == 0 {
		return 0
	}
	pid, err := strconv.Atoi(fields[len(fields)-1])
	if err != nil {
		return 0
	}
	return pid
}

// describe is a process for a message: its id, user and name.
func describe(pid int, uid uint32) string {
	name, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		return fmt.Sprintf("process %d of user %d", pid, uid)
	}
	return fmt.Sprintf("process %d (%s) of user %d", pid, strings.TrimSpace(string(name)), uid)
}
