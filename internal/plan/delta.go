package plan

import (
	"regexp"
	"strconv"
	"strings"

	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// Delta is the smallest difference that matters, as a share of 1; written as "3%" in YAML and JSON. A bare
// number is an error.
type Delta float64

// The least and the greatest delta of a plan.
const (
	leastDelta = 0.001
	mostDelta  = 0.5
)

// String writes the delta as in a plan: "3%", "0.5%".
func (d Delta) String() string { return strings.ReplaceAll(verdict.Margin(float64(d)), " ", "") }

// MarshalText writes what String gives.
func (d Delta) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a percentage.
func (d *Delta) UnmarshalText(text []byte) error {
	word := string(text)
	x, err := verdict.ParseDelta(word)
	switch {
	case err == nil:
		*d = Delta(x)
		return nil
	case bareNumber.MatchString(word):
		return &textError{strconv.Quote(word) + " has no unit", "write " + word + "%"}
	}
	return &textError{show.Quote(word, 40) + " is not a percentage above 0% and below 100%", "such as 3%"}
}

var bareNumber = regexp.MustCompile(`^[0-9]*\.?[0-9]+$`)

// delta checks the margin of the verdict.
func (c *checker) delta(path string, d Delta) {
	if d < leastDelta || d > mostDelta {
		c.report(path, "", "must be %s to %s, but is %s", Delta(leastDelta), Delta(mostDelta), d)
	}
}
