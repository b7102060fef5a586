package report

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"bakeoff/internal/figures"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// varied are n values that spread around a centre by a fraction.
func varied(centre, by float64, n, phase int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = centre * (1 + by*math.Sin(float64(i*i+phase)))
	}
	return out
}

func verdictText(t *testing.T, values map[string][]float64) string {
	t.Helper()
	var table verdict.Table
	for name, blocks := range values {
		for i, v := range blocks {
			if err := table.Add(verdict.Cell{Block: fmt.Sprint(i + 1), Target: name, Value: v}); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := verdict.Judge(&table, verdict.Options{Delta: 0.03})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := WriteVerdict(&b, r, 100); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Eight targets fit a screen, whatever is said of their pairs, and no pair is left out.
func TestVerdictOnEightFitsAScreen(t *testing.T) {
	const name = "a-target-with-a-lon"
	for world, w := range map[string]struct{ step, noise float64 }{"all better": {1.2, 0.002}, "all tied": {1, 0.002}, "none shown": {1, 0.2}, "mixed": {1.03, 0.01}} {
		values := map[string][]float64{}
		level := 1000.0
		for i := range 8 {
			values[name+fmt.Sprint(i)] = varied(level, w.noise, 12, 5*i)
			level *= w.step
		}
		out := verdictText(t, values)
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if len(lines) > 40 {
			t.Errorf("%s: %d lines:\n%s", world, len(lines), out)
		}
		for _, line := range lines {
			if show.Width(line) > 100 {
				t.Errorf("%s: %d columns: %s", world, show.Width(line), line)
			}
		}
		_, tables, _ := strings.Cut(out, "\n\n")
		for i := range 8 {
			if n := strings.Count(tables, name+fmt.Sprint(i)); n < 7 { // once ranked, six pairs; the first is in no other
				if first := strings.Fields(strings.Split(tables, "\n")[2])[1]; first != name+fmt.Sprint(i) {
					t.Errorf("%s: target %d stands there %d times:\n%s", world, i, n, out)
				}
			}
		}
	}
}

// Above eight targets only neighbours are written out, and the rest is named.
func TestVerdictOnManyShowsNeighbours(t *testing.T) {
	values := map[string][]float64{}
	for i := range 9 {
		values[fmt.Sprintf("t%d", i)] = varied(100*float64(i+1), 0.01, 12, i)
	}
	out := verdictText(t, values)
	if n := strings.Count(out, "  better: at least"); n != 8+7 {
		t.Errorf("%d pairs:\n%s", n, out)
	}
	if !strings.Contains(out, "(neighbours only; --json has all 36 pairs)") {
		t.Error(out)
	}
}

func TestVerdictOnLittle(t *testing.T) {
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
				"----  ------  ----  -----  --------  ----------------------------------------------------\n" +
				"1-2   b       20.0\n" +
				"1-2   a       10.0  2.000    [-, -]  not told apart; no verdict takes fewer than 6 blocks\n",
		},
	} {
		if got := verdictText(t, c.values); got != c.want {
			t.Errorf("%s\nnot\n%s", got, c.want)
		}
	}
}

// The ends of an interval are rounded outwards, and as far as needed to show on which side of 1 and of the margin they lie.
func TestIntervalsAreRoundedOutwards(t *testing.T) {
	for _, c := range []struct {
		low, high verdict.Number
		delta     float64
		want      string
	}{
		{1.0041, 1.0049, 0.03, "[1.004, 1.005]"},
		{0.9704, 0.9997, 0.03, "[0.970, 0.9997]"},
		{0.9712, 1.0003, 0.03, "[0.971, 1.001]"},
		{1.0003, 1.0304, 0.03, "[1.0003, 1.031]"},
		{1.0304, 1.0299, 0.03, "[1.0304, 1.0299]"},
		{1.00003, 0.99997, 0, "[1.00003, 0.99997]"},
		{1.0304, 1.0299, 0, "[1.030, 1.030]"},
		{0.9709, 0.9705, 0.03, "[0.9709, 0.9705]"}, // 1/1.03 is 0.97087
		{1, 1, 0.03, "[1.000, 1.000]"},
		{1.03, 1.03, 0.03, "[1.030, 1.030]"},
		{1.0000000001, 0.9999999999, 0.03, "[1.000, 1.000]"},
		{12.26, 12.21, 0.03, "[12.2, 12.3]"},
		{9.9991, 9.9991, 0.03, "[9.999, 10.000]"},
		{99.94, 99.94, 0.03, "[99.9, 100]"},
		{1234.6, 1234.4, 0.03, "[1,234, 1,235]"},
		{0, verdict.Number(math.Inf(1)), 0.03, "[0.000, -]"},
		{verdict.Number(math.NaN()), verdict.Number(math.NaN()), 0.03, "[-, -]"},
	} {
		if got := between(c.low, c.high, c.delta); got != c.want {
			t.Errorf("[%v, %v] with a margin of %v: %s, want %s", c.low, c.high, c.delta, got, c.want)
		}
	}
}

// The interval of a tie may reach beyond the margin; what the page says of its picture allows for that.
func TestATieBeyondTheMargin(t *testing.T) {
	var table verdict.Table
	for i := range 8 {
		for name, x := range map[string]float64{"a": []float64{0.03633, -0.02633}[i%2], "b": 0} {
			if err := table.Add(verdict.Cell{Block: fmt.Sprint(i + 1), Target: name, Value: 100 * math.Exp(x)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := verdict.Judge(&table, verdict.Options{Delta: 0.03})
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Comparisons[0]; c.Verdict != verdict.Equivalent || c.High < 1.03 || between(c.Low, c.High, 0.03) != "[0.977, 1.034]" {
		t.Errorf("%s: %+v", r.Head(), c)
	}
	if how := intervalFigure(&figures.Verdict{Result: r})[0].how; strings.Contains(how, "Else not told apart") || !strings.Contains(how, "reaches somewhat further may be a difference or a tie") {
		t.Error(how)
	}
}
