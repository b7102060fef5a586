package shell_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"bakeoff/internal/shell"
)

func ExampleLine() {
	fmt.Println(shell.Line([]string{"env", "A=b c", "it's", "", "--x=1"}))
	// Output: env 'A=b c' 'it'\''s' '' --x=1
}

// TestLine has a shell take lines apart again.
func TestLine(t *testing.T) {
	for _, argv := range [][]string{
		{"plain", "-p", "/tmp/my runs/x"},
		{"a;b", "c&d", "{e}", "$HOME", "`id`", "*", "~", "#x", "!y", `back\slash`, "(z)", "<", "|"},
		{"", " ", "\t", "it's", `"quoted"`, "line\nend", "é\u202e", "\x1b[31m"},
	} {
		out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", `printf '%s\0' `+shell.Line(argv)).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(out), strings.Join(argv, "\x00")+"\x00"; got != want {
			t.Errorf("%q came back as %q", want, got)
		}
	}
}
