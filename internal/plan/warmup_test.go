package plan

import (
	"strings"
	"testing"
	"time"
)

// A warm-up is one duration, as always and with the same digest, or two.
func TestWarmup(t *testing.T) {
	fixed := small(t, 1, "warmup: 2s")
	if fixed.Warmup.Settles() || !strings.Contains(string(fixed.canonical()), `"warmup":"2s",`) {
		t.Errorf("%s", fixed.canonical())
	}
	p := small(t, 1, "warmup: 2s to 20s")
	if p.Warmup != (Warmup{Duration(2 * time.Second), Duration(20 * time.Second)}) || !p.Warmup.Settles() {
		t.Errorf("%+v", p.Warmup)
	}
	again, err := Load("again", p.YAML())
	if err != nil || again.Digest() != p.Digest() || again.Warmup != p.Warmup || p.Digest() == fixed.Digest() {
		t.Errorf("%v: %s", err, p.YAML())
	}
	if s := p.Short(); s.Warmup != FixedWarmup(Duration(time.Second)) {
		t.Errorf("a short plan warms up for %v", s.Warmup)
	}
	if got, want := small(t, 1, "warmup: 2s to 2s").Digest(), fixed.Digest(); got != want {
		t.Error("2s to 2s is not 2s")
	}
	if long, short := p.Expected(Overhead{}), fixed.Expected(Overhead{}); long <= short {
		t.Errorf("expected %v, with a fixed warm-up %v", long, short)
	}
}
