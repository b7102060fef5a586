package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"

	"bakeoff/internal/dataset"
	"bakeoff/internal/endpoint"
	"bakeoff/internal/fleet"
	"bakeoff/internal/plan"
	"bakeoff/internal/target"
)

// placeholder stands where the address of a target is that was not started.
const placeholder = "http://127.0.0.1:8080"

// TaskOf is what phase number n, from 1, of a plan asks, as far as that is known before anything was started: of running
// servers the first, of recipes any, at a made-up address and without the lengths of right answers.
func TaskOf(ctx context.Context, p *plan.Plan, n int) (fleet.Task, error) {
	if n < 1 || n > len(p.Phases) {
		return fleet.Task{}, fmt.Errorf("the plan has no phase %d", n)
	}
	planned := p.Phases[n-1]
	if planned.RateOfPilot > 0 {
		return fleet.Task{}, fmt.Errorf("phase %s: its rate is known after the pilot only", planned.Name)
	}
	r := &run{o: &Options{Plan: p}}
	phase := r.phaseOf(n, planned)
	task := fleet.Task{URLs: []string{placeholder}, Contract: Contract}
	var err error
	if p.Running() {
		t := p.Targets[0]
		at, atErr := endpoint.At(ctx, net.DefaultResolver, t.URL, p.AllowHosts)
		if atErr != nil {
			return fleet.Task{}, fmt.Errorf("target %s: %w", t.Name, atErr)
		}
		task, err = (&server{t, p.Agents.HTTP2, at.Fixed()}).task(phase)
	} else {
		task.Workload, err = json.Marshal(dataset.WorkloadSpec{
			Dataset: rowsOf(p), Seed: p.Seed, HitRatio: p.Dataset.HitRatio, Lookups: lookupsOf(p, phase), LengthPresent: -1, LengthAbsent: -1,
		})
	}
	task.Phase, task.Seed, task.Engine = phase, p.Seed, r.engineOf(phase)
	return task, err
}

// rowsOf are the rows of the plan's table.
func rowsOf(p *plan.Plan) dataset.Spec {
	d := p.Dataset
	return dataset.Spec{Rows: d.Rows, Seed: d.Seed, MinLength: d.Lengths.Min, MaxLength: d.Lengths.Max}
}

// Ahead is what is known of a run of recipes before anything is started; for running servers nothing is.
type Ahead struct {
	Recipes     []*target.Recipe // of the plan's targets, in their order
	Connections int              // that the database has to allow
	Together    bool             // all targets are up at the same time
}

// LookAhead resolves the plan's recipes, and refuses what a run of them would be refused for wherever it is.
func LookAhead(o Options) (Ahead, error) {
	if o.Plan.Running() {
		return Ahead{}, nil
	}
	entrants, err := o.resolve()
	if err != nil {
		return Ahead{}, err
	}
	if err := errors.Join(o.budget(entrants), o.within(entrants), o.fair(entrants)); err != nil {
		return Ahead{}, &PlanError{err}
	}
	ahead := Ahead{Connections: o.connectionsNeeded(entrants), Together: o.inTurns() == nil}
	for _, e := range entrants {
		ahead.Recipes = append(ahead.Recipes, e.recipe)
	}
	return ahead, nil
}
