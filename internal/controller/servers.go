package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/collect"
	"bakeoff/internal/consent"
	"bakeoff/internal/contract"
	"bakeoff/internal/endpoint"
	"bakeoff/internal/fleet"
	"bakeoff/internal/gate"
	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/target"
	"bakeoff/internal/venue"
)

// servers is the stage of targets that run already: nothing is started and
// nothing stopped, and nobody but the agents counts requests.
type servers struct {
	o     *Options
	names consent.Resolver
	all   []*server // in plan order; known after preflight
}

// server is one of them. It is its own deployment: there is nothing to deploy.
type server struct {
	plan  plan.Target
	http2 bool
	endpoint.Endpoint
}

// preflight finds the one address of each server; a name may lead to one that nothing is sent to.
func (s *servers) preflight(ctx context.Context) error {
	if s.o.Keep {
		return &PlanError{errors.New("--keep leaves the processes of the first trial running, but a plan of running servers starts none")}
	}
	s.all = nil
	var errs []error
	for _, t := range s.o.Plan.Targets {
		if err := tlsOf(t.TLS).Check(); err != nil {
			errs = append(errs, &PlanError{fmt.Errorf("target %s: %w", t.Name, err)})
		}
		at, err := endpoint.At(ctx, s.names, t.URL, s.o.Plan.AllowHosts)
		if err != nil {
			errs = append(errs, fmt.Errorf("target %s: %w", t.Name, err))
		}
		s.all = append(s.all, &server{t, s.o.Plan.Agents.HTTP2, at.Fixed()})
	}
	err := errors.Join(errs...)
	if _, files := errors.AsType[*PlanError](err); files {
		return err
	}
	if _, refused := errors.AsType[*consent.RefusedError](err); refused {
		return &PlanError{err}
	}
	if err != nil {
		return err
	}
	if missing := s.o.needs(ctx); len(missing) > 0 {
		return &MissingError{missing}
	}
	return nil
}

func (s *servers) missing(ctx context.Context) ([]target.Need, error) { return s.o.needs(ctx), nil }

// outline says what each server is asked, and how hard.
func (s *servers) outline() ([]string, error) {
	p := s.o.Plan
	var out []string
	for _, t := range p.Targets {
		out = append(out, fmt.Sprintf("%s: requests %s; a right answer has %s", t.Name, t.URL, rightOf(t.Expect)))
	}
	protocol := ""
	if p.Agents.HTTP2 {
		protocol = " in HTTP/2"
	}
	each := "one after another"
	if s.o.inTurns() == nil {
		each = fmt.Sprintf("in turns of %v", p.Turns)
	}
	out = append(out, fmt.Sprintf("%s%s, by %d agents, at most %d requests at a time:", each, protocol, p.Agents.Count, p.InFlight()))
	for _, ph := range p.Phases {
		out = append(out, fmt.Sprintf("  %s, %v: %s", ph.Name, ph.Duration, pace(ph)))
	}
	return out, nil
}

func pace(p plan.Phase) string {
	switch {
	case p.Model == load.Closed:
		return fmt.Sprintf("as fast as %d connections get answers", p.Connections)
	case p.Rate > 0:
		return fmt.Sprintf("%v requests per second", p.Rate)
	}
	return fmt.Sprintf("%v of what the slowest server answers in the pilot", p.RateOfPilot)
}

func rightOf(e plan.Expect) string {
	text := fmt.Sprintf("status %d", e.Status)
	if e.Body != "" {
		text += fmt.Sprintf(" and a body with %q", e.Body)
	}
	return text
}

// overhead as seen on two cores.
func (s *servers) overhead() plan.Overhead {
	return plan.Overhead{
		Setup: time.Second, Trial: 200 * time.Millisecond, Phase: 500 * time.Millisecond,
		Together: 200 * time.Millisecond, Slice: 20 * time.Millisecond,
	}
}

func (s *servers) owns() bool { return false }

// open has nothing to start: preflight has found the addresses.
func (s *servers) open(context.Context, string) error { return nil }

// same refuses servers that were at another address.
func (s *servers) same(rec record.Run) error {
	for i, was := range rec.Targets {
		if is := s.all[i]; is.Dial != was.Address {
			return fmt.Errorf("%s was at %s when the run began and is at %s now", was.Name, was.Address, is.Dial)
		}
	}
	return nil
}

func (s *servers) describe(rec *record.Run) {
	for _, one := range s.all {
		e := one.plan.Expect
		rec.Targets = append(rec.Targets, record.TargetInfo{
			Name: one.plan.Name, Kind: record.KindURL, URL: one.plan.URL, Address: one.Dial, Expect: &record.Expect{Status: e.Status, Body: e.Body},
		})
	}
	addNote(rec, "running servers: nothing was deployed, and there was no second witness: all counts are the agents' own")
}

func (s *servers) look(context.Context) error { return nil }

// change changes nothing: nobody knows what the servers answer from.
func (s *servers) putBack(context.Context) error { return nil }

func (s *servers) change(context.Context, load.Phase, string, outlook) (*mover, error) {
	return nil, nil
}

func (s *servers) deploy(_ context.Context, launches ...launch) []launched {
	out := make([]launched, len(launches))
	for i, l := range launches {
		at := slices.IndexFunc(s.all, func(one *server) bool { return one.plan.Name == l.name })
		out[i].deployment = s.all[at] // the names come from the plan that these are from
	}
	return out
}

func (s *servers) sources() []collect.Source                                { return nil }
func (s *servers) gauges() collect.Status                                   { return nil }
func (s *servers) end(context.Context, func(func(*record.Run)) error) error { return nil }
func (s *servers) close(context.Context) error                              { return nil }

// check asks a handful of times on more than one connection.
func (s *server) check(ctx context.Context, when string, full bool) (findings, error) {
	probe := endpoint.Probe{Endpoint: s.Endpoint, HTTP2: s.http2, TLS: tlsOf(s.plan.TLS), Status: s.plan.Expect.Status, Body: s.plan.Expect.Body, Connections: 2, Each: 2}
	if full {
		probe.Connections, probe.Each = 4, 5
	}
	found, err := probe.Check(ctx, when)
	if err != nil {
		return findings{}, err
	}
	result := contract.Result{Checks: found.Checks}
	out := findings{checks: result.Checks, reasons: result.Reasons()}
	if failed := result.Failed(); found.Answered == 0 && len(failed) > 0 {
		text := fmt.Sprintf("%s does not answer %s the load: %s", s.plan.URL, when, failed[0].Detail)
		out.reasons = []record.Reason{{Code: record.CodeNoAnswer, Text: text}}
	}
	return out, nil
}

// task is the one request of the plan, again and again.
func (s *server) task(load.Phase) (fleet.Task, error) {
	spec, err := json.Marshal(endpoint.Spec{
		Targets: [][]string{s.Target}, Status: strconv.Itoa(s.plan.Expect.Status), Body: s.plan.Expect.Body,
	})
	if err != nil {
		return fleet.Task{}, fmt.Errorf("controller: %w", err)
	}
	return fleet.Task{URLs: []string{s.Base}, Dial: []string{s.Dial}, TLS: tlsOf(s.plan.TLS), Contract: endpoint.Contract, Workload: spec}, nil
}

// tlsOf is what a plan says of TLS, for anyone who works in another folder.
func tlsOf(t plan.TLS) load.TLS {
	whole := func(path string) string {
		if path == "" {
			return ""
		}
		if abs, err := filepath.Abs(path); err == nil {
			return abs
		}
		return path
	}
	return load.TLS{Insecure: t.Insecure, CAFile: whole(t.CAFile), CertFile: whole(t.CertFile), KeyFile: whole(t.KeyFile), ServerName: t.ServerName}
}

// count counts nothing.
func (s *server) count(context.Context) (witnessCount, error) {
	return func(context.Context, int64) (record.Witness, error) {
		return record.Witness{DatabaseReads: gate.NotCounted, BalancerTotal: gate.NotCounted, Connections: gate.NotCounted}, nil
	}, nil
}

// account counts nothing.
func (s *server) account(context.Context) (account, error) { return noAccount{}, nil }

type noAccount struct{}

func (noAccount) still(context.Context) error      { return nil }
func (noAccount) turn(context.Context, bool) error { return nil }
func (noAccount) total(context.Context) (record.Witness, error) {
	return record.Witness{DatabaseReads: gate.NotCounted, BalancerTotal: gate.NotCounted, Connections: gate.NotCounted}, nil
}

func (s *server) freeze(context.Context) error { return venue.ErrNoFreezing }
func (s *server) thaw(context.Context) error   { return venue.ErrNoFreezing }

// redraw has nothing to do but where the agents' new connections would need handshakes of TLS.
func (s *server) redraw(context.Context) error {
	if strings.HasPrefix(s.plan.URL, "https:") {
		return errNoRedraw
	}
	return nil
}

func (s *server) examine(context.Context) error                        { return nil }
func (s *server) reasons() []record.Reason                             { return nil }
func (s *server) describe(*record.Trial)                               {}
func (s *server) sources() []collect.Source                            { return nil }
func (s *server) claimed(line record.Series) record.Series             { return line }
func (s *server) names() map[string]string                             { return nil }
func (s *server) keptOpen() (record.Check, bool, error)                { return record.Check{}, false, nil }
func (s *server) seen(context.Context, []record.Check) ([]Seen, error) { return nil, nil }
func (s *server) workers() int                                         { return 0 }
func (s *server) countConnections() error                              { return nil }
func (s *servers) ended() error                                        { return nil }

func (s *server) intact() error { return nil }

// recovered has nothing to wait for: nothing but its answers is known of the server.
func (s *server) recovered(context.Context) error { return nil }

func (s *server) manualCommands() []string   { return nil }
func (s *server) stop(context.Context) error { return nil }
