package cluster

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"

	"bakeoff/internal/collect"
	"bakeoff/internal/record"
	"bakeoff/internal/sidecar"
)

// meter reads the pods of a run by their samplers, and processes in the controller's own pod as those of a machine.
type meter struct {
	asked  samplers
	quotas map[string]float64 // cores that a pod of a tier, or a server of JMeter, may use; 0: no limit
}

// quota is how many cores a member of the run may use; 0: all.
func (m meter) quota(s collect.Source) float64 {
	if strings.HasPrefix(s.Process.Name(), jmeterPrefix) {
		return m.quotas[jmeterQuota]
	}
	return m.quotas[s.Tier]
}

// seen is what the sampler of a source's pod says.
type seen struct {
	member *member
	host   bool // its node was asked for
	usage  sidecar.Usage
	err    error
}

// Read implements collect.Meter. All samplers are asked at once, one of each node for the node itself.
func (m meter) Read(ctx context.Context, sources []collect.Source) []collect.Reading {
	all := make([]seen, len(sources))
	nodes := map[string]bool{}
	var wait sync.WaitGroup
	for i, source := range sources {
		one, ok := source.Process.(interface{ self() *member })
		if !ok {
			continue
		}
		all[i].member = one.self()
		node := all[i].member.Placement().Node
		all[i].host, nodes[node] = !nodes[node], true
		want := wanted{host: all[i].host, sample: true}
		if source.Tier == "target" {
			want.port = targetPort
		}
		wait.Go(func() { all[i].usage, all[i].err = m.asked.usage(ctx, all[i].member.Pod, want) })
	}
	wait.Wait()
	var out []collect.Reading
	for i, s := range all {
		if s.member == nil {
			out = append(out, ownTree(ctx, i, sources[i])...)
			continue
		}
		if s.err != nil {
			if ctx.Err() == nil {
				slog.Warn("not sampled", "pod", s.member.Placement().Pod, "err", s.err)
			}
			continue
		}
		for _, line := range s.lines(sources[i], m.quota(sources[i])) {
			out = append(out, collect.Reading{Source: i, Series: line})
		}
	}
	own, memory := ownUse()
	return append(out, collect.Reading{Source: -1, Series: record.Series{Tier: "controller", Name: "controller", CPUNS: int64(own), RSSBytes: memory}},
		collect.Reading{Source: -1, Series: together(all)})
}

// ownTree are the lines of a source that is no pod: processes next to the controller, or a database that is somebody else's. That one
// has gauges alone.
func ownTree(ctx context.Context, i int, source collect.Source) (out []collect.Reading) {
	if source.Process == nil && source.Tier != "database" {
		return nil
	}
	lines, err := collect.Tree(ctx, source)
	if err != nil {
		slog.Warn("not sampled", "tier", source.Tier, "err", err)
	}
	for _, line := range lines {
		out = append(out, collect.Reading{Source: i, Series: line})
	}
	return out
}

// lines are those of one pod: its workers, and the whole of it, which may use that many cores; 0: all.
func (s seen) lines(source collect.Source, quota float64) []record.Series {
	whole := record.Series{Tier: source.Tier, Name: s.member.name}
	var out []record.Series
	known := true
	for _, p := range s.usage.Processes {
		whole.CPUNS += p.CPUNS
		whole.RSSBytes += p.RSSBytes
		whole.PSSBytes += p.PSSBytes
		known = known && p.PSSBytes > 0
		if slices.Contains(source.Workers, p.PID) {
			out = append(out, s.worker(source.Tier, p))
		}
	}
	if !known {
		whole.PSSBytes = 0
	}
	if g := s.usage.Group; g.Unmeasured == "" {
		whole.CPUNS = g.CPUNS
		whole.Values = map[string]float64{"memory_bytes": float64(g.MemoryBytes)}
		if g.Periods > 0 {
			whole.Values["periods"], whole.Values["throttled_periods"] = float64(g.Periods), float64(g.Throttled)
			whole.Values[record.ThrottledNS] = float64(g.ThrottledNS)
		}
	}
	if quota > 0 && whole.Values != nil {
		whole.Values[record.QuotaCores] = quota
	}
	return append(out, whole)
}

// worker is the line of one process, with the connections of clients that it holds, where they can be read.
func (s seen) worker(tier string, p sidecar.Process) record.Series {
	line := record.Series{Tier: tier, Name: s.member.name + "/" + strconv.Itoa(p.PID), CPUNS: p.CPUNS, RSSBytes: p.RSSBytes, PSSBytes: p.PSSBytes}
	if p.Connections != nil {
		line.Values = map[string]float64{"connections": float64(*p.Connections)}
	}
	return line
}

// together is the line of all machines that the pods are on, each once, whatever its nodes are called: times and counts are sums,
// pressure is the mean. Where one of them is not known nothing is said of any.
func together(all []seen) record.Series {
	line := record.Series{Tier: "host", Name: "host", Values: map[string]float64{}}
	machines := map[string]bool{}
	for _, s := range all {
		if s.member == nil || !s.host {
			continue
		}
		if s.err != nil || s.usage.Host == nil {
			return record.Series{Tier: "host", Name: "host"}
		}
		machine := s.usage.BootID
		if machine == "" {
			machine = s.member.Placement().Node
		}
		if machines[machine] {
			continue
		}
		machines[machine] = true
		line.CPUNS += s.usage.Host.BusyNS
		line.RSSBytes += s.usage.Host.UsedBytes
		for name, value := range s.usage.Host.Values {
			line.Values[name] += value
		}
	}
	delete(line.Values, record.ThrottledNS) // of a sampler's own group
	delete(line.Values, record.QuotaCores)
	for name := range line.Values {
		if strings.HasPrefix(name, "pressure_") {
			line.Values[name] /= float64(len(machines))
		}
	}
	return line
}
