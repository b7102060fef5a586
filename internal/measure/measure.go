// Package measure is one measurement of URLs without a plan: what is asked for
// (Job), who carries it out (this process, or agents), its windows as they come,
// and its result as text, JSON and files of histograms.
//
// It reads no flags, starts no process and knows no exit status: its caller does. It refuses to
// call a measurement valid whose agents were themselves the limit, or whose books do not hold.
package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/stats"
)

// tally is what windows add up to.
type tally struct {
	books                       stats.Books
	outcomes, lost              map[string]int64
	status                      map[int]int64
	unwritten, opened           int64
	response, service, lateness *stats.Histogram
	cpu                         time.Duration
	strain                      load.Strain // of one agent; not of several together
}

func newTally() *tally {
	return &tally{
		outcomes: map[string]int64{}, lost: map[string]int64{}, status: map[int]int64{},
		response: stats.NewHistogram(), service: stats.NewHistogram(), lateness: stats.NewHistogram(),
	}
}

func (t *tally) add(w load.Window) {
	t.books.Add(w.Books)
	for class, n := range w.Outcomes {
		t.outcomes[class] += n
	}
	for what, n := range w.Lost {
		t.lost[what] += n
	}
	for status, n := range w.Status {
		t.status[status] += n
	}
	t.unwritten += w.Unwritten
	t.opened += w.Opened
	t.response.Merge(w.Response)
	t.service.Merge(w.Service)
	t.lateness.Merge(w.Lateness)
	t.cpu += w.CPU
}

// merge adds all of o.
func (t *tally) merge(o *tally) {
	t.add(load.Window{
		Books: o.books, Outcomes: o.outcomes, Lost: o.lost, Status: o.status, Unwritten: o.unwritten, Opened: o.opened,
		Response: o.response, Service: o.service, Lateness: o.lateness, CPU: o.cpu,
	})
}

// agentLost is the error class of requests that a lost agent has sent and
// whose end it did not tell.
const agentLost = "agent lost"

// closeBooks accounts for what a lost agent left open: windows it did not
// tell any more would have held the ends of what its last one began.
func (t *tally) closeBooks() {
	b := &t.books
	b.Dropped += b.Planned - b.Sent - b.Dropped
	if open := b.Sent - b.OK - b.Bad - b.Timeout - b.Error; open > 0 {
		b.Error += open
		t.outcomes[agentLost] += open
	}
}

// health is what the agent of this tally tells of itself.
func (t *tally) health(model string) load.Health {
	return load.Health{Model: model, Planned: t.books.Planned, Lost: t.lost, Lateness: t.lateness, Service: t.service, Strain: t.strain}
}

// Measurement is one phase with what the agents told of it.
type Measurement struct {
	phase       load.Phase
	total       *tally
	agents      []*tally
	seconds     seconds
	began       time.Time // zero: nothing was sent
	passed      time.Duration
	interrupted bool
	lost        []string       // agents that did not end as they should, and why
	spread      *time.Duration // of the actual starts of several agents
}

func newMeasurement(phase load.Phase, agents int, each func(second int, t *tally)) *Measurement {
	m := &Measurement{phase: phase, total: newTally(), seconds: seconds{agents: agents, pass: each}}
	for range agents {
		m.agents = append(m.agents, newTally())
	}
	return m
}

// unused is a measurement that was never begun because the warm-up w came to an untimely end.
func (m *Measurement) unused(phase load.Phase) *Measurement {
	n := newMeasurement(phase, len(m.agents), nil)
	n.interrupted, n.lost = m.interrupted, m.lost
	return n
}

// Run carries out the warm-up and the phase that counts. A measurement that was
// made is returned whatever went wrong after it. How it goes is shown
// on progress; what was asked for is written to files as it goes on.
func Run(ctx context.Context, j *Job, g Generator, files *Files, progress io.Writer) (*Measurement, error) {
	live := newLive(progress)
	defer live.close()
	if j.Warmup.Duration > 0 {
		live.begin("warm-up", j.Warmup.Duration)
		w := newMeasurement(j.Warmup, j.Agents, live.second)
		if err := w.run(ctx, g, nil); err != nil {
			return nil, err
		}
		if w.interrupted || len(w.lost) > 0 {
			return w.unused(j.Phase), nil
		}
	}
	live.begin("measuring", j.Phase.Duration)
	var m *Measurement
	m = newMeasurement(j.Phase, j.Agents, func(s int, t *tally) {
		live.second(s, t)
		files.second(m, s, t)
	})
	if err := m.run(ctx, g, files.window); err != nil {
		return nil, err
	}
	return m, nil
}

// Interrupted tells whether the measurement was cut short by its caller.
func (m *Measurement) Interrupted() bool { return m.interrupted }

// run carries the phase out; window, where given, sees every window of every agent.
func (m *Measurement) run(ctx context.Context, g Generator, window func(agent int, w load.Window)) error {
	end, err := g.Run(ctx, m.phase, func(agent int, w load.Window) {
		if window != nil {
			window(agent, w)
		}
		m.total.add(w)
		m.agents[agent].add(w)
		m.agents[agent].strain.Add(w)
		m.seconds.add(w)
	})
	m.seconds.flush()
	m.began, m.lost, m.spread = end.Began, end.Lost, end.Spread
	if len(m.lost) > 0 {
		m.total.closeBooks()
	}
	m.passed = m.phase.Duration
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		m.interrupted, err = true, nil
	}
	if m.interrupted || len(m.lost) > 0 {
		m.passed = 0
		if !end.Began.IsZero() {
			m.passed = min(max(end.Ended.Sub(end.Began), 0), m.phase.Duration)
		}
	}
	return err
}

// reasons say why the measurement must not be used; none: it may be.
func (m *Measurement) reasons() []string {
	var out []string
	if m.interrupted {
		out = append(out, fmt.Sprintf("interrupted after %v of %v", m.passed.Round(time.Millisecond), m.phase.Duration))
	}
	out = append(out, m.lost...)
	if err := m.total.books.Exact(); err != nil {
		out = append(out, err.Error())
	}
	if m.total.books.Planned == 0 && !m.interrupted {
		out = append(out, "no request was planned")
	}
	for _, l := range m.limits() {
		who := ""
		if len(m.agents) > 1 {
			who = fmt.Sprintf("agent %d: ", l.Agent)
		}
		out = append(out, "generator-limited: "+who+l.Text)
	}
	return out
}

// agentLimit is one way in which one agent was the limit.
type agentLimit struct {
	Agent int `json:"agent"`
	load.Limit
}

// limits are those of all agents, in order.
func (m *Measurement) limits() []agentLimit {
	out := []agentLimit{}
	for i, a := range m.agents {
		for _, l := range a.health(m.phase.Model).Limited() {
			out = append(out, agentLimit{i, l})
		}
	}
	return out
}

// seconds puts together what several agents tell of one second, and passes it
// on once all have told theirs.
type seconds struct {
	agents  int
	next    int // the second of pending[0]
	pending []gathered
	pass    func(second int, t *tally)
}

type gathered struct {
	tally *tally
	from  int
}

func (s *seconds) add(w load.Window) {
	for len(s.pending) <= w.Second-s.next {
		s.pending = append(s.pending, gathered{tally: newTally()})
	}
	g := &s.pending[max(w.Second-s.next, 0)]
	g.tally.add(w)
	g.from++
	for len(s.pending) > 0 && s.pending[0].from >= s.agents {
		s.shift()
	}
}

func (s *seconds) shift() {
	if s.pass != nil {
		s.pass(s.next, s.pending[0].tally)
	}
	s.pending = s.pending[1:]
	s.next++
}

// flush passes on what is left: seconds that not every agent has lived to see.
func (s *seconds) flush() {
	for len(s.pending) > 0 {
		s.shift()
	}
}
