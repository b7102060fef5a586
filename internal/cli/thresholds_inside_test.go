package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record/recordtest"
)

// aRunWith is the directory of a run with thresholds; django has half of flask's throughput.
func aRunWith(t *testing.T, root string, hour int, thresholds string) string {
	t.Helper()
	r := recordtest.Of(6, "django", "flask")
	r.ClosedS, r.OpenS, r.Root = 1, 0, root
	r.Head.Started = recordtest.Epoch().Add(time.Duration(hour) * time.Hour)
	r.Rate = func(target string, block int) int {
		return map[string]int{"django": 500, "flask": 1000}[target] + 2*block
	}
	r.Plan("throughput", `"thresholds":[`+thresholds+`]`)
	return r.Write(t)
}

// exits runs a command and returns its exit status with what it printed.
func exits(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = Main(t.Context(), Env{Args: args, Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Guest: true})
	return status, out.String(), errs.String()
}

// A run that misses a threshold exits with 3, one that leaves it undecided with 0, and with --strict with 3; printing a report
// succeeds, but with --strict it gives the same.
func TestThresholdStatus(t *testing.T) {
	for _, c := range []struct {
		thresholds            string
		run, strict, reported int
	}{
		{`"closed: throughput > 1"`, 0, 0, 0},
		{`"closed: p99.99 < 1s"`, 0, 3, 3},
		{`"closed: throughput > 1", "closed: django.throughput > flask.throughput"`, 3, 3, 3},
		{``, 0, 0, 0},
	} {
		dir := aRunWith(t, t.TempDir(), 0, c.thresholds)
		for strict, want := range map[bool]int{false: c.run, true: c.strict} {
			var out bytes.Buffer
			if got := exitStatus(printResult(Env{Stdout: &out, Stderr: &out}, dir, strict, false)); got != want {
				t.Errorf("%s: a run, strict %v, exits with %d, want %d", c.thresholds, strict, got, want)
			}
		}
		if status, _, errs := exits(t, "report", dir); status != 0 {
			t.Errorf("%s: report exits with %d: %s", c.thresholds, status, errs)
		}
		status, out, errs := exits(t, "report", "--strict", dir)
		if status != c.reported || !strings.Contains(out, "the rest    ") {
			t.Errorf("%s: report --strict exits with %d, want %d: %s", c.thresholds, status, c.reported, errs)
		}
		if c.run == 3 && !strings.Contains(errs, "bakeoff: error: thresholds of the plan: closed: django.throughput > flask.throughput is missed for django\n") {
			t.Errorf("%s: %s", c.thresholds, errs)
		}
	}
}

// compare --html writes a page in addition to what it prints, for several runs and for one and its baseline.
func TestComparePage(t *testing.T) {
	root := t.TempDir()
	var dirs []string
	for hour := range 6 {
		dirs = append(dirs, aRunWith(t, root, hour, ""))
	}
	page := filepath.Join(t.TempDir(), "compared.html")
	if status, out, errs := exits(t, "compare", "old="+dirs[0], "new="+dirs[5], "--html", page); status != 0 || !strings.Contains(out, "2 runs compared") {
		t.Fatalf("exits with %d: %s", status, errs)
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "new compared with old, by throughput") {
		t.Errorf("%v: %.300s", err, text)
	}
	if status, _, errs := exits(t, "compare", dirs[5], "--baseline", root, "--html", page); status != 0 {
		t.Fatalf("exits with %d: %s", status, errs)
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "compared with 5 earlier runs: django and flask as before") {
		t.Errorf("%v: %.300s", err, text)
	}
	if status, _, errs := exits(t, "compare", dirs[0], dirs[1], "--html", filepath.Join(root, "none", "x.html")); status != 1 || !strings.Contains(errs, "--html: ") {
		t.Errorf("a folder that is not there: %d: %s", status, errs)
	}
}
