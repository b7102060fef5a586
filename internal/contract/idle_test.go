package contract

import (
	"testing"
	"time"
)

// TestIdleFor wants a trial's check not to wait, a full one to wait 5 s at most, and a long one for all that is declared.
func TestIdleFor(t *testing.T) {
	for _, c := range []struct {
		full, long bool
		declared   time.Duration
		want       time.Duration
	}{
		{false, false, 75 * time.Second, 0},
		{false, true, 75 * time.Second, 0},
		{true, false, 75 * time.Second, 4750 * time.Millisecond},
		{true, false, 2 * time.Second, 1750 * time.Millisecond},
		{true, true, 75 * time.Second, 74750 * time.Millisecond},
		{true, true, 0, 0},
	} {
		if got := (&Contract{Full: c.full, Long: c.long, KeepAlive: c.declared}).idleFor(); got != c.want {
			t.Errorf("full %t, long %t, %v: %v, want %v", c.full, c.long, c.declared, got, c.want)
		}
	}
}
