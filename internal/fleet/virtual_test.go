package fleet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/platform"
	"bakeoff/internal/stats"
)

// Every bound of time in virtual time, on pipes and processes that do what is asked of them.

// peer is the controller's end of an agent's pipe.
type peer struct {
	net.Conn
	mu    sync.Mutex
	beats []time.Duration // since the beginning
	heard []message
}

// hear reads all lines, and echoes signs of life where that is asked for.
func (p *peer) hear(echo bool) {
	began, in := time.Now(), newLineReader(p, lineLimit)
	for {
		m, err := in.read()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.heard = append(p.heard, m)
		if m.Beat != nil {
			p.beats = append(p.beats, time.Since(began))
		}
		p.mu.Unlock()
		if m.Beat != nil && echo && send(p, message{Beat: &beat{Number: m.Beat.Number, Clock: time.Now().UnixNano()}}) != nil {
			return
		}
	}
}

// onPipe is an agent with a lease of 2 s, and its controller.
func onPipe() (*agent, *peer) {
	near, far := net.Pipe()
	a := inTurn()
	a.conn, a.in, a.lease = near, newLineReader(near, lineLimit), newLease(2*time.Second)
	return a, &peer{Conn: far}
}

// deaf is an engine that returns after 5 s, whatever its context says.
type deaf struct{}

func (deaf) Run(context.Context, load.Job, func(stats.Window)) error {
	time.Sleep(5 * time.Second)
	return nil
}

// An agent ends with its controller, its lease, its context, or by a word; it says a sign of life each eighth of the lease.
func TestServeEnds(t *testing.T) {
	for name, c := range map[string]struct {
		echo bool
		then func(p *peer, cancel context.CancelFunc) // after 3 s, or 1 s without an echo
		err  error
		text string
		took time.Duration
	}{
		"quit":      {true, func(p *peer, _ context.CancelFunc) { _ = send(p, message{Quit: &quit{}}) }, nil, "", 3 * time.Second},
		"gone":      {true, func(p *peer, _ context.CancelFunc) { p.Close() }, ErrGone, "", 3 * time.Second},
		"cancelled": {true, func(_ *peer, cancel context.CancelFunc) { cancel() }, context.Canceled, "", 3 * time.Second},
		"no order":  {true, func(p *peer, _ context.CancelFunc) { _ = send(p, message{Hello: &hello{}}) }, nil, "a line out of place", 3 * time.Second},
		"silence":   {false, func(*peer, context.CancelFunc) {}, ErrLease, "", 2 * time.Second},
		"an engine that goes on": {true, func(p *peer, _ context.CancelFunc) {
			_ = send(p, message{Prepare: &prepare{Run: 3, Engine: "deaf", Contract: "numbers", Workload: json.RawMessage(`{}`)}})
			_ = send(p, message{Start: &start{Run: 3, At: time.Now().UnixNano()}})
			time.Sleep(time.Second)
			_ = send(p, message{Quit: &quit{}})
		}, nil, "the engine did not return; it has no permit to send", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, p := onPipe()
				a.options.Engines = map[string]load.Engine{"deaf": deaf{}}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go p.hear(c.echo)
				go func() {
					if time.Sleep(time.Second); c.echo {
						time.Sleep(2 * time.Second)
					}
					c.then(p, cancel)
				}()
				began := time.Now()
				err := a.serve(ctx)
				took := time.Since(began)
				if c.err != nil && !errors.Is(err, c.err) || c.err == nil && (err != nil) != (c.text != "") || err != nil && !strings.Contains(err.Error(), c.text) {
					t.Errorf("%v", err)
				}
				if took < c.took || took > c.took+300*time.Millisecond {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if a.lease.valid() {
					t.Error("it may still send")
				}
				p.mu.Lock()
				if len(p.beats) < 8 || p.beats[1] != 250*time.Millisecond || p.beats[4] != time.Second {
					t.Errorf("signs of life after %v", p.beats)
				}
				p.mu.Unlock()
				p.Close()
				time.Sleep(time.Minute) // whatever goes on has ended
			})
		})
	}
}

// A controller that is silent is given up after 5 s, and one that says something else at once; a welcome sets epoch, lease and clock.
func TestGreet(t *testing.T) {
	for name, c := range map[string]struct {
		answer message // nothing: silence
		text   string
		took   time.Duration
	}{
		"silence":            {message{}, "no welcome: ", 5 * time.Second},
		"a refusal":          {message{Refusal: &refusal{Reason: "the run is over"}}, "refused by the controller: the run is over", 0},
		"another line":       {message{Quit: &quit{}}, "no welcome: a line out of place", 0},
		"a lease of no time": {message{Welcome: &welcome{Epoch: 7}}, "no welcome: a line out of place", 0},
		"welcome":            {message{Welcome: &welcome{Epoch: 7, Lease: 3 * time.Second, Clock: 5}}, "", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, p := onPipe()
			a.clock = clock{}
			a.options.Token, a.options.Index, a.options.Epoch, a.options.Version, a.options.PlanDigest = "t", 2, 7, "v", "d"
			said := make(chan message, 1)
			go func() {
				m, _ := newLineReader(p, lineLimit).read()
				said <- m
				if !reflect.DeepEqual(c.answer, message{}) {
					_ = send(p, c.answer)
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), greetWithin)
			defer cancel()
			began := time.Now()
			err := a.greet(ctx)
			if (err != nil) != (c.text != "") || err != nil && !strings.HasPrefix(err.Error(), c.text) || time.Since(began) != c.took {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
			if m := <-said; m.Hello == nil || m.Hello.Token != "t" || m.Hello.Index != 2 || m.Hello.Epoch != 7 || m.Hello.Version != "v" || m.Hello.PlanDigest != "d" || m.Hello.Priority == "" {
				t.Errorf("%s: said %+v", name, m.Hello)
			}
			if err == nil && (a.epoch != 7 || a.lease.span != 3*time.Second || a.clock.count != 1) {
				t.Errorf("%s: epoch %d, lease %v, %d round trips", name, a.epoch, a.lease.span, a.clock.count)
			}
			if err == nil { // the deadline is over, and nothing ends
				time.Sleep(time.Minute)
				go func() { _ = send(p, message{Quit: &quit{}}) }()
				if m, err := a.in.read(); err != nil || m.Quit == nil {
					t.Errorf("%s: afterwards: %+v, %v", name, m, err)
				}
			}
			p.Close()
			a.conn.Close()
		})
	}
}

// An agent that is not welcome closes its connection.
func TestUnwelcomeAgentsLeave(t *testing.T) {
	t.Parallel()
	cert, print, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", serverTLS(cert))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	left := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			left <- err
			return
		}
		defer conn.Close()
		in := newLineReader(conn, lineLimit)
		_, _ = in.read()
		_ = send(conn, message{Quit: &quit{}})
		_ = conn.SetDeadline(time.Now().Add(4 * greetWithin))
		_, err = in.read()
		left <- err
	}()
	err = Agent(t.Context(), AgentOptions{Controller: listener.Addr().String(), Fingerprint: print, Index: 4})
	if err == nil || !strings.HasPrefix(err.Error(), "fleet: agent 4: no welcome") {
		t.Errorf("%v", err)
	}
	if err := <-left; !errors.Is(err, io.EOF) {
		t.Errorf("the controller sees %v", err)
	}
}

// The certificate is for a month from an hour ago, and no ticket takes the place of a handshake.
func TestCertificate(t *testing.T) {
	cert, print, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if valid := leaf.NotAfter.Sub(leaf.NotBefore); valid != 721*time.Hour {
		t.Errorf("valid for %v", valid)
	}
	if old := time.Since(leaf.NotBefore); old < time.Hour || old > time.Hour+time.Minute {
		t.Errorf("valid since %v ago", old)
	}
	if print != fingerprint(leaf.Raw) || leaf.SerialNumber.Int64() != 1 || len(cert.Certificate) != 1 {
		t.Errorf("fingerprint %s, serial %v", print, leaf.SerialNumber)
	}
	if c := serverTLS(cert); !c.SessionTicketsDisabled || c.MinVersion != tls.VersionTLS13 {
		t.Errorf("%+v", c)
	}
}

// proc is a process that notes how it is stopped.
type proc struct {
	platform.Process
	name   string
	done   chan struct{}
	err    error
	exit   platform.Exit
	stops  []time.Duration // graces
	within time.Duration   // that the last stop might take
}

func (p *proc) Name() string          { return p.name }
func (p *proc) Done() <-chan struct{} { return p.done }
func (p *proc) Exit() platform.Exit   { return p.exit }
func (p *proc) Stop(ctx context.Context, grace time.Duration) error {
	at, _ := ctx.Deadline()
	p.stops, p.within = append(p.stops, grace), time.Until(at)
	return p.err
}

// launching is a launcher of one process.
type launching struct {
	process platform.Process
	err     error
	specs   []platform.Spec
	during  func()
}

func (l *launching) Start(_ context.Context, s platform.Spec) (platform.Process, error) {
	l.specs = append(l.specs, s)
	if l.during != nil {
		l.during()
	}
	return l.process, l.err
}

// An agent has 30 s to connect, unless it is refused, ends, or nobody waits for it any more.
func TestAwait(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(f *Fleet, s *slot, p *proc, cancel context.CancelFunc)
		text    string
		took    time.Duration
	}{
		"it never connects": {func(*Fleet, *slot, *proc, context.CancelFunc) {}, "did not connect within 30s", 30 * time.Second},
		"it connects":       {func(_ *Fleet, s *slot, _ *proc, _ context.CancelFunc) { close(s.joined) }, "", time.Second},
		"it is refused":     {func(_ *Fleet, s *slot, _ *proc, _ context.CancelFunc) { s.refused <- "no" }, "refused: no", time.Second},
		"it ends":           {func(_ *Fleet, _ *slot, p *proc, _ context.CancelFunc) { close(p.done) }, "its process ended with status 3 before it connected; see " + filepath.Join("logs", "agent-1-2.log"), time.Second},
		"the fleet ends":    {func(f *Fleet, _ *slot, _ *proc, _ context.CancelFunc) { f.cancel() }, "fleet: closed", time.Second},
		"nobody waits":      {func(_ *Fleet, _ *slot, _ *proc, cancel context.CancelFunc) { cancel() }, "context canceled", time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &proc{done: make(chan struct{}), exit: platform.Exit{Code: 3}}
			f := &Fleet{options: Options{LogDir: "logs"}}
			f.ctx, f.cancel = context.WithCancel(t.Context())
			s := &slot{index: 1, epoch: 2, process: p, joined: make(chan struct{}), refused: make(chan string, 1)}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			time.AfterFunc(time.Second, func() { c.arrange(f, s, p, cancel) })
			began := time.Now()
			err := f.await(ctx, s)
			if (err != nil) != (c.text != "") || err != nil && err.Error() != c.text || time.Since(began) != c.took {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
		})
	}
	p := &proc{done: make(chan struct{})}
	close(p.done)
	refused := make(chan string, 1)
	refused <- "no"
	f := &Fleet{ctx: t.Context()}
	if err := f.await(t.Context(), &slot{process: p, joined: make(chan struct{}), refused: refused}); err == nil || err.Error() != "refused: no" {
		t.Errorf("refused, and ended for that: %v", err)
	}
}

// A launch opens the next epoch; one that fails, or comes too late, leaves nothing running.
func TestLaunch(t *testing.T) {
	p := &proc{name: "agent"}
	l := &launching{process: p}
	f := &Fleet{options: Options{Launcher: l, LogDir: "logs", Self: []string{"self", "sub"}, Env: []string{"A=1"}, PlanDigest: "d"}, token: "t", dial: "host:1", fingerprint: "f"}
	s := &slot{index: 1, epoch: 1, session: &session{}}
	f.slots = []*slot{{index: 0}, s}
	if err := f.launch(t.Context(), s); err != nil || s.epoch != 2 || s.process != p || s.session != nil || s.lost == nil || s.lost.Why != "not connected yet" || s.lost.Agent != 1 || s.lost.Epoch != 2 || cap(s.refused) != 1 {
		t.Errorf("%v: %+v", err, s)
	}
	want := platform.Spec{
		Name: "agent-1-2", Argv: []string{"self", "sub", "agent"}, Dir: "logs", Log: filepath.Join("logs", "agent-1-2.log"),
		Env: []string{"A=1", envToken + "=t", envController + "=host:1", envFingerprint + "=f", envIndex + "=1", envEpoch + "=2", envPlanDigest + "=d"},
	}
	if !reflect.DeepEqual(l.specs[0], want) {
		t.Errorf("%+v\nwant %+v", l.specs[0], want)
	}
	if got := agentName(3, 1); got != "agent-3" {
		t.Errorf("%s", got)
	}
	if got := f.Lost(); len(got) != 1 || got[0].Agent != 1 {
		t.Errorf("lost %+v", got)
	}
	l.during = func() { f.closing = true }
	if err := f.launch(t.Context(), s); !errors.Is(err, ErrClosed) || len(p.stops) != 1 || p.stops[0] != 0 {
		t.Errorf("closed while it starts: %v, stopped %v", err, p.stops)
	}
	if err := f.launch(t.Context(), s); !errors.Is(err, ErrClosed) || len(l.specs) != 2 {
		t.Errorf("closed before: %v, %d starts", err, len(l.specs))
	}
	f.closing, l.during, l.err = false, nil, errFake
	if err := f.launchAll(t.Context(), []*slot{s}); !errors.Is(err, errFake) || err.Error() != "agent 1: start: fake" {
		t.Errorf("%v", err)
	}
}

// Only lost agents are replaced, their processes are killed before, and one that cannot be is an error.
func TestHealing(t *testing.T) {
	well, lost, stuck := &proc{}, &proc{}, &proc{name: "agent-2", err: errFake}
	l := &launching{err: errFake}
	f := &Fleet{options: Options{Launcher: l}, slots: []*slot{
		{index: 0, process: well}, {index: 1, lost: &Lost{}, process: lost}, {index: 2, lost: &Lost{}},
	}}
	if err := f.Heal(t.Context()); err == nil || err.Error() != "fleet: agent 1: start: fake" || len(well.stops) > 0 || !slices.Equal(lost.stops, []time.Duration{0}) {
		t.Errorf("%v, stopped %v and %v", err, well.stops, lost.stops)
	}
	f.slots[2].process = stuck
	if err := f.Heal(t.Context()); err == nil || err.Error() != "fleet: agent-2: kill: fake" || len(l.specs) != 1 {
		t.Errorf("%v, %d starts", err, len(l.specs))
	}
	if stuck.within <= 0 || stuck.within > healWithin {
		t.Errorf("it may take %v to end", stuck.within)
	}
	f.slots = f.slots[:1]
	if err := f.Heal(t.Context()); err != nil {
		t.Errorf("nobody is lost: %v", err)
	}
}

// Those that do not leave within 2 s are killed, all of them at once, within 30 s; who is gone by then is no error.
func TestProcessesAreEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		one, two := &proc{name: "one", done: never, err: os.ErrProcessDone}, &proc{name: "two", done: never}
		f := &Fleet{slots: []*slot{{process: one}, {process: two, session: &session{priority: "at niceness 5"}}, {session: &session{}}}}
		began := time.Now()
		if err := f.endProcesses(); err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		for _, p := range []*proc{one, two} {
			if !slices.Equal(p.stops, []time.Duration{0}) || p.within != 30*time.Second {
				t.Errorf("%s: stopped %v within %v", p.name, p.stops, p.within)
			}
		}
		if got := f.Notes(); !slices.Equal(got, []string{"two runs at niceness 5"}) {
			t.Errorf("%q", got)
		}
	})
}

// What a fleet is without further words, and that it needs an agent and a place to listen.
func TestListen(t *testing.T) {
	f, err := listen(Options{Platform: &within{}, Count: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer f.listener.Close()
	host, _, _ := net.SplitHostPort(f.listener.Addr().String())
	if host != "127.0.0.1" || f.dial != f.listener.Addr().String() || f.options.Silence != 2*time.Second || f.options.Launcher != f.options.Platform ||
		f.inbox.limit != 192 || f.strangers.limit != 259 || len(f.slots) != 3 || f.slots[2].index != 2 || len(f.token) != 64 {
		t.Errorf("%+v", f)
	}
	if _, err := listen(Options{Platform: &within{}}); err == nil || err.Error() != "0 agents: at least one is needed" {
		t.Errorf("%v", err)
	}
	if _, err := listen(Options{Count: 1, Platform: &within{}, Address: f.dial}); err == nil {
		t.Error("an address that is taken")
	}
	other, err := listen(Options{Count: 1, Platform: &within{}, Launcher: &launching{}, Silence: time.Minute, Advertise: func(at string) string { return "x" + at }})
	if err != nil {
		t.Fatal(err)
	}
	defer other.listener.Close()
	if other.dial != "x"+other.listener.Addr().String() || other.options.Silence != time.Minute || other.options.Launcher == other.options.Platform {
		t.Errorf("%+v", other)
	}
}

// Lines have limits, to the byte.
func TestLimitsOfLines(t *testing.T) {
	if helloLimit != 4096 || lineLimit != 4194304 || StartWithin != 20*time.Millisecond {
		t.Errorf("%d, %d, %v", helloLimit, lineLimit, StartWithin)
	}
	around := len(`{"refusal":{"reason":""}}`) + 1
	for more, ok := range map[int]bool{0: true, 1: false} {
		line, err := encode(message{Refusal: &refusal{Reason: strings.Repeat("x", lineLimit-around+more)}})
		if (err == nil) != ok || ok && len(line) != lineLimit || !ok && !errors.Is(err, errTooLong) {
			t.Errorf("%d more: %d bytes, %v", more, len(line), err)
		}
	}
	bad := message{Prepare: &prepare{Workload: json.RawMessage("{")}}
	if _, err := encode(bad); err == nil || !strings.HasPrefix(err.Error(), "encode message: ") {
		t.Errorf("%v", err)
	}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if err := send(near, bad); err == nil {
		t.Error("sent what cannot be encoded")
	}
	if _, err := newLineReader(strings.NewReader("x"), 100).read(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a torn byte: %v", err)
	}
}

// A body is the file of that digest, or an error.
func TestBodiesInFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	const sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	for want, f := range map[string]File{"abc": {path, sum}, "": {}} {
		if got, err := f.read(); err != nil || string(got) != want {
			t.Errorf("%q, %v", got, err)
		}
	}
	for want, f := range map[string]File{"has changed": {path, sum[1:] + "0"}, "no such file": {path + "x", sum}} {
		if got, err := f.read(); err == nil || got != nil || !strings.HasPrefix(err.Error(), "body: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// The times of a phase: a minute to get ready, a quarter of a second before the start, five seconds behind the last answer.
func TestTimesOfAPhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := manual(t, 2)
		p.report.Start = time.Time{}
		p.task.Phase = load.Phase{Name: "open", Duration: 7 * time.Second, Timeout: 3 * time.Second}
		began := time.Now()
		p.prepare(t.Context())
		if lost := p.report.Lost; time.Since(began) != time.Minute || len(lost) != 2 || lost[0].Why != "it was not ready within 1m0s" {
			t.Errorf("after %v: lost %+v", time.Since(began), lost)
		}
		for i, m := range p.order {
			if told := m.told(); len(told) < 1 || told[0].Prepare == nil || told[0].Prepare.Share != (load.Share{Index: i, Of: 2}) {
				t.Errorf("agent %d was told %+v", i, told)
			}
		}
		p = manual(t, 2)
		p.task.Phase = load.Phase{Name: "open", Duration: 7 * time.Second, Timeout: 3 * time.Second}
		p.start()
		at := time.Now().Add(250 * time.Millisecond)
		if !p.report.Start.Equal(at) || !p.deadline.Equal(at.Add(15*time.Second)) || p.overdue != "it did not finish" {
			t.Errorf("start %v, deadline %v: %s", p.report.Start.Sub(at), p.deadline.Sub(at), p.overdue)
		}
		if told := p.order[1].told(); len(told) != 1 || *told[0].Start != (start{Run: 3, At: at.UnixNano()}) {
			t.Errorf("%+v", told)
		}
		p = manual(t, 1)
		p.task.Body = make([]byte, lineLimit)
		if p.prepare(t.Context()); p.err == nil || len(p.order[0].told()) > 0 {
			t.Errorf("a body beyond a line: %v", p.err)
		}
	})
}

// A new phase begins with what is there: no event of an earlier one, and every agent that is not lost.
func TestNewPhase(t *testing.T) {
	f := manual(t, 3).fleet
	f.slots[1].lost = &Lost{Agent: 1, Why: "gone"}
	f.inbox.put(event{f.slots[0].session, message{Window: &window{Run: 1}}}, false)
	p, err := f.newPhase(Task{Phase: load.Phase{Duration: 9 * time.Second}}, nil)
	if err != nil || p.number != 1 || len(p.order) != 2 || p.order[1].report.Agent != 2 || len(p.report.Lost) != 1 || p.report.Lost[0].Why != "gone" {
		t.Errorf("%v: %+v", err, p)
	}
	if m := p.order[0]; m.report.First != -1 || m.report.Due != -1 || m.report.Totals.Sending != 9*time.Second || m.report.Epoch != 1 {
		t.Errorf("%+v", m.report)
	}
	if left := f.inbox.take(); len(left) > 0 {
		t.Errorf("an earlier phase has left %+v", left)
	}
	if p, _ = f.newPhase(Task{}, nil); p.number != 2 {
		t.Errorf("phase number %d", p.number)
	}
	f.closing = true
	if _, err := f.newPhase(Task{}, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	if _, err := f.Turns(t.Context(), []Task{{}}, nil); !errors.Is(err, ErrClosed) || !f.busy.TryLock() {
		t.Errorf("turns of a closed fleet: %v", err)
	}
}

// knocks is a listener that fails for a moment.
type knocks struct {
	net.Listener
	errs []error
}

func (k *knocks) Accept() (net.Conn, error) {
	err := k.errs[0]
	k.errs = k.errs[1:]
	return nil, err
}

// Connections are taken again 10 ms after none could be, until the listener is closed; a stranger who says nothing has 5 s.
func TestStrangersInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Fleet{ctx: t.Context(), listener: &knocks{errs: []error{errFake, errFake, net.ErrClosed}}}
		began := time.Now()
		if f.accept(); time.Since(began) != 20*time.Millisecond {
			t.Errorf("accepting ends after %v", time.Since(began))
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		f = &Fleet{ctx: ended, listener: &knocks{errs: []error{errFake}}}
		f.accept()

		f = &Fleet{ctx: t.Context(), tls: serverTLS(tls.Certificate{}), strangers: strangers{limit: 2}}
		near, far := net.Pipe()
		f.strangers.add(near)
		began = time.Now()
		go f.greet(near)
		if _, err := far.Read(make([]byte, 1)); err == nil || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		synctest.Wait()
		if len(f.strangers.open) > 0 {
			t.Error("it is still a stranger")
		}
		far.Close()
	})
}

// What bounds a session: an agent that takes nothing is lost after its silence, and windows beyond the inbox's limit are too many.
func TestBoundsOfASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := manual(t, 1).order[0].session
		go s.write()
		began := time.Now()
		s.send(message{Quit: &quit{}}) // nobody reads
		<-s.ended
		if why := s.lost().Why; why != notTaking || time.Since(began) != 2*time.Second {
			t.Errorf("%q after %v", why, time.Since(began))
		}

		s = manual(t, 1).order[0].session
		time.Sleep(time.Second)
		if s.touch(); !s.lost().LastSign.Equal(time.Now()) {
			t.Errorf("the last sign of life was %v ago", time.Since(s.lost().LastSign))
		}
		s.fleet.slots[0].process = overProcess{done: make(chan struct{})}
		began = time.Now()
		if got := s.reason(io.EOF, "late"); got != "it closed its connection" || time.Since(began) != 100*time.Millisecond {
			t.Errorf("%q after %v", got, time.Since(began))
		}
		for range 16 {
			s.fleet.inbox.put(event{}, true)
		}
		if got := s.handle(booked(3, 1, 1)); got != "the controller could not take in its windows fast enough" {
			t.Errorf("%q", got)
		}
		for _, m := range []message{{Ready: &ready{}}, {Stuck: &stuck{}}, {Sliced: &sliced{}}, {Done: &done{}}} {
			if got := s.handle(m); got != "" {
				t.Errorf("%+v: %q", m, got)
			}
		}
		if got := s.handle(message{Beat: &beat{Number: 5}}); got != "" {
			t.Errorf("%q", got)
		}
		if echo := <-s.out; echo.Beat == nil || *echo.Beat != (beat{Number: 5, Clock: time.Now().UnixNano()}) {
			t.Errorf("%+v", echo.Beat)
		}
		p := &proc{done: make(chan struct{})}
		s.fleet.slots[0].process, s.fleet.ctx = p, t.Context()
		s.fleet.markLost(s)
		if n := len(s.fleet.inbox.take()); n != 16+4+1 {
			t.Errorf("%d events", n)
		}
		if !slices.Equal(p.stops, []time.Duration{0}) || p.within != 5*time.Second || s.fleet.slots[0].lost == nil {
			t.Errorf("stopped %v within %v", p.stops, p.within)
		}
		s.fleet.closing = true
		if s.fleet.markLost(s); len(p.stops) != 1 {
			t.Error("Close stops it, nobody else")
		}
	})
}
