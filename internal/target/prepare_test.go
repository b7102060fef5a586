package target_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"bakeoff/internal/target"
)

// tiny is a recipe with one step, a shell script; further lines of YAML may follow.
func tiny(t *testing.T, script, more string) *target.Recipe {
	t.Helper()
	r, err := target.Load(tinyFiles(script, more), "tiny", "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tinyFiles(script, more string) fstest.MapFS {
	text := `
name: tiny
title: Tiny
language: sh
needs:
  - {tool: sh, package: dash}
prepare:
  inherit: [TINY_*]
  env: {PLACE: "{build}"}
  steps:
    - run: ["{sh}", script.sh, "{build}"]
versions: ["{sh}", -c, "echo '{\"tiny\": \"1.0\"}'"]
start: ["{sh}"]
processes: workers
pool: {kind: bounded}
protocol: text
keepalive: 75s
` + more
	return fstest.MapFS{
		"tiny/target.yaml": {Data: []byte(text)}, "tiny/script.sh": {Data: []byte(script)}, "tiny/sub/data.txt": {Data: []byte("data")},
		"tiny/__pycache__/x.pyc": {Data: []byte("left out")}, "tiny/node_modules/x/y.js": {Data: []byte("left out")},
	}
}

// into prepares in a cache folder, on a platform that ends with the test.
func into(t *testing.T, cache string) target.Preparation {
	t.Helper()
	return target.Preparation{CacheDir: cache, Platform: openPlatform(t)}
}

// count is how often the script of count.sh ran.
func count(t *testing.T, file string) int {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(data), "ran\n")
}

func TestPrepareRunsOncePerContent(t *testing.T) {
	cache, runs := t.TempDir(), filepath.Join(t.TempDir(), "runs")
	t.Setenv("TINY_RUNS", runs)
	t.Setenv("OTHER_SECRET", "not for the steps")
	script := `echo ran >> "$TINY_RUNS"; test "$OTHER_SECRET" = "" && test "$PLACE" = "$1" && cat sub/data.txt > "$1/made"; test ! -e node_modules && test ! -e __pycache__`
	first, err := target.Prepare(t.Context(), tiny(t, script, ""), into(t, cache))
	if err != nil {
		t.Fatal(err)
	}
	if made, err := os.ReadFile(filepath.Join(first.Dir, "build", "made")); err != nil || string(made) != "data" {
		t.Errorf("the step made %q, %v", made, err)
	}
	if first.Cached || first.Versions["tiny"] != "1.0" || first.Dir != filepath.Join(cache, "tiny", "1") {
		t.Errorf("first: %+v", first)
	}
	again, err := target.Prepare(t.Context(), tiny(t, script, ""), into(t, cache))
	if err != nil {
		t.Fatal(err)
	}
	if !again.Cached || again.Dir != first.Dir || again.Versions["tiny"] != "1.0" || count(t, runs) != 1 {
		t.Errorf("again: %+v, ran %d times", again, count(t, runs))
	}
	other, err := target.Prepare(t.Context(), tiny(t, script+"\n", ""), into(t, cache))
	if err != nil {
		t.Fatal(err)
	}
	if other.Cached || other.Dir == first.Dir || count(t, runs) != 2 {
		t.Errorf("with another script: %+v, ran %d times", other, count(t, runs))
	}
}

func TestPrepareIsDoneAgainWithAnotherTool(t *testing.T) {
	cache, tools := t.TempDir(), t.TempDir()
	tool := filepath.Join(tools, "maker")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(tool, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write("exit 0 # one")
	files := tinyFiles("true", "")
	files["tiny/target.yaml"].Data = []byte(strings.Replace(string(files["tiny/target.yaml"].Data), "needs:\n", "needs:\n  - {tool: maker, any_of: ["+tool+"], package: none}\n", 1))
	for i, want := range []bool{false, true, false, true} {
		if i == 2 {
			write("exit 0 # another build of it")
		}
		r, err := target.Load(files, "tiny", "")
		if err != nil {
			t.Fatal(err)
		}
		p, err := target.Prepare(t.Context(), r, into(t, cache))
		if err != nil {
			t.Fatal(err)
		}
		if p.Cached != want {
			t.Errorf("preparation %d: cached %t", i+1, p.Cached)
		}
	}
	if err := os.Remove(tool); err != nil {
		t.Fatal(err)
	}
	r, err := target.Load(files, "tiny", "")
	if err != nil {
		t.Fatal(err)
	}
	var missing *target.MissingError
	if _, err := target.Prepare(t.Context(), r, into(t, cache)); !errors.As(err, &missing) || !strings.Contains(err.Error(), "maker (package none)") {
		t.Errorf("without the tool: %v", err)
	}
}

// A check that hangs is no missing package.
func TestASlowCheckIsNamed(t *testing.T) {
	files := tinyFiles("true", "")
	files["tiny/target.yaml"].Data = []byte(strings.Replace(string(files["tiny/target.yaml"].Data),
		"needs:\n", "needs:\n  - {tool: sleep, check: [\"1000\"], package: coreutils}\n  - {run: [sleep, \"1000\"], what: patience, package: none}\n", 1))
	r, err := target.Load(files, "tiny", "")
	if err != nil {
		t.Fatal(err)
	}
	target.Impatient(r)
	missing := r.Missing(t.Context())
	if len(missing) != 2 {
		t.Fatalf("missing: %+v", missing)
	}
	for i, what := range []string{"sleep", "patience"} {
		if m := missing[i]; m.Package != "" || !strings.HasPrefix(m.What, what+" (its check did not end in time: ") || !strings.Contains(m.What, "300ms") {
			t.Errorf("missing: %+v", m)
		}
	}
}

// A step that fails leaves no marker; what it had made is gone the next time.
func TestPrepareStartsOverAfterAFailure(t *testing.T) {
	cache, flag := t.TempDir(), filepath.Join(t.TempDir(), "flag")
	t.Setenv("TINY_FLAG", flag)
	script := `test ! -e "$1/half" || exit 9; touch "$1/half"; echo words of the tool; test -e "$TINY_FLAG" || exit 3`
	_, err := target.Prepare(t.Context(), tiny(t, script, ""), into(t, cache))
	for _, want := range []string{"step 1 of 1, ", "exit status 3", "prepare.log", "words of the tool"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("got %v, want %q in it", err, want)
		}
	}
	logs, err := filepath.Glob(filepath.Join(cache, "tiny", "1", "prepare.log"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs: %v, %v", logs, err)
	}
	if text, err := os.ReadFile(logs[0]); err != nil || !strings.Contains(string(text), "words of the tool") {
		t.Errorf("the log holds %q, %v", text, err)
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := target.Prepare(t.Context(), tiny(t, script, ""), into(t, cache))
	if err != nil || p.Cached {
		t.Fatalf("the second time: %+v, %v", p, err)
	}
}

func TestPrepareEndsItsStepsWhenInterrupted(t *testing.T) {
	cache, started := t.TempDir(), filepath.Join(t.TempDir(), "started")
	t.Setenv("TINY_STARTED", started)
	script := `sleep 1000 & echo $! > "$TINY_STARTED.tmp"; mv "$TINY_STARTED.tmp" "$TINY_STARTED"; wait`
	o := into(t, cache)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := target.Prepare(ctx, tiny(t, script, ""), o)
		ended <- err
	}()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(started); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the step does not start")
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	pid, err := os.ReadFile(started)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); alive(strings.TrimSpace(string(pid))); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %s of the step lives on", pid)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(cache, "tiny", "*", "done.json")); len(found) != 0 {
		t.Errorf("marked as done: %v", found)
	}
}

// alive reports whether the process exists and is no zombie.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

func TestPrepareTwiceAtOnceRunsOnce(t *testing.T) {
	cache, runs := t.TempDir(), filepath.Join(t.TempDir(), "runs")
	t.Setenv("TINY_RUNS", runs)
	r, o := tiny(t, `echo ran >> "$TINY_RUNS"; sleep 0.3`, ""), into(t, cache)
	var all sync.WaitGroup
	fresh := make(chan bool, 4)
	for range cap(fresh) {
		all.Go(func() {
			p, err := target.Prepare(t.Context(), r, o)
			if err != nil {
				t.Error(err)
				return
			}
			fresh <- !p.Cached
		})
	}
	all.Wait()
	close(fresh)
	n := 0
	for f := range fresh {
		if f {
			n++
		}
	}
	if n != 1 || count(t, runs) != 1 {
		t.Errorf("%d of 4 prepared, the step ran %d times", n, count(t, runs))
	}
}

func TestPrepareWaitsNoLongerThanAsked(t *testing.T) {
	cache, started := t.TempDir(), filepath.Join(t.TempDir(), "started")
	t.Setenv("TINY_STARTED", started)
	r := tiny(t, `touch "$TINY_STARTED"; sleep 1000`, "")
	o := into(t, cache)
	ctx, cancel := context.WithCancel(t.Context())
	var holder sync.WaitGroup
	holder.Go(func() { _, _ = target.Prepare(ctx, r, o) })
	defer holder.Wait()
	defer cancel()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(started); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the step does not start")
		}
	}
	short, end := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer end()
	var log strings.Builder
	o.Progress = func(text string, _ bool) { log.WriteString(text) }
	if _, err := target.Prepare(short, r, o); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	if strings.Count(log.String(), "waiting for another preparation") != 1 {
		t.Errorf("the log says %q", log.String())
	}
}

func TestVersionsMustBeAnObjectOfStrings(t *testing.T) {
	o := into(t, t.TempDir())
	for _, out := range []string{"", "{}", "[]", `{"a": 1}`, "nonsense"} {
		files := tinyFiles("true", "")
		text := strings.Replace(string(files["tiny/target.yaml"].Data), `echo '{\"tiny\": \"1.0\"}'`, fmt.Sprintf("echo '%s'", strings.ReplaceAll(out, `"`, `\"`)), 1)
		files["tiny/target.yaml"].Data = []byte(text)
		r, err := target.Load(files, "tiny", "")
		if err != nil {
			t.Fatal(err)
		}
		if p, err := target.Prepare(t.Context(), r, o); err == nil || !strings.Contains(err.Error(), "versions") {
			t.Errorf("%q: got %+v, %v", out, p, err)
		}
	}
}
