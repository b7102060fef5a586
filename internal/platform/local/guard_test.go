//go:build linux

package local_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/platform"
	"bakeoff/internal/platform/local"
	"bakeoff/internal/platform/platformtest"
)

const limit = 20 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// start runs one of the programs in testdata on a free port and waits for it to listen.
func start(t *testing.T, p *local.Platform, program string, options ...string) (platform.Process, int) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal(err)
	}
	port, err := p.Port(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.Start(t.Context(), platform.Spec{
		Name: "subject", Dir: "testdata", Env: []string{"PASSWORD=canary"},
		Argv: append([]string{python, program, strconv.Itoa(port)}, options...),
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it listens", func() bool { return listening(port) })
	return c, port
}

func stateFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestGuardKilled(t *testing.T) {
	dir := t.TempDir()
	p := openWith(t, local.Options{StateDir: dir})
	a, port := start(t, p, "prefork.py", "3")
	b, other := start(t, p, "daemon.py")
	pids := append(a.PIDs(), b.PIDs()...)
	if len(pids) != 5 {
		t.Fatalf("processes are %v, not a master, 3 workers and a daemon", pids)
	}
	if err := syscall.Kill(p.GuardPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := a.Stop(t.Context(), time.Hour); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, pid := range pids {
		if state := platformtest.State(pid); state != "" {
			t.Errorf("process %d is left in state %s", pid, state)
		}
	}
	if listening(port) || listening(other) {
		t.Error("a port is still listened on")
	}
	<-a.Done()
	if e := a.Exit(); e.Signal != "SIGKILL" {
		t.Errorf("exit is %+v", e)
	}
	_, err := p.Start(t.Context(), platform.Spec{Name: "late", Argv: []string{"true"}})
	if !errors.Is(err, platform.ErrClosed) {
		t.Errorf("start without a guard: %v", err)
	}
	if files := stateFiles(t, dir); len(files) > 0 {
		t.Errorf("state left: %v", files)
	}
}

// TestGuardLost asks for the guard right after it was killed: that it is gone is known at once, however it is heard of.
func TestGuardLost(t *testing.T) {
	p := openWith(t, local.Options{StateDir: t.TempDir()})
	if err := p.Lost(); err != nil {
		t.Fatalf("the guard lives: %v", err)
	}
	if err := syscall.Kill(p.GuardPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := p.Lost(); err == nil || !strings.Contains(err.Error(), "ended during the run (signal: killed)") {
		t.Errorf("the guard was killed: %v", err)
	}
}

// deputies are the children of a guard that are guards themselves.
func deputies(t *testing.T, guard int) (found []int) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", guard, guard))
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", guard))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		more, _ := os.ReadFile(task) // a thread may have ended
		data = append(data, more...)
	}
	for _, field := range strings.Fields(string(data)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		if command, _ := os.ReadFile("/proc/" + field + "/cmdline"); strings.HasSuffix(string(command), "\x00guard\x00") && !slices.Contains(found, pid) {
			found = append(found, pid)
		}
	}
	return found
}

// TestDeputy kills controller and guard at once: nobody else need come for everything to end.
func TestDeputy(t *testing.T) {
	for _, s := range []subject{subjects[0], subjects[2]} {
		t.Run(s.name, func(t *testing.T) {
			v := launch(t, s)
			guard := v.guard()
			v.awaitListeners(3)
			// A child that the guard is about to start has its command line until it becomes another program.
			eventually(t, "there is one deputy", func() bool { return len(deputies(t, guard)) == 1 })
			begin := time.Now()
			if err := syscall.Kill(guard, syscall.SIGSTOP); err != nil { // so that it does not act during that time
				t.Fatal(err)
			}
			v.kill()
			if err := syscall.Kill(guard, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			v.clean(begin)
			eventually(t, "no state is left", func() bool { return len(stateFiles(t, v.state)) == 0 })
		})
	}
}

// TestDeputyAlone kills the guard of a living controller, which does its work itself, and a deputy, which nobody misses.
func TestDeputyAlone(t *testing.T) {
	p := open(t)
	var found []int
	eventually(t, "there is one deputy", func() bool { found = deputies(t, p.GuardPID()); return len(found) == 1 })
	if err := syscall.Kill(found[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c, _ := start(t, p, "daemon.py")
	if err := c.Stop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
}

func TestStateIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "state")
	p := openWith(t, local.Options{StateDir: dir})
	start(t, p, "daemon.py", "stay")
	st, err := os.Stat(dir)
	if err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", st.Mode(), err)
	}
	files := stateFiles(t, dir)
	if len(files) != 1 {
		t.Fatalf("state files: %v", files)
	}
	if st, err := os.Stat(files[0]); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("file: %v, %v", st.Mode(), err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil || strings.Contains(string(data), "canary") || !strings.Contains(string(data), `"first":[{`) {
		t.Errorf("state file: %s, %v", data, err)
	}
}

func TestGuardIgnoresSignals(t *testing.T) {
	p := open(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if err := syscall.Kill(p.GuardPID(), sig); err != nil {
			t.Fatal(err)
		}
	}
	start(t, p, "daemon.py", "stay")
	session, err := exec.Command("ps", "-o", "sid=", "-p", strconv.Itoa(p.GuardPID())).Output()
	if err != nil || strings.TrimSpace(string(session)) != strconv.Itoa(p.GuardPID()) {
		t.Errorf("the guard is in session %s, %v: Ctrl-C would reach it", session, err)
	}
}

// A started process must not inherit that the guard ignores signals.
func TestSignalsAreNotIgnored(t *testing.T) {
	p := open(t)
	log := filepath.Join(t.TempDir(), "log")
	c, err := p.Start(t.Context(), platform.Spec{Name: "status", Argv: []string{"/bin/cat", "/proc/self/status"}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"SigIgn", "SigBlk"} {
		_, rest, _ := strings.Cut(string(data), name+":\t")
		line, _, _ := strings.Cut(rest, "\n")
		set, err := strconv.ParseUint(line, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		if standard := set & (1<<31 - 1); standard != 0 { // those above are of the process that started these tests
			t.Errorf("%s holds %x of the standard signals:\n%s", name, standard, data)
		}
	}
}

func TestBusy(t *testing.T) {
	dir, lock := t.TempDir(), newLock()
	first := openWith(t, local.Options{StateDir: dir, Lock: lock, Label: "runs/first"})
	_, err := local.Open(t.Context(), withSelf(t, local.Options{StateDir: dir, Lock: lock}))
	var busy *local.BusyError
	if !errors.Is(err, local.ErrBusy) || !errors.As(err, &busy) {
		t.Fatalf("second run: %v", err)
	}
	if busy.Holder.Controller.PID != os.Getpid() || busy.Holder.Guard.PID != first.GuardPID() || busy.Holder.Run != "runs/first" {
		t.Errorf("holder is %+v", busy.Holder)
	}
	for _, part := range []string{"runs/first", strconv.Itoa(os.Getpid())} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %s", err, part)
		}
	}
	if err := first.SetLabel(t.Context(), "runs/renamed\x1b[31m"); err != nil {
		t.Fatal(err)
	}
	_, err = local.Open(t.Context(), withSelf(t, local.Options{StateDir: dir, Lock: lock}))
	if err == nil || !strings.Contains(err.Error(), "runs/renamed\ufffd[31m,") {
		t.Errorf("after the new label: %q", err)
	}
	if n := len(stateFiles(t, dir)); n != 1 {
		t.Errorf("%d state files, not one", n)
	}
	start(t, first, "daemon.py", "stay") // the refused ones did no harm
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	openWith(t, local.Options{StateDir: dir, Lock: lock}) // free as soon as Close returns
}

// TestAStrangerOnTheLock lets somebody sit on the lock's socket who accepts and says nothing: runs go
// on, and still one at a time, also when the stranger leaves.
func TestAStrangerOnTheLock(t *testing.T) {
	lock := newLock()
	silent, err := net.Listen("unix", "@"+lock)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	first := openWith(t, local.Options{Lock: lock, Label: "first"})
	busy := func(when string) {
		t.Helper()
		if _, err := local.Open(t.Context(), withSelf(t, local.Options{StateDir: t.TempDir(), Lock: lock})); !errors.Is(err, local.ErrBusy) || !strings.Contains(err.Error(), "first") {
			t.Errorf("a second run %s: %v", when, err)
		}
	}
	busy("beside a stranger")
	if err := silent.Close(); err != nil {
		t.Fatal(err)
	}
	busy("after the stranger has left")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	openWith(t, local.Options{Lock: lock})
}

func TestShare(t *testing.T) {
	lock := newLock()
	holder := openWith(t, local.Options{Lock: lock, Label: "holder"})
	guest := openWith(t, local.Options{Lock: lock, Label: "guest", Share: true})
	if others := guest.Others(); len(others) != 1 || others[0].Run != "holder" {
		t.Errorf("the guest sees %+v", others)
	}
	eventually(t, "the holder hears of the guest", func() bool { return len(holder.Others()) == 1 })
	if others := holder.Others(); others[0].Run != "guest" {
		t.Errorf("the holder sees %+v", others)
	}
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the guest holds the machine", func() bool {
		p, err := local.Open(t.Context(), withSelf(t, local.Options{StateDir: t.TempDir(), Lock: lock}))
		if err == nil {
			p.Close()
			return false
		}
		var busy *local.BusyError
		return errors.As(err, &busy) && busy.Holder.Run == "guest"
	})
}

// A run that starts while the guard of a dead controller is at work waits for it.
func TestOpenWaitsForTheDying(t *testing.T) {
	v := launch(t, subjects[0])
	guard := v.guard()
	v.awaitListeners(2)
	if err := syscall.Kill(guard, syscall.SIGSTOP); err != nil { // a slow guard
		t.Fatal(err)
	}
	v.kill()
	time.AfterFunc(500*time.Millisecond, func() { syscall.Kill(guard, syscall.SIGCONT) })
	p := openWith(t, local.Options{StateDir: t.TempDir(), Lock: v.lock}) // another folder: the lock alone must wait
	if platformtest.Alive(guard) && len(v.listeners()) > 0 {
		t.Error("the machine was taken before the other run's processes were dead")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	v.clean(time.Now())
}

// What hides from one way of distinguishing trees is found by another.
func TestAttribution(t *testing.T) {
	cases := []struct {
		name    string
		options []string
		found   int // processes of its tree
	}{
		{"without environment", nil, 1},
		{"without limit", []string{"LIMIT", "ENVIRONMENT"}, 1},
		{"without both, parent alive", []string{"LIMIT", "stay", "child"}, 2},
		{"without anything", []string{"LIMIT"}, 0}, // ended with the platform
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := open(t)
			first, port := start(t, p, "daemon.py", c.options...)
			other, otherPort := start(t, p, "prefork.py", "1")
			if n := len(first.PIDs()); n != c.found {
				t.Errorf("%d processes, not %d", n, c.found)
			}
			eventually(t, "the other tree has two processes", func() bool { return len(other.PIDs()) == 2 })
			if c.found > 0 {
				if err := first.Stop(t.Context(), 0); err != nil {
					t.Fatal(err)
				}
				if listening(port) {
					t.Error("the daemon survived the stop of its tree")
				}
			}
			if n := len(other.PIDs()); n != 2 || !listening(otherPort) {
				t.Errorf("%d processes of the other tree, not 2", n)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			if listening(port) || listening(otherPort) {
				t.Error("a server survived the close")
			}
		})
	}
}

func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root")
	}
	groups, err := syscall.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setgroups([]int{0, 4}); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setgroups(groups)
	p := open(t)
	log := filepath.Join(t.TempDir(), "log")
	c, err := p.Start(context.Background(), platform.Spec{
		Name: "id", Argv: []string{"/bin/sh", "-c", "id -u; id -G; echo reopened > /dev/stderr"}, User: "nobody", Dir: "/", Log: log,
		Env: []string{"PATH=/usr/bin:/bin"},
	})
	if err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	data, err := os.ReadFile(log)
	if err != nil || string(data) != "65534\n65534\nreopened\n" {
		t.Errorf("log is %q, %v", data, err)
	}
}

func TestGuardByHand(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(exe, "guard").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "started by bakeoff itself") {
		t.Errorf("%v: %s", err, out)
	}
}

// A process that forks and ends without pause is always in a new id. One look
// at /proc misses it more often than not.
func TestChainOfForks(t *testing.T) {
	p := open(t)
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for range 6 {
		c, err := p.Start(t.Context(), platform.Spec{Name: "chain", Dir: dir, Argv: []string{
			python, "-c", "import os, time\nend = time.time() + 60\nwhile time.time() < end:\n if os.fork(): os._exit(0)\n os.setsid()", // ends by itself, should the test be killed
		}})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the chain runs", func() bool { return inFolder(dir) > 0 })
		if err := c.Stop(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if n := inFolder(dir); n > 0 {
			t.Fatalf("seen %d times after the stop", n)
		}
	}
}

// A start that is given up while the guard is slow leaves nothing.
func TestStartGivenUp(t *testing.T) {
	p := open(t)
	if err := syscall.Kill(p.GuardPID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	dir := t.TempDir()
	_, err := p.Start(ctx, platform.Spec{Name: "late", Argv: []string{"/bin/sh", "-c", "echo $$ > pid; exec sleep 1000"}, Dir: dir, Log: filepath.Join(dir, "log")})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	if err := syscall.Kill(p.GuardPID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it was started", func() bool { _, err := os.Stat(filepath.Join(dir, "log")); return err == nil })
	eventually(t, "it is gone", func() bool {
		found, _ := filepath.Glob("/proc/[0-9]*/cwd")
		for _, folder := range found {
			if to, _ := os.Readlink(folder); to == dir {
				return false
			}
		}
		return true
	})
}
