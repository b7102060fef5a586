// Package limit says what limited a target in a phase: a pure set of rules that reads how much of each tier was
// in use and where requests waited. In: a Reading. Out: the tier that was the limit, or none, with every use that
// was looked at, so that a reader can judge the rules.
//
// A rule names a tier only where that tier itself was used up or held the queue. Where nothing was, the answer is
// none: a guess would be worse. The bounds are in docs/method.md. The package knows no record: internal/figures
// makes the reading.
package limit

import (
	"cmp"
	"slices"
)

// Tiers that a rule may name; empty: none is shown to be the limit.
const (
	Generator     = "generator"
	Balancer      = "balancer"
	Target        = "target"
	Pool          = "pool"
	Database      = "database"
	SharedMachine = "shared machine"
)

// What of a tier is used up.
const (
	CPU         = "CPU"
	Quota       = "CPU quota"
	Locks       = "row locks"
	Disk        = "disk"
	Queue       = "queue"
	Connections = "connections"
	Listen      = "listen queue"
	Ceiling     = "ceiling" // of the agents, as it was calibrated
)

// Unknown stands for what was not measured, where 0 would be a value.
const Unknown = -1

// Reading is one target in one phase. Shares are of 1.
type Reading struct {
	Cores   float64  // that the run may use; 0: not known
	Host    float64  // share of them that was in use, by anyone
	Members []Member // of every tier
	// InFlight are the requests under way on average, Rate the answers per second.
	InFlight float64
	Rate     float64
	// Running are the statements that ran in the database at the same time, on average and without our own; Unknown: not sampled.
	Running float64
	Pool    float64 // database connections that the target may open, all replicas together; 0: no bound of its own
	Alone   float64 // seconds that such a statement takes on the database at rest; 0: not known
	Locked  float64 // statements that waited for a row lock, on average
	// Pressure is the share of the time for which something waited for a disk, Reads are the database's reads from it per statement.
	Pressure float64
	Reads    float64
	// Dropped are the connections that full listen queues dropped, as a share of those opened; Stalled are the same for each answer.
	Dropped float64
	Stalled float64
	// Ceiling is how near the target came to the answers per second that the agents reach at most, as a share of these, in that of
	// all attempts in which it came nearest; 0: not known.
	Ceiling float64
}

// Member is one process tree, worker process or agent.
type Member struct {
	Tier string // Generator, Balancer, Target or Database
	Name string
	Part bool    // its CPU time is part of another member's
	CPU  float64 // cores used
	// Thread is the share of the time that its busiest thread ran, Waited that for which the same one was ready and
	// had no core. Thread is Unknown where that was not sampled.
	Thread float64
	Waited float64
	// Quota is a bound on its cores that it does not share with the whole run, 0: none; Throttled is the share of the time for which
	// that held it back, summed over cores.
	Quota     float64
	Throttled float64
}

// Use is how much of one thing was in use.
type Use struct {
	Tier   string  `json:"tier"`
	What   string  `json:"what"`
	Member string  `json:"member,omitempty"` // the one that used most of it, where a tier has several
	Share  float64 `json:"share"`
	Of     string  `json:"of"`             // what it is a share of, such as "of one core"
	More   string  `json:"more,omitempty"` // what belongs to it, in words
	Limits bool    `json:"limits"`         // it was used up
}

// Finding is the answer for one target.
type Finding struct {
	Use        // that limited it; without a Tier: none is shown
	Uses []Use // all that were looked at, in the order of the rules
}

// Foreign reports whether the limit of that tier is neither the target's own nor that of the machine that all tiers share: then
// the target's figure is only known to be the least that it can do.
func Foreign(tier string) bool {
	return tier == Generator || tier == Balancer || tier == Database
}

// Find applies the rules in their order; the first that holds says what the limit was. Near the ceiling of the agents nothing
// else can be known. A quota and a thread that is busy all the time come next, since they are used up whatever else is. A full
// machine comes before queues: on it everything waits.
func Find(r Reading) Finding {
	var f Finding
	for _, rule := range []func(Reading) []Use{ceiling, quotas, threads, wholes, machine, locks, disk, statements, listening} {
		uses := rule(r)
		f.Uses = append(f.Uses, uses...)
		limiting := slices.DeleteFunc(slices.Clone(uses), func(u Use) bool { return !u.Limits })
		if f.Tier == "" && len(limiting) > 0 {
			f.Use = slices.MaxFunc(limiting, func(a, b Use) int { return cmp.Compare(a.Share, b.Share) })
		}
	}
	return f
}
