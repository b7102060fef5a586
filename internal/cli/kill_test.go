package cli_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// TestLongKill kills the controller at random moments, resumes the run, kills it again, and lets it complete at
// last. Without full counts the target is one process; TestTurnsCutShort kills those of the other kinds.
func TestLongKill(t *testing.T) {
	t.Parallel()
	kills, blocks := 1, 1
	if long() {
		kills, blocks = 17, 10 // of each kind of target: 51 in all
	}
	for _, kind := range []struct {
		name, targets, deployment string
		within                    time.Duration // of the start of the database
	}{
		{"gunicorn", "django", "{replicas: 1, workers: 2, pool: 4}", 12 * time.Second},
		{"uvicorn", "fastapi", "{replicas: 1, workers: 7, pool: 2}", 12 * time.Second},
		{"compiled", "go-nethttp", "{replicas: 2, workers: 2, pool: 4}", 4 * time.Second},
	} {
		if !long() && kind.name != "compiled" {
			continue
		}
		t.Run(kind.name, func(t *testing.T) {
			s := newScene(t)
			text := strings.Replace(planText(kind.targets, blocks, "pilot: 500ms", "warmup: 0s"),
				"{replicas: 1, workers: 2, pool: 4}", kind.deployment, 1)
			if kind.targets == "django" {
				text = strings.Replace(text, "[django]", "[{recipe: django, settings: {DATABASE_BOUND: semaphore}}]", 1)
			}
			s.write("p.yaml", text)
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			killAndResume(t, s, kills, blocks, kind.within, rand.New(rand.NewPCG(seed, 0)))
		})
	}
}

func killAndResume(t *testing.T, s *scene, kills, blocks int, within time.Duration, random *rand.Rand) {
	args := []string{"run", "p.yaml"}
	valid, piloted := 0, false
	for k := range kills {
		e := s.start(args...)
		e.await("starting a private database", 1)
		moment := time.Duration(random.Int64N(int64(within)))
		select {
		case <-time.After(moment):
		case <-e.done: // it was faster: then there is nothing to resume
			e.wantDone(time.Second)
			t.Logf("kill %d: complete before %v", k+1, moment)
			return
		}
		e.signal(syscall.SIGKILL)
		<-e.done
		died := time.Now()
		e.nothingLeft(5 * time.Second)
		processes, sockets := e.watcher.counts()
		if moment > 20*time.Second && sockets < 1 {
			t.Errorf("the watcher saw %d processes and %d listening sockets: too few to prove anything", processes, sockets)
		}
		t.Logf("kill %d, %v after the start of the database: %d processes and %d ports gone after %v, last line %q", k+1,
			moment.Round(time.Millisecond), processes, sockets, time.Since(died).Round(time.Millisecond), lastLine(e.stderr.String()))
		valid = afterKill(t, s, valid)
		if piloted && strings.Contains(e.stderr.String(), "pilot, ") {
			t.Errorf("the pilot was repeated:\n%s", e.stderr)
		}
		piloted = piloted || strings.Contains(e.stderr.String(), "pilot: the slowest")
		args = []string{"run", "--resume", s.theRun()}
	}
	refuseChanged(t, s, blocks)
	e := s.start(args...)
	last, crowded := e.wantDone(4 * time.Minute)
	e.nothingLeft(0)
	s.noFiles()
	if piloted && strings.Contains(e.stderr.String(), "pilot, ") {
		t.Errorf("the pilot was repeated:\n%s", e.stderr)
	}
	r := s.open()
	if run := r.Run(); run.Status != record.Complete || run.Pilot == nil || run.Pilot.Slowest == "" && crowded == 0 {
		t.Errorf("run: %s, pilot %v", run.Status, run.Pilot)
	}
	if left := r.Remaining(); len(left) > crowded {
		t.Errorf("remaining: %v", left)
	}
	if got := finished(t, r); len(last) != 1+blocks || got[record.Valid] != len(last)-crowded {
		t.Errorf("trials: %v, want one for the pilot and one for each of %d blocks, of which %d are too busy", got, blocks, crowded)
	}
}

// afterKill checks that nothing finished was lost.
func afterKill(t *testing.T, s *scene, before int) int {
	t.Helper()
	r, err := record.Open(s.theRun())
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Run().Status; got != record.Incomplete {
		t.Errorf("status %s", got)
	}
	for _, state := range r.Trials() {
		if state.State == record.Damaged && !strings.Contains(state.Damage[0].What, "missing") {
			t.Errorf("damaged: %s: %v", state.Folder, state.Damage)
		}
	}
	valid := finished(t, r)[record.Valid]
	if valid < before {
		t.Errorf("%d valid trials, there were %d", valid, before)
	}
	return valid
}

// refuseChanged tries to resume with another plan.
func refuseChanged(t *testing.T, s *scene, blocks int) {
	t.Helper()
	s.write("changed.yaml", strings.Replace(planText("go-nethttp", blocks+1, "pilot: 500ms", "warmup: 0s"), "duration: 1s", "duration: 2s", 1))
	e := s.run(2, "run", "--resume", s.theRun(), "changed.yaml")
	wantAll(t, "stderr", e.stderr.String(), "has changed since the run began", fmt.Sprintf("\n  blocks: %d -> %d\n", blocks, blocks+1), "\n  phases[0].duration: 1s -> 2s\n")
	if e.stdout.String() != "" {
		t.Errorf("stdout: %s", e.stdout)
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
