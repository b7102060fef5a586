package cli_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// TestRunWatched takes a run with a page and with events for a program: the page shows the run while it lasts, its stream
// has the load, the program gets every event of the record and the figures, and the end waits for nobody.
func TestRunWatched(t *testing.T) {
	s := newScene(t)
	s.write("p.yaml", planText("go-nethttp", 1, "warmup: 500ms"))
	e := s.start("run", "--short", "--dashboard", "--json", "p.yaml")
	e.await("closed: ", 1)
	found := regexp.MustCompile(`watch the run at (http://127\.0\.0\.1:\d+/)`).FindStringSubmatch(e.stderr.String())
	if found == nil {
		t.Fatalf("no address:\n%s", e.stderr)
	}
	answer, err := http.Get(found[1])
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	at := answer.Request.URL.String()
	if err != nil || !strings.Contains(string(page), `data-live="true"`) || !strings.HasSuffix(at, "/run/"+filepath.Base(s.theRun())+"/") {
		t.Errorf("%s (%v):\n%s", at, err, page)
	}
	stream, err := http.Get(at + "events")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	points, lines := 0, bufio.NewScanner(stream.Body)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var u struct {
			Series []struct{ Points []json.RawMessage }
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && json.Unmarshal([]byte(data), &u) == nil {
			for _, series := range u.Series {
				points += len(series.Points)
			}
		}
	}
	if points == 0 {
		t.Error("the stream has no second of load")
	}
	e.wantDone(time.Minute)
	if _, err := http.Get(at); err == nil {
		t.Error("the page is served after the run")
	}
	next, last := int64(1), ""
	for dec := json.NewDecoder(strings.NewReader(e.stdout.String())); dec.More(); next++ {
		var line struct {
			record.Event
			Run     string
			Summary struct{ Targets []struct{ Name string } }
		}
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if last = line.Kind; last == "result" {
			if filepath.Base(line.Run) != filepath.Base(s.theRun()) || len(line.Summary.Targets) != 1 {
				t.Errorf("the result is %+v", line)
			}
			continue
		}
		if line.Sequence != next {
			t.Errorf("event %d where %d was due", line.Sequence, next)
		}
	}
	if last != "result" || next < 10 {
		t.Errorf("%d lines, the last is %q", next, last)
	}
}
