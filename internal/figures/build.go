package figures

import (
	"encoding/json"
	"fmt"
	"slices"

	"bakeoff/internal/record"
)

// planned is what the report needs of the plan as resolved in run.json.
type planned struct {
	Blocks      int       `json:"blocks"`
	Primary     string    `json:"primary"`
	AllowUnfair string    `json:"allow_unfair"`
	Delta       delta     `json:"delta"` // 0 where the plan is from before it had one
	Dataset     Dataset   `json:"dataset"`
	Objective   objective `json:"objective"` // of a capacity

	Thresholds []string       `json:"thresholds"`
	Phases     []plannedPhase `json:"phases"`
	Agents     struct {
		Engine string `json:"engine"`
	} `json:"agents"`
}

// oneLoop reports whether each agent did its work in one thread in a phase: the native engine does.
func (p planned) oneLoop(phase string) bool { return p.engine(phase) == "native" }

// think is the pause after an answer in a phase.
func (p planned) think(phase string) (pause duration) {
	for _, one := range p.Phases {
		if one.Name == phase {
			pause = one.Think
		}
	}
	return pause
}

// engine is the one that carries out a phase.
func (p planned) engine(phase string) string {
	engine := p.Agents.Engine
	for _, one := range p.Phases {
		if one.Name == phase && one.Engine != "" {
			engine = one.Engine
		}
	}
	return engine
}

// plannedPhase is what else must be known of a phase than its own record says.
type plannedPhase struct {
	Name      string   `json:"name"`
	Reconnect bool     `json:"reconnect"`
	Engine    string   `json:"engine"`
	Think     duration `json:"think"` // the pause after an answer
}

// Build computes every figure of a run, finished or not. Trials that are damaged,
// unfinished, aborted or invalid are named and left out of all statistics. It is pure: the same
// run directory gives the same summary.
func Build(r *record.Reader) (*Summary, error) {
	run := r.Run()
	var p planned
	if len(run.Plan) > 0 {
		if err := json.Unmarshal(run.Plan, &p); err != nil {
			return nil, fmt.Errorf("figures: plan in run.json: %w", err)
		}
	}
	s := &Summary{
		Format: SummaryVersion, Run: facts(run, p), Machine: run.Machine, Database: run.Database, Balancer: run.Balancer,
		Dataset: p.Dataset, Notes: run.Notes, Found: run.Pilot, Problems: r.Problems(),
		Baselines: run.Baselines, Calibration: run.Calibration, margin: float64(p.Delta),
	}
	s.checked = run.Salt != "" || len(run.ChecksLeftOut) > 0
	b := builder{s: s, steps: map[string]float64{}, whole: !s.checked}
	for _, state := range r.Trials() {
		b.add(state)
	}
	b.choose()
	b.finish(run)
	if s.Speed = speed(s.Trials); s.Speed != nil {
		s.Speed.Follows = s.follows()
	}
	s.capacities(p.Objective)
	if primary, found := s.Primary(); found {
		s.Limits = b.limits(primary, run.Database, p.oneLoop(primary.Name))
		if s.Capacity != nil {
			s.Capacity.held(foreign(s.Limits))
		}
	}
	if len(p.Thresholds) > 0 {
		s.foreignIn = b.foreignLimits(run.Database, p)
	}
	s.Costs, s.Idle, s.Pairs, s.TimeShares = b.costs(), s.idles(), b.pairs(p), b.timeShares(p)
	s.Attempts = s.attempts()
	if err := s.judge(r.Live()); err != nil {
		return nil, err
	}
	s.compare(run.Revisions)
	if err := s.thresholds(p.Thresholds, r.Live()); err != nil {
		return nil, err
	}
	s.still = b.still()
	s.mark(r.Live())
	s.Headline = headline(s)
	return s, nil
}

func facts(run record.Run, p planned) Facts {
	f := Facts{
		Name: run.Name, Bakeoff: run.Bakeoff, Status: run.Status, Reason: run.Reason, Platform: run.Platform,
		Seed: run.Seed, PlanDigest: run.PlanDigest, Primary: p.Primary, AllowUnfair: p.AllowUnfair,
		Started: run.Started, Ended: run.Ended, Blocks: p.Blocks, Short: run.Short, Shared: run.Shared,
		ChecksLeftOut: run.ChecksLeftOut, Search: run.Search, Stopped: run.Stopped(),
	}
	if len(run.Nodes) > 0 {
		f.Machines = run.Machines()
	}
	if len(run.Order) > 0 {
		f.Blocks = 0 // it may have fewer than its plan, to fit into a time
	}
	for _, place := range run.Order {
		f.Blocks = max(f.Blocks, place.Block)
		if place.Block > 0 {
			f.Planned++
		}
	}
	return f
}

// builder gathers trials into a summary.
type builder struct {
	s     *Summary
	raws  []record.Phase // measured phases, as in the first trial that has them
	steps map[string]float64
	names []string // of steps, in the order they were seen
	whole bool     // a phase's time is all of it: so it was before runs had a salt, and checks that can be left out
}

// add reads one trial and files it.
func (b *builder) add(state record.TrialState) {
	t, raw, err := readTrial(state)
	if err != nil {
		b.unusable(state, err)
		return
	}
	for i := range t.Phases {
		if b.whole {
			t.Phases[i].leftOutS = 0
		}
	}
	for _, step := range raw.Timeline {
		if _, seen := b.steps[step.Name]; !seen {
			b.names = append(b.names, step.Name)
		}
		b.steps[step.Name] += step.Seconds
	}
	if t.Block == 0 {
		b.s.Pilot = append(b.s.Pilot, t)
		return
	}
	b.s.Trials = append(b.s.Trials, t)
	for _, p := range raw.Phases {
		known := slices.ContainsFunc(b.raws, func(o record.Phase) bool { return o.Number == p.Number })
		if !p.Warmup && !known && p.Stage == nil {
			b.raws = append(b.raws, p)
		}
	}
}

// unusable files a trial whose figures cannot be read.
func (b *builder) unusable(state record.TrialState, err error) {
	status := state.State
	if status == record.Finished {
		status = record.Damaged
	}
	b.s.Unusable = append(b.s.Unusable, Unusable{
		Block: state.Block, Target: state.Target, Attempt: state.Attempt, Status: status,
		Reasons: []record.Reason{{Code: status, Text: why(state, err)}},
	})
}

func why(state record.TrialState, err error) string {
	switch {
	case len(state.Damage) > 0:
		return state.Damage[0].String()
	case state.State == record.Unfinished:
		return "begun, but not finished"
	}
	return err.Error()
}

// choose picks for each block and target the trial that counts: the last
// valid one. The others are filed as unusable.
func (b *builder) choose() {
	type trialKey struct {
		block  int
		target string
	}
	chosen := map[trialKey]int{}
	finished := map[trialKey]bool{}
	for i, t := range b.s.Trials {
		k := trialKey{t.Block, t.Target}
		if t.Status != record.TrialAborted {
			finished[k] = true
		}
		if old, ok := chosen[k]; t.Status == record.Valid && (!ok || b.s.Trials[old].Attempt <= t.Attempt) {
			chosen[k] = i
		}
	}
	for _, i := range chosen {
		b.s.Trials[i].Used = true
	}
	for _, t := range slices.Concat(b.s.Trials, b.s.Pilot) {
		if !t.Used && (t.Block > 0 || t.Status != record.Valid) {
			b.s.Unusable = append(b.s.Unusable, Unusable{Block: t.Block, Target: t.Target, Attempt: t.Attempt, Status: t.Status, Reasons: t.Reasons})
		}
	}
	for i, u := range b.s.Unusable {
		b.s.Unusable[i].Repeated = "not repeated"
		if c, ok := chosen[trialKey{u.Block, u.Target}]; ok {
			b.s.Unusable[i].Repeated = fmt.Sprintf("valid in attempt %d", b.s.Trials[c].Attempt)
		} else if b.attempts(u.Block, u.Target) > u.Attempt {
			b.s.Unusable[i].Repeated = "repeated, not valid either"
		}
	}
	slices.SortStableFunc(b.s.Unusable, func(x, y Unusable) int {
		if x.Block != y.Block {
			return x.Block - y.Block
		}
		return x.Attempt - y.Attempt
	})
	b.s.Run.Finished = len(finished)
}

// attempts is the number of the last attempt seen for a place.
func (b *builder) attempts(block int, target string) int {
	last := 0
	for _, u := range b.s.Unusable {
		if u.Block == block && u.Target == target {
			last = max(last, u.Attempt)
		}
	}
	return last
}

// finish computes what goes over all trials.
func (b *builder) finish(run record.Run) {
	s := b.s
	slices.SortFunc(b.raws, func(x, y record.Phase) int { return x.Number - y.Number })
	for _, info := range run.Targets {
		s.Targets = append(s.Targets, b.target(info))
	}
	for _, p := range b.raws {
		s.Phases = append(s.Phases, b.phase(p))
	}
	s.Trends = trends(s)
	s.Timelines = timelines(s)
	for _, t := range s.Trials {
		for _, f := range t.measured() {
			if t.Used {
				s.Time.MeasuredS += f.DurationS - f.leftOutS
			}
		}
	}
	s.Time.WallS = run.Wall
	if s.Time.WallS == 0 && !run.Ended.IsZero() {
		s.Time.WallS = run.Ended.Sub(run.Started).Seconds()
	}
	if s.Time.WallS > 0 {
		s.Time.Useful = s.Time.MeasuredS / s.Time.WallS
	}
	s.Time.Shares = s.shares()
	for _, name := range b.names {
		s.Time.Steps = append(s.Time.Steps, record.Step{Name: name, Seconds: b.steps[name]})
	}
}

func (b *builder) target(info record.TargetInfo) Target {
	t := Target{TargetInfo: info}
	for _, o := range b.s.Trials {
		switch {
		case o.Target != info.Name:
		case o.Used:
			t.Valid++
		case o.Status == record.Invalid:
			t.Invalid++
		}
	}
	for _, o := range b.s.Pilot {
		if o.Target == info.Name && len(o.Phases) > 0 {
			t.Pilot = o.Phases[0].Goodput
		}
	}
	return t
}

func (b *builder) phase(p record.Phase) Phase {
	out := Phase{
		Number: p.Number, Name: p.Name, Model: p.Model, Engine: p.Engine, Ask: p.Ask, Direct: p.Direct, Connections: p.Connections, Rate: p.Rate,
		Arrivals: p.Arrivals, DurationS: p.DurationS, TimeoutS: p.TimeoutS,
	}
	for _, target := range b.s.Targets {
		out.Targets = append(out.Targets, overBlocks(target.Name, out.ByService(), b.used(target.Name, p.Number)))
	}
	return out
}

// still is why no rows changed in measured phases, with the names of these.
func (b *builder) still() map[string][]string {
	out := map[string][]string{}
	for _, p := range b.raws {
		if p.NoMoves != "" {
			out[p.NoMoves] = append(out[p.NoMoves], p.Name)
		}
	}
	return out
}

// used returns one target's figures of one phase in every valid block.
func (b *builder) used(target string, phase int) []PhaseFigures {
	var out []PhaseFigures
	for _, t := range b.s.Trials {
		if t.Target != target || !t.Used {
			continue
		}
		for _, f := range t.measured() {
			if f.Number == phase || phase == capacityPhase && f.stage {
				out = append(out, f)
			}
		}
	}
	return out
}
