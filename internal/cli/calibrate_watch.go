package cli

import (
	"context"
	"errors"
	"fmt"
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
	// watchEvery is how often the machine is looked at during a calibration, and restFor how long before it, up to restLooks times
	// until others leave it alone.
	watchEvery = 500 * time.Millisecond
	restFor    = 5 * time.Second
	restLooks  = 3
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

// atRest waits until others leave the machine alone, and fails where they do not: what they use all the time would be missing in
// every figure, and a ceiling that is too low would be kept for as long as a calibration lasts.
func (w *watched) atRest(ctx context.Context) error {
	return awaitRest(&w.rest, func() error { return w.look(ctx) })
}

// awaitRest looks until one look finds the machine at rest; look fills in what it saw.
func awaitRest(rest *record.Baseline, look func() error) error {
	busy := ""
	for rest.Looks < restLooks {
		if err := look(); err != nil {
			return err
		}
		rest.Looks++
		if busy = notAtRest(*rest); busy == "" {
			return nil
		}
	}
	return fmt.Errorf("%w: before anything was loaded, %s", calibrate.ErrDisturbed, busy)
}

// notAtRest is why a calibration must not begin on a machine; empty: nothing, or nobody asks because nothing is kept.
func notAtRest(rest record.Baseline) string {
	switch {
	case rest.WarnOnly:
		return ""
	case !rest.Watched():
		return "it was not known whether others used the machine"
	}
	return gate.Restless(record.Baseline{Container: rest.Container}, rest.Disturbance)
}

// look watches the machine for a while in which nothing is loaded.
func (w *watched) look(ctx context.Context) error {
	var host gate.Host
	err := w.sample(ctx, func(s record.Series) { host.Add(s) }, func() error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(restFor):
			return nil
		}
	})
	w.rest.At, w.rest.Seconds, w.rest.Cores, w.rest.Disturbance = time.Now(), host.Seconds(), host.Cores(), host.Disturbance()
	return err
}

// sent sends a phase to a URL, and what became of it.
func (w *watched) sent(ctx context.Context, url string, p load.Phase) (out calibrate.Loaded, err error) {
	judged := gate.NewPhase(record.Phase{Number: p.Number, Name: p.Name, Model: string(p.Model), DurationS: p.Duration.Seconds()})
	err = w.sample(ctx, judged.Series, func() error {
		out.Totals, err = send(ctx, w.agents, url, p, func(s fleet.Snapshot) { judged.Load(s.Agent, s.Window) })
		return err
	})
	w.judge(&out, judged.Judge(&w.rest))
	return out, err
}

// judge notes why a phase does not count; other reasons than these are about what witnesses counted.
func (w *watched) judge(l *calibrate.Loaded, found gate.Judgement) {
	for _, r := range found.Reasons {
		switch r.Code {
		case record.CodeDisturbedHost:
			l.Disturbed = append(l.Disturbed, r.Text)
		case record.CodeGeneratorLimited:
			l.Late = append(l.Late, r.Text)
		}
	}
	for _, r := range found.Warnings {
		if r.Code == record.CodeNotWatched && !w.rest.WarnOnly {
			l.Disturbed = append(l.Disturbed, r.Text)
		}
	}
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
