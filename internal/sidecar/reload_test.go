package sidecar

import (
	"os"
	"path/filepath"
	"testing"

	"bakeoff/internal/record"
)

// A reload asks the first process of the container alone, and is over once none of its children is an old one.
func TestReload(t *testing.T) {
	p, put := pod(t, 1)
	if err := p.Reload(t.Context()); err == nil {
		t.Error("reloaded without a signal")
	}
	const stat = "22 (nginx) S 20 1 1 0 -1 4194560 100 0 0 0 7 5 0 0 20 0 1 0 100 1000000 25 18446744073709551615\n"
	var asked []int
	p.Hang = func(pid int) error {
		asked = append(asked, pid)
		put("22/cgroup", "2:cpuacct:/k/main\n")
		put("22/stat", stat)
		go os.RemoveAll(filepath.Join(p.Proc, "21")) // a little later
		return nil
	}
	if err := p.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	now, err := p.processes()
	if err != nil || len(asked) != 1 || asked[0] != 20 || len(now) != 2 || now[1].PID != 22 {
		t.Errorf("asked %v, then %+v, %v", asked, now, err)
	}
}

func TestReplaced(t *testing.T) {
	of := func(pids ...int) (out []Process) {
		for _, pid := range pids {
			out = append(out, Process{PID: pid})
		}
		return out
	}
	for _, c := range []struct {
		before, now []Process
		want        bool
	}{
		{of(1, 2), of(1, 3), true},
		{of(1, 2), of(1, 2, 3), false}, // the old one still ends
		{of(1, 2), of(1), false},       // the new one is not there yet
		{of(1, 2), of(4, 5), false},    // another nginx
	} {
		if got := replaced(c.before, c.now); got != c.want {
			t.Errorf("%v, %v: %v", c.before, c.now, got)
		}
	}
}

// The processor time alone is that of the usage, and the node is read when asked for.
func TestClockAndHost(t *testing.T) {
	p, put := pod(t, 2)
	if c, err := p.Clock(); err != nil || c.Unmeasured == "" {
		t.Errorf("%+v, %v", c, err)
	}
	const root = "20/root/sys/fs/cgroup/"
	put(root+"cgroup.controllers", "cpu memory\n")
	put(root+"cpu.stat", "usage_usec 5000000\n")
	put(root+"memory.current", "1048576\n")
	if c, err := p.Clock(); err != nil || c.CPUNS != 5e9 || c.Unmeasured != "" {
		t.Errorf("%+v, %v", c, err)
	}
	put("cpuinfo", "processor\t: 0\nmodel name\t: Example: CPU\n")
	put("meminfo", "MemTotal:       24000 kB\nMemFree: 1 kB\n")
	p.Host = func() (record.Series, error) {
		return record.Series{CPUNS: 7, RSSBytes: 8, Values: map[string]float64{"cpus": 2}}, nil
	}
	u, err := p.Usage(0, true)
	if err != nil || u.Host == nil || u.Host.CPU != "Example: CPU" || u.Host.MemoryBytes != 24000<<10 || u.Host.BusyNS != 7 || u.Host.UsedBytes != 8 || u.Host.Values["cpus"] != 2 {
		t.Errorf("%+v, %v", u.Host, err)
	}
	if u, err = p.Usage(0, false); err != nil || u.Host != nil {
		t.Errorf("%+v, %v", u.Host, err)
	}
}
