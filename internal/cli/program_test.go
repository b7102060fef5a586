package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// Tests of whole runs start the test binary as the program (see TestMain) with
// real databases, balancers and targets.

func long() bool { return os.Getenv("BAKEOFF_LONG") == "1" }

// scene is the folder in which one test runs the program, with temporary files
// and a machine lock of its own.
type scene struct {
	t    *testing.T
	dir  string
	env  []string
	self string

	stdin string // of what it starts from now on
	// alone is set where runs do not share the machine with the user's consent.
	alone bool
}

// newScene makes the scene of a test, which runs at the same time as others from here on.
func newScene(t *testing.T) *scene {
	t.Helper()
	t.Parallel()
	return aloneScene(t)
}

// aloneScene makes the scene of a test that runs alone.
func aloneScene(t *testing.T) *scene {
	t.Helper()
	for _, tool := range []string{"mariadbd", "nginx"} {
		if _, err := exec.LookPath(tool); err != nil {
			if _, err := os.Stat("/usr/sbin/" + tool); err != nil {
				t.Skipf("SKIPPED: %s is not installed", tool)
			}
		}
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	self, err := exec.LookPath("bakeoff") // the copy of this binary that testscript made
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: the database's own account must be able to pass, and a
	// socket's path must be short.
	dir, err := os.MkdirTemp("", "be-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &scene{t: t, dir: dir, self: self}
	s.env = append(os.Environ(),
		"BAKEOFF_ASSETS="+root, "BAKEOFF_CACHE="+filepath.Join(cache, "bakeoff"),
		"BAKEOFF_LOCK=bakeoff-test-"+filepath.Base(dir), "TMPDIR="+s.path("tmp"))
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(s.path("tmp"), 0o777), os.Chmod(s.path("tmp"), 0o1777)); err != nil {
		t.Fatal(err)
	}
	return s
}

// again is the scene of a subtest: the same folder without earlier runs.
func (s *scene) again(t *testing.T) *scene {
	t.Helper()
	if err := os.RemoveAll(s.path("runs")); err != nil {
		t.Fatal(err)
	}
	out := *s
	out.t = t
	return &out
}

// in is the scene with its runs, in a subtest.
func (s *scene) in(t *testing.T) *scene {
	out := *s
	out.t = t
	return &out
}

func (s *scene) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// write makes a file and returns its path.
func (s *scene) write(name, text string) string {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return s.path(name)
}

// planText is a small plan of targets under closed load, so that a busy machine
// makes it slow and nothing else. more are further lines.
func planText(targets string, blocks int, more ...string) string {
	return fmt.Sprintf(`name: e2e
blocks: %d
dataset: {rows: 2000}
deployment: {replicas: 1, workers: 2, pool: 4}
targets: [%s]
phases: [{name: closed, model: closed, connections: 4, duration: 1s}]
%s
`, blocks, targets, strings.Join(more, "\n"))
}

// execution is one run of the program.
type execution struct {
	scene          *scene
	cmd            *exec.Cmd
	stdout, stderr *buffer
	began          time.Time
	done           chan struct{}
	watcher        *watcher
}

// start runs the program, with a watcher of everything it starts.
// A run has the user's consent to share the machine, unless the scene is alone: others test here at the same
// time, and would disturb it.
func (s *scene) start(args ...string) *execution {
	s.t.Helper()
	if args[0] == "run" && !s.alone {
		args = slices.Insert(args, 1, "--share-machine")
	}
	e := &execution{scene: s, stdout: &buffer{}, stderr: &buffer{}, began: time.Now(), done: make(chan struct{})}
	e.cmd = exec.Command(s.self, args...)
	e.cmd.Dir, e.cmd.Env, e.cmd.Stdout, e.cmd.Stderr = s.dir, s.env, e.stdout, e.stderr
	if s.stdin != "" {
		e.cmd.Stdin = strings.NewReader(s.stdin)
	}
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	e.cmd.WaitDelay = 10 * time.Second
	if err := e.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	e.watcher = watch(e.cmd.Process.Pid)
	go func() {
		e.cmd.Wait()
		close(e.done)
	}()
	s.t.Cleanup(func() {
		e.cmd.Process.Kill()
		<-e.done
		e.watcher.stop()
	})
	return e
}

// run runs the program to its end and checks its exit status.
func (s *scene) run(status int, args ...string) *execution {
	s.t.Helper()
	e := s.start(args...)
	e.wantStatus(status, 4*time.Minute)
	return e
}

// wantEnd waits for the end, which may have any status.
func (e *execution) wantEnd(within time.Duration) {
	e.scene.t.Helper()
	select {
	case <-e.done:
	case <-time.After(within):
		e.scene.t.Fatalf("%v has not ended after %v\nstderr:\n%s", e.cmd.Args[1:], within, e.stderr)
	}
}

// wantStatus waits for the end.
func (e *execution) wantStatus(status int, within time.Duration) {
	e.scene.t.Helper()
	e.wantEnd(within)
	if got := e.cmd.ProcessState.ExitCode(); got != status {
		e.scene.t.Fatalf("%v: exit status %d, want %d\nstderr:\n%s", e.cmd.Args[1:], got, status, e.stderr)
	}
}

// await waits until stderr holds text n times, or the record does of what this execution said: of the steps of a trial only the
// first is printed.
func (e *execution) await(text string, n int) {
	e.scene.t.Helper()
	e.until(text, n, func() int { return max(strings.Count(e.stderr.String(), text), e.recorded(text)) })
}

// awaitPrinted waits until stderr itself holds text: a step is in the record before it is printed.
func (e *execution) awaitPrinted(text string) {
	e.scene.t.Helper()
	e.until(text, 1, func() int { return strings.Count(e.stderr.String(), text) })
}

// until waits until the execution has said text n times, by count.
func (e *execution) until(text string, n int, count func() int) {
	e.scene.t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for count() < n {
		select {
		case <-e.done:
			e.scene.t.Fatalf("%v ended before it said %q (%d times)\nstderr:\n%s", e.cmd.Args[1:], text, n, e.stderr)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			e.scene.t.Fatalf("%v did not say %q in time\nstderr:\n%s", e.cmd.Args[1:], text, e.stderr)
		}
	}
}

// recorded is how many steps with that text are in the records that it writes, since the execution began.
func (e *execution) recorded(text string) int {
	patterns := []string{filepath.Join("runs", "*")}
	for i, arg := range e.cmd.Args[:len(e.cmd.Args)-1] {
		switch arg {
		case "--out":
			patterns = append(patterns, filepath.Join(e.cmd.Args[i+1], "*"))
		case "--resume":
			patterns = append(patterns, e.cmd.Args[i+1])
		}
	}
	var found []string
	for _, pattern := range patterns {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(e.cmd.Dir, pattern)
		}
		paths, err := filepath.Glob(filepath.Join(pattern, "events.jsonl"))
		if err != nil {
			e.scene.t.Fatal(err)
		}
		found = append(found, paths...)
	}
	slices.Sort(found)
	n := 0
	for _, path := range slices.Compact(found) {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it is being moved
		}
		for line := range bytes.Lines(content) {
			var framed struct{ Record record.Event }
			if json.Unmarshal(line, &framed) != nil {
				continue // it is being written
			}
			if said, ok := framed.Record.Progress(); ok && framed.Record.At.After(e.began) && strings.Contains(said.Text, text) {
				n++
			}
		}
	}
	return n
}

// awaitLoad waits until the record in runs/ holds a second of load of that many trials.
func (e *execution) awaitLoad(trials int) {
	e.scene.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		found, err := filepath.Glob(e.scene.path("runs", "*", "trials", "*", "load.jsonl"))
		if err != nil {
			e.scene.t.Fatal(err)
		}
		loaded := slices.DeleteFunc(found, func(path string) bool {
			info, err := os.Stat(path)
			return err != nil || info.Size() == 0
		})
		if len(loaded) >= trials {
			return
		}
		if time.Now().After(deadline) {
			e.scene.t.Fatalf("%d trials were loaded in time, want %d\nstderr:\n%s", len(loaded), trials, e.stderr)
		}
	}
}

// signal sends a signal, after a look at what is running.
func (e *execution) signal(s syscall.Signal) {
	e.scene.t.Helper()
	e.watcher.look(true)
	if err := e.cmd.Process.Signal(s); err != nil {
		e.scene.t.Fatal(err)
	}
}

// nothingLeft checks that within d no process and no listening socket of the
// execution is left. It must have started something.
func (e *execution) nothingLeft(d time.Duration) {
	e.scene.t.Helper()
	deadline := time.Now().Add(d)
	for {
		left, ports := e.watcher.left()
		if len(left) == 0 && len(ports) == 0 {
			break
		}
		if time.Now().After(deadline) {
			e.scene.t.Fatalf("%v after the end: processes %v, listening %v", d, left, ports)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if e.watcher.token == 0 {
		e.scene.t.Fatal("the watcher has not seen the guard: it watched nothing")
	}
}

// noFiles checks that no temporary file is left, except of a compiler that was killed.
func (s *scene) noFiles() {
	s.t.Helper()
	entries, err := os.ReadDir(s.path("tmp"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "go-build") {
			continue
		}
		s.t.Errorf("left behind: %s", s.path("tmp", e.Name()))
	}
}

// theRun returns the only run directory in runs/.
func (s *scene) theRun() string {
	s.t.Helper()
	found, err := filepath.Glob(s.path("runs", "*"))
	if err != nil || len(found) != 1 {
		s.t.Fatalf("run directories: %v, %v", found, err)
	}
	return found[0]
}

// open reads the only run directory, which must be undamaged.
func (s *scene) open() *record.Reader {
	s.t.Helper()
	r, err := record.Open(s.theRun())
	if err != nil {
		s.t.Fatal(err)
	}
	if p := r.Problems(); len(p) > 0 {
		s.t.Fatalf("problems: %v", p)
	}
	return r
}

// finished counts the finished trials by status; each must be readable to its last line.
func finished(t *testing.T, r *record.Reader) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, state := range r.Trials() {
		if state.State != record.Finished {
			continue
		}
		trial, err := state.Trial()
		if err != nil {
			t.Fatal(err)
		}
		out[trial.Status]++
		for _, err := range state.Loads() {
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, err := range state.Series() {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return out
}

// private checks that nobody else may read anything in the folder.
func private(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		} else {
			files++
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil || files < 5 {
		t.Fatalf("%d files in %s: %v", files, dir, err)
	}
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// watcher follows every process of one execution by the limit that marks it
// (see platform/local), and notes their command lines and listening sockets.
type watcher struct {
	controller int
	ended      chan struct{}
	stopped    sync.WaitGroup
	once       sync.Once

	mu     sync.Mutex
	token  uint64          // 0 until the guard was seen
	lines  map[string]bool // command lines
	inodes map[string]bool // of listening sockets
	seen   map[int]bool
}

func watch(controller int) *watcher {
	w := &watcher{
		controller: controller, ended: make(chan struct{}),
		lines: map[string]bool{}, inodes: map[string]bool{}, seen: map[int]bool{},
	}
	w.stopped.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-w.ended:
				return
			case <-tick.C:
				w.look(n%5 == 0)
			}
		}
	})
	return w
}

func (w *watcher) stop() {
	w.once.Do(func() { close(w.ended) })
	w.stopped.Wait()
}

// look takes one look at all processes, and at their listening sockets if
// asked to: the table of sockets is long on a machine under load.
func (w *watcher) look(sockets bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.token == 0 {
		w.token = tokenOfGuard(w.controller)
	}
	processes := append(w.marked(), w.controller)
	for _, pid := range processes {
		w.seen[pid] = true
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil {
			w.lines[string(line)] = true
		}
	}
	if !sockets {
		return
	}
	listening := listeningInodes()
	for _, pid := range processes {
		for _, inode := range inodesOf(pid) {
			if _, ok := listening[inode]; ok {
				w.inodes[inode] = true
			}
		}
	}
}

// marked are all living processes that carry the token.
func (w *watcher) marked() []int {
	if w.token == 0 {
		return nil
	}
	var out []int
	for _, pid := range allProcesses() {
		if tokenOf(pid) == w.token && !zombie(pid) {
			out = append(out, pid)
		}
	}
	return out
}

// running are those of the living processes that execute this file.
func (w *watcher) running(file string) []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(w.marked(), func(pid int) bool {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		return err != nil || exe != file
	})
}

// frozen are those of the living processes that stand still: stopped, or in a control group that the kernel has frozen.
func (w *watcher) frozen() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(w.marked(), func(pid int) bool {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, rest, _ := strings.Cut(string(stat), ") ")
		return !strings.HasPrefix(rest, "T") && !cold(pid)
	})
}

// cold reports whether the kernel has frozen the control group (version 2) of a process. Its file is looked for where the groups are
// mounted, or next to those of version 1.
func cold(pid int) bool {
	groups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	for line := range strings.Lines(string(groups)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
			if events, err := os.ReadFile(filepath.Join(mount, path, "cgroup.events")); err == nil {
				return strings.Contains(string(events), "frozen 1")
			}
		}
	}
	return false
}

// left are the processes and the listening sockets that still exist.
func (w *watcher) left() (processes []string, ports []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, pid := range w.marked() {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		processes = append(processes, fmt.Sprintf("%d %s", pid, strings.ReplaceAll(string(line), "\x00", " ")))
	}
	listening := listeningInodes()
	for inode := range w.inodes {
		if address, ok := listening[inode]; ok {
			ports = append(ports, address)
		}
	}
	return processes, ports
}

// counts are the processes and sockets seen so far.
func (w *watcher) counts() (processes, sockets int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen), len(w.inodes)
}

func (w *watcher) commandLines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.lines))
}

func allProcesses() []int {
	entries, _ := os.ReadDir("/proc")
	var out []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// tokenOfGuard finds the guard among the children of the controller.
func tokenOfGuard(controller int) uint64 {
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", controller))
	for _, file := range children {
		data, _ := os.ReadFile(file)
		for _, field := range strings.Fields(string(data)) {
			pid, _ := strconv.Atoi(field)
			if t := tokenOf(pid); t != 0 {
				return t
			}
		}
	}
	return 0
}

func tokenOf(pid int) uint64 {
	limits, _ := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid)) // of other accounts, too
	_, rest, _ := strings.Cut(string(limits), "Max realtime timeout")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	limit, err := strconv.ParseUint(fields[0], 10, 64)
	if err != nil || limit>>62 != 1 {
		return 0
	}
	return limit >> 16
}

func zombie(pid int) bool {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, ok := strings.Cut(string(stat), ") ")
	return !ok || strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

// inodesOf are the sockets a process holds.
func inodesOf(pid int) []string {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, _ := os.ReadDir(dir)
	var out []string
	for _, e := range entries {
		target, _ := os.Readlink(filepath.Join(dir, e.Name()))
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			out = append(out, strings.TrimSuffix(inode, "]"))
		}
	}
	return out
}

// listeningInodes maps the inode of every listening TCP socket to its address.
func listeningInodes() map[string]string {
	out := map[string]string{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, _ := os.ReadFile(file)
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" {
				out[f[9]] = f[1]
			}
		}
	}
	return out
}
