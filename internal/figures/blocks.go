package figures

import (
	"slices"

	"bakeoff/internal/stats"
)

// over computes a spread of one figure.
func over[T any](of []T, figure func(T) float64) Spread {
	vs := make([]value, len(of))
	for i, f := range of {
		vs[i] = value{v: figure(f)}
	}
	return spread(vs)
}

// overBlocks joins one target's blocks.
func overBlocks(target string, byService bool, blocks []PhaseFigures) PhaseTarget {
	counted := slices.DeleteFunc(slices.Clone(blocks), func(f PhaseFigures) bool { return f.Witness.DatabaseReads < 0 })
	out := PhaseTarget{
		Target: target, Blocks: len(blocks),
		Goodput:       over(blocks, func(f PhaseFigures) float64 { return f.Goodput }),
		Achieved:      over(blocks, func(f PhaseFigures) float64 { return f.Achieved }),
		Imbalance:     over(blocks, func(f PhaseFigures) float64 { return f.Imbalance }),
		Reads:         over(counted, func(f PhaseFigures) float64 { return f.Witness.ReadsPerRequest }),
		DBConnections: over(counted, func(f PhaseFigures) float64 { return float64(f.Witness.Connections) }),
		Others:        others(blocks),
	}
	var pooled stats.Totals
	var responses, services [][]Percentile
	for _, f := range blocks {
		pooled.Merge(f.totals)
		responses, services = append(responses, f.Response), append(services, f.Service)
	}
	out.Books, out.Outcomes, out.Opened = pooled.Books, pooled.Outcomes, pooled.Opened
	out.Checked, out.Hits, out.Misses = pooled.Checked, pooled.Hits, pooled.Misses
	for _, f := range counted {
		out.ReadsTotal += f.Witness.DatabaseReads
	}
	out.Response, out.Service = spreadPercentiles(responses), spreadPercentiles(services)
	out.PooledResponse, out.PooledService, out.PooledLateness = distributions(pooled)
	out.Curve = curve(pooled.Response)
	if byService {
		out.Curve = curve(pooled.Service)
	}
	if out.Books.Planned > 0 {
		out.Late = float64(out.Books.Late) / float64(out.Books.Planned)
	}
	out.Tiers, out.Replicas = tiers(blocks), replicas(blocks, pooled)
	if len(blocks) > 0 {
		out.Warnings = stats.Summarize(goodputs(blocks)).Warnings
	}
	return out
}

func goodputs(blocks []PhaseFigures) []float64 {
	out := make([]float64, len(blocks))
	for i, f := range blocks {
		out[i] = f.Goodput
	}
	return out
}

// others joins the further statements per request, by kind.
func others(blocks []PhaseFigures) map[string]Spread {
	kinds := map[string]bool{}
	for _, f := range blocks {
		for kind := range f.Witness.OthersPerRequest {
			kinds[kind] = true
		}
	}
	out := map[string]Spread{}
	for kind := range kinds {
		out[kind] = over(blocks, func(f PhaseFigures) float64 { return f.Witness.OthersPerRequest[kind] })
	}
	return out
}

// tierNames are the tiers in the order a request meets them.
func tierNames() []string {
	return []string{"agent", "balancer", "target", "database", "controller", "host"}
}

// tiers sums the members of each tier block by block; workers are part of their replica.
func tiers(blocks []PhaseFigures) []Tier {
	var out []Tier
	for _, name := range tierNames() {
		var cores, perReq, memory []float64
		kind := ""
		for _, f := range blocks {
			sum, seen := Resource{}, false
			var bytes int64
			for _, r := range f.Resources {
				if r.Tier != name || r.worker() {
					continue
				}
				seen = true
				sum.Cores += r.Cores
				sum.PerReqS += r.PerReqS
				b, k := r.memory()
				bytes, kind = bytes+b, k
			}
			if seen {
				cores, perReq, memory = append(cores, sum.Cores), append(perReq, sum.PerReqS), append(memory, float64(bytes))
			}
		}
		if len(cores) > 0 {
			out = append(out, Tier{name, spread(exactly(cores...)), spread(exactly(perReq...)), spread(exactly(memory...)), kind})
		}
	}
	return out
}

// replicas joins each replica over the blocks; pooled is their sum.
func replicas(blocks []PhaseFigures, pooled stats.Totals) []PhaseReplica {
	var names []string
	for _, f := range blocks {
		for _, r := range f.Replicas {
			if !slices.Contains(names, r.Name) {
				names = append(names, r.Name)
			}
		}
	}
	slices.Sort(names)
	var out []PhaseReplica
	for _, name := range names {
		one := replica(name, blocks)
		r, seen := pooled.Replicas[name]
		one.Errors, one.Service = r.Errors, percentiles(r.Service, seen)
		out = append(out, one)
	}
	return out
}

func replica(name string, blocks []PhaseFigures) PhaseReplica {
	out := PhaseReplica{Name: name}
	var shares, cores, memory []float64
	var workerCores, workerBytes, conns [][]float64
	for _, f := range blocks {
		for _, r := range f.Replicas {
			if r.Name == name {
				shares = append(shares, r.Share)
				conns = append(conns, floats(r.Connections))
			}
		}
		var wc, wb []float64
		for _, r := range f.Resources {
			bytes, kind := r.memory()
			switch owner, isWorker := ownerOf(r.Name); {
			case r.Tier != "target" || owner != name:
			case isWorker:
				wc, wb = append(wc, r.Cores), append(wb, float64(bytes))
			default:
				cores, memory, out.Kind = append(cores, r.Cores), append(memory, float64(bytes)), kind
			}
		}
		workerCores, workerBytes = append(workerCores, wc), append(workerBytes, wb)
	}
	out.Share, out.Cores, out.Memory = spread(exactly(shares...)), spread(exactly(cores...)), spread(exactly(memory...))
	out.WorkerCores, out.WorkerBytes, out.Connections = ranked(workerCores), ranked(workerBytes), ranked(conns)
	return out
}

func floats(ns []int) []float64 {
	out := make([]float64, len(ns))
	for i, n := range ns {
		out[i] = float64(n)
	}
	return out
}

// Percentile returns one of the response time's Percents.
func (t PhaseTarget) Percentile(p float64) PercentileSpread { return t.Response[percentileAt(p)] }

// Tier returns one tier by its name, an empty one where it was not sampled.
func (t PhaseTarget) Tier(name string) Tier {
	for _, tier := range t.Tiers {
		if tier.Tier == name {
			return tier
		}
	}
	return Tier{}
}
