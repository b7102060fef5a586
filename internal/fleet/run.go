package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/stats"
)

const (
	// StartWithin is how closely together the agents are to start; Report.Skew says how closely they did.
	StartWithin = 20 * time.Millisecond
	// ahead is how long before the common start the agents learn of it.
	ahead = 250 * time.Millisecond
	// prepareWithin is how long agents may take to get ready.
	prepareWithin = 60 * time.Second
	// finishWithin is how long after the last possible answer agents may take to say done.
	finishWithin = 5 * time.Second
	// stopWithin is how long stopped agents may take to close their books.
	stopWithin = time.Second
)

// Task is one phase for all agents together.
type Task struct {
	URLs     []string
	Dial     []string // as in load.Job
	Header   []load.Field
	TLS      load.TLS
	Method   string // GET when empty
	Body     []byte // sent with every request when not empty
	BodyFile File   // instead of Body where that is too large for a message
	Phase    load.Phase
	Seed     uint64
	Engine   string          // a name in AgentOptions.Engines
	Shares   []int           // the share of the whole that each agent takes, from 0; nil: that of its place
	Contract string          // a name in AgentOptions.Workloads
	Workload json.RawMessage // what that constructor gets
	Target   string          // what the target is called, for who writes that down
	// Begun, where a loader takes its time until it sends anything, is called when it begins to, from the goroutine
	// of Run. A fleet begins at once and never calls it.
	Begun func()
}

// File is a file that agents of this machine read; one that has changed is refused.
type File struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // in hex
}

// read returns the file's content; nothing where there is none.
func (f File) read() ([]byte, error) {
	if f.Path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(f.Path)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != f.SHA256 {
		return nil, fmt.Errorf("body: %s has changed", f.Path)
	}
	return data, nil
}

// Snapshot is one accepted window of one agent. Sequence counts the agent's windows of
// one epoch, over all phases, from 1.
type Snapshot struct {
	Agent    int
	Epoch    int64
	Sequence int64
	At       time.Time // of the window's begin, by the controller's clock: as the schedule of the phase has it
	Window   stats.Window
}

// Report is what a phase came to. It is whole, and the phase of use, only
// when Lost is empty.
type Report struct {
	Start  time.Time // the common start; zero when none was given
	End    time.Time // when the last agent was done or given up
	Agents []AgentReport
	Lost   []Lost
	// Skew is the greatest difference between the actual starts of the agents
	// that are done. Where all of them share the controller's clock (one machine) it is
	// what it says; between machines each start is known to +-ClockError only.
	Skew       time.Duration
	ClockError time.Duration // the greatest of the agents'
}

// Totals is the sum of all windows accepted, of every agent.
func (r Report) Totals() stats.Totals {
	var sum stats.Totals
	for _, a := range r.Agents {
		sum.Sending = a.Totals.Sending
		sum.Merge(a.Totals)
	}
	return sum
}

// AgentReport is one agent's part of a phase.
type AgentReport struct {
	Agent  int
	Epoch  int64
	Totals stats.Totals // of the windows accepted
	Done   bool         // it said so, and its books equal their sum
	// Began, First and Due are durations after the common start: when the agent's
	// clock woke, when its first request was permitted to go, and when that one was due by schedule (-1: none).
	Began, First, Due time.Duration
	// ClockShift is the agent's wall clock less the controller's, known to +-ClockError.
	ClockShift, ClockError time.Duration
}

// Started is how long after the common start the agent actually started: when
// its clock woke, or by how much its first request was late, whichever is more.
func (a AgentReport) Started() time.Duration {
	if a.First < 0 || a.Due < 0 {
		return a.Began
	}
	return max(a.Began, a.First-a.Due)
}

// member is one agent during a phase.
type member struct {
	session *session
	report  AgentReport
	ready   bool
	sliced  bool // it has carried out the slice under way
	ended   bool // done or lost
}

// phase is one Run under way. It belongs to the goroutine of Run.
type phase struct {
	fleet    *Fleet
	number   int64
	task     Task
	sink     func(Snapshot)
	members  map[*session]*member
	order    []*member
	report   Report
	err      error // first failure that is not a loss
	stopping bool
	deadline time.Time // when those who have not ended are given up
	overdue  string    // what they failed to do by then
	turns    *Turns    // that it takes part in; nil: it is carried out at a stretch
	late     time.Duration
	until    time.Duration // when the slice under way ends, of the phase's own time
	zero     time.Time     // when the phase would have begun if it had not stood still before the slice under way
	most     time.Duration // how late it may
}

// Run has all agents run the task as one and calls sink from this goroutine
// for every window accepted. It returns when every agent is done or lost: at
// the latest 3 s after a lost agent's last sign of life, at the latest 1 s
// after ctx has ended (with its error; what was in flight is then booked as
// interrupted). A loss is no error but is in the report; a task that an
// agent refuses or fails at is one.
func (f *Fleet) Run(ctx context.Context, task Task, sink func(Snapshot)) (Report, error) {
	f.busy.Lock()
	defer f.busy.Unlock()
	p, err := f.newPhase(task, sink)
	if err != nil {
		return Report{}, fmt.Errorf("fleet: %w", err)
	}
	if len(p.report.Lost) > 0 {
		return p.report, nil
	}
	p.prepare(ctx)
	if p.err == nil && len(p.report.Lost) == 0 {
		p.start()
		p.loop(ctx, p.allEnded)
	}
	p.close()
	if p.err == nil && f.closed() {
		p.err = ErrClosed
	}
	if p.err != nil {
		return p.report, fmt.Errorf("fleet: phase %q: %w", task.Phase.Name, p.err)
	}
	return p.report, nil
}

// newPhase gathers the agents; a missing one is in the report's Lost.
func (f *Fleet) newPhase(task Task, sink func(Snapshot)) (*phase, error) {
	f.runs++
	f.inbox.take() // what a phase that is over has left
	p := &phase{fleet: f, number: f.runs, task: task, sink: sink, members: map[*session]*member{}}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return nil, ErrClosed
	}
	for _, s := range f.slots {
		if s.lost != nil {
			p.report.Lost = append(p.report.Lost, *s.lost)
			continue
		}
		m := &member{session: s.session, report: AgentReport{Agent: s.index, Epoch: s.epoch, First: -1, Due: -1, Totals: stats.Totals{Sending: task.Phase.Duration}}}
		p.members[s.session] = m
		p.order = append(p.order, m)
	}
	return p, nil
}

// prepare sends everyone its share and waits until all are ready.
func (p *phase) prepare(ctx context.Context) {
	p.deadline, p.overdue = time.Now().Add(prepareWithin), fmt.Sprintf("it was not ready within %s", prepareWithin)
	orders := make([]message, len(p.order))
	for i := range p.order {
		orders[i].Prepare = p.share(load.Share{Index: p.shareOf(i), Of: len(p.order)})
	}
	if _, err := encode(orders[0]); err != nil { // such as a body beyond what a line holds
		p.err = err
		return
	}
	for i, m := range p.order {
		m.session.send(orders[i])
	}
	p.loop(ctx, p.allReady)
}

// shareOf is the share of the agent in a place. Where an agent is lost, the phase comes to nothing anyway.
func (p *phase) shareOf(place int) int {
	if len(p.task.Shares) != len(p.order) {
		return place
	}
	return p.task.Shares[place]
}

// share is one agent's part of the task.
func (p *phase) share(s load.Share) *prepare {
	t := p.task
	return &prepare{
		Run: p.number, URLs: t.URLs, Dial: t.Dial, Header: t.Header, TLS: t.TLS, Method: t.Method, Body: t.Body, BodyFile: t.BodyFile, Phase: t.Phase,
		Share: s, Seed: t.Seed, Engine: t.Engine, Contract: t.Contract, Workload: t.Workload, Sliced: p.turns != nil,
	}
}

// start gives the common start.
func (p *phase) start() {
	at := time.Now().Add(ahead)
	p.report.Start = at
	t := p.task.Phase
	p.deadline, p.overdue = at.Add(t.Duration+t.Timeout+finishWithin), "it did not finish"
	p.tell(message{Start: &start{Run: p.number, At: at.UnixNano()}})
}

// tell sends a line to everyone who has not ended.
func (p *phase) tell(m message) {
	for _, member := range p.order {
		if !member.ended {
			member.session.send(m)
		}
	}
}

// loop handles events until enough says so, or nobody is left to wait for. Close
// ends every session, which is such an event.
func (p *phase) loop(ctx context.Context, enough func() bool) {
	cancelled := ctx.Done()
	for !enough() && !p.allEnded() {
		timer := time.NewTimer(time.Until(p.deadline))
		select {
		case <-p.fleet.inbox.wake:
			p.drain()
		case <-cancelled:
			cancelled = nil
			p.fail(context.Cause(ctx))
		case <-timer.C:
			p.giveUp(p.overdue)
		}
		timer.Stop()
	}
}

// allReady reports whether the start may be given, or never will be.
func (p *phase) allReady() bool {
	for _, m := range p.order {
		if !m.ready {
			return p.stopping
		}
	}
	return true
}

func (p *phase) allEnded() bool {
	for _, m := range p.order {
		if !m.ended {
			return false
		}
	}
	return true
}

// drain handles what the inbox holds.
func (p *phase) drain() {
	for _, e := range p.fleet.inbox.take() {
		m := p.members[e.session]
		if m == nil || m.ended {
			continue
		}
		if err := p.handle(m, e.message); err != nil {
			m.session.end(err.Error())
		}
	}
}

// handle takes one event; an error makes the agent lost.
func (p *phase) handle(m *member, e message) error {
	switch {
	case e.Ready != nil:
		return p.onReady(m, e.Ready)
	case e.Window != nil:
		return p.onWindow(m, e.Window)
	case e.Stuck != nil:
		return p.onStuck(e.Stuck)
	case e.Sliced != nil:
		return p.onSliced(m, e.Sliced)
	case e.Done != nil:
		return p.onDone(m, e.Done)
	}
	p.lose(m)
	return nil
}

func (p *phase) onReady(m *member, r *ready) error {
	if r.Run < p.number {
		return nil // of a phase that was called off
	}
	if r.Run > p.number || m.ready {
		return errors.New("it said ready out of turn")
	}
	m.ready = true
	if r.Error != "" {
		p.fail(fmt.Errorf("agent %d: prepare: %s", m.report.Agent, r.Error))
	}
	return nil
}

func (p *phase) onWindow(m *member, w *window) error {
	if w.Run != p.number || p.report.Start.IsZero() {
		return errors.New("it sent a window out of turn")
	}
	m.report.Totals.Add(w.Window)
	at := p.origin().Add(w.Window.Begin)
	p.sink(Snapshot{Agent: m.report.Agent, Epoch: w.Epoch, Sequence: w.Sequence, At: at, Window: w.Window})
	return nil
}

// origin is when the phase's own time was 0, seen from what is under way.
func (p *phase) origin() time.Time {
	if p.turns != nil {
		return p.zero
	}
	return p.report.Start
}

func (p *phase) onDone(m *member, d *done) error {
	if d.Run < p.number {
		return nil // of a phase that was called off
	}
	if d.Run > p.number || p.report.Start.IsZero() {
		return errors.New("it said done out of turn")
	}
	if sum := m.report.Totals; d.Windows != sum.Windows || d.Books != sum.Books {
		return fmt.Errorf("its totals (%d windows, %+v) are not the sum of its windows (%d, %+v)",
			d.Windows, d.Books, sum.Windows, sum.Books)
	}
	m.ended, m.report.Done = true, true
	m.report.Began, m.report.First, m.report.Due = d.Timing.Began, d.Timing.First, d.Timing.Due
	m.report.ClockShift, m.report.ClockError = d.Timing.ClockShift, d.Timing.ClockError
	if d.Error != "" && !p.stopping {
		p.fail(fmt.Errorf("agent %d: %s", m.report.Agent, d.Error))
	}
	return nil
}

// fail notes an error and stops everyone.
func (p *phase) fail(err error) {
	if p.err == nil {
		p.err = err
	}
	p.stop(time.Now().Add(stopWithin))
}

// lose notes a lost agent and stops the others, so that their books are
// closed 3 s after its last sign of life.
func (p *phase) lose(m *member) {
	m.ended = true
	lost := m.session.lost()
	p.report.Lost = append(p.report.Lost, lost)
	p.stop(lost.LastSign.Add(p.fleet.options.Silence + stopWithin))
}

// stop ends all load now; who has not ended by the deadline is given up.
func (p *phase) stop(deadline time.Time) {
	if !p.stopping || deadline.Before(p.deadline) {
		p.deadline, p.overdue = deadline, "it did not stop in time"
	}
	if p.stopping {
		return
	}
	p.stopping = true
	p.tell(message{Stop: &stop{Run: p.number}})
}

// giveUp makes everyone who has not ended lost.
func (p *phase) giveUp(why string) {
	for _, m := range p.order {
		if !m.ended {
			m.session.end(why)
			p.fleet.mark(m.session)
			p.lose(m)
		}
	}
}

// close completes the report.
func (p *phase) close() {
	p.report.End = time.Now()
	var starts []time.Duration
	for _, m := range p.order {
		p.report.Agents = append(p.report.Agents, m.report)
		if m.report.Done {
			starts = append(starts, m.report.Started())
			p.report.ClockError = max(p.report.ClockError, m.report.ClockError)
		}
	}
	if len(starts) > 0 {
		p.report.Skew = slices.Max(starts) - slices.Min(starts)
	}
}
