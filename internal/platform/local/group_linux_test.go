package local

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// nobody is a process id that the kernel gives to no process.
const nobody = 1<<22 + 1

// What lives in the control groups of a guard that is gone is ended, by the next guard and by a sweep, although it carries no mark.
func TestGroupsOfADeadGuard(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, g groups, of token){
		"by the next guard": func(t *testing.T, g groups, _ token) { sweepGroups(filepath.Dir(g.dir)) },
		"by a sweep": func(t *testing.T, g groups, of token) {
			dir := t.TempDir()
			gone := Identity{PID: nobody, Start: 1}
			s := newState(Holder{Controller: gone, Guard: gone})
			s.Groups = g.dir
			if err := s.save(dir, of); err != nil {
				t.Fatal(err)
			}
			swept, err := Sweep(t.Context(), dir)
			if err != nil || len(swept.Processes) != 1 {
				t.Errorf("swept %+v, %v, want one process", swept, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			of := newToken()
			g, ended := grouped(t, of)
			end(t, g, of)
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				t.Fatal("the process lives")
			}
			if _, err := os.Stat(g.dir); err == nil {
				t.Error("the group is left")
			}
		})
	}
}

// grouped starts a process in a group of a guard that does not exist.
func grouped(t *testing.T, of token) (g groups, ended chan error) {
	t.Helper()
	own, err := ownGroup()
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	g = groups{filepath.Join(own, groupPrefix+"4194305-"+of.String())}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Skipf("SKIPPED: no control group can be made here: %v", err)
	}
	fd := g.open(1)
	if fd < 0 {
		t.Fatal("no group of a tree")
	}
	defer unix.Close(fd)
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended = make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); g.clear(time.Second) })
	return g, ended
}

// A folder that a state file names and that is not the run's is left alone.
func TestGroupsOfAState(t *testing.T) {
	of, other := token(0x1234), token(0x5678)
	for path, want := range map[string]string{
		"/sys/fs/cgroup/bakeoff-17-" + of.String():    "/sys/fs/cgroup/bakeoff-17-" + of.String(),
		"/sys/fs/cgroup/bakeoff-17-" + other.String(): "",
		"/sys/fs/cgroup/system.slice":                 "",
		"":                                            "",
	} {
		if got := (state{Groups: path}).groups(of).dir; got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

// A group to which the kernel gives processor time as if it were one process is not used.
func TestGroupsThatWeigh(t *testing.T) {
	dir := t.TempDir()
	if weighs(dir) {
		t.Error("it weighs without a weight")
	}
	if err := os.WriteFile(filepath.Join(dir, "cpu.weight"), []byte("100\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !weighs(dir) {
		t.Error("it has a weight")
	}
}

// What a kernel may say of a group that is to be frozen: what it does not have, or does not do in time, is not taken for done.
func TestFreezeGroup(t *testing.T) {
	for name, c := range map[string]struct {
		freeze, events string // the files' contents; empty: there is none
		begun, cold    bool
	}{
		"it is frozen":              {"0\n", "populated 1\nfrozen 1\n", true, true},
		"one process cannot be now": {"0\n", "populated 1\nfrozen 0\n", true, false},
		"a kernel before 5.2":       {"", "populated 1\n", false, false},
		"the group is gone":         {"", "", false, false},
	} {
		g := groups{t.TempDir()}
		if err := os.Mkdir(g.of(1), 0o700); err != nil {
			t.Fatal(err)
		}
		for file, content := range map[string]string{"cgroup.freeze": c.freeze, "cgroup.events": c.events} {
			if content == "" {
				continue
			}
			if err := os.WriteFile(filepath.Join(g.of(1), file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		begun, cold := g.freeze(1) == nil, g.cold(1, time.Now())
		if begun != c.begun || cold != c.cold {
			t.Errorf("%s: begun %v, frozen %v, want %v and %v", name, begun, cold, c.begun, c.cold)
		}
		if written, _ := os.ReadFile(filepath.Join(g.of(1), "cgroup.freeze")); c.begun && string(written) != "1\n" {
			t.Errorf("%s: the kernel was told %q", name, written)
		}
		if err := g.thaw(1); (err == nil) != c.begun {
			t.Errorf("%s: thawed: %v", name, err)
		}
	}
}
