package cli_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// agentOf finds an agent among the processes of a run.
func agentOf(t *testing.T, e *execution) int {
	t.Helper()
	e.watcher.look(false)
	for _, pid := range e.watcher.marked() {
		if line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); strings.HasSuffix(string(line), "\x00agent\x00") {
			return pid
		}
	}
	t.Fatal("found no agent")
	return 0
}

// loopbackAlone checks that nothing of a run listens at an address that others reach.
func loopbackAlone(t *testing.T, e *execution) {
	t.Helper()
	e.watcher.look(true)
	e.watcher.mu.Lock()
	defer e.watcher.mu.Unlock()
	sockets, listening := 0, listeningInodes()
	for inode := range e.watcher.inodes {
		if address, ok := listening[inode]; ok {
			sockets++
			if !strings.HasPrefix(address, "0100007F:") { // 127.0.0.1, as the kernel writes it
				t.Errorf("something listens at %s", address)
			}
		}
	}
	if sockets < 3 { // the controller for its agents, two replicas
		t.Errorf("%d listening sockets: too few to prove anything", sockets)
	}
}

// TestRunLosesAnAgent freezes an agent under load: the trial is invalid, says so, and is
// repeated with a fresh agent. There is no balancer: each agent asks both replicas itself.
func TestRunLosesAnAgent(t *testing.T) {
	s := newScene(t)
	text := strings.Replace(planText("go-nethttp", 1, "warmup: 0s", "balancer: {kind: direct}"), "deployment: {replicas: 1, workers: 2, pool: 4}", twoReplicas, 1)
	s.write("p.yaml", strings.Replace(text, "duration: 1s", "duration: 3s", 1))
	e := s.start("run", "p.yaml")
	e.await("closed: 4 connections for 3s", 1)
	frozen := agentOf(t, e)
	loopbackAlone(t, e)
	if err := syscall.Kill(frozen, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	e.wantEnd(90 * time.Second)
	e.nothingLeft(time.Second)
	wantAll(t, "stderr", e.stderr.String(), "invalid: agent-lost: ", ": silent for 2s")
	r := s.open()
	if status := e.cmd.ProcessState.ExitCode(); len(r.Trials()) < 2 || status != 0 && (status != 4 || len(r.Trials()) < 3) {
		t.Fatalf("exit status %d after %d attempts\nstderr:\n%s", status, len(r.Trials()), e.stderr)
	}
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			t.Fatal(err)
		}
		epochs, answers := map[int64]bool{}, map[string]int64{}
		for line, err := range state.Loads() {
			if err != nil {
				t.Fatal(err)
			}
			epochs[line.Epoch] = true
			for name, replica := range line.Replicas {
				answers[name] += replica.Answers
			}
		}
		switch {
		case trial.Attempt == 1:
			if trial.Status != record.Invalid || len(trial.Reasons) != 1 || trial.Reasons[0].Code != "agent-lost" || epochs[2] {
				t.Errorf("attempt 1: %s, %v, epochs %v", trial.Status, trial.Reasons, epochs)
			}
		case trial.Status == record.Valid || busy(trial):
			if !epochs[1] || !epochs[2] {
				t.Errorf("attempt %d: epochs %v", trial.Attempt, epochs)
			}
			if len(answers) != 2 || answers["go-nethttp-1"] == 0 || answers["go-nethttp-2"] == 0 {
				t.Errorf("attempt %d: answers by replica: %v", trial.Attempt, answers)
			}
			for _, p := range trial.Phases {
				if len(p.Starts) != 2 || p.StartSpreadNS < 0 {
					t.Errorf("phase %s: spread %d ns, starts %+v", p.Name, p.StartSpreadNS, p.Starts)
				}
			}
		default:
			t.Errorf("attempt %d: %s, %v", trial.Attempt, trial.Status, trial.Reasons)
		}
	}
	wantAll(t, "notes", strings.Join(r.Run().Notes, "\n"), "agents began each phase within ")
	wantAll(t, "report", e.stdout.String(), "agent-lost")
	wantAll(t, "whole report", s.run(0, "report", "--full", s.theRun()).stdout.String(), "Note: agents began each phase within ")
}
