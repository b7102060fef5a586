package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/collect"
	"bakeoff/internal/fleet"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/venue"
)

// run is one execution of a plan.
type run struct {
	o       *Options
	stage   stage
	writer  *record.Writer
	loader  Loader
	pilot   *record.Pilot
	number  int         // of the trial under way, from 1
	attempt int         // of the trial under way, from 1
	trials  int         // planned
	planned int         // blocks
	pilots  []pilotTook // by each valid trial of the pilot
	memory  memory
	piloted bool                 // what the pilot found is kept
	noted   bool                 // the programs of pods are in the record
	full    map[string]bool      // targets for which there was no room; nil: there was for one
	tried   map[trialKey]int     // attempts that ended, valid or not
	reached map[trialKey]float64 // the rate of the last stage of valid trials
	last    map[int]int          // block to the greatest position in use
	left    []record.Place       // that no trial held when the run began or was taken up
	started time.Time
	valid   map[string]map[int]bool // target to blocks with a valid trial
	// measured is the time spent in measured phases of blocks from 1.
	measured time.Duration
	starts   starts
	warmups  warmups
	spread   spread           // answers of replicas behind a cluster's balancer
	leftover error            // of ending what the run started, which Ctrl-C does not explain
	rest     *record.Baseline // of the machine, measured before the first trial; nil until then
	speed    collect.Source   // the yardstick; it has no process where the venue has none
	// clocksAt are the agents as they last knew the controller's clock, clockError how well at worst.
	clocksAt   []fleet.AgentReport
	clockError time.Duration
	// images are, by target, those of its first valid trial in a cluster; nil: none was valid yet.
	images map[string]string
}

// trialKey is one target in one block.
type trialKey struct {
	block  int
	target string
}

// Run executes the plan and returns the run directory, also together with an error
// once there is one.
func Run(ctx context.Context, o Options) (dir string, err error) {
	if o.MaxTime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.MaxTime, fmt.Errorf("%w %v", ErrMaxTime, o.MaxTime))
		defer cancel()
	}
	on := o.stage()
	if err := on.preflight(ctx); err != nil {
		return "", err
	}
	r := &run{
		o: &o, stage: on, started: time.Now(), valid: map[string]map[int]bool{},
		planned: o.Plan.Blocks, pilot: &record.Pilot{Throughput: map[string]float64{}}, tried: map[trialKey]int{}, reached: map[trialKey]float64{}, last: map[int]int{}, warmups: warmups{}, spread: spread{}, full: map[string]bool{},
	}
	if err := r.openRecord(); err != nil {
		return "", err
	}
	dir = r.writer.Dir()
	if o.Opened != nil {
		o.Opened(dir)
	}
	o.Progress = alsoRecorded(r.writer, o.Progress)
	err = r.all(ctx)
	return dir, r.finish(ctx, err)
}

// openRecord begins a run directory, or takes up one that was left off.
func (r *run) openRecord() error {
	o := r.o
	if o.Resume != "" {
		return r.resume()
	}
	resolved, err := json.Marshal(o.Plan)
	if err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	order := o.Plan.Trials()
	if o.Plan.Trust.Salt != plan.Off {
		o.salt = newSalt()
	}
	rec := record.Run{
		Format: record.FormatVersion, Bakeoff: o.Version, Name: o.Plan.Name, PlanDigest: o.Plan.Digest(), Seed: o.Plan.Seed, Salt: o.salt,
		Status: record.Incomplete, Started: r.started, Short: o.Short, Shared: o.Shared, Platform: o.Venue.Name(),
		Machine: o.Venue.Machine(), Plan: resolved, Calibration: o.Calibration, Revisions: o.Revisions,
		ChecksLeftOut: o.Plan.Trust.Less(), Search: o.Search,
	}
	if o.Plan.Agents.JMX != "" || slices.ContainsFunc(o.Plan.Targets, func(t plan.Target) bool { return t.Folder() && !filepath.IsAbs(t.Recipe) }) {
		rec.PlanDir = o.PlanDir
	}
	for _, t := range order {
		rec.Order = append(rec.Order, record.Place{Block: t.Block, Position: t.Position, Target: t.Target})
	}
	r.trials, r.left = len(order), rec.Order
	if err := o.room(o.Out, r.trials); err != nil {
		return err
	}
	if r.writer, err = record.Create(o.Out, rec, o.PlanGiven, o.Plan.YAML(), r.started); err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	return nil
}

// all opens the stage and conducts every remaining trial.
func (r *run) all(ctx context.Context) error {
	defer func() { r.leftover = errors.Join(r.leftover, r.stage.close(ctx)) }()
	if err := r.stage.open(ctx, r.writer.Dir()); err != nil {
		return err
	}
	if err := r.describe(ctx); err != nil {
		return err
	}
	if err := r.startLoader(ctx); err != nil {
		return err
	}
	defer func() { r.leftover = errors.Join(r.leftover, r.loader.Close()) }()
	if err := r.startYardstick(ctx); err != nil {
		return err
	}
	defer func() { r.leftover = errors.Join(r.leftover, r.stopYardstick(ctx)) }()
	if err := r.measureRest(ctx); err != nil {
		return err
	}
	if err := r.noteTurns(); err != nil {
		return err
	}
	err := r.blocks(ctx, r.remaining())
	if noteErr := errors.Join(r.writer.Update(r.noteSoFar), r.notePrograms(ctx)); err == nil {
		err = noteErr
	}
	if err != nil {
		return err
	}
	return r.stage.end(ctx, r.writer.Update)
}

// noteSoFar notes what all trials so far came to.
func (r *run) noteSoFar(rec *record.Run) {
	r.starts.note(rec)
	r.warmups.note(rec)
	r.spread.note(rec, r.o.Plan.Balancer.Kind)
	r.keepNoTurns(rec)
	r.noteNodes(rec)
	r.noteClocks(rec)
}

func (r *run) startLoader(ctx context.Context) (err error) {
	logs := filepath.Join(r.writer.Dir(), "agents")
	if err := os.MkdirAll(logs, 0o700); err != nil {
		return fmt.Errorf("agents: %w", err)
	}
	if r.loader, err = r.o.Load(ctx, logs, func(text string) { r.o.tell(record.Progress{Text: text}) }); err != nil {
		return fmt.Errorf("agents: %w", err)
	}
	return r.writer.Update(func(rec *record.Run) {
		rec.Notes = append(rec.Notes, r.loader.Notes()...)
		r.noteNodes(rec)
	})
}

// startYardstick has the speed of the machine recorded from now on.
func (r *run) startYardstick(ctx context.Context) (err error) {
	r.speed, err = r.o.Venue.Yardstick(ctx, filepath.Join(r.writer.Dir(), "yardstick"))
	return err
}

func (r *run) stopYardstick(ctx context.Context) error {
	if r.speed.Process == nil {
		return nil
	}
	ctx, cancel := teardown(ctx)
	defer cancel()
	if err := r.speed.Process.Stop(ctx, Grace); err != nil {
		return fmt.Errorf("yardstick: %w", err)
	}
	if err := os.Remove(filepath.Join(r.writer.Dir(), "yardstick")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("yardstick: %w", err)
	}
	return nil
}

// blocks conducts the trials in their order, and at the end of each block its invalid ones
// again.
func (r *run) blocks(ctx context.Context, remaining []plan.Trial) error {
	for len(remaining) > 0 {
		block := remaining[0].Block
		size := inBlock(remaining, block)
		if block > 0 && r.o.Plan.Pilot > 0 && !r.piloted {
			if err := r.keepPilot(); err != nil {
				return err
			}
		}
		if block > 0 && !r.begun() {
			var err error
			if remaining, err = r.choose(remaining); err != nil {
				return err
			}
			if size = inBlock(remaining, block); size == 0 {
				continue
			}
		}
		conduct := r.block
		if block > 0 && r.inTurns() == nil {
			conduct = r.together
		}
		if err := conduct(ctx, remaining[:size]); err != nil {
			return err
		}
		remaining = remaining[size:]
	}
	return nil
}

// inBlock is how many places at the front are in a block.
func inBlock(places []plan.Trial, block int) (n int) {
	for n < len(places) && places[n].Block == block {
		n++
	}
	return n
}

// choose takes out of the run, before block 1, what the pilot shows to be of no use.
func (r *run) choose(remaining []plan.Trial) ([]plan.Trial, error) {
	if r.o.Plan.Asks() {
		var err error
		if remaining, err = r.onlyFound(remaining); err != nil || len(remaining) == 0 {
			return remaining, err
		}
	}
	return r.fit(remaining)
}

// block tries each place once, in order, and those without a valid trial again
// after that. On resuming some have been tried before.
func (r *run) block(ctx context.Context, places []plan.Trial) error {
	tried := func(t plan.Trial) int { return r.tried[trialKey{t.Block, t.Target}] }
	slices.SortStableFunc(places, func(a, b plan.Trial) int { return cmp.Compare(tried(a), tried(b)) })
	for len(places) > 0 {
		var again []plan.Trial
		for _, t := range places {
			rec, err := r.try(ctx, t, tried(t)+1)
			if err != nil {
				return err
			}
			if rec.Status != record.Valid && tried(t) < r.attempts() {
				again = append(again, t)
			}
		}
		places = again
	}
	return nil
}

// attempts is how often a trial is tried. A short run is no measurement: its
// invalid trials are shown and not repeated.
func (r *run) attempts() int {
	if r.o.Short {
		return 1
	}
	return attempts
}

// try conducts one attempt; one that is not the first comes at the end of the block.
func (r *run) try(ctx context.Context, t plan.Trial, attempt int) (record.Trial, error) {
	at := t.Position
	if r.attempt = attempt; attempt == 1 {
		r.number++
	} else {
		r.last[t.Block]++
		at = r.last[t.Block]
		r.awaitQuiet(ctx)
	}
	rec, err := r.conduct(ctx, t, attempt, at)
	if err != nil {
		return rec, err
	}
	r.note(rec)
	if err := r.loader.Heal(ctx); err != nil {
		return rec, fmt.Errorf("agents: %w", err)
	}
	return rec, r.noteAround(ctx)
}

// noteAround notes what is around the trials so far.
func (r *run) noteAround(ctx context.Context) error {
	if err := r.noteOthers(); err != nil || r.noted || len(r.valid) == 0 {
		return err
	}
	r.noted = true
	return r.notePrograms(ctx)
}

// noRoom fails where there was no room for any target of the run. Once there was for one, a node may have been lost for a while.
func (r *run) noRoom(name string, err error) error {
	if r.full == nil || !errors.Is(err, venue.ErrNoRoom) {
		return nil
	}
	if r.full[name] = true; len(r.full) < len(r.o.Plan.Targets) {
		return nil
	}
	return fmt.Errorf("there has been no room for any target: %w", err)
}

// noteOthers marks the run as shared once another one came to the machine.
func (r *run) noteOthers() error {
	others := r.o.Venue.Others()
	if len(others) == 0 {
		return nil
	}
	return r.writer.Update(func(rec *record.Run) {
		rec.Shared = true
		for _, other := range others {
			addNote(rec, "shared the machine with "+other)
		}
	})
}

// addNote adds a note that is not there yet.
func addNote(rec *record.Run, text string) {
	if !slices.Contains(rec.Notes, text) {
		rec.Notes = append(rec.Notes, text)
	}
}

// note remembers a trial and says why it is invalid, and what to know of it.
func (r *run) note(rec record.Trial) {
	r.remember(rec)
	for _, phase := range rec.Phases {
		if rec.Block > 0 && !phase.Warmup {
			r.measured += phase.Duration() - phase.LeftOut()
		}
	}
	for _, reason := range rec.Reasons {
		r.tellLasting(rec, rec.Status+": "+reason.Words())
	}
	for _, warning := range rec.Warnings {
		r.tellLasting(rec, "warning: "+warning.Code+": "+warning.Text)
	}
}

// tellLasting says something about a trial that stays to be read.
func (r *run) tellLasting(rec record.Trial, text string) {
	e := r.event(rec.Block, rec.Target, text)
	e.Lasting = true
	r.o.tell(e)
}

// remember notes an attempt, and that a target has a valid trial in a block.
func (r *run) remember(rec record.Trial) {
	if rec.Block == 0 && rec.Status == record.Valid {
		r.pilots = append(r.pilots, tookOf(rec))
	}
	if rec.Status == record.Valid {
		r.full = nil
	}
	r.starts.add(rec)
	r.warmups.add(rec)
	at := trialKey{rec.Block, rec.Target}
	r.tried[at] = max(r.tried[at], rec.Attempt)
	if slices.ContainsFunc(rec.Reasons, func(reason record.Reason) bool { return reason.Code == record.CodeTooFewArrivals }) {
		r.tried[at] = r.attempts() // it would be so again
	}
	r.last[rec.Block] = max(r.last[rec.Block], rec.Position)
	if rec.Status != record.Valid {
		return
	}
	if r.valid[rec.Target] == nil {
		r.valid[rec.Target] = map[int]bool{}
	}
	r.valid[rec.Target][rec.Block] = true
	r.reached[at] = reachedRate(rec)
	r.rememberImage(rec)
}

// finish writes how the run ended.
func (r *run) finish(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // whatever failed, failed because of that
	}
	err = errors.Join(err, r.leftover)
	status, reason := record.Complete, ""
	if err != nil {
		status, reason = record.Aborted, err.Error()
	}
	othersErr := r.noteOthers()
	updateErr := r.writer.Update(func(rec *record.Run) {
		rec.Wall += time.Since(r.started).Seconds()
		rec.Measured += r.measured.Seconds()
	})
	if err := errors.Join(err, othersErr, updateErr, r.writer.Finish(status, reason)); err != nil {
		return r.explainDisk(err)
	}
	return r.enough()
}

// enough reports whether every target has a valid trial in every block.
func (r *run) enough() error {
	if r.o.Short {
		return nil
	}
	var lacking []string
	for _, t := range r.o.Plan.Targets {
		missing := 0
		for block := 1; block <= r.planned; block++ {
			if !r.valid[t.Name][block] {
				missing++
			}
		}
		if missing > 0 && !r.answered(t.Name) {
			lacking = append(lacking, fmt.Sprintf("%s has none in %d of %s", t.Name, missing, show.Plural(r.planned, "block")))
		}
	}
	if len(lacking) > 0 {
		return fmt.Errorf("%w: %s", ErrTooFewValid, strings.Join(lacking, ", "))
	}
	return nil
}

// sources are the process trees that outlive trials.
func (r *run) sources() []collect.Source {
	out := r.stage.sources()
	for _, p := range r.loader.Processes() {
		out = append(out, collect.Source{Tier: "agent", Process: p})
	}
	if r.speed.Process != nil {
		out = append(out, r.speed)
	}
	return out
}

// describe writes what was found out before the first trial into run.json.
func (r *run) describe(ctx context.Context) error {
	if err := errors.Join(r.stage.same(r.writer.Run()), r.sameMachine()); err != nil {
		return err
	}
	programs, err := r.o.Venue.Programs(ctx, r.o.Plan, r.o.Version)
	if err != nil {
		return err
	}
	return r.writer.Update(func(rec *record.Run) {
		was, now := *rec, r.o.Venue.Machine()
		if r.o.Resume == "" {
			rec.Machine = now // of a cluster it is known only now
		}
		r.noteNodes(rec)
		rec.Programs = withPrograms(was.Programs, programs)
		rec.Targets = nil
		r.stage.describe(rec)
		if r.o.Resume != "" {
			for _, differs := range record.Differ(was, record.Run{Programs: programs, Machine: now, Database: rec.Database, Targets: rec.Targets}) {
				addNote(rec, "resumed with "+differs)
			}
		}
		if text := pinned(r.o.Plan); text != "" {
			addNote(rec, text)
		}
		if r.o.Plan.AllowUnfair != "" {
			addNote(rec, "differences between targets allowed: "+r.o.Plan.AllowUnfair)
		}
	})
}

// event is something about the trial under way.
func (r *run) event(block int, name, text string) record.Progress {
	return record.Progress{
		Block: block, Blocks: r.planned, Trial: r.number, Trials: r.trials, Attempt: r.attempt, Target: name,
		Text: text,
	}
}
