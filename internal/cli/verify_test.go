package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestVerify checks an honest target, in a folder outside of the program's that init
// wrote, and a broken one inside it: adding a framework touches nothing else. TestOrdinaryUser has a run of such a folder.
func TestVerify(t *testing.T) {
	s := newScene(t)
	assets(t, s)
	copyTarget(t, s, "liar", "go-nethttp", "name: liar", "title: Liar")
	spoil(t, s.path("assets", "targets", "liar", "main.go"), "found.Exists, found.ID = true, &id", "id++\n\t\tfound.Exists, found.ID = true, &id")
	s.write("liar.yaml", planText("liar", 1))

	s.run(0, "init", "target", "folders/newcomer", "--from", "go-nethttp")
	honest := s.run(0, "verify", "--short", "./folders/newcomer")
	honest.nothingLeft(time.Second)
	s.noFiles()
	wantAll(t, "stdout", honest.stdout.String(), "newcomer: keeps the contract")

	liar := s.run(1, "verify", "--json", "liar.yaml")
	liar.nothingLeft(time.Second)
	s.noFiles()
	wantAll(t, "stderr", liar.stderr.String(), "bakeoff: error: a target does not keep the contract: liar")
	var verdict struct {
		Target string
		Checks []struct{ OK bool }
	}
	if err := json.Unmarshal([]byte(liar.stdout.String()), &verdict); err != nil {
		t.Fatalf("%v: %s", err, liar.stdout)
	}
	failed := 0
	for _, c := range verdict.Checks {
		if !c.OK {
			failed++
		}
	}
	if verdict.Target != "liar" || failed == 0 || failed == len(verdict.Checks) {
		t.Errorf("%s: %d of %d checks failed", verdict.Target, failed, len(verdict.Checks))
	}
}

// assets gives a scene targets and plans of its own.
func assets(t *testing.T, s *scene) {
	t.Helper()
	for _, name := range []string{"targets", "plans"} {
		if err := os.CopyFS(s.path("assets", name), os.DirFS(filepath.Join("../..", name))); err != nil {
			t.Fatal(err)
		}
	}
	s.env = append(s.env, "BAKEOFF_ASSETS="+s.path("assets"))
}

// copyTarget makes the folder of a new target; each given line replaces the one of the
// recipe that begins with the same word.
func copyTarget(t *testing.T, s *scene, name, from string, lines ...string) {
	t.Helper()
	dir := s.path("assets", "targets", name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("../../targets", from))); err != nil {
		t.Fatal(err)
	}
	recipe, err := os.ReadFile(filepath.Join(dir, "target.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Split(string(recipe), "\n")
	for _, line := range lines {
		word, _, _ := strings.Cut(line, " ")
		for i := range text {
			if strings.HasPrefix(text[i], word+" ") {
				text[i] = line
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "target.yaml"), []byte(strings.Join(text, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// spoil changes a source file in one place.
func spoil(t *testing.T, path, old, changed string) {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(source), old) != 1 {
		t.Fatalf("%s holds %q %d times", path, old, strings.Count(string(source), old))
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(source), old, changed, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}
