package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// aheadOfSlice is how long before a slice's common start the agents learn of it.
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

// Turns readies the tasks, which differ in their targets. It calls sink from the goroutine of Slice and
// End for every window accepted. Where it returns no error the caller ends it.
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

// broken reports whether no slice can be run any more.
func (t *Turns) broken() bool {
	for _, p := range t.phases {
		if p.err != nil || p.stopping || len(p.report.Lost) > 0 {
			return true
		}
	}
	return false
}

// Slice is one target's turn, in the phase's own time; see load.Slice.
type Slice struct {
	Begin, Length, RunIn time.Duration
	Parts                int  // windows of what is behind the run-in; 0: one
	Fresh                bool // on connections opened in it
	// Until is where the phase ends as far as is known; 0: at the task's duration, which is the most it may last.
	Until time.Duration
	// Stall, when above 0: the slice goes on, with its arrivals, while a request has been in flight or an
	// arrival has waited for so long, at most for the phase's time-out: so a stall is met by all that a phase
	// at a stretch would have sent into it.
	Stall time.Duration
}

// Sliced is what became of a slice.
type Sliced struct {
	Late   time.Duration // by so much the last agent missed the common start, or its part of an extension
	Length time.Duration // of the phase's time; more than was asked for after a stall
}

// extendBy is by how much a slice is extended at a time.
const extendBy = 50 * time.Millisecond

// Slice sends load to one target and returns when all of it is answered or timed out.
func (t *Turns) Slice(ctx context.Context, task int, s Slice) (Sliced, error) {
	if t.broken() {
		return Sliced{}, ErrTurns
	}
	p := t.phases[task]
	at := time.Now().Add(aheadOfSlice)
	if p.report.Start.IsZero() {
		p.report.Start = at
	}
	p.deadline, p.overdue = at.Add(s.Length+p.task.Phase.Timeout+finishWithin), "it did not finish a slice"
	p.late, p.zero = 0, at.Add(-s.Begin)
	p.until, p.most = s.Begin+s.Length, s.Begin+s.Length+p.task.Phase.Timeout
	for _, m := range p.order {
		m.sliced = false
	}
	p.tell(message{Slice: &slice{
		Run: p.number, At: at.UnixNano(), Begin: s.Begin, Length: s.Length, RunIn: s.RunIn, Parts: s.Parts, Stall: s.Stall, Fresh: s.Fresh, Until: s.Until,
	}})
	p.loop(ctx, p.allSliced)
	out := Sliced{Late: p.late, Length: p.until - s.Begin}
	if t.broken() {
		return out, ErrTurns
	}
	return out, nil
}

// onStuck extends the slice for all agents, once: for the first that says so.
func (p *phase) onStuck(s *stuck) error {
	if s.Run < p.number || s.End != p.until || p.until+extendBy > p.most || p.stopping {
		return nil
	}
	if p.turns == nil || s.Run > p.number {
		return errors.New("it said stuck out of turn")
	}
	p.until += extendBy
	p.deadline = p.deadline.Add(extendBy)
	p.tell(message{Extend: &extend{Run: p.number, End: p.until}})
	return nil
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
