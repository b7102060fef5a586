package collect

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bakeoff/internal/gate"
	"bakeoff/internal/record"
)

const ms = time.Millisecond

// disturbance is what the record of a phase of 10 s says of a machine on which happen does its work.
func disturbance(t *testing.T, happen func(*machine)) record.Disturbance {
	t.Helper()
	m := newMachine(t)
	var host gate.Host
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	sources := []Source{{Tier: "target", Process: tree{name: "django-1", pids: []int{102}}, Workers: []int{102}}}
	s := start(t.Context(), m.open(), time.Hour, sources, nil, func(line record.Series) error {
		line.At = at
		host.Add(line)
		return nil
	})
	s.Phase(1)
	m.use(m.own, 8*time.Second)
	m.use(m.controller, 200*ms)
	m.use(m.kernel, 400*ms)
	if happen != nil {
		happen(m)
	}
	m.until(10 * time.Second)
	m.write()
	at = at.Add(10 * time.Second)
	s.Phase(-1)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	return host.Disturbance()
}

// What others do to the machine is in the record, and what the run itself does is not: each of the
// causes alone, on two CPUs for 10 s.
func TestDisturbance(t *testing.T) {
	for name, c := range map[string]struct {
		happen func(*machine)
		want   record.Disturbance
		named  string
	}{
		"quiet": {nil, record.Disturbance{}, ""},
		"strangers, with ended children": {func(m *machine) {
			m.use(m.add(500, 1, "cc1"), 3*time.Second)
			shell := m.add(501, 1, "make")
			m.user += 500 * ms
			shell.ofChildren = time.Second
		}, record.Disturbance{Foreign: 0.2, Seen: 0.2}, "cc1 15.0 %, make 5.0 %"},
		"the busiest three of five": {func(m *machine) {
			for i := range 5 {
				m.use(m.add(500+i, 1, string(rune('a'+i))), time.Duration(i+1)*200*ms)
			}
		}, record.Disturbance{Foreign: 0.15, Seen: 0.15}, "e 5.0 %, d 4.0 %, c 3.0 %"},
		"nobody to be seen": {func(m *machine) { m.user += 2 * time.Second }, record.Disturbance{Foreign: 0.2}, ""},
		"own children": {func(m *machine) {
			m.own.ofChildren += time.Second
			m.user += 500 * ms
		}, record.Disturbance{}, ""},
		"interrupts that are sampled": {func(m *machine) { // in the time of our process too
			m.softirq += 500 * ms
			m.user -= 500 * ms
			m.use(m.add(500, 1, "cc1"), 3*time.Second)
		}, record.Disturbance{Foreign: 0.15, Seen: 0.15}, "cc1 15.0 %"},
		"interrupts that are measured": {func(m *machine) {
			m.softirq += 500 * ms
			m.irq += 50 * ms
		}, record.Disturbance{}, ""},
		"steal":  {func(m *machine) { m.steal += 700 * ms }, record.Disturbance{Steal: 0.07}, ""},
		"swap":   {func(m *machine) { m.swapped += 5000 }, record.Disturbance{SwapIn: 500}, ""},
		"memory": {func(m *machine) { m.memory += time.Second }, record.Disturbance{Memory: 0.1}, ""},
		"disk":   {func(m *machine) { m.io += 2 * time.Second }, record.Disturbance{IO: 0.2}, ""},
		"a quota": {func(m *machine) { // our target uses 8.2 s of 10 s of one core
			m.quota = 100
			m.throttled += 300 * ms
		}, record.Disturbance{Throttled: 0.03, QuotaUsed: 0.82}, ""},
		"throttled": {func(m *machine) { m.throttled += 300 * ms }, record.Disturbance{Throttled: 0.03}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := disturbance(t, c.happen)
			var named []string
			for _, one := range got.Strangers {
				named = append(named, fmt.Sprintf("%s %.1f %%", one.Name, 100*got.Share(one)))
			}
			if strings.Join(named, ", ") != c.named {
				t.Errorf("named %q, want %q", named, c.named)
			}
			c.want.CPUTimeNS = int64(20 * time.Second)
			got.Strangers = nil
			if diff := cmp.Diff(c.want, got, cmpopts.EquateApprox(0, 1e-6)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// A quota's time is read from both versions of control groups, and from the groups above ours.
func TestThrottled(t *testing.T) {
	for _, old := range []bool{false, true} {
		m := newMachine(t)
		for quota, want := range map[int]float64{0: 0, 150: 1.5} {
			m.throttledOld, m.throttled, m.quota = old, 42*ms, quota
			k := m.open()
			if got, cores, ok := k.throttled(); !ok || got != 42*ms || cores != want {
				t.Errorf("version 1 %v: %v, %v cores, %v, want %v cores", old, got, cores, ok, want)
			}
			if err := os.RemoveAll(m.dir); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Without control groups nothing is known of quotas.
func TestNoControlGroups(t *testing.T) {
	m := newMachine(t)
	k := m.open()
	if err := os.RemoveAll(m.dir); err != nil {
		t.Fatal(err)
	}
	if got, cores, ok := k.throttled(); ok || got != 0 || cores != 0 {
		t.Errorf("%v, %v cores, %v", got, cores, ok)
	}
}

// Processes outside our PID namespace are known to be possible.
func TestContainer(t *testing.T) {
	for _, inside := range []bool{false, true} {
		m := newMachine(t)
		m.container = inside
		if k := m.open(); k.container() != inside {
			t.Errorf("container: %v, want %v", !inside, inside)
		}
	}
}

// A process that ends is counted once, with its parent, and one that takes its number is another.
func TestStrangersComeAndGo(t *testing.T) {
	m := newMachine(t)
	shell := m.add(500, 1, "make")
	child := m.add(501, 500, "cc1")
	child.used = 5 * time.Second
	m.add(502, 500, "cc2").used = 700 * ms // lives on and does nothing
	k := m.open()
	before := k.crowd().strangers(100, nil)
	m.gone(child)
	shell.ofChildren = 6 * time.Second
	reborn := m.add(501, 1, "python3")
	reborn.started, reborn.used = 9999, 2*time.Second
	m.write()
	busiest, sum := k.crowd().strangers(100, nil).since(before)
	want := []record.Stranger{{Name: "python3", PID: 501, CPUNS: int64(2 * time.Second)}, {Name: "make", PID: 500, CPUNS: int64(time.Second)}}
	if diff := cmp.Diff(want, busiest); diff != "" || sum != 3*time.Second {
		t.Errorf("%v in all; -want +got\n%s", sum, diff)
	}
}
