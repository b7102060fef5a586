package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// TestShipped checks every plan that is shipped, or says what this machine lacks for it, and runs it in its short
// form where there is time for that.
func TestShipped(t *testing.T) {
	if !long() {
		t.Parallel()
	}
	plans, err := filepath.Glob("../../plans/*.yaml")
	if err != nil || len(plans) < 5 {
		t.Fatalf("plans: %v, %v", plans, err)
	}
	for _, path := range plans {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			skipMissing(t, s, name)
			if driven := name == "seed-collect" && os.Getenv("BAKEOFF_COLLECTORS") != ""; name == "seed-jmeter" || name == "seed-kubernetes" || !long() && !driven {
				return // TestRun is such a run, TestServers that of running servers, TestJMeterSeed that of JMeter, TestKubeNodesSeed that of a cluster
			}
			if name == "two-urls" {
				for _, address := range []string{"127.0.0.1:18081", "127.0.0.1:18082"} {
					serveAt(t, s, address, "location / { return 200 pong; }")
				}
			}
			e := s.start("run", "--short", name)
			e.wantStatus(0, 10*time.Minute)
			e.nothingLeft(time.Second)
			s.noFiles()
			r := s.open()
			if run := r.Run(); run.Status != record.Complete || !run.Short {
				t.Errorf("run: %s, short %v", run.Status, run.Short)
			}
			wantAll(t, "report", e.stdout.String(), name, "SHORT")
			checkTrials(t, r)
		})
	}
}

// checkTrials looks for reasons that a busy machine does not explain; at the rates of shipped plans a slow one gives
// wrong answers, too.
func checkTrials(t *testing.T, r *record.Reader) {
	t.Helper()
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			t.Fatal(err)
		}
		for _, reason := range notMachine(trial.Reasons) {
			if reason.Code != record.CodeWrongAnswers {
				t.Errorf("%s: %s: %s", state.Folder, reason.Code, reason.Text)
			}
		}
	}
}

// skipMissing skips when this machine lacks what a plan needs.
func skipMissing(t *testing.T, s *scene, plan string) {
	t.Helper()
	e := s.start("check", plan)
	<-e.done
	if status := e.cmd.ProcessState.ExitCode(); status == 5 {
		t.Skipf("SKIPPED: %s", e.stderr)
	} else if status != 0 {
		t.Fatalf("check %s: status %d\n%s", plan, status, e.stderr)
	}
}
