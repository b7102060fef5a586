package threshold

import (
	"strings"
	"testing"
	"time"
)

// fixed are figures by name.
type fixed struct {
	times map[string]Time
	n     map[string]int64
	rate  float64
}

func (f fixed) Time(of, name string, _ float64) Time { return f.times[of+name] }
func (f fixed) Count(name string) (n, planned int64) { return f.n[name], f.n["planned"] }
func (f fixed) Rate(string) float64                  { return f.rate }

func TestJudge(t *testing.T) {
	f := fixed{
		times: map[string]Time{
			"p": {Value: 50 * time.Millisecond}, "mean": {Value: 12 * time.Millisecond}, "servicep": {Value: 3 * time.Millisecond},
			"max": {Value: 2 * time.Second, AtLeast: true}, "min": {Needs: 1}, "responsep": {Needs: 10_000},
		},
		n: map[string]int64{"planned": 1000, "errors": 1, "ok": 999}, rate: 900,
	}
	for text, want := range map[string]struct {
		met bool
		is  string
	}{
		"p99 < 50ms": {false, "50ms"}, "p99<=50ms": {true, "50ms"}, "p99.9 < 51ms": {true, "50ms"}, "p50>49ms": {true, "50ms"}, "p50 >= 0.05s": {true, "50ms"},
		"mean < 10ms": {false, "12ms"}, "service p99 < 4ms": {true, "3ms"}, "response p99 < 1h": {false, "not known: that takes 10000 samples"},
		"max < 3s": {false, "at least 2s"}, "max < 1s": {false, "at least 2s"}, "max > 1s": {true, "at least 2s"}, "min > 0s": {false, "not known"},
		"errors < 0.1%": {false, "0.1 %"}, "errors <= 0.1 %": {true, "0.1 %"}, "errors < 2": {true, "1"}, "errors < 1": {false, "1"}, "ok >= 99.9%": {true, "99.9 %"},
		"timeouts <= 0": {true, "0"}, "goodput >= 900/s": {true, "900.0/s"}, "rate > 900": {false, "900.0/s"},
	} {
		r, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := r.Judge(f); got.Met != want.met || !strings.HasPrefix(got.Is, want.is) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	if r, err := Parse("errors < 1%"); err != nil || r.Judge(fixed{}).Met {
		t.Errorf("a share of nothing is met: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "p99", "p99 = 5ms", "p99 < 50", "p99 < -5ms", "p99 < 5%", "p0 < 1s", "p100 < 1s", "pNaN < 1s", "errors < x", "errors < -1", "errors < NaN%", "errors < Inf",
		"goodput > 5ms", "speed < 5", "other p99 < 1s", "response errors < 1", "< 5", "p99 <", "p99 < 5ms < 6ms",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), "such as 'p99 < 50ms'") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
