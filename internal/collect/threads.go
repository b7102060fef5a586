package collect

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// threads are the busiest thread of each process, added up from sample to sample: a server that does all of its work in one is at
// its limit at one core, whatever the machine has.
type threads struct {
	last map[int]map[string]ran // process, thread
	sum  map[int]ran            // process
}

// ran is for how long a thread ran, and was ready and had no core, in nanoseconds.
type ran struct{ ran, waited int64 }

// add reads the threads of a process and returns its sum; false where they cannot be read.
func (t *threads) add(k kernel, pid int) (ran, bool) {
	now := k.threads(pid)
	if now == nil {
		return ran{}, false
	}
	if t.last == nil {
		t.last, t.sum = map[int]map[string]ran{}, map[int]ran{}
	}
	var busiest ran
	for id, one := range now {
		before := t.last[pid][id] // of a new thread: nothing
		since := ran{one.ran - before.ran, one.waited - before.waited}
		if since.ran > busiest.ran {
			busiest = since
		}
	}
	if t.last[pid] == nil {
		busiest = ran{} // nobody knows when it ran
	}
	t.last[pid] = now
	sum := t.sum[pid]
	sum.ran, sum.waited = sum.ran+busiest.ran, sum.waited+max(0, busiest.waited)
	t.sum[pid] = sum
	return sum, true
}

// threads are those of a process, by id (/proc/PID/task/TID/schedstat: time on a core and time ready for one, in ns, and a
// count; Documentation/scheduler/sched-stats.rst).
func (k kernel) threads(pid int) map[string]ran {
	dir := filepath.Join(k.proc, strconv.Itoa(pid), "task")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	out := map[string]ran{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name(), "schedstat"))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(text))
		if len(fields) != 3 {
			continue
		}
		on, err1 := strconv.ParseInt(fields[0], 10, 64)
		ready, err2 := strconv.ParseInt(fields[1], 10, 64)
		if err1 == nil && err2 == nil {
			out[e.Name()] = ran{on, ready}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
