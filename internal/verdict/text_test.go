package verdict

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func text(t *testing.T, r Result, width int) string {
	t.Helper()
	var b strings.Builder
	if err := WriteText(&b, r, width); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Eight targets with long names fit a screen, whatever is said of their pairs.
func TestEightTargetsFitAScreen(t *testing.T) {
	for name, world := range map[string]struct{ step, noise float64 }{"all better": {1.2, 0.002}, "all tied": {1, 0.002}, "none told": {1, 0.2}, "mixed": {1.03, 0.01}} {
		values := map[string][]float64{}
		level := 1000.0
		for i := range 8 {
			values[fmt.Sprintf("a-target-with-a-lon%d", i)] = around(level, world.noise, 12, 5*i)
			level *= world.step
		}
		out := text(t, judge(t, values, Options{Delta: 0.03}), 100)
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if len(lines) > 40 {
			t.Errorf("%s: %d lines:\n%s", name, len(lines), out)
		}
		for _, line := range lines {
			if utf8.RuneCountInString(line) > 100 {
				t.Errorf("%s: %d columns: %s", name, utf8.RuneCountInString(line), line)
			}
		}
		for i := range 8 {
			if !strings.Contains(out, fmt.Sprintf("a-target-with-a-lon%d", i)) {
				t.Errorf("%s: target %d is not there:\n%s", name, i, out)
			}
		}
		if pairs := strings.Count(out, "a-target-with") - strings.Count(lines[0]+lines[1]+lines[2], "a-target-with"); pairs < 9+2*21 {
			t.Errorf("%s: a pair is missing:\n%s", name, out)
		}
	}
}

// Above eight targets only neighbours are written out, and the rest is named.
func TestManyTargets(t *testing.T) {
	values := map[string][]float64{}
	for i := range 9 {
		values[fmt.Sprintf("t%d", i)] = around(100*float64(i+1), 0.01, 12, i)
	}
	out := text(t, judge(t, values, Options{Delta: 0.03}), 100)
	if n := strings.Count(out, "  better: at least"); n != 8+7 {
		t.Errorf("%d pairs:\n%s", n, out)
	}
	if !strings.Contains(out, "(neighbours only; --json has all 36 pairs)") {
		t.Error(out)
	}
}

func TestTextOfLittle(t *testing.T) {
	for _, c := range []struct {
		values map[string][]float64
		want   string
	}{
		{nil, "0 blocks, 0 targets; higher is better; differences up to 3 % do not matter\nwarning: 0 targets: a verdict takes two\n"},
		{
			map[string][]float64{"a": {1, 2}},
			"a is alone: there is nothing to compare it with\n2 blocks, 1 target; higher is better; differences up to 3 % do not matter\n" +
				"warning: 1 target: a verdict takes two\n",
		},
		{
			map[string][]float64{"a": {10}, "b": {20}},
			"a and b are not told apart; no verdict takes fewer than 6 blocks\n" +
				"1 block, 2 targets; higher is better; differences up to 3 % do not matter; the interval is a 95 %\none\n" +
				"warning: too few blocks for any verdict: 1 complete, and any verdict over 1 pair takes 6, so 5 more\n\n" +
				"rank  target  mean  ratio  interval  compared with it, b is\n" +
				"1-2   b       20.0\n" +
				"1-2   a       10.0  2.000  [-, -]    not told apart; no verdict takes fewer than 6 blocks\n",
		},
	} {
		if got := text(t, judge(t, c.values, Options{Delta: 0.03}), 100); got != c.want {
			t.Errorf("%s\nnot\n%s", got, c.want)
		}
	}
}

func TestFigure(t *testing.T) {
	for v, want := range map[Number]string{
		0: "0.000", 0.94: "0.940", 1.0049: "1.005", 23.45: "23.4", 999.6: "1,000", 12345.6: "12,346", 1.5e9: "1.5e+09", 0.00001: "1e-05", unknown: "-",
	} {
		if got := figure(v); got != want && v.Known() {
			t.Errorf("%v: %q, not %q", v, got, want)
		}
	}
	if figure(unknown) != "-" {
		t.Errorf("unknown: %q", figure(unknown))
	}
}
