package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"bakeoff/internal/collect"
	"bakeoff/internal/contract"
	"bakeoff/internal/dataset"
	"bakeoff/internal/driver"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/target"
	"bakeoff/internal/venue"
)

// A driver is a target without a server: the agents ask the database themselves, under an account of its own, and what they and
// the database counted is judged as of any other target.

// driven is the entrant of a driver. It has nothing to prepare, no replica, and a database connection for each of the agents'.
func (o *Options) driven(t plan.Target) (*entrant, error) {
	protocol, err := o.protocol()
	if err != nil {
		return nil, err
	}
	recipe := target.Asked("the database, asked by the agents themselves", protocol)
	return &entrant{plan: t, recipe: recipe, prepared: &target.Prepared{Recipe: recipe}}, nil
}

// protocol is that of a driver: prepared statements where all targets that it is compared with use them, else text.
func (o *Options) protocol() (string, error) {
	for _, t := range o.Plan.Ranked() {
		e, err := o.entrant(t)
		if err != nil {
			return "", err
		}
		if e.recipe.Protocol != target.ProtocolPrepared {
			return target.ProtocolText, nil
		}
	}
	return target.ProtocolPrepared, nil
}

// served are the entrants that have a server.
func served(all []*entrant) []*entrant {
	return slices.DeleteFunc(slices.Clone(all), func(e *entrant) bool { return e.plan.Driver() })
}

// drives reports whether the trial's target is a driver.
func (t *trial) drives() bool {
	return slices.ContainsFunc(t.run.o.Plan.Targets, func(p plan.Target) bool { return p.Name == t.rec.Target && p.Driver() })
}

// engineOf is the engine that carries out a phase of the trial: a driver's connections are made by the one on Go's own stack.
func (t *trial) engineOf(phase load.Phase) string {
	if t.drives() {
		return plan.HTTP
	}
	return t.run.engineOf(phase)
}

// driverSpec says how the agents reach the database.
func (d *replicated) driverSpec() driver.Spec {
	return driver.Spec{
		Host: d.login.Host, Port: d.login.Port, User: d.login.User, Password: d.login.Password, Schema: d.login.Name,
		Prepared: d.entrant.recipe.Protocol == target.ProtocolPrepared,
	}
}

// driverTask is the same lookups as of any other target, or pings of the server.
func (d *replicated) driverTask(lookups dataset.WorkloadSpec, ping bool) (fleet.Task, error) {
	spec := d.driverSpec()
	spec.Lookup, spec.Ping = lookups, ping
	workload, err := json.Marshal(spec)
	if err != nil {
		return fleet.Task{}, fmt.Errorf("controller: %w", err)
	}
	return fleet.Task{URLs: []string{driver.Base}, Contract: driver.Contract, Workload: workload}, nil
}

// fewAsked is how many names a check of a driver asks for; every second one exists.
const fewAsked = 8

// checkDriver asks for a few names as the agents do, and compares the answers with ours and the statements with the names.
func (d *replicated) checkDriver(ctx context.Context, when string) (findings, error) {
	s := d.stage
	d.learned.LengthPresent, d.learned.LengthAbsent = driver.LengthPresent, driver.LengthAbsent
	if s.o.Checked != nil {
		result, err := s.o.ask(ctx, s.contract(), when, nil, "")
		return findings{checks: result.Checks, reasons: result.Reasons()}, err
	}
	names := make([]string, fewAsked)
	for i := range names {
		if names[i] = fmt.Sprintf("nobody%d", i); i%2 == 0 {
			names[i] = s.rows.Name(1 + int64(i)*s.rows.Rows()/fewAsked)
		}
	}
	earlier, _, err := contract.Idle(ctx, s.db)
	if err != nil {
		return findings{}, fmt.Errorf("database counters: %w", err)
	}
	ids, askErr := driver.Ask(ctx, d.driverSpec(), names)
	later, _, err := contract.Idle(ctx, s.db)
	if err != nil {
		return findings{}, fmt.Errorf("database counters: %w", err)
	}
	answers := record.Check{When: when, Name: "lookups", OK: askErr == nil}
	if askErr != nil {
		answers.Detail = askErr.Error()
	} else if answers.Detail, err = d.wrong(ctx, names, ids); err != nil {
		return findings{}, err
	}
	answers.OK = answers.Detail == ""
	statements := record.Check{When: when, Name: "statements", OK: true}
	if reads := later.Sub(earlier).Reads; askErr == nil && reads != fewAsked {
		statements.OK, statements.Detail = false, fmt.Sprintf("asked for %d names, the database counted %d row-reading statements", fewAsked, reads)
	}
	result := contract.Result{Checks: []record.Check{answers, statements}}
	return findings{checks: result.Checks, reasons: result.Reasons()}, nil
}

// wrong says which answer differs from that of our own lookup; empty: none does.
func (d *replicated) wrong(ctx context.Context, names []string, ids []int64) (string, error) {
	for i, name := range names {
		want, exists, err := d.stage.db.Lookup(ctx, name)
		if err != nil {
			return "", err
		}
		if !exists {
			want = 0
		}
		if ids[i] != want {
			return fmt.Sprintf("asked for %q, got id %d, expected %d (0: there is none)", name, ids[i], want), nil
		}
	}
	return "", nil
}

// undeployed is what a driver has in place of replicas.
type undeployed struct{}

func (undeployed) URLs() []string                            { return nil }
func (undeployed) Dial() []string                            { return nil }
func (undeployed) Replicas() []record.Replica                { return nil }
func (undeployed) Requests(context.Context) (int64, error)   { return -1, nil }
func (undeployed) LogLines() (int64, error)                  { return 0, nil }
func (undeployed) CountConnections() error                   { return nil }
func (undeployed) Freeze(context.Context) error              { return venue.ErrNoFreezing }
func (undeployed) Thaw(context.Context) error                { return venue.ErrNoFreezing }
func (undeployed) Redraw(context.Context) error              { return nil }
func (undeployed) Intact() error                             { return nil }
func (undeployed) Sources() []collect.Source                 { return nil }
func (undeployed) Commands() []string                        { return nil }
func (undeployed) Stop(context.Context, time.Duration) error { return nil }
