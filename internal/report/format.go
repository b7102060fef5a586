package report

import (
	"fmt"
	"slices"
	"strings"

	"bakeoff/internal/figures"
	"bakeoff/internal/show"
)

// percentile writes one percentile, ">10.0 s" among time-outs, or why it is not given.
func percentile(p figures.Percentile) string {
	switch {
	case p.Unmeasured:
		return unmeasured
	case p.Has == 0:
		return show.None
	case p.Needs > 0:
		return needs(p.Needs, p.Has)
	}
	return bound(p.Over) + show.Seconds(p.Seconds)
}

// What stands where the loader did not measure a figure: unmeasured, or narrow in tables of many columns.
const (
	unmeasured = "not measured"
	narrow     = "n/m"
)

// explained is a table whose caption says what narrow means, where it is in a row.
func explained(t show.Table) show.Table {
	if slices.ContainsFunc(t.Rows, func(row []string) bool { return slices.Contains(row, narrow) }) {
		t.Caption = strings.TrimSpace(t.Caption + " " + narrow + ": not measured.")
	}
	return t
}

func needs(need, has int64) string {
	return fmt.Sprintf("- (needs %s requests, has %s)", show.Count(need), show.Count(has))
}

func bound(over bool) string {
	if over {
		return ">"
	}
	return ""
}

// spread writes a spread as its median and range: "12.3 (11.0..14.1) ms" with the unit of each
// number, or once where all are the same.
func spread(s figures.Spread, unit func(float64) string) string {
	if s.N == 0 {
		return show.None
	}
	median := bound(s.MedianOver) + unit(s.Median)
	low, high := bound(s.MinOver)+unit(s.Min), bound(s.MaxOver)+unit(s.Max)
	if low == high {
		return median
	}
	if i := strings.LastIndexByte(high, ' '); i > 0 && strings.HasSuffix(median, high[i:]) && strings.HasSuffix(low, high[i:]) {
		u := high[i:]
		return strings.TrimSuffix(median, u) + " (" + strings.TrimSuffix(low, u) + ".." + strings.TrimSuffix(high, u) + ")" + u
	}
	return median + " (" + low + ".." + high + ")"
}

// extent writes the range of a spread: 11.0..14.1 ms, or with the unit of each number.
func extent(s figures.Spread, unit func(float64) string) string {
	if s.N == 0 {
		return show.None
	}
	low, high := bound(s.MinOver)+unit(s.Min), bound(s.MaxOver)+unit(s.Max)
	if i := strings.LastIndexByte(high, ' '); i > 0 && strings.HasSuffix(low, high[i:]) {
		low = strings.TrimSuffix(low, high[i:])
	}
	return low + ".." + high
}

func median(s figures.Spread, unit func(float64) string) string {
	if s.N == 0 {
		return show.None
	}
	return bound(s.MedianOver) + unit(s.Median)
}

// medians joins the medians of several spreads with slashes: 28/9/9/5.
func medians(of []figures.Spread, unit func(float64) string) string {
	if len(of) == 0 {
		return show.None
	}
	out := make([]string, len(of))
	for i, s := range of {
		out[i] = median(s, unit)
	}
	return strings.Join(out, "/")
}
