package controller

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// Phase numbers: 0 warms up, the plan's phases follow, the pilot's single
// phase has a number of its own so that it asks for keys of its own.
const (
	warmupPhase = 0
	pilotPhase  = 1000
)

// phasesOf are the phases of a trial of the block; those of the pilot for block 0.
func (r *run) phasesOf(block int) []load.Phase {
	p := r.o.Plan
	first := p.Phases[0]
	out := []load.Phase{{
		Number: warmupPhase, Name: "warmup", Model: load.Closed, Connections: first.Connections,
		Duration: time.Duration(p.Warmup.Most), Timeout: time.Duration(first.Timeout), CheckShare: first.CheckShare, HTTP2: p.Agents.HTTP2,
	}}
	if p.Warmup.Most == 0 {
		out = nil
	}
	if block == 0 {
		return append(out, load.Phase{
			Number: pilotPhase, Name: "pilot", Model: load.Closed, Connections: r.pilotOf().Connections,
			Duration: time.Duration(p.Pilot), Timeout: time.Duration(first.Timeout), CheckShare: first.CheckShare, HTTP2: p.Agents.HTTP2,
		})
	}
	for i, phase := range p.Phases {
		out = append(out, r.phaseOf(i+1, phase))
	}
	return out
}

// phaseOf is one phase of the plan with its rate in numbers.
func (r *run) phaseOf(number int, p plan.Phase) load.Phase {
	out := load.Phase{
		Number: number, Name: p.Name, Model: p.Model, Connections: p.Connections, Rate: p.Rate, Arrivals: p.Arrivals,
		Ramp: time.Duration(p.Ramp), Think: time.Duration(p.Think), Duration: time.Duration(p.Duration),
		Timeout: time.Duration(p.Timeout), Reconnect: p.Reconnect, CheckShare: p.CheckShare, HTTP2: r.o.Plan.Agents.HTTP2,
	}
	if p.RateOfPilot > 0 && r.pilot != nil {
		out.Rate = rateOf(p.RateOfPilot, r.pilot.Throughput[r.pilot.Slowest])
	}
	return out
}

// rateOf is the share of a throughput as a rate: whole, and with two digits after the point where it is small.
func rateOf(share, throughput float64) float64 {
	rate := share * throughput
	if rate >= 100 {
		return math.Floor(rate)
	}
	return math.Floor(100*rate) / 100
}

// fewestArrivals is how many arrivals an open phase must expect: of fewer nothing can be said.
const fewestArrivals = 10

// tooFew says why an open phase is not run: it would have hardly any arrivals. Nil where it has enough.
func (r *run) tooFew(p load.Phase) error {
	expected := p.Rate * p.Duration.Seconds()
	if p.Model != load.Open || expected >= fewestArrivals {
		return nil
	}
	from := ""
	if i := p.Number - 1; r.o.Plan.Phases[i].RateOfPilot > 0 {
		from = fmt.Sprintf(" (%v of the %.2f/s of %s in the pilot)", r.o.Plan.Phases[i].RateOfPilot, r.pilot.Throughput[r.pilot.Slowest], r.pilot.Slowest)
	}
	return fmt.Errorf("phase %s: %v requests per second%s for %v are %.1f arrivals, at least %d are needed: give the phase more time or a higher rate",
		p.Name, p.Rate, from, p.Duration, expected, fewestArrivals)
}

// pilotOf is the phase whose connections and engine the pilot has: the plan's first closed one, else its first.
func (r *run) pilotOf() plan.Phase {
	for _, p := range r.o.Plan.Phases {
		if p.Model == load.Closed && !p.Pings() && !p.Direct {
			return p
		}
	}
	return r.o.Plan.Phases[0]
}

// engineOf is the engine that carries out a phase: for the warm-up that of the phase it is for.
func (r *run) engineOf(phase load.Phase) string {
	p := r.o.Plan
	for i, planned := range p.Phases {
		if phase.Number == i+1 {
			return p.EngineOf(planned)
		}
	}
	if phase.Number == pilotPhase {
		return p.EngineOf(r.pilotOf())
	}
	return p.EngineOf(p.Phases[0])
}

// pings reports whether a phase asks for /ping instead of lookups.
func pings(p *plan.Plan, phase load.Phase) bool {
	i := phase.Number - 1
	return i >= 0 && i < len(p.Phases) && p.Phases[i].Pings()
}

// direct reports whether the agents ask the replicas themselves in a phase, although there is a balancer.
func direct(p *plan.Plan, phase load.Phase) bool {
	i := phase.Number - 1
	return i >= 0 && i < len(p.Phases) && p.Phases[i].Direct
}

// lookupsOf says who draws the keys in a phase.
func lookupsOf(p *plan.Plan, phase load.Phase) string {
	for i, planned := range p.Phases {
		if phase.Number == i+1 && planned.Lookups != "" {
			return planned.Lookups
		}
	}
	return p.Dataset.Lookups
}

// pilotFound keeps what the pilot found of a target.
func (r *run) pilotFound(name string, found stats.Totals) {
	r.pilot.Throughput[name] = found.Goodput()
	r.learn(name, found)
}

// keepPilot writes what the pilot found. A target without a valid pilot trial is tried in
// the blocks all the same; where no target has one, a rate that depends on
// the pilot cannot be known, and the run ends.
func (r *run) keepPilot() error {
	r.piloted = true
	if err := r.noMemory(); err != nil {
		return err
	}
	for _, t := range r.o.Plan.Targets {
		found, ok := r.pilot.Throughput[t.Name]
		if !ok {
			r.o.tell(record.Progress{Text: "the pilot found no throughput of " + t.Name + ": every attempt was invalid"})
			continue
		}
		if r.pilot.Slowest == "" || found < r.pilot.Throughput[r.pilot.Slowest] {
			r.pilot.Slowest = t.Name
		}
	}
	if r.pilot.Slowest == "" {
		if slices.ContainsFunc(r.o.Plan.Phases, func(p plan.Phase) bool { return p.RateOfPilot > 0 }) {
			return errors.New("the pilot found no throughput of any target, but a rate of the plan is a share of it")
		}
		return nil
	}
	if err := r.writer.Update(func(rec *record.Run) { rec.Pilot = r.pilot }); err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	r.o.tell(record.Progress{Text: fmt.Sprintf("pilot: the slowest target is %s with %.0f/s", r.pilot.Slowest, r.pilot.Throughput[r.pilot.Slowest])})
	return nil
}
