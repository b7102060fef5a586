package stats

import (
	"fmt"
	"math"
	"slices"
)

// Sample summarises a few values, one per block. What limits its use travels
// with it in Warnings.
type Sample struct {
	N        int
	Median   float64 // NaN when there is no value
	Min, Max float64
	Mean     float64
	SD       float64 // of the sample, n-1; 0 for one value
	CV       float64 // SD / |Mean|; 0 when the mean is 0
	Warnings []string
}

// medianNeeds is the smallest number of values whose range covers the median
// with 95 % confidence: 1 - 2^(1-n) >= 0.95 (David and Nagaraja, Order Statistics, 7.1).
const medianNeeds = 6

// Summarize describes the values; those that are not finite are left out, with a warning.
func Summarize(values []float64) Sample {
	kept := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	s := Sample{N: len(kept), Median: Median(kept), CV: CV(kept)}
	s.Min, s.Max = Range(kept)
	s.Mean, s.SD = meanSD(kept)
	if n := len(values) - len(kept); n > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%d of %d values are not finite and were left out", n, len(values)))
	}
	if few := FewForMedian(s.N); few != "" {
		s.Warnings = append(s.Warnings, few)
	}
	return s
}

// FewForMedian warns where so few values have no 95 % interval of their median; else it is empty.
func FewForMedian(n int) string {
	if n >= medianNeeds {
		return ""
	}
	return fmt.Sprintf("needs %d values for a 95 %% interval of the median, has %d", medianNeeds, n)
}

// Median is the middle value, or the mean of the two in the middle; NaN when there is none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return sorted[mid-1]/2 + sorted[mid]/2
}

// Range is the smallest and the greatest value; NaN when there is none.
func Range(values []float64) (low, high float64) {
	if len(values) == 0 {
		return math.NaN(), math.NaN()
	}
	return slices.Min(values), slices.Max(values)
}

// CV is the coefficient of variation, standard deviation (n-1) over the mean's
// magnitude; 0 for fewer than two values or a mean of 0.
func CV(values []float64) float64 {
	mean, sd := meanSD(values)
	if len(values) < 2 || mean == 0 {
		return 0
	}
	return sd / math.Abs(mean)
}

// meanSD is the mean and the standard deviation of the sample (Welford 1962); NaN and 0 when there is none.
func meanSD(values []float64) (mean, sd float64) {
	if len(values) == 0 {
		return math.NaN(), 0
	}
	var squares float64
	for i, v := range values {
		d := v - mean
		mean += d / float64(i+1)
		squares += d * (v - mean)
	}
	if len(values) > 1 {
		sd = math.Sqrt(squares / float64(len(values)-1))
	}
	return mean, sd
}
