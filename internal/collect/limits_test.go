package collect

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// threadsOf writes what the threads of a process have run and waited.
func (m *machine) threadsOf(p *made, times ...[2]time.Duration) {
	for i, t := range times {
		m.file(fmt.Sprintf("%d %d 7\n", t[0].Nanoseconds(), t[1].Nanoseconds()), "proc", fmt.Sprint(p.pid), "task", fmt.Sprint(p.pid+i), "schedstat")
	}
}

// The busiest thread is that since the last sample, not that of the whole life: a server's main thread has often done most of
// its work before the first request.
func TestBusiestThread(t *testing.T) {
	m := newMachine(t)
	worker := m.add(103, 102, "gunicorn")
	k := m.open()
	var got lines
	m.threadsOf(m.own, [2]time.Duration{})
	m.threadsOf(worker, [2]time.Duration{9 * time.Second, 0}, [2]time.Duration{time.Second, 0})
	s := start(t.Context(), k, time.Hour, []Source{
		{Tier: "target", Process: tree{name: "a-1", pids: []int{102, 103}}, Workers: []int{103}},
		{Tier: "agent", Process: tree{name: "agent-0", pids: []int{102}}},
	}, nil, got.put)
	s.Phase(1)
	m.threadsOf(m.own, [2]time.Duration{50 * ms, 0})
	m.threadsOf(worker, [2]time.Duration{9*time.Second + 100*ms, 0}, [2]time.Duration{time.Second + 900*ms, 40 * ms})
	s.Phase(-1)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a-1", "a-1/103"} {
		in := got.of(name, 1)
		ran := in[1].Values[record.BusiestThreadNS] - in[0].Values[record.BusiestThreadNS]
		waited := in[1].Values[record.BusiestThreadWaitNS] - in[0].Values[record.BusiestThreadWaitNS]
		if ran != float64(900*ms) || waited != float64(40*ms) {
			t.Errorf("%s: its busiest thread ran %v and waited %v, want 900 ms and 40 ms", name, time.Duration(ran), time.Duration(waited))
		}
	}
	in := got.of("a-1", 1)
	if ran := in[1].Values[record.OtherThreadNS] - in[0].Values[record.OtherThreadNS]; ran != float64(50*ms) {
		t.Errorf("the process that is no worker ran %v, want 50 ms", time.Duration(ran))
	}
	if _, has := got.of("a-1/103", 1)[1].Values[record.OtherThreadNS]; has {
		t.Error("a worker has other processes")
	}
	if values := got.of("agent-0", 1)[1].Values; values[record.BusiestThreadNS] != 0 {
		t.Errorf("of an agent: %v", values)
	}
}

// What the groups of a process say is read in both versions, and none of it where the controller is in the same group.
func TestOwnGroup(t *testing.T) {
	for name, write := range map[string]func(m *machine){
		"2": func(m *machine) {
			m.file("102\n103\n", "cgroup", "ours", "guests", "1", "cgroup.procs")
			m.file("0::/ours/guests/1\n", "proc", "102", "cgroup")
			m.file("usage_usec 2500000\nthrottled_usec 30000\n", "cgroup", "ours", "guests", "1", "cpu.stat")
			m.file("150000 100000\n", "cgroup", "ours", "guests", "1", "cpu.max")
			m.file("usage_usec 9900000\nthrottled_usec 10000\n", "cgroup", "ours", "guests", "cpu.stat")
		},
		"1": func(m *machine) {
			m.file("102\n", "cgroup", "cpuacct", "db", "cgroup.procs")
			m.file("4:cpu:/db\n5:cpuacct:/db\n0::/ours/inner\n", "proc", "102", "cgroup")
			m.file("2500000000\n", "cgroup", "cpuacct", "db", "cpuacct.usage")
			m.file("nr_throttled 4\nthrottled_time 40000000\n", "cgroup", "cpu", "db", "cpu.stat")
			m.file("150000\n", "cgroup", "cpu", "db", "cpu.cfs_quota_us")
			m.file("100000\n", "cgroup", "cpu", "db", "cpu.cfs_period_us")
		},
		"": func(m *machine) { m.file("0::/ours/inner\n", "proc", "102", "cgroup") },
	} {
		m := newMachine(t)
		m.quota, m.throttled = 50, time.Second // of all of us
		k := m.open()
		write(m)
		var line record.Series
		k.group([]int{102, 103}).into(&line)
		if name == "" {
			if len(line.Values) != 0 {
				t.Errorf("in the controller's group: %v", line.Values)
			}
			continue
		}
		for value, want := range map[string]float64{
			record.GroupCPUNS: 2.5e9, record.QuotaCores: 1.5, record.ThrottledNS: 4e7, record.GroupVersion: map[string]float64{"1": 1, "2": 2}[name],
		} {
			if got := line.Values[value]; got != want {
				t.Errorf("version %s: %s is %v, want %v", name, value, got, want)
			}
		}
		var shared record.Series
		k.group([]int{102, 104}).into(&shared)
		if used := shared.Values[record.GroupCPUNS]; (used == 0) != (name == "2") || shared.Values[record.QuotaCores] != 1.5 {
			t.Errorf("version %s, with another process in its group: %v", name, shared.Values)
		}
	}
}

// The database's own gauges stay next to what its control group says.
func TestGaugesAndGroup(t *testing.T) {
	m := newMachine(t)
	k := m.open()
	m.file("0::/db\n", "proc", "102", "cgroup")
	m.file("102\n", "cgroup", "db", "cgroup.procs")
	m.file("usage_usec 7\n", "cgroup", "db", "cpu.stat")
	var got lines
	status := func(context.Context) (map[string]float64, error) {
		return map[string]float64{"threads_running": 3}, nil
	}
	s := start(t.Context(), k, time.Hour, []Source{{Tier: "database", Process: tree{name: "db", pids: []int{102}}}}, status, got.put)
	s.Phase(1)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if values := got.of("db", 1)[0].Values; values["threads_running"] != 3 || values[record.GroupCPUNS] != 7000 {
		t.Errorf("%v", values)
	}
}

func TestListenDrops(t *testing.T) {
	m := newMachine(t)
	k := m.open()
	if _, _, values, err := k.host(); err != nil || len(values) == 0 {
		t.Fatal(err)
	} else if _, known := values[record.ListenDrops]; known {
		t.Errorf("drops of a kernel that says nothing of them: %v", values)
	}
	m.file("IpExt: InNoRoutes ListenDrops\nIpExt: 5 6\nTcpExt: SyncookiesSent ListenOverflows ListenDrops X\nTcpExt: 1 2 37 4\n", "proc", "net", "netstat")
	if _, _, values, err := k.host(); err != nil || values[record.ListenDrops] != 37 {
		t.Errorf("%v drops, want 37 (%v)", values[record.ListenDrops], err)
	}
}

func TestProportional(t *testing.T) {
	if own := Proportional(os.Getpid()); own < 1<<20 {
		t.Errorf("this process has %d bytes", own)
	}
	if none := Proportional(1 << 30); none != 0 {
		t.Errorf("no process has %d bytes", none)
	}
}
