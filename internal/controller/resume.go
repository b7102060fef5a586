package controller

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// Begun is what a run directory says of how its run was begun.
type Begun struct {
	Plan    *plan.Plan // as it was resolved
	PlanDir string     // what paths of recipes are relative to
	Short   bool
	// Platform is where its processes live.
	Platform string
}

// Recorded reads how the run of a directory was begun.
func Recorded(dir string) (Begun, error) {
	reader, err := record.Open(dir)
	if err != nil {
		return Begun{}, err
	}
	run := reader.Run()
	p, err := recordedPlan(run)
	return Begun{Plan: p, PlanDir: run.PlanDir, Short: run.Short, Platform: run.Platform}, err
}

func recordedPlan(rec record.Run) (*plan.Plan, error) {
	p, err := plan.Load("run.json", rec.Plan)
	if err != nil {
		return nil, fmt.Errorf("controller: the recorded plan: %w", err)
	}
	return p, nil
}

// resume takes up a run that was left off, in its stored order. The pilot is
// not run again when it was complete. Trials that were invalid, and not yet tried as often as they
// may be, are tried again at the end of their block.
func (r *run) resume() error {
	if err := r.o.room(r.o.Resume, 1); err != nil {
		return err
	}
	w, left, err := record.Resume(r.o.Resume, r.o.Plan.Digest(), r.started)
	if err != nil {
		return r.explainChange(err)
	}
	r.writer, r.left = w, left
	if err := r.takeUp(); err != nil {
		return errors.Join(err, w.Close())
	}
	return nil
}

func (r *run) takeUp() error {
	rec := r.writer.Run()
	if err := r.sameMachine(); err != nil {
		return err
	}
	r.o.salt = rec.Salt
	r.trials, r.planned = len(rec.Order), lastBlock(rec.Order)
	if rec.Pilot != nil {
		r.pilot, r.piloted = rec.Pilot, true
	}
	if rec.NoTurns != "" {
		r.o.noTurns = errors.New(rec.NoTurns)
	}
	r.number = r.trials - len(r.left)
	return r.recall()
}

// sameMachine refuses to resume a run on another machine than it was begun on. Of a cluster the machine is known only once
// pods are on its nodes; other nodes of the kinds that it was on before are no other machine.
func (r *run) sameMachine() error {
	begun, here := r.writer.Run(), r.o.Venue.Machine()
	rec := begun.Machine
	unknown := r.o.Apart && (here.Hostname == "" || rec.Hostname == "")
	if r.o.Resume == "" || unknown || here.Fingerprint == rec.Fingerprint || alike(begun.Nodes, r.o.Venue.Nodes()) {
		return nil
	}
	return fmt.Errorf("%s was started on another machine (%s, %d cores, kernel %s): a run cannot be resumed on another machine",
		r.writer.Dir(), rec.CPU, rec.Cores, rec.Kernel)
}

// remaining are the trials still to be tried, in the stored order. The stage is open: it may have found that there are no turns.
func (r *run) remaining() []plan.Trial {
	order := r.writer.Run().Order
	whole := r.wholeBlocks(order)
	var out []plan.Trial
	for _, p := range order {
		r.last[p.Block] = max(r.last[p.Block], p.Position)
		if todo := slices.Contains(r.left, p) || r.again(p); todo || whole[p.Block] {
			out = append(out, plan.Trial{Block: p.Block, Position: p.Position, Target: p.Target})
		}
	}
	return out
}

// wholeBlocks are those in which something is left to do and whose targets take turns: they are measured together.
func (r *run) wholeBlocks(order []record.Place) map[int]bool {
	whole := map[int]bool{}
	for _, p := range order {
		if p.Block > 0 && r.o.inTurns() == nil && (slices.Contains(r.left, p) || r.again(p)) {
			whole[p.Block] = true
		}
	}
	return whole
}

// again reports whether a place was tried, but neither with success nor often enough.
func (r *run) again(p record.Place) bool {
	tried := r.tried[trialKey{p.Block, p.Target}]
	return tried > 0 && tried < r.attempts() && !r.valid[p.Target][p.Block] && (p.Block > 0 || !r.piloted)
}

// explainChange says what differs between the recorded plan and the given one.
func (r *run) explainChange(err error) error {
	var changed *record.PlanChangedError
	if !errors.As(err, &changed) {
		return err
	}
	before, readErr := Recorded(r.o.Resume)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	return &PlanError{fmt.Errorf("%w\n  %s", err, strings.Join(plan.Diff(before.Plan, r.o.Plan), "\n  "))}
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
		if err := r.spread.add(t, func(p record.Phase) (stats.Totals, error) { return totalsOf(state, p) }); err != nil {
			return err
		}
		if t.Block != 0 || t.Status != record.Valid {
			continue
		}
		pilot := slices.IndexFunc(t.Phases, func(p record.Phase) bool { return p.Number == pilotPhase })
		if pilot < 0 {
			continue
		}
		found, err := totalsOf(state, t.Phases[pilot])
		if err != nil {
			return fmt.Errorf("controller: %w", err)
		}
		r.pilotFound(t.Target, found)
		if err := r.recallSearch(state, t, found); err != nil {
			return fmt.Errorf("controller: %w", err)
		}
	}
	return nil
}

// totalsOf adds up the recorded windows of one phase.
func totalsOf(state record.TrialState, phase record.Phase) (stats.Totals, error) {
	sum := stats.Totals{Sending: phase.Duration()}
	for line, err := range state.Loads() {
		if err != nil {
			return sum, err
		}
		if line.Phase == phase.Number {
			sum.Add(line.Window)
		}
	}
	return sum, nil
}
