package figures

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bakeoff/internal/stats"
)

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
