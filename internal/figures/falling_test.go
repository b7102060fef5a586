package figures

import (
	"testing"
	"time"

	"bakeoff/internal/record"
)

// A CPU counter that falls, because a process of the tree ended, never makes a member's CPU time negative: what was used
// before and after counts.
func TestFallingCounter(t *testing.T) {
	u := usage{}
	at := time.Unix(1_000_000, 0)
	for second, ns := range []int64{10e9, 12e9, 1e9, 2e9} {
		s := record.Series{At: at.Add(time.Duration(second) * time.Second), CPUNS: ns}
		if second == 0 {
			u.first, u.last = s, s
		}
		u.add(s, false)
	}
	if got := u.resource().Cores; got != 1 {
		t.Errorf("%v cores, want 1: 2 s and 1 s within 3 s", got)
	}
	fell := usage{first: record.Series{At: at, CPUNS: 5e9}, last: record.Series{At: at, CPUNS: 5e9}}
	fell.add(record.Series{At: at.Add(time.Second)}, false)
	if got := fell.resource().Cores; got != 0 {
		t.Errorf("%v cores of a counter that only fell", got)
	}
}
