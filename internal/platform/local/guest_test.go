//go:build linux

package local_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/platform"
	"bakeoff/internal/platform/local"
)

// A guest's daemon that has dropped its parent, its session, its environment and its limits is ended with the guest, and
// named; a neighbour that was started before is neither. So it is in a control group, and without.
func TestGuestLeavesNothing(t *testing.T) {
	for name, grouped := range map[string]bool{"in a group": true, "by the walk": false} {
		t.Run(name, func(t *testing.T) {
			var o local.Options
			if !grouped {
				o = o.WithoutGroups()
			}
			p := openWith(t, o)
			neighbour, neighbourPort := start(t, p, "prefork.py", "1")
			c, port := startGuest(t, p, "daemon.py", "LIMIT")
			if by := c.HeldBy(); grouped && by != platform.HeldByGroup {
				t.Skipf("SKIPPED: no control group can be made here (%s)", by)
			} else if !grouped && by != platform.HeldByGuard {
				t.Fatalf("held by %s", by)
			}
			if err := c.Stop(t.Context(), 10*time.Second); err != nil {
				t.Fatal(err)
			}
			if left := c.Left(); len(left) != 1 {
				t.Errorf("left behind: %v, want the daemon", left)
			}
			if listening(port) {
				t.Error("the daemon survived the stop of the guest")
			}
			if n := len(neighbour.PIDs()); n != 2 || !listening(neighbourPort) {
				t.Errorf("%d processes of the neighbour, not 2", n)
			}
			guard := p.GuardPID()
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			if left := local.Groups(guard); len(left) > 0 {
				t.Errorf("groups left: %v", left)
			}
		})
	}
}

// What a guest hides in its control group is ended with the guard, also where nobody asked the guard to end.
func TestGuestWithoutGuard(t *testing.T) {
	p := open(t)
	c, port := startGuest(t, p, "daemon.py", "LIMIT")
	if by := c.HeldBy(); by != platform.HeldByGroup {
		t.Skipf("SKIPPED: no control group can be made here (%s)", by)
	}
	guard := p.GuardPID()
	for _, pid := range append(deputies(t, guard), guard) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if listening(port) {
		t.Error("the daemon survived the guard")
	}
	if left := local.Groups(guard); len(left) > 0 {
		t.Errorf("groups left: %v", left)
	}
}

// What a guest's daemon has dropped all of may be any guest's where several were there: nobody is blamed for it, also not the last one.
func TestUnclaimed(t *testing.T) {
	p := openWith(t, local.Options{}.WithoutGroups())
	hider, port := startGuest(t, p, "daemon.py", "LIMIT")
	innocent := runGuest(t, p, "-c", waiting)
	eventually(t, "the guest has four processes", func() bool { return len(innocent.PIDs()) == 4 })
	if err := innocent.Stop(t.Context(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := hider.Stop(t.Context(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	for _, l := range innocent.Left() {
		if !l.Unclaimed {
			t.Errorf("%v is blamed on a guest that left nothing", l)
		}
	}
	if n := len(innocent.Left()) + len(hider.Left()); n != 1 || listening(port) {
		t.Errorf("%d processes left behind, want the daemon", n)
	}
}

// A guest's process that carries the mark of another tree, or of none, is the guest's: it is ended with it, and named where its parents
// have ended.
func TestForgedMarks(t *testing.T) {
	for _, c := range []struct{ mark, how string }{
		{"neighbour", "stays"}, {"neighbour", "apart"}, {"neighbour", "lost"}, {"nobody", "stays"}, {"nobody", "lost"},
	} {
		t.Run(c.mark+"'s, "+c.how, func(t *testing.T) {
			p := openWith(t, local.Options{}.WithoutGroups())
			neighbour, _ := start(t, p, "prefork.py", "1")
			whose := "0"
			if c.mark == "neighbour" {
				whose = strconv.Itoa(neighbour.PID())
			}
			forger, port := startGuest(t, p, "forger.py", whose, c.how)
			if n := len(neighbour.PIDs()); n != 2 {
				t.Errorf("%d processes of the neighbour, not 2", n)
			}
			if n := len(forger.PIDs()); c.how != "lost" && n != 2 {
				t.Errorf("%d processes of the guest, not 2", n)
			}
			if err := forger.Stop(t.Context(), time.Second); err != nil {
				t.Fatal(err)
			}
			if left := forger.Left(); len(left) != 1 || left[0].Unclaimed {
				t.Errorf("left behind: %v, want the one that carried another mark", left)
			}
			if listening(port) || len(neighbour.PIDs()) != 2 {
				t.Errorf("after the stop somebody listens: %v, the neighbour has %d processes", listening(port), len(neighbour.PIDs()))
			}
		})
	}
}

// What has lost its parents is of that replica whose mark it has, where several share an account.
func TestReplicasShareAnAccount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: not root")
	}
	p := openWith(t, local.Options{}.WithoutGroups())
	replica := func(script string) platform.Process {
		c, err := p.Start(t.Context(), platform.Spec{Name: "replica", Dir: "/", Argv: []string{"/bin/sh", "-c", script}, Guest: true, User: "61190"})
		if err != nil {
			t.Skipf("SKIPPED: nothing can be started under another account: %v", err)
		}
		return c
	}
	first, second := replica("exec sleep 600"), replica("(setsid sleep 600 &); exec sleep 600")
	eventually(t, "the second replica has two processes", func() bool { return len(second.PIDs()) == 2 })
	if n := len(first.PIDs()); n != 1 {
		t.Errorf("%d processes of the first replica, not 1", n)
	}
}

// A guest gains no rights by a program that belongs to somebody else, such as one of root's with the bit to run as root; what is no guest
// can still.
func TestGuestsGainNoRights(t *testing.T) {
	p := open(t)
	other, _ := start(t, p, "prefork.py", "1")
	c := runGuest(t, p, "-c", waiting)
	eventually(t, "the guest has four processes", func() bool { return len(c.PIDs()) == 4 })
	for _, pid := range c.PIDs() {
		if got := bound(t, pid); got != "1" {
			t.Errorf("process %d of the guest: no new rights is %q", pid, got)
		}
	}
	if got, want := bound(t, other.PID()), bound(t, os.Getpid()); got != want {
		t.Errorf("another process: no new rights is %q, want %q as of this one", got, want)
	}
}

// bound is what the kernel says of whether a process can gain rights: 1 if it cannot.
func bound(t *testing.T, pid int) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "NoNewPrivs:\t")
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

// A guest whose workers end as they are asked to has left nothing behind.
func TestGuestEndsByItself(t *testing.T) {
	for name, o := range map[string]local.Options{"in a group": {}, "by the walk": local.Options{}.WithoutGroups()} {
		t.Run(name, func(t *testing.T) {
			p := openWith(t, o)
			c := runGuest(t, p, "-c", waiting)
			eventually(t, "the guest has four processes", func() bool { return len(c.PIDs()) == 4 })
			if err := c.Stop(t.Context(), 10*time.Second); err != nil {
				t.Fatal(err)
			}
			if left := c.Left(); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// waiting is a master that ends its three workers when it is asked to end, and waits for them. It looks again and again: pause(2) would
// miss a signal that comes just before it, as when a process that was held goes on.
const waiting = `
import os, signal, time
workers = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        signal.pause()
    workers.append(pid)
def end(*_):
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
    for pid in workers:
        os.waitpid(pid, 0)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
while True:
    time.sleep(0.05)
`

// guest is a process that says what it left.
type guest interface {
	platform.Process
	platform.Guest
}

func startGuest(t *testing.T, p *local.Platform, program string, options ...string) (guest, int) {
	t.Helper()
	port, err := p.Port(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := runGuest(t, p, append([]string{program, strconv.Itoa(port)}, options...)...)
	eventually(t, "it listens", func() bool { return listening(port) })
	return c, port
}

// runGuest starts Python with these arguments.
func runGuest(t *testing.T, p *local.Platform, arguments ...string) guest {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.Start(t.Context(), platform.Spec{Name: "guest", Dir: "testdata", Argv: append([]string{python}, arguments...), Guest: true})
	if err != nil {
		t.Fatal(err)
	}
	return c.(guest)
}
