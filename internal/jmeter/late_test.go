package jmeter

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A run is late where nothing has come since the last answer was due, or where it lasts far too long although rows come.
func TestLate(t *testing.T) {
	begun := time.Unix(1_000, 0)
	due := begun.Add(50 * time.Second)
	for name, c := range map[string]struct {
		begun, last time.Time
		at          time.Duration // after it began
		want        bool
	}{
		"not begun in time":                  {time.Time{}, time.Time{}, 51 * time.Second, true},
		"not begun":                          {time.Time{}, time.Time{}, 49 * time.Second, false},
		"under way":                          {begun, begun.Add(40 * time.Second), 49 * time.Second, false},
		"its last answer is due":             {begun, begun.Add(40 * time.Second), 69 * time.Second, false},
		"silent after the last answer":       {begun, begun.Add(40 * time.Second), 71 * time.Second, true},
		"rows still come":                    {begun, begun.Add(80 * time.Second), 99 * time.Second, false},
		"rows came until 20 seconds ago":     {begun, begun.Add(80 * time.Second), 101 * time.Second, true},
		"rows come without an end, not long": {begun, begun.Add(169 * time.Second), 169 * time.Second, false},
		"rows come without an end":           {begun, begun.Add(171 * time.Second), 171 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := &phase{begun: c.begun, deadline: due, agents: []*agent{{}, {last: c.last}}}
			if got := p.late(begun.Add(c.at)); got != c.want {
				t.Errorf("late: %t", got)
			}
		})
	}
}

// A note of the run says how its servers are scheduled, as the kernel has it.
func TestPriorityIsNoted(t *testing.T) {
	l, _ := fakeLoader(t, 1)
	l.mu.Lock()
	pid := l.servers[0].process.PID()
	l.mu.Unlock()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	want := "JMeter's servers run at niceness " + strings.Fields(after)[16] // field 19 of the line, proc_pid_stat(5)
	if group, err := os.ReadFile(fmt.Sprintf("/proc/%d/autogroup", pid)); err == nil && len(group) > 0 {
		words := strings.Fields(string(group))
		want += ", each in a session of autogroup niceness " + words[len(words)-1]
	}
	if notes := l.Notes(); !slices.Contains(notes, want) {
		t.Errorf("no %q in %q", want, notes)
	}
	if got := priority(1 << 30); got != "" {
		t.Errorf("of a process that is not there: %q", got)
	}
}

// Where it is allowed, a JVM comes before what it loads; what it says stays in its log.
func TestFirst(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", first, "first", "/bin/sh", "-c", "nice; cat /proc/self/autogroup; echo said >&2")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // as a server has one
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	own, err := exec.Command("nice").Output() // what this test runs at
	if err != nil {
		t.Fatal(err)
	}
	before, err := strconv.Atoi(strings.TrimSpace(string(own)))
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintln(before)
	if os.Geteuid() == 0 {
		want = fmt.Sprintln(max(-20, before-10))
	}
	text := string(out)
	if !strings.HasPrefix(text, want) || !strings.HasSuffix(text, "said\n") {
		t.Errorf("%q", text)
	}
	// Where sessions are not scheduled as groups, there is no line.
	if strings.Contains(text, "/autogroup-") && os.Geteuid() == 0 && !strings.Contains(text, "nice -10\n") {
		t.Errorf("its session is as any other: %q", text)
	}
}
