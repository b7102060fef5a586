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
}

// Member is one process tree of a tier, as it was last sampled.
type Member struct {
	Tier     string             `json:"tier"`
	Name     string             `json:"name"`
	Cores    float64            `json:"cores"`
	RSSBytes int64              `json:"rss_bytes"`
	Values   map[string]float64 `json:"values,omitempty"`
}

// Agent is what one agent had and lacked in its newest window, and what it dropped in the phase.
type Agent struct {
	Agent      int     `json:"agent"`
	Phase      int     `json:"phase"`
	Late       float64 `json:"late"` // share of the window's arrivals
	Dropped    int64   `json:"dropped"`
	Cores      float64 `json:"cores"` // CPU seconds per second
	CoresMost  float64 `json:"cores_most"`
	Ports      int64   `json:"ports"`
	PortsMost  int64   `json:"ports_most"`
	Files      int64   `json:"descriptors"`
	FilesMost  int64   `json:"descriptor_limit"`
	StoppedS   float64 `json:"stopped_s"` // for which it stood still or had no core, in the phase
	Unmeasured bool    `json:"unmeasured,omitempty"`
}

// tiers are the newest samples.
type tiers struct {
	members map[[2]string]*sampled
	seconds []*Second
	changed map[*Second]bool
}

type sampled struct {
	Member
	at    time.Time
	cpuNS int64
	known bool // Cores is
}

func newTiers() tiers {
	return tiers{members: map[[2]string]*sampled{}, changed: map[*Second]bool{}}
}

// cpu is what a target has used in a phase.
type cpu struct {
	first, last map[string]int64 // by replica
}

// add takes in a sample, and returns the CPU time since the first one.
func (c *cpu) add(name string, ns int64) time.Duration {
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
	return time.Duration(sum)
}

// series takes in a sample of a tier.
func (s *State) series(folder string, line *record.Series) {
	if strings.Contains(line.Name, "/") || line.Tier == "yardstick" {
		return // a worker of a replica that has a line of its own; work, not use
	}
	if line.Tier == "target" {
		s.spent(folder, line)
	}
	s.tiers.sample(line)
}

// spent sets the CPU time per answer of the newest point.
func (s *State) spent(folder string, line *record.Series) {
	t := s.of(folder)
	p := t.phases[line.Phase]
	if p == nil || len(p.bins) == 0 {
		return
	}
	used := p.cpu.add(line.Name, line.CPUNS)
	b := p.bins[len(p.bins)-1]
	if n := p.sum.Answered(); n > 0 && used > 0 {
		each := new(used.Seconds() / float64(n))
		if b.settled {
			b.point.CPU = each
		}
		b.cpu, b.changed = each, true
	}
}

// sample takes in a line; the same one twice, in the records of two trials of a block, counts once.
func (t *tiers) sample(line *record.Series) {
	key := [2]string{line.Tier, line.Name}
	m := t.members[key]
	if m == nil {
		m = &sampled{Member: Member{Tier: line.Tier, Name: line.Name}}
		t.members[key] = m
	} else if took := line.At.Sub(m.at); took <= 0 {
		return
	} else if used := line.CPUNS - m.cpuNS; used >= 0 && took < time.Minute {
		m.Cores, m.known = float64(used)/float64(took), true
		t.second(line.At, line.Tier, m.Cores)
	}
	m.at, m.cpuNS, m.RSSBytes = line.At, line.CPUNS, line.RSSBytes
	if line.Values != nil {
		m.Values = line.Values
	}
	for other, o := range t.members { // of a replica of an earlier trial
		if line.At.Sub(o.at) > time.Minute {
			delete(t.members, other)
		}
	}
}

// second adds to what a tier used in a second.
func (t *tiers) second(at time.Time, tier string, cores float64) {
	at = at.Truncate(time.Second)
	i, found := slices.BinarySearchFunc(t.seconds, at, func(s *Second, at time.Time) int { return s.At.Compare(at) })
	if !found {
		t.seconds = slices.Insert(t.seconds, i, &Second{At: at, Cores: map[string]float64{}})
	}
	one := t.seconds[i]
	one.Cores[tier] += cores
	t.changed[one] = true
	if drop := len(t.seconds) - mostSeconds; drop > 0 {
		for _, gone := range t.seconds[:drop] {
			delete(t.changed, gone)
		}
		t.seconds = slices.Delete(t.seconds, 0, drop)
	}
}

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
	if l.Books.Planned > 0 {
		a.Late = float64(l.Books.Late) / float64(l.Books.Planned)
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
