package jmeter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"bakeoff/internal/fleet"
	"bakeoff/internal/stats"
)

const (
	// lookEvery is how often result file, output and processes are looked at.
	lookEvery = 200 * time.Millisecond
	// startWithin is how long a master may take until the servers have begun.
	startWithin = 90 * time.Second
	// endWithin is how long a run may take to end after the last possible answer, or after the last row: where threads wait for the
	// processor their rows come late.
	endWithin = 20 * time.Second
	// longest is how many times as long as planned a run may last with rows.
	longest = 3
	// silence is how long a server may send no row before it is asked whether it lives.
	silence = 3 * time.Second
)

// phase is one Run under way.
type phase struct {
	loader   *Loader
	task     fleet.Task
	master   *master
	jtl      *jtl
	agents   []*agent
	byName   map[string]*agent
	sink     func(fleet.Snapshot)
	report   fleet.Report
	since    time.Time // when the master was started
	begun    time.Time // when it had started the servers
	looked   time.Time // when silent servers were asked last
	deadline time.Time // until when it has to begin; once it has begun, when the last answer is due
	keys     []string  // files
}

// perform carries out a phase from the files that JMeter needs to the report.
func (l *Loader) perform(ctx context.Context, t fleet.Task, asked Asked, sink func(fleet.Snapshot)) (fleet.Report, error) {
	p, err := l.begin(ctx, t, asked, sink)
	if err != nil {
		return fleet.Report{}, errors.Join(fmt.Errorf("jmeter: %w", err), l.stopServers())
	}
	if len(p.report.Lost) == 0 {
		err = p.drive(ctx)
	}
	p.jtl.close()
	if err == nil && len(p.report.Lost) == 0 {
		p.verify()
	}
	if dropErr := p.dropKeys(ctx, err == nil && len(p.report.Lost) == 0); err == nil {
		err = dropErr
	}
	p.close(err == nil)
	if err != nil || len(p.report.Lost) > 0 { // the servers may still be at it
		err = errors.Join(err, l.stopServers())
	}
	if err != nil {
		return p.report, fmt.Errorf("jmeter: phase %q: %w", t.Phase.Name, err)
	}
	return p.report, nil
}

// drive sees the master through to its end, and reads all that it has written.
func (p *phase) drive(ctx context.Context) error {
	err := p.loop(ctx)
	if stopErr := p.master.process.Stop(context.WithoutCancel(ctx), 0); err == nil {
		err = stopErr
	}
	if readErr := p.jtl.read(p.row); err == nil {
		err = readErr
	}
	return err
}

// dropKeys removes the keys of the phase; on machines of servers only where they live on.
func (p *phase) dropKeys(ctx context.Context, live bool) error {
	var errs []error
	for k, file := range p.keys {
		errs = append(errs, os.Remove(file))
		if s := p.loader.servers[k]; s.remote != nil && live {
			errs = append(errs, s.remote.Drop(ctx, filepath.Base(file)))
		}
	}
	return errors.Join(errs...)
}

// begin writes keys and plan and starts the master, unless a server is lost already.
func (l *Loader) begin(ctx context.Context, t fleet.Task, asked Asked, sink func(fleet.Snapshot)) (*phase, error) {
	l.runs++
	keys := fmt.Sprintf("keys-%d.txt", l.runs)
	plan, global, err := l.plan(t, asked, keys)
	if err != nil {
		return nil, err
	}
	if l.own() {
		asked = unknown{asked}
	}
	p := &phase{loader: l, task: t, sink: sink, byName: map[string]*agent{}}
	for k, s := range l.servers {
		file := filepath.Join(l.serverDir(k), keys)
		if err := writeKeys(file, asked, t.Phase, k, l.o.Count, l.own()); err != nil {
			return nil, err
		}
		p.keys = append(p.keys, file)
		global = append(global, fmt.Sprintf("-Gbakeoff.threads.%d=%d", k, threads(t.Phase, k, l.o.Count)))
		a := newAgent(k, l.o.Count, t.Phase, asked, func(w stats.Window) { p.window(k, w) })
		p.agents, p.byName[s.address] = append(p.agents, a), a
	}
	name := fmt.Sprintf("jmeter-%03d-%s", l.runs, t.Phase.Name)
	p.jtl = &jtl{path: filepath.Join(l.o.LogDir, name+".jtl"), captures: l.captures}
	l.result = p.jtl.path
	if err := p.jtl.fresh(); err != nil {
		return nil, err
	}
	if p.hand(ctx); len(p.report.Lost) > 0 {
		return p, nil
	}
	p.since = time.Now()
	p.deadline = p.since.Add(startWithin)
	p.master, err = l.startMaster(ctx, name, plan, global)
	return p, err
}

// hand puts the keys where servers on machines of their own find them. One that does not take them is lost.
func (p *phase) hand(ctx context.Context) {
	for k, s := range p.loader.servers {
		if s.remote == nil {
			continue
		}
		if err := s.put(ctx, filepath.Base(p.keys[k]), p.keys[k]); err != nil {
			p.lose(k, "it does not take its keys: "+err.Error())
		}
	}
}

// plan is the test plan of a phase, with the arguments of its master.
func (l *Loader) plan(t fleet.Task, asked Asked, keys string) (text []byte, global []string, err error) {
	if l.own() {
		global, err = l.o.Own.properties(t, l.o.Count, keys)
		return l.o.Own.text, global, err
	}
	p, err := planOf(t, l.o.Count, asked, keys)
	if err != nil {
		return nil, nil, err
	}
	if l.listener != "" && !l.warming {
		p.Listener = listener(l.listener, t.Target)
	}
	var b bytes.Buffer
	err = p.write(&b)
	return b.Bytes(), nil, err
}

// window hands on a window of an agent.
func (p *phase) window(k int, w stats.Window) {
	l := p.loader
	l.sequences[k]++
	p.sink(fleet.Snapshot{Agent: k, Epoch: l.servers[k].epoch, Sequence: l.sequences[k], At: p.agents[k].began.Add(w.Begin), Window: w})
}

// row books a row with its server.
func (p *phase) row(r row) error {
	a := p.byName[r.server]
	if a == nil {
		return fmt.Errorf("%s has a row of %q, which is none of the servers", p.jtl.path, r.server)
	}
	a.add(r)
	a.last = time.Now()
	return nil
}

// loop looks at everything until the run is over, or cannot come to a good end any more.
func (p *phase) loop(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		over, err := p.look(ctx)
		if over || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// look takes what is new. It is over when the run has ended or a server or the master is lost.
func (p *phase) look(ctx context.Context) (over bool, err error) {
	ended := p.master.ended() // before its last words are read
	now, err := p.master.read()
	if err != nil {
		return false, err
	}
	if err := p.jtl.read(p.row); err != nil {
		return false, err
	}
	for _, a := range p.agents {
		a.advance(time.Now())
	}
	if now.begun && p.begun.IsZero() {
		p.begins(now)
	}
	switch {
	case len(p.report.Lost) > 0:
		return true, nil
	case p.gone():
		return true, nil
	case now.over:
		return true, nil
	case ended:
		p.loseAll(fmt.Sprintf("the master ended (%s) before the run had: %s", p.master.process.Exit(), lastWords(now.text)))
		return true, nil
	case p.late(time.Now()):
		p.loseAll("the run did not end in time: " + lastWords(now.text))
		return true, nil
	}
	return p.frozen(ctx), nil
}

// begins notes which servers the master has started; one that it has not is lost.
func (p *phase) begins(now said) {
	p.begun = time.Now()
	if p.task.Begun != nil {
		p.task.Begun()
	}
	t := p.task.Phase
	p.deadline = p.begun.Add(t.Duration + 2*t.Timeout)
	for name, a := range p.byName {
		if !slices.Contains(now.started, name) {
			p.lose(a.index, fmt.Sprintf("the master has not started it (started: [%s]): %s", strings.Join(now.started, ", "), lastWords(now.text)))
		}
	}
}

// late reports whether the run should have begun, or ended.
func (p *phase) late(now time.Time) bool {
	if p.begun.IsZero() {
		return now.After(p.deadline)
	}
	last := p.deadline
	for _, a := range p.agents {
		last = laterOf(last, a.last)
	}
	return now.After(last.Add(endWithin)) || now.After(p.begun.Add(longest*p.deadline.Sub(p.begun)).Add(endWithin))
}

// gone reports whether a server's process has ended.
func (p *phase) gone() bool {
	for _, s := range p.loader.servers {
		if how, ended := s.ended(); ended {
			p.lose(s.index, how)
		}
	}
	return len(p.report.Lost) > 0
}

// frozen asks servers that have sent nothing for a while whether they move: a target that stalls keeps their rows back,
// too. One that stands still before it has begun keeps the master waiting.
func (p *phase) frozen(ctx context.Context) bool {
	if time.Since(p.looked) < silence {
		return false
	}
	for _, a := range p.agents {
		if time.Since(laterOf(a.last, p.since)) < silence {
			continue
		}
		p.looked = time.Now()
		if err := p.loader.servers[a.index].answers(ctx); err != nil && ctx.Err() == nil {
			p.lose(a.index, fmt.Sprintf("its JVM stands still: it has sent no row for %v and does not answer: %v", silence, err))
		}
	}
	return len(p.report.Lost) > 0
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// verify compares the result file with what JMeter itself says, once the run is over.
func (p *phase) verify() {
	now, err := p.master.read()
	switch {
	case err != nil:
		p.loseAll(err.Error())
		return
	case !now.begun || len(now.started) == 0:
		p.loseAll("the master started no server and ended as if all were well: " + lastWords(now.text))
		return
	case now.counted != p.jtl.rows:
		p.loseAll(fmt.Sprintf("the result file has %d rows, JMeter counted %d requests%s", p.jtl.rows, max(now.counted, 0), fullDisk(p.loader.o.LogDir)))
	}
	for _, a := range p.agents {
		if a.rows == 0 {
			p.lose(a.index, "the result file has no row of it")
		}
	}
}

// leastRoom is how many bytes a disk has free that is not called full.
const leastRoom = 64 << 10

// fullDisk says so of the disk of a folder where it is full: JMeter itself is silent about rows that it could not write.
func fullDisk(dir string) string {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil || int64(fs.Bavail)*int64(fs.Bsize) >= leastRoom {
		return ""
	}
	return ": the disk of " + dir + " is full"
}

func (p *phase) lose(k int, why string) {
	last := p.agents[k].last
	if last.IsZero() {
		last = time.Now()
	}
	p.report.Lost = append(p.report.Lost, fleet.Lost{Agent: k, Epoch: p.loader.servers[k].epoch, Why: why, LastSign: last})
}

func (p *phase) loseAll(why string) {
	for _, a := range p.agents {
		p.lose(a.index, why)
	}
}

// close closes the books and completes the report.
func (p *phase) close(whole bool) {
	p.report.End = time.Now()
	p.report.Start = p.begun
	for _, a := range p.agents {
		if a.rows > 0 && (p.report.Start.IsZero() || a.began.Before(p.report.Start)) {
			p.report.Start = a.began
		}
	}
	for _, a := range p.agents {
		a.finish()
		r := fleet.AgentReport{Agent: a.index, Epoch: p.loader.servers[a.index].epoch, Totals: a.sums, First: -1, Due: -1, Done: whole && len(p.report.Lost) == 0}
		if a.rows > 0 {
			r.Began = a.began.Sub(p.report.Start)
		}
		p.report.Skew = max(p.report.Skew, r.Began)
		p.report.Agents = append(p.report.Agents, r)
	}
}

// lastWords are the end of an output, on one line.
func lastWords(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "WARN StatusConsoleListener") })
	return strings.Join(lines[max(0, len(lines)-4):], " | ")
}
