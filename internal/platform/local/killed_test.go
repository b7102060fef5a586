//go:build linux

package local_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bakeoff/internal/platform"
	"bakeoff/internal/platform/local"
)

// A subject is a server that the killed controller had started. Its command
// may hold {port}.
type subject struct {
	name string
	tool string // command that must be found; empty: python3
	args []string
}

var subjects = []subject{
	{name: "prefork", args: []string{"prefork.py", "{port}", "4"}},
	{name: "daemon", args: []string{"daemon.py", "{port}"}},
	{name: "daemon-stay", args: []string{"daemon.py", "{port}", "stay"}},
	{name: "gunicorn", tool: "gunicorn", args: []string{"--workers", "4", "--bind", "127.0.0.1:{port}", "app:wsgi"}},
	{name: "uvicorn", tool: "uvicorn", args: []string{"--workers", "7", "--port", "{port}", "app:asgi"}},
}

// command finds the tool in PATH or in a target that bakeoff has prepared.
func (s subject) command() ([]string, error) {
	if s.tool == "" {
		python, err := exec.LookPath("python3")
		return append([]string{python}, s.args...), err
	}
	tool, err := exec.LookPath(s.tool)
	if err != nil {
		cache, _ := os.UserCacheDir()
		for _, pattern := range []string{"*/bin", "*/*/bin", "*/*/*/bin", "*/*/*/*/bin"} {
			found, _ := filepath.Glob(filepath.Join(cache, "bakeoff", "targets", pattern, s.tool))
			for _, path := range found {
				if exec.Command(path, "--version").Run() == nil { // else it is not prepared to the end
					return append([]string{path}, s.args...), nil
				}
			}
		}
	}
	return append([]string{tool}, s.args...), err
}

// controller is a process that starts subjects and stops them, over and over, until
// it is killed: controller STATE-DIR FOLDER LOCK COMMAND... . It prints the id
// of the guard and appends each port to the file "ports" before it is used.
func controller(args []string) error {
	state, dir, lock, command := args[0], args[1], args[2], args[3:]
	ctx := context.Background()
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	p, err := local.Open(ctx, local.Options{Self: []string{exe, "guard"}, StateDir: state, Lock: lock, Label: "killed"})
	if err != nil {
		return err
	}
	fmt.Println(p.GuardPID())
	for i := 0; ; i++ {
		if err := round(ctx, p, dir, command, i); err != nil {
			return err
		}
	}
}

// round starts two copies, waits until they listen, and stops one of them.
func round(ctx context.Context, p *local.Platform, dir string, command []string, i int) error {
	var started []platform.Process
	for copied := range 2 {
		port, err := p.Port(ctx)
		if err != nil {
			return err
		}
		if err := appendLine(filepath.Join(dir, "ports"), strconv.Itoa(port)); err != nil {
			return err
		}
		var argv []string
		for _, arg := range command {
			argv = append(argv, strings.ReplaceAll(arg, "{port}", strconv.Itoa(port)))
		}
		name := fmt.Sprintf("subject-%d-%d", i, copied)
		c, err := p.Start(ctx, platform.Spec{
			Name: name, Argv: argv, Dir: dir, Log: filepath.Join(dir, name+".log"),
			Env:   []string{"PATH=" + os.Getenv("PATH"), "PYTHONDONTWRITEBYTECODE=1"},
			Guest: copied == 1, // it is frozen by its control group, the other one by signals
		})
		if err != nil {
			return err
		}
		started = append(started, c)
		for !listening(port) {
			time.Sleep(10 * time.Millisecond)
		}
	}
	if err := p.Freeze(ctx, started[i%2]); err != nil { // what is frozen when the controller is killed ends, too
		return err
	}
	return started[0].Stop(ctx, 200*time.Millisecond)
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, line)
	return errors.Join(err, f.Close())
}

func listening(port int) bool {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// A victim is a running controller with what it has started.
type victim struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   *bufio.Reader
	dir   string
	state string
	lock  string
}

// launch starts a controller. This process becomes a child subreaper, so that
// whatever the controller and its guard lose turns up below this process.
func launch(t *testing.T, s subject) *victim {
	t.Helper()
	command, err := s.command()
	if err != nil {
		t.Skipf("SKIPPED: no %s in PATH or among the prepared targets: %v", s.tool, err)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{t: t, dir: t.TempDir(), state: t.TempDir(), lock: newLock()}
	if err := os.CopyFS(v.dir, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	v.cmd = exec.Command(exe, append([]string{"controller", v.state, v.dir, v.lock}, command...)...)
	v.cmd.Stderr = os.Stderr
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	v.out = bufio.NewReader(out)
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.killAll)
	return v
}

// guard reads the id of the controller's guard.
func (v *victim) guard() int {
	v.t.Helper()
	line, err := v.out.ReadString('\n')
	if err != nil && err != io.EOF {
		v.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		v.t.Fatal(err)
	}
	return pid
}

func (v *victim) ports() []int {
	data, _ := os.ReadFile(filepath.Join(v.dir, "ports")) // none yet when killed early
	var ports []int
	for line := range strings.Lines(string(data)) {
		port, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			v.t.Errorf("port: %v", err)
		}
		ports = append(ports, port)
	}
	return ports
}

func (v *victim) listeners() (open []int) {
	for _, port := range v.ports() {
		if listening(port) {
			open = append(open, port)
		}
	}
	return open
}

// awaitListeners waits until n of the ports answer.
func (v *victim) awaitListeners(n int) {
	v.t.Helper()
	for end := time.Now().Add(30 * time.Second); len(v.listeners()) < n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			v.t.Fatalf("%d ports listen, not %d", len(v.listeners()), n)
		}
	}
}

// left lists the living processes below this one, and those whose folder is
// the victim's wherever they are. It is independent of how the guard looks.
func (v *victim) left() (found []string) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	parent, state := map[int]int{}, map[int]string{}
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		var pid int
		fmt.Sscan(string(data), &pid)
		f := strings.Fields(string(data[strings.LastIndex(string(data), ")")+1:]))
		state[pid] = f[0]
		parent[pid], _ = strconv.Atoi(f[1])
	}
	for pid := range parent {
		if state[pid] == "Z" || state[pid] == "X" {
			if parent[pid] == os.Getpid() && pid != v.cmd.Process.Pid {
				syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
			}
			continue
		}
		below := false
		for up := parent[pid]; up > 1 && !below; up = parent[up] {
			below = up == os.Getpid()
		}
		folder, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
		if below || folder == v.dir {
			command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			found = append(found, fmt.Sprintf("%d %q", pid, command))
		}
	}
	return found
}

func (v *victim) kill() {
	v.cmd.Process.Kill()
	v.cmd.Wait()
}

// killAll cleans up after a test that has failed.
func (v *victim) killAll() {
	v.kill()
	for range 100 {
		left := v.left()
		if len(left) == 0 {
			return
		}
		for _, line := range left {
			var pid int
			fmt.Sscan(line, &pid)
			syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// clean waits until nothing is left, for 5 s at most, and says how long it took.
func (v *victim) clean(since time.Time) time.Duration {
	v.t.Helper()
	for {
		left := v.left()
		if len(left) == 0 {
			break
		}
		if time.Since(since) > 5*time.Second {
			v.t.Fatalf("after 5 s there are left: %s; ports %v", strings.Join(left, "; "), v.listeners())
		}
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(since)
	if open := v.listeners(); len(open) > 0 {
		v.t.Fatalf("after 5 s these ports listen: %v", open)
	}
	return took
}

// TestLongKill kills controllers at random moments: 6 in all, or 50 with BAKEOFF_LONG.
func TestLongKill(t *testing.T) {
	moments := 6
	if os.Getenv("BAKEOFF_LONG") != "" {
		moments = 50
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("BAKEOFF_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("BAKEOFF_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var present []subject
	for _, s := range subjects {
		if _, err := s.command(); err != nil {
			t.Logf("SKIPPED %s: neither in PATH nor among the prepared targets", s.name)
			continue
		}
		present = append(present, s)
	}
	alive, last := 0, time.Duration(0)
	for i := range moments {
		s := present[i%len(present)]
		after := time.Duration(random.Int64N(int64(3 * time.Second)))
		t.Run(fmt.Sprintf("%d-%s-%v", i, s.name, after.Round(time.Millisecond)), func(t *testing.T) {
			v := launch(t, s)
			time.Sleep(after)
			processes, ports := len(v.left()), len(v.listeners())
			begin := time.Now()
			v.kill()
			took := v.clean(begin)
			t.Logf("killed after %v with %d processes and %d ports: nothing left after %v", after, processes, ports, took)
			if files, _ := os.ReadDir(v.state); len(files) > 0 {
				t.Errorf("state left: %v", files)
			}
			alive += min(ports, 1)
			last = max(last, took)
		})
	}
	t.Logf("%d moments, in %d of them servers were listening; the longest end took %v", moments, alive, last)
	if alive == 0 {
		t.Error("no server was listening at any moment: nothing was proved")
	}
}
