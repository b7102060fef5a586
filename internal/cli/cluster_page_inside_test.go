package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/remote"
)

// watchedBy is a run without a finished trial: it has a second of load, and goes on until seen is closed.
func watchedBy(seen <-chan struct{}) func(c *conductor) remote.Outcome {
	return func(c *conductor) remote.Outcome {
		_, w := c.begin()
		tw, err := w.BeginTrial(1, 1, "go", 1)
		if err != nil {
			c.t.Error(err)
			return remote.Outcome{}
		}
		phase := record.Phase{Number: 1, Name: "closed", Model: "closed", Connections: 8, DurationS: 9, Started: recordtest.Epoch()}
		for agent := range 2 {
			line := recordtest.Window(rand.New(rand.NewPCG(1, 2)), phase, 0, agent, 100, []record.Replica{{Name: "go-1"}})
			if err := tw.Load(line); err != nil {
				c.t.Error(err)
			}
		}
		select {
		case <-seen:
		case <-c.t.Context().Done():
		}
		if err := errors.Join(tw.Abandon("test"), w.Finish(record.Aborted, "test")); err != nil {
			c.t.Error(err)
		}
		return remote.Outcome{Error: "the run was aborted: test", Exit: exitFailed}
	}
}

// address waits for that of the page.
func (c *conductor) address(in func() string) string {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if found := regexp.MustCompile(`http://127\.0\.0\.1:\d+/`).FindString(in()); found != "" {
			return found
		}
	}
	c.t.Errorf("no address in %q", in())
	return ""
}

// page is what the first page shows once it is that of a run, and where it is.
func (c *conductor) page(address string) (text, at string) {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		answer, err := http.Get(address)
		if err != nil {
			continue
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if at = answer.Request.URL.String(); err == nil && strings.Contains(at, "/run/") {
			return string(body), at
		}
	}
	c.t.Errorf("no run at %s", address)
	return "", at
}

// sees waits until the page of a run under way has a second of its load.
func (c *conductor) sees(at string) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"events", nil)
	if err != nil {
		c.t.Error(err)
		return
	}
	stream, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Error(err)
		return
	}
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var u struct {
			Series []struct{ Points []json.RawMessage }
		}
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if ok && json.Unmarshal([]byte(data), &u) == nil && slices.ContainsFunc(u.Series, func(s struct{ Points []json.RawMessage }) bool { return len(s.Points) > 0 }) {
			return
		}
	}
	c.t.Errorf("no load in the stream of %s: %v", at, lines.Err())
}

// run --dashboard shows the trial under way of a run in a cluster, second by second, before any of it is finished.
func TestRunAwayWatched(t *testing.T) {
	seen := make(chan struct{})
	c := newConductor(t, watchedBy(seen))
	go func() {
		defer close(seen)
		text, at := c.page(c.address(c.stderr.String))
		if !strings.Contains(text, `data-live="true"`) {
			t.Errorf("%s is not live", at)
		}
		c.sees(at)
	}()
	status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--dashboard", "--out", c.out)
	if status != exitFailed || c.local().Run().Status != record.Aborted || len(c.local().Problems()) > 0 || len(c.api.Objects()) > 0 {
		t.Errorf("status %d, left %q:\n%s", status, c.api.Objects(), c.stderr)
	}
}

// dashboard shows a run in a cluster while it lasts and afterwards, and does nothing to it.
func TestDashboardAway(t *testing.T) {
	seen := make(chan struct{})
	c := newConductor(t, watchedBy(seen))
	if status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--detach", "--out", filepath.Join(c.out, "theirs")); status != exitDone {
		t.Fatalf("status %d:\n%s", status, c.stderr)
	}
	there := c.api.Objects()
	ctx, cancel := context.WithCancel(t.Context())
	stdout, done := &safeBuffer{}, make(chan int, 1)
	go func() {
		done <- c.into(ctx, stdout, "dashboard", "--context", "test", "--out", filepath.Join(c.out, "here"))
	}()
	_, at := c.page(c.address(stdout.String))
	c.sees(at)
	close(seen)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		text, _ := c.page(at)
		if strings.Contains(text, `data-live="false"`) || !strings.Contains(text, "data-live") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the page does not say that the run has ended")
		}
	}
	cancel()
	if status := <-done; status != exitDone && status != exitInterrupted {
		t.Errorf("status %d:\n%s", status, c.stderr)
	}
	if !slices.Equal(c.api.Objects(), there) {
		t.Errorf("left %q of %q", c.api.Objects(), there)
	}
	select {
	case <-c.server.Acked():
		t.Error("the controller was told that all is fetched")
	default:
	}
	found, err := filepath.Glob(filepath.Join(c.out, "here", "*"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	if r := openRun(t, found[0]); r.Run().Status != record.Aborted || len(r.Problems()) > 0 {
		t.Errorf("%s: %q", r.Run().Status, r.Problems())
	}
}

// Where there are several runs one has to be named; where there is none that is said.
func TestDashboardWhich(t *testing.T) {
	c := newConductor(t, whole)
	c.api.Put("/api/v1/namespaces/bakeoff-old", labelled("old")) // it is over
	for _, says := range []string{"no run is in the cluster", "several runs in the cluster: r1 in namespace bakeoff-r1, r2 in namespace bakeoff-r2"} {
		if status, _ := c.command(t.Context(), "dashboard", "--context", "test", "--out", c.out); status != exitUsage || !strings.Contains(c.stderr.String(), says) {
			t.Errorf("status %d, want %q:\n%s", status, says, c.stderr)
		}
		for _, run := range []string{"r1", "r2"} {
			object := labelled(run)
			object["metadata"].(map[string]any)["creationTimestamp"] = time.Now().UTC().Format(time.RFC3339)
			c.api.Put("/api/v1/namespaces/bakeoff-"+run, object)
		}
	}
}
