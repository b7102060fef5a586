package collect

import (
	"testing"
	"time"
)

// Busy time of the machine is what its own CPUs worked, in every way: not what its host took away, and not what they idled.
func TestHostBusy(t *testing.T) {
	m := newMachine(t)
	m.write()
	k := m.open()
	before, _, _, err := k.host()
	if err != nil {
		t.Fatal(err)
	}
	m.user, m.system, m.irq, m.softirq, m.steal = 4*time.Second, 300*ms, 20*ms, 100*ms, 2*time.Second
	m.until(10 * time.Second)
	m.write()
	after, _, values, err := k.host()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := after-before, 2*(4*time.Second+420*ms); got != want { // of two CPUs
		t.Errorf("busy for %v, want %v", got, want)
	}
	if got := time.Duration(values["steal_ns"]); got != 4*time.Second {
		t.Errorf("stolen %v", got)
	}
}
