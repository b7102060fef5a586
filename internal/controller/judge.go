package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/contract"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// ledger adds up what the agents of one phase reported.
type ledger struct {
	books     stats.Books
	unwritten int64
	outcomes  map[string]int64
	agents    map[int]*agentLedger
}

// agentLedger is what decides whether one agent was itself the limit.
type agentLedger struct {
	books    stats.Books
	lost     map[string]int64
	lateness *stats.Histogram
	service  *stats.Histogram
	strain   load.Strain
}

func newLedger() *ledger {
	return &ledger{outcomes: map[string]int64{}, agents: map[int]*agentLedger{}}
}

func (l *ledger) add(s fleet.Snapshot) {
	w := s.Window
	l.books.Add(w.Books)
	l.unwritten += w.Unwritten
	for class, n := range w.Outcomes {
		l.outcomes[class] += n
	}
	a := l.agents[s.Agent]
	if a == nil {
		a = &agentLedger{lost: map[string]int64{}, lateness: stats.NewHistogram(), service: stats.NewHistogram()}
		l.agents[s.Agent] = a
	}
	a.books.Add(w.Books)
	for what, n := range w.Lost {
		a.lost[what] += n
	}
	a.lateness.Merge(w.Lateness)
	a.service.Merge(w.Service)
	a.strain.Add(w)
}

// judge refuses the trial when its books are not exact, a witness disagrees, answers
// were wrong, or an agent was itself the limit.
func (t *trial) judge(phase load.Phase, l *ledger, w record.Witness, stolen float64) {
	if err := l.books.Exact(); err != nil {
		t.refuse(record.CodeBooks, fmt.Errorf("phase %s: %w", phase.Name, err))
	}
	for _, reason := range contract.Witness(l.books, l.unwritten, w.DatabaseReads, w.BalancerTotal) {
		t.refuse(reason.Code, fmt.Errorf("phase %s: %s", phase.Name, reason.Text))
	}
	if share := wrongShare(l.books); share > maxWrong {
		b := l.books
		t.refuse(record.CodeWrongAnswers, fmt.Errorf("phase %s: %.2f %% of %d requests were not answered correctly (at most %.1f %%): bad %d, timeout %d, error %d, dropped %d%s%s",
			phase.Name, 100*share, b.Planned, 100*maxWrong, b.Bad, b.Timeout, b.Error, b.Dropped, classes(l.outcomes), l.ours()))
	}
	for _, agent := range slices.Sorted(maps.Keys(l.agents)) {
		a := l.agents[agent]
		health := load.Health{Model: phase.Model, Planned: a.books.Planned, Lost: a.lost, Lateness: a.lateness, Service: a.service, Strain: a.strain}
		for _, l := range health.Limited() {
			code, host := record.CodeGeneratorLimited, ""
			if l.InTime {
				host = fmt.Sprintf(" (the host took %.1f %% of this machine's time away meanwhile)", 100*stolen)
				if stolen > maxStolen {
					code = record.CodeDisturbedHost
				}
			}
			t.refuse(code, fmt.Errorf("phase %s, agent %d: %s%s", phase.Name, agent, l.Text, host))
			t.rec.Reasons[len(t.rec.Reasons)-1].Cause = l.Cause
		}
	}
}

// ours says how many of the requests that were not answered correctly the agents themselves lost.
func (l *ledger) ours() string {
	var lost int64
	for _, a := range l.agents {
		for _, n := range a.lost {
			lost += n
		}
	}
	switch lost {
	case 0:
		return ""
	case l.books.Bad + l.books.Timeout + l.books.Error + l.books.Dropped:
		return "; all of them lost by the agents themselves"
	}
	return fmt.Sprintf("; %d of them lost by the agents themselves", lost)
}

// maxStolen is the share of a phase that the host may take away before
// lateness is its doing and not the agents'.
const maxStolen = 0.05

// maxWrong is the share of planned requests that may fail to be answered correctly.
const maxWrong = 0.001

func wrongShare(b stats.Books) float64 {
	if b.Planned == 0 {
		return 1
	}
	return float64(b.Bad+b.Timeout+b.Error+b.Dropped) / float64(b.Planned)
}

// stealing returns a function that tells which share of the machine's time
// the host took away since now; 0 where that is not known.
func (r *run) stealing() func() float64 {
	before, from, err := r.o.Venue.Stolen()
	return func() float64 {
		after, until, errAfter := r.o.Venue.Stolen()
		if err != nil || errAfter != nil || until <= from {
			return 0
		}
		return float64(after-before) / float64(until-from)
	}
}

// quietWithin is how long a repeat waits for a machine that its host leaves alone.
const quietWithin = 20 * time.Second

// awaitQuiet waits, before a trial is repeated, until the host has taken
// little of this machine's time for a second.
func (r *run) awaitQuiet(ctx context.Context) {
	deadline := time.Now().Add(quietWithin)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		stolen := r.stealing()
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		share := stolen()
		if share <= maxStolen/2 {
			return
		}
		r.o.tell(Event{Text: fmt.Sprintf("waiting for a quieter machine: its host took %.0f %% of the last second", 100*share)})
	}
}

// classes lists outcome classes with their counts, or nothing.
func classes(outcomes map[string]int64) string {
	var parts []string
	for _, class := range slices.Sorted(maps.Keys(outcomes)) {
		parts = append(parts, fmt.Sprintf("%s %d", class, outcomes[class]))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
