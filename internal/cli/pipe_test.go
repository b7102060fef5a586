package cli_test

import (
	"os"
	"os/exec"
	"testing"
)

// That nobody reads stderr takes nothing from the exit status of a run, even of one that fails before it begins.
func TestStatusWithoutReader(t *testing.T) {
	self, err := exec.LookPath("bakeoff") // the copy of this binary that testscript made
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run", "no-such-plan"}, {"ab", "no-such-folder", "no-such-folder"}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		cmd := exec.Command(self, args...)
		cmd.Env = append(os.Environ(), "BAKEOFF_ASSETS=../..", "BAKEOFF_CACHE="+t.TempDir())
		cmd.Stderr = w
		err = cmd.Run()
		w.Close()
		if got := cmd.ProcessState.ExitCode(); got != 2 {
			t.Errorf("%v: status %d (%v)", args, got, err)
		}
	}
}
