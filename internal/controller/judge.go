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

// ledger is what the agents of one phase reported: their totals together and one by one.
type ledger struct {
	stats.Totals
	agents []agentLedger
}

// agentLedger is what decides whether one agent was itself the limit.
type agentLedger struct {
	stats.Totals
	agent  int
	strain load.Strain
}

func newLedger(report fleet.Report, strains map[int]*load.Strain) *ledger {
	l := &ledger{Totals: report.Totals()}
	for _, a := range report.Agents {
		one := agentLedger{Totals: a.Totals, agent: a.Agent}
		if s := strains[a.Agent]; s != nil {
			one.strain = *s
		}
		l.agents = append(l.agents, one)
	}
	return l
}

// health is what the agent tells of itself.
func (a *agentLedger) health(model string) load.Health {
	return load.Health{Model: model, Planned: a.Books.Planned, Lost: a.Lost, Lateness: a.Lateness, Service: a.Service, Strain: a.strain}
}

// judge refuses the trial when its books are not exact, a witness disagrees, answers
// were wrong, or an agent was itself the limit.
func (t *trial) judge(phase load.Phase, l *ledger, w record.Witness, stolen float64) {
	if err := l.Exact(); err != nil {
		t.refuse(record.CodeBooks, fmt.Errorf("phase %s: %w", phase.Name, err))
	}
	for _, reason := range contract.Witness(l.Books, l.Unwritten, w.DatabaseReads, w.BalancerTotal) {
		t.refuse(reason.Code, fmt.Errorf("phase %s: %s", phase.Name, reason.Text))
	}
	if share := wrongShare(l.Books); share > maxWrong {
		b := l.Books
		t.refuse(record.CodeWrongAnswers, fmt.Errorf("phase %s: %.2f %% of %d requests were not answered correctly (at most %.1f %%): bad %d, timeout %d, error %d, dropped %d%s%s",
			phase.Name, 100*share, b.Planned, 100*maxWrong, b.Bad, b.Timeout, b.Error, b.Dropped, classes(l.Outcomes), l.ours()))
	}
	for _, a := range l.agents {
		for _, l := range a.health(phase.Model).Limited() {
			code, host := record.CodeGeneratorLimited, ""
			if l.InTime {
				host = fmt.Sprintf(" (the host took %.1f %% of this machine's time away meanwhile)", 100*stolen)
				if stolen > maxStolen {
					code = record.CodeDisturbedHost
				}
			}
			t.refuse(code, fmt.Errorf("phase %s, agent %d: %s%s", phase.Name, a.agent, l.Text, host))
			t.rec.Reasons[len(t.rec.Reasons)-1].Cause = l.Cause
		}
	}
}

// ours says how many of the requests that were not answered correctly the agents themselves lost.
func (l *ledger) ours() string {
	var lost int64
	for _, n := range l.Lost {
		lost += n
	}
	switch lost {
	case 0:
		return ""
	case l.Books.Bad + l.Books.Timeout + l.Books.Error + l.Books.Dropped:
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
