package local

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
)

// SweepMarkedOf is SweepMarked for some tokens alone, so that a test does not disturb others.
func SweepMarkedOf(ctx context.Context, tokens ...string) (Swept, error) {
	return sweepMarked(ctx, func(t token) bool { return slices.Contains(tokens, t.String()) })
}

// WithoutGroups is o for a machine on which no control group can be made.
func (o Options) WithoutGroups() Options {
	o.noGroups = true
	return o
}

// Groups are the folders with the control groups of a guard.
func Groups(guard int) []string {
	own, err := ownGroup()
	if err != nil {
		return nil
	}
	found, _ := filepath.Glob(filepath.Join(own, fmt.Sprintf("%s%d-*", groupPrefix, guard)))
	return found
}
