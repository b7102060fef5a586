package plan

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/show"
)

// Duration is a time.Duration written as "1.5s" or "2m" in YAML and JSON; a
// bare number is an error.
type Duration time.Duration

// String is the shortest way to write the duration: "1.5s", "2m", "1h30m".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Turns is how long a target's turn lasts, or 0, written "off", where targets are measured one after another.
type Turns time.Duration

// String is a duration or "off".
func (t Turns) String() string {
	if t == 0 {
		return "off"
	}
	return Duration(t).String()
}

// MarshalText writes what String gives.
func (t Turns) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a duration or "off".
func (t *Turns) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*t = 0
		return nil
	}
	return (*Duration)(t).UnmarshalText(text)
}

// Warmup is how long a warm-up lasts: Least, or where Most is more, until every target is steady.
type Warmup struct{ Least, Most Duration }

// FixedWarmup always lasts so long.
func FixedWarmup(d Duration) Warmup { return Warmup{d, d} }

// Settles reports whether the warm-up ends when every target is steady.
func (w Warmup) Settles() bool { return w.Most > w.Least }

// toMost is between both bounds of a warm-up that ends when it is steady.
const toMost = " to "

// String is a duration, or the least and the most.
func (w Warmup) String() string {
	if w.Least == w.Most {
		return w.Least.String()
	}
	return w.Least.String() + toMost + w.Most.String()
}

// MarshalText writes what String gives.
func (w Warmup) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads a duration, or two: "2s to 20s".
func (w *Warmup) UnmarshalText(text []byte) error {
	least, most, two := strings.Cut(string(text), toMost)
	if !two {
		most = least
		if m := apart.FindStringSubmatch(least); m != nil {
			return &textError{show.Quote(least, 40) + " is neither a duration nor two", "write " + m[1] + toMost + m[2]}
		}
	}
	return cmp.Or(w.Least.UnmarshalText([]byte(least)), w.Most.UnmarshalText([]byte(most)))
}

// MarshalText writes what String gives.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a number with a unit of ns, us, ms, s, m or h, or several of them.
func (d *Duration) UnmarshalText(text []byte) error {
	word := string(text)
	if number.MatchString(word) {
		return &textError{strconv.Quote(word) + " has no unit", "write " + word + "s or " + word + "ms"}
	}
	x, err := time.ParseDuration(word)
	if err != nil {
		return &textError{show.Quote(word, 40) + " is not a duration", guessDuration(word)}
	}
	*d = Duration(x)
	return nil
}

var (
	number = regexp.MustCompile(`^[-+]?[0-9]*\.?[0-9]+$`)
	// apart are two durations with something else between them than toMost.
	apart = regexp.MustCompile(`^([0-9.]+(?:ms|[smh])) *(?:\.\.+|[-,;/]| [a-z]* *) *([0-9.]+(?:ms|[smh]))$`)
	loose = regexp.MustCompile(`^([0-9]*\.?[0-9]+) *([a-zA-Z]+)$`)
)

// units are other ways to write a unit, and what to write.
var units = map[string]string{
	"s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
	"m": "m", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
	"h": "h", "hour": "h", "hours": "h",
	"ms": "ms", "msec": "ms", "milliseconds": "ms",
	"us": "us", "ns": "ns",
}

// guessDuration is a hint for a text that is not a duration.
func guessDuration(word string) string {
	m := loose.FindStringSubmatch(word)
	if m == nil {
		return "such as 4s, 1.5s, 2m or 500ms"
	}
	if unit, ok := units[strings.ToLower(m[2])]; ok {
		if _, err := time.ParseDuration(m[1] + unit); err != nil {
			return "it is too long"
		}
		return "write " + m[1] + unit
	}
	return "units are ns, us, ms, s, m and h"
}

// textError is about a text that is not what it should be, with a hint.
type textError struct{ text, hint string }

func (e *textError) Error() string { return e.text }
func (e *textError) Hint() string  { return e.hint }
