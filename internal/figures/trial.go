package figures

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bakeoff/internal/gate"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// readTrial computes every measured phase of a finished trial.
func readTrial(state record.TrialState) (Trial, record.Trial, error) {
	raw, err := state.Trial()
	if err != nil {
		return Trial{}, raw, err
	}
	out := Trial{
		Block: raw.Block, Position: raw.Position, Target: raw.Target, Attempt: raw.Attempt,
		Status: raw.Status, Reasons: raw.Reasons, Warnings: raw.Warnings,
		timeline: raw.Timeline,
	}
	for _, p := range raw.Phases {
		out.times = append(out.times, newTimes(p))
		switch {
		case p.Warmup:
		case p.Stage != nil:
			out.Stages = append(out.Stages, newStage(p))
		default:
			out.Phases = append(out.Phases, newFigures(p))
			out.turns = out.turns || p.Turns != nil
		}
	}
	if err := out.addLoads(state); err != nil {
		return out, raw, err
	}
	usages, times, err := readUsages(state, out.turns)
	if err != nil {
		return out, raw, err
	}
	out.WorkS = times.mean(out.Phases)
	resources := resourcesOf(usages)
	for i := range out.Phases {
		f := &out.Phases[i]
		f.WorkS = times.mean(out.Phases[i : i+1])
		f.finish(raw, resources[f.Number])
		f.observe(usages, raw)
	}
	for i := range out.Stages {
		f := &out.Stages[i]
		f.finish(raw, resources[f.Number])
		f.observe(usages, raw)
		f.Finding = f.objective.Judge(f.found())
	}
	out.Replicas = readied(raw.Replicas, usages)
	return out, raw, nil
}

// measured are the phases that measure, the stages among them.
func (t Trial) measured() []PhaseFigures {
	out := slices.Clone(t.Phases)
	for _, f := range t.Stages {
		out = append(out, f.PhaseFigures)
	}
	return out
}

func newFigures(p record.Phase) PhaseFigures {
	return PhaseFigures{
		Number: p.Number, Name: p.Name, Model: p.Model, DurationS: p.DurationS, Witness: Witness{Witness: p.Witness},
		totals: stats.Totals{Sending: p.Duration()}, levels: gate.NewLevels(p), stretches: stretches{}, leftOutS: p.LeftOut().Seconds(), ceilingS: p.CeilingS,
	}
}

// addLoads adds every agent's windows to their phase. A finished trial was
// proven whole, so a line that cannot be read is an error here.
func (t *Trial) addLoads(state record.TrialState) error {
	for l, err := range state.Loads() {
		if err != nil {
			return fmt.Errorf("figures: %w", err)
		}
		for _, one := range t.times {
			if one.phase.Number == l.Phase {
				one.add(l.Window)
			}
		}
		if f := t.numbered(l.Phase); f != nil { // else it belongs to the warm-up
			f.totals.Add(l.Window)
			f.levels.Add(l.Window)
			f.stretches.add(l.Window, f.totals.Sending)
			f.observed.addWindow(l.Agent, l.Window)
		}
		for _, f := range t.Stages {
			if f.Number == l.Phase {
				f.batches.Add(l.Window)
			}
		}
	}
	return nil
}

// numbered is the measured phase or stage with that number; nil: there is none.
func (t *Trial) numbered(number int) *PhaseFigures {
	for i := range t.Phases {
		if t.Phases[i].Number == number {
			return &t.Phases[i]
		}
	}
	for i := range t.Stages {
		if t.Stages[i].Number == number {
			return &t.Stages[i].PhaseFigures
		}
	}
	return nil
}

// finish computes what needs the whole phase.
func (f *PhaseFigures) finish(raw record.Trial, used []Resource) {
	t := &f.totals
	f.Books, f.Outcomes, f.Status, f.Unwritten, f.Lost = t.Books, t.Outcomes, t.Status, t.Unwritten, t.Lost
	f.Checked, f.Hits, f.Misses, f.Opened = t.Checked, t.Hits, t.Misses, t.Opened
	f.Agents, f.GCPauseS = t.Resources, t.GCPause.Seconds()
	f.Goodput = t.Goodput()
	if drift, known := f.levels.Drift(); known {
		f.Drift = drift
	}
	if f.DurationS > 0 {
		f.Offered = float64(f.Books.Planned) / f.DurationS
		f.Achieved = float64(f.Books.Sent) / f.DurationS
	}
	f.Response, f.Service, f.Lateness = distributions(*t)
	f.perRequest()
	f.shares(raw.Replicas)
	f.Resources = used
	i := slices.IndexFunc(raw.Phases, func(p record.Phase) bool { return p.Number == f.Number })
	lasted := raw.Phases[i].Ended.Sub(raw.Phases[i].Started).Seconds()
	for j := range f.Resources {
		f.Resources[j].finish(raw.Phases[i].Turns, lasted, f.Books.Answered())
	}
}

// finish computes the CPU time per answer of a phase that lasted so long. Where targets took turns, members
// used their cores in the slices of this target only, except for the machine and what belongs to all.
func (r *Resource) finish(turns *record.PhaseTurns, lasted float64, answers int64) {
	if answers > 0 {
		r.PerReqS = r.Cores * lasted / float64(answers)
	}
	if turns != nil && turns.OnS > 0 && r.Tier != "host" && r.Tier != "others" {
		r.Cores *= lasted / turns.OnS
	}
}

func (f *PhaseFigures) perRequest() {
	if f.Books.Sent == 0 || f.Witness.DatabaseReads < 0 {
		return
	}
	sent := float64(f.Books.Sent)
	f.Witness.ReadsPerRequest = float64(f.Witness.DatabaseReads) / sent
	f.Witness.OthersPerRequest = map[string]float64{}
	for kind, n := range f.Witness.DatabaseOthers {
		f.Witness.OthersPerRequest[kind] = float64(n) / sent
	}
}

// shares computes each replica's share, also of those that sent no answer.
func (f *PhaseFigures) shares(started []record.Replica) {
	seen := map[string]bool{}
	for name, r := range f.totals.Replicas {
		seen[name] = true
		f.Replicas = append(f.Replicas, Replica{Name: name, Answers: r.Answers, Errors: r.Errors})
	}
	for _, r := range started {
		if !seen[r.Name] {
			f.Replicas = append(f.Replicas, Replica{Name: r.Name})
		}
	}
	slices.SortFunc(f.Replicas, func(a, b Replica) int { return cmp.Compare(a.Name, b.Name) })
	var all, most int64
	for _, r := range f.Replicas {
		all += r.Answers
		most = max(most, r.Answers)
	}
	for i := range f.Replicas {
		r := &f.Replicas[i]
		seen, answered := f.totals.Replicas[r.Name]
		r.Service = percentiles(seen.Service, answered)
		r.Connections = connections(started, r.Name)
		if all > 0 {
			r.Share = float64(r.Answers) / float64(all)
		}
	}
	if all > 0 {
		f.Imbalance = float64(most) * float64(len(f.Replicas)) / float64(all)
	}
}

// connections are the client connections of a replica's workers, most first.
func connections(started []record.Replica, name string) []int {
	var out []int
	for _, r := range started {
		if r.Name != name {
			continue
		}
		for _, w := range r.Workers {
			out = append(out, w.Connections)
		}
	}
	slices.SortFunc(out, func(a, b int) int { return cmp.Compare(b, a) })
	return out
}

// member is one line of samples: a process tree, a worker, the host, in one phase.
type member struct {
	phase      int
	tier, name string
}

// usage gathers the samples of one member in one phase.
type usage struct {
	Resource
	first, last record.Series
	cpuNS       int64
	grew        map[string]float64 // by how much each counter grew
	running     float64            // the sum of what samples say of statements under way
	sampled     int                // how many say it
}

// counters are the values of samples that only grow, as far as figures are made of them.
func counters() []string {
	return []string{
		record.BusiestThreadNS, record.BusiestThreadWaitNS, record.OtherThreadNS, record.OtherThreadWaitNS, record.ThrottledNS, record.ListenDrops, "pressure_io_ns", "iowait_ns",
		"innodb_row_lock_time", "innodb_data_reads", "questions",
	}
}

// readUsages returns the samples of each member in each phase, and the times of the yardstick. In turns gauges are of the
// target whose turn it is, and those of others are left out.
func readUsages(state record.TrialState, turns bool) (map[member]*usage, works, error) {
	all, times := map[member]*usage{}, works{}
	for s, err := range state.Series() {
		if err != nil {
			return nil, nil, fmt.Errorf("figures: %w", err)
		}
		times.add(s)
		m := member{s.Phase, s.Tier, s.Name}
		if all[m] == nil {
			all[m] = &usage{Resource: Resource{Tier: s.Tier, Name: s.Name}, first: s, last: s, grew: map[string]float64{}}
		}
		all[m].add(s, turns)
	}
	return all, times, nil
}

// resourcesOf is what each member used, by phase number, sorted by tier and name.
func resourcesOf(all map[member]*usage) map[int][]Resource {
	out := map[int][]Resource{}
	for m, u := range all {
		out[m.phase] = append(out[m.phase], u.resource())
	}
	for _, rs := range out {
		slices.SortFunc(rs, func(a, b Resource) int { return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Name, b.Name)) })
	}
	return out
}

// add adds a sample. A counter that went back (a process of the tree ended) adds nothing for that second.
func (u *usage) add(s record.Series, turns bool) {
	u.Samples++
	u.RSSBytes = max(u.RSSBytes, s.RSSBytes)
	u.PSSBytes = max(u.PSSBytes, s.PSSBytes)
	u.addCPU(s)
	for _, name := range counters() {
		before, known := u.last.Values[name]
		if now, still := s.Values[name]; known && still {
			u.grew[name] += max(0, now-before)
		}
	}
	if u.Samples > 2 {
		u.addRunning(u.last, turns)
	}
	u.last = s
}

// addRunning adds a sample of the statements under way that is neither the first nor the last of its phase: at those nothing is
// asked for yet, or any more.
func (u *usage) addRunning(s record.Series, turns bool) {
	if n, sampled := s.Values[threadsRunning]; sampled && (!turns || s.Values[record.InTurn] > 0) {
		u.running += max(0, n-1) // our own question is one
		u.sampled++
	}
}

// addCPU adds what was used since the last sample: by the account of the member's own control group where it has one, which also
// has what processes used that nobody waited for, else by those of its processes.
func (u *usage) addCPU(s record.Series) {
	before, known := u.last.Values[record.GroupCPUNS]
	now, still := s.Values[record.GroupCPUNS]
	if known && still {
		u.From = "cgroup v" + strconv.Itoa(int(s.Values[record.GroupVersion]))
		u.cpuNS += max(0, int64(now-before))
		return
	}
	u.From = fromProc
	u.cpuNS += max(0, s.CPUNS-u.last.CPUNS)
}

// fromProc is where CPU times were read that no control group has.
const fromProc = "/proc"

// threadsRunning is the database's gauge of statements under way.
const threadsRunning = "threads_running"

func (u *usage) resource() Resource {
	if span := u.last.At.Sub(u.first.At); span > 0 {
		u.Cores = float64(u.cpuNS) / float64(span.Nanoseconds())
	}
	return u.Resource
}

// rate is by how much a counter grew in a second; of nanoseconds that is a share of the time.
func (u *usage) rate(name string) float64 {
	span := u.last.At.Sub(u.first.At)
	if span <= 0 {
		return 0
	}
	if strings.HasSuffix(name, "_ns") {
		return u.grew[name] / float64(span.Nanoseconds())
	}
	return u.grew[name] / span.Seconds()
}

// ownerOf splits a member's name: the replica, and whether it is a worker of it.
func ownerOf(name string) (owner string, isWorker bool) {
	owner, _, isWorker = strings.Cut(name, "/")
	return owner, isWorker
}

// worker reports whether a resource is a worker rather than a whole replica.
func (r Resource) worker() bool {
	_, isWorker := ownerOf(r.Name)
	return isWorker
}

// memory is the proportional size where it is known, else the resident one.
func (r Resource) memory() (bytes int64, kind string) {
	if r.PSSBytes > 0 {
		return r.PSSBytes, "PSS"
	}
	return r.RSSBytes, "RSS"
}
