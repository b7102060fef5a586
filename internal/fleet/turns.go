package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// aheadOfSlice is how long before a slice's common start the agents are told of it.
const aheadOfSlice = 5 * time.Millisecond

// ErrTurns is returned by Slice when the turns cannot go on; End says why.
var ErrTurns = errors.New("fleet: the turns are over")

// Turns is one phase on several targets that take turns: the load goes from
// one to the next, slice by slice. Its methods are called from one goroutine; no Run or
// Heal is under way until End has returned.
type Turns struct {
	fleet  *Fleet
	phases []*phase // one per task
}

// Turns readies the tasks, which differ in their targets. It calls sink from the goroutine of Slice and End for
// every window accepted. Where it returns no error the caller ends it.
func (f *Fleet) Turns(ctx context.Context, tasks []Task, sink func(task int, s Snapshot)) (*Turns, error) {
	f.busy.Lock()
	t := &Turns{fleet: f}
	for i, task := range tasks {
		p, err := f.newPhase(task, func(s Snapshot) { sink(i, s) })
		if err != nil {
			f.busy.Unlock()
			return nil, fmt.Errorf("fleet: %w", err)
		}
		p.turns = t
		t.phases = append(t.phases, p)
	}
	for _, p := range t.phases {
		if t.broken() {
			break
		}
		p.prepare(ctx)
	}
	return t, nil
}

// broken tells whether no slice can be run any more.
func (t *Turns) broken() bool {
	for _, p := range t.phases {
		if p.err != nil || p.stopping || len(p.report.Lost) > 0 {
			return true
		}
	}
	return false
}

// Slice sends load to one target from begin on, of the phase's own time, and returns when all of it is
// answered or timed out: by how much the last agent missed the common start. See load.Slice.
func (t *Turns) Slice(ctx context.Context, task int, begin, length, runIn time.Duration) (late time.Duration, err error) {
	if t.broken() {
		return 0, ErrTurns
	}
	p := t.phases[task]
	at := time.Now().Add(aheadOfSlice)
	if p.report.Start.IsZero() {
		p.report.Start = at
	}
	p.deadline, p.overdue, p.late = at.Add(length+p.task.Phase.Timeout+finishWithin), "it did not finish a slice", 0
	for _, m := range p.order {
		m.sliced = false
	}
	p.tell(message{Slice: &slice{Run: p.number, At: at.UnixNano(), Begin: begin, Length: length, RunIn: runIn}})
	p.loop(ctx, p.allSliced)
	if t.broken() {
		return p.late, ErrTurns
	}
	return p.late, nil
}

func (p *phase) allSliced() bool {
	for _, m := range p.order {
		if !m.sliced && !m.ended {
			return false
		}
	}
	return true
}

func (p *phase) onSliced(m *member, s *sliced) error {
	if s.Run < p.number {
		return nil // of a phase that was called off
	}
	if p.turns == nil || s.Run > p.number || m.sliced {
		return errors.New("it said sliced out of turn")
	}
	m.sliced, p.late = true, max(p.late, s.Late)
	if s.Error != "" && !p.stopping {
		p.fail(fmt.Errorf("agent %d: %s", m.report.Agent, s.Error))
	}
	return nil
}

// End closes the connections and returns what each task came to, and the first error. It is to be called
// whatever went before, also when ctx has ended.
func (t *Turns) End(ctx context.Context) ([]Report, error) {
	defer t.fleet.busy.Unlock()
	var first error
	var reports []Report
	stopped := t.broken()
	for _, p := range t.phases {
		p.finish(ctx, stopped)
		if first == nil && p.err != nil {
			first = fmt.Errorf("fleet: phase %q: %w", p.task.Phase.Name, p.err)
		}
		reports = append(reports, p.report)
	}
	if first == nil && t.fleet.closed() {
		first = fmt.Errorf("fleet: %w", ErrClosed)
	}
	return reports, first
}

// finish asks for what the phase came to. Agents that were lost in another's turn are lost here, too.
func (p *phase) finish(ctx context.Context, stopped bool) {
	for _, m := range p.order {
		select {
		case <-m.session.ended:
			if !m.ended {
				p.lose(m)
			}
		default:
		}
	}
	if stopped {
		p.stop(time.Now().Add(stopWithin))
	}
	if p.report.Start.IsZero() {
		p.report.Start = time.Now() // a done is in turn from here on
	}
	p.deadline, p.overdue = time.Now().Add(finishWithin), "it did not say what its slices came to"
	p.tell(message{Finish: &finish{Run: p.number}})
	p.loop(context.WithoutCancel(ctx), p.allEnded)
	p.close()
}
