// Package threshold reads requirements such as "p99 < 50ms" or "errors < 0.1%" and judges figures by
// them. It knows no measurement: anyone who has one answers for its figures. A figure that is not known is no
// figure that is right: such a requirement is missed, with the reason.
package threshold

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Threshold is one requirement.
type Threshold struct {
	Text  string
	of    string  // distribution: "response", "service", or empty for the one that counts
	name  string  // such as "p", "mean", "errors", "goodput"
	p     float64 // of name "p", 0 to 100
	op    string
	bound float64 // seconds, percent, a count, or per second
	share bool    // bound is in percent
}

// Time is a figure of a distribution.
type Time struct {
	Value   time.Duration
	AtLeast bool  // Value is a lower bound
	Needs   int64 // samples for it to be known; 0: it is
}

// Figures are what a measurement found.
type Figures interface {
	// Time is a figure of a distribution, "response", "service" or "" for the one that counts: "p" with its
	// percentile, "mean", "min" or "max".
	Time(of, name string, p float64) Time
	// Count is how many requests were such, of how many planned.
	Count(name string) (n, planned int64)
	// Rate is "rate" or "goodput", per second.
	Rate(name string) float64
}

// Outcome is what a requirement came to.
type Outcome struct {
	Require string `json:"require"`
	Met     bool   `json:"met"`
	Is      string `json:"is"` // the figure, or why there is none
}

const example = "such as 'p99 < 50ms', 'errors < 0.1%', 'goodput >= 900/s'"

// counts are the names of counts of requests. "errors" are all that were planned and not answered as expected.
func counts() []string {
	return []string{"errors", "ok", "bad", "timeouts", "dropped", "late", "queued"}
}

// Parse reads a requirement: a figure, one of < <= > >=, and a bound with its unit.
func Parse(text string) (Threshold, error) {
	t := Threshold{Text: strings.Join(strings.Fields(text), " ")}
	i := strings.IndexAny(text, "<>")
	if i < 0 {
		return t, fmt.Errorf("%q has none of < <= > >= (%s)", text, example)
	}
	t.op = text[i : i+1]
	rest := text[i+1:]
	if strings.HasPrefix(rest, "=") {
		t.op, rest = t.op+"=", rest[1:]
	}
	if err := t.figure(strings.TrimSpace(text[:i])); err != nil {
		return t, fmt.Errorf("%q: %w (%s)", text, err, example)
	}
	if err := t.value(strings.TrimSpace(rest)); err != nil {
		return t, fmt.Errorf("%q: %w (%s)", text, err, example)
	}
	return t, nil
}

// figure reads the left side.
func (t *Threshold) figure(name string) error {
	if of, rest, found := strings.Cut(name, " "); found {
		if of != "response" && of != "service" {
			return fmt.Errorf("%q is neither response nor service", of)
		}
		t.of, name = of, strings.TrimSpace(rest)
	}
	t.name = name
	if digits, ok := strings.CutPrefix(name, "p"); ok {
		p, err := strconv.ParseFloat(digits, 64)
		if err != nil || !(p > 0 && p < 100) {
			return fmt.Errorf("%q is not a percentile above 0 and below 100", name)
		}
		t.name, t.p = "p", p
	}
	if t.of != "" && !t.isTime() {
		return fmt.Errorf("%q is not a time", name)
	}
	if !t.isTime() && !t.isRate() && !contains(counts(), t.name) {
		return fmt.Errorf("%q is not a figure: there are p50, p99 and so on, mean, min, max, %s, rate, goodput", name, strings.Join(counts(), ", "))
	}
	return nil
}

func contains(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

func (t *Threshold) isTime() bool { return contains([]string{"p", "mean", "min", "max"}, t.name) }
func (t *Threshold) isRate() bool { return t.name == "rate" || t.name == "goodput" }

// value reads the right side.
func (t *Threshold) value(text string) (err error) {
	switch {
	case t.isTime():
		var d time.Duration
		if d, err = time.ParseDuration(text); err != nil || d < 0 {
			return fmt.Errorf("%q is not a time such as 50ms", text)
		}
		t.bound = d.Seconds()
		return nil
	case t.isRate():
		text = strings.TrimSuffix(text, "/s")
	default:
		if number, ok := strings.CutSuffix(text, "%"); ok {
			text, t.share = strings.TrimSpace(number), true
		}
	}
	t.bound, err = strconv.ParseFloat(text, 64)
	if err != nil || !(t.bound >= 0) || math.IsInf(t.bound, 0) {
		return fmt.Errorf("%q is not a number of 0 or more", text)
	}
	return nil
}

// Judge says whether the figures meet the requirement.
func (t Threshold) Judge(f Figures) Outcome {
	switch {
	case t.isTime():
		return t.judgeTime(f.Time(t.of, t.name, t.p))
	case t.isRate():
		v := f.Rate(t.name)
		return Outcome{t.Text, t.holds(v), strconv.FormatFloat(v, 'f', 1, 64) + "/s"}
	}
	n, planned := f.Count(t.name)
	if !t.share {
		return Outcome{t.Text, t.holds(float64(n)), strconv.FormatInt(n, 10)}
	}
	if planned == 0 {
		return Outcome{t.Text, false, "not known: no request was planned"}
	}
	percent := 100 * float64(n) / float64(planned)
	return Outcome{t.Text, t.compare(100*float64(n), t.bound*float64(planned)), strconv.FormatFloat(percent, 'g', 4, 64) + " %"}
}

func (t Threshold) judgeTime(v Time) Outcome {
	if v.Needs > 0 {
		return Outcome{t.Text, false, fmt.Sprintf("not known: that takes %d samples", v.Needs)}
	}
	is, met := v.Value.String(), t.holds(v.Value.Seconds())
	if v.AtLeast {
		is = "at least " + is
		met = met && strings.HasPrefix(t.op, ">") // it may be anything above
	}
	return Outcome{t.Text, met, is}
}

func (t Threshold) holds(v float64) bool { return t.compare(v, t.bound) }

func (t Threshold) compare(v, bound float64) bool {
	switch t.op {
	case "<":
		return v < bound
	case "<=":
		return v <= bound
	case ">":
		return v > bound
	}
	return v >= bound
}
