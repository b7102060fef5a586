package live

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/record"
)

// Second is what the tiers used in one second of the run, in cores, by tier. A tier without two samples is left out.
type Second struct {
	At    time.Time          `json:"at"`
	Cores map[string]float64 `json:"cores"`
	parts []part
}

// part is what a member of a tier used in the part of a second that its samples cover.
type part struct {
	tier, name    string
	used, covered float64 // seconds
}

// Member is one process tree of a tier, as it was last sampled.
type Member struct {
	Tier     string             `json:"tier"`
	Name     string             `json:"name"`
	Cores    *float64           `json:"cores"` // null: not known before a second sample
	RSSBytes int64              `json:"rss_bytes"`
	Values   map[string]float64 `json:"values,omitempty"`
}

// Agent is what one agent had and lacked in its newest window, and what it dropped in the phase.
type Agent struct {
	Agent      int      `json:"agent"`
	Phase      int      `json:"phase"`
	Late       *float64 `json:"late"` // share of the window's arrivals; null: not measured
	Dropped    int64    `json:"dropped"`
	Cores      float64  `json:"cores"` // CPU seconds per second
	CoresMost  float64  `json:"cores_most"`
	Ports      int64    `json:"ports"`
	PortsMost  int64    `json:"ports_most"`
	Files      int64    `json:"descriptors"`
	FilesMost  int64    `json:"descriptor_limit"`
	StoppedS   float64  `json:"stopped_s"` // for which it stood still or had no core, in the phase
	Unmeasured bool     `json:"unmeasured,omitempty"`
}

// tiers are the newest samples.
type tiers struct {
	members map[[2]string]*sampled
	seconds []*Second
	changed map[*Second]bool
	last    time.Time // of the newest line
	block   int       // of it
}

type sampled struct {
	Member
	at    time.Time
	cpuNS int64
}

func newTiers() tiers {
	return tiers{members: map[[2]string]*sampled{}, changed: map[*Second]bool{}}
}

// spent is the CPU time of a target in a phase.
type spent struct {
	first, last map[string]int64 // by replica
	samples     []sample
}

// sample is what all replicas together had used since the first one.
type sample struct {
	at   time.Time
	used time.Duration
}

// mostSamples is how many of a phase are kept.
const mostSamples = 4 * mostBins

// add takes in what a replica has used since it was started.
func (c *spent) add(name string, at time.Time, ns int64) {
	if c.first == nil {
		c.first, c.last = map[string]int64{}, map[string]int64{}
	}
	if first, seen := c.first[name]; !seen || ns < first {
		c.first[name] = ns
	}
	c.last[name] = ns
	var sum int64
	for name, last := range c.last {
		sum += last - c.first[name]
	}
	now := sample{at, time.Duration(sum)}
	if n := len(c.samples); n > 0 && !at.After(c.samples[n-1].at) {
		c.samples[n-1].used = now.used
		return
	}
	if c.samples = append(c.samples, now); len(c.samples) > mostSamples {
		half := c.samples[:0]
		for i := 0; i < len(c.samples); i += 2 {
			half = append(half, c.samples[i])
		}
		c.samples = half
	}
}

// until is what was used until a moment; false where no sample is near it.
func (c *spent) until(at time.Time) (time.Duration, bool) {
	n := len(c.samples)
	if n < 2 || at.IsZero() || !at.After(c.samples[0].at) {
		return 0, false
	}
	i, _ := slices.BinarySearchFunc(c.samples, at, func(s sample, at time.Time) int { return s.at.Compare(at) })
	if i == n { // the last sample of a phase may come a little before its end
		return c.samples[n-1].used, at.Sub(c.samples[n-1].at) < 2*time.Second
	}
	before, behind := c.samples[i-1], c.samples[i]
	part := float64(at.Sub(before.at)) / float64(behind.at.Sub(before.at))
	return before.used + time.Duration(part*float64(behind.used-before.used)), true
}

// perAnswer is the CPU time per answer from the start of the phase to the end of a point, in seconds; nil: not known.
func (p *phase) perAnswer(until *bin) *float64 {
	used, known := p.spent.until(until.end)
	var answered int64
	for _, b := range p.bins {
		if b.at <= until.at {
			answered += b.answered
		}
	}
	if !known || answered == 0 {
		return nil
	}
	return new(used.Seconds() / float64(answered))
}

// series takes in a sample of a tier.
func (s *State) series(folder string, line *record.Series) {
	if strings.Contains(line.Name, "/") || line.Tier == "yardstick" {
		return // a worker of a replica that has a line of its own; work, not use
	}
	if line.Tier == "target" {
		s.spent(folder, line)
	}
	if s.setBack(s.of(folder), line.At) {
		s.tiers.again(line.At)
	}
	s.tiers.sample(line)
}

// setBack reports whether the clock was set back before a line: among the lines of one trial, or from one block to the next. Trials
// of one block have the same times, and their lines may come one trial after another.
func (s *State) setBack(t *trial, at time.Time) bool {
	before := t.sampled
	if before.IsZero() && t.block != s.tiers.block {
		before = s.tiers.last
	}
	t.sampled, s.tiers.last, s.tiers.block = at, at, t.block
	return before.Sub(at) > mostApart
}

// again lets go of the seconds from a moment on, which come a second time, and of what was sampled in them.
func (t *tiers) again(from time.Time) {
	clear(t.members)
	i, _ := slices.BinarySearchFunc(t.seconds, from.Truncate(time.Second), func(s *Second, at time.Time) int { return s.At.Compare(at) })
	for _, gone := range t.seconds[i:] {
		delete(t.changed, gone)
	}
	t.seconds = slices.Delete(t.seconds, i, len(t.seconds))
}

// spent takes in what a replica of a target has used: the points that end behind the sample before it have another CPU time per answer.
func (s *State) spent(folder string, line *record.Series) {
	if line.Phase < 0 {
		return
	}
	p := s.phaseOf(s.of(folder), line.Phase)
	var before time.Time
	if n := len(p.spent.samples); n > 1 {
		before = p.spent.samples[n-2].at
	}
	p.spent.add(line.Name, line.At, line.CPUNS)
	for _, b := range slices.Backward(p.bins) {
		if !b.end.After(before) {
			break
		}
		b.changed = true
	}
}

// sample takes in a line; the same one twice, in the records of two trials of a block, counts once.
func (t *tiers) sample(line *record.Series) {
	key := [2]string{line.Tier, line.Name}
	m := t.members[key]
	if m == nil {
		m = &sampled{Member: Member{Tier: line.Tier, Name: line.Name}}
		t.members[key] = m
	} else if took := line.At.Sub(m.at); took < leastApart {
		return
	} else if used := line.CPUNS - m.cpuNS; used >= 0 && took < mostApart {
		cores := float64(used) / float64(took)
		m.Cores = &cores
		t.spread(m, line.At, cores)
	}
	m.at, m.cpuNS, m.RSSBytes = line.At, line.CPUNS, line.RSSBytes
	if line.Values != nil {
		m.Values = line.Values
	}
	for other, o := range t.members { // of a replica of an earlier trial
		if line.At.Sub(o.at) > 10*mostApart {
			delete(t.members, other)
		}
	}
}

// spread divides what a member used since its last sample among the seconds in between. Samples do not keep to the seconds of a
// clock: two of them may be in one second, and none in the next.
func (t *tiers) spread(m *sampled, until time.Time, cores float64) {
	for at := m.at.Truncate(time.Second); at.Before(until); at = at.Add(time.Second) {
		from, to := later(m.at, at), at.Add(time.Second)
		if to.After(until) {
			to = until
		}
		covered := to.Sub(from).Seconds()
		t.second(at, part{m.Tier, m.Name, cores * covered, covered})
	}
}

// add takes in a part of a member, and sums up its tier.
func (s *Second) add(p part) {
	i := slices.IndexFunc(s.parts, func(o part) bool { return o.tier == p.tier && o.name == p.name })
	if i < 0 {
		s.parts = append(s.parts, p)
	} else {
		s.parts[i].used += p.used
		s.parts[i].covered += p.covered
	}
	s.Cores[p.tier] = 0
	for _, o := range s.parts {
		if o.tier == p.tier {
			s.Cores[p.tier] += o.used / o.covered
		}
	}
}

// second adds to what a member used in the second that begins there.
func (t *tiers) second(at time.Time, p part) {
	i, found := slices.BinarySearchFunc(t.seconds, at, func(s *Second, at time.Time) int { return s.At.Compare(at) })
	if !found {
		t.seconds = slices.Insert(t.seconds, i, &Second{At: at, Cores: map[string]float64{}})
	}
	one := t.seconds[i]
	one.add(p)
	t.changed[one] = true
	if drop := len(t.seconds) - mostSeconds; drop > 0 {
		for _, gone := range t.seconds[:drop] {
			delete(t.changed, gone)
		}
		t.seconds = slices.Delete(t.seconds, 0, drop)
	}
}

// Two samples that are nearer than the first, or farther apart than the second, say nothing of a second.
const (
	leastApart = 500 * time.Millisecond
	mostApart  = 5 * time.Second
)

// newest are the members sampled within the last seconds, by tier and name.
func (t *tiers) newest() []Member {
	var last time.Time
	for _, m := range t.members {
		if m.at.After(last) {
			last = m.at
		}
	}
	out := []Member{}
	for _, m := range t.members {
		if last.Sub(m.at) < 5*time.Second {
			out = append(out, m.Member)
		}
	}
	slices.SortFunc(out, func(a, b Member) int { return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Name, b.Name)) })
	return out
}

// agent takes in what an agent had and lacked.
func (s *State) agent(l *record.Load) {
	a := s.agents[l.Agent]
	if a == nil || a.Phase != l.Phase {
		a = &Agent{Agent: l.Agent, Phase: l.Phase}
		s.agents[l.Agent] = a
	}
	a.Dropped += l.Books.Dropped
	switch {
	case l.Lateness == nil:
		a.Late = nil
	case l.Books.Planned > 0 || a.Late == nil:
		a.Late = new(float64(l.Books.Late) / float64(max(1, l.Books.Planned)))
	}
	if l.Length > 0 {
		a.Cores = float64(l.CPU) / float64(l.Length)
	}
	r := l.Resources
	if a.Unmeasured = r == nil; r != nil {
		a.CoresMost, a.Ports, a.PortsMost = r.Cores, r.Ports, r.PortRange()
		a.Files, a.FilesMost = r.Descriptors, r.DescriptorLimit
		a.StoppedS += time.Duration(r.Stopped + r.Starved).Seconds()
	}
}
