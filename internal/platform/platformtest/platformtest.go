// Package platformtest is the contract suite of package platform: every
// implementation must pass Run. The processes it starts are small shell
// scripts, and it looks at /proc, so the platform under test must run them
// where the test runs.
package platformtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bakeoff/internal/platform"
)

// Open returns a fresh platform; the suite closes it.
type Open func(t *testing.T) platform.Platform

// Daemon is a shell script that leaves a process in a session of its own,
// orphaned, with an empty environment, its descriptors closed and SIGTERM
// ignored; its id is written to the file named by $1, then the script continues with $2.
const Daemon = `
(setsid env -i /bin/sh -c 'trap "" TERM HUP INT; echo $$ > "$0.tmp"; mv "$0.tmp" "$0"; exec sleep 1000 <&- >&- 2>&-' "$1" &)
while ! test -e "$1"; do sleep 0.01; done
eval "$2"`

// limit bounds every wait; it is far above what an idle machine needs.
const limit = 20 * time.Second

type suite struct {
	*testing.T
	platform platform.Platform
	dir      string
}

// Run checks the contract.
func Run(t *testing.T, open Open) {
	cases := []struct {
		name string
		run  func(*suite)
	}{
		{"exit code", exitCode},
		{"exit signal", exitSignal},
		{"environment is exact", environment},
		{"folder, input, descriptors, mask", surroundings},
		{"refused specs", refused},
		{"log", log},
		{"log limit", logLimit},
		{"log of the orphans", logOfOrphans},
		{"log is truncated and written again", logTruncated},
		{"stop with grace", stopWithGrace},
		{"grace is for the whole tree", graceForTree},
		{"stop kills who ignores SIGTERM", stopIgnored},
		{"stop without grace", stopAtOnce},
		{"stop twice and after the end", stopTwice},
		{"stop with a cancelled context", stopCancelled},
		{"stop ends daemons", stopDaemon},
		{"trees are told apart", trees},
		{"no zombies", zombies},
		{"start with a cancelled context", startCancelled},
		{"ports", ports},
		{"many short processes", manyShort},
		{"close", closing},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			t.Cleanup(func() {
				if err := p.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			c.run(&suite{t, p, t.TempDir()})
		})
	}
}

// path names a file of the test.
func (s *suite) path(name string) string { return filepath.Join(s.dir, name) }

func (s *suite) shell(name, script string, args ...string) platform.Spec {
	return platform.Spec{
		Name: name, Argv: append([]string{"/bin/sh", "-c", script, name}, args...),
		Env: []string{"PATH=" + os.Getenv("PATH")}, Dir: s.dir, Log: s.path(name + ".log"),
	}
}

func (s *suite) start(spec platform.Spec) platform.Process {
	s.Helper()
	p, err := s.platform.Start(s.Context(), spec)
	if err != nil {
		s.Fatalf("start %s: %v", spec.Name, err)
	}
	return p
}

func (s *suite) wait(p platform.Process) platform.Exit {
	s.Helper()
	select {
	case <-p.Done():
	case <-time.After(limit):
		s.Fatalf("%s has not ended after %v", p.Name(), limit)
	}
	return p.Exit()
}

func (s *suite) stop(p platform.Process, grace time.Duration) time.Duration {
	s.Helper()
	begin := time.Now()
	if err := p.Stop(s.Context(), grace); err != nil {
		s.Fatalf("stop %s: %v", p.Name(), err)
	}
	return time.Since(begin)
}

func (s *suite) read(path string) string {
	s.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		s.Fatal(err)
	}
	return string(data)
}

// number waits for a file and reads the process id in it.
func (s *suite) number(path string) int {
	s.Helper()
	s.eventually("file "+filepath.Base(path), func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
	n, err := strconv.Atoi(strings.TrimSpace(s.read(path)))
	if err != nil {
		s.Fatal(err)
	}
	return n
}

func (s *suite) eventually(what string, ok func() bool) {
	s.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// State is the letter that /proc gives for a process, "" when there is none.
func State(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	rest := string(data[strings.LastIndexByte(string(data), ')')+1:])
	return strings.Fields(rest)[0]
}

// Alive reports whether a process exists and is not a zombie.
func Alive(pid int) bool { return !strings.Contains("ZX", State(pid)) }

func (s *suite) dead(what string, pid int) {
	s.Helper()
	if Alive(pid) {
		s.Errorf("%s (process %d) is alive", what, pid)
	}
}

func (s *suite) alive(what string, pid int) {
	s.Helper()
	if !Alive(pid) {
		s.Errorf("%s (process %d) is dead", what, pid)
	}
}

func exitCode(s *suite) {
	begin := time.Now()
	p := s.start(s.shell("code", "exit 7"))
	if p.Name() != "code" || p.PID() <= 0 {
		s.Errorf("name %q, process %d", p.Name(), p.PID())
	}
	e := s.wait(p)
	if e.Code != 7 || e.Signal != "" {
		s.Errorf("exit is %+v, not 7", e)
	}
	if e.At.Before(begin) || e.At.After(time.Now()) {
		s.Errorf("ended at %v, started at %v", e.At, begin)
	}
}

func exitSignal(s *suite) {
	e := s.wait(s.start(s.shell("signal", "kill -USR1 $$")))
	if e.Code != -1 || e.Signal != "SIGUSR1" {
		s.Errorf("exit is %+v, not SIGUSR1", e)
	}
}

func environment(s *suite) {
	os.Setenv("BAKEOFF_TEST_INHERITED", "1") // for good: the suite is parallel
	env := []string{"A=1", "B=with spaces and = and \xff\xfe", "PATH=" + os.Getenv("PATH"), "EMPTY="}
	spec := s.shell("env", "")
	spec.Argv, spec.Env = []string{"env", "-0"}, env
	s.wait(s.start(spec))
	var got []string
	for entry := range strings.SplitSeq(s.read(spec.Log), "\x00") {
		// A platform may add its own mark, under a name of its own.
		if entry != "" && !strings.HasPrefix(entry, "BAKEOFF_PROCESS=") {
			got = append(got, entry)
		}
	}
	slices.Sort(env)
	slices.Sort(got)
	if !slices.Equal(env, got) {
		s.Errorf("environment is %q, not %q", got, env)
	}
}

func surroundings(s *suite) {
	s.wait(s.start(s.shell("around", `pwd -P; wc -c; ls /proc/$$/fd | tr '\n' ' '; umask; > made; cat /proc/$$/stat`)))
	got := strings.Split(s.read(s.path("around.log")), "\n")
	dir, err := filepath.EvalSymlinks(s.dir)
	if err != nil {
		s.Fatal(err)
	}
	if got[0] != dir {
		s.Errorf("folder is %s, not %s", got[0], dir)
	}
	if got[1] != "0" {
		s.Errorf("input has %s bytes, not 0", got[1])
	}
	if got[2] != "0 1 2 0077" {
		s.Errorf("descriptors and mask are %q", got[2])
	}
	fields := strings.Fields(got[3])
	if fields[0] != fields[5] {
		s.Errorf("process %s is in session %s, not in its own", fields[0], fields[5])
	}
	if st, err := os.Stat(s.path("around.log")); err != nil || st.Mode().Perm() != 0o600 {
		s.Errorf("log: mode %v, %v", st.Mode(), err)
	}
}

func refused(s *suite) {
	no := func(what string, change func(*platform.Spec)) {
		s.Helper()
		spec := s.shell("refused", "exit 0")
		change(&spec)
		if p, err := s.platform.Start(s.Context(), spec); err == nil {
			s.Errorf("%s: process %d was started", what, p.PID())
		}
	}
	no("no command", func(spec *platform.Spec) { spec.Argv = nil })
	no("missing command", func(spec *platform.Spec) { spec.Argv = []string{"/nowhere/at/all"} })
	no("command not in the path", func(spec *platform.Spec) { spec.Argv = []string{"surely-no-such-command"} })
	no("missing folder", func(spec *platform.Spec) { spec.Dir = s.path("missing") })
	no("log in a missing folder", func(spec *platform.Spec) { spec.Log = s.path("missing/log") })
	no("name", func(spec *platform.Spec) { spec.Name = "../x" })
	no("unknown user", func(spec *platform.Spec) { spec.User = "surely-no-such-user" })
	if os.Geteuid() != 0 {
		no("user without root", func(spec *platform.Spec) { spec.User = "nobody" })
	}
	spec := s.shell("refused", "exit 0")
	spec.Argv[0] = "/nowhere/at/all"
	if _, err := s.platform.Start(s.Context(), spec); !errors.Is(err, fs.ErrNotExist) && !strings.Contains(fmt.Sprint(err), "no such file") {
		s.Errorf("a missing command gives: %v", err)
	}
}

func log(s *suite) {
	s.wait(s.start(s.shell("log", "echo out; echo err >&2; printf tail")))
	if got := s.read(s.path("log.log")); got != "out\nerr\ntail" {
		s.Errorf("log is %q", got)
	}
	spec := s.shell("mute", "echo lost; exit 3")
	spec.Log = ""
	if e := s.wait(s.start(spec)); e.Code != 3 {
		s.Errorf("without a log: %+v", e)
	}
}

func logLimit(s *suite) {
	const total, kept = 5_000_000, 1000
	spec := s.shell("big", fmt.Sprintf("head -c %d /dev/zero | tr '\\0' x; exit 4", total))
	spec.LogLimit = kept
	p := s.start(spec)
	if e := s.wait(p); e.Code != 4 {
		s.Errorf("exit is %+v: the writer was held up", e)
	}
	s.stop(p, 0)
	got := s.read(spec.Log)
	if n := strings.Count(got, "x"); n != kept {
		s.Errorf("%d bytes kept, not %d", n, kept)
	}
	if line := strings.TrimLeft(got, "x"); !strings.Contains(line, strconv.Itoa(total-kept)) {
		s.Errorf("log ends with %q, which does not say that %d bytes were discarded", line, total-kept)
	}
}

func logOfOrphans(s *suite) {
	p := s.start(s.shell("orphan", `(while ! test -e go; do sleep 0.01; done; echo late; > gone) & echo early`))
	s.wait(p)
	if got := s.read(s.path("orphan.log")); got != "early\n" {
		s.Errorf("log at the end of the first process is %q", got)
	}
	if err := os.WriteFile(s.path("go"), nil, 0o600); err != nil {
		s.Fatal(err)
	}
	s.eventually("the orphan writes", func() bool { _, err := os.Stat(s.path("gone")); return err == nil })
	s.stop(p, 0)
	if got := s.read(s.path("orphan.log")); got != "early\nlate\n" {
		s.Errorf("log is %q", got)
	}
}

func logTruncated(s *suite) {
	path := s.path("again.log")
	if err := os.WriteFile(path, []byte("what was there before"), 0o644); err != nil {
		s.Fatal(err)
	}
	s.wait(s.start(s.shell("again", "echo new")))
	if got := s.read(path); got != "new\n" {
		s.Errorf("log is %q", got)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		s.Errorf("log: mode %v, %v", st.Mode(), err)
	}
}

func stopWithGrace(s *suite) {
	p := s.start(s.shell("polite", `trap 'echo bye; exit 5' TERM; > ready; while :; do sleep 0.02; done`))
	s.eventually("ready", func() bool { _, err := os.Stat(s.path("ready")); return err == nil })
	if took := s.stop(p, limit); took > limit/2 {
		s.Errorf("a process that ends at once was waited for %v", took)
	}
	select {
	case <-p.Done():
	default:
		s.Fatal("stopped, but not done")
	}
	if e := p.Exit(); e.Code != 5 || e.Signal != "" {
		s.Errorf("exit is %+v, not 5: it was not asked", e)
	}
	if got := s.read(s.path("polite.log")); got != "bye\n" {
		s.Errorf("log is %q", got)
	}
}

func graceForTree(s *suite) {
	if err := os.WriteFile(s.path("wait"), nil, 0o600); err != nil {
		s.Fatal(err)
	}
	p := s.start(s.shell("family", `(trap '' TERM; while test -e wait; do sleep 0.02; done; echo saved) & trap 'exit 0' TERM; > ready; while :; do sleep 0.02; done`))
	s.eventually("ready", func() bool { _, err := os.Stat(s.path("ready")); return err == nil })
	go func() {
		<-p.Done() // the first has ended, its child has work to finish
		time.Sleep(200 * time.Millisecond)
		os.Remove(s.path("wait"))
	}()
	s.stop(p, limit)
	if got := s.read(s.path("family.log")); got != "saved\n" {
		s.Errorf("log is %q: the child was killed within the grace", got)
	}
}

func stopIgnored(s *suite) {
	const grace = 300 * time.Millisecond
	p := s.start(s.shell("stubborn", `trap '' TERM; > ready; while :; do sleep 0.02; done`))
	s.eventually("ready", func() bool { _, err := os.Stat(s.path("ready")); return err == nil })
	if took := s.stop(p, grace); took < grace {
		s.Errorf("killed after %v, before the grace of %v was over", took, grace)
	}
	if e := p.Exit(); e.Signal != "SIGKILL" || e.Code != -1 {
		s.Errorf("exit is %+v, not SIGKILL", e)
	}
}

func stopAtOnce(s *suite) {
	p := s.start(s.shell("now", `trap 'exit 0' TERM; > ready; while :; do sleep 0.02; done`))
	s.eventually("ready", func() bool { _, err := os.Stat(s.path("ready")); return err == nil })
	s.stop(p, 0)
	if e := p.Exit(); e.Signal != "SIGKILL" {
		s.Errorf("exit is %+v, not SIGKILL", e)
	}
}

func stopTwice(s *suite) {
	p := s.start(s.shell("twice", `trap '' TERM; sleep 1000 & wait; sleep 1000`))
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() { s.stop(p, 50*time.Millisecond) })
	}
	group.Wait()
	s.stop(p, time.Hour)
	ended := s.start(s.shell("ended", "exit 6"))
	s.wait(ended)
	if took := s.stop(ended, time.Hour); took > limit {
		s.Errorf("stopping what had ended took %v", took)
	}
	if e := ended.Exit(); e.Code != 6 {
		s.Errorf("exit became %+v", e)
	}
	if pids := append(p.PIDs(), ended.PIDs()...); len(pids) > 0 {
		s.Errorf("processes after the stop: %v", pids)
	}
}

func stopCancelled(s *suite) {
	p := s.start(s.shell("cancel", `trap '' TERM; > ready; while :; do sleep 0.02; done`))
	s.eventually("ready", func() bool { _, err := os.Stat(s.path("ready")); return err == nil })
	ctx, cancel := context.WithCancel(s.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	begin := time.Now()
	_ = p.Stop(ctx, time.Hour)
	if took := time.Since(begin); took > limit {
		s.Errorf("a cancelled stop took %v", took)
	}
	s.dead("the process", p.PID())
	_ = p.Stop(ctx, time.Hour) // and one whose context is over from the start
}

func stopDaemon(s *suite) {
	p := s.start(s.shell("daemon", Daemon, s.path("pid"), "wait; sleep 1000"))
	daemon := s.number(s.path("pid"))
	s.alive("the daemon", daemon)
	if !slices.Contains(p.PIDs(), daemon) {
		s.Errorf("processes %v lack the daemon %d", p.PIDs(), daemon)
	}
	s.stop(p, 0)
	s.dead("the daemon", daemon)

	orphaned := s.start(s.shell("orphaned", Daemon, s.path("pid2"), "exit 0"))
	daemon = s.number(s.path("pid2"))
	s.wait(orphaned)
	if pids := orphaned.PIDs(); !slices.Equal(pids, []int{daemon}) {
		s.Errorf("processes are %v, not the daemon %d alone", pids, daemon)
	}
	if took := s.stop(orphaned, time.Hour); took > limit {
		s.Errorf("the stop gave %v of grace to a process that nobody asked to end", took)
	}
	s.dead("the orphaned daemon", daemon)
}

func trees(s *suite) {
	a := s.start(s.shell("a", Daemon, s.path("a.pid"), "sleep 1000 & wait"))
	b := s.start(s.shell("b", Daemon, s.path("b.pid"), "exit 0"))
	inA, inB := s.number(s.path("a.pid")), s.number(s.path("b.pid"))
	s.wait(b)
	s.eventually("a has three processes", func() bool { return len(a.PIDs()) == 3 })
	pids := a.PIDs()
	if !slices.IsSorted(pids) || !slices.Contains(pids, a.PID()) || !slices.Contains(pids, inA) || slices.Contains(pids, inB) {
		s.Errorf("a's processes are %v: first %d, daemon %d, b's daemon %d", pids, a.PID(), inA, inB)
	}
	s.stop(a, 0)
	for _, pid := range pids {
		s.dead("a process of a", pid)
	}
	s.alive("b's daemon", inB)
	if pids := b.PIDs(); !slices.Equal(pids, []int{inB}) {
		s.Errorf("b's processes are %v, not %d", pids, inB)
	}
	s.stop(b, 0)
	s.dead("b's daemon", inB)
}

func zombies(s *suite) {
	p := s.start(s.shell("orphans", `for i in 1 2 3 4 5; do (sh -c 'echo $$; exec sleep 0.05' &); done; sleep 1000`))
	var pids []string
	s.eventually("five orphans", func() bool { pids = strings.Fields(s.read(s.path("orphans.log"))); return len(pids) == 5 })
	for _, text := range pids {
		pid, err := strconv.Atoi(text)
		if err != nil {
			s.Fatal(err)
		}
		s.eventually("the orphan is reaped", func() bool { return State(pid) == "" })
	}
	s.stop(p, 0)
	if state := State(p.PID()); state != "" {
		s.Errorf("the first process is left in state %s", state)
	}
}

func startCancelled(s *suite) {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if _, err := s.platform.Start(ctx, s.shell("never", "> "+s.path("started"))); !errors.Is(err, context.Canceled) {
		s.Errorf("error is %v, not cancelled", err)
	}
}

func ports(s *suite) {
	seen := map[int]bool{}
	for range 200 {
		port, err := s.platform.Port(s.Context())
		if err != nil {
			s.Fatal(err)
		}
		if seen[port] || port < 1024 || port > 65535 {
			s.Fatalf("port %d, after %d others", port, len(seen))
		}
		seen[port] = true
		address := net.JoinHostPort(s.platform.Host(), strconv.Itoa(port))
		l, err := net.Listen("tcp", address)
		if err != nil {
			s.Fatalf("the port is not free: %v", err)
		}
		l.Close()
	}
}

func manyShort(s *suite) {
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 15 {
				spec := s.shell(fmt.Sprintf("short-%d-%d", worker, i), "echo $1; exit $1", strconv.Itoa(i))
				p, err := s.platform.Start(s.Context(), spec)
				if err != nil {
					s.Error(err)
					return
				}
				<-p.Done()
				if e := p.Exit(); e.Code != i || s.read(spec.Log) != fmt.Sprintln(i) {
					s.Errorf("%s: %+v, log %q", spec.Name, e, s.read(spec.Log))
				}
			}
		})
	}
	group.Wait()
}

func closing(s *suite) {
	p := s.start(s.shell("left", Daemon, s.path("pid"), "trap '' TERM; sleep 1000 & wait; sleep 1000"))
	daemon := s.number(s.path("pid"))
	pids := p.PIDs()
	if err := s.platform.Close(); err != nil {
		s.Fatal(err)
	}
	s.dead("the daemon", daemon)
	for _, pid := range pids {
		s.dead("a process", pid)
	}
	if e := s.wait(p); e.Signal != "SIGKILL" {
		s.Errorf("exit is %+v", e)
	}
	if _, err := s.platform.Start(s.Context(), s.shell("late", "exit 0")); !errors.Is(err, platform.ErrClosed) {
		s.Errorf("start after close: %v", err)
	}
	s.stop(p, time.Hour)
	if pids := p.PIDs(); len(pids) > 0 {
		s.Errorf("processes after close: %v", pids)
	}
}
