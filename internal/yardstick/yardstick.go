// Package yardstick times a fixed piece of work on every core, again and again, by the CPU clock of the
// thread that does it. That clock stands still while the thread waits, so the time depends on how fast the core
// is at the moment and on nothing else: it shows neighbours on the same physical core or cache, who
// appear in no counter of this machine.
//
// The work is much code on little data (JSON both ways, a regular expression, a template, a request of HTTP parsed,
// compression), as servers do. It never uses more than 1 % of the CPU time of its cores. It judges nothing,
// and corrects nothing. It runs in a process of its own, so that another's garbage collection is not in its times, and
// collects its own between measurements. Its values go through a small file of fixed size, a Board.
package yardstick

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Period is the time from one measurement of a core to its next.
	Period = 250 * time.Millisecond
	// MaxShare is the most CPU time that all measurements may take, as a share of that of their cores.
	MaxShare = 0.01
	// rounds is how often a measurement does the work, after once that is not timed: then the caches hold its code.
	rounds = 12
	// collectEvery is how many measurements leave garbage before it is collected.
	collectEvery = 8
)

// clocks are what a measurement is timed by.
type clocks struct {
	thread  func() time.Duration // CPU time of the calling thread
	process func() time.Duration // CPU time of the whole process
}

// meter measures all cores.
type meter struct {
	clocks
	board  *Board
	cores  int
	began  time.Time
	before time.Duration // CPU time of the process at the start
	taken  atomic.Int64  // measurements
	// collecting keeps the garbage collection out of every measurement.
	collecting sync.RWMutex
}

// Run measures every core that the process may use until ctx is done, and writes the times on a board in the file.
func Run(ctx context.Context, file string) error {
	cpus, err := usable()
	if err != nil {
		return err
	}
	board, err := Create(file, len(cpus))
	if err != nil {
		return err
	}
	debug.SetGCPercent(-1) // the meter collects between measurements
	return errors.Join(measureAll(ctx, board, systemClocks(), func(core int) error { return pin(cpus[core]) }), board.Close())
}

// measureAll measures each core of the board in a goroutine with a thread of its own. Cores are measured one after another.
func measureAll(ctx context.Context, board *Board, by clocks, pin func(core int) error) error {
	m := &meter{clocks: by, board: board, cores: board.cores, began: time.Now(), before: by.process()}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for core := range m.cores {
		all.Go(func() {
			runtime.LockOSThread() // and never unlocked: a pinned thread ends with its goroutine
			err := pin(core)
			if err == nil {
				err = m.core(ctx, core)
			}
			if err != nil {
				cancel(fmt.Errorf("yardstick: core %d: %w", core, err))
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// core measures one core until ctx is done.
func (m *meter) core(ctx context.Context, core int) error {
	work, err := newWork()
	if err != nil {
		return err
	}
	at := m.began.Add(time.Duration(core) * Period / time.Duration(m.cores))
	for number := uint64(1); ; number++ {
		for wait := time.Until(at); wait > 0; wait = time.Until(at) {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(wait):
			}
		}
		took, err := m.measure(work)
		if err != nil {
			return err
		}
		if err := m.board.put(core, number, took); err != nil {
			return err
		}
		at = m.next(at, time.Now(), m.process()-m.before)
	}
}

// measure does the work and returns the CPU time it took.
func (m *meter) measure(w *work) (time.Duration, error) {
	took, err := func() (time.Duration, error) {
		m.collecting.RLock()
		defer m.collecting.RUnlock()
		if err := w.do(); err != nil {
			return 0, err
		}
		began := m.thread()
		for range rounds {
			if err := w.do(); err != nil {
				return 0, err
			}
		}
		return m.thread() - began, nil
	}()
	if m.taken.Add(1)%collectEvery == 0 {
		m.collecting.Lock()
		runtime.GC()
		m.collecting.Unlock()
	}
	return took, err
}

// next is when a core is measured next: a period after it was due, and later where that has passed or all measurements together
// would use more than their share.
func (m *meter) next(due, now time.Time, used time.Duration) time.Time {
	at := due.Add(Period)
	for at.Before(now) {
		at = at.Add(Period)
	}
	allowed := m.began.Add(time.Duration(float64(used) / MaxShare / float64(m.cores)))
	if allowed.After(at) {
		return allowed
	}
	return at
}
