package controller

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"bakeoff/internal/gate"
	"bakeoff/internal/record"
)

const (
	// restLooks is how often the machine is watched at rest where others use it.
	restLooks = 3
	// quietWithin is how long a repeat waits for a machine that others leave alone, and quietFor
	// how long each look takes.
	quietWithin = time.Minute
	quietFor    = time.Second
	// restPhase is the phase of samples taken while nothing is loaded.
	restPhase = 0
)

// measureRest finds out what others do on the machine while the run has started everything and loads
// nothing. A short run measures nothing, so it only sets the terms.
func (r *run) measureRest(ctx context.Context) error {
	warn := r.o.Shared || r.o.Short || len(oneMachine(r.o.Venue.Nodes())) > 0
	rest := record.Baseline{WarnOnly: warn, Container: r.o.Venue.Hidden(), Mixed: r.mixed()}
	if !r.o.Short {
		long := r.o.Plan.Rest()
		r.o.tell(record.Progress{Text: "watching the machine at rest", Expect: long})
		host, looks, err := r.quietest(ctx, long)
		if err != nil {
			return err
		}
		rest.Seconds, rest.Cores, rest.Looks, rest.Disturbance = host.Seconds(), host.Cores(), looks, host.Disturbance()
		if !rest.Watched() {
			r.o.tell(record.Progress{Text: "it is not known whether others use the machine at rest: it could not be sampled", Lasting: true})
		}
		if text := gate.Restless(record.Baseline{Container: rest.Container}, rest.Disturbance); text != "" {
			r.o.tell(record.Progress{Text: "before any load, " + text, Lasting: true})
		}
	}
	rest.At = time.Now()
	r.rest = &rest
	return r.writer.Update(func(rec *record.Run) { rec.Baselines = append(rec.Baselines, rest) })
}

// quietest is the look at the machine in which others used the least of it, of those up to the first that finds it
// at rest, and of restLooks at most, with the number of looks: a program that happens to run just then is not what the machine is like at
// rest, and would excuse whatever comes later. Where the user agreed to share the machine nothing needs an excuse,
// and one look is enough.
func (r *run) quietest(ctx context.Context, long time.Duration) (best *gate.Host, looks int, err error) {
	most := restLooks
	if r.o.Shared {
		most = 1
	}
	for looks < most {
		host, err := r.watchHost(ctx, long)
		if err != nil {
			return nil, looks, err
		}
		d := host.Disturbance()
		if looks++; best == nil || !best.Disturbance().Watched() || d.Watched() && d.Foreign < best.Disturbance().Foreign {
			best = host
		}
		if d.Watched() && gate.Restless(record.Baseline{}, d) == "" {
			break
		}
	}
	return best, looks, nil
}

// watchHost samples the machine for so long, while the run loads nothing.
func (r *run) watchHost(ctx context.Context, d time.Duration) (*gate.Host, error) {
	host := &gate.Host{}
	sampler := r.o.Venue.Sample(context.WithoutCancel(ctx), sampleEvery, r.sources(), nil, func(s record.Series) error {
		if s.Phase == restPhase {
			host.Add(s)
			r.memory.host(s)
		}
		return nil
	})
	sampler.Phase(restPhase)
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	sampler.Phase(-1)
	if err := sampler.Stop(); err != nil {
		return nil, fmt.Errorf("controller: %w", err)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return host, nil
}

// awaitQuiet waits, before a trial is repeated, until others have left the machine alone for a second.
func (r *run) awaitQuiet(ctx context.Context) {
	deadline := time.Now().Add(quietWithin)
	for time.Now().Before(deadline) {
		host, err := r.watchHost(ctx, quietFor)
		if err != nil {
			return // the trial will say so
		}
		text := gate.Restless(*r.rest, host.Disturbance())
		if text == "" {
			return
		}
		r.o.tell(record.Progress{Text: "waiting for a quieter machine: " + text})
	}
}

// mixed reports whether servers under test may run on this machine that the run did not start.
func (r *run) mixed() bool {
	rec := r.writer.Run()
	for _, t := range rec.Targets {
		if t.Kind == record.KindURL && onThisMachine(t.Address) {
			return true
		}
	}
	return rec.Database.Kind == "external" || rec.Balancer.Kind == "external"
}

// onThisMachine reports whether an address, with its port, is one of this machine's.
func onThisMachine(address string) bool {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return false
	}
	ip := at.Addr().Unmap()
	own, _ := net.InterfaceAddrs() // loopback is known without
	for _, one := range own {
		if prefix, err := netip.ParsePrefix(one.String()); err == nil && prefix.Addr().Unmap() == ip {
			return true
		}
	}
	return ip.IsLoopback()
}
