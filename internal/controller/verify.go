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
	"bakeoff/internal/target"
)

// Findings is what the contract check found of one target.
type Findings struct {
	Target  string         `json:"target"`
	URL     string         `json:"url,omitempty"`   // of a running server
	Error   string         `json:"error,omitempty"` // why it could not be checked
	Checks  []record.Check `json:"checks"`
	Workers int            `json:"workers"` // that said they are ready
	// Seen is what the recipe declares, against what was seen.
	Seen []Seen `json:"declared,omitempty"`
}

// Seen is one thing that a recipe and a plan declare of a target, against what was seen.
type Seen struct {
	What     string `json:"what"`
	Declared string `json:"declared"`
	Seen     string `json:"seen"`
}

// OK reports whether every check holds.
func (f Findings) OK() bool {
	for _, c := range f.Checks {
		if !c.OK {
			return false
		}
	}
	return f.Error == "" && len(f.Checks) > 0
}

// Verify starts each target in turn, checks the whole contract, stops it, and hands
// what it found to emit. It returns ErrContract when one fails.
func Verify(ctx context.Context, o Options, emit func(Findings)) (err error) {
	o.salt = newSalt()
	s := o.stage()
	if err := s.preflight(ctx); err != nil {
		return err
	}
	dir, remove, err := o.Venue.Temporary("verify")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	if err := s.open(ctx, dir); err != nil {
		return err
	}
	var failed []string
	for _, t := range o.Plan.Targets {
		v, err := o.verify(ctx, s, t, filepath.Join(dir, t.Name))
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

// stopped adds what a target did when it was stopped to what was found of it before; any other error is returned.
func (f *Findings) stopped(err error) error {
	for _, its := range []error{target.ErrLeft, target.ErrUnclaimed, target.ErrPortHeld} {
		if errors.Is(err, its) {
			f.Error = strings.TrimPrefix(f.Error+"\n"+err.Error(), "\n")
			return nil
		}
	}
	return err
}

func (o *Options) verify(ctx context.Context, s stage, t plan.Target, dir string) (v Findings, err error) {
	v = Findings{Target: t.Name, URL: t.URL}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return v, fmt.Errorf("controller: %w", err)
	}
	if s.owns() {
		o.tell(record.Progress{Target: t.Name, Text: "starting"})
	}
	d := s.deploy(ctx, launch{name: t.Name, logDir: dir})[0]
	defer func() { err = errors.Join(err, v.stopped(d.stop(ctx))) }()
	if d.err != nil {
		v.Error = d.err.Error()
		return v, nil
	}
	v.Workers = d.workers()
	o.tell(record.Progress{Target: t.Name, Text: "checking the contract"})
	found, err := d.check(ctx, before, true)
	v.Checks = found.checks
	if err != nil {
		return v, err
	}
	kept, counted, err := d.keptOpen()
	if err != nil {
		return v, err
	}
	if counted {
		v.Checks = append(v.Checks, kept)
	}
	v.Seen, err = d.seen(ctx, v.Checks)
	return v, err
}
