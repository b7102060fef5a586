package cluster

import (
	"context"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"bakeoff/internal/collect"
	"bakeoff/internal/platform"
)

// member is a pod of the run as the series and the clocks know it. Process ids of pods are not unique in a cluster, so it has a
// number of its own in their place.
type member struct {
	platform.Pod
	asked  samplers
	name   string
	number int
	used   atomic.Int64 // processor time at the last look, in nanoseconds
}

// firstNumber is beyond the ids that processes have.
const firstNumber = 1 << 24

func (m *member) Name() string { return m.name }
func (m *member) PID() int     { return m.number }

// PIDs is its number while it lives.
func (m *member) PIDs() []int {
	select {
	case <-m.Done():
		return nil
	default:
		return []int{m.number}
	}
}

// self lets a process of the run be known as a member.
func (m *member) self() *member { return m }

// clock is the processor time that the main container has used, or had at the last look where it cannot be read now.
func (m *member) clock(ctx context.Context) time.Duration {
	if c, err := m.asked.clock(ctx, m.Pod); err == nil && c.Unmeasured == "" {
		m.used.Store(c.CPUNS)
	}
	return time.Duration(m.used.Load())
}

// inside is a pod with the process ids that its own containers see, and its log has.
type inside struct{ *member }

// PID is the first process of the main container; 0 where it cannot be seen.
func (p inside) PID() int {
	if pids := p.PIDs(); len(pids) > 0 {
		return pids[0]
	}
	return 0
}

func (p inside) PIDs() []int {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	usage, err := p.asked.usage(ctx, p.Pod, wanted{})
	if err != nil {
		return nil
	}
	out := make([]int, 0, len(usage.Processes))
	for _, one := range usage.Processes {
		out = append(out, one.PID)
	}
	slices.Sort(out)
	return out
}

// members are those of a run by number.
type members struct {
	mu       sync.Mutex
	byNumber map[int]*member
	last     int
}

func (all *members) add(p platform.Pod, name string, asked samplers) *member {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.byNumber == nil {
		all.byNumber, all.last = map[int]*member{}, firstNumber
	}
	all.last++
	m := &member{Pod: p, name: name, number: all.last, asked: asked}
	all.byNumber[m.number] = m
	return m
}

func (all *members) drop(gone ...*member) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, m := range gone {
		if m != nil {
			delete(all.byNumber, m.number)
		}
	}
}

// of are the members with those numbers.
func (all *members) of(numbers []int) (out []*member) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, n := range numbers {
		if m := all.byNumber[n]; m != nil {
			out = append(out, m)
		}
	}
	return out
}

// clockWithin bounds one look at clocks: it is made between two slices of load.
const clockWithin = time.Second

// clock is the processor time of all members with those numbers, and of the processes of the controller's own pod among them.
func (all *members) clock(numbers []int) time.Duration {
	ctx, cancel := context.WithTimeout(context.Background(), clockWithin)
	defer cancel()
	var sum atomic.Int64
	var wait sync.WaitGroup
	for _, m := range all.of(numbers) {
		wait.Go(func() { sum.Add(int64(m.clock(ctx))) })
	}
	if slices.Contains(numbers, os.Getpid()) {
		own, _ := ownUse()
		sum.Add(int64(own))
	}
	sum.Add(int64(collect.Clock(inOwnPod(numbers))))
	wait.Wait()
	return time.Duration(sum.Load())
}

// inOwnPod are the ids of other processes next to this one: those of members are greater.
func inOwnPod(numbers []int) []int {
	return slices.DeleteFunc(slices.Clone(numbers), func(n int) bool { return n > firstNumber || n == os.Getpid() })
}

// ownUse is the processor time of this process, and the most memory that it has had.
func ownUse() (used time.Duration, most int64) {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0, 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), u.Maxrss << 10
}
