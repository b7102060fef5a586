package local

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stubborn is a guard with one tree, a process that sleeps, whose group does what the test writes into its
// files: a real one cannot be made to stay unfrozen, or to refuse a thaw.
type stubborn struct {
	*guard
	t    *testing.T
	tree *tree
	died chan error
}

func newStubborn(t *testing.T) stubborn {
	t.Helper()
	sleeper := exec.Command("sleep", "600")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	died := make(chan error, 1)
	go func() { died <- sleeper.Wait() }()
	t.Cleanup(func() { _ = sleeper.Process.Kill() })
	first, err := identify(sleeper.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	held := &tree{number: 1, first: first, grouped: true}
	g := &guard{
		trees: map[int]*tree{1: held}, groups: groups{t.TempDir()}, hello: hello{ColdWithin: 100 * time.Millisecond},
		known: map[Identity]int{first: 1}, replies: make(chan reply, 1),
	}
	s := stubborn{g, t, held, died}
	if err := os.Mkdir(g.groups.of(1), 0o700); err != nil {
		t.Fatal(err)
	}
	s.write("cgroup.freeze", "0")
	s.write("cgroup.events", "populated 1\nfrozen 0\n")
	return s
}

func (s stubborn) file(name string) string { return filepath.Join(s.groups.of(1), name) }

func (s stubborn) write(file, content string) {
	s.t.Helper()
	if err := os.WriteFile(s.file(file), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// within waits until something is so.
func (s stubborn) within(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatal("not within 10 s: " + what)
		}
	}
}

// told is what the kernel was told last.
func (s stubborn) told() string {
	data, _ := os.ReadFile(s.file("cgroup.freeze"))
	return string(data)
}

// is waits until the process is in a state.
func (s stubborn) is(state string) {
	s.t.Helper()
	s.within("the process is in the state "+state, func() bool {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.tree.first.PID))
		return strings.Contains(string(stat), ") "+state)
	})
}

// ends asks the process to end, which only one does that is not stopped.
func (s stubborn) ends() {
	s.t.Helper()
	if err := unix.Kill(s.tree.first.PID, unix.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.died:
	case <-time.After(10 * time.Second):
		s.t.Fatal("the process is asked to end and does not: it is stopped")
	}
}

// thawed asks the guard as the controller does, and returns the error that the controller gets.
func (s stubborn) thawed() string {
	s.handle(request{Op: opThaw, Trees: []int{1}})
	return (<-s.replies).Error
}

// stopped begins a stop without a grace, which asks for nothing, and returns its error.
func (s stubborn) stopped() error {
	_, err := s.letEnd(s.tree, 0)
	return err
}

// Where the kernel does not freeze a group in time, its processes are stopped one by one, and continued.
func TestFreezeFallsBack(t *testing.T) {
	s := newStubborn(t)
	s.freeze([]int{1})
	s.is("T")
	if told := s.told(); told != "0" {
		t.Errorf("the kernel was left told %q", told)
	}
	if got := s.thawed(); got != "" {
		t.Error(got)
	}
	s.ends()
}

// A thaw that comes while a freeze still waits for the group is the last word, and so is that of a stop.
func TestFreezeMeetsThaw(t *testing.T) {
	for name, thaw := range map[string]func(s stubborn) error{
		"a thaw": func(s stubborn) error { return s.thaw([]int{1}) },
		"a stop": func(s stubborn) error { return s.stopped() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStubborn(t)
			frozen := make(chan struct{})
			go func() { defer close(frozen); s.freeze([]int{1}) }()
			s.within("the freeze waits", func() bool { return s.told() == "1" })
			if err := thaw(s); err != nil {
				t.Error(err)
			}
			<-frozen
			if s.tree.hold != notHeld || s.told() != "0" {
				t.Errorf("it is held (%d), and the kernel was left told %q", s.tree.hold, s.told())
			}
			s.ends()
		})
	}
}

// A freeze that comes after a stop has begun does not hold the tree: it could not end by itself.
func TestFreezeAfterStop(t *testing.T) {
	s := newStubborn(t)
	if err := s.stopped(); err != nil {
		t.Fatal(err)
	}
	s.freeze([]int{1})
	if s.tree.hold != notHeld || s.told() != "0" {
		t.Errorf("it is held (%d), and the kernel was told %q", s.tree.hold, s.told())
	}
	s.ends()
}

// A tree that is held is asked to end before it goes on. Asked later it could be on its way back into a wait which the signal then does
// not end.
func TestHeldIsAskedFirst(t *testing.T) {
	s := newStubborn(t)
	s.write("cgroup.events", "populated 1\nfrozen 1\n")
	s.freeze([]int{1})
	if err := os.Remove(s.file("cgroup.freeze")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(s.file("cgroup.freeze"), 0o600); err != nil { // the thaw waits until this is read
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() {
		asked, err := s.letEnd(s.tree, time.Minute)
		if !asked {
			t.Error("it was not asked to end")
		}
		over <- err
	}()
	select {
	case <-s.died: // its group only says that it is frozen
	case <-time.After(10 * time.Second):
		t.Error("while the thaw waits it is not asked to end")
	}
	if told := s.told(); told != "0" {
		t.Errorf("the kernel was told %q", told)
	}
	if err := <-over; err != nil || s.tree.hold != notHeld {
		t.Errorf("%v, held %d", err, s.tree.hold)
	}
}

// A tree that signals hold is continued, although the kernel could freeze its group the next time.
func TestFreezeAgainAfterSignals(t *testing.T) {
	s := newStubborn(t)
	s.freeze([]int{1})
	s.is("T")
	s.write("cgroup.events", "populated 1\nfrozen 1\n")
	s.freeze([]int{1})
	if got := s.thawed(); got != "" {
		t.Error(got)
	}
	s.ends()
}

// A thaw that the kernel refuses is an error, and the next one, or that of a stop, tries again.
func TestThawFails(t *testing.T) {
	s := newStubborn(t)
	s.write("cgroup.events", "populated 1\nfrozen 1\n")
	s.freeze([]int{1})
	if err := os.Remove(s.file("cgroup.freeze")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.file("cgroup.freeze"), 0o700); err != nil { // not to be written to, not even by root
		t.Fatal(err)
	}
	if got := s.thawed(); !strings.Contains(got, "stays frozen") {
		t.Errorf("the controller gets %q", got)
	}
	if err := s.stopped(); err == nil {
		t.Error("a stop that cannot thaw says nothing")
	}
	if err := os.Remove(s.file("cgroup.freeze")); err != nil {
		t.Fatal(err)
	}
	s.write("cgroup.freeze", "1")
	if got := s.thawed(); got != "" || s.told() != "0" || s.tree.hold != notHeld {
		t.Errorf("once more: %q, the kernel was told %q, held %d", got, s.told(), s.tree.hold)
	}
}

// What has no group, or none any more, has nothing that could stay frozen.
func TestThawWithoutGroup(t *testing.T) {
	s := newStubborn(t)
	s.write("cgroup.events", "populated 1\nfrozen 1\n")
	s.freeze([]int{1})
	if err := os.RemoveAll(s.groups.of(1)); err != nil {
		t.Fatal(err)
	}
	if got := s.thawed(); got != "" || s.tree.hold != notHeld {
		t.Errorf("the group is gone: %q, held %d", got, s.tree.hold)
	}
	s.freeze([]int{1})
	s.is("T")
	if got := s.thawed(); got != "" {
		t.Errorf("it never had one: %q", got)
	}
	s.ends()
}
