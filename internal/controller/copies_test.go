package controller

import (
	"strings"
	"testing"
	"time"

	"bakeoff/internal/dataset"
	"bakeoff/internal/load"
)

// copier answers some keys from a copy of the table that was made before the phase, and looks the others up.
type copier func(key string, asked int, at time.Duration) (fromCopy bool)

// copiers are those that take care, and one that does not. asked is how often the key has come before.
func copiers() map[string]copier {
	return map[string]copier{
		"all":                       func(string, int, time.Duration) bool { return true },
		"new keys":                  func(_ string, asked int, _ time.Duration) bool { return asked == 0 },
		"keys that repeat":          func(_ string, asked int, _ time.Duration) bool { return asked > 0 },
		"new keys of the beginning": func(_ string, asked int, at time.Duration) bool { return asked == 0 && at < time.Second },
		"new keys of the end":       func(_ string, asked int, at time.Duration) bool { return asked == 0 && at > 7*time.Second },
		"short keys":                func(key string, _ int, _ time.Duration) bool { return len(key) <= 16 },
		"keys of one letter":        func(key string, _ int, _ time.Duration) bool { return strings.HasPrefix(key, "a") },
	}
}

// Whichever keys a target answers from its copy, some of these answers are stale, at every rate: of those of a phase of 10 s in the open
// model, counted as the gate judges them, with the moves that the controller would make.
func TestCopiesAreFound(t *testing.T) {
	for _, rate := range []float64{1000, 10_000, 20_000} {
		phase := load.Phase{Number: 1, Model: load.Open, Rate: rate, Duration: 10 * time.Second}
		stale, copied := staleOf(t, phase)
		if len(copied) != len(copiers()) {
			t.Errorf("%v/s: of %d copiers only %d answer from a copy", rate, len(copiers()), len(copied))
		}
		for name, all := range copied {
			n := stale[name]
			t.Logf("%v/s, %s: %d of %d answers from the copy are stale", rate, name, n, all)
			// At least one in 2,000 is, so that a target that spares itself 5 % of the lookups of 100,000 is found in all but 8 of 100 phases.
			if float64(n) < float64(all)/2000 || name != "keys of one letter" && name != "short keys" && n < 3 {
				t.Errorf("%v/s, %s: %d of %d answers from the copy are stale", rate, name, n, all)
			}
		}
	}
}

// staleOf counts the answers of each copier that come from its copy, and of these the stale ones.
func staleOf(t *testing.T, phase load.Phase) (stale, copied map[string]int) {
	t.Helper()
	rows := dataset.Spec{Rows: 300_000, Seed: 1, MinLength: 1, MaxLength: 255}
	d, err := dataset.New(rows)
	if err != nil {
		t.Fatal(err)
	}
	spec := dataset.MoveSpec{Secret: "a secret", Asked: phase.Rate * phase.Duration.Seconds(), Margin: lateBy.Seconds() / phase.Duration.Seconds()}
	spec.Count, spec.Share = movesOf(phase, 0)
	spec.Ahead = spec.Count / aheadOf
	w, err := d.Workload(dataset.WorkloadSpec{Dataset: rows, Seed: 3, Salt: "salt", HitRatio: 0.5, Lookups: dataset.Client, LengthPresent: -1, LengthAbsent: -1, Moves: &spec})
	if err != nil {
		t.Fatal(err)
	}
	stale, copied = map[string]int{}, map[string]int{}
	asked, moving, all := map[string]int{}, 0, copiers()
	for n := range uint64(spec.Asked) {
		at := time.Duration(float64(n) / phase.Rate * float64(time.Second))
		key := string(w.AppendTarget(nil, 1<<32, n))[len("/demo?name="):]
		move := w.Moving(1<<32, n)
		untrue := false
		if move >= 0 {
			moving++
			untrue = move < spec.Ahead || at.Seconds() > spec.At(move)*phase.Duration.Seconds()+1
		}
		for name, takes := range all {
			if !takes(key, asked[key], at) {
				continue
			}
			if copied[name]++; untrue {
				stale[name]++
			}
		}
		asked[key]++
	}
	if share := float64(moving) / spec.Asked; share < 0.015 {
		t.Errorf("%v/s: %v of the requests ask for rows that change", phase.Rate, share)
	}
	return stale, copied
}
