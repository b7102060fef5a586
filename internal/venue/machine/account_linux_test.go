package machine

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bakeoff/internal/target"
)

// Root that cannot start anything under another account gives none out. In a user namespace it has but its own number.
func TestAccountsThatCannotBeUsed(t *testing.T) {
	var a accounts
	if os.Getenv("BAKEOFF_TEST_NAMESPACE") != "" {
		if os.Geteuid() != 0 || a.usable() {
			t.Errorf("account %d, other accounts can be used: %v", os.Geteuid(), a.works)
		}
		return
	}
	if os.Geteuid() == 0 && !a.usable() {
		t.Log("other accounts cannot be used here either")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAccountsThatCannotBeUsed$")
	cmd.Env = append(os.Environ(), "BAKEOFF_TEST_NAMESPACE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Skipf("SKIPPED: no user namespace can be made here: %v", err)
	}
	if err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("%v: %s", err, out)
	}
}

// A target has an account of its own where its recipe allows one and other accounts can reach what was prepared.
func TestAccountFor(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: not root")
	}
	dir, err := os.MkdirTemp("", "account-") // others may pass through it, unlike through that of a test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, sub := range []string{"", "recipe", "build"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, sub), 0o755), os.Chmod(filepath.Join(dir, sub), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	v := &Venue{}
	if !v.accounts.usable() {
		t.Skip("SKIPPED: no process can be started under another account here")
	}
	allows := &target.Prepared{Recipe: &target.Recipe{OwnAccount: true}, Dir: dir}
	if one, two := v.accountFor(allows), v.accountFor(allows); one == "" || two == "" || one == two {
		t.Errorf("accounts %q and %q", one, two)
	}
	if got := v.accountFor(&target.Prepared{Recipe: &target.Recipe{}, Dir: dir}); got != "" {
		t.Errorf("account %q, against the recipe", got)
	}
	if err := os.Chmod(filepath.Join(dir, "build"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := v.accountFor(allows); got != "" {
		t.Errorf("account %q, which cannot read what was prepared", got)
	}
}
