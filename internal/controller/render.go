package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"net"

	"bakeoff/internal/dataset"
	"bakeoff/internal/endpoint"
	"bakeoff/internal/fleet"
	"bakeoff/internal/plan"
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
