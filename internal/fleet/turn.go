package fleet

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/stats"
)

// turns are an agent's sliced phases under way, by number.
type turns map[int64]*turn

// turn is one of them.
type turn struct {
	run      int64
	slices   load.Slices
	extended chan time.Duration // the new ends of the slice under way
	missed   atomic.Bool        // an extension came too late
	stopped  bool               // a slice was ended by a stop, not by itself
	done     done               // what its windows add up to so far
}

// drop closes the phases that are no longer wanted.
func (t turns) drop(unwanted func(run int64) bool) {
	for run, one := range t {
		if unwanted(run) {
			one.slices.Close()
			delete(t, run)
		}
	}
}

// calledOff reports whether the controller has called a phase off.
func (a *agent) calledOff(run int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return run <= a.called
}

// join readies a sliced phase and says ready, or why not.
func (a *agent) join(ctx context.Context, open turns, p *prepare, cache *cached) {
	r := &ready{Run: p.Run}
	slices, err := a.open(ctx, p, cache)
	if err != nil {
		r.Error = err.Error()
	} else {
		open[p.Run] = &turn{run: p.Run, slices: slices, done: *newDone(p.Run)}
	}
	a.post(ctx, message{Ready: r})
}

func (a *agent) open(ctx context.Context, p *prepare, cache *cached) (load.Slices, error) {
	j, err := a.build(p, cache)
	if err != nil {
		return nil, err
	}
	engine, ok := j.engine.(load.Slicer)
	if !ok {
		return nil, fmt.Errorf("the engine %q cannot take turns", p.Engine)
	}
	j.job.Permit = func() bool { return a.sending.Load() == p.Run && a.lease.valid() }
	return engine.Slices(ctx, j.job)
}

// takeTurn carries out one slice. One of a phase that is not under way is answered as failed.
func (a *agent) takeTurn(ctx context.Context, t *turn, s *slice) {
	end := &sliced{Run: s.Run}
	if t == nil {
		end.Error = "the phase is not under way"
		a.post(ctx, message{Sliced: end})
		return
	}
	running, halt := context.WithCancel(ctx)
	defer halt()
	a.begin(s.Run, halt)
	defer a.begin(s.Run, nil)
	at := a.clock.local(s.At)
	end.Late = max(0, time.Since(at))
	t.done.Timing.Began = max(t.done.Timing.Began, end.Late)
	t.missed.Store(false)
	t.extended = make(chan time.Duration, 1000) // more than a slice is ever extended
	a.setTurn(t)
	defer a.setTurn(nil)
	if s.Stall > 0 {
		go a.watchStall(running, t, s, at)
	}
	err := t.slices.Run(running, load.Slice{Start: at, Begin: s.Begin, Length: s.Length, RunIn: s.RunIn, Parts: s.Parts, Fresh: s.Fresh, Until: s.Until}, func(w stats.Window) {
		a.sequence++
		t.done.Windows++
		t.done.Books.Add(w.Books)
		a.post(ctx, message{Window: &window{Run: s.Run, Epoch: a.epoch, Sequence: a.sequence, Window: w}})
	})
	if !a.lease.valid() {
		return // the permission ended while the engine ran: its books are no measurement
	}
	if t.stopped = t.stopped || running.Err() != nil; err != nil && !t.stopped {
		end.Error = err.Error()
	}
	if t.missed.Load() {
		end.Late = max(end.Late, s.Length)
	}
	a.post(ctx, message{Sliced: end})
}

func (a *agent) setTurn(t *turn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turn = t
}

// extend has the slice under way end later.
func (a *agent) extend(e *extend) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.turn == nil || a.turn.run != e.Run {
		return // it is over; the controller sees that this agent has less of it than others
	}
	if !a.turn.slices.Extend(e.End) {
		a.turn.missed.Store(true)
		return
	}
	select {
	case a.turn.extended <- e.End:
	default:
	}
}

// stuckAhead is how long before the end of a slice an agent says that something is stuck.
const stuckAhead = 10 * time.Millisecond

// watchStall says before the end of the slice, whenever that is, that something is stuck.
func (a *agent) watchStall(ctx context.Context, t *turn, s *slice, at time.Time) {
	end := s.Begin + s.Length
	for {
		timer := time.NewTimer(time.Until(at.Add(end - s.Begin - stuckAhead)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case end = <-t.extended: // another agent has said so
			timer.Stop()
			continue
		case <-timer.C:
		}
		if t.slices.Stuck(s.Stall) {
			a.post(ctx, message{Stuck: &stuck{Run: s.Run, End: end}})
		}
		select {
		case <-ctx.Done():
			return
		case end = <-t.extended:
		}
	}
}

// leave closes a sliced phase and says what it came to.
func (a *agent) leave(ctx context.Context, open turns, run int64) {
	t := open[run]
	if t == nil {
		a.post(ctx, message{Done: newDone(run)})
		return
	}
	open.drop(func(other int64) bool { return other == run })
	t.done.Timing.ClockShift, t.done.Timing.ClockError = a.clock.shift()
	a.post(ctx, message{Done: &t.done})
}
