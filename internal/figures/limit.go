package figures

import (
	"cmp"
	"slices"
)

// limitFrom is the utilisation above which a tier may have limited the result.
const limitFrom = 0.85

// SharedMachine stands for all tiers of one machine together.
const SharedMachine = "shared machine"

// Limit is what limited one target in the primary phase, by a first rule: the tier whose utilisation is
// highest and above 85 % of the machine's cores; where none is, but the machine they all share is, the shared
// machine. It is a hint: a queue, a lock or a pool that is too small shows in no CPU time.
type Limit struct {
	Target string `json:"target"`
	Tier   string `json:"tier,omitempty"` // empty: none is shown
	// Tiers are the utilisations: the median over valid blocks of cores used, by the cores that the run may
	// use.
	Tiers []Utilisation `json:"tiers"`
}

// Utilisation is the share of the machine's cores that one tier used; "host" is the whole machine.
type Utilisation struct {
	Tier  string  `json:"tier"`
	Share float64 `json:"share"`
}

// limits applies the rule to each target of a phase.
func limits(phase Phase, cores float64) []Limit {
	var out []Limit
	for _, t := range phase.Targets {
		if cores > 0 && len(t.Tiers) > 0 {
			out = append(out, limit(t, cores))
		}
	}
	return out
}

func limit(t PhaseTarget, cores float64) Limit {
	l := Limit{Target: t.Target}
	var most, host Utilisation
	for _, tier := range t.Tiers {
		u := Utilisation{tier.Tier, tier.Cores.Median / cores}
		l.Tiers = append(l.Tiers, u)
		switch {
		case u.Tier == "host":
			host = u
		case u.Share > most.Share:
			most = u
		}
	}
	switch {
	case most.Share > limitFrom:
		l.Tier = most.Tier
	case host.Share > limitFrom:
		l.Tier = SharedMachine
	}
	slices.SortStableFunc(l.Tiers, func(a, b Utilisation) int { return cmp.Compare(b.Share, a.Share) })
	return l
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
