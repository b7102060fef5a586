package report

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bakeoff/internal/stats"
)

func TestNumbers(t *testing.T) {
	for want, got := range map[string]string{
		"0": count(0), "999": count(999), "1,000": count(1000), "-1,234,567": count(-1234567),
		"0.12": number(0.123), "12.3": number(12.34), "123": number(123.4), "1,235": number(1234.6), "0.0012": number(0.00123), "-": number(math.NaN()),
		"0 s": duration(0), "1.20 us": duration(1.2e-6), "850 us": duration(0.00085), "1.00 ms": duration(0.0009996), "12.3 ms": duration(0.01234),
		"999 ms": duration(0.9994), "1.00 s": duration(0.9996), "10.0 s": duration(10), "120 s": duration(120),
		"8 s": span(8), "2.5 s": span(2.5), "33.3 %": percent(1.0 / 3), "90.0 MB": megabytes(90e6), "1,234 MB": megabytes(1.234e9), "0.78 ms": millis(0.00078),
		"11": whole(11), "10.5": whole(10.5), "1": ratio(5, 5), "0.4993": ratio(4993, 10000),
		"a, b and c": list([]string{"a", "b", "c"}), "a and b": list([]string{"a", "b"}), "1 block": plural(1, "block"), "7 blocks": plural(7, "block"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSpreadsInWords(t *testing.T) {
	for want, got := range map[string]string{
		"-":                        Spread{}.show(duration),
		"12.0 ms":                  spread(exactly(0.012)).show(duration),
		"12.0 (11.0..14.0) ms":     spread(exactly(0.012, 0.014, 0.011)).show(duration),
		"500 ms (20.0 ms..2.00 s)": spread(exactly(0.5, 2, 0.02)).show(duration),
		"1,020 (1,010..1,030)":     spread(exactly(1010, 1030, 1020)).show(number),
		">10.0 s":                  spread([]value{{10, true}}).show(duration),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Time-outs are slower than everything known, and make the median a bound where they reach the middle.
func TestSpreadOfBounds(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []value
		want Spread
	}{
		{"one of three", []value{{10, true}, {1, false}, {2, false}}, Spread{N: 3, Median: 2, Min: 1, Max: 10, MaxOver: true}},
		{"a bound below what is known", []value{{1, true}, {5, false}, {6, false}}, Spread{N: 3, Median: 6, Min: 5, Max: 1, MaxOver: true}},
		{"half", []value{{10, true}, {1, false}}, Spread{N: 2, Median: 1, MedianOver: true, Min: 1, Max: 10, MaxOver: true}},
		{"all", []value{{10, true}, {10, true}}, Spread{N: 2, Median: 10, MedianOver: true, Min: 10, MinOver: true, Max: 10, MaxOver: true}},
	} {
		if diff := cmp.Diff(c.want, spread(c.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// Without bounds a spread is the median and range of stats.
func TestSpreadIsMedianAndRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vs := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 20).Draw(t, "values")
		s := spread(exactly(vs...))
		low, high := stats.Range(vs)
		if math.Abs(s.Median-stats.Median(vs)) > 1e-9*(1+math.Abs(s.Median)) || s.Min != low || s.Max != high || s.N != len(vs) {
			t.Fatalf("%v: %+v", vs, s)
		}
		if s.MedianOver || s.MinOver || s.MaxOver {
			t.Fatal("a known value became a bound")
		}
	})
}

func TestRanked(t *testing.T) {
	got := ranked([][]float64{{1, 28, 9}, {3, 30}})
	want := []Spread{{N: 2, Median: 29, Min: 28, Max: 30}, {N: 2, Median: 6, Min: 3, Max: 9}, {N: 1, Median: 1, Min: 1, Max: 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Wrapped text holds the same words, no line is too long, and a unit stays with its number.
func TestWrap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "word", "10", "s", "%", "longer-word"}), 0, 60).Draw(t, "words")
		width := rapid.IntRange(20, 60).Draw(t, "width")
		out := wrap(strings.Join(in, " "), width, "  ")
		if got := strings.Fields(out); !slices.Equal(got, in) {
			t.Fatalf("%v became %v", in, got)
		}
		for i, line := range strings.Split(out, "\n") {
			fields := strings.Fields(line)
			if i > 0 && (fields[0] == "s" || fields[0] == "%") {
				t.Fatalf("a line begins with a unit: %q", line)
			}
			// A number may drag units along: those runs are as long as they are.
			if len(words(line)) > 1 && len(line) > width+2 {
				t.Fatalf("a line of %d characters in %d: %q", len(line), width, line)
			}
		}
	})
}

// A table too wide for the page is broken inside cells, and loses nothing.
func TestTablesFitThePage(t *testing.T) {
	g := grid{left: 1, words: 1, head: []string{"setting", "value", "from"}}
	g.rows = [][]string{{"worker_class", strings.Repeat("value ", 12), strings.Repeat("the deployment guide ", 8)}, {"short", "1", strings.Repeat("x", 150)}}
	out := g.writer(80).Render()
	for line := range strings.Lines(out) {
		if n := len(strings.TrimRight(line, " \n")); n > 80 {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
	if n := strings.Count(out, "x"); n != 150 {
		t.Errorf("%d of 150 characters are left", n)
	}
	if n := strings.Count(out, "guide"); n != 8 {
		t.Errorf("%d of 8 words are left", n)
	}
}
