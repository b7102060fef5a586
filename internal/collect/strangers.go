package collect

import (
	"cmp"
	"slices"
	"time"

	"bakeoff/internal/record"
)

// namedStrangers is how many of the busiest strangers are named.
const namedStrangers = 3

// crowd is every process that can be seen at one moment, by process id.
type crowd map[int]process

func (k kernel) crowd() crowd {
	all, err := k.files.AllProcs()
	if err != nil {
		return nil
	}
	out := crowd{}
	for _, one := range all {
		if p, ok := k.process(one.PID); ok {
			out[p.pid] = p
		}
	}
	return out
}

// kernelThreads is the CPU time of the kernel's own threads.
func (c crowd) kernelThreads() (sum time.Duration) {
	for _, p := range c {
		if p.kernel {
			sum += p.cpu
		}
	}
	return sum
}

// strangers are the processes that are neither the kernel's, nor among own, nor descend from the
// controller.
func (c crowd) strangers(controller int, own map[int]bool) crowd {
	out := crowd{}
	for pid, p := range c {
		if !p.kernel && !own[pid] && !c.descends(p, controller) {
			out[pid] = p
		}
	}
	return out
}

// descends reports whether p is the process of that id or one below it.
func (c crowd) descends(p process, from int) bool {
	for range len(c) {
		if p.pid == from {
			return true
		}
		up, ok := c[p.parent]
		if !ok {
			return false
		}
		p = up
	}
	return false
}

// since is what each process of the crowd has used since an earlier look, and all together; the
// busiest come first, those that used nothing are left out.
func (c crowd) since(earlier crowd) (busiest []record.Stranger, sum time.Duration) {
	ended := c.ended(earlier)
	for pid, p := range c {
		used := p.cpu - ended[pid]
		if was, ok := earlier[pid]; ok && was.started == p.started {
			used -= was.cpu
		}
		if used <= 0 {
			continue
		}
		sum += used
		busiest = append(busiest, record.Stranger{Name: p.name, PID: pid, CPUNS: int64(used)})
	}
	slices.SortFunc(busiest, func(a, b record.Stranger) int {
		return cmp.Or(cmp.Compare(b.CPUNS, a.CPUNS), cmp.Compare(a.PID, b.PID))
	})
	return busiest[:min(len(busiest), namedStrangers)], sum
}

// ended is what processes had used at the earlier look that are gone by now, by the living process
// above them: its own time has grown by that, too.
func (c crowd) ended(earlier crowd) map[int]time.Duration {
	out := map[int]time.Duration{}
	gone := func(p process) bool {
		now, ok := c[p.pid]
		return !ok || now.started != p.started
	}
	for _, p := range earlier {
		if !gone(p) {
			continue
		}
		up, ok := earlier[p.parent]
		for range len(earlier) {
			if !ok || !gone(up) {
				break
			}
			up, ok = earlier[up.parent]
		}
		if ok {
			out[up.pid] += p.cpu
		}
	}
	return out
}
