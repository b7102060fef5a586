package controller

import (
	"fmt"

	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// resume takes up a run that was left off, in its stored order. The pilot is
// not run again when it was complete.
func (r *run) resume() ([]plan.Trial, error) {
	w, left, err := record.Resume(r.o.Resume, r.o.Plan.Digest(), r.started)
	if err != nil {
		return nil, err
	}
	r.writer = w
	rec := w.Run()
	r.trials = len(rec.Order)
	if rec.Pilot != nil {
		r.pilot = rec.Pilot
	}
	r.number = r.trials - len(left)
	if err := r.recall(); err != nil {
		return nil, err
	}
	var out []plan.Trial
	for _, p := range left {
		out = append(out, plan.Trial{Block: p.Block, Position: p.Position, Target: p.Target})
	}
	return out, nil
}

// recall reads which trials were valid, and what the pilot's found.
func (r *run) recall() error {
	reader, err := record.Open(r.writer.Dir())
	if err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	for _, state := range reader.Trials() {
		t, err := state.Trial()
		if err != nil {
			continue // moved aside or unfinished: it is repeated
		}
		r.remember(t)
		if t.Block != 0 || t.Status != record.Valid {
			continue
		}
		books, err := booksOf(state, pilotPhase)
		if err != nil {
			return fmt.Errorf("controller: %w", err)
		}
		r.pilot.Throughput[t.Target] = throughput(t, books)
	}
	return nil
}

// booksOf adds up the recorded books of one phase.
func booksOf(state record.TrialState, phase int) (stats.Books, error) {
	var books stats.Books
	for line, err := range state.Loads() {
		if err != nil {
			return books, err
		}
		if line.Phase == phase {
			books.Add(line.Books)
		}
	}
	return books, nil
}
