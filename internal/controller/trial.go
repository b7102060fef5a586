package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"bakeoff/internal/capacity"
	"bakeoff/internal/fleet"
	"bakeoff/internal/gate"
	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
	"bakeoff/internal/target"
	"bakeoff/internal/venue"
)

// trial is one trial under way.
type trial struct {
	run     *run
	writer  *record.TrialWriter
	rec     record.Trial
	d       deployment
	sampler venue.Sampler
	phases  []load.Phase
	totals  map[int]stats.Totals // by number of the phase that ran
	stages  []capacity.Stage     // of a search for the capacity, or of the block
	rate    float64              // of the stage under way

	stopping chan error // nil until the target is asked to stop
	cleared  bool       // and waited for
	// unclaimed are processes that outlived it and may be another target's; nil: none did.
	unclaimed error

	shares []int // of the load that the agents take, from 1; nil: that of their places
	memory peak
	locked bool             // rows that changed could not be put back
	logged map[string]int64 // by replica: bytes of its log when the phase began

	mu      sync.Mutex  // guards the use of watched: samples come from a goroutine of their own
	watched *gate.Phase // the phase under way or the last one; nil before the first
}

// conduct takes one target through one trial and writes it. The error is for
// what ends the run: whatever the target did wrong is in the record instead.
func (r *run) conduct(ctx context.Context, place plan.Trial, attempt, position int) (record.Trial, error) {
	t, err := r.begin(place, attempt, position)
	if err != nil {
		return record.Trial{}, err
	}
	fatal := t.examined(ctx, t.body(ctx))
	if t.run.o.Keep && fatal == nil && ctx.Err() == nil && t.d != nil {
		t.hold(ctx)
	}
	return t.end(ctx, fatal)
}

// examined looks once more at what the target left in the database, before it is stopped; fatal is what ends the run.
func (t *trial) examined(ctx context.Context, fatal error) error {
	if fatal != nil || ctx.Err() != nil || t.d == nil {
		return fatal
	}
	if err := t.d.examine(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("database: %w", err)
	}
	t.collect()
	return nil
}

// collect refuses the trial for what was found of its target in the database.
func (t *trial) collect() {
	if t.d == nil {
		return
	}
	for _, reason := range t.d.reasons() {
		t.refuse(reason.Code, errors.New(reason.Text))
	}
}

// begin begins a trial in the record.
func (r *run) begin(place plan.Trial, attempt, position int) (*trial, error) {
	t := &trial{run: r, phases: r.phasesOf(place.Block), totals: map[int]stats.Totals{}}
	var err error
	if t.writer, err = r.writer.BeginTrial(place.Block, position, place.Target, attempt); err != nil {
		return nil, fmt.Errorf("controller: %w", err)
	}
	t.rec = record.Trial{
		Format: record.FormatVersion, Block: place.Block, Position: position, Target: place.Target,
		Attempt: attempt, Status: record.Valid, Started: time.Now(),
	}
	return t, nil
}

// end stops the target and writes the trial; fatal is what ends the run.
func (t *trial) end(ctx context.Context, fatal error) (record.Trial, error) {
	blamed := t.blame(fatal)
	rec, err := t.finish(ctx, blamed)
	if err == nil && ctx.Err() != nil {
		return rec, context.Cause(ctx)
	}
	return rec, errors.Join(blamed, err)
}

// finish is end without the blame; its error is that of writing.
func (t *trial) finish(ctx context.Context, fatal error) (record.Trial, error) {
	if t.stopped(ctx); t.unclaimed != nil {
		t.refuse(record.CodeGhost, t.unclaimed) // there is no other target
	}
	t.conclude(ctx, fatal)
	return t.write()
}

// conclude refuses the trial for what is found once everything that ran in it is stopped.
func (t *trial) conclude(ctx context.Context, fatal error) {
	t.collect()
	if ctx.Err() != nil {
		t.rec.Status = record.TrialAborted
		t.refuse(record.CodeInterrupted, context.Cause(ctx))
	} else if fatal != nil {
		t.rec.Status = record.TrialAborted
		t.refuse(record.CodeRunEnded, fatal)
	}
	if t.run.o.Plan.Trust.Record == plan.Off {
		return
	}
	if err := t.writer.Intact(); errors.Is(err, record.ErrRewritten) {
		t.refuse(record.CodeRewritten, err)
	}
}

// write writes the trial's end.
func (t *trial) write() (record.Trial, error) {
	t.rec.Ended = time.Now()
	if err := t.writer.Finish(t.rec); err != nil {
		return t.rec, fmt.Errorf("controller: %w", err)
	}
	return t.rec, t.run.spread.add(t.rec, func(p record.Phase) (stats.Totals, error) { return t.totals[p.Number], nil })
}

// body is the trial from the look at the table to the check after the load.
// A step that the target fails ends the trial early with its reason.
func (t *trial) body(ctx context.Context) error {
	if err := t.own("table", "", func() error { return t.run.stage.look(ctx) }); err != nil {
		return fmt.Errorf("before block %d, %s: %w", t.rec.Block, t.rec.Target, err)
	}
	if err := t.deploy(ctx); err != nil {
		t.refuse(reasonOf(err), err)
		return t.run.noRoom(t.rec.Target, err)
	}
	if ok, err := t.check(ctx, before); err != nil || !ok {
		return err
	}
	if err := t.load(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil || t.locked {
		return nil
	}
	if _, err := t.check(ctx, after); err != nil {
		return err
	}
	if t.rec.Block == 0 && t.rec.Status == record.Valid {
		t.run.pilotFound(t.rec.Target, t.totals[pilotPhase])
		if t.run.o.Plan.Asks() {
			t.say("capacity: "+t.searched(), 0)
		}
		t.run.memory.need(t.memory.most)
		return t.run.idleAlone(ctx, t)
	}
	return nil
}

// deploy starts the target of a trial that is measured alone.
func (t *trial) deploy(ctx context.Context) error {
	var out launched
	_ = t.own("start", "starting", func() error {
		out = t.run.stage.deploy(ctx, t.launch())[0]
		return nil
	})
	return t.deployed(out)
}

func (t *trial) launch() launch {
	l := launch{name: t.rec.Target, logDir: t.writer.LogDir(), seed: t.run.o.seedOf(t.rec)}
	l.luck.Padding, l.luck.Order, l.luck.Agents = t.run.o.Plan.Luck(plan.Trial{Block: t.rec.Block, Target: t.rec.Target}, t.rec.Attempt)
	if t.run.o.Plan.Uses(plan.JMeter) { // its servers take their shares themselves
		l.luck.Agents = nil
	}
	t.shares = l.luck.Agents
	return l
}

// deployed keeps what was started.
func (t *trial) deployed(out launched) error {
	if t.d = out.deployment; t.d != nil {
		t.d.describe(&t.rec)
		if t.rec.Luck == nil && t.shares != nil {
			t.rec.Luck = &record.Luck{Agents: t.shares}
		}
		if err := errors.Join(t.noteAccount(), t.noteContainers()); err != nil {
			return err
		}
	}
	if !errors.Is(out.err, venue.ErrNoRoom) {
		t.run.full = nil
	}
	if out.err != nil {
		return out.err
	}
	return t.sameImages()
}

// sharedAccount is the note about targets that run under bakeoff's own account, without their names, which come first.
const sharedAccount = " ran under the account of bakeoff itself: nothing but honesty kept that from its files and processes (docs/trust.md)"

// noteAccount notes that the target was not held apart from bakeoff.
func (t *trial) noteAccount() error {
	shares := func(r record.Replica) bool { return r.HeldBy != "" && r.Account == "" }
	if !slices.ContainsFunc(t.rec.Replicas, shares) {
		return nil
	}
	if _, changed := withShared(t.run.writer.Run().Notes, t.rec.Target); !changed {
		return nil
	}
	return t.run.writer.Update(func(rec *record.Run) { rec.Notes, _ = withShared(rec.Notes, t.rec.Target) })
}

// withShared are the notes with one that has the target among those under bakeoff's own account.
func withShared(notes []string, name string) (with []string, changed bool) {
	i := slices.IndexFunc(notes, func(n string) bool { return strings.HasSuffix(n, sharedAccount) })
	if i < 0 {
		return append(slices.Clone(notes), name+sharedAccount), true
	}
	names := strings.Split(strings.TrimSuffix(notes[i], sharedAccount), ", ")
	if slices.Contains(names, name) {
		return notes, false
	}
	with = slices.Clone(notes)
	with[i] = strings.Join(append(names, name), ", ") + sharedAccount
	return with, true
}

// reasonOf names why a target could not be started.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, target.ErrNoOverlap):
		return record.CodeNoOverlap
	case errors.Is(err, errConnections):
		return record.CodeConnections
	case errors.Is(err, venue.ErrPlacement):
		return record.CodePlacement
	}
	return record.CodeNotReady
}

// goneFor names why a target that is not intact refuses its trial.
func goneFor(err error) string {
	if errors.Is(err, venue.ErrPlacement) {
		return record.CodePlacement
	}
	return record.CodeWorkerGone
}

// check looks at the answers and reports whether they are right.
func (t *trial) check(ctx context.Context, when string) (bool, error) {
	t.say("checking the contract "+when+" the load", 0)
	var found findings
	err := t.step("verify-"+when, func() error {
		var err error
		found, err = t.d.check(ctx, when, false)
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			return false, nil
		}
		return false, err
	}
	t.rec.Checks = append(t.rec.Checks, found.checks...)
	if err := t.noteCookies(found.cookies); err != nil {
		return false, err
	}
	if len(found.reasons) > 0 {
		t.gone("the check " + when + " the load")
	}
	for _, reason := range found.reasons {
		t.refuse(reason.Code, errors.New(reason.Text))
	}
	return len(found.reasons) == 0, nil
}

// gone refuses the trial where what was started is not there any more as it was: what else is wrong then follows from that.
func (t *trial) gone(in string) {
	err := t.d.intact()
	if err == nil || slices.ContainsFunc(t.rec.Reasons, func(r record.Reason) bool { return r.Code == goneFor(err) }) {
		return
	}
	t.refuse(goneFor(err), fmt.Errorf("%s: %w", in, err))
}

// load runs every phase with the samplers on.
func (t *trial) load(ctx context.Context) error {
	sources := append(t.d.sources(), t.run.sources()...)
	t.sampler = t.run.o.Venue.Sample(context.WithoutCancel(ctx), sampleEvery, sources, t.run.stage.gauges(), t.series)
	for i, phase := range t.phases {
		if few := t.run.tooFew(phase); few != nil {
			t.refuse(record.CodeTooFewArrivals, few)
			break
		}
		err := t.step(phase.Name, func() error {
			if t.run.settles(phase) {
				return t.warmUp(ctx, phase)
			}
			return t.phase(ctx, phase, i == len(t.phases)-1)
		})
		if err != nil || t.rec.Status != record.Valid || ctx.Err() != nil {
			return errors.Join(err, t.sampler.Stop())
		}
	}
	if err := t.ownStages(ctx); err != nil {
		return errors.Join(err, t.sampler.Stop())
	}
	if err := t.sampler.Stop(); err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	return nil
}

// phase runs one phase, during which rows change, and puts these back.
func (t *trial) phase(ctx context.Context, phase load.Phase, last bool) (err error) {
	m, err := t.run.stage.change(ctx, phase, t.run.engineOf(phase), outlook{phase.Duration, ratesOf(t)})
	if err != nil {
		return fmt.Errorf("phase %s: %w", phase.Name, err)
	}
	defer func() { err = errors.Join(err, m.undo(ctx, t)) }()
	return t.counted(ctx, phase, last, m)
}

// counted runs one phase between two idle points and compares what the agents,
// the balancer and the database counted.
func (t *trial) counted(ctx context.Context, phase load.Phase, last bool, m *mover) error {
	phase = t.checked(phase)
	task, err := t.task(phase)
	if err != nil {
		return err
	}
	witness, err := t.d.count(ctx)
	if err != nil {
		return err
	}
	if err := m.ahead(ctx); err != nil {
		return fmt.Errorf("phase %s: %w", phase.Name, err)
	}
	t.announce(describe(phase), phase.Duration, phase, t)
	m.start(ctx)
	report, writeErr, err := t.measure(ctx, task, last)
	moveErr := m.end()
	if writeErr != nil {
		return fmt.Errorf("controller: %w", writeErr)
	}
	err = errors.Join(err, moveErr)
	rec := t.run.recordPhase(phase, report)
	m.into(&rec)
	rec.CeilingS = t.ceiling(phase)
	if err == nil && len(report.Lost) == 0 {
		rec.Witness, err = witness(ctx, t.totals[phase.Number].Books.Sent)
	}
	for _, lost := range report.Lost {
		t.refuse(record.CodeAgentLost, fmt.Errorf("agent %d in phase %s: %s", lost.Agent, phase.Name, lost.Why))
	}
	rec.Unjudged = ctx.Err() != nil || err != nil || len(report.Lost) > 0
	t.rec.Phases = append(t.rec.Phases, rec)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("phase %s: %w", phase.Name, err)
	}
	if !rec.Unjudged {
		t.judge(rec)
	}
	t.collect()
	if err := t.d.intact(); err != nil {
		t.refuse(goneFor(err), fmt.Errorf("phase %s: %w", phase.Name, err))
	}
	return nil
}

// measure has the agents run the task, and writes what they see. The errors are that of writing and that of running. Samples belong to
// the phase from when requests are sent.
func (t *trial) measure(ctx context.Context, task fleet.Task, last bool) (report fleet.Report, writeErr, err error) {
	number, names := task.Phase.Number, t.d.names()
	watched := gate.NewPhase(t.run.recordPhase(task.Phase, report))
	watched.Declare(t.rec.Declared)
	t.watch(watched)
	stopCounting := func() {}
	begin := sync.OnceFunc(func() {
		t.sampler.Phase(number)
		stopCounting = t.countHalfway(ctx, task.Phase, last)
	})
	if task.Begun = begin; task.Engine != plan.JMeter { // whose JVMs take seconds
		begin()
	}
	report, err = t.run.loader.Run(ctx, task, func(s fleet.Snapshot) {
		as := line(number, s, names, t.namedOnly())
		watched.Load(s.Agent, as.Window)
		if err := t.writer.Load(as); err != nil && writeErr == nil {
			writeErr = err
		}
	})
	stopCounting()
	t.sampler.Phase(-1)
	t.totals[number] = watched.Totals()
	return report, writeErr, err
}

// task is the phase as the agents need it.
func (t *trial) task(phase load.Phase) (fleet.Task, error) {
	task, err := t.d.task(phase)
	task.Phase, task.Seed, task.Engine, task.Target = phase, t.run.o.Plan.Seed, t.engineOf(phase), t.rec.Target
	for _, number := range t.shares {
		task.Shares = append(task.Shares, number-1)
	}
	return task, err
}

// countHalfway counts client connections per worker in the middle of the last
// phase; the returned function waits until that is done.
func (t *trial) countHalfway(ctx context.Context, phase load.Phase, last bool) func() {
	if !last {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ctx.Done():
		case <-time.After(phase.Duration / 2):
			if err := t.d.countConnections(); err != nil {
				t.run.o.tell(record.Progress{Text: "connections per worker not counted: " + err.Error()})
			}
		}
	}()
	return func() {
		cancel()
		<-stopped
	}
}

// clear stops what the trial started, or waits for the stop under way.
func (t *trial) clear(ctx context.Context) error {
	if t.d == nil || t.cleared {
		return nil
	}
	t.cleared = true
	t.stop(ctx)
	return t.own("stop", "", func() error { return <-t.stopping })
}

// stopped waits until what the trial started is stopped, and refuses the trial for what is found then. It reports whether nothing
// of it runs any more.
func (t *trial) stopped(ctx context.Context) bool {
	switch err := t.clear(ctx); {
	case err == nil:
	case errors.Is(err, target.ErrLeft):
		t.refuse(record.CodeGhost, err)
	case errors.Is(err, target.ErrUnclaimed):
		t.unclaimed = err
	default:
		t.refuse(record.CodeNotStopped, err)
		return false
	}
	return true
}

// stop begins to stop what the trial started.
func (t *trial) stop(ctx context.Context) {
	if t.d == nil || t.stopping != nil {
		return
	}
	if t.run.stage.owns() {
		t.say("stopping", 0)
	}
	t.stopping = make(chan error, 1)
	go func() { t.stopping <- t.d.stop(ctx) }()
}

// refuse makes the trial invalid for a reason.
func (t *trial) refuse(code string, err error) {
	if t.rec.Status == record.Valid {
		t.rec.Status = record.Invalid
	}
	t.rec.Reasons = append(t.rec.Reasons, record.Reason{Code: code, Text: strings.TrimSpace(err.Error())})
}

// step times a stretch of the trial.
func (t *trial) step(name string, do func() error) error {
	began := time.Now()
	err := do()
	t.rec.Timeline = append(t.rec.Timeline, record.Step{Name: name, Seconds: time.Since(began).Seconds()})
	return err
}

// own is a step with what bakeoff itself starts and stops; where that is
// nothing there is no step to show.
func (t *trial) own(name, text string, do func() error) error {
	if !t.run.stage.owns() {
		return do()
	}
	if text != "" {
		t.say(text, 0)
	}
	return t.step(name, do)
}

func (t *trial) say(text string, expect time.Duration) {
	e := t.run.event(t.rec.Block, t.rec.Target, text)
	e.Expect = expect
	t.run.o.tell(e)
}

// announce says that a phase begins, on these targets.
func (t *trial) announce(text string, expect time.Duration, phase load.Phase, up ...*trial) {
	e := t.run.event(t.rec.Block, t.rec.Target, text)
	e.Expect, e.Stage = expect, t.run.stageBegun(phase, up)
	t.run.o.tell(e)
}

func describe(p load.Phase) string {
	if p.Model == load.Open {
		return fmt.Sprintf("%s: %.0f/s for %v", p.Name, p.Rate, p.Duration)
	}
	return fmt.Sprintf("%s: %d connections for %v", p.Name, p.Connections, p.Duration)
}

// recordPhase is a phase as it is in the record.
func (r *run) recordPhase(p load.Phase, report fleet.Report) record.Phase {
	r.clocks(report)
	out := recordPhase(p, r.isWarmup(p), report)
	out.Stage = r.stageOf(p)
	if r.engineOf(p) == plan.JMeter {
		out.Engine = plan.JMeter
	}
	if pings(r.o.Plan, p) {
		out.Ask = plan.AskPing
	}
	out.Direct = direct(r.o.Plan, p)
	return out
}

func recordPhase(p load.Phase, warmup bool, report fleet.Report) record.Phase {
	out := record.Phase{
		Number: p.Number, Name: p.Name, Model: p.Model, Connections: p.Connections, Rate: p.Rate, Arrivals: p.Arrivals,
		DurationS: p.Duration.Seconds(), TimeoutS: p.Timeout.Seconds(), CheckShare: p.CheckShare, Warmup: warmup, Started: report.Start, Ended: report.End,
		StartSpreadNS: int64(report.Skew),
	}
	for _, a := range report.Agents {
		if a.Done {
			out.Starts = append(out.Starts, record.Start{
				Agent: a.Agent, BeganNS: int64(a.Began), FirstNS: int64(a.First), DueNS: int64(a.Due),
				ClockShiftNS: int64(a.ClockShift), ClockErrorNS: int64(a.ClockError),
			})
		}
	}
	return out
}

// line is a window as it is in load.jsonl; names are the replicas' by address and by pod, for those that answered without a balancer
// of bakeoff's. With only, what another name is given for is booked as unnamed: behind a balancer of the cluster's that name is all
// that proves who has answered, and those that the record uses can be guessed.
func line(phase int, s fleet.Snapshot, names map[string]string, only bool) record.Load {
	out := record.Load{Agent: s.Agent, Epoch: s.Epoch, Sequence: s.Sequence, Phase: phase, At: s.At.UTC(), Window: s.Window}
	out.Replicas = make(map[string]stats.Replica, len(s.Window.Replicas))
	for name, r := range s.Window.Replicas {
		switch named := names[name]; {
		case named != "":
			name = named
		case only:
			continue
		}
		if before, seen := out.Replicas[name]; seen { // by its pod and by its address
			var sum stats.Window
			for _, part := range []stats.Replica{before, r} {
				sum.Merge(stats.Window{Replicas: map[string]stats.Replica{name: part}})
			}
			r = sum.Replicas[name]
		}
		out.Replicas[name] = r
	}
	return out
}

// namedOnly reports whether answers count as a replica's only by the names that were given to replicas.
func (t *trial) namedOnly() bool { return t.rec.Declared != nil && t.rec.Declared.Shares != nil }
