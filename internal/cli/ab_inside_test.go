package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/controller"
	"bakeoff/internal/figures"
	"bakeoff/internal/report"
	"bakeoff/internal/verdict"
)

// The whole of bakeoff ab, on a fake venue and a fake loader in virtual time, as many times as a chance can be counted. The
// speed of each start varies with a CV of 2 %.

// abCount is how often each verdict came of 20 runs in which head has this multiple of base's throughput.
func abCount(t *testing.T, head float64) map[string]int {
	t.Helper()
	count := map[string]int{}
	base, other := abFolder(t, "one"), abFolder(t, "two")
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			got := newABWorld(seed, head).compared(t, abFlags{json: true}, base, other)
			if worse := got.json.Verdict == string(verdict.Worse); worse != errors.Is(got.err, errWorse) || !worse && got.err != nil {
				t.Errorf("seed %d: %s, but the error is %v", seed, got.json.Verdict, got.err)
			}
			count[got.json.Verdict]++
		})
	}
	return count
}

// A version that is 8 % slower is found.
func TestABFindsSlower(t *testing.T) {
	t.Parallel()
	if got := abCount(t, 1/1.08); got["worse"] < 19 {
		t.Errorf("8 %% slower, of 20: %v", got)
	}
}

// A version that is the same is not called worse.
func TestABLeavesEqual(t *testing.T) {
	t.Parallel()
	if got := abCount(t, 1); got["worse"] > 1 {
		t.Errorf("no difference, of 20: %v", got)
	}
}

// Labels are base and head, whatever the recipes are called, and each is the folder that was given.
func TestABLabels(t *testing.T) {
	base, head := abFolder(t, "the first"), abFolder(t, "the second")
	synctest.Test(t, func(t *testing.T) {
		w := newABWorld(1, 1/1.2)
		got := w.compared(t, abFlags{}, base, head)
		if !errors.Is(got.err, errWorse) || exitStatus(got.err) != exitMissed {
			t.Errorf("a fifth slower: %v", got.err)
		}
		if w.recipes["base"] != "the first" || w.recipes["head"] != "the second" {
			t.Errorf("what was run: %v", w.recipes)
		}
		for what, text := range map[string]string{"stdout": got.stdout, "Markdown": got.comment, "JUnit": got.unit} {
			if !strings.Contains(strings.Join(strings.Fields(text), " "), "head is worse than base: at least ") {
				t.Errorf("%s:\n%s", what, text)
			}
		}
		if !strings.HasPrefix(got.comment, report.ABMark) || len(got.comment) > 60_000 {
			t.Errorf("Markdown of %d bytes:\n%s", len(got.comment), got.comment)
		}
		if !strings.Contains(got.unit, `tests="1" failures="1" errors="0"`) {
			t.Errorf("JUnit:\n%s", got.unit)
		}
	})
}

// The exit status is 3 exactly when head is worse, and 4 where too few blocks count; one that is lost is no reason.
func TestABStatus(t *testing.T) {
	t.Parallel()
	base, head := abFolder(t, "one"), abFolder(t, "two")
	for name, c := range map[string]struct {
		head    float64
		sick    func(target string, start int) bool
		flags   abFlags
		verdict string
		status  int
	}{
		"better":        {head: 1.2, verdict: "better"},
		"equal":         {head: 1, flags: abFlags{delta: "20%"}, verdict: "equivalent"},
		"not told":      {head: 1.01, flags: abFlags{delta: "1%"}, verdict: "inconclusive"},
		"not enough":    {head: 1.01, flags: abFlags{delta: "1%", strict: true}, verdict: "inconclusive", status: exitTooFew},
		"head is sick":  {head: 1, sick: func(target string, _ int) bool { return target == "head" }, verdict: "too few valid trials", status: exitTooFew},
		"worse, a lost": {head: 1 / 1.2, sick: func(target string, start int) bool { return target == "base" && start >= 2 && start <= 4 }, verdict: "worse", status: exitMissed},
		"equal, a lost": {
			head: 1, sick: func(target string, start int) bool { return target == "base" && start >= 2 && start <= 4 }, flags: abFlags{delta: "20%"}, verdict: "equivalent",
		},
		"no time": {head: 1 / 1.2, flags: abFlags{maxTime: time.Minute}, verdict: "too few valid trials", status: exitTooFew},
		// Blocks that are refused again and again take more time than is left for them: those that are whole decide.
		"worse, cut short": {
			head: 1 / 1.2, sick: func(_ string, start int) bool { return start > 7 }, flags: abFlags{maxTime: 130 * time.Second}, verdict: "worse", status: exitMissed,
		},
		"worse in its time": {head: 1 / 1.2, flags: abFlags{maxTime: 5 * time.Minute}, verdict: "worse", status: exitMissed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newABWorld(3, c.head)
				w.sick, c.flags.json = c.sick, true
				got := w.compared(t, c.flags, base, head)
				if got.json.Verdict != c.verdict || exitStatus(got.err) != c.status {
					t.Errorf("%q with status %d (%v), want %q with %d: %s", got.json.Verdict, exitStatus(got.err), got.err, c.verdict, c.status, got.json.Line)
				}
				if fails := strings.Contains(got.unit, "<failure") || strings.Contains(got.unit, "<error"); fails != (c.status != exitDone) {
					t.Errorf("JUnit with status %d:\n%s", c.status, got.unit)
				}
			})
		})
	}
}

// Commits are compared as they are, whatever the working tree holds; a folder as it is. Nothing is left behind.
func TestABCommits(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("SKIPPED: git is not installed")
	}
	t.Setenv("TMPDIR", memoryDir(t))
	dir := abFolder(t, "first")
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.org"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "--quiet", "--initial-branch=main")
	git("add", ".")
	git("commit", "--quiet", "-m", "1")
	writeRecipe(t, dir, "second")
	git("commit", "--quiet", "-a", "-m", "2")
	writeRecipe(t, dir, "not committed")
	for _, c := range []struct{ base, head, first, second, note string }{
		{"main~1", "main", "first", "second", "head is the commit; the working tree has changes that were not measured"},
		{"main", dir, "second", "not committed", "head has changes that are in no commit; they were measured"},
	} {
		w := newABWorld(1, 1)
		var got abRun
		synctest.Test(t, func(t *testing.T) {
			got = w.compared(t, abFlags{target: dir, delta: "50%"}, c.base, c.head)
		})
		if got.err != nil {
			t.Error(got.err)
		}
		if w.recipes["base"] != c.first || w.recipes["head"] != c.second {
			t.Errorf("%s and %s are %v", c.base, c.head, w.recipes)
		}
		if !strings.Contains(got.comment, c.note) {
			t.Errorf("%s and %s: no %q in\n%s", c.base, c.head, c.note, got.comment)
		}
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "bakeoff-ab-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// What went wrong at the end of a run is an error of it and of its JUnit report, whatever its blocks say and however few there are.
func TestABFailsWhole(t *testing.T) {
	base, head := abFolder(t, "one"), abFolder(t, "two")
	left := errors.New("a process is left")
	for name, c := range map[string]struct {
		maxTime time.Duration
		sick    func(string, int) bool
	}{
		"all blocks": {},
		"few blocks": {sick: func(target string, _ int) bool { return target == "head" }},
		"cut short":  {maxTime: 130 * time.Second, sick: func(_ string, start int) bool { return start > 7 }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newABWorld(3, 1)
				w.closing, w.sick = left, c.sick
				got := w.compared(t, abFlags{delta: "20%", maxTime: c.maxTime}, base, head)
				if !errors.Is(got.err, left) || exitStatus(got.err) != exitFailed {
					t.Errorf("status %d: %v", exitStatus(got.err), got.err)
				}
				if !strings.Contains(got.unit, `<error message="the run was aborted: a process is left" type="aborted">`) {
					t.Errorf("JUnit:\n%s", got.unit)
				}
			})
		})
	}
}

// Where too few blocks count there is no verdict, so a threshold that is missed decides nothing.
func TestABOutcome(t *testing.T) {
	missed := []figures.Threshold{{Text: "closed: errors < 1", Target: "head", Outcome: figures.Missed}}
	for name, c := range map[string]struct {
		s      figures.Summary
		status int
	}{
		"too few":             {figures.Summary{AB: &figures.AB{TooFew: "4 of 6"}}, exitTooFew},
		"too few, and missed": {figures.Summary{AB: &figures.AB{TooFew: "4 of 6"}, Thresholds: missed}, exitTooFew},
		"missed":              {figures.Summary{AB: &figures.AB{Comparison: &verdict.Comparison{Verdict: verdict.Equivalent}}, Thresholds: missed}, exitMissed},
		"worse, and missed":   {figures.Summary{AB: &figures.AB{Comparison: &verdict.Comparison{Verdict: verdict.Worse}}, Thresholds: missed}, exitMissed},
		"equivalent":          {figures.Summary{AB: &figures.AB{Comparison: &verdict.Comparison{Verdict: verdict.Equivalent}}}, exitDone},
	} {
		if err := (&abFlags{}).outcome(&c.s); exitStatus(err) != c.status {
			t.Errorf("%s: status %d (%v), want %d", name, exitStatus(err), err, c.status)
		}
	}
	cut := figures.Summary{AB: &figures.AB{TooFew: "2 of 6"}, Run: figures.Facts{Reason: "the run took longer than --max-time 30s"}}
	if err := (&abFlags{}).outcome(&cut); err == nil || !strings.HasSuffix(err.Error(), ": 2 of 6; the run took longer than --max-time 30s") {
		t.Errorf("a run that was cut short: %v", err)
	}
}

// Nobody has to read what is printed: the verdict is the exit status all the same, and the files are whole.
func TestABUnread(t *testing.T) {
	base, head := abFolder(t, "one"), abFolder(t, "two")
	for cause, status := range map[error]int{syscall.EPIPE: exitMissed, syscall.ENOSPC: exitFailed} {
		synctest.Test(t, func(t *testing.T) {
			w := newABWorld(1, 1/1.2)
			w.unread = cause
			got := w.compared(t, abFlags{}, base, head)
			if exitStatus(got.err) != status {
				t.Errorf("%v: status %d (%v)", cause, exitStatus(got.err), got.err)
			}
			if !strings.Contains(got.unit, `tests="1" failures="1" errors="0"`) || !strings.Contains(got.comment, "head is worse than base") {
				t.Errorf("%v:\n%s\n%s", cause, got.unit, got.comment)
			}
		})
	}
}

// A run that is interrupted fails its JUnit report, and has no verdict though it has blocks enough for one.
func TestABInterrupted(t *testing.T) {
	base, head := abFolder(t, "one"), abFolder(t, "two")
	synctest.Test(t, func(t *testing.T) {
		w := newABWorld(3, 1)
		ctx, cancel := context.WithCancelCause(t.Context())
		w.sick = func(_ string, start int) bool {
			if start == 9 {
				cancel(controller.ErrInterrupted)
			}
			return false
		}
		got := w.comparedIn(ctx, t, abFlags{delta: "20%"}, base, head)
		if exitStatus(got.err) != exitInterrupted || !strings.Contains(got.stdout, "no verdict: stopped before its 10 blocks ") || strings.Contains(got.stdout, "equivalent") || !strings.Contains(got.unit, `type="aborted"`) {
			t.Errorf("status %d (%v)\n%s\n%s", exitStatus(got.err), got.err, got.stdout, got.unit)
		}
	})
}

// A plan's own test plan lies where the plan lies, and its collector is fed: here it has no server, and says so.
func TestABPlan(t *testing.T) {
	base, head := abFolder(t, "one"), abFolder(t, "two")
	dir := t.TempDir()
	path := filepath.Join(dir, "p.yaml")
	text := strings.Replace(abPlan, "./target", base, 1) + "collect: {influxdb: {url: \"http://127.0.0.1:1\", database: b}}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		got := newABWorld(1, 1).compared(t, abFlags{plan: path}, base, head)
		if !strings.Contains(got.stderr, "influxdb at http://127.0.0.1:1: 0 points written") {
			t.Errorf("%v\n%s", got.err, got.stderr)
		}
	})
	f := abFlags{plan: path}
	text = strings.Replace(abPlan, "./target", base, 1) + "agents: {engine: jmeter, jmx: own.jmx}\n"
	text = strings.NewReplacer("turns: 250ms\n", "", "warmup: 500ms to 1500ms", "warmup: 1s").Replace(text)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := f.template(Env{})
	if err != nil {
		t.Fatal(err)
	}
	p, err = p.withVersions(abVersions{{recipe: base}, {recipe: head}}, t.TempDir())
	if err != nil || p.Agents.JMX != filepath.Join(dir, "own.jmx") {
		t.Errorf("%q, %v", p.Agents.JMX, err)
	}
}

// Two folders are compared though git says nothing of them; that it does not is a warning.
func TestABUnknownCommit(t *testing.T) {
	bin := t.TempDir()
	script := "#!/bin/sh\necho \"fatal: detected dubious ownership in repository at '/app'\" >&2\nexit 128\n"
	if err := os.WriteFile(filepath.Join(bin, "git"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	base, head := abFolder(t, "one"), abFolder(t, "two")
	var stderr bytes.Buffer
	got, err := findVersions(t.Context(), Env{Stderr: &stderr}, "", []string{base, head}, t.TempDir())
	if err != nil || got[0].Commit != "" || got[0].Tree || !strings.Contains(stderr.String(), base+": its commit is not known: git rev-parse: fatal: detected dubious ownership") {
		t.Errorf("%+v, %v\n%s", got, err, stderr.String())
	}
}
