package local

import (
	"context"
	"slices"
)

// SweepMarkedOf is SweepMarked for some tokens alone, so that a test does not disturb others.
func SweepMarkedOf(ctx context.Context, tokens ...string) (Swept, error) {
	return sweepMarked(ctx, func(t token) bool { return slices.Contains(tokens, t.String()) })
}
