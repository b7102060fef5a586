package report

import (
	"fmt"
	"strings"

	"bakeoff/internal/figures"
	"bakeoff/internal/show"
)

// phaseTitle says what a phase is: "closed: 32 connections, 4 s".
func phaseTitle(p figures.Phase) string {
	by := ""
	if p.Engine != "" {
		by = ", driven by " + p.Engine
	}
	switch {
	case p.Model == "closed":
		return fmt.Sprintf("Phase %s: closed model, %s, %s%s", p.Name, show.Plural(p.Connections, "connection"), show.Span(p.DurationS), by)
	case p.Engine != "": // which knows no bound on connections
		return fmt.Sprintf("Phase %s: open model, %s/s %s, %s%s", p.Name, show.Decimal(p.Rate), p.Arrivals, show.Span(p.DurationS), by)
	}
	return fmt.Sprintf("Phase %s: open model, %s/s %s, up to %s, %s", p.Name, show.Decimal(p.Rate), p.Arrivals, show.Plural(p.Connections, "connection"), show.Span(p.DurationS))
}

// phaseSections are the details of one phase.
func phaseSections(s *figures.Summary, p figures.Phase) []section {
	return []section{
		{title: phaseTitle(p), tables: append([]show.Table{books(s, p)}, times(s, p)...)},
		{title: "Phase " + p.Name + ": who did what", tables: whoDidWhat(s, p)},
	}
}

func whoDidWhat(s *figures.Summary, p figures.Phase) []show.Table {
	if s.Running() {
		return []show.Table{tierTable(p, "agent", "host"), memoryTable(p, "agent"), answers(s, p), failures(p)}
	}
	return []show.Table{
		tierTable(p, "target", "balancer", "database", "agent", "host"), memoryTable(p, "target", "balancer", "database", "agent"),
		replicaTable(p), processTable(p), statements(p), failures(p),
	}
}

// books is one line per target and block.
func books(s *figures.Summary, p figures.Phase) show.Table {
	g := show.Table{
		Left:    2,
		Caption: "Books: planned = sent + dropped, sent = ok + bad + timeout + error. late: taken up over 1 ms late by the generator; queued: waited for a free connection. ok/s: correct answers received per second while requests were sent. #2: second attempt.",
		Head:    []string{"target", "block", "planned", "sent", "ok", "bad", "timeout", "error", "dropped", "late", "queued", "ok/s"},
	}
	if s.Speed != nil {
		g.Head = append(g.Head, "speed")
		g.Caption += " speed: that of the machine in the trial, as a multiple of its median."
	}
	for _, t := range s.Targets {
		for _, o := range s.Trials {
			if o.Target != t.Name {
				continue
			}
			for _, f := range o.Phases {
				if f.Number != p.Number {
					continue
				}
				row := append([]string{t.Name, blockName(o)}, bookCells(f)...)
				if s.Speed != nil {
					row = append(row, speedCell(o))
				}
				g.Rows = append(g.Rows, row)
			}
		}
	}
	return explained(g)
}

func speedCell(t figures.Trial) string {
	if t.Speed <= 0 {
		return narrow
	}
	return fmt.Sprintf("%.2f", t.Speed)
}

// blockName is the block, "#2" for a second attempt, and for a trial that does not count why.
func blockName(t figures.Trial) string {
	name := fmt.Sprint(t.Block)
	if t.Attempt > 1 {
		name += fmt.Sprintf(" #%d", t.Attempt)
	}
	if !t.Used {
		name += " " + t.Status
	}
	return name
}

func bookCells(f figures.PhaseFigures) []string {
	b := f.Books
	var out []string
	for _, n := range []int64{b.Planned, b.Sent, b.OK, b.Bad, b.Timeout, b.Error, b.Dropped} {
		out = append(out, show.Count(n))
	}
	late, queued := show.Count(b.Late), show.Count(b.Queued)
	if f.Lateness[0].Unmeasured {
		late, queued = narrow, narrow
	}
	return append(out, late, queued, show.Number(f.Goodput))
}

// times are the percentiles per target and block, and the pooled ones.
func times(s *figures.Summary, p figures.Phase) []show.Table {
	what := "Response time, from the intended time to the last byte."
	switch {
	case p.Model == "closed":
		what = "Service time, closed model: no claim about latency."
	case p.ByService():
		what = "Service time, from the actual send: " + p.Engine + " does not report the intended time of a request."
	}
	if p.Engine != "" {
		what += " Whole milliseconds, rounded down: 0 is less than 1 ms."
	}
	var blocks, pooled percentileTable
	for i, t := range s.Targets {
		for _, o := range s.Trials {
			if o.Target == t.Name && o.Used {
				blocks.addTrial(o, p)
			}
		}
		of := p.Targets[i]
		if p.ByService() {
			pooled.add([]string{t.Name}, of.PooledService)
		} else {
			pooled.add([]string{t.Name}, of.PooledResponse)
		}
	}
	first := blocks.grid([]string{"target", "block", "requests"}, 2)
	first.Caption = what + " A percentile is given when 100 requests lie beyond it."
	second := pooled.grid([]string{"target", "requests"}, 1)
	second.Caption = "The same, pooled: histograms merged over all valid blocks of a target. Never used for a verdict, because blocks differ."
	third := spreadTable{}
	for i := range figures.Percents() {
		third.addPercentile(p, "", i)
	}
	over := third.grid(s)
	over.Caption = "Each block's own percentiles: median and range over valid blocks."
	return []show.Table{first, over, second}
}

// percentileTable gathers rows of percentiles. The percentiles that no row supports share the last column.
type percentileTable struct {
	keys [][]string
	rows [][]figures.Percentile
}

func (t *percentileTable) addTrial(o figures.Trial, p figures.Phase) {
	for _, f := range o.Phases {
		switch {
		case f.Number != p.Number:
		case p.ByService():
			t.add([]string{o.Target, fmt.Sprint(o.Block)}, f.Service)
		default:
			t.add([]string{o.Target, fmt.Sprint(o.Block)}, f.Response)
		}
	}
}

func (t *percentileTable) add(key []string, row []figures.Percentile) {
	t.keys, t.rows = append(t.keys, key), append(t.rows, row)
}

// grid draws the table; keys are the heads of the columns before the percentiles, the last of them the number
// of requests.
func (t *percentileTable) grid(keys []string, left int) show.Table {
	percents := figures.Percents()
	shown := 0
	for _, row := range t.rows {
		for i, p := range row {
			if p.Needs == 0 && p.Has > 0 {
				shown = max(shown, i+1)
			}
		}
	}
	g := show.Table{Left: left, Head: keys}
	for _, p := range percents[:shown] {
		g.Head = append(g.Head, fmt.Sprintf("p%v", p))
	}
	if shown < len(percents) {
		g.Head = append(g.Head, higher(percents[shown:]))
	}
	for i, row := range t.rows {
		cells := append(t.keys[i][:len(t.keys[i]):len(t.keys[i])], show.Count(row[0].Has))
		for _, p := range row[:min(shown+1, len(row))] {
			cells = append(cells, percentile(p))
		}
		g.Rows = append(g.Rows, cells)
	}
	return g
}

// higher names the percentiles that share a column: what the first lacks, the others lack too.
func higher(percents []float64) string {
	if len(percents) == 1 {
		return fmt.Sprintf("p%v", percents[0])
	}
	return fmt.Sprintf("p%v and above", percents[0])
}

// tierTable shows the CPU of each tier, the host last.
func tierTable(p figures.Phase, tiers ...string) show.Table {
	g := show.Table{
		Left: 1, Head: []string{"target"},
		Caption: "CPU while each target was measured: cores used (median over blocks), and CPU time per answer in ms.",
	}
	g.Head = append(g.Head, tiers...)
	processes := tiers[:len(tiers)-1]
	for _, t := range processes {
		g.Head = append(g.Head, t+" ms")
	}
	for _, t := range p.Targets {
		row := []string{t.Target}
		for _, name := range tiers {
			row = append(row, median(t.Tier(name).Cores, show.Number))
		}
		for _, name := range processes {
			row = append(row, median(t.Tier(name).PerReqS, func(s float64) string { return show.Number(s * 1e3) }))
		}
		g.Rows = append(g.Rows, row)
	}
	return g
}

// memoryTable shows the memory of each tier.
func memoryTable(p figures.Phase, tiers ...string) show.Table {
	g := show.Table{
		Left: 1, Head: []string{"target"},
		Caption: "Peak memory during the phase: median and range over blocks, PSS where readable, else RSS.",
	}
	g.Head = append(g.Head, tiers...)
	for _, t := range p.Targets {
		row := []string{t.Target}
		for _, name := range tiers {
			tier := t.Tier(name)
			row = append(row, strings.TrimSpace(spread(tier.Memory, show.Megabytes)+" "+tier.Kind))
		}
		g.Rows = append(g.Rows, row)
	}
	return g
}

// replicaTable shows each replica as the agents saw it.
func replicaTable(p figures.Phase) show.Table {
	g := show.Table{
		Left: 1,
		Caption: "Replicas as the agents saw them: share of the answers, median and range over blocks; service time, pooled (- where too few requests support it); answers that were not ok. " +
			"Imbalance, the largest share divided by the mean share (1 is even): " + imbalances(p) + ".",
		Head: []string{"replica", "share", "p50", "p99", "not ok"},
	}
	for _, t := range p.Targets {
		for _, r := range t.Replicas {
			g.Rows = append(g.Rows, []string{
				r.Name, spread(r.Share, show.Percent), shortPercentile(r.Service[0]), shortPercentile(r.Service[3]), show.Count(r.Errors),
			})
		}
	}
	return g
}

// processTable shows each replica and its workers as processes.
func processTable(p figures.Phase) show.Table {
	g := show.Table{
		Left:    1,
		Caption: "Replicas and their workers as processes, medians over blocks. Workers are ranked in each block, greatest first; client connections in the middle of the last phase.",
		Head:    []string{"replica", "cores", "memory", "cores of each worker", "memory of each worker (MB)", "connections of each worker"},
	}
	mega := func(b float64) string { return show.Number(b / 1e6) }
	for _, t := range p.Targets {
		for _, r := range t.Replicas {
			g.Rows = append(g.Rows, []string{
				r.Name, median(r.Cores, show.Number), strings.TrimSpace(median(r.Memory, show.Megabytes) + " " + r.Kind),
				medians(r.WorkerCores, show.Number), medians(r.WorkerBytes, mega), medians(r.Connections, show.Decimal),
			})
		}
	}
	return g
}

// failures shows what was not ok, and the generator's own lateness.
func failures(p figures.Phase) show.Table {
	g := show.Table{
		Left: 1, Words: 1,
		Caption: "The generator's own lateness over all valid blocks, and every answer or failure that was not ok, by class.",
		Head:    []string{"target", "late", "lateness p50", "lateness p99", "connections opened", "not ok"},
	}
	for _, t := range p.Targets {
		g.Rows = append(g.Rows, []string{
			t.Target, lateShare(t), shortPercentile(t.PooledLateness[0]), shortPercentile(t.PooledLateness[3]),
			show.Count(t.Opened), show.Pairs(t.Outcomes, show.Count[int64]),
		})
	}
	return g
}

// lateShare is the share of planned arrivals that the generator took up late.
func lateShare(t figures.PhaseTarget) string {
	if t.PooledLateness[0].Unmeasured {
		return unmeasured
	}
	return show.Share(t.Books.Late, t.Books.Planned)
}

// shortPercentile leaves out why a percentile is not given, for narrow columns.
func shortPercentile(p figures.Percentile) string {
	if p.Needs > 0 && !p.Unmeasured {
		return show.None
	}
	return percentile(p)
}

func imbalances(p figures.Phase) string {
	var out []string
	for _, t := range p.Targets {
		out = append(out, t.Target+" "+spread(t.Imbalance, show.Three))
	}
	return strings.Join(out, ", ")
}

// statements shows what the database was asked, and the keys.
func statements(p figures.Phase) show.Table {
	g := show.Table{
		Left: 1, Words: 1,
		Caption: "The database, over all valid blocks: statements that read rows, in all and per request sent; keys expected to exist and not; the share of answers whose body was checked.",
		Head:    []string{"target", "sent", "reads", "per request", "hits", "misses", "hit ratio", "checked", "connections", "other statements per request"},
	}
	for _, t := range p.Targets {
		g.Rows = append(g.Rows, []string{
			t.Target, show.Count(t.Books.Sent), show.Count(t.ReadsTotal), show.Ratio(t.ReadsTotal, t.Books.Sent), show.Count(t.Hits), show.Count(t.Misses),
			show.Ratio(t.Hits, t.Hits+t.Misses), show.Share(t.Checked, t.Books.Answered()), spread(t.DBConnections, show.Decimal),
			show.Pairs(t.Others, func(s figures.Spread) string { return median(s, show.Number) }),
		})
	}
	return g
}
