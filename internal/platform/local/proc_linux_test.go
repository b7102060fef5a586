package local

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// The table is read some time before the signal is sent; the id may have
// gone to another process by then.
func TestSignalSparesReusedIDs(t *testing.T) {
	innocent := exec.Command("sleep", "1000")
	if err := innocent.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := identify(innocent.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	other := Identity{id.PID, id.Start + 1}
	for name, signal := range map[string]func(unix.Signal) error{"pinned": other.signal, "unpinned": other.signalUnpinned} {
		if err := signal(unix.SIGKILL); !errors.Is(err, unix.ESRCH) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if other.alive() || !id.alive() {
		t.Error("the other one is alive, or the innocent is not")
	}
	if err := id.signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	innocent.Wait()
	if id.alive() {
		t.Error("alive after SIGKILL")
	}
}

// A command name may look like the fields behind it.
func TestReadProcOddName(t *testing.T) {
	name := t.TempDir() + "/a) R 1 2 (b"
	if err := os.Symlink("/bin/sleep", name); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(name, "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer c.Process.Kill()
	p, err := readProc(c.Process.Pid)
	if err != nil || p.parent != os.Getpid() {
		t.Errorf("parent is %d, not %d: %v", p.parent, os.Getpid(), err)
	}
}

func TestMark(t *testing.T) {
	for range 100 {
		m := mark{newToken(), 1<<numberBits - 1}
		if v := m.limit(); v>>62 != 1 || token(v>>numberBits&(1<<tokenBits-1)) != m.token || int(v&(1<<numberBits-1)) != m.number {
			t.Errorf("%v becomes %x", m, v)
		}
		if back, err := parseToken(m.token.String()); err != nil || back != m.token {
			t.Errorf("%v is read as %v, %v", m.token, back, err)
		}
	}
	for _, s := range []string{"", "0", "zzzzzzzzzzzz", "0123456789abc", "ffffffffffff", "-12345678901"} {
		if v, err := parseToken(s); err == nil {
			t.Errorf("%q is read as %v", s, v)
		}
	}
}
