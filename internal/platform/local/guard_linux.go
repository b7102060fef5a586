package local

import (
	"encoding/gob"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"os/user"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bakeoff/internal/platform"
)

// guardSocket is the descriptor on which the guard finds its controller.
const guardSocket = 3

// guard is the parent of every process of one run.
type guard struct {
	hello   hello
	conn    *os.File
	replies chan reply
	starts  chan func() // run on the one thread that forks; guests on the other one, which can gain no rights
	guests  chan func()
	turns   chan request // freezes and thaws, in the order in which the controller sent them
	lock    *machineLock
	null    *os.File
	deputy  *os.File // a pipe that ends with this process
	aide    int      // the process id of the deputy
	groups  groups

	mu      sync.Mutex // over forking, reaping and what follows
	state   state
	trees   map[int]*tree
	known   map[Identity]int // tree of every descendant seen alive
	last    int              // number of the latest tree
	closing bool
	orphans int           // children reaped that we had not started
	changed chan struct{} // closed and replaced whenever a child was reaped

	holds sync.Mutex // one freeze or thaw at a time; taken before mu and scans
	scans sync.Mutex // one pass over /proc at a time
	seen  map[int][]proc
	at    time.Time
	stale atomic.Bool // a child was started or reaped since
}

// tree is one started process with all it forked.
type tree struct {
	number   int
	first    Identity
	log      *logCopy
	guest    bool
	alone    bool          // no other guest was there in its time
	grouped  bool          // it has a control group
	uid      uint32        // of a guest with an account of its own; 0: it has none
	ended    bool          // the first process was reaped
	hold     hold          // while others have their turns; guarded by holds
	stopping bool          // it is to end, and is not frozen any more; guarded by holds
	reported chan struct{} // closed when the controller was informed
}

// Guard is the body of the guard role: it serves the controller at the other
// end of descriptor 3 until that ends, kills all its descendants and returns
// the exit status. It takes no notice of SIGINT, SIGTERM and SIGHUP.
func Guard() int {
	if isDeputy() {
		return deputy()
	}
	conn, err := guardConn()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bakeoff: error: guard is started by bakeoff itself:", err)
		return 2
	}
	ignored := make(chan os.Signal, 1) // Notify, not Ignore: a child would inherit that
	signal.Notify(ignored, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGQUIT)
	g := &guard{
		conn: conn, replies: make(chan reply, 1024), starts: make(chan func()), guests: make(chan func()), turns: make(chan request, 1024),
		trees: map[int]*tree{}, known: map[Identity]int{}, changed: make(chan struct{}),
	}
	written := make(chan struct{})
	go func() { defer close(written); g.write() }()
	err = g.serve(gob.NewDecoder(conn))
	close(g.replies)
	<-written
	conn.Close()
	if err != nil {
		return 1
	}
	return 0
}

func guardConn() (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(guardSocket, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, errors.New("no controller on descriptor 3")
	}
	// What the controller's own parent leaked must not reach the targets.
	if err := unix.CloseRange(guardSocket, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		for fd := guardSocket; fd < 1024; fd++ {
			unix.CloseOnExec(fd)
		}
	}
	if err := unix.SetNonblock(guardSocket, true); err != nil {
		return nil, err
	}
	return os.NewFile(guardSocket, "controller"), nil
}

// serve answers requests until the controller is gone or asks for the end.
func (g *guard) serve(from *gob.Decoder) error {
	var first request
	if err := from.Decode(&first); err != nil || first.Op != opHello || first.Hello == nil {
		return fmt.Errorf("local: guard: no hello: %w", err)
	}
	if err := g.setUp(*first.Hello); err != nil {
		answer := reply{ID: first.ID, Error: err.Error()}
		if busy, ok := errors.AsType[*BusyError](err); ok {
			answer.Busy = &busy.Holder
		}
		g.replies <- answer
		return err
	}
	stopReaping, reaped := make(chan struct{}), make(chan struct{})
	go func() { defer close(reaped); g.reap(stopReaping) }()
	go g.fork(g.starts, false)
	go g.fork(g.guests, true)
	go g.takeTurns()
	g.replies <- reply{ID: first.ID, First: g.state.Holder.Guard}

	last := g.dispatch(from)
	close(g.turns)
	err := g.end()
	close(stopReaping)
	<-reaped
	close(g.starts)
	close(g.guests)
	if last != 0 {
		answer := reply{ID: last}
		if err != nil {
			answer.Error = err.Error()
		}
		g.replies <- answer
	}
	return err
}

// setUp makes this process the keeper of all its descendants, and the run
// known to others.
func (g *guard) setUp(h hello) error {
	self, err := identify(os.Getpid())
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("local: guard: child subreaper: %w", err)
	}
	syscall.Umask(0o077)
	mark{token: h.Token}.set()
	if g.null, err = os.Open(os.DevNull); err != nil {
		return fmt.Errorf("local: guard: %w", err)
	}
	g.hello = h
	holder := Holder{Controller: h.Controller, Guard: self, Run: h.Label, Since: time.Now()}
	g.state = newState(holder)
	if err := g.state.save(h.StateDir, h.Token); err != nil {
		return err
	}
	g.lock, err = takeLock(h.Lock, holder, h.Share, func(o Holder) { g.tell(reply{Other: &o}) })
	if err != nil {
		removeState(h.StateDir, h.Token)
		return err
	}
	if err := g.deputize(); err != nil {
		g.lock.release()
		removeState(h.StateDir, h.Token)
		return fmt.Errorf("local: guard: deputy: %w", err)
	}
	if !h.NoGroups {
		g.groups = newGroups(h.Token)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.state.Groups = g.groups.dir
		g.save()
	}
	return nil
}

// dispatch handles requests, most in a goroutine of their own since a stop takes its
// time, and returns the id of the request to close, 0 when the controller died.
func (g *guard) dispatch(from *gob.Decoder) int {
	for {
		var r request
		if err := from.Decode(&r); err != nil {
			return 0
		}
		switch r.Op {
		case opClose:
			return r.ID
		case opStart: // in order, so that an exit is never reported before its start
			g.start(r)
		case opFreeze, opThaw: // in order, so that a freeze that was given up does not come after its thaw
			g.turns <- r
		default:
			go g.handle(r)
		}
	}
}

func (g *guard) handle(r request) {
	answer := reply{ID: r.ID, Tree: r.Tree}
	var err error
	switch r.Op {
	case opStop:
		answer.Left, err = g.stop(r.Tree, r.Grace)
	case opPIDs:
		answer.PIDs = pids(g.members(r.Tree, 100*time.Millisecond))
	case opLabel:
		g.relabel(r.Label)
	case opFreeze:
		g.freeze(r.Trees)
	case opThaw:
		err = g.thaw(r.Trees)
	case opAlive: // the answer is all
	default:
		err = fmt.Errorf("local: guard: unknown request %d", r.Op)
	}
	if err != nil {
		answer.Error = err.Error()
	}
	g.tell(answer)
}

// tell queues a reply, unless the end has come.
func (g *guard) tell(r reply) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return
	}
	g.replies <- r
}

// write sends the replies; once the controller is gone it only drains them.
func (g *guard) write() {
	to := gob.NewEncoder(g.conn)
	var err error
	for r := range g.replies {
		if err == nil {
			err = to.Encode(r)
		}
	}
}

func (g *guard) relabel(label string) {
	g.lock.describe(func(h *Holder) { h.Run = label })
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state.Run, g.state.Holder.Run = label, label
	g.save()
}

// save writes the state file; g.mu is held. Failing to is no reason to end a
// run: descendants are found by their marks, and the guard is alive.
func (g *guard) save() {
	if g.closing {
		return // the file is gone, or about to be
	}
	g.state.First = g.state.First[:0]
	for _, t := range g.trees {
		if !t.ended {
			g.state.First = append(g.state.First, t.first)
		}
	}
	_ = g.state.save(g.hello.StateDir, g.hello.Token)
}

// fork runs the starts on one thread that lives as long as the guard: a
// child's parent death signal is sent when the thread that forked it ends. What it starts for guests, and all they start,
// gains no rights by a program that belongs to somebody else.
func (g *guard) fork(starts <-chan func(), guests bool) {
	runtime.LockOSThread()
	if guests {
		_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) // since Linux 3.5; of this thread only
	}
	for start := range starts {
		start()
	}
}

func (g *guard) start(r request) {
	if r.Spec.Guest {
		g.members(0, 0) // whose the others are, while the guest cannot forge their marks
	}
	done, thread := make(chan struct{}), g.starts
	if r.Spec.Guest {
		thread = g.guests
	}
	thread <- func() {
		defer close(done)
		g.mu.Lock()
		defer g.mu.Unlock()
		answer := reply{ID: r.ID}
		t, err := g.spawn(*r.Spec)
		if err != nil {
			answer.Error = err.Error()
		} else {
			answer.Tree, answer.First, answer.Grouped = t.number, t.first, t.grouped
		}
		g.replies <- answer
	}
	<-done
}

// spawn starts one process in a session of its own; g.mu is held, so the
// reaper cannot overtake it.
func (g *guard) spawn(spec platform.Spec) (*tree, error) {
	owner, err := credential(spec.User)
	if err != nil {
		return nil, err
	}
	log, output, err := newLogCopy(spec.Log, spec.LogLimit, owner)
	if err != nil {
		return nil, err
	}
	m := mark{g.hello.Token, g.nextNumber()}
	m.set()
	env := slices.DeleteFunc(slices.Clone(spec.Env), func(entry string) bool {
		return strings.HasPrefix(entry, markVariable+"=")
	})
	attr := &syscall.ProcAttr{
		Dir:   spec.Dir,
		Env:   append(env, m.variable()),
		Files: []uintptr{g.null.Fd(), uintptr(output), uintptr(output)},
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Credential: owner},
	}
	pid, grouped, err := g.forkExec(spec, m.number, attr)
	mark{token: g.hello.Token}.set() // the guard's own again
	unix.Close(output)
	go log.run()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", spec.Argv[0], err)
	}
	first, err := identify(pid) // a zombie at worst: it is not reaped while g.mu is held
	if err != nil {
		syscall.Kill(pid, syscall.SIGKILL)
		return nil, err
	}
	t := &tree{number: m.number, first: first, log: log, guest: spec.Guest, grouped: grouped, reported: make(chan struct{})}
	if owner != nil {
		t.uid = owner.Uid
	}
	g.meet(t)
	g.trees[t.number] = t
	g.stale.Store(true)
	g.known[first] = t.number
	g.save()
	return t, nil
}

// meet notes which guests are there at the same time as a new one; g.mu is held.
func (g *guard) meet(t *tree) {
	t.alone = t.guest
	for _, o := range g.trees {
		if t.guest && o.guest {
			o.alone, t.alone = false, false
		}
	}
}

// forkExec starts the process, a guest in a control group of its own where it can have one.
func (g *guard) forkExec(spec platform.Spec, number int, attr *syscall.ProcAttr) (pid int, grouped bool, err error) {
	if spec.Guest {
		if fd := g.groups.open(number); fd >= 0 {
			defer unix.Close(fd)
			attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, fd
			if pid, err = syscall.ForkExec(spec.Argv[0], spec.Argv, attr); err == nil {
				return pid, true, nil
			}
			g.groups.drop(number)
			attr.Sys.UseCgroupFD = false // whatever it was: without the group it shows again, or was the group
		}
	}
	pid, err = syscall.ForkExec(spec.Argv[0], spec.Argv, attr)
	return pid, false, err
}

// nextNumber is the number of the next tree; g.mu is held.
func (g *guard) nextNumber() int {
	for {
		g.last = g.last%(1<<numberBits-1) + 1
		if g.trees[g.last] == nil {
			return g.last
		}
	}
}

// credential looks an account up, or takes its number; supplementary groups are dropped.
func credential(name string) (*syscall.Credential, error) {
	if name == "" {
		return nil, nil
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("starting as user %s needs root", name)
	}
	if number, err := strconv.ParseUint(name, 10, 32); err == nil {
		return &syscall.Credential{Uid: uint32(number), Gid: uint32(number)}, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// reap collects every child that ends, started or inherited.
func (g *guard) reap(stop <-chan struct{}) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	defer signal.Stop(died)
	for {
		g.collect()
		select {
		case <-died:
		case <-time.After(time.Second): // should a signal ever be missed
		case <-stop:
			return
		}
	}
}

// collect reaps what has ended; it reports whether no child is left at all,
// in which case there is no descendant either.
func (g *guard) collect() (none bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	found := false
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 {
			none = err == syscall.ECHILD
			break
		}
		found = true
		g.stale.Store(true)
		g.noteEnd(pid, status)
	}
	if found {
		close(g.changed)
		g.changed = make(chan struct{})
	}
	return none
}

// noteEnd notes the end of a child; g.mu is held.
func (g *guard) noteEnd(pid int, status syscall.WaitStatus) {
	for _, t := range g.trees {
		if t.first.PID == pid && !t.ended {
			t.ended = true
			go g.report(t, exitOf(status))
			return
		}
	}
	g.orphans++
}

// report informs the controller of the end of a first process when its log is complete.
func (g *guard) report(t *tree, exit platform.Exit) {
	t.log.drain()
	g.tell(reply{Tree: t.number, Exit: &exit})
	close(t.reported)
}

func exitOf(status syscall.WaitStatus) platform.Exit {
	exit := platform.Exit{Code: status.ExitStatus(), At: time.Now()}
	if status.Signaled() {
		exit.Code, exit.Signal = -1, unix.SignalName(status.Signal())
	}
	return exit
}

// end kills every descendant, waits until none is left, and gives back the
// machine. A process that cannot be killed holds it for ever.
func (g *guard) end() error {
	g.lock.describe(func(h *Holder) { h.Ending = true })
	for pause := time.Millisecond; !g.collect(); pause = min(2*pause, 50*time.Millisecond) {
		table, err := processes()
		if err != nil {
			return err
		}
		for _, p := range descendants(table, os.Getpid()) {
			_ = p.signal(unix.SIGKILL)
		}
		g.pause(pause)
	}
	g.mu.Lock()
	trees := slices.Collect(maps.Values(g.trees))
	g.mu.Unlock()
	for _, t := range trees { // all reaped: there is no child left
		<-t.reported
		t.log.finish()
	}
	g.mu.Lock()
	g.closing = true
	g.mu.Unlock()
	g.groups.remove()
	err := removeState(g.hello.StateDir, g.hello.Token)
	g.lock.release()
	return err
}

// pause waits, or less when a child has ended.
func (g *guard) pause(d time.Duration) {
	g.mu.Lock()
	changed := g.changed
	g.mu.Unlock()
	select {
	case <-changed:
	case <-time.After(d):
	}
}

// stop ends one tree and names what a guest left behind. A second stop without grace cuts the grace of a first
// one short by killing what that one waits for.
func (g *guard) stop(number int, grace time.Duration) (left []platform.Leftover, err error) {
	t := g.tree(number)
	if t == nil {
		return nil, nil
	}
	asked, frozen := g.letEnd(t, grace) // if it stays frozen, it is killed after the grace
	if asked {
		g.await(t, grace)
	}
	if grace > 0 {
		left = g.leftBehind(t)
	}
	if err := g.killTree(t); err != nil {
		return left, errors.Join(frozen, err)
	}
	<-t.reported
	t.log.finish()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.trees, number)
	g.save()
	if t.grouped {
		g.groups.drop(number)
	}
	return left, frozen
}

// await returns when the tree has gone by itself or the grace is over.
func (g *guard) await(t *tree, grace time.Duration) {
	over := time.NewTimer(grace)
	defer over.Stop()
	var rest <-chan time.Time
	for {
		g.mu.Lock()
		ended, changed := t.ended, g.changed
		g.mu.Unlock()
		again := time.Hour // while the first process lives there is nothing to look for
		if ended {
			if g.gone(t.number) {
				return
			}
			if t.guest && rest == nil {
				rest = time.After(guestRest)
			}
			again = 50 * time.Millisecond
		}
		select {
		case <-changed:
		case <-time.After(again):
		case <-over.C:
			return
		case <-rest:
			return
		}
	}
}

// guestRest is how long what a guest started may live on after its first process has ended as it was asked to.
const guestRest = 5 * time.Second

// killWait bounds the wait for killed processes to vanish; only one stuck in
// the kernel, or of another user, takes longer.
const killWait = 20 * time.Second

func (g *guard) killTree(t *tree) error {
	deadline := time.Now().Add(killWait)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if t.grouped {
			g.groups.kill(t.number)
		}
		left := g.members(t.number, 0)
		if t.guest && !t.grouped {
			left = append(slices.Clone(left), g.members(0, 0)...) // nobody else's
		}
		for _, p := range left {
			_ = p.signal(unix.SIGKILL)
		}
		if len(left) == 0 && g.gone(t.number) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d: %d processes of its tree do not end: %v", t.first.PID, len(left), pids(left))
		}
		g.pause(pause)
	}
}
