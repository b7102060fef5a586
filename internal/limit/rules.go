package limit

import (
	"cmp"
	"fmt"
	"slices"

	"bakeoff/internal/show"
)

// Bounds of the rules. docs/method.md has each with its reason.
const (
	fullMachine = 0.85 // of the cores, by one tier or by all together
	fullThread  = 0.9  // of the time
	readyThread = 0.95 // of the time it ran or had no core, while the machine had cores to spare
	fullQuota   = 0.85 // of a quota that also held its group back for heldALittle of the time
	heldALittle = 0.01
	held        = 0.1 // of the time
	mostLocked  = 0.5 // of the statements that ran
	busyDisk    = 0.5 // of the time
	leastReads  = 0.1 // of the disk, per statement
	queued      = 0.8 // of a statement's time is waiting
	queuedPool  = 1.0 / 3
	leastQueue  = 2     // statements
	mostOfThem  = 0.5   // of the requests under way
	fullPool    = 0.85  // of the connections
	overPool    = 1.25  // as many requests as connections
	leastDrops  = 0.01  // of new connections
	leastStalls = 0.001 // of the answers
)

// NearCeiling is the share of the answers per second that the agents reach at most above which they may be what limits a target.
const NearCeiling = 0.7

// ceiling is how near the target came to the most that the agents reach on this machine, with a server that does nothing. It is
// judged over all attempts together: to leave out those that came nearer would leave out the fastest ones.
func ceiling(r Reading) []Use {
	if r.Ceiling <= 0 {
		return nil
	}
	return []Use{{
		Tier: Generator, What: Ceiling, Share: r.Ceiling, Of: "of the answers per second that the agents reach with a server that does nothing",
		More: "in the attempt that came nearest", Limits: r.Ceiling > NearCeiling,
	}}
}

// quotas are the members that have a quota of their own.
func quotas(r Reading) (out []Use) {
	for _, m := range r.Members {
		if m.Quota <= 0 {
			continue
		}
		share := m.CPU / m.Quota
		out = append(out, Use{
			Tier: m.Tier, What: Quota, Member: m.Name, Share: share, Of: fmt.Sprintf("of its quota of %s cores", show.Decimal(m.Quota)),
			More:   "held back for " + show.Percent(m.Throttled) + " of the time",
			Limits: m.Throttled >= held || share >= fullQuota && m.Throttled >= heldALittle,
		})
	}
	return out
}

// threads are the busiest thread of each tier whose threads were sampled.
func threads(r Reading) (out []Use) {
	for _, tier := range []string{Generator, Balancer, Target} {
		all := slices.DeleteFunc(slices.Clone(r.Members), func(m Member) bool { return m.Tier != tier || m.Thread < 0 })
		if len(all) == 0 {
			continue
		}
		if slices.ContainsFunc(all, func(m Member) bool { return m.Part }) { // the whole has the busiest of its parts
			all = slices.DeleteFunc(all, func(m Member) bool { return !m.Part })
		}
		slices.SortStableFunc(all, func(a, b Member) int { return cmp.Compare(b.Thread+b.Waited, a.Thread+a.Waited) })
		busiest := all[0]
		out = append(out, Use{
			Tier: tier, What: CPU, Member: busiest.Name, Share: busiest.Thread, Of: "of one core", More: others(all),
			Limits: busiest.Thread >= fullThread || busiest.Thread+busiest.Waited >= readyThread && r.Host < fullMachine,
		})
	}
	return out
}

// others says how the busiest, the first of all, compares with them.
func others(all []Member) string {
	out := ""
	if n := len(all); n > 1 {
		next := 0.0
		for _, m := range all[1:] {
			next = max(next, m.Thread)
		}
		out = fmt.Sprintf("the busiest of %d; the next %s", n, show.Percent(next))
	}
	if all[0].Waited >= heldALittle {
		if out != "" {
			out += "; "
		}
		out += "ready without a core for another " + show.Percent(all[0].Waited)
	}
	return out
}

// wholes are the tiers by the cores of the machine.
func wholes(r Reading) (out []Use) {
	if r.Cores <= 0 {
		return nil
	}
	for _, tier := range []string{Generator, Balancer, Target, Database} {
		sum, seen := 0.0, false
		for _, m := range r.Members {
			if m.Tier == tier && !m.Part {
				sum, seen = sum+m.CPU, true
			}
		}
		if seen {
			out = append(out, Use{Tier: tier, What: CPU, Share: sum / r.Cores, Of: "of the machine's cores", Limits: sum/r.Cores > fullMachine})
		}
	}
	return out
}

// machine is what all use together.
func machine(r Reading) []Use {
	if r.Host <= 0 {
		return nil
	}
	return []Use{{Tier: SharedMachine, What: CPU, Share: r.Host, Of: "of its cores", Limits: r.Host > fullMachine}}
}

// locks are the statements that waited for a row lock.
func locks(r Reading) []Use {
	if r.Locked <= 0 || r.Running <= 0 {
		return nil
	}
	share := min(r.Locked/r.Running, 1)
	return []Use{{
		Tier: Database, What: Locks, Share: share, Of: "of the statements that ran waited for a row lock",
		More:   fmt.Sprintf("%s at a time", show.Number(r.Locked)),
		Limits: share >= mostLocked && r.Locked >= mostOfThem*r.InFlight,
	}}
}

// disk is the time for which something waited for it, where the database reads from it.
func disk(r Reading) []Use {
	if r.Pressure <= 0 {
		return nil
	}
	return []Use{{
		Tier: Database, What: Disk, Share: r.Pressure, Of: "of the time something waited for a disk",
		More:   show.Number(r.Reads) + " reads from it for each statement",
		Limits: r.Pressure >= busyDisk && r.Reads >= leastReads,
	}}
}

// statements are where they, and requests that want to send one, wait. By Little's law a statement takes Running/Rate; what
// is beyond its time alone it waited for. If it hardly waits, and every connection of the pool has one running, the pool is too small.
func statements(r Reading) (out []Use) {
	if r.Running < 0 || r.Rate <= 0 || r.Alone <= 0 {
		return nil
	}
	takes := r.Running / r.Rate
	waits := 0.0
	if takes > r.Alone {
		waits = 1 - r.Alone/takes
	}
	full := r.Pool > 0 && r.Running >= fullPool*r.Pool
	queue := r.Running >= leastQueue && (waits >= queued && r.Running >= mostOfThem*r.InFlight || full && waits >= queuedPool)
	out = append(out, Use{
		Tier: Database, What: Queue, Share: waits, Of: "of a statement's time is waiting", Limits: queue,
		More: fmt.Sprintf("%s ran at a time and took %s, alone one takes %s", show.Number(r.Running), show.Seconds(takes), show.Seconds(r.Alone)),
	})
	if r.Pool > 0 {
		out = append(out, Use{
			Tier: Pool, What: Connections, Share: r.Running / r.Pool, Of: fmt.Sprintf("of its %.0f database connections had a statement running", r.Pool),
			More:   show.Number(r.InFlight) + " requests at a time",
			Limits: !queue && full && r.InFlight >= overPool*r.Pool,
		})
	}
	return out
}

// listening are the connections that were dropped before a server took them.
func listening(r Reading) []Use {
	if r.Dropped <= 0 {
		return nil
	}
	return []Use{{Tier: Target, What: Listen, Share: r.Dropped, Of: "of new connections were dropped, because the listen queue of a server here was full; the kernel does not say whose", Limits: r.Dropped >= leastDrops && r.Stalled >= leastStalls}}
}
