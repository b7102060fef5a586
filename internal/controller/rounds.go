package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bakeoff/internal/fleet"
	"bakeoff/internal/gate"
	"bakeoff/internal/load"
	"bakeoff/internal/record"
	"bakeoff/internal/venue"
)

// turns is one phase of a block under way. What follows rec is by target, in the order of those that are up.
type turns struct {
	*block
	phase    load.Phase
	rec      record.PhaseTurns
	accounts []account
	watched  []*gate.Phase
	stall    []time.Duration // from when on what is under way extends a slice
	at       []time.Duration // up to where the phase is, in its own time
	again    []time.Duration // what of it is made up for behind the phase's own time
	spare    time.Duration   // the most of that
	on       []time.Duration
	slices   []int
	frozen   []bool
	fresh    []bool // the next slice begins with fresh connections
	idle     []idleClock
	mover    *mover // of rows that change; nil: none do

	held     []heldWindow    // of the round under way
	spans    []time.Duration // of its slices
	rounds   int             // so far
	spoilt   bool            // the one under way
	cut      bool            // requests of the slice under way were cut short
	kept     bool            // connections are not redrawn
	stuck    bool            // they could not be, which ends the phase
	writeErr error
}

// heldWindow waits for the end of its round.
type heldWindow struct {
	target int
	fleet.Snapshot
}

// phase runs one phase in rounds of slices, between two idle points, and compares for each target what the
// agents, the balancer and the database counted.
func (b *block) phase(ctx context.Context, sampler venue.Sampler, phase load.Phase, last bool) (err error) {
	m, err := b.run.stage.change(ctx, phase, b.run.engineOf(phase), outlook{time.Duration(len(b.up)) * phase.Duration, ratesOf(b.up...)})
	if err != nil {
		return fmt.Errorf("phase %s: %w", phase.Name, err)
	}
	defer func() { err = errors.Join(err, m.undo(ctx, b.up...)) }()
	return b.rounds(ctx, sampler, phase, last, m)
}

// rounds runs the phase while rows change.
func (b *block) rounds(ctx context.Context, sampler venue.Sampler, phase load.Phase, last bool, m *mover) error {
	k := len(b.up)
	ts := &turns{
		block: b, phase: phase, at: make([]time.Duration, k), again: make([]time.Duration, k), on: make([]time.Duration, k),
		slices: make([]int, k), spans: make([]time.Duration, k), frozen: make([]bool, k), kept: b.run.o.Plan.KeepConnections || b.run.settles(phase), fresh: make([]bool, k), mover: m,
	}
	n, length, runIn := b.run.pace(phase)
	ts.spare = b.run.spare(phase, n, length)
	tasks, err := ts.begin(ctx)
	if err != nil {
		return err
	}
	ts.rec.SliceS, ts.rec.RunInS = length.Seconds(), runIn.Seconds()
	b.up[0].announce(ts.announcement(n, length), time.Duration(k)*phase.Duration, phase, b.up...)
	if err := ts.freezeAll(ctx); err != nil {
		return err
	}
	defer ts.thawAll(ctx)
	if err := ts.accounts[0].still(ctx); err != nil {
		return err
	}
	if err := m.ahead(ctx); err != nil {
		return fmt.Errorf("phase %s: %w", phase.Name, err)
	}
	sampler.Phase(phase.Number)
	under, err := b.run.loader.Turns(ctx, tasks, ts.take)
	if err != nil {
		sampler.Phase(-1)
		return fmt.Errorf("phase %s: %w", phase.Name, err)
	}
	m.start(ctx)
	roundsErr := ts.all(ctx, under, length, runIn, last)
	roundsErr = errors.Join(roundsErr, m.end())
	ts.endRound(length)
	reports, err := under.End(ctx)
	sampler.Phase(-1)
	if !errors.Is(roundsErr, fleet.ErrTurns) { // else the reports say why
		err = errors.Join(roundsErr, err)
	}
	if ts.writeErr != nil {
		return fmt.Errorf("controller: %w", ts.writeErr)
	}
	return ts.end(ctx, reports, err)
}

// announcement says what begins.
func (ts *turns) announcement(n int, length time.Duration) string {
	slices := fmt.Sprintf("%d slices of %v", n, length.Round(time.Millisecond))
	text := describe(ts.phase)
	if ts.run.settles(ts.phase) {
		text = fmt.Sprintf("%s: %d connections until steady, at most %v", ts.phase.Name, ts.phase.Connections, ts.phase.Duration)
		slices = "slices of " + length.Round(time.Millisecond).String()
	}
	if ts.alone {
		return text
	}
	if ts.run.isStage(ts.phase) {
		text = ts.atRates(ts.phase)
	}
	return text + ", in turns with the others: " + slices
}

// begin makes the tasks, and begins what is counted and watched of each target.
func (ts *turns) begin(ctx context.Context) (tasks []fleet.Task, err error) {
	for _, t := range ts.up {
		longest := t.checked(ts.phase)
		longest.Duration += ts.spare
		task, err := t.task(longest)
		if err != nil {
			return nil, err
		}
		account, err := t.d.account(ctx)
		if err != nil {
			return nil, err
		}
		watched := gate.NewPhase(ts.run.recordPhase(longest, fleet.Report{}))
		watched.Declare(t.rec.Declared)
		t.watch(watched)
		tasks, ts.accounts, ts.watched = append(tasks, task), append(ts.accounts, account), append(ts.watched, watched)
		ts.idle = append(ts.idle, newIdleClock(ts.run.o.Venue, t))
		ts.stall = append(ts.stall, ts.run.stall(ts.phase, t.rec.Target))
	}
	ts.shares.begin()
	return tasks, nil
}

// take keeps a window of one target until its round is over.
func (ts *turns) take(i int, s fleet.Snapshot) {
	ts.cut = ts.cut || s.Window.Books.Timeout+s.Window.Books.Error > 0
	ts.held = append(ts.held, heldWindow{i, s})
}

// all gives each target one slice a round, in an order of its own, until each has had the whole phase.
func (ts *turns) all(ctx context.Context, under Turns, length, runIn time.Duration, last bool) error {
	targets := ts.run.o.Plan.Targets
	for ts.left() && !ts.stuck && !ts.steady() {
		ts.rounds++
		for _, target := range ts.run.o.Plan.Round(ts.up[0].rec.Block, ts.phase.Number, ts.rounds) {
			i := ts.upAs(targets[target].Name)
			if i < 0 || ts.remains(i) == 0 {
				continue
			}
			if err := ts.slice(ctx, under, i, min(length, ts.remains(i)), runIn); err != nil {
				return err
			}
		}
		ts.endRound(length)
		ts.mover.paced(ts.over(), ts.phase.Duration)
		if last && ts.rounds == int(ts.phase.Duration/length+1)/2 {
			ts.countConnections()
		}
		if err := ts.redraw(ctx, length); err != nil {
			return err
		}
	}
	return nil
}

// until is where a target's phase ends as far as is known: rounds that were left out are made up for.
func (ts *turns) until(i int) time.Duration { return ts.phase.Duration + ts.again[i] }

// mayEnd is where a target's phase ends as far as is known when its next slice is that long: a warm-up that waits for steady targets may
// end with each, and then has all of its times.
func (ts *turns) mayEnd(i int, length time.Duration) time.Duration {
	if ts.run.settles(ts.phase) {
		return ts.at[i] + length
	}
	return ts.until(i)
}

// remains is how much of the phase a target still has to have: not what rounding leaves.
func (ts *turns) remains(i int) time.Duration {
	if left := ts.until(i) - ts.at[i]; left > load.SliceRest {
		return left
	}
	return 0
}

// over is how much of the phase the targets have had on average, without what is made up for.
func (ts *turns) over() (sum time.Duration) {
	for i, at := range ts.at {
		sum += at - ts.again[i]
	}
	return sum / time.Duration(len(ts.at))
}

func (ts *turns) left() bool {
	for i := range ts.up {
		if ts.remains(i) > 0 {
			return true
		}
	}
	return false
}

// countConnections notes how many connections each worker holds in the middle of the phase.
func (ts *turns) countConnections() {
	for _, t := range ts.up {
		if err := t.d.countConnections(); err != nil {
			ts.run.o.tell(record.Progress{Text: "connections per worker not counted: " + err.Error()})
		}
	}
}

// spoiltBy is the share of a slice by which an agent may miss its start, or stand still in it, before the
// round is left out.
const spoiltBy = 0.05

// endRound writes the windows of a round. Where an agent was late or stood still, all are aside: what one
// target lost, all lose.
func (ts *turns) endRound(length time.Duration) {
	bound := int64(spoiltBy * float64(length))
	for _, h := range ts.held {
		if r := h.Window.Resources; r != nil && r.Stopped+r.Starved > bound {
			ts.spoilt = true
		}
	}
	if ts.spoilt {
		ts.rec.LeftOut++
		ts.makeUp()
	}
	for _, h := range ts.held {
		h.Window.Aside = h.Window.Aside || ts.spoilt
		t := ts.up[h.target]
		as := line(ts.phase.Number, h.Snapshot, t.d.names(), t.namedOnly())
		ts.watched[h.target].Load(h.Agent, as.Window)
		if err := t.writer.Load(as); err != nil && ts.writeErr == nil {
			ts.writeErr = err
		}
	}
	ts.held, ts.spoilt = nil, false
	clear(ts.spans)
}

// makeUp has every target get once more what it had in the round that is left out, where there is time to spare.
func (ts *turns) makeUp() {
	for i, span := range ts.spans {
		if ts.again[i]+span > ts.spare {
			return
		}
	}
	for i, span := range ts.spans {
		ts.again[i] += span
	}
	ts.rec.Replaced++
}

// upAs is the place of a target among those that are up, or -1.
func (b *block) upAs(name string) int {
	for i, t := range b.up {
		if t.rec.Target == name {
			return i
		}
	}
	return -1
}

// slice is one target's turn.
func (ts *turns) slice(ctx context.Context, under Turns, i int, length, runIn time.Duration) error {
	t := ts.up[i]
	if ts.frozen[i] {
		if err := t.d.thaw(ctx); err != nil {
			return err
		}
	}
	done, idle := ts.shares.turn(t), ts.idle[i].turn()
	began := time.Now()
	sliced, err := under.Slice(ctx, i, fleet.Slice{
		Begin: ts.at[i], Length: length, RunIn: min(runIn, length/2), Stall: ts.stall[i], Fresh: ts.fresh[i],
		Parts: ts.run.parts(ts.phase, length, min(runIn, length/2)), Until: ts.mayEnd(i, length),
	})
	ts.fresh[i] = false
	ts.on[i] += time.Since(began)
	done()
	idle()
	ts.at[i] += sliced.Length
	ts.spans[i] = sliced.Length
	ts.slices[i]++
	ts.rec.LateNS = max(ts.rec.LateNS, int64(sliced.Late))
	ts.spoilt = ts.spoilt || float64(sliced.Late) > spoiltBy*float64(length)
	if err != nil {
		return err
	}
	cut := ts.cut
	ts.cut = false
	if err := ts.accounts[i].turn(ctx, cut); err != nil {
		return err
	}
	return ts.endTurn(ctx, i)
}

// endTurn freezes the target if it can be, and gives it what it has had the database do since its turn was counted: what it began before
// it was frozen would be counted, and felt, in the next turn.
func (ts *turns) endTurn(ctx context.Context, i int) error {
	if !ts.frozen[i] {
		return nil
	}
	if err := ts.up[i].d.freeze(ctx); err != nil {
		return err
	}
	return ts.accounts[i].turn(ctx, false)
}

// freezeAll freezes every target that can be frozen.
func (ts *turns) freezeAll(ctx context.Context) error {
	if ts.alone {
		return nil
	}
	for i, t := range ts.up {
		err := t.d.freeze(ctx)
		if errors.Is(err, venue.ErrNoFreezing) {
			continue
		}
		if ts.frozen[i] = true; err != nil {
			ts.thawAll(ctx)
			return err
		}
	}
	return nil
}

// thawAll lets every target go on; what fails here fails in the stop that follows, too.
func (ts *turns) thawAll(ctx context.Context) {
	ctx, cancel := teardown(ctx)
	defer cancel()
	for i, t := range ts.up {
		if ts.frozen[i] {
			_ = t.d.thaw(ctx)
		}
	}
}

// end judges the phase of each target. The error is for what ends the run.
func (ts *turns) end(ctx context.Context, reports []fleet.Report, err error) error {
	for i, t := range ts.up {
		report := reports[i]
		t.totals[ts.phase.Number] = ts.watched[i].Totals()
		if err == nil && (t.rec.Block > 0 || !ts.run.isWarmup(ts.phase)) { // in the pilot its measured phase says it
			ts.run.learn(t.rec.Target, t.totals[ts.phase.Number])
		}
		rec := ts.run.recordPhase(t.checked(ts.phase), report)
		rec.CeilingS = t.ceiling(ts.phase)
		rec.DurationS = max(rec.DurationS, ts.at[i].Seconds())
		ts.mover.into(&rec)
		ts.settled(i, &rec)
		spent := ts.rec
		spent.OnS, spent.Slices, spent.Rounds = ts.on[i].Seconds(), ts.slices[i], ts.rounds
		spent.Frozen, spent.IdleShare = ts.frozen[i], ts.idle[i].share()
		rec.Turns = &spent
		if err == nil && len(report.Lost) == 0 {
			rec.Witness, err = ts.accounts[i].total(ctx)
		}
		for _, lost := range report.Lost {
			t.refuse(record.CodeAgentLost, fmt.Errorf("agent %d in phase %s: %s", lost.Agent, ts.phase.Name, lost.Why))
		}
		t.collect()
		rec.Unjudged = ctx.Err() != nil || err != nil || len(report.Lost) > 0 || ts.stuck
		t.rec.Phases = append(t.rec.Phases, rec)
		if rec.Unjudged {
			continue
		}
		t.judge(rec)
		if !ts.alone {
			ts.restless(t, spent)
		}
		if err := t.d.intact(); err != nil {
			t.refuse(goneFor(err), fmt.Errorf("phase %s: %w", ts.phase.Name, err))
		}
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("phase %s: %w", ts.phase.Name, err)
	}
	return nil
}
