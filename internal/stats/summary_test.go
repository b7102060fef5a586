package stats

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestBooksExact(t *testing.T) {
	b := Books{Planned: 10, Sent: 8, Dropped: 2, OK: 5, Bad: 1, Timeout: 1, Error: 1}
	if err := b.Exact(); err != nil {
		t.Error(err)
	}
	if b.Answered() != 6 {
		t.Errorf("answered %d, want 6", b.Answered())
	}
	for name, broken := range map[string]Books{
		"planned": {Planned: 9, Sent: 8, Dropped: 2, OK: 8},
		"sent":    {Planned: 10, Sent: 8, Dropped: 2, OK: 7},
	} {
		if err := broken.Exact(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	sum := b
	sum.Add(b)
	if err := sum.Exact(); err != nil || sum.Planned != 20 || sum.Error != 2 {
		t.Errorf("sum %+v: %v", sum, err)
	}
}

func TestMedianSplitsTheValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 50).Draw(t, "values")
		m := Median(values)
		below, above := 0, 0
		for _, v := range values {
			if v < m {
				below++
			}
			if v > m {
				above++
			}
		}
		if below > len(values)/2 || above > len(values)/2 {
			t.Fatalf("median %v of %v has %d below, %d above", m, values, below, above)
		}
		low, high := Range(values)
		if low > m || high < m {
			t.Fatalf("median %v outside %v to %v", m, low, high)
		}
	})
}

func TestSummarize(t *testing.T) {
	s := Summarize([]float64{2, 4, 4, 4, 5, 5, 7, 9})
	if s.N != 8 || s.Median != 4.5 || s.Min != 2 || s.Max != 9 || s.Mean != 5 || math.Abs(s.SD-2.13809) > 1e-5 || math.Abs(s.CV-0.427618) > 1e-6 {
		t.Errorf("summary %+v", s)
	}
	if len(s.Warnings) != 0 {
		t.Errorf("warnings %q", s.Warnings)
	}
	few := Summarize([]float64{1, math.NaN(), 3, math.Inf(1)})
	if few.N != 2 || few.Median != 2 || len(few.Warnings) != 2 {
		t.Errorf("summary %+v", few)
	}
	if !strings.Contains(strings.Join(few.Warnings, "; "), "needs 6 values") {
		t.Errorf("warnings %q do not say what is needed", few.Warnings)
	}
	none := Summarize(nil)
	if !math.IsNaN(none.Median) || !math.IsNaN(none.Min) || none.CV != 0 || none.N != 0 {
		t.Errorf("summary of nothing %+v", none)
	}
}
