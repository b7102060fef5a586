package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"bakeoff/internal/platform"
)

const (
	// helloWithin is how long a started agent may take to connect.
	helloWithin = 30 * time.Second
	// greetWithin bounds handshake and hello of one connection.
	greetWithin = 5 * time.Second
	// strangersLimit bounds connections that have not proven themselves, beyond one per agent; see strangers.
	strangersLimit = 256
	// quitWithin is how long agents may take to leave by themselves.
	quitWithin = 2 * time.Second
	// killWithin is how long it may take to kill the others: in a cluster each pod takes seconds.
	killWithin = 30 * time.Second
)

// Environment variables of an agent; see FromEnvironment.
const (
	envToken       = "BAKEOFF_AGENT_TOKEN"
	envController  = "BAKEOFF_CONTROLLER"
	envIndex       = "BAKEOFF_AGENT_INDEX"
	envEpoch       = "BAKEOFF_AGENT_EPOCH"
	envFingerprint = "BAKEOFF_CONTROLLER_FINGERPRINT"
	envPlanDigest  = "BAKEOFF_PLAN_DIGEST"
)

// ErrClosed is returned by a fleet after Close.
var ErrClosed = errors.New("fleet: closed")

// Options describe a fleet.
type Options struct {
	Platform   platform.Platform
	Launcher   Launcher      // starts the agents' processes; nil: Platform does
	Self       []string      // the command of this program; "agent" is appended
	Count      int           // of agents, at least 1
	LogDir     string        // receives agent-<index>.log and is the agents' working folder
	Version    string        // of this program
	PlanDigest string        // of the run's plan
	Env        []string      // environment of the agents as KEY=VALUE, in addition to what the fleet adds
	Silence    time.Duration // an agent silent for so long is lost; 0 means 2 s
	// Address is where the controller listens, with port 0 for any; empty means the platform's own
	// host. Advertise, when not nil, returns the address that agents dial for the one listened at.
	Address   string
	Advertise func(listening string) string
}

// A Launcher starts processes. A platform.Platform is one; another one may start them on other machines.
type Launcher interface {
	Start(ctx context.Context, spec platform.Spec) (platform.Process, error)
}

// Fleet is a number of connected agents. Its methods may be called from
// several goroutines, but only one Run or Heal is under way at a time.
type Fleet struct {
	options     Options
	token       string
	fingerprint string
	tls         *tls.Config
	listener    net.Listener
	dial        string
	inbox       inbox
	busy        sync.Mutex // held by Run and Heal
	runs        int64      // guarded by busy
	strangers   strangers
	ctx         context.Context // ends with Close
	cancel      context.CancelFunc
	work        sync.WaitGroup // accept loop and connections

	mu      sync.Mutex
	slots   []*slot
	closing bool
}

// slot is the place of one agent; another process may come to fill it.
type slot struct {
	index   int
	epoch   int64
	process platform.Process
	session *session
	joined  chan struct{} // closed when the agent of this epoch was welcomed
	refused chan string   // why it was not
	lost    *Lost
}

// Lost is an agent that is not there any more.
type Lost struct {
	Agent    int
	Epoch    int64
	Why      string
	LastSign time.Time // when its last line arrived
}

// Start listens, starts the agents, and returns when all have connected. When
// it fails nothing is left running.
func Start(ctx context.Context, options Options) (*Fleet, error) {
	f, err := listen(options)
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	f.work.Go(f.accept)
	if err := f.launchAll(ctx, f.slots); err != nil {
		return nil, errors.Join(fmt.Errorf("fleet: %w", err), f.Close())
	}
	return f, nil
}

// listen makes a fleet without agents.
func listen(options Options) (*Fleet, error) {
	if options.Count < 1 {
		return nil, fmt.Errorf("%d agents: at least one is needed", options.Count)
	}
	if options.Silence == 0 {
		options.Silence = 2 * time.Second
	}
	if options.Launcher == nil {
		options.Launcher = options.Platform
	}
	if options.Address == "" {
		options.Address = net.JoinHostPort(options.Platform.Host(), "0")
	}
	cert, print, err := newCertificate()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", options.Address)
	if err != nil {
		return nil, err
	}
	f := &Fleet{
		options: options, token: newToken(), fingerprint: print, tls: serverTLS(cert),
		listener: listener, dial: listener.Addr().String(), inbox: newInbox(64 * options.Count),
		strangers: strangers{limit: strangersLimit + options.Count},
	}
	if options.Advertise != nil {
		f.dial = options.Advertise(f.dial)
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	for i := range options.Count {
		f.slots = append(f.slots, &slot{index: i})
	}
	return f, nil
}

// launchAll starts a fresh agent for each slot and waits for all of them.
func (f *Fleet) launchAll(ctx context.Context, slots []*slot) error {
	for _, s := range slots {
		if err := f.launch(ctx, s); err != nil {
			return fmt.Errorf("agent %d: %w", s.index, err)
		}
	}
	for _, s := range slots {
		if err := f.await(ctx, s); err != nil {
			return fmt.Errorf("agent %d: %w", s.index, err)
		}
	}
	return nil
}

// launch opens the slot's next epoch and starts a process for it.
func (f *Fleet) launch(ctx context.Context, s *slot) error {
	f.mu.Lock()
	if f.closing {
		f.mu.Unlock()
		return ErrClosed
	}
	s.epoch++
	s.joined, s.refused = make(chan struct{}), make(chan string, 1)
	s.session, s.lost = nil, &Lost{Agent: s.index, Epoch: s.epoch, Why: "not connected yet", LastSign: time.Now()}
	spec := f.spec(s.index, s.epoch)
	f.mu.Unlock()

	process, err := f.options.Launcher.Start(ctx, spec)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	f.mu.Lock()
	s.process = process
	closing := f.closing
	f.mu.Unlock()
	if closing {
		return errors.Join(ErrClosed, process.Stop(ctx, 0))
	}
	return nil
}

// spec is the process of an agent.
func (f *Fleet) spec(index int, epoch int64) platform.Spec {
	env := append([]string{}, f.options.Env...)
	env = append(env,
		envToken+"="+f.token,
		envController+"="+f.dial,
		envFingerprint+"="+f.fingerprint,
		envIndex+"="+strconv.Itoa(index),
		envEpoch+"="+strconv.FormatInt(epoch, 10),
		envPlanDigest+"="+f.options.PlanDigest,
	)
	return platform.Spec{
		Name: agentName(index, epoch),
		Argv: append(append([]string{}, f.options.Self...), "agent"),
		Env:  env,
		Dir:  f.options.LogDir,
		Log:  f.logPath(index, epoch),
	}
}

// logPath is where an agent's output goes.
func (f *Fleet) logPath(index int, epoch int64) string {
	return filepath.Join(f.options.LogDir, agentName(index, epoch)+".log")
}

// agentName is agent-<index>, and agent-<index>-<epoch> for those that came later.
func agentName(index int, epoch int64) string {
	if epoch == 1 {
		return fmt.Sprintf("agent-%d", index)
	}
	return fmt.Sprintf("agent-%d-%d", index, epoch)
}

// await waits until the slot's agent was welcomed.
func (f *Fleet) await(ctx context.Context, s *slot) error {
	ctx, cancel := context.WithTimeoutCause(ctx, helloWithin, fmt.Errorf("did not connect within %s", helloWithin))
	defer cancel()
	f.mu.Lock()
	joined, refused, process := s.joined, s.refused, s.process
	f.mu.Unlock()
	select {
	case <-joined:
		return nil
	case reason := <-refused:
		return fmt.Errorf("refused: %s", reason)
	case <-process.Done():
		select {
		case reason := <-refused:
			return fmt.Errorf("refused: %s", reason)
		default:
			return fmt.Errorf("%s before it connected; see %s", ending(process), f.logPath(s.index, s.epoch))
		}
	case <-f.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ending says how a process ended, for people.
func ending(p platform.Process) string {
	exit := p.Exit()
	text := fmt.Sprintf("its process ended with status %d", exit.Code)
	if exit.Signal != "" {
		text = "its process was ended by " + exit.Signal
	}
	if exit.Why != "" {
		text += ": " + exit.Why
	}
	return text
}

// healWithin is how long lost agents may take to end, so that they can be replaced. A pod whose node is lost never does.
const healWithin = 5 * time.Minute

// Heal replaces every lost agent by a fresh process of a new epoch and
// returns when all are connected. The old processes are killed; should one
// come back all the same, it is refused.
func (f *Fleet) Heal(ctx context.Context) error {
	f.busy.Lock()
	defer f.busy.Unlock()
	var missing []*slot
	var old []platform.Process
	f.mu.Lock()
	for _, s := range f.slots {
		if s.lost == nil {
			continue
		}
		missing = append(missing, s)
		if s.process != nil {
			old = append(old, s.process)
		}
	}
	f.mu.Unlock()
	inTime, cancel := context.WithTimeout(ctx, healWithin)
	defer cancel()
	switch err := killAll(inTime, old); {
	case err != nil && inTime.Err() != nil && ctx.Err() == nil:
		return fmt.Errorf("fleet: agents that are lost do not end within %v: %w", healWithin, err)
	case err != nil:
		return fmt.Errorf("fleet: %w", err)
	}
	if err := f.launchAll(ctx, missing); err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	return nil
}

// Lost are the agents that are not there at this moment, in order.
func (f *Fleet) Lost() []Lost {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lost []Lost
	for _, s := range f.slots {
		if s.lost != nil {
			lost = append(lost, *s.lost)
		}
	}
	return lost
}

// closed reports whether Close was called.
func (f *Fleet) closed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closing
}

// Processes are the agents' processes, in order; a lost one stays there until it is replaced.
func (f *Fleet) Processes() []platform.Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	var processes []platform.Process
	for _, s := range f.slots {
		if s.process != nil {
			processes = append(processes, s.process)
		}
	}
	return processes
}

// Close ends all agents, by request and after 2 s by force, and waits for
// them. A Run under way returns ErrClosed. Calling it again is no error.
func (f *Fleet) Close() error {
	f.mu.Lock()
	f.closing = true
	for _, s := range f.slots {
		if s.session != nil {
			s.session.send(message{Quit: &quit{}})
		}
	}
	f.mu.Unlock()
	err := f.endProcesses()
	f.cancel()
	_ = f.listener.Close() // nothing was promised to those who still wait
	f.work.Wait()
	return err
}

// endProcesses waits for the processes to leave and kills those that do not.
func (f *Fleet) endProcesses() error {
	leave := time.NewTimer(quitWithin)
	defer leave.Stop()
	processes := f.Processes()
	for _, p := range processes {
		select {
		case <-p.Done():
			continue
		case <-leave.C:
		}
		break
	}
	ctx, cancel := context.WithTimeout(context.Background(), killWithin)
	defer cancel()
	if err := killAll(ctx, processes); err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	return nil
}

// killAll kills processes at once: in a cluster it takes seconds until one is gone.
func killAll(ctx context.Context, processes []platform.Process) error {
	errs := make([]error, len(processes))
	var all sync.WaitGroup
	for i, p := range processes {
		all.Go(func() {
			if err := p.Stop(ctx, 0); err != nil && !errors.Is(err, os.ErrProcessDone) {
				errs[i] = fmt.Errorf("%s: kill: %w", p.Name(), err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// Notes say how soon its machine lets each agent run, as the agent itself has found; for the record.
func (f *Fleet) Notes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, s := range f.slots {
		if s.process != nil && s.session != nil {
			out = append(out, s.process.Name()+" runs "+s.session.priority)
		}
	}
	return out
}
