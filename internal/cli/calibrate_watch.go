package cli

import (
	"context"
	"errors"
	"slices"
	"time"

	"bakeoff/internal/calibrate"
	"bakeoff/internal/collect"
	"bakeoff/internal/fleet"
	"bakeoff/internal/gate"
	"bakeoff/internal/load"
	"bakeoff/internal/record"
	"bakeoff/internal/venue"
	"bakeoff/internal/venue/machine"
)

const (
	// watchEvery is how often the machine is looked at during a calibration, and restFor how long before it.
	watchEvery = 500 * time.Millisecond
	restFor    = 2 * time.Second
)

// withServers is this machine with the null servers of a comparison, which its run knows as URLs only: their CPU time is
// not that of other programs.
type withServers struct {
	*machine.Venue
	servers []collect.Source
}

// Sample implements venue.Venue.
func (v *withServers) Sample(ctx context.Context, every time.Duration, sources []collect.Source, status collect.Status, sink func(record.Series) error) venue.Sampler {
	return v.Venue.Sample(ctx, every, slices.Concat(sources, v.servers), status, sink)
}

// watched loads a null server while the machine is sampled, and judges the agents and the machine as a run does.
type watched struct {
	here    *machine.Venue
	agents  *fleet.Fleet
	sources []collect.Source // of the server
	rest    record.Baseline
}

// atRest finds out what others do on the machine while nothing is loaded.
func (w *watched) atRest(ctx context.Context) error {
	var host gate.Host
	err := w.sample(ctx, func(s record.Series) { host.Add(s) }, func() error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(restFor):
			return nil
		}
	})
	w.rest.Seconds, w.rest.Cores, w.rest.Disturbance = host.Seconds(), host.Cores(), host.Disturbance()
	return err
}

// sent sends a phase to a URL, and what became of it.
func (w *watched) sent(ctx context.Context, url string, p load.Phase) (out calibrate.Loaded, err error) {
	judged := gate.NewPhase(record.Phase{Number: p.Number, Name: p.Name, Model: string(p.Model), DurationS: p.Duration.Seconds()})
	err = w.sample(ctx, judged.Series, func() error {
		out.Totals, err = send(ctx, w.agents, url, p, func(s fleet.Snapshot) { judged.Load(s.Agent, s.Window) })
		return err
	})
	for _, r := range judged.Judge(&w.rest).Reasons { // the others are about what witnesses counted
		if r.Code == record.CodeDisturbedHost || r.Code == record.CodeGeneratorLimited {
			out.Refused = append(out.Refused, r.Text)
		}
	}
	return out, err
}

// sample samples the machine and all processes of the calibration while do lasts.
func (w *watched) sample(ctx context.Context, sink func(record.Series), do func() error) error {
	const phase = 1
	sources := w.sources
	for _, p := range w.agents.Processes() {
		sources = append(sources[:len(sources):len(sources)], collect.Source{Tier: "agent", Process: p})
	}
	sampler := w.here.Sample(context.WithoutCancel(ctx), watchEvery, sources, nil, func(s record.Series) error {
		if s.Phase == phase {
			sink(s)
		}
		return nil
	})
	sampler.Phase(phase)
	err := do()
	sampler.Phase(-1)
	return errors.Join(err, sampler.Stop())
}
