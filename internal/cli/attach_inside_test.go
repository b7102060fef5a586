package cli

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/controller"
	"bakeoff/internal/record"
)

// beginRun is a run directory with an open writer.
func beginRun(t *testing.T) *record.Writer {
	t.Helper()
	run := record.Run{Name: "attached", PlanDigest: "d", Order: []record.Place{{Block: 1, Position: 1, Target: "a"}}, Targets: []record.TargetInfo{{Name: "a"}}}
	w, err := record.Create(t.TempDir(), run, nil, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// carryOut writes what a run of one trial shows into its record and onto a screen of its own, while an hour passes.
func carryOut(t *testing.T, w *record.Writer, screen *progress) {
	said := []record.Progress{
		{Text: "starting a private database"},
		{Block: 1, Blocks: 1, Trial: 1, Trials: 1, Attempt: 2, Target: "a", Text: "closed: 4 connections for 1h0m0s", Expect: time.Hour},
		{Block: 1, Blocks: 1, Trial: 1, Trials: 1, Target: "a", Text: "invalid: books: \x1b[31mred", Lasting: true},
		{Text: "cd 'x' && y", Lasting: true, Verbatim: true},
	}
	for _, p := range said {
		time.Sleep(15 * time.Minute)
		screen.show(p)
		if err := w.Progress(p); err != nil {
			t.Error(err)
		}
	}
}

// attach shows, from the beginning, what the run showed, clock included, and ends as the run does.
func TestAttachShowsWhatTheRunShows(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]string{
		record.Complete: "", record.Aborted: "the run was aborted: no reason", record.Incomplete: "its controller is gone",
	} {
		synctest.Test(t, func(t *testing.T) {
			var direct, followed, out bytes.Buffer
			w := beginRun(t)
			screen := newProgress(&direct, time.Now)
			ended := make(chan error)
			time.Sleep(time.Second)
			go func() { ended <- attach(t.Context(), Env{Stdout: &out, Stderr: &followed}, w.Dir()) }()
			carryOut(t, w, screen)
			synctest.Wait()
			select {
			case err := <-ended:
				t.Fatalf("ended while the run was under way: %v", err)
			default:
			}
			if status == record.Incomplete {
				w.Close()
			} else if err := w.Finish(status, "no reason"); err != nil {
				t.Fatal(err)
			}
			err := <-ended
			screen.close()
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s: %v", status, err)
			}
			if followed.String() != direct.String() || strings.Count(direct.String(), "\n") != 4 || !strings.Contains(direct.String(), "45:01 [1/1] block 1 of 1, a, invalid") {
				t.Errorf("attached:\n%s\nthe run itself:\n%s", &followed, &direct)
			}
			if !regexp.MustCompile(`(?m)attached`).MatchString(out.String()) {
				t.Errorf("report:\n%s", &out)
			}
		})
	}
}

// Anyone who stops looking leaves the run alone.
func TestAttachInterrupted(t *testing.T) {
	w := beginRun(t)
	defer w.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(controller.ErrInterrupted)
	var out bytes.Buffer
	err := attach(ctx, Env{Stdout: &out, Stderr: &out}, w.Dir())
	if !errors.Is(err, controller.ErrInterrupted) || exitStatus(err) != exitInterrupted || out.Len() > 0 {
		t.Errorf("%v, printed %q", err, &out)
	}
	if err := attach(t.Context(), Env{Stdout: &out, Stderr: &out}, t.TempDir()); !errors.Is(err, record.ErrNoRun) {
		t.Errorf("without a run: %v", err)
	}
}
