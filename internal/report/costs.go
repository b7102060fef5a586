package report

import (
	"fmt"
	"slices"
	"strings"

	"bakeoff/internal/figures"
	"bakeoff/internal/show"
)

// limitSection is what limited each target, with all that the rules looked at.
func limitSection(s *figures.Summary) []section {
	t := show.Table{
		Left: 3, Words: 1, Head: []string{"target", "tier", "what", "in use", "of what"},
		Caption: "Every use that the rules looked at, in their order, medians over valid blocks. The first that was used up, marked with *, is what limited the target. docs/method.md has the rules.",
	}
	for _, l := range s.Limits {
		for _, u := range l.Uses {
			share, words := percents(u.Share, u.Share), u.Of
			if u.Limits {
				share = "* " + share
			}
			if u.Member != "" {
				words += ": " + u.Member
			}
			if u.More != "" {
				words += "; " + u.More
			}
			t.Rows = append(t.Rows, []string{l.Target, u.Tier, u.What, share, words})
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return []section{{title: "What limited the result", paras: []string{upper(limitedBy(s.Limits)) + "."}, tables: []show.Table{t}}}
}

// costSection is what answers cost, phase by phase, and what replicas take before they are loaded.
func costSection(s *figures.Summary) []section {
	var tables []show.Table
	for _, t := range []show.Table{costTable(s), idleTable(s), pairTable(s)} {
		if len(t.Rows) > 0 {
			tables = append(tables, t)
		}
	}
	if len(tables) == 0 {
		return nil
	}
	out := section{title: "What the answers cost", tables: tables}
	if checks := s.ChecksCost(); checks != "" {
		out.paras = []string{checks}
	}
	return []section{out}
}

func costTable(s *figures.Summary) show.Table {
	tiers := []string{"target", "balancer", "database", "agent"}
	t := show.Table{
		Left: 2, Head: []string{"phase", "target", "rate"},
		Caption: "CPU time per answer in ms, tier by tier; answers for each second of the target's CPU time, and answers per second for each MiB of its memory: medians over valid blocks. " +
			"Only in phases with a rate all targets do the same work." + costFrom(s),
	}
	for _, tier := range tiers {
		t.Head = append(t.Head, tier+" ms")
	}
	t.Head = append(t.Head, "per CPU s", "per MiB")
	for _, c := range s.Costs {
		row := []string{c.Phase, c.Target, "closed"}
		if c.Rate > 0 {
			row[2] = show.Decimal(c.Rate) + "/s"
		}
		for _, tier := range tiers {
			one, _ := c.Tier(tier)
			row = append(row, median(one.PerAnswer, func(s float64) string { return show.Number(s * 1e3) }))
		}
		own, _ := c.Tier("target")
		t.Rows = append(t.Rows, append(row, median(own.PerCPUSecond, show.Number), median(own.PerMiB, show.Number)))
	}
	return t
}

// costFrom says where the figures of the targets were read.
func costFrom(s *figures.Summary) string {
	var cpu, memory []string
	for _, c := range s.Costs {
		if own, known := c.Tier("target"); known {
			cpu, memory = sourcesOf(cpu, own.CPUFrom), sourcesOf(memory, own.MemoryFrom)
		}
	}
	if len(cpu) == 0 || len(memory) == 0 {
		return ""
	}
	return fmt.Sprintf(" The targets' CPU time was read from %s, their memory from /proc (%s).", show.List(cpu), show.List(memory))
}

// sourcesOf adds those that are not among them yet.
func sourcesOf(all []string, of string) []string {
	for one := range strings.SplitSeq(of, figures.FromAlso) {
		if one != "" && !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

func idleTable(s *figures.Summary) show.Table {
	t := show.Table{
		Left: 1, Head: []string{"target", "start to ready", "range", "idle memory", "range"},
		Caption: "Each replica before it was loaded: from its start until it was ready, and its memory after the contract was checked. Median and range over replicas and valid blocks.",
	}
	for _, i := range s.Idle {
		t.Rows = append(t.Rows, []string{
			i.Target, median(i.ReadyS, show.Seconds), extent(i.ReadyS, show.Seconds), median(i.Memory, show.Megabytes) + " " + i.Kind, extent(i.Memory, show.Megabytes),
		})
	}
	return t
}

// pairTable is what a connection for each request does to each target, and what is left of an answer without the database.
func pairTable(s *figures.Summary) show.Table {
	t := show.Table{
		Left: 2, Head: []string{"phase / phase", "target", "ratio", "range", "CPU per answer", "range"},
		Caption: "Phases that differ in one thing, block by block: a connection for each request by connections that are kept; /ping, which needs no database, by lookups; requests past the balancer by those through it. The ratio is of answers per second " +
			"in the closed model, of the median response time in the open one; the other is of the target's CPU time per answer.",
	}
	for _, p := range s.Pairs {
		t.Rows = append(t.Rows, []string{
			p.Second + " / " + p.Phase, p.Target, median(p.Ratio, show.Three), extent(p.Ratio, show.Three), median(p.PerAnswer, show.Three), extent(p.PerAnswer, show.Three),
		})
	}
	return t
}
