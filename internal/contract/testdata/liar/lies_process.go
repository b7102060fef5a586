package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// processLies are those about processes and files.
func processLies() map[string]lie {
	return map[string]lie{
		// A process that works on after the server has ended, without anything by which it is known.
		"ghost": {begin: func(*server) error { _, err := spawn("orphan"); return err }},
		// The same, started only when the server is asked to end.
		"late-ghost": {end: func(*server) {
			_, err := spawn("orphan")
			log.Print("late ghost: ", err)
		}},
		// The same, which is said to be a worker that is ready, and then comes a line that nobody can read.
		"ready-ghost": {end: func(*server) {
			pid, err := spawn("ghost")
			fmt.Printf("bakeoff: ready {\"pid\": %d, \"pool\": 1, \"protocol\": %q}\nbakeoff: ready {\n", pid, os.Getenv("PROTOCOL"))
			log.Print("ready ghost: ", err)
		}},
		// The access log is off, but its lines are kept, and written when the server is asked to end.
		"late-log": {
			answer: func(ctx context.Context, t *server, name string) (answer, error) { return t.look(ctx, name) },
			end: func(t *server) {
				for range t.answered.Load() {
					fmt.Println("GET /demo 200")
				}
			},
		},
		// Memory is filled that outlives the processes. LIE_ARG is the file.
		"memory": {end: func(t *server) { log.Print("memory: ", os.WriteFile(t.argument, make([]byte, 1<<20), 0o644)) }},
		// The record is made shorter when the trial ends. LIE_ARG is the folder of the runs.
		"rewrite": {end: func(t *server) {
			changed, err := shorten(t.argument)
			log.Printf("rewrite: %d files shortened, %v", changed, err)
		}},
		// The environment of the agents is read, and who may be signalled is found out.
		"spy": {begin: func(*server) error {
			read, signalled := spy()
			written := os.WriteFile(filepath.Join(os.Getenv("HOME"), "note"), []byte("x"), 0o600)
			log.Printf("spy: %d environments read, %d processes may be signalled, HOME: %v", read, signalled, written)
			return nil
		}},
	}
}

// spawn starts this program again in a session of its own, with an empty environment.
func spawn(as string) (pid int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(self, as)
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	return cmd.Process.Pid, nil
}

// realtimeLimit is RLIMIT_RTTIME: children inherit it.
const realtimeLimit = 15

// haunt is the body of the two processes behind a ghost: the first one changes its limits, starts the second, and ends. That
// one works for two minutes.
func haunt(as string) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(realtimeLimit, &limit); err == nil {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(realtimeLimit, &limit)
	}
	if as == "orphan" {
		if _, err := spawn("ghost"); err != nil {
			log.Fatal(err)
		}
		return
	}
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		for busy := time.Now().Add(time.Millisecond); time.Now().Before(busy); {
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// shorten takes the last line from each load.jsonl of the runs in a folder.
func shorten(runs string) (changed int, err error) {
	found, err := filepath.Glob(filepath.Join(runs, "*", "trials", "*", "load.jsonl"))
	if err != nil {
		return 0, err
	}
	if len(found) == 0 {
		return 0, fmt.Errorf("no load.jsonl can be seen in %s", runs)
	}
	for _, path := range found {
		data, err := os.ReadFile(path)
		if err != nil {
			return changed, err
		}
		cut := bytes.LastIndexByte(bytes.TrimSuffix(data, []byte("\n")), '\n') + 1
		if err := os.WriteFile(path, data[:cut], 0o600); err != nil {
			return changed, err
		}
		changed++
	}
	return changed, nil
}

// spy counts the environments of other processes that can be read and those that may be signalled.
func spy() (read, signalled int) {
	found, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range found {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if data, err := os.ReadFile(filepath.Join(dir, "environ")); err == nil && len(data) > 0 {
			read++
		}
		if syscall.Kill(pid, 0) == nil {
			signalled++
		}
	}
	return read, signalled
}
