package threshold

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Examples of requirements, for messages.
const (
	Example     = "such as 'p99 < 50ms', 'errors < 0.1%', 'goodput >= 900/s'"
	PlanExample = "such as 'open: p99 < 50ms', 'closed: a.throughput > 0.95 * b.throughput'"
)

// WordError is a word that is none of those that may be there.
type WordError struct {
	Word  string
	What  string // what it should be, with an article, such as "a figure"
	Known []string
	Text  string // says what there is
}

func (e *WordError) Error() string {
	text := fmt.Sprintf("%q is not %s", e.Word, e.What)
	if e.Text != "" {
		text += ": " + e.Text
	}
	return text
}

// counts are the names of counts of requests. "errors" are all that were planned and not answered as expected.
func counts() []string {
	return []string{"errors", "ok", "bad", "timeouts", "dropped", "late", "queued"}
}

func extremes() []string { return []string{"mean", "min", "max"} }

// rates are per second; throughput is another name of goodput.
func rates() []string { return []string{"rate", "goodput", "throughput"} }

// figures are the names of all figures; of percentiles the usual ones.
func figures() []string {
	return slices.Concat([]string{"p50", "p90", "p95", "p99", "p99.9", "p99.99"}, extremes(), counts(), rates())
}

// Parse reads a requirement, of a plan or of a single measurement.
func Parse(text string) (Threshold, error) {
	t := Threshold{Text: strings.Join(strings.Fields(text), " ")}
	rest := t.Text
	if phase, behind, found := strings.Cut(rest, ":"); found {
		if t.Phase, rest = strings.TrimSpace(phase), behind; t.Phase == "" {
			return t, errors.New("no phase is before the colon")
		}
	}
	i := strings.IndexAny(rest, "<>")
	if i < 0 {
		return t, errors.New("there is none of < <= > >=")
	}
	t.Op = rest[i : i+1]
	bound := rest[i+1:]
	if strings.HasPrefix(bound, "=") {
		t.Op, bound = t.Op+"=", bound[1:]
	}
	var err error
	if t.Left, err = parseSide(strings.TrimSpace(rest[:i])); err != nil {
		return t, err
	}
	return t, t.parseBound(strings.TrimSpace(bound))
}

// ParseRequire reads a requirement of a single measurement, which has one phase and one target.
func ParseRequire(text string) (Threshold, error) {
	t, err := Parse(text)
	switch {
	case err != nil:
	case t.Phase != "":
		err = errors.New("a phase is for a plan")
	case t.Left.Target != "":
		err = errors.New("a target is for a plan")
	case t.Right != nil:
		err = errors.New("two figures are compared in a plan only")
	}
	if err != nil {
		return t, fmt.Errorf("%q: %w (%s)", text, err, Example)
	}
	return t, nil
}

// parseSide reads [response|service] [TARGET.]FIGURE.
func parseSide(text string) (Side, error) {
	var s Side
	if of, rest, found := strings.Cut(text, " "); found {
		if of != "response" && of != "service" {
			return s, &WordError{Word: of, What: "a distribution", Known: []string{"response", "service"}, Text: "there are response and service"}
		}
		s.Of, text = of, strings.TrimSpace(rest)
	}
	err := s.figure(text)
	if target, name, found := strings.Cut(text, "."); err != nil && found {
		like := s.figure(target) == nil // as that of p99.x, which has no such target
		if inner := s.figure(name); inner == nil || !like {
			s.Target, err = target, inner
		}
	}
	if err == nil && s.Of != "" && !s.IsTime() {
		err = fmt.Errorf("%q is not a time", s.Name)
	}
	return s, err
}

// figure reads the name of a figure.
func (s *Side) figure(name string) error {
	s.Name, s.P = name, 0
	switch {
	case slices.Contains(extremes(), name), slices.Contains(counts(), name), slices.Contains(rates(), name):
		if name == "throughput" {
			s.Name = "goodput"
		}
		return nil
	}
	digits, isP := strings.CutPrefix(name, "p")
	p, err := strconv.ParseFloat(digits, 64)
	switch {
	case isP && err == nil && p > 0 && p < 100:
		s.Name, s.P = "p", p
		return nil
	case isP && err == nil:
		return fmt.Errorf("%q is not a percentile above 0 and below 100", name)
	}
	return &WordError{Word: name, What: "a figure", Known: figures(), Text: fmt.Sprintf("there are p50, p99 and so on, %s, %s, %s",
		strings.Join(extremes(), ", "), strings.Join(counts(), ", "), strings.Join(rates(), ", "))}
}

// parseBound reads what is behind the sign: a number with its unit, or [NUMBER *] and another figure.
func (t *Threshold) parseBound(text string) error {
	factor, side, times := strings.Cut(text, "*")
	switch {
	case times:
		x, err := strconv.ParseFloat(strings.TrimSpace(factor), 64)
		if err != nil || !(x > 0) || math.IsInf(x, 0) {
			return fmt.Errorf("%q is not a factor above 0", strings.TrimSpace(factor))
		}
		t.Bound = x
	case text != "" && text[0] >= 'a' && text[0] <= 'z':
		t.Bound, side = 1, text
	default:
		return t.value(text)
	}
	right, err := parseSide(strings.TrimSpace(side))
	if err != nil {
		return err
	}
	t.Right = &right
	return t.comparable()
}

// comparable refuses two figures that no ratio can be made of.
func (t *Threshold) comparable() error {
	left, right := t.Left, *t.Right
	switch {
	case left.isCount() || right.isCount():
		return errors.New("counts of requests are compared with a number, such as errors < 0.1%, and not with a figure")
	case left.IsTime() != right.IsTime():
		return errors.New("a time is compared with a time, a rate with a rate")
	case left == right:
		return errors.New("a figure is compared with itself")
	}
	return nil
}

// value reads a number with its unit.
func (t *Threshold) value(text string) (err error) {
	switch {
	case t.Left.IsTime():
		var d time.Duration
		if d, err = time.ParseDuration(joined(text)); err != nil || d < 0 {
			return fmt.Errorf("%q is not a time such as 50ms", text)
		}
		t.Bound = d.Seconds()
		return nil
	case t.Left.isRate():
		text = strings.TrimSpace(strings.TrimSuffix(text, "/s"))
	default:
		if number, ok := strings.CutSuffix(text, "%"); ok {
			text, t.Share = strings.TrimSpace(number), true
		}
	}
	t.Bound, err = strconv.ParseFloat(text, 64)
	if err != nil || !(t.Bound >= 0) || math.IsInf(t.Bound, 0) {
		return fmt.Errorf("%q is not a number of 0 or more", text)
	}
	return nil
}

// joined is a number with its unit right behind it: results are printed with a space between them.
func joined(text string) string {
	number, unit, found := strings.Cut(text, " ")
	if found && unit[0] > '9' {
		return number + unit
	}
	return text
}
