package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/platform"
	"bakeoff/internal/platform/local"
)

// states are those of processes in /proc: T is stopped.
func states(pids []int) string {
	var out []byte
	for _, pid := range pids {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if _, rest, found := bytes.Cut(stat, []byte(") ")); found {
			out = append(out, rest[0])
		}
	}
	return string(out)
}

// Every process of a frozen tree stands still, those of another do not; thawed it answers again. Trees without a control group are
// stopped by signals.
func TestFreeze(t *testing.T) {
	p := open(t)
	a, _ := start(t, p, "prefork.py", "3")
	b, _ := start(t, p, "prefork.py", "3")
	eventually(t, "all workers are there", func() bool { return len(a.PIDs()) == 4 && len(b.PIDs()) == 4 })
	for range 3 { // again and again, as targets are that take turns
		if err := p.Freeze(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all stand still", func() bool { return states(a.PIDs()) == "TTTT" })
		if got := states(b.PIDs()); len(got) != 4 || strings.Contains(got, "T") {
			t.Errorf("the others' states are %s", got)
		}
		if err := p.Thaw(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all go on", func() bool { return states(a.PIDs()) == "SSSS" })
	}
	if err := p.Freeze(t.Context(), a, b); err != nil {
		t.Fatal(err)
	}
	if err := a.Stop(t.Context(), 2*time.Second); err != nil {
		t.Fatal(err)
	}
	if exit := a.Exit(); exit.Signal != "SIGTERM" {
		t.Errorf("a frozen tree that is asked to end, not killed: %+v", exit)
	}
	for _, err := range []error{p.Freeze(t.Context(), a), p.Thaw(t.Context(), a), p.Close()} {
		if err != nil {
			t.Error(err)
		}
	}
	if b.Exit().Signal != "SIGKILL" {
		t.Errorf("a frozen tree at the close: %+v", b.Exit())
	}
}

// spinning are a process and three children that never rest, one of them in a session of its own, with nothing left of its environment
// and its parent gone.
const spinning = `
import os, sys
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        os.execve(sys.executable, [sys.executable, "-c", "while True: pass"], {})
    os._exit(0)
os.wait()
if os.fork():
    os.fork()
while True:
    pass
`

// used is the CPU time of processes, in nanoseconds.
func used(t *testing.T, pids []int) (sum int64) {
	t.Helper()
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
		if err != nil {
			t.Skipf("SKIPPED: the kernel does not count: %v", err)
		}
		first, _, _ := strings.Cut(string(data), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// spinner is a guest of four busy processes in a control group. The one that ends by itself is gone when there are four.
func spinner(t *testing.T, p *local.Platform) guest {
	t.Helper()
	c := runGuest(t, p, "-c", spinning)
	if by := c.HeldBy(); by != platform.HeldByGroup {
		t.Skipf("SKIPPED: no control group can be made here (%s)", by)
	}
	eventually(t, "four processes are there", func() bool { return len(states(c.PIDs())) == 4 })
	return c
}

// patient gives groups so long to freeze that they do on a busy machine, too, and no process is stopped instead.
func patient(t *testing.T) *local.Platform {
	t.Helper()
	return openWith(t, local.Options{}.WithColdWithin(limit))
}

// rest is time for the kernel to count what a process has used until it was frozen: it does so at the next tick of the clock, and when
// the process is off its core.
const rest = 50 * time.Millisecond

// A guest with a control group is frozen by the kernel: it uses no CPU time until it is thawed, whatever it has dropped of what it
// is known by, and however often. No process of it is stopped by a signal, which its parent would hear of.
func TestFreezeByGroup(t *testing.T) {
	p := patient(t)
	c := spinner(t, p)
	pids := c.PIDs()
	for range 3 {
		if err := p.Freeze(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if cold := local.ColdGroups(p.GuardPID()); cold != 1 {
			t.Errorf("the kernel says that %d groups are frozen, want 1", cold)
		}
		if got := states(pids); strings.Contains(got, "T") {
			t.Errorf("the processes' states are %s", got)
		}
		time.Sleep(rest)
		before := used(t, pids)
		for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
			if more := used(t, pids) - before; more > int64(time.Millisecond) {
				t.Fatalf("a frozen guest used %d ns", more)
			}
		}
		if err := p.Thaw(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if cold := local.ColdGroups(p.GuardPID()); cold != 0 {
			t.Errorf("thawed, the kernel says that %d groups are frozen", cold)
		}
		eventually(t, "they go on", func() bool { return used(t, pids) > before })
	}
}

// catches reports whether a process has a handler for a signal.
func catches(pid int, sig syscall.Signal) bool {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(status), "SigCgt:\t")
	line, _, _ := strings.Cut(rest, "\n")
	mask, err := strconv.ParseUint(line, 16, 64)
	return err == nil && mask>>(sig-1)&1 == 1
}

// A guest that is frozen ends by itself when it is asked to, and is ended with the platform.
func TestFrozenGuestEnds(t *testing.T) {
	p := patient(t)
	a, b := runGuest(t, p, "-c", waiting), spinner(t, p)
	eventually(t, "the guest has four processes and hears SIGTERM", func() bool { return len(a.PIDs()) == 4 && catches(a.PID(), syscall.SIGTERM) })
	if err := p.Freeze(t.Context(), a, b); err != nil {
		t.Fatal(err)
	}
	if cold := local.ColdGroups(p.GuardPID()); cold != 2 {
		t.Fatalf("%d groups are frozen, want 2", cold)
	}
	if err := a.Stop(t.Context(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if exit := a.Exit(); exit.Code != 0 || len(a.Left()) > 0 {
		t.Errorf("a frozen guest that is asked to end, and does when its workers have: %+v, left behind %v", exit, a.Left())
	}
	pids := b.PIDs()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if left := states(pids); left != "" {
		t.Errorf("processes in the states %s are left of a guest that was frozen at the close", left)
	}
}

// Where no group has the time to freeze, each process is stopped, and ends by itself when it is asked to.
func TestFreezeTooLate(t *testing.T) {
	p := openWith(t, local.Options{}.WithColdWithin(time.Nanosecond))
	c := runGuest(t, p, "-c", waiting)
	eventually(t, "the guest has four processes and hears SIGTERM", func() bool { return len(c.PIDs()) == 4 && catches(c.PID(), syscall.SIGTERM) })
	for range 3 {
		if err := p.Freeze(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all stand still", func() bool {
			return states(c.PIDs()) == "TTTT" || local.ColdGroups(p.GuardPID()) == 1
		})
		if err := p.Thaw(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all go on", func() bool { return !strings.Contains(states(c.PIDs()), "T") && local.ColdGroups(p.GuardPID()) == 0 })
	}
	if err := p.Freeze(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(t.Context(), limit); err != nil {
		t.Fatal(err)
	}
	if exit := c.Exit(); exit.Code != 0 {
		t.Errorf("a guest that was frozen too late and is asked to end: %+v", exit)
	}
}

// A freeze whose caller has gone, as with a Ctrl-C, does not outlast the thaw that follows at once, and does not keep the tree from
// ending by itself in a stop.
func TestFreezeGivenUp(t *testing.T) {
	p := open(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 40 {
		c, err := p.Start(t.Context(), platform.Spec{Name: "sleeper", Argv: []string{"sleep", "600"}, Guest: i%2 == 0})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Freeze(gone, c); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if i%4 < 2 {
			if err := p.Thaw(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it goes on", func() bool { return states([]int{c.PID()}) == "S" && local.ColdGroups(p.GuardPID()) == 0 })
		}
		if err := c.Stop(t.Context(), 5*time.Second); err != nil {
			t.Fatal(err)
		}
		if exit := c.Exit(); exit.Signal != "SIGTERM" {
			t.Fatalf("process %d was killed instead of ending by itself: %+v", i, exit)
		}
	}
}

// Guard and deputy are killed while two targets are frozen, one by its group and one by signals: their controller ends both.
func TestFrozenWithoutGuard(t *testing.T) {
	p := patient(t)
	c := spinner(t, p)
	other, port := start(t, p, "prefork.py", "2")
	pids := append(c.PIDs(), other.PIDs()...)
	if err := p.Freeze(t.Context(), c, other); err != nil {
		t.Fatal(err)
	}
	guard := p.GuardPID()
	if cold := local.ColdGroups(guard); cold != 1 {
		t.Fatalf("%d groups are frozen, want 1", cold)
	}
	for _, pid := range append(deputies(t, guard), guard) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if left := states(pids); strings.Trim(left, "Z") != "" || listening(port) {
		t.Errorf("processes in the states %s are left", left)
	}
	if left := local.Groups(guard); len(left) > 0 {
		t.Errorf("groups left: %v", left)
	}
}
