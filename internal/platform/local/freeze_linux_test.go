package local_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"
)

// states are those of processes in /proc: T is stopped.
func states(pids []int) string {
	var out []byte
	for _, pid := range pids {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if _, rest, found := bytes.Cut(stat, []byte(") ")); found {
			out = append(out, rest[0])
		}
	}
	return string(out)
}

// Every process of a frozen tree stands still, those of another do not; thawed it answers again.
func TestFreeze(t *testing.T) {
	p := open(t)
	a, _ := start(t, p, "prefork.py", "3")
	b, _ := start(t, p, "prefork.py", "3")
	eventually(t, "all workers are there", func() bool { return len(a.PIDs()) == 4 && len(b.PIDs()) == 4 })
	for range 3 { // again and again, as targets are that take turns
		if err := p.Freeze(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all stand still", func() bool { return states(a.PIDs()) == "TTTT" })
		if got := states(b.PIDs()); got != "SSSS" {
			t.Errorf("the others' states are %s", got)
		}
		if err := p.Thaw(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all go on", func() bool { return states(a.PIDs()) == "SSSS" })
	}
	if err := p.Freeze(t.Context(), a, b); err != nil {
		t.Fatal(err)
	}
	if err := a.Stop(t.Context(), 2*time.Second); err != nil {
		t.Fatal(err)
	}
	if exit := a.Exit(); exit.Signal != "SIGTERM" {
		t.Errorf("a frozen tree that is asked to end, not killed: %+v", exit)
	}
	for _, err := range []error{p.Freeze(t.Context(), a), p.Thaw(t.Context(), a), p.Close()} {
		if err != nil {
			t.Error(err)
		}
	}
	if b.Exit().Signal != "SIGKILL" {
		t.Errorf("a frozen tree at the close: %+v", b.Exit())
	}
}
