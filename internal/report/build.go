package report

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// planned is what the report needs of the plan as resolved in run.json.
type planned struct {
	Blocks      int     `json:"blocks"`
	Primary     string  `json:"primary"`
	AllowUnfair string  `json:"allow_unfair"`
	Dataset     Dataset `json:"dataset"`
}

// Build computes every figure of a run, finished or not. Trials that are damaged,
// unfinished, aborted or invalid are named and left out of all statistics. It is pure: the same
// run directory gives the same summary.
func Build(r *record.Reader) (*Summary, error) {
	run := r.Run()
	var p planned
	if len(run.Plan) > 0 {
		if err := json.Unmarshal(run.Plan, &p); err != nil {
			return nil, fmt.Errorf("report: plan in run.json: %w", err)
		}
	}
	s := &Summary{
		Format: SummaryVersion, Run: facts(run, p), Machine: run.Machine, Database: run.Database, Balancer: run.Balancer,
		Dataset: p.Dataset, Notes: run.Notes, Found: run.Pilot, Problems: r.Problems(),
	}
	b := builder{s: s, steps: map[string]float64{}}
	for _, state := range r.Trials() {
		b.add(state)
	}
	b.choose()
	b.finish(run)
	s.Marks = marks(s, r.Live())
	s.Headline = headline(s)
	return s, nil
}

func facts(run record.Run, p planned) Facts {
	f := Facts{
		Name: run.Name, Bakeoff: run.Bakeoff, Status: run.Status, Reason: run.Reason, Platform: run.Platform,
		Seed: run.Seed, PlanDigest: run.PlanDigest, Primary: p.Primary, AllowUnfair: p.AllowUnfair,
		Started: run.Started, Ended: run.Ended, Blocks: p.Blocks, Short: run.Short, Shared: run.Shared,
	}
	for _, place := range run.Order {
		if place.Block > 0 {
			f.Planned++
		}
	}
	return f
}

// builder gathers trials into a summary.
type builder struct {
	s     *Summary
	raws  []record.Phase // measured phases, as the first trial that has them tells
	steps map[string]float64
	names []string // of steps, in the order they were seen
}

// add reads one trial and files it.
func (b *builder) add(state record.TrialState) {
	t, raw, err := readTrial(state)
	if err != nil {
		b.unusable(state, err)
		return
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
		if !p.Warmup && !known {
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
	type place struct {
		block  int
		target string
	}
	chosen := map[place]int{}
	finished := map[place]bool{}
	for i, t := range b.s.Trials {
		k := place{t.Block, t.Target}
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
		if c, ok := chosen[place{u.Block, u.Target}]; ok {
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
	for _, t := range s.Trials {
		for _, f := range t.Phases {
			if t.Used {
				s.Time.MeasuredS += f.DurationS
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
		Number: p.Number, Name: p.Name, Model: p.Model, Connections: p.Connections, Rate: p.Rate,
		Arrivals: p.Arrivals, DurationS: p.DurationS, TimeoutS: p.TimeoutS,
	}
	for _, target := range b.s.Targets {
		out.Targets = append(out.Targets, overBlocks(target.Name, b.used(target.Name, p.Number)))
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
		for _, f := range t.Phases {
			if f.Number == phase {
				out = append(out, f)
			}
		}
	}
	return out
}

// over computes a spread of one figure.
func over[T any](of []T, figure func(T) float64) Spread {
	vs := make([]value, len(of))
	for i, f := range of {
		vs[i] = value{v: figure(f)}
	}
	return spread(vs)
}

// overBlocks joins one target's blocks.
func overBlocks(target string, blocks []PhaseFigures) PhaseTarget {
	counted := slices.DeleteFunc(slices.Clone(blocks), func(f PhaseFigures) bool { return f.Witness.DatabaseReads < 0 })
	out := PhaseTarget{
		Target: target, Blocks: len(blocks),
		Goodput:       over(blocks, func(f PhaseFigures) float64 { return f.Goodput }),
		Achieved:      over(blocks, func(f PhaseFigures) float64 { return f.Achieved }),
		Imbalance:     over(blocks, func(f PhaseFigures) float64 { return f.Imbalance }),
		Reads:         over(counted, func(f PhaseFigures) float64 { return f.Witness.ReadsPerRequest }),
		DBConnections: over(counted, func(f PhaseFigures) float64 { return float64(f.Witness.Connections) }),
		Others:        others(blocks),
	}
	var pooled stats.Totals
	var responses, services [][]Percentile
	for _, f := range blocks {
		pooled.Merge(f.totals)
		responses, services = append(responses, f.Response), append(services, f.Service)
	}
	out.Books, out.Outcomes, out.Opened = pooled.Books, pooled.Outcomes, pooled.Opened
	out.Checked, out.Hits, out.Misses = pooled.Checked, pooled.Hits, pooled.Misses
	for _, f := range counted {
		out.ReadsTotal += f.Witness.DatabaseReads
	}
	out.Response, out.Service = spreadPercentiles(responses), spreadPercentiles(services)
	out.PooledResponse, out.PooledService, out.PooledLateness = distributions(pooled)
	if out.Books.Planned > 0 {
		out.Late = float64(out.Books.Late) / float64(out.Books.Planned)
	}
	out.Tiers, out.Replicas = tiers(blocks), replicas(blocks, pooled)
	if len(blocks) > 0 {
		out.Warnings = stats.Summarize(goodputs(blocks)).Warnings
	}
	return out
}

func goodputs(blocks []PhaseFigures) []float64 {
	out := make([]float64, len(blocks))
	for i, f := range blocks {
		out[i] = f.Goodput
	}
	return out
}

// others joins the further statements per request, by kind.
func others(blocks []PhaseFigures) map[string]Spread {
	kinds := map[string]bool{}
	for _, f := range blocks {
		for kind := range f.Witness.OthersPerRequest {
			kinds[kind] = true
		}
	}
	out := map[string]Spread{}
	for kind := range kinds {
		out[kind] = over(blocks, func(f PhaseFigures) float64 { return f.Witness.OthersPerRequest[kind] })
	}
	return out
}

// tierNames are the tiers in the order a request meets them.
func tierNames() []string {
	return []string{"agent", "balancer", "target", "database", "controller", "host"}
}

// tiers sums the members of each tier block by block; workers are part of their replica.
func tiers(blocks []PhaseFigures) []Tier {
	var out []Tier
	for _, name := range tierNames() {
		var cores, perReq, memory []float64
		kind := ""
		for _, f := range blocks {
			sum, seen := Resource{}, false
			var bytes int64
			for _, r := range f.Resources {
				if r.Tier != name || r.worker() {
					continue
				}
				seen = true
				sum.Cores += r.Cores
				sum.PerReqS += r.PerReqS
				b, k := r.memory()
				bytes, kind = bytes+b, k
			}
			if seen {
				cores, perReq, memory = append(cores, sum.Cores), append(perReq, sum.PerReqS), append(memory, float64(bytes))
			}
		}
		if len(cores) > 0 {
			out = append(out, Tier{name, spread(exactly(cores...)), spread(exactly(perReq...)), spread(exactly(memory...)), kind})
		}
	}
	return out
}

// replicas joins each replica over the blocks; pooled is their sum.
func replicas(blocks []PhaseFigures, pooled stats.Totals) []PhaseReplica {
	var names []string
	for _, f := range blocks {
		for _, r := range f.Replicas {
			if !slices.Contains(names, r.Name) {
				names = append(names, r.Name)
			}
		}
	}
	slices.Sort(names)
	var out []PhaseReplica
	for _, name := range names {
		one := replica(name, blocks)
		r, seen := pooled.Replicas[name]
		one.Errors, one.Service = r.Errors, percentiles(r.Service, seen)
		out = append(out, one)
	}
	return out
}

func replica(name string, blocks []PhaseFigures) PhaseReplica {
	out := PhaseReplica{Name: name}
	var shares, cores, memory []float64
	var workerCores, workerBytes, conns [][]float64
	for _, f := range blocks {
		for _, r := range f.Replicas {
			if r.Name == name {
				shares = append(shares, r.Share)
				conns = append(conns, floats(r.Connections))
			}
		}
		var wc, wb []float64
		for _, r := range f.Resources {
			bytes, kind := r.memory()
			switch owner, isWorker := ownerOf(r.Name); {
			case r.Tier != "target" || owner != name:
			case isWorker:
				wc, wb = append(wc, r.Cores), append(wb, float64(bytes))
			default:
				cores, memory, out.Kind = append(cores, r.Cores), append(memory, float64(bytes)), kind
			}
		}
		workerCores, workerBytes = append(workerCores, wc), append(workerBytes, wb)
	}
	out.Share, out.Cores, out.Memory = spread(exactly(shares...)), spread(exactly(cores...)), spread(exactly(memory...))
	out.WorkerCores, out.WorkerBytes, out.Connections = ranked(workerCores), ranked(workerBytes), ranked(conns)
	return out
}

func floats(ns []int) []float64 {
	out := make([]float64, len(ns))
	for i, n := range ns {
		out[i] = float64(n)
	}
	return out
}

// length is how long a trial measures: the sum of its measured phases.
func (s *Summary) length() time.Duration {
	var total float64
	for _, p := range s.Phases {
		total += p.DurationS
	}
	return time.Duration(total * float64(time.Second))
}
