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
