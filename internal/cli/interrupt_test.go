package cli_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// TestInterrupt sends Ctrl-C, and what means the same, at several moments of a run: it ends cleanly within seconds.
func TestInterrupt(t *testing.T) {
	moments := []struct {
		name, text string
		times      int // text was seen this often when the signal is sent
		delay      time.Duration
		finished   int // valid trials by then
		signal     syscall.Signal
	}{
		{"database", "starting a private database", 1, 500 * time.Millisecond, 0, syscall.SIGINT},
		{"start", "starting", 3, 100 * time.Millisecond, 1, syscall.SIGTERM}, // "starting a private database" is the first
		{"load", "closed: 4 connections", 2, 300 * time.Millisecond, 1, syscall.SIGHUP},
		{"stop", "stopping", 2, 50 * time.Millisecond, 1, syscall.SIGINT},
	}
	s := newScene(t)
	s.write("p.yaml", planText("flask", 3, "warmup: 0s"))
	for _, m := range moments {
		t.Run(m.name, func(t *testing.T) {
			s := s.again(t)
			e := s.start("run", "p.yaml")
			e.await(m.text, m.times)
			time.Sleep(m.delay)
			at := time.Now()
			e.signal(m.signal)
			e.wantStatus(130, 15*time.Second)
			t.Logf("ended %v after the signal", time.Since(at).Round(10*time.Millisecond))
			e.nothingLeft(0)
			s.noFiles()
			r := s.open()
			if run := r.Run(); run.Status != record.Aborted || run.Reason != "interrupted" {
				t.Errorf("run: %s, %q", run.Status, run.Reason)
			}
			if got := finished(t, r); got[record.Valid] < m.finished || got[record.Valid] > m.finished+1 {
				t.Errorf("finished trials: %v, want %d valid", got, m.finished)
			}
			wantAll(t, "stderr", e.stderr.String(), "bakeoff: interrupted, ending cleanly (interrupt again to leave at once)", "bakeoff: error: interrupted\n")
			if got := strings.Count(e.stderr.String(), "bakeoff: error"); got != 1 {
				t.Errorf("%d errors:\n%s", got, e.stderr)
			}
			wantAll(t, "stdout", e.stdout.String(), "ABORTED: interrupted", " --full\n")
		})
	}
}

// TestInterruptTwice leaves at once.
func TestInterruptTwice(t *testing.T) {
	s := newScene(t)
	s.write("p.yaml", planText("flask", 3, "warmup: 0s"))
	e := s.start("run", "p.yaml")
	e.await("closed: 4 connections", 2)
	e.signal(syscall.SIGINT)
	e.await("bakeoff: interrupted", 1)
	e.signal(syscall.SIGINT)
	e.wantStatus(130, 2*time.Second)
	e.nothingLeft(5 * time.Second)
	r := s.open()
	if got := finished(t, r); got[record.Valid] != 1 {
		t.Errorf("finished trials: %v", got)
	}
	lines := s.run(0, "report", s.theRun()).stdout.String() // folded to the screen
	wantAll(t, "report", strings.Join(strings.Fields(lines), " "), "1 of 3 blocks")
}
