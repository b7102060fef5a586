//go:build linux

package local_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/platform"
	"bakeoff/internal/platform/local"
	"bakeoff/internal/platform/platformtest"
)

// TestSweepMarked finds what no state file knows, and leaves a living run alone.
func TestSweepMarked(t *testing.T) {
	v := lose(t, subjects[1])
	files := stateFiles(t, v.state)
	if len(files) != 1 {
		t.Fatalf("state files: %v", files)
	}
	token := strings.TrimSuffix(filepath.Base(files[0]), ".json")
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	living := t.TempDir()
	p := openWith(t, local.Options{StateDir: living})
	c, _ := start(t, p, "daemon.py", "stay")
	other := strings.TrimSuffix(filepath.Base(stateFiles(t, living)[0]), ".json")
	swept, err := local.SweepMarkedOf(t.Context(), token, other)
	if err != nil || len(swept.Runs) != 1 || !strings.Contains(swept.Runs[0], token) || len(swept.Processes) == 0 {
		t.Errorf("swept %+v, %v", swept, err)
	}
	if n := inFolder(v.dir); n > 0 {
		t.Errorf("seen %d times after the sweep", n)
	}
	if n := len(c.PIDs()); n != 2 {
		t.Errorf("%d processes of the living run, not 2", n)
	}
}

// TestChainOfForksWithoutGuard kills the guard and the deputy of a chain that is always in a new id.
func TestChainOfForksWithoutGuard(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		p, dir := open(t), t.TempDir()
		// The chain ends by itself, should the test be killed.
		if _, err := p.Start(t.Context(), platform.Spec{Name: "chain", Dir: dir, Argv: []string{
			python, "-c", "import os, time\nend = time.time() + 60\nwhile time.time() < end:\n if os.fork(): os._exit(0)\n os.setsid()",
		}}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the chain runs", func() bool { return inFolder(dir) > 0 })
		for _, pid := range append(deputies(t, p.GuardPID()), p.GuardPID()) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if n := inFolder(dir); n > 0 {
			t.Fatalf("seen %d times after the end", n)
		}
	}
}

// inFolder counts, in several looks, the processes that work in a folder.
func inFolder(dir string) (n int) {
	for range 8 {
		folders, _ := filepath.Glob("/proc/[0-9]*/cwd")
		for _, folder := range folders {
			if to, _ := os.Readlink(folder); to == dir {
				n++
			}
		}
	}
	return n
}

// lose kills a controller, its guard and the deputy at once, and waits until only what
// nobody guards any more is left.
func lose(t *testing.T, s subject) *victim {
	t.Helper()
	v := launch(t, s)
	guard := v.guard()
	v.awaitListeners(3) // the first two are up with all they fork
	for _, pid := range append(deputies(t, guard), guard) {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	stopped := deputies(t, guard)
	v.kill()
	for _, pid := range append(stopped, guard) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the guard is gone", func() bool { return !platformtest.Alive(guard) })
	time.Sleep(100 * time.Millisecond)
	if len(v.left()) == 0 || len(v.listeners()) == 0 {
		t.Fatalf("nothing is left to sweep: %v, ports %v", v.left(), v.listeners())
	}
	return v
}

func TestSweep(t *testing.T) {
	for _, s := range []subject{subjects[0], subjects[1]} {
		t.Run(s.name, func(t *testing.T) {
			v := lose(t, s)
			begin := time.Now()
			swept, err := local.Sweep(t.Context(), v.state)
			if err != nil {
				t.Fatal(err)
			}
			if len(swept.Runs) != 1 || swept.Runs[0] != "killed" || len(swept.Processes) == 0 || swept.Living != 0 {
				t.Errorf("swept %+v", swept)
			}
			v.clean(begin)
			if files := stateFiles(t, v.state); len(files) > 0 {
				t.Errorf("state left: %v", files)
			}
			again, err := local.Sweep(t.Context(), v.state)
			if err != nil || len(again.Runs)+len(again.Processes)+again.Living > 0 {
				t.Errorf("a second sweep: %+v, %v", again, err)
			}
		})
	}
}

func TestOpenSweeps(t *testing.T) {
	v := lose(t, subjects[1])
	p := openWith(t, local.Options{StateDir: v.state, Lock: v.lock})
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	v.clean(time.Now())
}

// A guard that is frozen when its controller dies does not do its work; the
// sweep gives it its time and then does it.
func TestSweepFrozenGuard(t *testing.T) {
	v := launch(t, subjects[1])
	guard := v.guard()
	v.awaitListeners(1)
	if err := syscall.Kill(guard, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	v.kill()
	if _, err := local.Sweep(t.Context(), v.state); err != nil {
		t.Fatal(err)
	}
	v.clean(time.Now())
}

func TestSweepLeavesTheLiving(t *testing.T) {
	dir := t.TempDir()
	p := openWith(t, local.Options{StateDir: dir})
	c, _ := start(t, p, "daemon.py", "stay")
	swept, err := local.Sweep(t.Context(), dir)
	if err != nil || swept.Living != 1 || len(swept.Processes) != 0 {
		t.Errorf("swept %+v, %v", swept, err)
	}
	if n := len(c.PIDs()); n != 2 {
		t.Errorf("%d processes live, not 2", n)
	}
}

// A state file that names the id of a process with another start time must
// not harm it; with the right one it must, or this test would prove nothing.
func TestSweepSparesReusedIDs(t *testing.T) {
	dir := t.TempDir()
	p := openWith(t, local.Options{StateDir: dir})
	start(t, p, "daemon.py", "stay") // makes the state file that is forged below
	files := stateFiles(t, dir)
	if len(files) != 1 {
		t.Fatalf("state files: %v", files)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	innocent := exec.Command("sleep", "1000")
	if err := innocent.Start(); err != nil {
		t.Fatal(err)
	}
	defer innocent.Wait()
	defer innocent.Process.Kill()
	begun := startTime(t, innocent.Process.Pid)

	forge := func(change map[string]any) local.Swept {
		t.Helper()
		var state map[string]any
		if err := json.Unmarshal(data, &state); err != nil {
			t.Fatal(err)
		}
		gone := map[string]any{"pid": innocent.Process.Pid, "start": begun - 1}
		state["holder"] = map[string]any{"controller": gone, "guard": gone, "run": "forged"}
		for k, v := range change {
			state[k] = v
		}
		forged, err := json.Marshal(state)
		if err != nil {
			t.Fatal(err)
		}
		other := t.TempDir()
		if err := os.WriteFile(filepath.Join(other, "0123456789ab.json"), forged, 0o600); err != nil {
			t.Fatal(err)
		}
		swept, err := local.Sweep(t.Context(), other)
		if err != nil {
			t.Fatal(err)
		}
		return swept
	}
	other := []any{map[string]any{"pid": innocent.Process.Pid, "start": begun - 1}}
	same := []any{map[string]any{"pid": innocent.Process.Pid, "start": begun}}

	if swept := forge(map[string]any{"first": other}); len(swept.Processes) > 0 || len(swept.Runs) != 1 {
		t.Errorf("another start time: %+v", swept)
	}
	if swept := forge(map[string]any{"first": same, "boot": "another"}); len(swept.Processes) > 0 {
		t.Errorf("another boot: %+v", swept)
	}
	if swept := forge(map[string]any{"first": same, "namespace": "pid:[1]"}); len(swept.Processes) > 0 {
		t.Errorf("another namespace: %+v", swept)
	}
	if !platformtest.Alive(innocent.Process.Pid) {
		t.Fatal("an innocent process was killed")
	}
	if swept := forge(map[string]any{"first": same}); len(swept.Processes) != 1 {
		t.Errorf("the same start time: %+v", swept)
	}
	if platformtest.Alive(innocent.Process.Pid) {
		t.Error("a process named by id and start time lives")
	}
}

func startTime(t *testing.T, pid int) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(data[strings.LastIndex(string(data), ")")+1:]))
	ticks, err := strconv.ParseInt(f[19], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return ticks
}

// A power cut can leave an empty state file. It is removed, unless the run lives.
func TestSweepUnreadable(t *testing.T) {
	dir := t.TempDir()
	p := openWith(t, local.Options{StateDir: dir})
	c, _ := start(t, p, "daemon.py", "stay")
	files := stateFiles(t, dir)
	if len(files) != 1 {
		t.Fatalf("state files: %v", files)
	}
	for _, path := range []string{files[0], filepath.Join(dir, "0123456789ab.json"), filepath.Join(dir, "notes.json")} {
		if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := local.Sweep(t.Context(), dir); err == nil || !strings.Contains(err.Error(), strconv.Itoa(c.PID())) {
		t.Errorf("the spoiled file of a living run: %v", err)
	}
	if n := len(c.PIDs()); n != 2 {
		t.Errorf("%d processes live, not 2", n)
	}
	if left := stateFiles(t, dir); len(left) != 2 { // the living run's, and what is not ours
		t.Errorf("left: %v", left)
	}
	if swept, err := local.Sweep(t.Context(), filepath.Join(dir, "missing")); err != nil || len(swept.Runs) > 0 {
		t.Errorf("missing folder: %+v, %v", swept, err)
	}
}
