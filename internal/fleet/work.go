package fleet

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/stats"
)

// job is a phase that is ready to start.
type job struct {
	run    int64
	engine load.Engine
	job    load.Job
}

// cached is the last workload made: phases of a trial share it.
type cached struct {
	contract string
	raw      []byte
	workload load.Workload
}

// work carries out orders, one at a time, until ctx ends.
func (a *agent) work(ctx context.Context) {
	var cache cached
	var next *job
	turns := turns{}
	defer turns.drop(func(int64) bool { return true })
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-a.orders:
			switch {
			case o.prepare != nil && o.prepare.Sliced:
				turns.drop(a.calledOff)
				a.join(ctx, turns, o.prepare, &cache)
			case o.prepare != nil:
				next = a.prepare(ctx, o.prepare, &cache)
			case o.slice != nil:
				a.takeTurn(ctx, turns[o.slice.Run], o.slice)
			case o.finish != nil:
				a.leave(ctx, turns, o.finish.Run)
			case next != nil && o.start != nil && o.start.Run == next.run:
				a.perform(ctx, next, o.start.At)
				next = nil
			}
		}
	}
}

// prepare makes the job and says ready, or why not.
func (a *agent) prepare(ctx context.Context, p *prepare, cache *cached) *job {
	made, err := a.build(p, cache)
	r := &ready{Run: p.Run}
	if err != nil {
		r.Error = err.Error()
	}
	a.post(ctx, message{Ready: r})
	return made
}

// build looks up engine and contract and makes the workload, unless it is the last one.
func (a *agent) build(p *prepare, cache *cached) (*job, error) {
	engine := a.options.Engines[p.Engine]
	if engine == nil {
		return nil, fmt.Errorf("there is no engine %q", p.Engine)
	}
	if cache.workload == nil || cache.contract != p.Contract || !bytes.Equal(cache.raw, p.Workload) {
		construct := a.options.Workloads[p.Contract]
		if construct == nil {
			return nil, fmt.Errorf("there is no contract %q", p.Contract)
		}
		workload, err := construct(p.Workload)
		if err != nil {
			return nil, fmt.Errorf("contract %q: %w", p.Contract, err)
		}
		*cache = cached{contract: p.Contract, raw: p.Workload, workload: workload}
	}
	body, err := p.BodyFile.read()
	if err != nil {
		return nil, err
	}
	if body == nil {
		body = p.Body
	}
	return &job{run: p.Run, engine: engine, job: load.Job{
		URLs: p.URLs, Dial: p.Dial, Header: p.Header, TLS: p.TLS, Method: p.Method, Body: body, Phase: p.Phase, Share: p.Share, Seed: p.Seed, Workload: cache.workload,
	}}, nil
}

// perform runs the engine and says what it did, unless the lease has run out,
// which ends the agent. A job called off before its start is done at once.
func (a *agent) perform(ctx context.Context, j *job, at int64) {
	running, halt := context.WithCancel(ctx)
	defer halt()
	a.begin(j.run, halt)
	defer a.begin(j.run, nil)

	end := &done{Run: j.run}
	j.job.Start = a.clock.local(at)
	due, some := j.job.FirstDue()
	if !some {
		due = -1
	}
	timed := a.watch(running, j.run, &j.job)
	err := j.engine.Run(running, j.job, func(w stats.Window) {
		a.sequence++
		end.Windows++
		end.Books.Add(w.Books)
		a.post(ctx, message{Window: &window{Run: j.run, Epoch: a.epoch, Sequence: a.sequence, Window: w}})
	})
	if !a.lease.valid() {
		return // the permission ended while the engine ran: its books are no measurement
	}
	if err != nil && running.Err() == nil {
		end.Error = err.Error()
	}
	halt()
	end.Timing = timed()
	end.Timing.Due = due
	end.Timing.ClockShift, end.Timing.ClockError = a.clock.shift()
	a.post(ctx, message{Done: end})
}

// begin says how to end the phase under way; a phase called off before is ended at once.
func (a *agent) begin(run int64, halt context.CancelFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.run, a.halt = run, halt
	switch {
	case halt == nil:
		a.sending.Store(0)
	case a.called >= run:
		halt()
	default:
		a.sending.Store(run)
	}
}

// watch times the common start: when this process' clock woke for it, and
// when the job's first request was permitted. It also ties the permission to
// send to the lease and to the phase not being called off. The function returned waits until the times are known, at the latest when ctx ends.
func (a *agent) watch(ctx context.Context, run int64, j *load.Job) func() timing {
	begin := j.Start
	var first atomic.Int64
	first.Store(-1)
	j.Permit = func() bool {
		if a.sending.Load() != run || !a.lease.valid() {
			return false
		}
		if first.Load() < 0 {
			first.CompareAndSwap(-1, max(0, int64(time.Since(begin))))
		}
		return true
	}
	woke := make(chan time.Duration, 1)
	go func() {
		timer := time.NewTimer(time.Until(begin))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		woke <- time.Since(begin)
	}()
	return func() timing { return timing{Began: <-woke, First: time.Duration(first.Load())} }
}
