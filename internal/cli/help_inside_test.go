package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bakeoff/internal/controller"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
)

// commanded runs a command with the plans of the program; it returns its status and what it wrote.
func commanded(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cache := t.TempDir()
	env := Env{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Assets: os.DirFS("../.."), Guest: true, Getenv: func(name string) string {
		if name == "BAKEOFF_CACHE" {
			return cache
		}
		return ""
	}}
	status = Main(t.Context(), env)
	return status, out.String(), errs.String()
}

// The help of the commands that take a built-in plan has a line for each of them, with its own description.
func TestHelpListsThePlans(t *testing.T) {
	files, err := filepath.Glob("../../plans/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, args := range [][]string{{"run", "--help"}, {"help", "run"}, {"init", "plan", "--help"}} {
		status, out, _ := commanded(t, args...)
		_, list, found := strings.Cut(out, "\nBuilt-in plans:\n")
		list, _, ended := strings.Cut(list, "\n\nUsage:")
		if status != exitDone || !found || !ended {
			t.Fatalf("%v: status %d\n%s", args, status, out)
		}
		said := " " + strings.Join(strings.Fields(list), " ") + " "
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := plan.Load(file, data)
			if err != nil || p.Description == "" {
				t.Fatalf("%s: %q, %v", file, p.Description, err)
			}
			if want := " " + trimYAML(filepath.Base(file)) + " " + strings.Join(strings.Fields(p.Description), " ") + " "; !strings.Contains(said, want) {
				t.Errorf("%v: no %q in\n%s", args, want, list)
			}
		}
	}
}

// A value of any kind that a flag does not take is answered in words of the program's own, that say what it takes.
func TestFlagsInOwnWords(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"run --max-time 30 demo", `--max-time: "30" has no unit: write 30s or 30m`},
		{"check --max-time 1.5 demo", `--max-time: "1.5" has no unit: write 1.5s or 1.5m`},
		{"run --max-time 5min demo", `--max-time: "5min" is not a duration: write 5m`},
		{"run --max-time 500milliseconds demo", `--max-time: "500milliseconds" is not a duration: write 500ms`},
		{"run --max-time= demo", `--max-time: "" is not a duration: such as 4s, 1.5s, 2m or 500ms`},
		{"load --timeout 30 http://127.0.0.1:1/", `--timeout: "30" has no unit: write 30s or 30ms`},
		{"load -d 5 http://127.0.0.1:1/", `--duration: "5" has no unit: write 5s or 5ms`},
		{"load --rate fast http://127.0.0.1:1/", `--rate: "fast" is not a number`},
		{"load --connections 1.5 http://127.0.0.1:1/", `--connections: "1.5" is not a whole number that fits`},
		{"verdict --seed -1 x.csv", `--seed: "-1" is not a whole number from 0 on that fits`},
		{"run --short=perhaps demo", `--short: "perhaps" is neither true nor false`},
	} {
		status, out, errs := commanded(t, strings.Fields(c.args)...)
		if first, _, _ := strings.Cut(errs, "\n"); status != exitUsage || out != "" || first != "bakeoff: error: "+c.want {
			t.Errorf("%s: status %d, %q, want %q", c.args, status, errs, c.want)
		}
	}
}

// No flag of any command has its value refused in the words of the library.
func TestNoFlagHasTheLibrarysWords(t *testing.T) {
	refused := 0
	var look func(*cobra.Command)
	look = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			err := cmd.Flags().Set(f.Name, "\x01")
			if err == nil {
				return
			}
			refused++
			if text := cmd.FlagErrorFunc()(cmd, err).Error(); strings.Contains(text, "invalid argument") || strings.Contains(text, "strconv") || strings.Contains(text, " time: ") {
				t.Errorf("%s --%s: %s", cmd.CommandPath(), f.Name, text)
			}
		})
		for _, sub := range cmd.Commands() {
			look(sub)
		}
	}
	look(newRoot(Env{Assets: os.DirFS("../.."), Getenv: func(string) string { return "" }}))
	if refused < 50 {
		t.Errorf("%d flags refuse a value", refused)
	}
}

// A folder without a run is wrong usage to every command that takes a run, and so is one that is not there.
func TestNoRunIsWrongUsage(t *testing.T) {
	empty := t.TempDir()
	for _, dir := range []string{empty, filepath.Join(empty, "nowhere")} {
		for _, args := range [][]string{
			{"report", dir},
			{"audit", dir},
			{"compare", dir, dir},
			{"export", "csv", dir},
			{"export", "blocks", dir},
			{"export", "influx", dir},
			{"export", "otlp", dir},
			{"attach", dir},
			{"run", "--resume", dir},
			{"run", "--resume", dir, "demo"},
			{"tune", "--resume", dir},
		} {
			status, out, errs := commanded(t, args...)
			if status != exitUsage || out != "" || !strings.Contains(errs, "bakeoff: hint: ") {
				t.Errorf("%v: status %d, %q, %q", args, status, out, errs)
			}
		}
	}
}

// A folder without a run is wrong usage where it was named; a failure that left no run keeps its own status.
func TestNoRunOfAFailure(t *testing.T) {
	_, noRun := record.Open(t.TempDir())
	for name, c := range map[string]struct {
		err    error
		status int
	}{
		"named":       {fmt.Errorf("report: %w", noRun), exitUsage},
		"interrupted": {errors.Join(controller.ErrInterrupted, noRun), exitInterrupted},
		"failed":      {errors.Join(errors.New("the database does not start"), noRun), exitFailed},
		"missed":      {errors.Join(errThreshold, noRun), exitFailed},
	} {
		if got := exitStatus(c.err); got != c.status {
			t.Errorf("%s: exit status %d, not %d", name, got, c.status)
		}
	}
}
