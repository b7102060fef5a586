package figures

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"bakeoff/internal/limit"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// observed is what the rules about limits read of one phase of one trial.
type observed struct {
	agents  map[int]*spent // by number
	loaders []limit.Member // the same as process trees, for loaders that say nothing of themselves
	members []limit.Member
	host    float64 // cores in use on the whole machine
	others  float64 // by the run for other targets
	common  float64 // share of the time for which quotas held the whole run back
	seconds float64 // for which this target was loaded
	rate    float64
	under   float64 // requests under way
	pool    float64
	// running sums up samples of the statements under way, sampled counts them.
	running float64
	sampled int
	locked  float64
	disk    float64 // share of the time that something waited for it
	reads   float64 // from it, per statement
	dropped float64 // connections per second
	opened  float64 // the same, by the agents
}

// spent is what one agent used in a phase.
type spent struct {
	length, cpu, throttled time.Duration
	run, waited            []time.Duration // of each loop
	cores                  float64
}

// addWindow adds a window of an agent.
func (o *observed) addWindow(agent int, w stats.Window) {
	if w.Resources == nil {
		return
	}
	if o.agents == nil {
		o.agents = map[int]*spent{}
	}
	if o.agents[agent] == nil {
		o.agents[agent] = &spent{}
	}
	a := o.agents[agent]
	a.length += w.Length
	a.cpu += w.CPU
	a.throttled += time.Duration(w.Resources.Throttled)
	a.cores = max(a.cores, w.Resources.Cores)
	a.run, a.waited = added(a.run, w.Resources.LoopCPU), added(a.waited, w.Resources.LoopWait)
}

// added adds times one by one.
func added(to []time.Duration, ns []int64) []time.Duration {
	for len(to) < len(ns) {
		to = append(to, 0)
	}
	for i, n := range ns {
		to[i] += time.Duration(n)
	}
	return to
}

// member is the agent for the rules. Its quota is its own where it is below the cores of the run, and that of the whole run, if
// there is one, did not hold it back as often: common is the share of the time for which that did.
func (a *spent) member(name string, cores, common float64, oneLoop bool) limit.Member {
	m := limit.Member{Tier: limit.Generator, Name: name, Thread: limit.Unknown}
	if a.length <= 0 {
		return m
	}
	m.CPU = a.cpu.Seconds() / a.length.Seconds()
	switch {
	case len(a.run) > 0:
		busiest := slices.Index(a.run, slices.Max(a.run))
		m.Thread = a.run[busiest].Seconds() / a.length.Seconds()
		if busiest < len(a.waited) {
			m.Waited = a.waited[busiest].Seconds() / a.length.Seconds()
		}
	case oneLoop: // in turns the loop is not timed by itself
		m.Thread = min(m.CPU, 1)
	}
	m.Throttled = a.throttled.Seconds() / a.length.Seconds()
	if a.cores > 0 && a.cores < cores && common < m.Throttled/2 {
		m.Quota = a.cores
	} else {
		m.Throttled = 0
	}
	return m
}

// observe takes what the samples of the phase say.
func (f *PhaseFigures) observe(all map[member]*usage, raw record.Trial) {
	o := &f.observed
	p := raw.Phases[slices.IndexFunc(raw.Phases, func(p record.Phase) bool { return p.Number == f.Number })]
	lasted := p.Ended.Sub(p.Started).Seconds()
	o.seconds = lasted
	turns := p.Turns != nil && p.Turns.OnS > 0
	if turns {
		o.seconds = p.Turns.OnS
	}
	if o.seconds <= 0 {
		return
	}
	mine := slices.DeleteFunc(slices.Collect(maps.Keys(all)), func(m member) bool { return m.phase != f.Number })
	slices.SortFunc(mine, func(a, b member) int { return cmp.Or(cmp.Compare(a.tier, b.tier), cmp.Compare(a.name, b.name)) })
	own, scale := 0.0, lasted/o.seconds
	for _, m := range mine {
		own += o.add(m, all[m], scale)
	}
	if turns { // the machine's own samples are of all targets: what the run did not use is the same for each
		strangers := max(0, o.host-own/scale-o.others)
		o.host = own + strangers
		o.locked, o.dropped = 0, 0 // known of all targets together, and of no one
	}
	o.rate = float64(f.Books.Answered()) / o.seconds
	o.opened = float64(f.Opened) / o.seconds
	if f.totals.InFlight != nil {
		o.under = *f.totals.InFlight / o.seconds
	}
	if d := raw.Declared; d != nil {
		o.pool = float64(d.Connections)
	}
}

// add takes what one member's samples say, and returns the cores that it used while this target was loaded; 0 where they are
// part of another member's. scale is how much longer the phase lasted than that.
func (o *observed) add(m member, u *usage, scale float64) float64 {
	cores := u.resource().Cores * scale
	switch m.tier {
	case "host":
		o.host, o.common = u.resource().Cores, u.rate(record.ThrottledNS)
		o.dropped = u.rate(record.ListenDrops)
		o.disk = max(u.rate("pressure_io_ns"), u.rate("iowait_ns"))
		return 0
	case "others":
		o.others = u.resource().Cores
		return 0
	case "database":
		o.members = append(o.members, u.member(limit.Database, m.name, cores, 1))
		o.running, o.sampled = u.running, u.sampled
		o.locked = u.rate("innodb_row_lock_time") / 1e3 // milliseconds
		if asked := u.rate("questions"); asked > 0 {
			o.reads = u.rate("innodb_data_reads") / asked
		}
	case "agent":
		o.loaders = append(o.loaders, limit.Member{Tier: limit.Generator, Name: m.name, CPU: cores, Thread: limit.Unknown})
	case "target":
		o.members = append(o.members, u.member(limit.Target, m.name, cores, scale))
		if other, sampled := u.other(m.name, scale); sampled {
			o.members = append(o.members, other)
		}
	case "balancer":
		o.members = append(o.members, u.member(limit.Balancer, m.name, cores, scale))
	}
	if u.worker() {
		return 0
	}
	return cores
}

// member is a process tree or a worker for the rules; its threads ran in only a part of the phase where scale is above 1.
func (u *usage) member(tier, name string, cores, scale float64) limit.Member {
	_, part := ownerOf(name)
	m := limit.Member{Tier: tier, Name: name, Part: part, CPU: cores, Thread: limit.Unknown, Quota: u.last.Values[record.QuotaCores], Throttled: u.rate(record.ThrottledNS) * scale}
	if _, sampled := u.last.Values[record.BusiestThreadNS]; sampled {
		m.Thread, m.Waited = u.rate(record.BusiestThreadNS)*scale, u.rate(record.BusiestThreadWaitNS)*scale
	}
	return m
}

// other is the process of a replica that is none of its workers, where there is one: it may hand all requests on to them.
func (u *usage) other(name string, scale float64) (limit.Member, bool) {
	if _, sampled := u.last.Values[record.OtherThreadNS]; !sampled {
		return limit.Member{}, false
	}
	return limit.Member{
		Tier: limit.Target, Name: name + "/no worker", Part: true,
		Thread: u.rate(record.OtherThreadNS) * scale, Waited: u.rate(record.OtherThreadWaitNS) * scale,
	}, true
}

// all are the members, the agents among them, on a machine of that many cores.
func (o observed) all(cores float64, oneLoop bool) []limit.Member {
	out := slices.Clone(o.members)
	if len(o.agents) == 0 {
		return append(out, o.loaders...)
	}
	for _, number := range slices.Sorted(maps.Keys(o.agents)) {
		out = append(out, o.agents[number].member("agent "+strconv.Itoa(number), cores, o.common, oneLoop))
	}
	return out
}

// fewestSamples is how many samples say how many statements run at a time.
const fewestSamples = 3

// reading joins the blocks of one target: the median of each figure, and of statements under way the mean over all samples.
func reading(blocks []observed, cores float64, oneLoop bool) limit.Reading {
	middle := func(figure func(observed) float64) float64 { return over(blocks, figure).Median }
	r := limit.Reading{
		Cores: cores, Running: limit.Unknown,
		// In turns it is a sum of what was sampled at other moments, and may come out above all that there is.
		Host:     min(1, middle(func(o observed) float64 { return o.host })/cores),
		InFlight: middle(func(o observed) float64 { return o.under }), Rate: middle(func(o observed) float64 { return o.rate }),
		Pool: middle(func(o observed) float64 { return o.pool }), Locked: middle(func(o observed) float64 { return o.locked }),
		Pressure: middle(func(o observed) float64 { return o.disk }), Reads: middle(func(o observed) float64 { return o.reads }),
	}
	sum, samples := 0.0, 0
	dropped, opened := 0.0, 0.0
	for _, o := range blocks {
		sum, samples = sum+o.running, samples+o.sampled
		dropped, opened = dropped+o.dropped, opened+o.opened
	}
	if samples >= fewestSamples {
		r.Running = sum / float64(samples)
	}
	if dropped > 0 && dropped+opened > 0 {
		r.Dropped = dropped / (dropped + opened)
		r.Stalled = middle(func(o observed) float64 { return o.dropped / max(o.rate, 1e-9) })
	}
	r.Members = joinedMembers(blocks, cores, oneLoop)
	return r
}

// joinedMembers are the members over the blocks. Processes have other numbers in each, so they are joined by rank within their tier:
// by how long their busiest thread ran or was ready to, as the rules judge them.
func joinedMembers(blocks []observed, cores float64, oneLoop bool) []limit.Member {
	type kind struct {
		tier string
		part bool
	}
	ranks := map[kind][][]limit.Member{}
	for _, o := range blocks {
		mine := map[kind][]limit.Member{}
		for _, m := range o.all(cores, oneLoop) {
			k := kind{m.Tier, m.Part}
			mine[k] = append(mine[k], m)
		}
		for k, all := range mine {
			slices.SortStableFunc(all, func(a, b limit.Member) int {
				return cmp.Or(cmp.Compare(b.Thread+b.Waited, a.Thread+a.Waited), cmp.Compare(b.CPU, a.CPU))
			})
			for i, m := range all {
				if i == len(ranks[k]) {
					ranks[k] = append(ranks[k], nil)
				}
				ranks[k][i] = append(ranks[k][i], m)
			}
		}
	}
	var out []limit.Member
	for _, all := range ranks {
		for _, same := range all {
			out = append(out, joinedMember(same))
		}
	}
	slices.SortFunc(out, func(a, b limit.Member) int {
		return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(b.Thread, a.Thread), cmp.Compare(b.CPU, a.CPU), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// joinedMember has the median of each figure, and the name that all have: that of the worker, else of its replica.
func joinedMember(same []limit.Member) limit.Member {
	middle := func(figure func(limit.Member) float64) float64 { return over(same, figure).Median }
	out := same[0]
	for _, m := range same[1:] {
		if m.Name != out.Name {
			here, _ := ownerOf(m.Name)
			if out.Name, _ = ownerOf(out.Name); here != out.Name {
				out.Name = ""
				break
			}
		}
	}
	out.CPU, out.Waited = middle(func(m limit.Member) float64 { return m.CPU }), middle(func(m limit.Member) float64 { return m.Waited })
	out.Thread = middle(func(m limit.Member) float64 { return m.Thread })
	out.Quota, out.Throttled = middle(func(m limit.Member) float64 { return m.Quota }), middle(func(m limit.Member) float64 { return m.Throttled })
	return out
}
