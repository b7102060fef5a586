package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/platform"
	"bakeoff/internal/stats"
)

// The rules of a phase, on sessions without an agent: what each line does, what is sent to whom, and by when.

// manual is phase number 3 of a fleet of n agents whose sessions send nothing anywhere: what they were told is in their queues.
func manual(t *testing.T, n int) *phase {
	t.Helper()
	f := &Fleet{options: Options{Silence: 2 * time.Second}, inbox: newInbox(16)}
	p := &phase{fleet: f, number: 3, sink: func(Snapshot) {}, members: map[*session]*member{}, deadline: time.Now().Add(time.Hour), overdue: "it did not finish"}
	p.report.Start = time.Now()
	for i := range n {
		near, far := net.Pipe()
		t.Cleanup(func() {
			near.Close()
			far.Close()
		})
		s := &session{fleet: f, index: i, epoch: 1, conn: near, last: time.Now(), out: make(chan message, 16), ended: make(chan struct{}), window: tracker{epoch: 1}}
		f.slots = append(f.slots, &slot{index: i, epoch: 1, session: s})
		m := &member{session: s, report: AgentReport{Agent: i, Epoch: 1, First: -1, Due: -1}}
		p.members[s], p.order = m, append(p.order, m)
	}
	return p
}

// told are the lines for an agent, which are taken.
func (m *member) told() (out []message) {
	for {
		select {
		case line := <-m.session.out:
			out = append(out, line)
		default:
			return out
		}
	}
}

// A slice is extended once for all agents by the first that is stuck in it, for as long as it may last.
func TestStuckExtendsTheSlice(t *testing.T) {
	const until = 200 * time.Millisecond
	for name, c := range map[string]struct {
		stuck    stuck
		change   func(p *phase)
		extended bool
		fails    bool
	}{
		"stuck":                      {stuck{3, until}, nil, true, false},
		"up to the most":             {stuck{3, until}, func(p *phase) { p.most = until + extendBy }, true, false},
		"beyond the most":            {stuck{3, until}, func(p *phase) { p.most = until + extendBy - 1 }, false, false},
		"it was extended before":     {stuck{3, until - extendBy}, nil, false, false},
		"of an earlier phase":        {stuck{2, until}, nil, false, false},
		"of a later phase":           {stuck{4, until}, nil, false, true},
		"while the phase is stopped": {stuck{3, until}, func(p *phase) { p.stopping = true }, false, false},
		"of a phase at a stretch":    {stuck{3, until}, func(p *phase) { p.turns = nil }, false, true},
	} {
		p := manual(t, 3)
		p.turns, p.until, p.most = &Turns{}, until, time.Second
		p.order[2].ended = true
		if c.change != nil {
			c.change(p)
		}
		before := p.deadline
		err := p.handle(p.order[0], message{Stuck: &c.stuck})
		if (err != nil) != c.fails || c.fails && !strings.Contains(err.Error(), "stuck out of turn") {
			t.Errorf("%s: %v", name, err)
		}
		by := extendBy * time.Duration(map[bool]int{true: 1}[c.extended])
		if p.until != until+by || p.deadline.Sub(before) != by {
			t.Errorf("%s: until %v, the deadline is %v later", name, p.until, p.deadline.Sub(before))
		}
		for i, m := range p.order {
			told := m.told()
			if want := c.extended && i < 2; len(told) != map[bool]int{true: 1}[want] || want && *told[0].Extend != (extend{Run: 3, End: until + extendBy}) {
				t.Errorf("%s: agent %d was told %+v", name, i, told)
			}
		}
	}
}

// Ready, sliced and done count once, of this phase; those of an earlier one, which was called off, are passed over.
func TestAnswersInTurn(t *testing.T) {
	books := stats.Books{Planned: 2, Sent: 2, OK: 2}
	for name, c := range map[string]struct {
		says   message
		change func(p *phase)
		lost   string // why the agent is; empty: it is not
		failed string // the phase
		check  func(p *phase) bool
	}{
		"ready":                {message{Ready: &ready{Run: 3}}, nil, "", "", func(p *phase) bool { return p.order[0].ready && !p.allReady() }},
		"ready, the other too": {message{Ready: &ready{Run: 3}}, func(p *phase) { p.order[1].ready = true }, "", "", (*phase).allReady},
		"ready before":         {message{Ready: &ready{Run: 2}}, nil, "", "", func(p *phase) bool { return !p.order[0].ready }},
		"ready too early":      {message{Ready: &ready{Run: 4}}, nil, "it said ready out of turn", "", nil},
		"ready twice":          {message{Ready: &ready{Run: 3}}, func(p *phase) { p.order[0].ready = true }, "it said ready out of turn", "", nil},
		"not ready":            {message{Ready: &ready{Run: 3, Error: "no engine"}}, nil, "", "agent 0: prepare: no engine", func(p *phase) bool { return p.stopping && p.allReady() }},
		"sliced":               {message{Sliced: &sliced{Run: 3, Late: 5}}, nil, "", "", func(p *phase) bool { return p.order[0].sliced && p.late == 5 && !p.allSliced() }},
		"sliced, less late":    {message{Sliced: &sliced{Run: 3, Late: 5}}, func(p *phase) { p.late, p.order[1].sliced = 7, true }, "", "", func(p *phase) bool { return p.late == 7 && p.allSliced() }},
		"sliced, the other is lost": {
			message{Sliced: &sliced{Run: 3}}, func(p *phase) { p.order[1].ended = true }, "", "", (*phase).allSliced,
		},
		"sliced before":            {message{Sliced: &sliced{Run: 2, Late: 5}}, nil, "", "", func(p *phase) bool { return !p.order[0].sliced && p.late == 0 }},
		"sliced too early":         {message{Sliced: &sliced{Run: 4}}, nil, "it said sliced out of turn", "", nil},
		"sliced twice":             {message{Sliced: &sliced{Run: 3}}, func(p *phase) { p.order[0].sliced = true }, "it said sliced out of turn", "", nil},
		"sliced at a stretch":      {message{Sliced: &sliced{Run: 3}}, func(p *phase) { p.turns = nil }, "it said sliced out of turn", "", nil},
		"a slice failed":           {message{Sliced: &sliced{Run: 3, Error: "no port"}}, nil, "", "agent 0: no port", func(p *phase) bool { return p.stopping && p.order[0].sliced }},
		"a slice that was stopped": {message{Sliced: &sliced{Run: 3, Error: "cut"}}, func(p *phase) { p.stopping = true }, "", "", func(p *phase) bool { return p.order[0].sliced }},
		"done before":              {message{Done: &done{Run: 2}}, nil, "", "", func(p *phase) bool { return !p.order[0].ended }},
		"done too early":           {message{Done: &done{Run: 4}}, nil, "it said done out of turn", "", nil},
		"done before the start":    {message{Done: &done{Run: 3}}, func(p *phase) { p.report.Start = time.Time{} }, "it said done out of turn", "", nil},
		"done": {message{Done: &done{Run: 3, Timing: timing{1, 2, 3, 4, 5}}}, nil, "", "", func(p *phase) bool {
			r := p.order[0].report
			return p.order[0].ended && r.Done && r.Began == 1 && r.First == 2 && r.Due == 3 && r.ClockShift == 4 && r.ClockError == 5 && !p.allEnded()
		}},
		"done with other books":     {message{Done: &done{Run: 3, Books: books}}, nil, "its totals (0 windows", "", nil},
		"done with more windows":    {message{Done: &done{Run: 3, Windows: 1}}, nil, "its totals (1 windows", "", nil},
		"done and failed":           {message{Done: &done{Run: 3, Error: "no port"}}, nil, "", "agent 0: no port", func(p *phase) bool { return p.order[0].report.Done }},
		"done and stopped":          {message{Done: &done{Run: 3, Error: "cut"}}, func(p *phase) { p.stopping = true }, "", "", func(p *phase) bool { return p.order[0].report.Done }},
		"a window before the start": {message{Window: &window{Run: 3}}, func(p *phase) { p.report.Start = time.Time{} }, "it sent a window out of turn", "", nil},
	} {
		p := manual(t, 2)
		p.turns = &Turns{}
		if c.change != nil {
			c.change(p)
		}
		p.fleet.inbox.put(event{p.order[0].session, c.says}, false)
		p.drain()
		if why := p.order[0].session.lost().Why; why != c.lost && (c.lost == "" || !strings.HasPrefix(why, c.lost)) {
			t.Errorf("%s: the agent is lost: %q, want %q", name, why, c.lost)
		}
		if failed := fmt.Sprint(p.err); c.failed == "" && p.err != nil || c.failed != "" && failed != c.failed {
			t.Errorf("%s: %v, want %q", name, p.err, c.failed)
		}
		if c.check != nil && !c.check(p) {
			t.Errorf("%s: %+v, %+v", name, *p.order[0], p)
		}
	}
}

// A window is added up, and begins where the phase's own time was 0: at its start, or before the slice under way.
func TestWindowsOfAPhase(t *testing.T) {
	for _, turns := range []*Turns{nil, {}} {
		p := manual(t, 1)
		var got []Snapshot
		p.sink, p.turns, p.zero = func(s Snapshot) { got = append(got, s) }, turns, p.report.Start.Add(-time.Hour)
		w := stats.Window{Begin: time.Second, Books: stats.Books{Planned: 1, Sent: 1, OK: 1}}
		if err := p.handle(p.order[0], message{Window: &window{Run: 3, Epoch: 1, Sequence: 9, Window: w}}); err != nil {
			t.Fatal(err)
		}
		want := p.report.Start.Add(time.Second)
		if turns != nil {
			want = want.Add(-time.Hour)
		}
		if len(got) != 1 || got[0].Agent != 0 || got[0].Epoch != 1 || got[0].Sequence != 9 || !got[0].At.Equal(want) || p.order[0].report.Totals.Books != w.Books {
			t.Errorf("%+v, totals %+v", got, p.order[0].report.Totals)
		}
	}
}

// A lost agent stops the others, who have until three seconds after its last sign of life; who has not ended by then is given up.
func TestLossesStopThePhase(t *testing.T) {
	p := manual(t, 3)
	sign := time.Now().Add(-time.Second)
	p.order[0].session.last = sign
	p.order[0].session.end("gone")
	p.fleet.inbox.put(event{session: p.order[0].session}, false)
	p.drain()
	if !p.order[0].ended || !p.stopping || !p.deadline.Equal(sign.Add(3*time.Second)) || p.overdue != "it did not stop in time" {
		t.Errorf("%+v, until %v: %s", *p.order[0], p.deadline.Sub(sign), p.overdue)
	}
	if lost := p.report.Lost; len(lost) != 1 || lost[0] != (Lost{0, 1, "gone", sign}) {
		t.Errorf("lost %+v", lost)
	}
	for i, want := range []int{0, 1, 1} {
		told := p.order[i].told()
		if len(told) != want || want > 0 && (told[0].Stop == nil || told[0].Stop.Run != 3) {
			t.Errorf("agent %d was told %+v", i, told)
		}
	}
	before := p.deadline
	if p.stop(before.Add(time.Hour)); !p.deadline.Equal(before) {
		t.Errorf("the deadline is %v later", p.deadline.Sub(before))
	}
	if p.stop(before.Add(-time.Second)); !p.deadline.Equal(before.Add(-time.Second)) {
		t.Errorf("the deadline is %v earlier", before.Sub(p.deadline))
	}
	if told := p.order[1].told(); len(told) > 0 {
		t.Errorf("told twice: %+v", told)
	}
	p.order[1].ended = true
	p.giveUp("it did not stop in time")
	if lost := p.report.Lost; len(lost) != 2 || lost[1].Agent != 2 || lost[1].Why != "it did not stop in time" || !p.allEnded() {
		t.Errorf("lost %+v", lost)
	}
	if entered := p.fleet.Lost(); len(entered) != 1 || entered[0].Agent != 2 {
		t.Errorf("entered as lost: %+v", entered)
	}
	p.fleet.inbox.put(event{p.order[2].session, message{Ready: &ready{Run: 3}}}, false)
	if p.drain(); p.order[2].ready {
		t.Error("one that was given up is heard")
	}
}

// The first error of a phase is kept, and stops everyone for a second at most.
func TestFailuresStopThePhase(t *testing.T) {
	p := manual(t, 2)
	first := errors.New("first")
	p.fail(first)
	p.fail(errors.New("second"))
	if left := time.Until(p.deadline); p.err != first || left > stopWithin || left < stopWithin-200*time.Millisecond {
		t.Errorf("%v, %v are left", p.err, left)
	}
	if told := p.order[1].told(); len(told) != 1 || told[0].Stop == nil {
		t.Errorf("told %+v", told)
	}
}

// The report says how closely together those started that are done, and how well that is known.
func TestReportOfAPhase(t *testing.T) {
	p := manual(t, 4)
	for i, began := range []time.Duration{30, 10, 70, 500} {
		p.order[i].report.Done, p.order[i].report.Began, p.order[i].report.ClockError = i < 3, began, 2*began
		p.order[i].report.Totals.Add(stats.Window{Books: stats.Books{Planned: int64(i), Sent: int64(i), OK: int64(i)}, Length: time.Second})
		p.order[i].report.Totals.Sending = 5 * time.Second
	}
	p.close()
	r := p.report
	if r.Skew != 60 || r.ClockError != 140 || len(r.Agents) != 4 || r.Agents[3].Agent != 3 || time.Since(r.End) > time.Minute {
		t.Errorf("%+v", r)
	}
	if sum := r.Totals(); sum.Books.OK != 6 || sum.Windows != 4 || sum.Sending != 5*time.Second {
		t.Errorf("%+v", sum)
	}
	if (AgentReport{Began: 4, First: 0, Due: 0}).Started() != 4 {
		t.Error("a request at once hides a clock that woke late")
	}
}

// Which share an agent takes is the task's to say, for all of them or for none.
func TestSharesOfPlaces(t *testing.T) {
	p := manual(t, 2)
	p.task = Task{URLs: []string{"http://a"}, Seed: 5, Engine: "e", Contract: "c", Phase: load.Phase{Name: "x"}}
	for _, c := range []struct{ shares, want []int }{{nil, []int{0, 1}}, {[]int{1, 0}, []int{1, 0}}, {[]int{1}, []int{0, 1}}, {[]int{2, 1, 0}, []int{0, 1}}} {
		p.task.Shares = c.shares
		if got := []int{p.shareOf(0), p.shareOf(1)}; got[0] != c.want[0] || got[1] != c.want[1] {
			t.Errorf("%v: %v, want %v", c.shares, got, c.want)
		}
	}
	for _, p.turns = range []*Turns{nil, {}} {
		if got := p.share(load.Share{Index: 1, Of: 2}); got.Run != 3 || got.Share != (load.Share{Index: 1, Of: 2}) || got.Sliced != (p.turns != nil) || got.Seed != 5 || got.Engine != "e" || got.Contract != "c" || got.Phase.Name != "x" || got.URLs[0] != "http://a" {
			t.Errorf("%+v", got)
		}
	}
}

// Who comes to a fleet must be one of its agents, of its present epoch, once, and of the same program and plan.
func TestWhoIsAdmitted(t *testing.T) {
	for name, c := range map[string]struct {
		hello  hello
		change func(f *Fleet)
		want   string
	}{
		"the agent":        {hello{Index: 1, Epoch: 2}, nil, ""},
		"the last":         {hello{Index: 2, Epoch: 2}, nil, ""},
		"of no place":      {hello{Index: 3, Epoch: 2}, nil, "there is no agent 3 among 3"},
		"of less":          {hello{Index: -1, Epoch: 2}, nil, "there is no agent -1 among 3"},
		"of before":        {hello{Index: 1, Epoch: 1}, nil, "agent 1 of epoch 1 was replaced by epoch 2"},
		"of later":         {hello{Index: 1, Epoch: 3}, nil, "agent 1 has epoch 2, not 3"},
		"a second time":    {hello{Index: 1, Epoch: 2}, func(f *Fleet) { f.slots[1].session = &session{} }, "agent 1 of epoch 2 has connected before"},
		"after the end":    {hello{Index: 1, Epoch: 2}, func(f *Fleet) { f.closing = true }, "the run is over"},
		"another version":  {hello{Index: 1, Epoch: 2, Version: "2"}, nil, `the agent has version "2", the controller ""`},
		"another plan":     {hello{Index: 1, Epoch: 2, PlanDigest: "x"}, nil, `the agent has plan "x", the controller ""`},
		"the first, alone": {hello{Index: 0, Epoch: 2}, func(f *Fleet) { f.slots = f.slots[:1] }, ""},
	} {
		f := &Fleet{}
		for i := range 3 {
			f.slots = append(f.slots, &slot{index: i, epoch: 2})
		}
		if c.change != nil {
			c.change(f)
		}
		got := f.misplaced(&c.hello)
		if got == "" {
			got = f.foreign(&c.hello)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// One stranger too many closes the oldest, which is not served any more.
func TestOldestStrangerIsClosed(t *testing.T) {
	s := strangers{limit: 2}
	var near, far []net.Conn
	for range 3 {
		a, b := net.Pipe()
		defer b.Close()
		near, far = append(near, a), append(far, b)
		s.add(a)
	}
	if _, err := far[0].Read(make([]byte, 1)); err == nil {
		t.Error("the oldest is not closed")
	}
	for i, want := range []bool{false, true, true} {
		if got := s.remove(near[i]); got != want {
			t.Errorf("stranger %d: %v", i, got)
		}
		near[i].Close()
	}
	if len(s.open) > 0 || s.remove(near[1]) {
		t.Errorf("left: %d", len(s.open))
	}
}

// overProcess is a process that is over once done is closed.
type overProcess struct {
	platform.Process
	exit platform.Exit
	done chan struct{}
}

func (p overProcess) Done() <-chan struct{} { return p.done }
func (p overProcess) Exit() platform.Exit   { return p.exit }

// Why a connection was closed is said by how the agent's process ended, where it did.
func TestDeparturesInWords(t *testing.T) {
	over, runs := make(chan struct{}), make(chan struct{})
	close(over)
	for want, p := range map[string]platform.Process{
		"it closed its connection":          overProcess{done: runs},
		"its process ended with status 3":   overProcess{exit: platform.Exit{Code: 3}, done: over},
		"its process was ended by SIGSEGV":  overProcess{exit: platform.Exit{Code: -1, Signal: "SIGSEGV"}, done: over},
		"it closed its connection, no more": nil,
	} {
		f := manual(t, 1).fleet
		f.slots[0].process = p
		if got := f.departure(f.slots[0].session); !strings.HasPrefix(want, got) || got == "" {
			t.Errorf("%q, want %q", got, want)
		}
	}
	deleted := overProcess{exit: platform.Exit{Code: -1, Signal: "SIGKILL", Why: "the pod was deleted"}, done: over}
	if got := ending(deleted); got != "its process was ended by SIGKILL: the pod was deleted" {
		t.Errorf("%q", got)
	}
	s := manual(t, 1).order[0].session
	if got := s.reason(errors.New("tls: bad record"), "late"); got != "connection failed: tls: bad record" {
		t.Errorf("%q", got)
	}
	s.end("first")
	if s.end("second"); s.lost().Why != "first" || s.reason(errors.New("x"), "late") != "" {
		t.Errorf("%+v", s.lost())
	}
	s.send(message{}) // nobody takes it, and nobody waits
	full := manual(t, 1).order[0].session
	for range cap(full.out) + 1 {
		full.send(message{})
	}
	if got := full.lost().Why; got != notTaking {
		t.Errorf("an agent that takes nothing: %q", got)
	}
}

// Close kills what does not leave by itself, names what cannot be killed, and waits for nobody who has left.
func TestEndOfTheProcesses(t *testing.T) {
	over := make(chan struct{})
	close(over)
	f := &Fleet{}
	for i, p := range []platform.Process{killed{overProcess{done: over}, nil}, nil, killed{overProcess{done: over}, errFake}} {
		f.slots = append(f.slots, &slot{index: i, process: p})
	}
	began := time.Now()
	err := f.endProcesses()
	if !errors.Is(err, errFake) || !strings.Contains(err.Error(), "fleet: agent-x: kill: fake") || time.Since(began) > quitWithin {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	if got := len(f.Processes()); got != 2 {
		t.Errorf("%d processes", got)
	}
}

var errFake = errors.New("fake")

// killed is a process that is killed with that error.
type killed struct {
	overProcess
	err error
}

func (k killed) Name() string                              { return "agent-x" }
func (k killed) Stop(context.Context, time.Duration) error { return k.err }

// Agents that have to be killed are killed at once: each of these ends only when all were asked to.
func TestAllAreKilledAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, asked := &Fleet{}, &sync.WaitGroup{}
		for i := range 6 {
			f.slots = append(f.slots, &slot{index: i, process: together{killed{overProcess{done: make(chan struct{})}, nil}, asked}, lost: &Lost{}})
			asked.Add(1)
		}
		began := time.Now()
		if err := f.endProcesses(); err != nil || time.Since(began) > quitWithin {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// together is a process that is gone once all of its kind were asked to go.
type together struct {
	killed
	asked *sync.WaitGroup
}

func (p together) Stop(ctx context.Context, _ time.Duration) error {
	p.asked.Done()
	all := make(chan struct{})
	go func() { p.asked.Wait(); close(all) }()
	select {
	case <-all:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
