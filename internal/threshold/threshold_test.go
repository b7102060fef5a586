package threshold

import (
	"errors"
	"reflect"
	"slices"
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
		"p99 < 50ms": {false, "50ms"}, "p99<=50ms": {true, "50ms"}, "p99.9 < 51ms": {true, "50ms"}, "p50>49ms": {true, "50ms"}, "p50 >= 0.05s": {true, "50ms"}, "p50 >= 50 ms": {true, "50ms"},
		"mean < 10ms": {false, "12ms"}, "service p99 < 4ms": {true, "3ms"}, "response p99 < 1h": {false, "not known: that takes 10000 samples"},
		"max < 3s": {false, "at least 2s"}, "max < 1s": {false, "at least 2s"}, "max > 1s": {true, "at least 2s"}, "min > 0s": {false, "not known"},
		"errors < 0.1%": {false, "0.1 %"}, "errors <= 0.1 %": {true, "0.1 %"}, "errors < 2": {true, "1"}, "errors < 1": {false, "1"}, "ok >= 99.9%": {true, "99.9 %"},
		"timeouts <= 0": {true, "0"}, "goodput >= 900/s": {true, "900.0/s"}, "rate > 900": {false, "900.0/s"}, "rate >= 900 /s": {true, "900.0/s"},
	} {
		r, err := ParseRequire(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := r.Judge(f); got.Met != want.met || !strings.HasPrefix(got.Is, want.is) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	if r, err := ParseRequire("errors < 1%"); err != nil || r.Judge(fixed{}).Met {
		t.Errorf("a share of nothing is met: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "p99", "p99 = 5ms", "p99 < 50", "p99 < -5ms", "p99 < 5%", "p0 < 1s", "p100 < 1s", "pNaN < 1s", "errors < x", "errors < -1", "errors < NaN%", "errors < Inf",
		"goodput > 5ms", "speed < 5", "other p99 < 1s", "response errors < 1", "< 5", "p99 <", "p99 < 5ms < 6ms", "p99 < 5 6ms", "p99 < 1 minute", "rate > 5 6/s",
		"closed: p99 < 1s", "django.p99 < 1s", "p99 < 2 * p50", "goodput > flask.goodput",
	} {
		if _, err := ParseRequire(text); err == nil || !strings.Contains(err.Error(), Example) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// One grammar reads what a plan says: a phase, targets, and another figure as the bound.
func TestParsePlan(t *testing.T) {
	p99 := Side{Name: "p", P: 99}
	for text, want := range map[string]Threshold{
		"open: p99 < 50ms":                           {Phase: "open", Left: p99, Op: "<", Bound: 0.05},
		"open:  django.p99.9 <=  1s":                 {Phase: "open", Left: Side{Target: "django", Name: "p", P: 99.9}, Op: "<=", Bound: 1},
		"open: p99.9 < 1s":                           {Phase: "open", Left: Side{Name: "p", P: 99.9}, Op: "<", Bound: 1},
		"c-1: service p99.max < 1s":                  {Phase: "c-1", Left: Side{Target: "p99", Of: "service", Name: "max"}, Op: "<", Bound: 1},
		"closed: django.errors < 0.1%":               {Phase: "closed", Left: Side{Target: "django", Name: "errors"}, Op: "<", Bound: 0.1, Share: true},
		"closed: throughput >= 900/s":                {Phase: "closed", Left: Side{Name: "goodput"}, Op: ">=", Bound: 900},
		"closed: a.throughput > 0.95 * b.throughput": {Phase: "closed", Left: Side{Target: "a", Name: "goodput"}, Op: ">", Bound: 0.95, Right: &Side{Target: "b", Name: "goodput"}},
		"closed: goodput > flask.goodput":            {Phase: "closed", Left: Side{Name: "goodput"}, Op: ">", Bound: 1, Right: &Side{Target: "flask", Name: "goodput"}},
		"open: p99 < 5*p50":                          {Phase: "open", Left: p99, Op: "<", Bound: 5, Right: &Side{Name: "p", P: 50}},
	} {
		want.Text = strings.Join(strings.Fields(text), " ")
		if got, err := Parse(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
}

// What is wrong is named, with the words that may be in its place.
func TestParsePlanRefuses(t *testing.T) {
	for text, want := range map[string]string{
		": p99 < 1s":                      "no phase is before the colon",
		"open: p99 = 1s":                  "there is none of < <= > >=",
		"open: django.pp99 < 1s":          `"pp99" is not a figure: there are p50, p99 and so on, mean, `,
		"open: servce p99 < 1s":           `"servce" is not a distribution: there are response and service`,
		"closed: goodput > 0 * a.goodput": `"0" is not a factor above 0`,
		"closed: goodput > x * a.goodput": `"x" is not a factor above 0`,
		"closed: a.errors < b.errors":     "counts of requests are compared with a number, such as errors < 0.1%, and not with a figure",
		"closed: a.p99 < b.goodput":       "a time is compared with a time, a rate with a rate",
		"closed: a.p99 < 2 * a.p99":       "a figure is compared with itself",
		"closed: service goodput > 1":     `"goodput" is not a time`,
		"closed: p99 < ms":                `"ms" is not a figure: `,
	} {
		if _, err := Parse(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	_, err := Parse("open: tp99 < 1s")
	if word := new(WordError); !errors.As(err, &word) || word.Word != "tp99" || !slices.Contains(word.Known, "p99") {
		t.Errorf("%v", err)
	}
}
