package cli_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// TestInterrupt sends what means the same as Ctrl-C, at two moments of a run that each time goes on from there: it ends cleanly
// within seconds, and keeps what was finished. At last it is interrupted by Ctrl-C twice, and leaves at once. Every other moment
// is one of TestWhateverGoesWrong of the controller; TestSecretAndKeep interrupts a run of gunicorn.
func TestInterrupt(t *testing.T) {
	moments := []struct {
		name, text string
		times      int // text was seen this often when the signal is sent
		delay      time.Duration
		ended      int // trials by then, since the run went on; one more may come before the end
		signal     syscall.Signal
	}{
		{"database", "starting a private database", 1, 500 * time.Millisecond, 0, syscall.SIGTERM},
		{"load", "closed: 4 connections", 2, 300 * time.Millisecond, 1, syscall.SIGHUP},
	}
	s := newScene(t)
	s.write("p.yaml", planText("go-nethttp", 6, "warmup: 0s"))
	args, before := []string{"run", "p.yaml"}, 0
	for _, m := range moments {
		t.Run(m.name, func(t *testing.T) {
			s := s.in(t)
			e := s.start(args...)
			e.await(m.text, m.times)
			time.Sleep(m.delay)
			at := time.Now()
			e.signal(m.signal)
			e.wantStatus(130, 15*time.Second)
			t.Logf("ended %v after the signal", time.Since(at).Round(10*time.Millisecond))
			e.nothingLeft(0)
			s.noFiles()
			wantAll(t, "stderr", e.stderr.String(), "bakeoff: interrupted, ending cleanly (interrupt again to leave at once)", "bakeoff: error: interrupted\n")
			if got := strings.Count(e.stderr.String(), "bakeoff: error"); got != 1 {
				t.Errorf("%d errors:\n%s", got, e.stderr)
			}
			wantAll(t, "stdout", e.stdout.String(), "ABORTED: interrupted", " --full\n")
			wantAll(t, "stdout", strings.Join(strings.Fields(e.stdout.String()), " "), "no verdict: stopped before its 6 blocks (bakeoff run --resume goes on); ")
			r := s.open()
			if run := r.Run(); run.Status != record.Aborted || run.Reason != "interrupted" {
				t.Errorf("run: %s, %q", run.Status, run.Reason)
			}
			n := ended(t, r) - before
			if n < m.ended || n > m.ended+1 {
				t.Errorf("%d trials ended, want %d", n, m.ended)
			}
			before += n
		})
		args = []string{"run", "--resume", s.theRun()}
	}
	t.Run("twice", func(t *testing.T) { interruptTwice(t, s.in(t), args, before) })
}

func interruptTwice(t *testing.T, s *scene, args []string, before int) {
	e := s.start(args...)
	e.await("closed: 4 connections", 1)
	e.signal(syscall.SIGINT)
	e.await("bakeoff: interrupted", 1)
	e.signal(syscall.SIGINT)
	e.wantStatus(130, 2*time.Second)
	e.nothingLeft(5 * time.Second)
	r := s.open()
	if n := ended(t, r); n != before {
		t.Errorf("%d trials ended, before it were %d", n, before)
	}
	lines := s.run(0, "report", s.theRun()).stdout.String() // folded to the screen
	wantAll(t, "report", strings.Join(strings.Fields(lines), " "), fmt.Sprintf("%d of 6 blocks", finished(t, r)[record.Valid]))
}
