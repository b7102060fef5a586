package figures

import (
	"slices"

	"bakeoff/internal/record"
)

// TimeShare is where the time of an answer of one target goes in one phase: what agents take that ask the database themselves, with the
// same statement, and what goes when the balancer or the database is left out. Each share is a median over the blocks that have
// both; what the agents themselves take for a request is in all of them.
type TimeShare struct {
	Phase  string `json:"phase"`
	Target string `json:"target"`
	// Time is that of an answer in seconds: of the closed model connections by answers per second, of the open one the median service
	// time, in which what the agents were late is not.
	Time Spread `json:"time_s"`
	// Database is what the driver takes, as a share of it; Balancer the part that goes without the balancer.
	Database Spread `json:"database_and_driver"`
	Balancer Spread `json:"balancer"`
	// Rest is what is left of the whole without these two, where Database is known: the server and the framework, and the
	// balancer where its share is not known.
	Rest Spread `json:"server_and_framework"`
	// Pinged is what an answer to /ping takes, as a share: all but the database.
	Pinged Spread `json:"without_database"`
}

// Driver reports whether the target is no server: the agents asked the database themselves.
func (t Target) Driver() bool { return t.Kind == record.KindDriver }

// Ranked are the targets that are compared with each other: all but a driver.
func (s *Summary) Ranked() []Target {
	return slices.DeleteFunc(slices.Clone(s.Targets), Target.Driver)
}

// driver is the name of the run's; empty: there is none.
func (s *Summary) driver() string {
	for _, t := range s.Targets {
		if t.Driver() {
			return t.Name
		}
	}
	return ""
}

// timeShares are those of every target in every phase of lookups for which something is known.
func (b *builder) timeShares(p planned) []TimeShare {
	var out []TimeShare
	for _, first := range b.s.Phases {
		if first.Ask != "" || first.Direct || p.reconnects(first.Name) || p.think(first.Name) > 0 { // a pause is no part of an answer
			continue
		}
		pinged := b.second(p, first, func(second Phase) bool { return second.Ask != "" })
		direct := b.second(p, first, func(second Phase) bool { return second.Direct })
		for _, t := range b.s.Ranked() {
			one := b.timeShare(first, pinged, direct, t.Name)
			if one.Database.N+one.Balancer.N+one.Pinged.N > 0 {
				out = append(out, one)
			}
		}
	}
	return out
}

// second is the phase of that kind that differs from the first in nothing else; its number is 0 where there is none.
func (b *builder) second(p planned, first Phase, of func(Phase) bool) Phase {
	i := slices.IndexFunc(b.s.Phases, func(second Phase) bool { return of(second) && p.pair(first, second) })
	if i < 0 {
		return Phase{}
	}
	return b.s.Phases[i]
}

// timeShare is one target in one phase, block by block.
func (b *builder) timeShare(first, pinged, direct Phase, target string) TimeShare {
	out := TimeShare{Phase: first.Name, Target: target}
	var times, database, balancer, rest, ping []float64
	for _, t := range b.s.Trials {
		whole := 0.0
		if t.Used && t.Target == target {
			whole = t.timeOf(first)
		}
		if whole == 0 {
			continue
		}
		times = append(times, whole)
		past, asked := t.timeOf(direct), b.driven(t.Block, first)
		if past > 0 {
			balancer = append(balancer, 1-past/whole)
		}
		if asked > 0 {
			database = append(database, asked/whole)
			rest = append(rest, 1-asked/whole)
			if past > 0 {
				rest[len(rest)-1] = (past - asked) / whole
			}
		}
		if x := t.timeOf(pinged); x > 0 {
			ping = append(ping, x/whole)
		}
	}
	out.Time, out.Database, out.Balancer = spread(exactly(times...)), spread(exactly(database...)), spread(exactly(balancer...))
	out.Rest, out.Pinged = spread(exactly(rest...)), spread(exactly(ping...))
	return out
}

// driven is the time of an answer of the driver in a block; 0: not known.
func (b *builder) driven(block int, p Phase) float64 {
	for _, t := range b.s.Trials {
		if t.Used && t.Block == block && t.Target == b.s.driver() {
			return t.timeOf(p)
		}
	}
	return 0
}

// timeOf is the time of an answer in a phase; 0: not known.
func (t *Trial) timeOf(p Phase) float64 {
	f := t.phase(p.Number)
	switch {
	case p.Number == 0 || f == nil:
		return 0
	case f.Model != "closed":
		return median(f.Service)
	case f.Goodput == 0:
		return 0
	}
	return float64(p.Connections) / f.Goodput
}
