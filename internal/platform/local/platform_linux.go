package local

import (
	"bytes"
	"cmp"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bakeoff/internal/platform"
)

// Platform runs processes on this machine; it implements platform.Platform.
type Platform struct {
	token   token
	options Options
	guard   *exec.Cmd
	conn    *os.File
	ended   chan struct{} // closed when the guard is gone and nothing is left
	ports   ports
	late    sync.WaitGroup // stops of processes whose start was given up

	sending sync.Mutex
	out     *gob.Encoder

	mu        sync.Mutex
	last      int
	closed    bool
	waiting   map[int]chan reply
	processes map[int]*process
	others    []Holder
	leftover  error // what could not be ended after the guard was lost
}

var _ platform.Platform = (*Platform)(nil)

// Open ends what dead runs left, takes the machine (unless o.Share) and starts the
// guard. The error wraps ErrBusy when another run holds the machine. The
// context bounds the opening only.
func Open(ctx context.Context, o Options) (*Platform, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	swept, err := Sweep(ctx, o.StateDir)
	if err != nil {
		return nil, err
	}
	if len(swept.Runs) > 0 {
		o.Log.Warn("ended leftovers of dead runs", "runs", swept.Runs, "processes", swept.Processes)
	}
	if err := makeStateDir(o.StateDir); err != nil {
		return nil, err
	}
	// Should the guard die, its descendants become ours.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("local: child subreaper: %w", err)
	}
	p := &Platform{
		token: newToken(), options: o, ended: make(chan struct{}),
		waiting: map[int]chan reply{}, processes: map[int]*process{},
	}
	if err := p.startGuard(); err != nil {
		return nil, err
	}
	if err := p.greet(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Platform) startGuard() error {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("local: guard: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "guard")
	defer theirs.Close()
	_ = syscall.SetNonblock(fds[0], true)
	p.conn = os.NewFile(uintptr(fds[0]), "controller")
	p.out = gob.NewEncoder(p.conn)
	p.guard = exec.Command(p.options.Self[0], p.options.Self[1:]...)
	p.guard.Dir = "/"
	p.guard.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return !wantedByGuard(entry) })
	p.guard.Env = append(p.guard.Env, mark{token: p.token}.variable())
	p.guard.ExtraFiles = []*os.File{theirs} // becomes guardSocket
	p.guard.Stderr = logWriter{p.options.Log}
	p.guard.WaitDelay = time.Second
	p.guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a Ctrl-C is for the controller alone
	if err := p.guard.Start(); err != nil {
		p.conn.Close()
		return fmt.Errorf("local: guard: %w", err)
	}
	go p.listen()
	return nil
}

func wantedByGuard(entry string) bool {
	name, _, _ := strings.Cut(entry, "=")
	return slices.Contains([]string{"PATH", "HOME", "TMPDIR", "GOTRACEBACK", "GOCOVERDIR", "GORACE"}, name)
}

// logWriter passes on what the guard writes when it crashes.
type logWriter struct{ log *slog.Logger }

func (w logWriter) Write(data []byte) (int, error) {
	w.log.Error("guard", "stderr", string(bytes.TrimSpace(data)))
	return len(data), nil
}

func (p *Platform) greet(ctx context.Context) error {
	self, err := identify(os.Getpid())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := p.call(ctx, request{Op: opHello, Hello: &hello{
		Token: p.token, Controller: self, StateDir: p.options.StateDir,
		Lock: p.options.Lock, Share: p.options.Share, Label: p.options.Label, NoGroups: p.options.noGroups,
		ColdWithin: cmp.Or(p.options.coldWithin, coldWithin),
	}})
	switch {
	case r.Busy != nil:
		return &BusyError{Holder: *r.Busy}
	case err != nil:
		return fmt.Errorf("local: guard: %w", err)
	}
	return nil
}

// call sends a request and waits for its reply.
func (p *Platform) call(ctx context.Context, r request) (reply, error) {
	answer := make(chan reply, 1)
	p.mu.Lock()
	if p.closed && r.Op != opClose {
		p.mu.Unlock()
		return reply{}, platform.ErrClosed
	}
	p.last++
	r.ID = p.last
	p.waiting[r.ID] = answer
	p.mu.Unlock()

	p.sending.Lock()
	err := p.out.Encode(r)
	p.sending.Unlock()
	if err != nil { // the guard is gone; p.ended follows
		p.options.Log.Debug("guard does not listen", "error", err)
	}
	select {
	case a := <-answer:
		if a.Error != "" {
			return a, errors.New(a.Error)
		}
		return a, nil
	case <-p.ended:
		return reply{}, platform.ErrClosed
	case <-ctx.Done():
		p.mu.Lock()
		delete(p.waiting, r.ID)
		p.mu.Unlock()
		return reply{}, ctx.Err()
	}
}

// listen handles what the guard says until it is gone, ends what it left if it
// did not end itself, and wakes everyone who waits.
func (p *Platform) listen() {
	defer close(p.ended)
	from := gob.NewDecoder(p.conn)
	for {
		var r reply
		if err := from.Decode(&r); err != nil {
			break
		}
		p.hear(r)
	}
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.conn.Close()
	hangs := time.AfterFunc(2*time.Second, func() { p.guard.Process.Kill() })
	p.guard.Wait()
	hangs.Stop()
	err := p.endOrphans()

	p.mu.Lock()
	defer p.mu.Unlock()
	p.leftover = err
	for _, child := range p.processes {
		child.end(platform.Exit{Code: -1, Signal: "SIGKILL", At: time.Now()})
	}
}

func (p *Platform) hear(r reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case r.Exit != nil:
		if child := p.processes[r.Tree]; child != nil {
			child.end(*r.Exit)
		}
	case r.Other != nil:
		p.others = append(p.others, *r.Other)
	default:
		if r.First.PID != 0 && r.Tree != 0 {
			p.processes[r.Tree] = &process{platform: p, tree: r.Tree, first: r.First, grouped: r.Grouped, done: make(chan struct{})}
		}
		answer := p.waiting[r.ID]
		delete(p.waiting, r.ID)
		if answer != nil {
			answer <- r
		} else if child := p.processes[r.Tree]; child != nil && r.First.PID != 0 {
			p.late.Go(func() { child.Stop(context.Background(), 0) }) // nobody waits for it any more
		}
	}
}

// Start implements platform.Platform. A command without a slash is looked up in the
// PATH of spec.Env, or in ours when it has none; a relative one starts at
// spec.Dir. The environment gets one more variable, BAKEOFF_PROCESS, and a
// process is known by its limit on realtime CPU time (see mark). When the
// context ends before the guard answers, what it starts is killed.
func (p *Platform) Start(ctx context.Context, spec platform.Spec) (platform.Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("local: start %s: %w", spec.Name, err)
	}
	if err := resolve(&spec); err != nil {
		return nil, fmt.Errorf("local: start %s: %w", spec.Name, err)
	}
	r, err := p.call(ctx, request{Op: opStart, Spec: &spec})
	if err != nil {
		return nil, fmt.Errorf("local: start %s: %w", spec.Name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	child := p.processes[r.Tree]
	child.name = spec.Name
	return child, nil
}

// specName is what a Spec's name must look like.
const specName = `^[a-z0-9-]{1,63}$`

// resolve checks a spec and makes its paths absolute: the guard lives elsewhere.
func resolve(spec *platform.Spec) error {
	if ok, _ := regexp.MatchString(specName, spec.Name); !ok {
		return fmt.Errorf("name %q is not %s", spec.Name, specName)
	}
	if len(spec.Argv) == 0 || spec.Argv[0] == "" {
		return errors.New("no command")
	}
	if spec.User != "" && os.Geteuid() != 0 {
		return fmt.Errorf("as user %s: needs root", spec.User)
	}
	var err error
	if spec.Dir != "" {
		if spec.Dir, err = filepath.Abs(spec.Dir); err != nil {
			return err
		}
	}
	if spec.Log != "" {
		if spec.Log, err = filepath.Abs(spec.Log); err != nil {
			return err
		}
	}
	command, err := lookUp(spec.Argv[0], spec.Dir, spec.Env)
	spec.Argv = append([]string{command}, spec.Argv[1:]...)
	return err
}

func lookUp(command, dir string, env []string) (string, error) {
	if filepath.IsAbs(command) {
		return command, nil
	}
	if strings.Contains(command, "/") {
		return filepath.Abs(filepath.Join(dir, command))
	}
	for _, entry := range env {
		path, ok := strings.CutPrefix(entry, "PATH=")
		if !ok {
			continue
		}
		for _, folder := range filepath.SplitList(path) {
			full := filepath.Join(folder, command)
			if st, err := os.Stat(full); err == nil && !st.IsDir() && st.Mode()&0o111 != 0 && filepath.IsAbs(full) {
				return full, nil
			}
		}
		return command, fmt.Errorf("%s: not found in PATH %s", command, path)
	}
	return exec.LookPath(command)
}

// Host implements platform.Platform.
func (p *Platform) Host() string { return "127.0.0.1" }

// SetLabel names the run to others that find the machine taken.
func (p *Platform) SetLabel(ctx context.Context, label string) error {
	_, err := p.call(ctx, request{Op: opLabel, Label: label})
	return err
}

// Others are the runs that shared the machine with this one, as far as known;
// a record of the run must say so.
func (p *Platform) Others() []Holder {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.others)
}

// answerWithin is how long a living guard may take to answer: a frozen one does not.
const answerWithin = 2 * time.Second

// Lost says that the guard has ended, and with it everything that was started, before Close was called.
func (p *Platform) Lost() error {
	// That it died may not have been heard yet, though what died with it has been: it must answer.
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	if _, err := p.call(ctx, request{Op: opAlive}); !errors.Is(err, platform.ErrClosed) {
		return nil
	}
	<-p.ended
	return fmt.Errorf("local: the guard (process %d) ended during the run (%s), and with it everything that the run had started", p.GuardPID(), p.guard.ProcessState)
}

// GuardPID is the process id of the guard.
func (p *Platform) GuardPID() int { return p.guard.Process.Pid }

// closeWait is how long the guard may take to kill everything before the
// controller does it in its place.
const closeWait = 20 * time.Second

// Close implements platform.Platform. It may be called more than once.
func (p *Platform) Close() error {
	p.mu.Lock()
	again := p.closed
	p.closed = true
	p.mu.Unlock()
	var err error
	if !again {
		ctx, cancel := context.WithTimeout(context.Background(), closeWait)
		_, err = p.call(ctx, request{Op: opClose})
		cancel()
		if errors.Is(err, platform.ErrClosed) {
			err = nil // the guard was gone; leftover reports the rest
		}
		if err != nil {
			p.guard.Process.Kill()
		}
	}
	<-p.ended
	p.late.Wait()
	p.ports.release()
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(err, p.leftover)
}

// process implements platform.Process.
type process struct {
	platform *Platform
	tree     int
	name     string
	first    Identity
	grouped  bool
	once     sync.Once
	done     chan struct{}
	exit     platform.Exit

	mu   sync.Mutex
	left []platform.Leftover
}

// HeldBy implements platform.Guest.
func (c *process) HeldBy() string {
	if c.grouped {
		return platform.HeldByGroup
	}
	return platform.HeldByGuard
}

// Left implements platform.Guest.
func (c *process) Left() []platform.Leftover {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.left)
}

// keepLeft keeps what a stop found.
func (c *process) keepLeft(left []platform.Leftover) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = append(c.left, left...)
}

func (c *process) end(e platform.Exit) {
	c.once.Do(func() {
		c.exit = e
		close(c.done)
	})
}

func (c *process) Name() string          { return c.name }
func (c *process) PID() int              { return c.first.PID }
func (c *process) Done() <-chan struct{} { return c.done }

// Exit is the zero value until Done is closed.
func (c *process) Exit() platform.Exit {
	select {
	case <-c.done:
		return c.exit
	default:
		return platform.Exit{}
	}
}

// PIDs are those of at most 100 ms ago; none when the guard does not answer.
func (c *process) PIDs() []int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, _ := c.platform.call(ctx, request{Op: opPIDs, Tree: c.tree})
	return r.PIDs
}

// Stop implements platform.Process. When the context ends, what is left of
// the grace is dropped: the tree is killed at once, and waited for.
func (c *process) Stop(ctx context.Context, grace time.Duration) error {
	if ctx.Err() != nil {
		grace = 0
	}
	r, err := c.platform.call(ctx, request{Op: opStop, Tree: c.tree, Grace: grace})
	c.keepLeft(r.Left)
	if ctx.Err() != nil {
		_, err = c.platform.call(context.Background(), request{Op: opStop, Tree: c.tree})
	}
	if errors.Is(err, platform.ErrClosed) {
		<-c.platform.ended // all is killed
		c.platform.mu.Lock()
		defer c.platform.mu.Unlock()
		err = c.platform.leftover
	}
	if err != nil {
		return fmt.Errorf("local: stop %s: %w", c.name, err)
	}
	return nil
}
