package figures

import (
	"slices"
	"strings"
	"time"

	"bakeoff/internal/record"
)

// Cost is what the answers of one target cost in one phase, tier by tier. In an open phase all targets get the same rate,
// so that it is the cost of equal work.
type Cost struct {
	Phase  string     `json:"phase"`
	Target string     `json:"target"`
	Rate   float64    `json:"rate,omitempty"` // of an open phase, per second
	Tiers  []TierCost `json:"tiers"`
}

// TierCost is the part of one tier, over the valid blocks.
type TierCost struct {
	Tier string `json:"tier"`
	// PerAnswer is CPU time in seconds, PerCPUSecond its inverse: answers for each second of CPU time.
	PerAnswer    Spread `json:"cpu_s_per_answer"`
	PerCPUSecond Spread `json:"answers_per_cpu_s"`
	// PerMiB are right answers per second for each MiB of the tier's memory.
	PerMiB Spread `json:"answers_per_s_and_mib"`
	// CPUFrom and MemoryFrom say where the figures were read: "cgroup v2", "cgroup v1", "/proc"; "PSS", "RSS". Where members of the
	// tier or blocks differ in that they name each, separated by FromAlso.
	CPUFrom    string `json:"cpu_from"`
	MemoryFrom string `json:"memory_from"`
}

// Readied is one replica before it was loaded.
type Readied struct {
	Name   string  `json:"name"`
	ReadyS float64 `json:"ready_s"` // from its start until it was ready
	// IdleBytes is its memory after the contract was checked and before any load; 0: not sampled. Kind is "PSS" or "RSS".
	IdleBytes int64  `json:"idle_bytes,omitempty"`
	Kind      string `json:"idle_kind,omitempty"`
}

// Idle is what the replicas of a target took before any load, over all replicas of all valid blocks.
type Idle struct {
	Target string `json:"target"`
	ReadyS Spread `json:"ready_s"`
	Memory Spread `json:"memory_bytes"`
	Kind   string `json:"memory_kind"`
}

const mib = 1 << 20

// FromAlso is between two sources of one figure.
const FromAlso = ", "

// also adds a source to those that are named already.
func also(sources, one string) string {
	if one == "" || slices.Contains(strings.Split(sources, FromAlso), one) {
		return sources
	}
	if sources == "" {
		return one
	}
	return sources + FromAlso + one
}

// readied are the replicas as they were at their first sample.
func readied(started []record.Replica, all map[member]*usage) []Readied {
	var out []Readied
	for _, r := range started {
		one := Readied{Name: r.Name, ReadyS: r.ReadyS}
		var first time.Time
		for m, u := range all {
			if m.tier != "target" || m.name != r.Name || !first.IsZero() && !u.first.At.Before(first) {
				continue
			}
			first = u.first.At
			idle := Resource{RSSBytes: u.first.RSSBytes, PSSBytes: u.first.PSSBytes}
			one.IdleBytes, one.Kind = idle.memory()
		}
		out = append(out, one)
	}
	return out
}

// idles are what the targets took before any load.
func (s *Summary) idles() []Idle {
	var out []Idle
	for _, t := range s.Targets {
		one := Idle{Target: t.Name}
		var ready, bytes []float64
		for _, trial := range s.Trials {
			if trial.Target != t.Name || !trial.Used {
				continue
			}
			for _, r := range trial.Replicas {
				if r.ReadyS > 0 {
					ready = append(ready, r.ReadyS)
				}
				if r.IdleBytes > 0 {
					bytes, one.Kind = append(bytes, float64(r.IdleBytes)), r.Kind
				}
			}
		}
		if one.ReadyS, one.Memory = spread(exactly(ready...)), spread(exactly(bytes...)); one.ReadyS.N+one.Memory.N > 0 {
			out = append(out, one)
		}
	}
	return out
}

// costs are those of every target in every phase.
func (b *builder) costs() []Cost {
	if b.s.Running() {
		return nil
	}
	var out []Cost
	for _, p := range b.s.Phases {
		for _, t := range p.Targets {
			blocks := b.used(t.Target, p.Number)
			cost := Cost{Phase: p.Name, Target: t.Target, Rate: p.Rate}
			for _, tier := range []string{"target", "balancer", "database", "agent"} {
				if one, known := tierCost(tier, blocks); known {
					cost.Tiers = append(cost.Tiers, one)
				}
			}
			if len(cost.Tiers) > 0 {
				out = append(out, cost)
			}
		}
	}
	return out
}

func tierCost(tier string, blocks []PhaseFigures) (TierCost, bool) {
	out := TierCost{Tier: tier}
	var per, inverse, memory []float64
	for _, f := range blocks {
		whole := slices.DeleteFunc(slices.Clone(f.Resources), func(r Resource) bool { return r.Tier != tier || r.worker() })
		cpu, bytes := 0.0, int64(0)
		for _, r := range whole {
			b, kind := r.memory()
			cpu, bytes = cpu+r.PerReqS, bytes+b
			out.CPUFrom, out.MemoryFrom = also(out.CPUFrom, r.From), also(out.MemoryFrom, kind)
		}
		if cpu > 0 {
			per, inverse = append(per, cpu), append(inverse, 1/cpu)
		}
		if bytes > 0 {
			memory = append(memory, f.Goodput*mib/float64(bytes))
		}
	}
	out.PerAnswer, out.PerCPUSecond, out.PerMiB = spread(exactly(per...)), spread(exactly(inverse...)), spread(exactly(memory...))
	return out, out.PerAnswer.N+out.PerMiB.N > 0
}

// Tier is the part of one tier; false where it was not sampled.
func (c Cost) Tier(name string) (TierCost, bool) {
	i := slices.IndexFunc(c.Tiers, func(t TierCost) bool { return t.Tier == name })
	if i < 0 {
		return TierCost{}, false
	}
	return c.Tiers[i], true
}
