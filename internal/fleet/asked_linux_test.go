package fleet

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// GoFirst asks for the lowest real-time priority, and else for slices of 100 us.
func TestPrioritiesAsked(t *testing.T) {
	var asked []unix.SchedAttr
	refuse := 0
	set := func(a *unix.SchedAttr) error {
		asked = append(asked, *a)
		if len(asked) <= refuse {
			return errFake
		}
		return nil
	}
	for refuse = range 3 {
		asked = nil
		err := goFirst(set)
		if errors.Is(err, errFake) != (refuse == 2) || len(asked) != min(refuse+1, 2) || asked[0].Policy != unix.SCHED_RR || asked[0].Priority != 1 {
			t.Errorf("%d refusals: %v, %+v", refuse, err, asked)
		}
		if refuse > 0 && (asked[1].Policy != unix.SCHED_NORMAL || asked[1].Runtime != 100_000) {
			t.Errorf("%+v", asked[1])
		}
	}
	if got := Priority(1 << 30); got != "with an unknown priority" {
		t.Errorf("%q", got)
	}
}
