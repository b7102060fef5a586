package controller

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"bakeoff/internal/plan"
	"bakeoff/internal/record"
)

// Verdict is what the contract check found of one target.
type Verdict struct {
	Target  string         `json:"target"`
	Error   string         `json:"error,omitempty"` // why it could not be checked
	Checks  []record.Check `json:"checks"`
	Workers int            `json:"workers"` // that said they are ready
}

// OK tells whether every check holds.
func (v Verdict) OK() bool {
	for _, c := range v.Checks {
		if !c.OK {
			return false
		}
	}
	return v.Error == "" && len(v.Checks) > 0
}

// Verify starts each target in turn, checks the whole contract, stops it, and hands
// its verdict to emit. It returns ErrContract when one fails.
func Verify(ctx context.Context, o Options, emit func(Verdict)) (err error) {
	if err := Preflight(ctx, o); err != nil {
		return err
	}
	dir, remove, err := temporary(verifyPrefix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	s, err := o.open(ctx, dir)
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	if err != nil {
		return err
	}
	var failed []string
	for _, e := range s.entrants {
		v, err := s.verify(ctx, e, filepath.Join(dir, e.plan.Name))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		if !v.OK() {
			failed = append(failed, v.Target)
		}
		emit(v)
	}
	if len(failed) > 0 {
		return fmt.Errorf("%w: %s", ErrContract, strings.Join(failed, ", "))
	}
	return nil
}

func (s *stage) verify(ctx context.Context, e *entrant, dir string) (v Verdict, err error) {
	v = Verdict{Target: e.plan.Name}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return v, fmt.Errorf("controller: %w", err)
	}
	s.o.tell(Event{Target: e.plan.Name, Text: "starting"})
	d, err := s.deploy(ctx, e, dir)
	defer func() { err = errors.Join(err, d.stop(ctx)) }()
	if err != nil {
		v.Error = err.Error()
		return v, nil
	}
	for _, r := range d.records {
		v.Workers += len(r.Workers)
	}
	s.o.tell(Event{Target: e.plan.Name, Text: "checking the contract"})
	contract := s.contract(s.o.Plan)
	contract.Full = true
	result, err := contract.Check(ctx, "before", d.endpoints(), d.front())
	if err != nil {
		return v, fmt.Errorf("contract of %s: %w", e.plan.Name, err)
	}
	v.Checks = result.Checks
	return v, nil
}

// info is the target as it stands in run.json.
func (e *entrant) info(p *plan.Plan) record.TargetInfo {
	pool := e.Pool
	if !e.recipe.Bounded() {
		pool = 0
	}
	return record.TargetInfo{
		Name: e.plan.Name, Recipe: e.plan.Recipe, Variant: e.plan.Variant, Title: e.recipe.Title, Tags: e.recipe.Tags,
		Replicas: e.Replicas, Workers: e.recipe.Processes(e.Workers), Pool: pool, Protocol: e.recipe.Protocol,
		AccessLog: e.AccessLog, Settings: e.recipe.Settings(e.Workers, e.Pool),
		Versions: e.prepared.Versions, Digest: e.prepared.Digest,
	}
}
