package report

import (
	"testing"

	"bakeoff/internal/figures"
	"bakeoff/internal/show"
)

func TestSpreadsInWords(t *testing.T) {
	of := func(low, median, high float64) figures.Spread {
		return figures.Spread{N: 3, Min: low, Median: median, Max: high}
	}
	for _, c := range []struct{ want, got string }{
		{"-", spread(figures.Spread{}, show.Seconds)},
		{"12.0 ms", spread(of(0.012, 0.012, 0.012), show.Seconds)},
		{"12.0 (11.0..14.0) ms", spread(of(0.011, 0.012, 0.014), show.Seconds)},
		{"500 ms (20.0 ms..2.00 s)", spread(of(0.02, 0.5, 2), show.Seconds)},
		{"1,020 (1,010..1,030)", spread(of(1010, 1020, 1030), show.Number)},
		{">10.0 s", spread(figures.Spread{N: 1, Min: 10, Median: 10, Max: 10, MinOver: true, MedianOver: true, MaxOver: true}, show.Seconds)},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
