package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// notUsed lists the trials that are in no statistic, and the damage found.
func notUsed(s *figures.Summary) []section {
	var out []section
	if len(s.Unusable) > 0 {
		g := show.Table{Left: 2, Words: 3, Head: []string{"block", "target", "attempt", "status", "repeated", "reasons"}}
		for _, u := range s.Unusable {
			g.Rows = append(g.Rows, []string{fmt.Sprint(u.Block), u.Target, fmt.Sprint(u.Attempt), u.Status, u.Repeated, texts(u.Reasons, u.Status)})
		}
		out = append(out, section{title: "Trials that are in no statistic", tables: append([]show.Table{g}, accused(s)...)})
	}
	if len(s.Problems) > 0 {
		var points []string
		for _, p := range s.Problems {
			points = append(points, p.String())
		}
		out = append(out, section{title: "Damage found in the run directory", points: points})
	}
	return out
}

// warned lists the trials that count all the same, and what was noticed in them.
func warned(s *figures.Summary) []section {
	g := show.Table{Left: 2, Words: 1, Head: []string{"block", "target", "attempt", "warnings"}}
	for _, t := range s.Trials {
		if t.Status == record.Valid && len(t.Warnings) > 0 {
			g.Rows = append(g.Rows, []string{fmt.Sprint(t.Block), t.Target, fmt.Sprint(t.Attempt), texts(t.Warnings, "")})
		}
	}
	if len(g.Rows) == 0 {
		return nil
	}
	return []section{{title: "Trials with warnings", tables: []show.Table{g}}}
}

// speeds shows how fast the machine was in each trial.
func speeds(s *figures.Summary) []section {
	if s.Speed == nil {
		return nil
	}
	t := show.Table{Left: 2, Head: []string{"target", "block", "speed", "yardstick"}}
	for _, o := range s.Trials {
		if o.Speed > 0 {
			t.Rows = append(t.Rows, []string{o.Target, blockName(o), fmt.Sprintf("%.2f", o.Speed), show.Millis(o.WorkS)})
		}
	}
	var paras []string
	if f := s.Speed.Follows; f != nil {
		paras = append(paras, fmt.Sprintf("Answers per second of phase %s and the time of that work: correlation %.2f over %s, each trial less the mean of its target, averaged over the targets of a block; where the work takes "+
			"1 %% longer, the answers change by %.1f %%.", f.Phase, f.Correlation, show.Plural(f.Blocks, "block"), f.Slope))
	}
	return []section{{title: "Speed of this machine", tables: []show.Table{t}, paras: append([]string{
		"In " + show.Plural(s.Speed.Trials, "trial") + " " + speedInWords(s.Speed) + ". The yardstick is a fixed piece of work, done four times a second on every core and timed by the CPU " +
			"clock of its thread: where it takes longer while the run's own share of the machine is the same, others use what the cores share. It corrects nothing and refuses nothing.",
	}, paras...)}}
}

// accused shows what the agents had and lacked where they were the limit, or their machine was disturbed.
func accused(s *figures.Summary) []show.Table {
	g := show.Table{
		Left: 3,
		Caption: "What the agents of such trials had: the most descriptors and local ports of any agent and second, with their limits; and, summed over " +
			"agents, for how long they stood still, had no core, were held back by a CPU quota, or were paused by their collector; stolen: what the host took of the machine.",
		Head: []string{"block", "target", "phase", "descriptors", "limit", "ports", "of", "stood still", "no core", "quota", "collector", "stolen"},
	}
	for _, t := range s.Trials {
		if !slices.ContainsFunc(t.Reasons, func(r record.Reason) bool { return r.Cause != "" }) {
			continue
		}
		for _, f := range t.Phases {
			g.Rows = append(g.Rows, append([]string{blockName(t), t.Target, f.Name}, agentCells(f)...))
		}
	}
	if len(g.Rows) == 0 {
		return nil
	}
	return []show.Table{explained(g)}
}

// agentCells are what the agents had and lacked in a phase.
func agentCells(f figures.PhaseFigures) []string {
	m := f.Agents
	if m == nil {
		return slices.Repeat([]string{narrow}, 9)
	}
	return []string{
		show.Count(m.Descriptors), show.Count(m.DescriptorLimit), show.Count(m.Ports), show.Count(m.PortRange()),
		show.Millis(float64(m.Stopped) / 1e9), show.Millis(float64(m.Starved) / 1e9), show.Millis(float64(m.Throttled) / 1e9), show.Millis(f.GCPauseS), show.Millis(float64(m.Stolen) / 1e9),
	}
}

// texts joins reasons, each with its code; not where the code is a status that was said before, such as
// damaged.
func texts(reasons []record.Reason, status string) string {
	var out []string
	for _, r := range reasons {
		if r.Code == status {
			out = append(out, r.Text)
			continue
		}
		out = append(out, r.Words())
	}
	return strings.Join(out, "; ")
}

// pilot shows block 0, apart from everything else.
func pilot(s *figures.Summary) []section {
	g := show.Table{Left: 1, Head: []string{"target", "planned", "sent", "ok", "bad", "timeout", "error", "dropped", "late", "queued", "ok/s"}}
	for _, t := range s.Pilot {
		for _, f := range t.Phases {
			g.Rows = append(g.Rows, append([]string{t.Target}, bookCells(f)...))
		}
	}
	if len(g.Rows) == 0 {
		return nil
	}
	text := "One short closed trial per target before block 1; it only sets the rates of open phases."
	if s.Found != nil && s.Found.Slowest != "" {
		text += fmt.Sprintf(" Taken from it: the slowest is %s, with %s/s.", s.Found.Slowest, show.Number(s.Found.Throughput[s.Found.Slowest]))
	}
	return []section{{title: "Pilot (block 0), outside all statistics", tables: []show.Table{explained(g)}, paras: []string{text}}}
}

// settings shows how each target was deployed.
func settings(s *figures.Summary) []section {
	if len(s.Targets) == 0 {
		return nil
	}
	deployed := show.Table{Left: 1, Words: 1, Head: []string{"target", "replicas", "workers", "pool", "protocol", "access log", "recipe"}}
	changed := show.Table{Left: 1, Words: 4, Head: []string{"target", "setting", "value", "default", "from"}, Caption: "Settings that are not the framework's defaults, and where each comes from."}
	var versions []string
	for _, t := range s.Targets {
		if t.Driver() {
			deployed.Rows = append(deployed.Rows, []string{t.Name, show.None, show.None, "as many as in flight", t.Protocol, show.None, "not deployed"})
			continue
		}
		pool := "as many as in flight"
		if t.Pool != nil && *t.Pool > 0 {
			pool = fmt.Sprint(*t.Pool)
		}
		deployed.Rows = append(deployed.Rows, []string{t.Name, fmt.Sprint(t.Replicas), fmt.Sprint(t.Workers), pool, t.Protocol, onOff(t.AccessLog != nil && *t.AccessLog), recipe(t)})
		for _, set := range t.Settings {
			changed.Rows = append(changed.Rows, []string{t.Name, set.Name, set.Value, set.Default, set.Source})
		}
		if len(t.Versions) > 0 {
			versions = append(versions, t.Name+": "+show.Pairs(t.Versions, func(v string) string { return v }))
		}
	}
	out := section{title: "Targets as deployed", tables: []show.Table{deployed}}
	if len(changed.Rows) > 0 {
		out.tables = append(out.tables, changed)
	}
	return []section{out, {title: "Versions", points: versions}}
}

func recipe(t figures.Target) string {
	name := t.Recipe
	if t.Variant != "" {
		name += " (" + t.Variant + ")"
	}
	if t.Server != "" {
		name += " on " + t.Server
	}
	return fmt.Sprintf("%s %.12s", name, t.Digest)
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// around is the machine, the database, the balancer and where the time went.
func around(s *figures.Summary) section {
	m, d := s.Machine, s.Database
	out := section{title: "Around the targets", points: []string{
		fmt.Sprintf("Machine: %s, %s of memory, %s, kernel %s, governor %s, virtual: %s.", strings.TrimSpace(fmt.Sprintf("%s, %d cores", m.CPU, m.Cores)),
			show.Megabytes(float64(m.MemoryBytes)), m.OS, m.Kernel, cmp.Or(m.Governor, "unknown"), cmp.Or(m.Virtual, "no")),
	}}
	if s.Running() {
		out.title = "Around the servers"
		out.points = append(out.points, fmt.Sprintf("Plan: digest %.16s, seed %d.", s.Run.PlanDigest, s.Run.Seed))
	} else {
		out.points = append(out.points,
			fmt.Sprintf("Database: %s %s, %s, at most %d connections, %s, statements counted by %s%s; %s rows, digest %.16s; settings: %s.",
				d.Kind, d.Vendor, d.Version, d.MaxConnections, d.Collation, d.Counter, because(d.CounterReason), show.Count(d.Rows), strings.TrimPrefix(d.Digest, "sha256:"), show.Pairs(d.Settings, same)),
			fmt.Sprintf("Balancer: %s %s; settings: %s.", s.Balancer.Kind, bare(s.Balancer), show.Pairs(s.Balancer.Settings, same)),
			fmt.Sprintf("Plan: digest %.16s, seed %d, dataset seed %d.", s.Run.PlanDigest, s.Run.Seed, s.Dataset.Seed))
	}
	out.points = append(out.points, calibrationInWords(s.Calibration, s.Run))
	var steps []string
	for _, step := range s.Time.Steps {
		steps = append(steps, step.Name+" "+show.Span(round(step.Seconds)))
	}
	if len(steps) > 0 {
		text := "Time in trials: " + strings.Join(steps, ", ")
		if !s.Running() {
			text += "; fill of the table " + show.Seconds(d.FillSeconds)
		}
		out.points = append(out.points, text+".")
	}
	for _, n := range s.Notes {
		out.points = append(out.points, "Note: "+n)
	}
	return out
}

// because is a reason in brackets, or nothing.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

func same(s string) string { return s }

// WriteList writes the runs of a folder, one line each, for a page of the given width; 0 means 100.
func WriteList(w io.Writer, runs []record.Listed, width int) error {
	if width <= 0 {
		width = 100
	}
	g := show.Table{Left: 2, Words: 2, Head: []string{"begun", "run", "trials", "status", "directory"}}
	for _, r := range runs {
		if r.Name == "" {
			g.Rows = append(g.Rows, []string{show.None, show.None, show.None, r.Problem, r.Dir})
			continue
		}
		g.Rows = append(g.Rows, []string{
			r.Started.UTC().Format("2006-01-02 15:04:05"), r.Name, fmt.Sprintf("%d of %d", r.Finished, r.Planned), listedStatus(r), r.Dir,
		})
	}
	if _, err := io.WriteString(w, g.Text(width)+"\n"); err != nil {
		return fmt.Errorf("report: write list: %w", err)
	}
	return nil
}

func listedStatus(r record.Listed) string {
	out := r.Status
	if r.Live {
		out = "under way"
	}
	if r.Short {
		out += ", short"
	}
	if r.Shared {
		out += ", shared machine"
	}
	if r.Problem != "" {
		out += ", damaged"
	}
	return out
}
