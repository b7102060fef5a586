package figures

import (
	"cmp"
	"slices"

	"bakeoff/internal/limit"
	"bakeoff/internal/record"
)

// Limit is what limited one target in the primary phase, by the rules of package limit over all valid blocks.
type Limit struct {
	Target string `json:"target"`
	Tier   string `json:"tier,omitempty"` // one of package limit's; empty: none is shown
	What   string `json:"what,omitempty"` // of the tier was used up: its CPU, a quota, connections, ...
	// Member is the one of several that was used up; empty where it was not the same in all blocks.
	Member string  `json:"member,omitempty"`
	Share  float64 `json:"share,omitempty"` // that was in use
	Of     string  `json:"of,omitempty"`    // what it is a share of, such as "of one core"
	More   string  `json:"more,omitempty"`  // what else belongs to the evidence
	// Foreign says that the limit is neither the target's own nor the machine's that all tiers share: the target's figure is the
	// least that it can do, and it is not ranked by it.
	Foreign bool `json:"foreign,omitempty"`
	// Tiers are the utilisations: the median over valid blocks of cores used, by the cores that the run may
	// use.
	Tiers []Utilisation `json:"tiers"`
	// Uses are all that the rules looked at.
	Uses []limit.Use `json:"uses,omitempty"`
}

// Utilisation is the share of the machine's cores that one tier used; "host" is the whole machine.
type Utilisation struct {
	Tier  string  `json:"tier"`
	Share float64 `json:"share"`
}

// limits applies the rules to each target of a phase; oneLoop says that each agent does its work in one thread.
func (b *builder) limits(phase Phase, db record.DatabaseInfo, oneLoop bool) []Limit {
	cores := b.s.Cores()
	var out []Limit
	for _, t := range phase.Targets {
		if cores <= 0 || len(t.Tiers) == 0 || t.Target == b.s.driver() { // nothing is claimed of a driver
			continue
		}
		var blocks []observed
		for _, f := range b.used(t.Target, phase.Number) {
			blocks = append(blocks, f.observed)
		}
		r := reading(blocks, cores, oneLoop)
		r.Alone, r.Ceiling = db.LookupS, b.s.nearest(t.Target, phase.Number)
		found := limit.Find(r)
		out = append(out, Limit{
			Target: t.Target, Tier: found.Tier, What: found.What, Member: found.Member, Share: found.Share, Of: found.Of, More: found.More,
			Foreign: limit.Foreign(found.Tier), Tiers: utilisations(t, cores), Uses: found.Uses,
		})
	}
	return out
}

// foreignLimits are the targets that another tier limited, and which, by the number of the phase.
func (b *builder) foreignLimits(db record.DatabaseInfo, p planned) map[int]map[string]string {
	out := map[int]map[string]string{}
	for _, phase := range b.s.Phases {
		out[phase.Number] = foreign(b.limits(phase, db, p.oneLoop(phase.Name)))
	}
	return out
}

// utilisations are those of the tiers, the greatest first.
func utilisations(t PhaseTarget, cores float64) []Utilisation {
	out := make([]Utilisation, 0, len(t.Tiers))
	for _, tier := range t.Tiers {
		out = append(out, Utilisation{tier.Tier, tier.Cores.Median / cores})
	}
	slices.SortStableFunc(out, func(a, b Utilisation) int { return cmp.Compare(b.Share, a.Share) })
	return out
}

// foreign are the targets that another tier limited, and which.
func foreign(limits []Limit) map[string]string {
	out := map[string]string{}
	for _, l := range limits {
		if l.Foreign {
			out[l.Target] = l.Tier
		}
	}
	return out
}

// Cores is how many the run may use: as seen at rest, else as the machine was described.
func (s *Summary) Cores() float64 {
	for _, rest := range s.Baselines {
		if rest.Cores > 0 {
			return rest.Cores
		}
	}
	return float64(s.Machine.Cores)
}
