// Package measure is one measurement of URLs without a plan: what is asked for
// (Job), who carries it out (this process, or agents), its windows as they come,
// and its result as text, JSON and files of histograms.
//
// It reads no flags, starts no process and knows no exit status: its caller does. It refuses to
// call a measurement valid whose agents were themselves the limit, or whose books do not hold.
package measure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"bakeoff/internal/gate"
	"bakeoff/internal/load"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
)

// tally is what the windows of a phase, or of a stretch of it, add up to.
type tally struct {
	stats.Totals
	strain gate.Strain // of one agent; not of several together
}

func newTally(sending time.Duration) *tally {
	return &tally{Totals: stats.Totals{Sending: sending}}
}

// agentLost is the error class of requests that a lost agent has sent and
// whose end it did not report.
const agentLost = "agent lost"

// closeBooks accounts for what a lost agent left open: windows it did not
// send any more would have held the ends of what its last one began.
func (t *tally) closeBooks() {
	b := &t.Books
	b.Dropped += b.Planned - b.Sent - b.Dropped
	if open := b.Sent - b.OK - b.Bad - b.Timeout - b.Error; open > 0 {
		b.Error += open
		if t.Outcomes == nil {
			t.Outcomes = map[string]int64{}
		}
		t.Outcomes[agentLost] += open
	}
}

// health is what the agent of this tally reports about itself.
func (t *tally) health(model string) gate.Health {
	return gate.Health{Model: model, Planned: t.Books.Planned, Lost: t.Lost, Lateness: t.Lateness, Service: t.Service, Strain: t.strain}
}

// Measurement is one phase with what the agents reported of it.
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

func newMeasurement(phase load.Phase, agents int, each func(t *tally)) *Measurement {
	m := &Measurement{phase: phase, total: newTally(phase.Duration), seconds: seconds{agents: agents, pass: each}}
	for range agents {
		m.agents = append(m.agents, newTally(phase.Duration))
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
		live.begin("warm-up", j.Warmup)
		w := newMeasurement(j.Warmup, j.Agents, live.second)
		if err := w.run(ctx, g, nil); err != nil {
			return nil, err
		}
		if w.interrupted || len(w.lost) > 0 {
			return w.unused(j.Phase), nil
		}
	}
	live.begin("measuring", j.Phase)
	var m *Measurement
	m = newMeasurement(j.Phase, j.Agents, func(t *tally) {
		live.second(t)
		files.second(m, t)
	})
	if err := m.run(ctx, g, files.window); err != nil {
		return nil, err
	}
	return m, nil
}

// goal is when a phase ends, for people.
func goal(p load.Phase) string {
	if p.Requests > 0 {
		return show.Plural(p.Requests, "request")
	}
	return p.Duration.String()
}

// Interrupted reports whether the measurement was cut short by its caller.
func (m *Measurement) Interrupted() bool { return m.interrupted }

// run carries the phase out; window, where given, sees every window of every agent.
func (m *Measurement) run(ctx context.Context, g Generator, window func(agent int, w stats.Window)) error {
	end, err := g.Run(ctx, m.phase, func(agent int, w stats.Window) {
		if window != nil {
			window(agent, w)
		}
		m.total.Add(w)
		m.agents[agent].Add(w)
		m.agents[agent].strain.Add(w)
		m.seconds.add(w)
	})
	m.seconds.flush()
	m.began, m.lost, m.spread = end.Began, end.Lost, end.Spread
	if len(m.lost) > 0 {
		m.total.closeBooks()
	}
	m.passed = m.phase.Duration
	if m.phase.Requests > 0 && !end.Began.IsZero() { // it may have ended before its time
		m.passed = min(max(end.Ended.Sub(end.Began), 0), m.phase.Duration)
		m.total.Sending = m.passed
	}
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		m.interrupted, err = true, nil
	}
	if m.interrupted || len(m.lost) > 0 {
		m.passed = 0
		if !end.Began.IsZero() {
			m.passed = min(max(end.Ended.Sub(end.Began), 0), m.phase.Duration)
		}
		m.total.Sending = m.passed
	}
	return err
}

// reasons say why the measurement must not be used; none: it may be.
func (m *Measurement) reasons() []string {
	var out []string
	if m.interrupted {
		out = append(out, fmt.Sprintf("interrupted after %v of %s", m.passed.Round(time.Millisecond), goal(m.phase)))
	}
	out = append(out, m.lost...)
	if err := m.total.Exact(); err != nil {
		out = append(out, err.Error())
	}
	if m.total.Books.Planned == 0 && !m.interrupted {
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
	gate.Limit
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

// seconds puts together what several agents report of one window, and passes it
// on once all have reported theirs. Their windows begin at the same moments of the phase.
type seconds struct {
	agents  int
	pending []*tally // by begin
	pass    func(t *tally)
}

func (s *seconds) add(w stats.Window) {
	i, found := slices.BinarySearchFunc(s.pending, w.Begin, func(t *tally, begin time.Duration) int { return cmp.Compare(t.Begin, begin) })
	if !found {
		s.pending = slices.Insert(s.pending, i, newTally(0))
	}
	s.pending[i].Add(w)
	for len(s.pending) > 0 && s.pending[0].Windows >= int64(s.agents) {
		s.shift()
	}
}

func (s *seconds) shift() {
	if s.pass != nil {
		s.pass(s.pending[0])
	}
	s.pending = s.pending[1:]
}

// flush passes on what is left: windows that not every agent has lived to see.
func (s *seconds) flush() {
	for len(s.pending) > 0 {
		s.shift()
	}
}
