package measure

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/show"
)

// WriteText prints a result for people.
func WriteText(w io.Writer, j *Job, m *Measurement, r Result) error {
	var b strings.Builder
	b.WriteString(j.headline())
	writeReasons(&b, m, r.Reasons)
	writeBooks(&b, m, r)
	writeTimes(&b, m)
	writeStatus(&b, j, m.total)
	writeURLs(&b, j, m)
	writeFailures(&b, j, m.total)
	writeBytes(&b, r)
	writeRequirements(&b, r)
	writeHealth(&b, m)
	writeUses(&b, r.Agents)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeReasons prints why the measurement must not be used. That it was
// interrupted, the first of them, its user knows.
func writeReasons(b *strings.Builder, m *Measurement, reasons []string) {
	if m.interrupted {
		fmt.Fprintf(b, "\n%s: this is what was measured so far\n", strings.ToUpper(reasons[0][:1])+reasons[0][1:])
		reasons = reasons[1:]
	}
	if len(reasons) == 0 {
		return
	}
	b.WriteString("\nINVALID, not to be used:\n")
	for _, why := range reasons {
		b.WriteString("  " + why + "\n")
	}
}

// headline says what was asked for.
func (j *Job) headline() string {
	p := j.Phase
	how := fmt.Sprintf("closed model: %s for %s", show.Plural(p.Connections, "connection"), goal(p))
	if p.Model == load.Open {
		how = fmt.Sprintf("open model: %s for %s, %s arrivals, at most %s", j.rates(), goal(p), p.Arrivals, show.Plural(p.Connections, "connection"))
	}
	for _, more := range []struct {
		on   bool
		text string
	}{
		{p.Ramp > 0, fmt.Sprintf("started within %v", p.Ramp)},
		{p.Think > 0, fmt.Sprintf("%v of think time", p.Think)},
		{p.HTTP2, "HTTP/2"},
		{p.Reconnect, "a connection per request"},
		{j.Warmup.Duration > 0, fmt.Sprintf("after %v of warm-up", j.Warmup.Duration)},
		{true, fmt.Sprintf("time-out %v", p.Timeout)},
		{true, fmt.Sprintf("%s, engine %s", show.Plural(j.Agents, "agent"), j.Task.Engine)},
	} {
		if more.on {
			how += ", " + more.text
		}
	}
	method := j.method()
	return method + " " + strings.Join(j.URLs, "\n"+method+" ") + "\n" + how + "\n"
}

func perSecond(v float64) string { return show.Decimal(v) + "/s" }

// count is one line of a list of counts.
type count struct {
	name string
	n    int64
	note string
}

// writeCounts prints counts one below the other.
func writeCounts(b *strings.Builder, counts []count) {
	t := show.Table{Left: 1, Words: 1}
	for _, c := range counts {
		t.Rows = append(t.Rows, []string{"  " + c.name, show.Count(c.n), c.note})
	}
	b.WriteString(t.Text(0) + "\n")
}

func writeBooks(b *strings.Builder, m *Measurement, r Result) {
	counts := []count{
		{"planned", r.Planned, perSecond(r.OfferedRate) + " offered" + m.cutShort()},
		{"sent", r.Sent, perSecond(r.AchievedRate) + " achieved"},
		{"ok", r.OK, perSecond(r.Goodput) + " answered as expected"},
	}
	for _, c := range []count{
		{"bad", r.Bad, "answered with a status that was not expected"},
		{"timeout", r.Timeout, "no whole answer within the time-out"},
		{"error", r.Error, "failed in another way"},
		{"dropped", r.Dropped, "never sent"},
		{"late", r.Late, "taken up more than 1 ms after their time: this program's fault"},
		{"queued", r.Queued, m.whyQueued()},
	} {
		if c.n == 0 {
			c.note = ""
		}
		counts = append(counts, c)
	}
	b.WriteString("\n")
	writeCounts(b, counts)
}

// cutShort says how many requests were asked for where the time was over first; empty: all were planned, or something else ended it.
func (m *Measurement) cutShort() string {
	asked := m.phase.Requests
	if asked == 0 || m.interrupted || m.passed < m.phase.Duration || m.total.Books.Planned >= asked {
		return ""
	}
	return fmt.Sprintf(", not all of %s: --duration %v was over", goal(m.phase), m.phase.Duration)
}

// whyQueued says why arrivals found no free connection. Where most connections were free most of the time it was a pause of the
// server's, in which more of them would have waited, too; else nobody can distinguish the server's limit from that of --connections.
func (m *Measurement) whyQueued() string {
	n := m.phase.Connections
	if busy := m.total.InFlight; busy != nil && m.passed > 0 && *busy/m.passed.Seconds() < float64(n)/2 {
		return fmt.Sprintf("had to wait for a free connection while the server paused: mostly less than half of the %s were in use", show.Count(n))
	}
	return fmt.Sprintf("had to wait for one of %s (--connections): more may help, unless the server can do no more", show.Plural(n, "connection"))
}

// column is one distribution of the table of times.
type column struct {
	title   string
	figures []figure
}

// columns are the distributions of a phase; those of ok answers alone where others are among them.
func (m *Measurement) columns() []column {
	service, response, late := column{"service time", figures(m.total.Service)}, column{"response time", figures(m.total.Response)}, column{"lateness", figures(m.total.Lateness)}
	mixed := m.total.OKService() != nil && m.total.OKResponse() != nil && m.total.Response.Count() > m.total.Books.OK
	okService, okResponse := column{"of ok answers", figures(m.total.OKService())}, column{"of ok answers", figures(m.total.OKResponse())}
	switch open := m.phase.Model == load.Open; {
	case open && mixed:
		return []column{response, okResponse, service, okService, late}
	case open:
		return []column{response, service, late}
	case mixed:
		return []column{service, okService}
	}
	return []column{service}
}

// writeTimes prints the distributions side by side.
func writeTimes(b *strings.Builder, m *Measurement) {
	columns := m.columns()
	titles := []string{""}
	for _, c := range columns {
		titles = append(titles, c.title)
	}
	t := show.Table{Left: 1, Words: 1, Rows: [][]string{append(titles, "")}}
	bounded := false
	for i, first := range columns[0].figures {
		row, needs := []string{"  " + first.name}, int64(0)
		for _, c := range columns {
			f := c.figures[i]
			needs, bounded = max(needs, f.needs), bounded || f.known && f.censored
			row = append(row, f.text())
		}
		note := ""
		if needs > 0 {
			note = "needs " + show.Count(needs) + " samples"
		}
		t.Rows = append(t.Rows, append(row, note))
	}
	b.WriteString("\n" + t.Text(0) + "\n")
	if bounded {
		b.WriteString("  > is a lower bound: it depends on requests that timed out or were dropped\n")
	}
	if m.phase.Model == load.Closed {
		b.WriteString("  from the send to the last byte; a client that waits while the server stalls does\n" +
			"  not show the latency that users would see: for that, use --rate\n")
	}
}

// text is the figure as it is in a table.
func (f figure) text() string {
	if !f.known {
		return "-"
	}
	return above(f.censored) + show.Duration(f.value)
}

func writeStatus(b *strings.Builder, j *Job, t *tally) {
	if len(t.Status) == 0 {
		return
	}
	right, _ := j.Workload.(load.ByStatus)
	var counts []count
	for _, code := range slices.Sorted(maps.Keys(t.Status)) {
		c := count{strconv.Itoa(code), t.Status[code], ""}
		if !right.RightStatus(code) {
			c.note = "bad"
		}
		counts = append(counts, c)
	}
	b.WriteString("\nanswers by status\n")
	writeCounts(b, counts)
}

// writeFailures prints what failed and whose doing it was.
func writeFailures(b *strings.Builder, j *Job, t *tally) {
	failed := t.errors()
	if t.Books.Timeout > 0 {
		failed["timeout"] = t.Books.Timeout
	}
	var counts []count
	for _, class := range slices.Sorted(maps.Keys(failed)) {
		whose, means := fault(class)
		counts = append(counts, count{class, failed[class], fmt.Sprintf("%-14s %s%s", faults()[whose], means, j.flagOf(class))})
	}
	if n := t.Lost["loop"]; n > 0 {
		counts = append(counts, count{"(not sent)", n, faults()[load.Ours] + " taken up too late"})
	}
	if len(counts) == 0 {
		return
	}
	b.WriteString("\nfailures, and whose fault they are\n")
	writeCounts(b, counts)
	if examples := t.examples(); len(examples) > 0 {
		b.WriteString("  an example of each\n")
		for _, class := range slices.Sorted(maps.Keys(examples)) {
			fmt.Fprintf(b, "    %s: %s\n", class, examples[class])
		}
	}
	if t.Unwritten > 0 {
		fmt.Fprintf(b, "  %s of these requests were not fully written\n", show.Count(t.Unwritten))
	}
}

// flagOf names the flag whose limit a class of failures is about, or which fixes it.
func (j *Job) flagOf(class string) string {
	switch class {
	case "timeout":
		return fmt.Sprintf(" (--timeout %v)", j.Phase.Timeout)
	case "body too long":
		return fmt.Sprintf(" (--max-body %d)", j.Phase.BodyLimit)
	case "certificate":
		return " (--cacert, --insecure; --cert and --key)"
	case "descriptors":
		return " (ulimit -n)"
	}
	return ""
}

// writeBytes prints what went over the connections.
func writeBytes(b *strings.Builder, r Result) {
	fmt.Fprintf(b, "\nreceived %s (%s/s), sent %s (%s/s), header and body\n",
		show.Megabytes(float64(r.Received)), show.Megabytes(r.ReceivedSecond), show.Megabytes(float64(r.Written)), show.Megabytes(r.WrittenSecond))
}

// faults names those whose doing a failure is.
func faults() map[string]string {
	return map[string]string{load.Ours: "this program's", load.Theirs: "the server's", load.Nobody: "not known"}
}

// writeHealth prints what the generator says of itself.
func writeHealth(b *strings.Builder, m *Measurement) {
	t := m.total
	fmt.Fprintf(b, "\ngenerator: %s of CPU time", show.Duration(t.CPU))
	if m.passed > 0 {
		fmt.Fprintf(b, " (%.0f %% of one core", 100*t.CPU.Seconds()/m.passed.Seconds())
		if t.Books.Sent > 0 {
			fmt.Fprintf(b, ", %s a request", show.Duration(t.CPU/time.Duration(t.Books.Sent)))
		}
		b.WriteString(")")
	}
	fmt.Fprintf(b, ", %s opened", show.Plural(t.Opened, "connection"))
	if m.phase.Model == load.Open && t.Lateness.Count() > 0 {
		late, bound := m.worstLateness()
		fmt.Fprintf(b, ", lateness p99 %s (at most %s)", show.Duration(late), show.Duration(bound))
	}
	if m.spread != nil {
		fmt.Fprintf(b, ", agents started within %s of each other", show.Duration(*m.spread))
		if *m.spread > fleet.StartWithin {
			fmt.Fprintf(b, " (target: at most %s)", show.Duration(fleet.StartWithin))
		}
	}
	b.WriteString("\n")
}

// writeUses prints how near to its limits the nearest agent came.
func writeUses(b *strings.Builder, uses []agentUse) {
	var most agentUse
	for _, u := range uses {
		if u.Descriptors > most.Descriptors {
			most = u
		}
	}
	if most.DescriptorLimit == 0 {
		return
	}
	who := "it used"
	if len(uses) > 1 {
		who = "an agent used"
	}
	fmt.Fprintf(b, "  %s at most %s of %s descriptors", who, show.Count(most.Descriptors), show.Count(most.DescriptorLimit))
	if most.PortHigh > 0 {
		fmt.Fprintf(b, " and %s of %s local ports", show.Count(most.Ports), show.Count(most.PortHigh-most.PortLow+1))
	}
	b.WriteString("\n")
}

// worstLateness is that of the agent nearest to its bound, with the bound.
func (m *Measurement) worstLateness() (late, bound time.Duration) {
	worst := -1.0
	for _, a := range m.agents {
		l, limit := a.health(m.phase.Model).LatenessBound()
		if share := float64(l) / float64(limit); share > worst {
			worst, late, bound = share, l, limit
		}
	}
	return late, bound
}
