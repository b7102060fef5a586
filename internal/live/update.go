package live

import (
	"cmp"
	"maps"
	"slices"
)

// Update is what has changed since another one, or everything of a block. As JSON it is what a page gets.
type Update struct {
	Whole   bool      `json:"whole,omitempty"` // what was known before is void
	Head    *Head     `json:"head,omitempty"`
	Now     Now       `json:"now"`
	Block   int       `json:"block"` // of the series
	Series  []Series  `json:"series,omitempty"`
	Seconds []*Second `json:"seconds,omitempty"`
	Members []Member  `json:"members,omitempty"`
	Agents  []Agent   `json:"agents,omitempty"`
	// Damage is what of the record cannot be read; Damaged counts that which is left out, too.
	Damage  []string `json:"damage,omitempty"`
	Damaged int      `json:"damaged,omitempty"`
}

// Series are points of one phase of one trial.
type Series struct {
	Block   int     `json:"block"`
	Attempt int     `json:"attempt"`
	Target  string  `json:"target"`
	Phase   Phase   `json:"phase"`
	Status  string  `json:"status,omitempty"` // of the trial; empty while it is under way
	StepS   float64 `json:"step_s"`
	Service bool    `json:"service,omitempty"` // its times are service times
	Points  []Point `json:"points"`
	Sum     Sum     `json:"sum"`
}

// Sum is what the phase has so far.
type Sum struct {
	Planned  int64            `json:"planned"`
	Sent     int64            `json:"sent"`
	OK       int64            `json:"ok"`
	Bad      int64            `json:"bad"`
	Timeout  int64            `json:"timeout"`
	Error    int64            `json:"error"`
	Dropped  int64            `json:"dropped"`
	Late     *int64           `json:"late"` // null: not measured
	Outcomes map[string]int64 `json:"outcomes,omitempty"`
	Replicas map[string]int64 `json:"replicas,omitempty"` // answers by replica
}

// Changed is what has changed since it was last asked for.
func (s *State) Changed() Update {
	out := s.common()
	if s.changed.head {
		head := s.head
		out.Head = &head
	}
	if s.changed.damage {
		out.Damage, out.Damaged = slices.Clone(s.damage), s.damaged
	}
	for _, t := range s.order {
		for _, p := range t.sorted() {
			if points := p.take(true); len(points) > 0 {
				out.Series = append(out.Series, s.seriesOf(t, p, points))
			}
		}
	}
	for one := range s.tiers.changed {
		out.Seconds = append(out.Seconds, copied(one))
	}
	slices.SortFunc(out.Seconds, func(a, b *Second) int { return a.At.Compare(b.At) })
	clear(s.tiers.changed)
	s.changed.head, s.changed.damage = false, false
	return out
}

// Block is everything that is known of a block; of the one under way where it is negative.
func (s *State) Block(block int) Update {
	if block < 0 {
		block = s.now.Block
		if s.last != nil {
			block = s.last.trial.block
		}
	}
	out := s.common()
	out.Whole, out.Block = true, block
	head := s.head
	out.Head = &head
	out.Damage, out.Damaged = slices.Clone(s.damage), s.damaged
	for _, t := range s.order {
		if t.block != block {
			continue
		}
		for _, p := range t.sorted() {
			if len(p.bins) == 0 {
				continue
			}
			out.Series = append(out.Series, s.seriesOf(t, p, p.take(false)))
		}
	}
	for _, one := range s.tiers.seconds {
		out.Seconds = append(out.Seconds, copied(one))
	}
	return out
}

// common is what every update has.
func (s *State) common() Update {
	out := Update{Now: s.Now(), Block: s.now.Block, Members: s.tiers.newest()}
	for _, a := range s.agents {
		out.Agents = append(out.Agents, *a)
	}
	slices.SortFunc(out.Agents, func(a, b Agent) int { return cmp.Compare(a.Agent, b.Agent) })
	return out
}

func copied(s *Second) *Second { return &Second{At: s.At, Cores: maps.Clone(s.Cores)} }

func (s *State) seriesOf(t *trial, p *phase, points []Point) Series {
	b := p.sum
	late := &b.Late
	if p.noLateness {
		late = nil
	}
	return Series{
		Block: t.block, Attempt: t.attempt, Target: t.target, Phase: s.phaseIn(t, p.number), Status: t.status, StepS: p.step.Seconds(), Service: p.service(), Points: points,
		Sum: Sum{
			Planned: b.Planned, Sent: b.Sent, OK: b.OK, Bad: b.Bad, Timeout: b.Timeout, Error: b.Error, Dropped: b.Dropped, Late: late,
			Outcomes: maps.Clone(p.outcomes), Replicas: maps.Clone(p.replicas),
		},
	}
}

// sorted are the phases by number.
func (t *trial) sorted() []*phase {
	return slices.SortedFunc(maps.Values(t.phases), func(a, b *phase) int { return cmp.Compare(a.number, b.number) })
}

// take are the points that are whole; with changed only those that were not taken since they changed.
func (p *phase) take(changed bool) []Point {
	out := []Point{}
	for _, b := range p.bins {
		if changed && !b.changed || !b.whole() {
			continue
		}
		if changed {
			b.changed = false
		}
		point := b.now()
		point.CPU = p.perAnswer(b)
		out = append(out, point)
	}
	return out
}
