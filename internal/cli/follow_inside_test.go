package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/controller"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/show"
)

// paused is a terminal that was stopped, or a pipe that is full: a write lasts until it is freed.
type paused struct {
	free chan struct{}
	mu   sync.Mutex
	text bytes.Buffer
}

func newPaused() *paused { return &paused{free: make(chan struct{})} }

func (p *paused) Write(b []byte) (int, error) {
	<-p.free
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *paused) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// A program that stops reading the events holds up the end of a run for 2 s. What it lacks is said, and nothing more goes to
// stdout, which looks as if it were whole otherwise; the reports are kept.
func TestEventsUnread(t *testing.T) {
	dir := recordtest.Of(1, "flask").Write(t)
	synctest.Test(t, func(t *testing.T) {
		stdout, began := newPaused(), time.Now()
		screen := newProgress(io.Discard, time.Now)
		events := &eventLines{w: stdout}
		var f followers
		f.follow(dir, screen, events)
		f.finish()
		screen.close()
		if took := time.Since(began); took != lastWritten {
			t.Errorf("the end took %v", took)
		}
		var stderr bytes.Buffer
		env, err := events.conclude(Env{Stdout: stdout, Stderr: &stderr})
		if err = errors.Join(err, printResult(env, dir, false, true)); err != nil {
			t.Error(err)
		}
		want := "bakeoff: warning: --json: events are missing after the first 0, and the line of the result: they were not read in time\n"
		if stderr.String() != want {
			t.Errorf("stderr: %s", &stderr)
		}
		close(stdout.free)
		synctest.Wait()
		if got := stdout.String(); strings.Contains(got, `"result"`) || strings.Count(got, "\n") != 1 {
			t.Errorf("stdout: %s", got)
		}
	})
	if _, err := os.Stat(filepath.Join(dir, "report.html")); err != nil {
		t.Error(err)
	}
}

// Events that cannot be written are an error, unless nobody reads them.
func TestEventsUnwritten(t *testing.T) {
	dir := recordtest.Of(1, "flask").Write(t)
	for cause, status := range map[error]int{syscall.ENOSPC: exitFailed, syscall.EPIPE: exitDone, syscall.EIO: exitDone} {
		var f followers
		var stderr bytes.Buffer
		screen, events := newProgress(io.Discard, time.Now), &eventLines{w: failing{cause}}
		f.follow(dir, screen, events)
		f.finish()
		screen.close()
		env, err := events.conclude(Env{Stdout: failing{cause}, Stderr: &stderr})
		if env.Stdout != io.Discard || exitStatus(err) != status || !strings.Contains(stderr.String(), "after the first 0, and the line of the result: cannot be written: ") {
			t.Errorf("%v: status %d (%v)\n%s", cause, exitStatus(err), err, &stderr)
		}
	}
}

// failing is a writer that fails.
type failing struct{ cause error }

func (f failing) Write([]byte) (int, error) { return 0, f.cause }

// spoiled is the record of a run under way in which reading panics after an event.
func spoiled() iter.Seq2[record.Item, error] {
	return func(yield func(record.Item, error) bool) {
		if yield(record.Item{Event: &record.Event{Sequence: 1, Kind: record.EventRun}}, nil) {
			panic("index out of range\x1b[2J")
		}
	}
}

// A panic in following a run does not end the run: it is said once.
func TestFollowingPanics(t *testing.T) {
	var out, stderr bytes.Buffer
	screen := newProgress(&stderr, time.Now)
	screen.watch(spoiled())
	screen.watch(spoiled())
	screen.show(record.Progress{Text: "the run goes on", Lasting: true})
	screen.close()
	said := "bakeoff: warning: the lines about the run end here, the run goes on: internal error: index out of range"
	if got := stderr.String(); strings.Count(got, said) != 1 || strings.Contains(got, "\x1b[2J") || !strings.HasSuffix(got, "the run goes on\n") {
		t.Errorf("stderr: %q", got)
	}
	events := &eventLines{w: &out}
	var all sync.WaitGroup
	events.start(&all, spoiled())
	all.Wait()
	if err := events.missing(); err == nil || !strings.HasPrefix(err.Error(), "internal error: index out of range") || !json.Valid(out.Bytes()) {
		t.Errorf("%v: %s", err, &out)
	}
}

// A panic in drawing what a run's record says ends the following, not who shows something.
func TestDrawingPanics(t *testing.T) {
	var d drawings
	synctest.Test(t, func(t *testing.T) {
		p := newProgress(&d, time.Now)
		p.terminal = true
		p.mu.Lock()
		lines := p.followed(80) // of no state
		p.mu.Unlock()
		synctest.Wait()
		p.show(record.Progress{Text: "after it"})
		p.close()
		if text := strings.Join(d.all, ""); lines != nil || strings.Count(text, "internal error") != 1 || !strings.Contains(text, "after it") {
			t.Errorf("%q: %q", lines, text)
		}
	})
}

// A terminal that is paused holds up neither a run's steps nor its end by more than 2 s; what had no room is counted where it is
// missing, and what is drawn is the last.
func TestTerminalPaused(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w, began := newPaused(), time.Now()
			p := newProgress(w, time.Now)
			p.terminal = terminal
			for range mostQueued + 12 {
				p.show(record.Progress{Text: "stays", Lasting: true})
				synctest.Wait()
			}
			for range 100 {
				p.show(record.Progress{Text: "passes", Passing: true})
				time.Sleep(drawEvery)
			}
			if took := time.Since(began); took != 100*drawEvery {
				t.Errorf("showing took %v", took)
			}
			close(w.free)
			synctest.Wait()
			p.show(record.Progress{Text: "at last", Lasting: true})
			p.close()
			got := w.String()
			if n := strings.Count(got, "stays"); n != mostQueued+1 || !strings.Contains(got, "bakeoff: "+show.Plural(lacking(terminal), "line")+" left out here\n") {
				t.Errorf("terminal %v: %d lines\n%s", terminal, n, got[max(0, len(got)-500):])
			}
			if n := strings.Count(got, "passes"); n > 2 {
				t.Errorf("terminal %v: %d drawings", terminal, n)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newPaused()
		p := newProgress(w, time.Now)
		p.show(record.Progress{Text: "stays", Lasting: true})
		began := time.Now()
		p.close()
		if took := time.Since(began); took != lastWritten {
			t.Errorf("the end took %v", took)
		}
		close(w.free)
	})
}

// A terminal that is paused does not keep a signal from its work.
func TestSignalOnPausedTerminal(t *testing.T) {
	w := newPaused()
	ctx, stop := withSignals(t.Context(), w)
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute):
		t.Error("not interrupted")
	}
	close(w.free)
	stop()
	if got := w.String(); !errors.Is(context.Cause(ctx), controller.ErrInterrupted) || strings.Count(got, "bakeoff: interrupted, ending cleanly") != 1 {
		t.Errorf("%v: %s", context.Cause(ctx), got)
	}
}

// lacking is how many lines have no room in TestTerminalPaused: what passes is a line too where it is not drawn.
func lacking(terminal bool) int {
	if terminal {
		return 11
	}
	return 11 + int(100*drawEvery/passingEvery)
}

// No line is lost of a run that is attached to, however slowly they are read.
func TestAttachWaits(t *testing.T) {
	w := newPaused()
	screen := newScreen(w, time.Now, true)
	time.AfterFunc(50*time.Millisecond, func() { close(w.free) })
	for range 3 * mostQueued {
		screen.show(record.Progress{Text: "stays", Lasting: true})
	}
	screen.close()
	if n := strings.Count(w.String(), "\n"); n != 3*mostQueued {
		t.Errorf("%d lines", n)
	}
}

// The names of targets in a record are not to be trusted.
func TestProgressIsInert(t *testing.T) {
	if got := text(record.Progress{Target: "a\x1b[2J\nb", Text: "c\x1b"}); strings.ContainsAny(got, "\x1b\n") {
		t.Errorf("%q", got)
	}
}

// That a threshold is missed gives its status to nothing that failed.
func TestThresholdIsNoFailure(t *testing.T) {
	missed := fmt.Errorf("%w: closed: p99 < 1s is missed", errThreshold)
	for _, c := range []struct {
		other  error
		status int
	}{
		{nil, exitMissed},
		{errors.New("a process is left"), exitFailed},
		{fmt.Errorf("%w 1m", controller.ErrMaxTime), exitFailed},
		{fmt.Errorf("%w: flask", controller.ErrTooFewValid), exitTooFew},
		{controller.ErrInterrupted, exitInterrupted},
	} {
		for _, err := range []error{errors.Join(c.other, errors.Join(nil, missed)), errors.Join(missed, c.other)} {
			if got := exitStatus(err); got != c.status {
				t.Errorf("%v: status %d, want %d", err, got, c.status)
			}
		}
	}
}
