package machine

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The facts are those that the machine's own tools tell, and the fingerprint is a function of them.
func TestMachine(t *testing.T) {
	m := (&Venue{}).Machine()
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skipf("SKIPPED: no /proc: %v", err)
	}
	if model := regexp.MustCompile(`(?m)^model name\s*: (.*)$`).FindSubmatch(info); model != nil && m.CPU != strings.TrimSpace(string(model[1])) || m.CPU == "" {
		t.Errorf("CPU %q, /proc/cpuinfo says %q", m.CPU, model)
	}
	memory, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	total, _, _ := bytes.Cut(bytes.TrimPrefix(memory, []byte("MemTotal:")), []byte("kB"))
	if kib, err := strconv.ParseInt(string(bytes.TrimSpace(total)), 10, 64); err != nil || m.MemoryBytes != kib<<10 {
		t.Errorf("memory %d, /proc/meminfo says %q", m.MemoryBytes, total)
	}
	for option, got := range map[string]string{"-r": m.Kernel, "-n": m.Hostname} {
		if out, err := exec.Command("uname", option).Output(); err != nil || got != strings.TrimSpace(string(out)) {
			t.Errorf("uname %s: %q, have %q, %v", option, out, got, err)
		}
	}
	if out, err := exec.Command("sh", "-c", `. /etc/os-release && printf %s "$PRETTY_NAME"`).Output(); err == nil && string(out) != m.OS {
		t.Errorf("system %q, its own file says %q", m.OS, out)
	}
	if again := (&Venue{}).Machine(); again != m || len(m.Fingerprint) != 16 || m.Cores < 1 {
		t.Errorf("%+v, then %+v", m, again)
	}
}
