package cli_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bakeoff/internal/cli"
)

// TestLongABWorkflow runs the scripts of the workflow in docs/ci.md as a runner does, on a repository of two commits: the program is
// built from this checkout, compares them with its own plan, and the summary of the job is the comment.
func TestLongABWorkflow(t *testing.T) {
	if !long() {
		t.Skip("SKIPPED: BAKEOFF_LONG is not set")
	}
	s := aloneScene(t)
	dir := s.versioned("_ = name")
	root, err := filepath.Abs("../..")
	if err == nil {
		err = errors.Join(os.Symlink(root, filepath.Join(dir, ".bakeoff")), os.Mkdir(s.path("bin"), 0o755), os.Mkdir(s.path("home"), 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	scripts := cli.WorkflowScripts(t)
	env := append(s.env, "GITHUB_WORKSPACE="+dir, "GITHUB_STEP_SUMMARY="+s.path("summary.md"), "TARGET=app",
		"PATH="+s.path("bin")+":"+os.Getenv("PATH"))
	step := func(name string) (out string, status int) {
		t.Helper()
		if scripts[name] == "" {
			t.Fatalf("the workflow has no step %q with a script", name)
		}
		cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", strings.ReplaceAll(scripts[name], "/usr/local/bin", s.path("bin")))
		cmd.Dir, cmd.Env = dir, env
		text, err := cmd.CombinedOutput()
		if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(text), cmd.ProcessState.ExitCode()
	}
	if out, status := step("build bakeoff"); status != 0 {
		t.Fatalf("build: %d\n%s", status, out)
	}
	env = append(env, "HOME="+s.path("home")) // git's settings are written there; Go's cache is not
	out, status := step("compare")
	t.Logf("%d\n%s", status, out)
	if status != 0 {
		t.Errorf("two equal versions: exit status %d", status)
	}
	if out, status := step("summary of the job"); status != 0 {
		t.Errorf("summary: %d\n%s", status, out)
	}
	comment, err := os.ReadFile(filepath.Join(dir, "comment.md"))
	if err != nil {
		t.Fatal(err)
	}
	summary, err := os.ReadFile(s.path("summary.md"))
	if err != nil || !bytes.Equal(summary, comment) || !bytes.HasPrefix(comment, []byte("<!-- bakeoff ab -->\n### ")) || !bytes.Contains(comment, []byte(" | HEAD (")) {
		t.Errorf("%v: the summary of the job is\n%s", err, summary)
	}
	for _, path := range []string{"runs", "bakeoff.xml"} { // that the workflow keeps
		if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
			t.Error(err)
		}
	}
}
