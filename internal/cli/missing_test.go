package cli_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMissing has a machine lack what a plan needs: exit status 5, each thing by its name, and the line that
// installs the packages, on stderr.
func TestMissing(t *testing.T) {
	self, err := exec.LookPath("bakeoff")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("flask.yaml", planText("flask", 1))
	write("go.yaml", planText("go-nethttp", 1, "database: {server: /nowhere/mysqld}"))
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"check", "flask.yaml"}, []string{"missing on this machine: ", "gcc, pkg-config, ", "apt-get install -y --no-install-recommends ", " gcc pkg-config"}},
		{[]string{"run", "flask.yaml"}, []string{"missing on this machine: ", "apt-get install -y --no-install-recommends "}},
		{[]string{"verify", "flask.yaml"}, []string{"apt-get install -y --no-install-recommends "}},
		{[]string{"data", "load", "go.yaml"}, []string{"the database server /nowhere/mysqld"}},
		{[]string{"check", "go.yaml"}, []string{"missing on this machine: the database server /nowhere/mysqld: ", "is not a program"}},
	} {
		cmd := exec.Command(self, c.args...)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + dir, "HOME=" + dir, "TMPDIR=" + dir, "BAKEOFF_ASSETS=" + root, "BAKEOFF_LOCK=bakeoff-test-" + filepath.Base(dir)}
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		exit, ended := errors.AsType[*exec.ExitError](err)
		if !ended || exit.ExitCode() != 5 {
			t.Errorf("%v: %v, want exit status 5\n%s", c.args, err, &stderr)
			continue
		}
		wantAll(t, strings.Join(c.args, " "), stderr.String(), c.want...)
		if strings.Contains(stdout.String(), "apt-get") {
			t.Errorf("%v: the hint is on stdout: %s", c.args, &stdout)
		}
	}
}
