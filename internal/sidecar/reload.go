package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// reloadWithin is how long an nginx may take to replace its workers.
	reloadWithin = 5 * time.Second
	// reloadLook is how often it is looked whether it has.
	reloadLook = 2 * time.Millisecond
)

// Reload has the nginx of the main container replace its workers, and returns once none of the old ones is left: all connections
// are closed then.
func (p Pod) Reload(ctx context.Context) error {
	if p.Hang == nil {
		return errors.New("sidecar: nothing can be reloaded here")
	}
	before, err := p.processes()
	if err != nil {
		return fmt.Errorf("sidecar: reload: %w", err)
	}
	if len(before) < 2 {
		return errors.New("sidecar: reload: nginx has no worker process")
	}
	if err := p.Hang(before[0].PID); err != nil {
		return fmt.Errorf("sidecar: reload: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, reloadWithin, errors.New("nginx does not replace its workers"))
	defer cancel()
	look := time.NewTicker(reloadLook)
	defer look.Stop()
	for {
		now, err := p.processes()
		if err != nil {
			return fmt.Errorf("sidecar: reload: %w", err)
		}
		if replaced(before, now) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("sidecar: reload: %w", context.Cause(ctx))
		case <-look.C:
		}
	}
}

// replaced reports whether the first process is still the same, and has other children than before.
func replaced(before, now []Process) bool {
	if len(now) < 2 || now[0].PID != before[0].PID {
		return false
	}
	return !slices.ContainsFunc(now[1:], func(p Process) bool {
		return slices.ContainsFunc(before, func(old Process) bool { return old.PID == p.PID })
	})
}
