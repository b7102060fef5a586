package fleet

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bakeoff/internal/stats"
)

// startWithin starts a fleet whose agents are goroutines playing the given part.
func startWithin(t *testing.T, options Options, part func(context.Context, AgentOptions) error) (*Fleet, error) {
	t.Helper()
	options.Platform = &within{run: func(ctx context.Context, env func(string) string) error {
		o, err := FromEnvironment(env)
		if err != nil {
			return err
		}
		o.Version, o.Engines, o.Workloads = "test", engines(), workloads(nil)
		return part(ctx, o)
	}}
	if options.Version == "" {
		options.Version = "test"
	}
	options.LogDir = t.TempDir()
	f, err := Start(t.Context(), options)
	if err == nil {
		t.Cleanup(func() { _ = f.Close() })
	}
	return f, err
}

func TestRefusedAgents(t *testing.T) {
	t.Parallel()
	healthy, err := startWithin(t, Options{Count: 2, PlanDigest: "sha256:1"}, Agent)
	if err != nil {
		t.Fatal(err)
	}
	if err := healthy.slotsProcess(1).Stop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "the loss", func() bool { return len(healthy.Lost()) == 1 })
	if err := healthy.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	fit := AgentOptions{
		Controller: healthy.dial, Token: healthy.token, Fingerprint: healthy.fingerprint,
		Index: 1, Epoch: 2, PlanDigest: "sha256:1", Version: "test",
	}
	cases := map[string]struct {
		change func(*AgentOptions)
		want   string
	}{
		"no token":        {func(o *AgentOptions) { o.Token = "" }, "wrong token"},
		"wrong token":     {func(o *AgentOptions) { o.Token = newToken() }, "wrong token"},
		"returned zombie": {func(o *AgentOptions) { o.Epoch = 1 }, "agent 1 of epoch 1 was replaced by epoch 2"},
		"future epoch":    {func(o *AgentOptions) { o.Epoch = 3 }, "agent 1 has epoch 2, not 3"},
		"second of a kind": {
			func(*AgentOptions) {}, "agent 1 of epoch 2 has connected before",
		},
		"beyond the plan": {func(o *AgentOptions) { o.Index = 2 }, "there is no agent 2 among 2"},
		"negative place":  {func(o *AgentOptions) { o.Index = -1 }, "there is no agent -1 among 2"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := fit
			c.change(&o)
			err := Agent(t.Context(), o)
			if !errors.Is(err, ErrRefused) || !strings.HasSuffix(err.Error(), ": "+c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
	server := newWitness(t)
	r := await(t, run(t, healthy, constantTask(server.URL, 100, 300*time.Millisecond)))
	if r.err != nil || r.books.OK != 30 {
		t.Errorf("a phase after the refusals: error %v, books %+v", r.err, r.books)
	}
}

// slotsProcess is the process at one place.
func (f *Fleet) slotsProcess(index int) *routine { return f.Processes()[index].(*routine) }

func TestForeignAgentEndsTheStart(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*AgentOptions)
		want   string
	}{
		"another version": {func(o *AgentOptions) { o.Version = "0.9" }, `agent 0: refused: the agent has version "0.9", the controller "test"`},
		"another plan":    {func(o *AgentOptions) { o.PlanDigest = "sha256:2" }, `agent 0: refused: the agent has plan "sha256:2", the controller "sha256:1"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := startWithin(t, Options{Count: 2, PlanDigest: "sha256:1"}, func(ctx context.Context, o AgentOptions) error {
				if o.Index == 0 {
					c.change(&o)
				}
				return Agent(ctx, o)
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

func TestAgentTalksToItsOwnControllerOnly(t *testing.T) {
	t.Parallel()
	f, err := startWithin(t, Options{Count: 1}, Agent)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	err = Agent(t.Context(), AgentOptions{Controller: f.dial, Token: f.token, Fingerprint: other})
	if !errors.Is(err, errFingerprint) {
		t.Errorf("error %v", err)
	}
}

// rogue is an agent that says what the test wants.
type rogue struct {
	conn net.Conn
	in   *lineReader
}

// enrol connects as a well-behaved agent would.
func enrol(ctx context.Context, o AgentOptions) (*rogue, error) {
	dialer := tls.Dialer{Config: clientTLS(o.Fingerprint)}
	conn, err := dialer.DialContext(ctx, "tcp", o.Controller)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	r := &rogue{conn: conn, in: newLineReader(conn, lineLimit)}
	if err := r.say(message{Hello: &hello{Token: o.Token, Index: o.Index, Epoch: o.Epoch, Version: o.Version, PlanDigest: o.PlanDigest}}); err != nil {
		return nil, err
	}
	_, err = r.in.read()
	return r, err
}

func (r *rogue) say(messages ...message) error {
	for _, m := range messages {
		if err := send(r.conn, m); err != nil {
			return err
		}
	}
	return nil
}

// obey goes along until the start is given and returns the phase's number.
func (r *rogue) obey() (int64, error) {
	for {
		m, err := r.in.read()
		switch {
		case err != nil:
			return 0, err
		case m.Prepare != nil:
			if err := r.say(message{Ready: &ready{Run: m.Prepare.Run}}); err != nil {
				return 0, err
			}
		case m.Start != nil:
			return m.Start.Run, nil
		}
	}
}

// linger reads until the connection ends.
func (r *rogue) linger() error {
	for {
		if _, err := r.in.read(); err != nil {
			return nil
		}
	}
}

// booked is a window of one answered request.
func booked(run, epoch, sequence int64) message {
	one := stats.Books{Planned: 1, Sent: 1, OK: 1}
	return message{Window: &window{Run: run, Epoch: epoch, Sequence: sequence, Window: stats.Window{Books: one}}}
}

// finished is a done with totals of n such windows.
func finished(run, n int64) message {
	return message{Done: &done{Run: run, Windows: n, Books: stats.Books{Planned: n, Sent: n, OK: n}}}
}

func TestWhatAnAgentMaySay(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		says    func(run int64) []message
		windows int64
		lost    string // empty: it is not
	}{
		{"in order", func(r int64) []message { return []message{booked(r, 1, 1), booked(r, 1, 2), finished(r, 2)} }, 2, ""},
		{"a window twice", func(r int64) []message { return []message{booked(r, 1, 1), booked(r, 1, 1), finished(r, 1)} }, 1, ""},
		{"an old window again", func(r int64) []message {
			return []message{booked(r, 1, 1), booked(r, 1, 2), booked(r, 1, 1), finished(r, 2)}
		}, 2, ""},
		{"a window of another epoch", func(r int64) []message { return []message{booked(r, 1, 1), booked(r, 7, 2), finished(r, 1)} }, 1, ""},
		{"a long window", func(r int64) []message {
			long := booked(r, 1, 1)
			long.Window.Window.Outcomes = map[string]int64{strings.Repeat("x", 1<<20): 1}
			return []message{long, finished(r, 1)}
		}, 1, ""},
		{"a hole", func(r int64) []message { return []message{booked(r, 1, 1), booked(r, 1, 3)} }, 1, "window 3 came after window 1: its books have a hole"},
		{"out of order", func(r int64) []message { return []message{booked(r, 1, 2), booked(r, 1, 1)} }, 0, "window 2 came after window 0"},
		{"a window of a later phase", func(r int64) []message { return []message{booked(r+1, 1, 1)} }, 0, "it sent a window out of turn"},
		{"a window of an earlier phase", func(r int64) []message { return []message{booked(r-1, 1, 1)} }, 0, "it sent a window out of turn"},
		{"more than its windows", func(r int64) []message { return []message{booked(r, 1, 1), finished(r, 2)} }, 1, "its totals (2 windows"},
		{"less than its windows", func(r int64) []message { return []message{booked(r, 1, 1), finished(r, 0)} }, 1, "its totals (0 windows"},
		{"ready twice", func(r int64) []message { return []message{{Ready: &ready{Run: r}}} }, 0, "it said ready out of turn"},
		{"done with a later phase", func(r int64) []message { return []message{finished(r+1, 0)} }, 0, "it said done out of turn"},
		{"an order", func(int64) []message { return []message{{Quit: &quit{}}} }, 0, "it sent a line out of place"},
		{"nothing", func(int64) []message { return []message{{}} }, 0, "it sent a line out of place"},
		{"silence", func(int64) []message { return nil }, 0, "silent for 500ms"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, err := startWithin(t, Options{Count: 1, Silence: 500 * time.Millisecond}, func(ctx context.Context, o AgentOptions) error {
				r, err := enrol(ctx, o)
				if err != nil {
					return err
				}
				phase, err := r.obey()
				if err != nil {
					return err
				}
				if err := r.say(c.says(phase)...); err != nil {
					return err
				}
				return r.linger()
			})
			if err != nil {
				t.Fatal(err)
			}
			r := await(t, run(t, f, constantTask("http://127.0.0.1:1", 1, time.Minute)))
			if r.err != nil {
				t.Fatal(r.err)
			}
			if r.books.Planned != c.windows || r.report.Agents[0].Totals.Windows != c.windows {
				t.Errorf("%d windows were taken, want %d", r.books.Planned, c.windows)
			}
			switch lost := r.report.Lost; {
			case c.lost == "" && len(lost) > 0:
				t.Errorf("lost %+v", lost)
			case c.lost != "" && (len(lost) != 1 || !strings.Contains(lost[0].Why, c.lost)):
				t.Errorf("lost %+v, want %q", lost, c.lost)
			}
		})
	}
}

func TestAgentThatDoesNotStopIsReplaced(t *testing.T) {
	t.Parallel()
	f, err := startWithin(t, Options{Count: 1}, func(ctx context.Context, o AgentOptions) error {
		if o.Epoch > 1 {
			return Agent(ctx, o)
		}
		r, err := enrol(ctx, o)
		if err != nil {
			return err
		}
		if _, err := r.obey(); err != nil {
			return err
		}
		for n := int64(1); ctx.Err() == nil; n++ { // it lives, but never says done
			_ = r.say(message{Beat: &beat{Number: n}})
			time.Sleep(20 * time.Millisecond)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	old := f.slots[0].session
	server := newWitness(t)
	ctx, cancel := context.WithTimeout(t.Context(), ahead+200*time.Millisecond)
	defer cancel()
	report, err := f.Run(ctx, constantTask(server.URL, 100, time.Minute), func(Snapshot) {})
	if !errors.Is(err, context.DeadlineExceeded) || len(report.Lost) != 1 || report.Lost[0].Why != "it did not stop in time" {
		t.Fatalf("error %v, lost %+v", err, report.Lost)
	}
	if err := f.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f.mark(old) != nil || len(f.Lost()) > 0 {
		t.Errorf("the end of an agent that was replaced is taken for its successor's: %+v", f.Lost())
	}
	r := await(t, run(t, f, constantTask(server.URL, 100, 500*time.Millisecond)))
	if r.err != nil || len(r.report.Lost) > 0 || r.books.OK != 50 || r.report.Agents[0].Epoch != 2 {
		t.Errorf("after healing: error %v, report %+v", r.err, r.report)
	}
}

func TestUnreadableLines(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ line, want string }{
		"no JSON":  {"hello?\n", "line is not a message"},
		"too long": {strings.Repeat("x", lineLimit) + "\n", "line too long"},
		"torn":     {`{"beat":`, "it closed its connection"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := startWithin(t, Options{Count: 1}, func(ctx context.Context, o AgentOptions) error {
				r, err := enrol(ctx, o)
				if err != nil {
					return err
				}
				_, _ = r.conn.Write([]byte(c.line))
				_ = r.conn.(*tls.Conn).CloseWrite()
				<-ctx.Done()
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, 5*time.Second, "the loss", func() bool { return len(f.Lost()) == 1 })
			if why := f.Lost()[0].Why; !strings.Contains(why, c.want) {
				t.Errorf("lost because %q, want %q", why, c.want)
			}
		})
	}
}

func TestStrangersAreTurnedAway(t *testing.T) {
	t.Parallel()
	f, err := startWithin(t, Options{Count: 1}, Agent)
	if err != nil {
		t.Fatal(err)
	}
	plain := map[string][]byte{
		"HTTP":           []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"a plain hello":  []byte(`{"hello":{"token":"x"}}` + "\n"),
		"an endless one": bytes.Repeat([]byte("x"), 1<<20),
	}
	for name, bytes := range plain {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", f.dial)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(3 * greetWithin))
			_, _ = conn.Write(bytes)
			if err := drained(conn); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("a long hello inside TLS", func(t *testing.T) {
		conn, err := tls.Dial("tcp", f.dial, clientTLS(f.fingerprint))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(3 * greetWithin))
		_, _ = conn.Write(bytes.Repeat([]byte("x"), 2*helloLimit))
		if err := drained(conn); err != nil {
			t.Error(err)
		}
	})
	if lost := f.Lost(); len(lost) > 0 {
		t.Errorf("lost %+v", lost)
	}
}

// drained waits for the other side to close; an error says that it did not.
func drained(conn net.Conn) error {
	buffer := make([]byte, 1024)
	for {
		_, err := conn.Read(buffer)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return errors.New("the connection stays open")
		}
		if err != nil {
			return nil
		}
	}
}

func TestStrangersDoNotLockOutAgents(t *testing.T) {
	t.Parallel()
	f, err := startWithin(t, Options{Count: 1}, Agent)
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		conn, err := net.Dial("tcp", f.dial)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if err := f.slotsProcess(0).Stop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "the loss", func() bool { return len(f.Lost()) == 1 })
	if err := f.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := newWitness(t)
	r := await(t, run(t, f, constantTask(server.URL, 100, 300*time.Millisecond)))
	if r.err != nil || r.books.OK != 30 {
		t.Errorf("error %v, books %+v", r.err, r.books)
	}
}

func TestWorkloadIsMadeOnceForPhases(t *testing.T) {
	t.Parallel()
	var built atomic.Int64
	f, err := startWithin(t, Options{Count: 1}, func(ctx context.Context, o AgentOptions) error {
		o.Workloads = workloads(func() { built.Add(1) })
		return Agent(ctx, o)
	})
	if err != nil {
		t.Fatal(err)
	}
	server := newWitness(t)
	for i, c := range []struct {
		workload string
		want     int64
	}{{`{"prefix":"a"}`, 1}, {`{"prefix":"a"}`, 1}, {`{"prefix":"b"}`, 2}, {`{"prefix":"a"}`, 3}} {
		task := constantTask(server.URL, 10, 100*time.Millisecond)
		task.Workload = json.RawMessage(c.workload)
		if r := await(t, run(t, f, task)); r.err != nil {
			t.Fatal(r.err)
		}
		if built.Load() != c.want {
			t.Errorf("phase %d: made %d workloads, want %d", i, built.Load(), c.want)
		}
	}
}

func TestFromEnvironment(t *testing.T) {
	t.Parallel()
	full := []string{envController + "=127.0.0.1:1", envToken + "=t", envFingerprint + "=f", envIndex + "=3", envEpoch + "=2", envPlanDigest + "=d"}
	o, err := FromEnvironment(lookup(full))
	if err != nil || o.Controller != "127.0.0.1:1" || o.Token != "t" || o.Fingerprint != "f" || o.Index != 3 || o.Epoch != 2 || o.PlanDigest != "d" {
		t.Errorf("options %+v, error %v", o, err)
	}
	for _, missing := range []int{0, 1, 2, 3, 4} {
		env := append([]string{}, full...)
		name, _, _ := strings.Cut(env[missing], "=")
		env[missing] = name + "="
		if _, err := FromEnvironment(lookup(env)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: error %v", name, err)
		}
	}
}
