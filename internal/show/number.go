package show

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Count writes 1234567 as 1,234,567.
func Count[N int | int64](n N) string { return thousands(strconv.FormatInt(int64(n), 10)) }

// thousands puts commas into a decimal number.
func thousands(s string) string {
	sign, s := cutSign(s)
	whole, fraction, found := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if found {
		whole += "." + fraction
	}
	return sign + whole
}

func cutSign(s string) (sign, rest string) {
	if rest, found := strings.CutPrefix(s, "-"); found {
		return "-", rest
	}
	return "", s
}

// Number writes a figure with three significant digits, more only before the point: 0.12, 12.3, 1,235.
func Number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return None
	case a == 0:
		return "0"
	case a < 0.00995:
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	return Three(v)
}

// Three writes a figure with exactly three significant digits from 1 to 1000: 1.00, 12.3, 1,235.
func Three(v float64) string {
	switch a := math.Abs(v); {
	case a >= 99.95:
		return fixed(v, 0)
	case a >= 9.995:
		return fixed(v, 1)
	}
	return fixed(v, 2)
}

func fixed(v float64, digits int) string {
	return thousands(strconv.FormatFloat(v, 'f', digits, 64))
}

// Decimal writes a figure that is nearly always whole, such as a chosen rate: 1,234, 1,234.5, below one 0.25.
func Decimal(v float64) string {
	if math.Abs(v) < 1 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return thousands(strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64))
}

// Percent writes a share of 1 as 12.3 %, and one that would be 0.0 % without being 0 with two digits: 0.04 %.
func Percent(share float64) string {
	v := share * 100
	if v != 0 && math.Abs(v) < 0.05 {
		return Number(v) + " %"
	}
	return fixed(v, 1) + " %"
}

// Share writes a of b as 12.3 %, and nothing of nothing as None.
func Share(a, b int64) string {
	if b == 0 {
		return None
	}
	return Percent(float64(a) / float64(b))
}

// Ratio writes a for each b: 1 only where they are equal, else with four decimals.
func Ratio(a, b int64) string {
	switch {
	case b == 0:
		return None
	case a == b:
		return "1"
	}
	return fixed(float64(a)/float64(b), 4)
}

// Megabytes writes bytes as 12.3 MB.
func Megabytes(bytes float64) string { return Number(bytes/1e6) + " MB" }

// Plural writes "1 block" or "7 blocks".
func Plural[N int | int64](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + one + "s"
}

// List joins words: a, b and c.
func List(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// Pairs writes a map in the order of its keys: "begin 1.00, rollback 1.00".
func Pairs[V any](m map[string]V, value func(V) string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+" "+value(m[k]))
	}
	if len(out) == 0 {
		return None
	}
	return strings.Join(out, ", ")
}
