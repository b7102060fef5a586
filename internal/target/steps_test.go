package target_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"bakeoff/internal/target"
)

// layered is a recipe of three steps; the first two declare what they read. Each writes
// down that it ran, and the last one makes a file of the name in main.txt.
func layered(main, lock, more string) fstest.MapFS {
	return fstest.MapFS{
		"layered/target.yaml": {Data: []byte(`
name: layered
title: Layered
language: sh
needs:
  - {tool: sh, package: dash}
prepare:
  inherit: [TINY_*]
  steps:
    - {run: ["{sh}", -c, 'echo one >> "$TINY_RUNS"; mkdir {build}/env'], inputs: []}
    - {run: ["{sh}", -c, 'echo two >> "$TINY_RUNS"; cp lock.txt {build}/env/installed'], inputs: [lock.txt]}
    - {run: ["{sh}", -c, 'echo three >> "$TINY_RUNS"; touch {build}/made-$(cat src/main.txt); ` + more + `']}
versions: ["{sh}", -c, "echo a warning >&2; echo '{\"layered\": \"1.0\"}'"]
start: ["{sh}"]
processes: workers
pool: {kind: bounded}
protocol: text
keepalive: 75s
`)},
		"layered/src/main.txt": {Data: []byte(main)}, "layered/lock.txt": {Data: []byte(lock)},
	}
}

// workshop prepares layered recipes in one cache.
type workshop struct {
	t    *testing.T
	o    target.Preparation
	runs string
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	w := &workshop{t, into(t, t.TempDir()), filepath.Join(t.TempDir(), "runs")}
	t.Setenv("TINY_RUNS", w.runs)
	return w
}

// prepare prepares a recipe and returns which steps ran.
func (w *workshop) prepare(files fstest.MapFS) (*target.Prepared, string, error) {
	w.t.Helper()
	if err := os.WriteFile(w.runs, nil, 0o600); err != nil {
		w.t.Fatal(err)
	}
	r, err := target.Load(files, "layered", "")
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := target.Prepare(w.t.Context(), r, w.o)
	ran, readErr := os.ReadFile(w.runs)
	if readErr != nil {
		w.t.Fatal(readErr)
	}
	return p, strings.Join(strings.Fields(string(ran)), " "), err
}

// forget gives up what a process would hold until it ends.
func forget(t *testing.T, p *target.Prepared) {
	t.Helper()
	if err := target.Release(p); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "build", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range found {
		found[i] = filepath.Base(found[i])
	}
	return found
}

func TestEditsRunOnlyTheStepsThatReadThem(t *testing.T) {
	w := newWorkshop(t)
	dir := ""
	for i, c := range []struct {
		main, lock, ran string
		made            []string
	}{
		{"a", "1", "one two three", []string{"env", "made-a"}},
		{"b", "1", "three", []string{"env", "made-b"}}, // what the older text made is gone
		{"a", "1", "three", []string{"env", "made-a"}},
		{"a", "1", "", []string{"env", "made-a"}},
	} {
		p, ran, err := w.prepare(layered(c.main, c.lock, ""))
		if err != nil {
			t.Fatal(err)
		}
		if dir == "" {
			dir = p.Dir
		}
		if made := names(t, p.Dir); ran != c.ran || !slices.Equal(made, c.made) || p.Dir != dir || p.Versions["layered"] != "1.0" {
			t.Errorf("edit %d: %q ran, want %q; made %v in %s; versions %v", i, ran, c.ran, made, p.Dir, p.Versions)
		}
		if text, err := os.ReadFile(filepath.Join(p.Dir, "recipe", "src", "main.txt")); err != nil || string(text) != c.main {
			t.Errorf("edit %d: the copy holds %q, %v", i, text, err)
		}
		forget(t, p)
	}
	if p, ran, err := w.prepare(layered("a", "2", "")); err != nil || ran != "one two three" || p.Dir == dir {
		t.Errorf("with another lock: %q ran in %s, %v", ran, p.Dir, err)
	}
}

// A step that fails is repaired and tried again; those before it are kept.
func TestStepsBeforeAFailureAreKept(t *testing.T) {
	w := newWorkshop(t)
	if _, ran, err := w.prepare(layered("a", "1", "exit 7")); err == nil || ran != "one two three" {
		t.Fatalf("%q ran, %v", ran, err)
	}
	p, ran, err := w.prepare(layered("a", "1", ""))
	if err != nil || ran != "three" || p.Kept != 2 {
		t.Errorf("%q ran, %v", ran, err)
	}
}

// What was changed in the folder since is no ground to build on.
func TestAFolderThatWasTouchedIsMadeAnew(t *testing.T) {
	for what, touch := range map[string]func(dir string) error{
		"a file changed": func(dir string) error { return os.WriteFile(filepath.Join(dir, "installed"), []byte("2"), 0o600) },
		"a file removed": func(dir string) error { return os.Remove(filepath.Join(dir, "installed")) },
		"a mode changed": func(dir string) error { return os.Chmod(dir, 0o750) },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorkshop(t)
			p, _, err := w.prepare(layered("a", "1", ""))
			if err != nil {
				t.Fatal(err)
			}
			forget(t, p)
			if err := touch(filepath.Join(p.Dir, "build", "env")); err != nil {
				t.Fatal(err)
			}
			if _, ran, err := w.prepare(layered("b", "1", "")); err != nil || ran != "one two three" {
				t.Errorf("%q ran, %v", ran, err)
			}
		})
	}
}

// A step cannot read what it does not declare.
func TestAStepSeesWhatItDeclares(t *testing.T) {
	w := newWorkshop(t)
	files := layered("a", "1", "")
	text := strings.Replace(string(files["layered/target.yaml"].Data), "inputs: []", "inputs: [lock.txt]", 1)
	text = strings.Replace(text, "inputs: [lock.txt]}\n    - {run: [\"{sh}\", -c, 'echo three", "inputs: [lock.txt]}\n    - {run: [\"{sh}\", -c, 'cat src/main.txt'], inputs: []}\n    - {run: [\"{sh}\", -c, 'echo three", 1)
	files["layered/target.yaml"].Data = []byte(text)
	if _, _, err := w.prepare(files); err == nil || !strings.Contains(err.Error(), "step 3 of 4") || !strings.Contains(err.Error(), "src/main.txt") {
		t.Errorf("got %v", err)
	}
	files["layered/target.yaml"].Data = []byte(strings.Replace(text, "inputs: [lock.txt]", "inputs: [look.txt]", 1))
	if _, err := target.Load(files, "layered", ""); err == nil || !strings.Contains(err.Error(), "prepare.steps[0].inputs[0]") || !strings.Contains(err.Error(), "did you mean lock.txt") {
		t.Errorf("got %v", err)
	}
}

// Two contents of one name that are in use do not disturb each other, and clean leaves them alone.
func TestWhatIsInUseStays(t *testing.T) {
	w := newWorkshop(t)
	first, _, err := w.prepare(layered("a", "1", ""))
	if err != nil {
		t.Fatal(err)
	}
	second, ran, err := w.prepare(layered("b", "1", ""))
	if err != nil || second.Dir == first.Dir || ran != "one two three" {
		t.Fatalf("%q ran in %s, %v", ran, second.Dir, err)
	}
	again, ran, err := w.prepare(layered("a", "1", ""))
	if err != nil || again.Dir != first.Dir || ran != "" {
		t.Errorf("%q ran in %s, %v", ran, again.Dir, err)
	}
	forget(t, second)
	cleaned, err := target.CleanCache(w.o.CacheDir)
	if err != nil || !slices.Equal(cleaned.InUse, []string{first.Dir}) || cleaned.Bytes == 0 {
		t.Errorf("cleaned %+v, %v", cleaned, err)
	}
	if len(names(t, first.Dir)) == 0 || len(names(t, second.Dir)) != 0 {
		t.Errorf("left: %v and %v", names(t, first.Dir), names(t, second.Dir))
	}
	forget(t, first)
	forget(t, again)
	if cleaned, err := target.CleanCache(w.o.CacheDir); err != nil || cleaned.InUse != nil {
		t.Errorf("cleaned %+v, %v", cleaned, err)
	}
	if left, err := os.ReadDir(w.o.CacheDir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// The cache does not grow with every edit of a lock file.
func TestFewContentsAreKept(t *testing.T) {
	w := newWorkshop(t)
	for i := range 6 {
		p, _, err := w.prepare(layered("a", fmt.Sprint(i), ""))
		if err != nil {
			t.Fatal(err)
		}
		forget(t, p)
	}
	if left, err := filepath.Glob(filepath.Join(w.o.CacheDir, "layered", "*", "build")); err != nil || len(left) != 3 {
		t.Errorf("kept: %v, %v", left, err)
	}
}

func TestProgressNamesStepAndLastLine(t *testing.T) {
	w := newWorkshop(t)
	var begun, passing []string
	seen := filepath.Join(t.TempDir(), "seen")
	w.o.Progress = func(text string, pass bool) {
		if !pass {
			begun = append(begun, text)
			return
		}
		if passing = append(passing, text); strings.Contains(text, "half way") {
			if err := os.WriteFile(seen, nil, 0o600); err != nil {
				t.Error(err)
			}
		}
	}
	began := time.Now()
	if _, _, err := w.prepare(layered("a", "1", "echo half way; while test ! -e "+seen+"; do sleep 0.1; done")); err != nil {
		t.Fatal(err)
	}
	if len(begun) != 3 || !strings.Contains(begun[1], "preparing layered: step 2 of 3: {sh} -c") {
		t.Errorf("told: %q", begun)
	}
	if len(passing) == 0 || !strings.Contains(passing[len(passing)-1], "step 3 of 3") || time.Since(began) > time.Minute {
		t.Errorf("told meanwhile: %q", passing)
	}
}

func TestALargeFolderIsRefused(t *testing.T) {
	files := layered("a", "1", "")
	files["layered/data.bin"] = &fstest.MapFile{Data: make([]byte, 65<<20)}
	if _, err := target.Load(files, "layered", ""); err == nil || !strings.Contains(err.Error(), "data.bin: the folder holds more than 64 MiB") {
		t.Errorf("got %v", err)
	}
}
