package cli

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"bakeoff/internal/report"
)

// workflow is what a test reads of the workflow in docs/ci.md.
type workflow struct {
	Jobs map[string]struct {
		Steps []struct {
			Name string
			Run  string
			Uses string
			With map[string]any
		}
	}
}

// WorkflowScripts are the scripts of the steps of the workflow in docs/ci.md, by the steps' names.
func WorkflowScripts(t *testing.T) map[string]string {
	t.Helper()
	w, _ := workflowOf(t)
	out := map[string]string{}
	for _, step := range w.Jobs["ab"].Steps {
		if step.Run != "" {
			out[step.Name] = step.Run
		}
	}
	return out
}

// workflowOf is the workflow in docs/ci.md, and its text.
func workflowOf(t *testing.T) (w workflow, source string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/ci.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<!-- workflow: read by the tests of internal/cli -->\n```yaml\n")
	source, _, _ = strings.Cut(rest, "\n```\n")
	if err := yaml.Load([]byte(source), &w); err != nil {
		t.Fatal(err)
	}
	return w, source
}

// The workflow in docs/ci.md is YAML, its scripts are scripts, its command line is one of this program, and it finds its
// comment by the mark that the program writes.
func TestWorkflowOfDocument(t *testing.T) {
	w, source := workflowOf(t)
	compares, comments := 0, 0
	for _, step := range w.Jobs["ab"].Steps {
		if step.Run != "" {
			bash := exec.Command("bash", "-n")
			bash.Stdin = strings.NewReader(step.Run)
			if out, err := bash.CombinedOutput(); err != nil {
				t.Errorf("step %s: %v\n%s", step.Name, err, out)
			}
		}
		for line := range strings.Lines(step.Run) {
			if args, found := strings.CutPrefix(strings.TrimSpace(line), "bakeoff "); found {
				compares++
				wellFormed(t, strings.Fields(args))
			}
		}
		if script, _ := step.With["script"].(string); strings.Contains(script, "'"+report.ABMark+"'") {
			comments++
		}
	}
	if compares != 1 || comments != 1 {
		t.Errorf("%d comparisons and %d comments in\n%s", compares, comments, source)
	}
}

// wellFormed checks that this program takes a command line.
func wellFormed(t *testing.T, args []string) {
	t.Helper()
	root := newRoot(Env{Args: args, Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}})
	cmd, rest, err := root.Find(args)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		t.Errorf("%v: %v", args, err)
	}
}
