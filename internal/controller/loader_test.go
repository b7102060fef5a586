package controller

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/endpoint"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/platform"
	"bakeoff/internal/stats"
)

// loading is the loader.
type loading struct{ world *world }

func (l *loading) Heal(context.Context) error    { l.world.healed++; return l.world.call("heal") }
func (l *loading) Processes() []platform.Process { return nil }
func (l *loading) Notes() []string               { return []string{"agents are faked"} }
func (l *loading) Close() error {
	l.world.note("agents end")
	return cmp.Or(l.world.closing, l.world.call("end of the agents"))
}

// Run takes the phase's duration; the target answers 100 requests a second in the closed model.
func (l *loading) Run(ctx context.Context, task fleet.Task, sink func(fleet.Snapshot)) (fleet.Report, error) {
	w, name := l.world, strings.TrimPrefix(task.URLs[0], "http://")
	w.note("load %s %s", name, task.Phase.Name)
	if err := w.call("load"); err != nil {
		return fleet.Report{}, err
	}
	w.tasks = append(w.tasks, task)
	n := int64(100 * task.Phase.Duration.Seconds())
	if task.Phase.Model == load.Open {
		n = int64(task.Phase.Rate * task.Phase.Duration.Seconds())
	}
	p := phaseFaked{task: task, books: stats.Books{Planned: n, Sent: n, OK: n}, reads: readsOf(task, n), requests: n, late: 50 * time.Microsecond}
	if change := w.act(name).phase; change != nil {
		change(&p)
	}
	start := time.Now()
	select {
	case <-ctx.Done():
	case <-time.After(task.Phase.Duration):
	}
	w.counters.Reads += p.reads
	w.lines[name] += p.lines
	w.count(p)
	w.requests[name] += p.requests
	report := fleet.Report{Start: start, End: time.Now(), Lost: p.lost}
	if ctx.Err() != nil {
		return report, context.Cause(ctx)
	}
	p.emit(&report, sink)
	return report, p.err
}

// readsOf is how many of the requests are lookups.
func readsOf(task fleet.Task, n int64) int64 {
	if task.Contract == endpoint.Contract {
		return 0
	}
	return n
}

// count has each read a statement of its own, and as many more or fewer as p says.
func (w *world) count(p phaseFaked) {
	w.extra += p.extra
	w.counters.Others = map[string]int64{"stmt_execute": w.counters.Others["stmt_execute"] + p.executed, "select": w.counters.Reads}
	w.counters.Touched = database.Touched{KeyReads: w.counters.Reads, Commits: w.counters.Reads + w.extra}
}

// taking is a phase under way on targets that take turns. A target answers 100 requests a second.
type taking struct {
	world   *world
	tasks   []fleet.Task
	sink    func(int, fleet.Snapshot)
	reports []fleet.Report
	err     error
}

func (l *loading) Turns(_ context.Context, tasks []fleet.Task, sink func(int, fleet.Snapshot)) (Turns, error) {
	l.world.inTurns = append(l.world.inTurns, tasks...)
	if err := l.world.call("turns"); err != nil {
		return nil, err
	}
	return &taking{world: l.world, tasks: tasks, sink: sink, reports: make([]fleet.Report, len(tasks))}, nil
}

func (t *taking) Slice(ctx context.Context, i int, s fleet.Slice) (fleet.Sliced, error) {
	begin, length, runIn := s.Begin, s.Length, s.RunIn
	w, task := t.world, t.tasks[i]
	name := strings.TrimPrefix(task.URLs[0], "http://")
	w.note("turn %s %s", name, task.Phase.Name)
	if err := w.call("slice"); err != nil {
		return fleet.Sliced{}, err
	}
	if s.Fresh {
		w.note("fresh %s", name)
	}
	for _, other := range t.tasks {
		if is := strings.TrimPrefix(other.URLs[0], "http://"); w.act(is).still == nil && w.frozen[is] != (is != name) {
			w.note("MISTAKE: in the turn of %s, %s is frozen: %v", name, is, w.frozen[is])
		}
	}
	n := int64(100 * length.Seconds())
	p := phaseFaked{task: task, books: stats.Books{Planned: n, Sent: n, OK: n}, reads: readsOf(task, n), requests: n, late: 50 * time.Microsecond}
	if change := w.act(name).phase; change != nil {
		change(&p)
	}
	if p.answers != nil {
		for range max(s.Parts, 1) {
			p.each = append(p.each, p.answers(length-runIn, max(s.Parts, 1)))
		}
		p.all(sumOf(p.each))
	}
	if p.longer > 0 {
		length += p.longer
		extra := int64(100 * p.longer.Seconds())
		p.books, p.reads, p.requests = stats.Books{Planned: n + extra, Sent: n + extra, OK: n + extra}, n+extra, n+extra
	}
	w.counters.Reads, w.pending = w.counters.Reads+w.pending+p.reads-p.pending, p.pending
	w.count(p)
	w.requests[name] += p.requests
	select {
	case <-ctx.Done():
		t.err = context.Cause(ctx)
	case <-time.After(length + 10*time.Millisecond):
	}
	t.err = errors.Join(t.err, p.err)
	for other := range t.reports {
		t.reports[other].Lost = append(t.reports[other].Lost, p.lost...)
	}
	if t.err != nil || len(p.lost) > 0 {
		return fleet.Sliced{}, fleet.ErrTurns
	}
	aside := windowOf(stats.Books{})
	aside.Begin, aside.Length, aside.Aside = begin, runIn, true
	for _, window := range append([]stats.Window{aside}, p.counted(begin+runIn, length-runIn, s.Parts)...) {
		t.sink(i, fleet.Snapshot{Agent: 0, Epoch: 1, Window: window})
	}
	return fleet.Sliced{Late: p.missed, Length: length}, nil
}

// all has that many requests answered, each with a lookup.
func (p *phaseFaked) all(n int64) {
	p.books, p.reads, p.requests = stats.Books{Planned: n, Sent: n, OK: n}, n, n
}

func sumOf(all []int64) (sum int64) {
	for _, n := range all {
		sum += n
	}
	return sum
}

// counted are the windows of the counted time of a slice; the first has all that is no answer.
func (p *phaseFaked) counted(begin, length time.Duration, parts int) (out []stats.Window) {
	parts = max(parts, 1)
	each := p.each
	if each == nil {
		for i := range parts {
			each = append(each, p.books.OK*int64(i+1)/int64(parts)-p.books.OK*int64(i)/int64(parts))
		}
	}
	for i, n := range each {
		books := stats.Books{Planned: n, Sent: n, OK: n}
		if i == 0 {
			books = p.books
			books.Planned, books.Sent, books.OK = books.Planned-books.OK+n, books.Sent-books.OK+n, n
		}
		w := windowOf(books)
		from, to := length*time.Duration(i)/time.Duration(parts), length*time.Duration(i+1)/time.Duration(parts)
		w.Begin, w.Length = begin+from, to-from
		w.Lateness.Reset()
		w.Lateness.RecordN(p.late, books.Planned)
		if p.took > 0 {
			w.Response.RecordN(p.took, books.OK)
		}
		out = append(out, w)
	}
	out[0].Outcomes, out[0].Replicas = p.outcomes, p.replicas()
	if p.seen != nil {
		out[0].Moves = p.seen()
	}
	return out
}

func (t *taking) End(context.Context) ([]fleet.Report, error) {
	for i := range t.reports {
		t.reports[i].Start, t.reports[i].End = time.Now(), time.Now()
		t.reports[i].Agents = []fleet.AgentReport{{Done: true}}
	}
	return t.reports, cmp.Or(t.err, t.world.call("end of the turns"))
}

// emit hands out all of the phase as one window of one agent.
func (p *phaseFaked) emit(report *fleet.Report, sink func(fleet.Snapshot)) {
	window := windowOf(p.books)
	window.Outcomes = p.outcomes
	window.Lateness.Reset()
	window.Lateness.RecordN(p.late, p.books.Planned)
	window.Length = p.task.Phase.Duration
	if p.seen != nil {
		window.Moves = p.seen()
	}
	window.Replicas = p.replicas()
	if p.took > 0 {
		window.Response.RecordN(p.took, p.books.OK)
	}
	if p.inFlight > 0 {
		window.InFlight = new(p.inFlight * *window.InFlight)
	}
	agent := fleet.AgentReport{Done: true, Totals: stats.Totals{Sending: window.Length}}
	windows := []stats.Window{window}
	if p.slower > 0 {
		windows = p.halves()
	}
	for i, w := range windows {
		agent.Totals.Add(w)
		sink(fleet.Snapshot{Agent: 0, Epoch: 1, Sequence: int64(i + 1), Window: w})
	}
	report.Agents = append(report.Agents, agent)
}

// replicas are those that have answered.
func (p *phaseFaked) replicas() map[string]stats.Replica {
	var out map[string]stats.Replica
	for name, n := range p.by {
		if out == nil {
			out = map[string]stats.Replica{}
		}
		out[name] = stats.Replica{Answers: n}
	}
	return out
}

// halves are 20 windows of equal parts, whose responses take 5 ms in the first half.
func (p *phaseFaked) halves() []stats.Window {
	const n = 20
	out := make([]stats.Window, n)
	for i := range out {
		w := windowOf(stats.Books{Planned: p.books.Planned / n, Sent: p.books.Sent / n, OK: p.books.OK / n})
		w.Length = p.task.Phase.Duration / n
		w.Begin = time.Duration(i) * w.Length
		took := 5 * time.Millisecond
		if i >= n/2 {
			took = time.Duration(p.slower * float64(took))
		}
		w.Response.RecordN(took, p.books.OK/n)
		out[i] = w
	}
	return out
}

// windowOf is a window of an agent that was on time, whose requests took 5 ms each.
func windowOf(books stats.Books) stats.Window {
	w := stats.Window{
		Books: books, InFlight: new(0.005 * float64(books.Answered())),
		Lateness: stats.NewHistogram(), Service: stats.NewHistogram(), Response: stats.NewHistogram(),
	}
	w.Lateness.RecordN(50*time.Microsecond, books.Answered())
	w.Service.RecordN(5*time.Millisecond, books.Answered())
	return w
}
