package show

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration writes a measured time with three digits: 850 ns, 12.3 ms, 120 s.
func Duration(d time.Duration) string { return Seconds(d.Seconds()) }

// Seconds is Duration for a time in seconds.
func Seconds(s float64) string {
	switch {
	case s == 0:
		return "0 s"
	case s < 0.0009995e-3:
		return fixed(s*1e9, 0) + " ns"
	case s < 0.9995e-3:
		return Three(s*1e6) + " us"
	case s < 0.9995:
		return Three(s*1e3) + " ms"
	}
	return Three(s) + " s"
}

// Millis writes seconds in ms, whatever their size, so that they can be compared: 0.78 ms, 1,200 ms.
func Millis(s float64) string { return Number(s*1e3) + " ms" }

// Span writes a chosen time in seconds with all its digits: 8 s, 2.5 s. From a second on, those below a millisecond are
// of a division, not chosen: 6.217 s.
func Span(s float64) string {
	if s >= 1 {
		s = math.Round(s*1000) / 1000
	}
	return strconv.FormatFloat(s, 'f', -1, 64) + " s"
}

// Clock writes how long something has been going on as 03:21, and from an hour on as 1:03:21.
func Clock(d time.Duration) string {
	s := int(max(0, d).Seconds())
	if s < 3600 {
		return fmt.Sprintf("%02d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// Bar draws how much of an expected time is over: [#####...............].
func Bar(passed, expected time.Duration) string {
	const cells = 20
	full := cells
	if expected > 0 {
		full = min(max(int(cells*passed/expected), 0), cells)
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", cells-full) + "]"
}
