package fleet

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"bakeoff/internal/load"
)

// Errors of an agent.
var (
	// ErrRefused: the controller has turned the agent away; the reason follows it.
	ErrRefused = errors.New("refused by the controller")
	// ErrLease: the controller has not confirmed a sign of life for too long.
	ErrLease = errors.New("the controller has been silent for too long")
	// ErrGone: the controller has closed the connection without saying quit.
	ErrGone = errors.New("the controller is gone")
)

// engineWithin is how long an engine may take to return after its context has ended.
const engineWithin = time.Second

// AgentOptions describe one agent. FromEnvironment fills those that the
// controller decides.
type AgentOptions struct {
	Controller  string // address to dial
	Token       string
	Fingerprint string // of the controller's certificate
	Index       int
	Epoch       int64
	PlanDigest  string
	Version     string // of this program
	Engines     map[string]load.Engine
	Workloads   map[string]func(json.RawMessage) (load.Workload, error) // by contract
}

// FromEnvironment reads what the controller gave to its agent; getenv is
// os.Getenv or similar. Version, Engines and Workloads are left to the caller.
func FromEnvironment(getenv func(string) string) (AgentOptions, error) {
	o := AgentOptions{
		Controller: getenv(envController), Token: getenv(envToken),
		Fingerprint: getenv(envFingerprint), PlanDigest: getenv(envPlanDigest),
	}
	for name, value := range map[string]string{envController: o.Controller, envToken: o.Token, envFingerprint: o.Fingerprint} {
		if value == "" {
			return AgentOptions{}, fmt.Errorf("fleet: %s is not set: agents are started by bakeoff itself", name)
		}
	}
	var err error
	if o.Index, err = strconv.Atoi(getenv(envIndex)); err != nil {
		return AgentOptions{}, fmt.Errorf("fleet: %s: %w", envIndex, err)
	}
	if o.Epoch, err = strconv.ParseInt(getenv(envEpoch), 10, 64); err != nil {
		return AgentOptions{}, fmt.Errorf("fleet: %s: %w", envEpoch, err)
	}
	return o, nil
}

// agent is one connected agent.
type agent struct {
	options  AgentOptions
	conn     net.Conn
	in       *lineReader
	out      chan message
	epoch    int64
	lease    *lease
	clock    clock
	orders   chan order // to the goroutine that prepares and runs
	sequence int64      // of the last window; that goroutine only

	// sending is the phase that may send requests; phases count from 1.
	sending atomic.Int64

	mu     sync.Mutex
	turn   *turn              // whose slice is under way; nil: none
	halt   context.CancelFunc // ends the phase numbered run
	run    int64
	called int64 // phases up to this number were called off
}

// order is one line for the goroutine that prepares and runs.
type order struct {
	prepare *prepare
	start   *start
	slice   *slice
	finish  *finish
}

// Agent connects to the controller, does what it says, and returns nil when
// it says quit. In every other case (ErrRefused, ErrLease, ErrGone, ctx's
// error) it has stopped sending before it returns. It never reconnects.
func Agent(ctx context.Context, options AgentOptions) error {
	a, err := join(ctx, options)
	if err != nil {
		return fmt.Errorf("fleet: agent %d: %w", options.Index, err)
	}
	if err := a.serve(ctx); err != nil {
		return fmt.Errorf("fleet: agent %d: %w", options.Index, err)
	}
	return nil
}

// join dials, proves who is who, and waits for the welcome.
func join(ctx context.Context, options AgentOptions) (*agent, error) {
	ctx, cancel := context.WithTimeout(ctx, greetWithin)
	defer cancel()
	dialer := tls.Dialer{Config: clientTLS(options.Fingerprint)}
	conn, err := dialer.DialContext(ctx, "tcp", options.Controller)
	if err != nil {
		return nil, err
	}
	a := &agent{
		options: options, conn: conn, in: newLineReader(conn, lineLimit),
		out: make(chan message, 64), orders: make(chan order, 8),
	}
	if err := a.greet(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return a, nil
}

// greet sends hello and takes the answer.
func (a *agent) greet(ctx context.Context) error {
	deadline, _ := ctx.Deadline()
	_ = a.conn.SetDeadline(deadline)
	o := a.options
	asked := time.Now()
	if err := send(a.conn, message{Hello: &hello{
		Token: o.Token, Index: o.Index, Epoch: o.Epoch, Version: o.Version, PlanDigest: o.PlanDigest,
		Priority: Priority(os.Getpid()),
	}}); err != nil {
		return err
	}
	m, err := a.in.read()
	switch {
	case err != nil:
		return fmt.Errorf("no welcome: %w", err)
	case m.Refusal != nil:
		return fmt.Errorf("%w: %s", ErrRefused, m.Refusal.Reason)
	case m.Welcome == nil || m.Welcome.Lease <= 0:
		return errors.New("no welcome: a line out of place")
	}
	a.epoch, a.lease = m.Welcome.Epoch, newLease(m.Welcome.Lease)
	a.clock.learn(asked, time.Now(), m.Welcome.Clock)
	return a.conn.SetDeadline(time.Time{})
}

// serve runs the agent's goroutines until the controller, the lease or ctx ends it.
func (a *agent) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer context.AfterFunc(ctx, func() {
		a.lease.end()
		_ = closeRaw(a.conn)
	})()
	var lines sync.WaitGroup
	lines.Go(func() { cancel(a.write(ctx)) })
	beats := newBeats()
	lines.Go(func() { cancel(a.beat(ctx, beats)) })
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		a.work(ctx)
	}()
	cancel(a.read(ctx, beats))
	a.lease.end()
	lines.Wait()
	err := context.Cause(ctx)
	if errors.Is(err, errQuit) {
		err = nil
	}
	select {
	case <-worked:
	case <-time.After(engineWithin):
		err = errors.Join(err, errors.New("the engine did not return; it has no permit to send"))
	}
	return err
}

// errQuit is the controller's quit.
var errQuit = errors.New("quit")

// read handles the controller's lines until one fails or says quit; it never returns nil.
func (a *agent) read(ctx context.Context, beats *beats) error {
	for {
		m, err := a.in.read()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return ErrGone
		case err != nil:
			return fmt.Errorf("%w: %w", ErrGone, err)
		}
		if err := a.handle(m, beats); err != nil {
			return err
		}
	}
}

// handle takes one line of the controller.
func (a *agent) handle(m message, beats *beats) error {
	switch {
	case m.Beat != nil:
		if sent, ok := beats.confirm(m.Beat.Number); ok {
			a.lease.renew(sent.Sub(a.lease.base))
			a.clock.learn(sent, time.Now(), m.Beat.Clock)
		}
	case m.Prepare != nil, m.Start != nil, m.Slice != nil, m.Finish != nil:
		select {
		case a.orders <- order{m.Prepare, m.Start, m.Slice, m.Finish}:
		default:
			return errors.New("too many orders at once")
		}
	case m.Extend != nil:
		a.extend(m.Extend)
	case m.Stop != nil:
		a.callOff(m.Stop.Run)
	case m.Quit != nil:
		return errQuit
	default:
		return errors.New("the controller sent a line out of place")
	}
	return nil
}

// callOff ends a phase, whether it runs, waits or still prepares.
func (a *agent) callOff(run int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.called = max(a.called, run)
	if a.halt != nil && a.run <= run {
		a.sending.Store(0)
		a.halt()
	}
}

// write sends queued lines until ctx ends.
func (a *agent) write(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case m := <-a.out:
			_ = a.conn.SetWriteDeadline(time.Now().Add(a.lease.span))
			if err := send(a.conn, m); err != nil {
				return fmt.Errorf("%w: %w", ErrGone, err)
			}
		}
	}
}

// post queues a line; it waits when the connection is slow.
func (a *agent) post(ctx context.Context, m message) {
	select {
	case <-ctx.Done():
	case a.out <- m:
	}
}

// beat sends signs of life and ends the agent when its lease has run out.
func (a *agent) beat(ctx context.Context, beats *beats) error {
	ticker := time.NewTicker(a.lease.span / 8)
	defer ticker.Stop()
	for {
		if !a.lease.valid() {
			return ErrLease
		}
		a.post(ctx, message{Beat: &beat{Number: beats.next()}})
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// beats remembers when those not confirmed yet were sent.
type beats struct {
	mu   sync.Mutex
	last int64
	sent map[int64]time.Time
}

func newBeats() *beats { return &beats{sent: map[int64]time.Time{}} }

// next is the number of a beat sent now.
func (b *beats) next() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	b.sent[b.last] = time.Now()
	return b.last
}

// confirm returns when the beat was sent and forgets it and all before it.
func (b *beats) confirm(number int64) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sent, ok := b.sent[number]
	for n := range b.sent {
		if n <= number {
			delete(b.sent, n)
		}
	}
	return sent, ok
}
