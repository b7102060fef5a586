// Package threshold reads requirements such as "p99 < 50ms", "errors < 0.1%" or, in a plan,
// "closed: django.throughput > 0.95 * flask.throughput", and judges the figures of a single measurement by them.
// It knows no measurement: anyone who has one answers for its figures. A figure that is not known is no
// figure that is right: such a requirement is missed, with the reason.
//
//	[PHASE:] [response|service] [TARGET.]FIGURE  < <= > >=  NUMBER and unit, or [NUMBER *] [response|service] [TARGET.]FIGURE
package threshold

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Threshold is one requirement.
type Threshold struct {
	Text  string
	Phase string // that it is for; empty: none is named
	Left  Side
	Op    string // < <= > >=
	// Bound is in seconds, percent, requests or per second; where there is a Right it is the factor before that.
	Bound float64
	Share bool // Bound is in percent
	Right *Side
}

// Side is a figure of a target.
type Side struct {
	Target string  // empty: none is named
	Of     string  // distribution: "response", "service", or empty for the one that counts
	Name   string  // such as "p", "mean", "errors", "goodput"
	P      float64 // of name "p", 0 to 100
}

// IsTime reports whether the figure is one of a distribution of times.
func (s Side) IsTime() bool { return s.Name == "p" || slices.Contains(extremes(), s.Name) }

// Distribution is that of a figure of a distribution of times: the one that is named, or "service" where it counts in the
// phase, else "response". It is empty for any other figure.
func (s Side) Distribution(byService bool) string {
	switch {
	case !s.IsTime():
		return ""
	case s.Of != "":
		return s.Of
	case byService:
		return "service"
	}
	return "response"
}

// Same reports whether two figures of one target are the same figure, in a phase in which the service time counts or not.
func (s Side) Same(o Side, byService bool) bool {
	return s.Name == o.Name && s.P == o.P && s.Distribution(byService) == o.Distribution(byService)
}

func (s Side) isCount() bool { return slices.Contains(counts(), s.Name) }
func (s Side) isRate() bool  { return !s.IsTime() && !s.isCount() }

// Counts reports whether the figure is a count of requests.
func (t Threshold) Counts() bool { return t.Left.isCount() }

// Sides are the figures that the threshold needs.
func (t Threshold) Sides() []Side {
	if t.Right == nil {
		return []Side{t.Left}
	}
	return []Side{t.Left, *t.Right}
}

// Holds reports whether a figure, or a ratio of two, meets the bound.
func (t Threshold) Holds(v float64) bool { return t.compare(v, t.Bound) }

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

// Judge says whether the figures meet the requirement, which compares none with another.
func (t Threshold) Judge(f Figures) Outcome {
	switch s := t.Left; {
	case s.IsTime():
		return t.judgeTime(f.Time(s.Of, s.Name, s.P))
	case s.isRate():
		v := f.Rate(s.Name)
		return Outcome{t.Text, t.Holds(v), strconv.FormatFloat(v, 'f', 1, 64) + "/s"}
	}
	n, planned := f.Count(t.Left.Name)
	if !t.Share {
		return Outcome{t.Text, t.Holds(float64(n)), strconv.FormatInt(n, 10)}
	}
	if planned == 0 {
		return Outcome{t.Text, false, "not known: no request was planned"}
	}
	percent := 100 * float64(n) / float64(planned)
	return Outcome{t.Text, t.compare(100*float64(n), t.Bound*float64(planned)), strconv.FormatFloat(percent, 'g', 4, 64) + " %"}
}

func (t Threshold) judgeTime(v Time) Outcome {
	if v.Needs > 0 {
		return Outcome{t.Text, false, fmt.Sprintf("not known: that takes %d samples", v.Needs)}
	}
	is, met := v.Value.String(), t.Holds(v.Value.Seconds())
	if v.AtLeast {
		is = "at least " + is
		met = met && strings.HasPrefix(t.Op, ">") // it may be anything above
	}
	return Outcome{t.Text, met, is}
}

func (t Threshold) compare(v, bound float64) bool {
	switch t.Op {
	case "<":
		return v < bound
	case "<=":
		return v <= bound
	case ">":
		return v > bound
	}
	return v >= bound
}
