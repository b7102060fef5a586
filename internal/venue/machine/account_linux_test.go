package machine

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
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
