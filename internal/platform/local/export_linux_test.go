package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
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

// WithColdWithin is o for groups that may take as long as d to freeze before their processes are stopped one by one.
func (o Options) WithColdWithin(d time.Duration) Options {
	o.coldWithin = d
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

// ColdGroups is how many groups of a guard's trees the kernel holds frozen.
func ColdGroups(guard int) (cold int) {
	for _, dir := range Groups(guard) {
		found, _ := filepath.Glob(filepath.Join(dir, "*", "cgroup.events"))
		for _, file := range found {
			if data, _ := os.ReadFile(file); strings.Contains(string(data), "frozen 1") {
				cold++
			}
		}
	}
	return cold
}
