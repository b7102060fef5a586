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
	for _, text := range []string{"2s to 20s", "500ms to 4s", "2s"} {
		if s := small(t, 1, "warmup: "+text).Short(); s.Warmup != FixedWarmup(Duration(time.Second)) {
			t.Errorf("a short plan of %s warms up for %v", text, s.Warmup)
		}
	}
	if got, want := small(t, 1, "warmup: 2s to 2s").Digest(), fixed.Digest(); got != want {
		t.Error("2s to 2s is not 2s")
	}
	if long, short := p.Expected(Overhead{}), fixed.Expected(Overhead{}); long <= short {
		t.Errorf("expected %v, with a fixed warm-up %v", long, short)
	}
}

// Two durations with something else between them are recognised.
func TestWarmupHint(t *testing.T) {
	const rest = "name: w\ntargets: [flask]\nphases: [{model: closed, connections: 8, duration: 2s}]\nwarmup: "
	for text, hint := range map[string]string{
		"2s til 9s": "write 2s to 9s", "500ms-9s": "write 500ms to 9s", "2s..1.5m": "write 2s to 1.5m", "2s 9s": "write 2s to 9s", "2s, 9s": "write 2s to 9s",
		"2s to 9": "write 9s", "2 seconds": "write 2s", "til 9s": "such as 4s",
	} {
		_, err := Load("w.yaml", []byte(rest+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%s: %v, no %q", text, err, hint)
		}
	}
}
