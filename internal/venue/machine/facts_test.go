package machine

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/plan"
)

// The facts are those that the machine's own tools report, and the fingerprint is a function of them.
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
	if code := regexp.MustCompile(`(?m)^microcode\s*: (.*)$`).FindSubmatch(info); code != nil && m.Microcode != string(code[1]) {
		t.Errorf("microcode %q, /proc/cpuinfo says %q", m.Microcode, code)
	}
	if out, err := exec.Command("sh", "-c", "ulimit -Hn").Output(); err == nil && strings.TrimSpace(string(out)) != strconv.FormatUint(m.Limits.OpenFiles, 10) {
		t.Errorf("open files %d, ulimit says %q", m.Limits.OpenFiles, out)
	}
	if len(strings.Fields(m.Limits.LocalPorts)) != 2 || m.Limits.Backlog == "" {
		t.Errorf("%+v", m.Limits)
	}
	if again := (&Venue{}).Machine(); again != m || len(m.Fingerprint) != 16 || m.Cores < 1 {
		t.Errorf("%+v, then %+v", m, again)
	}
}

// A shipped plan that takes 6 minutes or more watches the machine for 10 s before it loads anything; the demo is one of them.
func TestRestOfShippedPlans(t *testing.T) {
	paths, err := filepath.Glob("../../../plans/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	long := map[string]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Load(path, text)
		if err != nil {
			t.Fatal(err)
		}
		costs := new(Venue).Overhead()
		costs.Turns = p.Turns > 0
		if p.Expected(costs) >= 6*time.Minute {
			long[p.Name] = true
			if got := p.Rest(); got != 10*time.Second {
				t.Errorf("%s: %v at rest", p.Name, got)
			}
		}
	}
	if !long["demo"] || len(long) < 4 {
		t.Errorf("plans of 6 minutes and more: %v", long)
	}
}

// The programs of a run are files with their digests; a plan of running servers starts none but this one.
func TestPrograms(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	v := &Venue{Self: self}
	for name, c := range map[string]struct {
		plan *plan.Plan
		want []string
	}{
		"running servers": {&plan.Plan{Targets: []plan.Target{{Kind: plan.KindURL}}}, []string{"bakeoff"}},
		"elsewhere":       {&plan.Plan{Balancer: plan.Balancer{Kind: "direct"}, Database: plan.Database{Kind: "external"}}, []string{"bakeoff"}},
	} {
		all, err := v.Programs(t.Context(), c.plan, "1.2")
		if err != nil || len(all) != len(c.want) || all[0].Version != "1.2" || all[0].Path != self {
			t.Errorf("%s: %+v, %v", name, all, err)
			continue
		}
		if out, err := exec.Command("sha256sum", self).Output(); err == nil && !strings.HasPrefix(string(out), all[0].SHA256) {
			t.Errorf("%s: digest %s, sha256sum says %s", name, all[0].SHA256, out)
		}
	}
	if _, err := v.Programs(t.Context(), &plan.Plan{Balancer: plan.Balancer{Kind: "direct"}, Database: plan.Database{Server: "/nonexistent"}}, "1.2"); err == nil {
		t.Error("a server that is not there has a digest")
	}
}
