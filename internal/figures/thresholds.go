package figures

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
	"bakeoff/internal/threshold"
	"bakeoff/internal/verdict"
)

// Outcomes of a threshold: the whole interval is on the side that is asked for, on the other side, or neither is shown.
const (
	Met       = "met"
	Missed    = "missed"
	Undecided = "undecided"
)

// Units of thresholds, in addition to those of block values; a count of requests has none.
const (
	UnitPerSecond = "/s"
	UnitPercent   = "%"
	UnitRatio     = "ratio"
)

// Threshold is what a threshold of the plan came to for one target.
type Threshold struct {
	Text    string  `json:"threshold"`
	Phase   string  `json:"phase"`
	Target  string  `json:"target"`
	Outcome string  `json:"outcome"`       // Met, Missed or Undecided
	Why     string  `json:"why,omitempty"` // it is undecided although the figure may be known
	Blocks  int     `json:"blocks"`        // that give the figure
	Unit    string  `json:"unit"`
	Bound   float64 `json:"bound"`
	// AtLeast: the figure is among time-outs, so that the upper end of its interval is not known.
	AtLeast bool `json:"at_least,omitempty"`
	verdict.Estimate
}

// asked is a threshold with the target that it is judged for.
type asked struct {
	threshold.Threshold
	target string
}

// thresholds judges those of the plan. Intervals hold together with 95 %.
func (s *Summary) thresholds(texts []string, live bool) error {
	var all []asked
	for i, text := range texts {
		t, err := threshold.Parse(text)
		if err != nil {
			return fmt.Errorf("figures: plan in run.json: thresholds[%d]: %w", i, err)
		}
		for _, target := range s.askedFor(t) {
			all = append(all, asked{t, target})
		}
	}
	intervals := 0
	for _, a := range all {
		if !a.Counts() || a.Share {
			intervals++
		}
	}
	for _, a := range all {
		s.Thresholds = append(s.Thresholds, s.threshold(a, intervals, live))
	}
	return nil
}

// askedFor are the targets that a threshold is judged for: the one it names, or all but the one that they are compared with. Of
// two versions of one target it is the new one: the old one is there already.
func (s *Summary) askedFor(t threshold.Threshold) (out []string) {
	switch {
	case t.Left.Target != "":
		return []string{t.Left.Target}
	case s.AB != nil:
		return []string{record.Head}
	}
	for _, target := range s.Targets {
		if t.Right == nil || t.Right.Target != target.Name {
			out = append(out, target.Name)
		}
	}
	return out
}

// threshold judges one, for one target.
func (s *Summary) threshold(a asked, together int, live bool) Threshold {
	out := Threshold{Text: a.Text, Phase: a.Phase, Target: a.target, Outcome: Undecided, Unit: unitOf(a.Threshold), Bound: a.Bound}
	out.Estimate = verdict.MeanOf(nil, together)
	i := slices.IndexFunc(s.Phases, func(p Phase) bool { return p.Name == a.Phase })
	switch {
	case s.Run.Short:
		out.Why = "the run is a short one"
	case live:
		out.Why = "the run is under way"
	case s.stopped():
		out.Why = "the run was stopped before its last block"
	case !s.has(a.target) || a.Right != nil && a.Right.Target != "" && !s.has(a.Right.Target):
		out.Why = "the run has no such target"
	case i < 0:
		out.Why = "no trial has the phase " + a.Phase
	default:
		s.decide(&out, a, s.Phases[i], together)
	}
	return out
}

// decide fills in the figure, its interval and the outcome.
func (s *Summary) decide(out *Threshold, a asked, p Phase, together int) {
	switch {
	case a.Counts() && a.Share:
		n, planned := s.countsOf(a, p)
		out.Blocks, out.Estimate = len(n), percent(verdict.ShareOf(n, planned, together))
	case a.Counts():
		n, _ := s.countsOf(a, p)
		out.Blocks, out.Estimate = len(n), counted(n) // what was counted is not estimated
	default:
		values, over, why := s.valuesOf(a, p)
		if out.Blocks, out.Why = len(values), why; why != "" {
			return
		}
		out.AtLeast, out.Estimate = over, verdict.MeanOf(values, together)
		if over {
			out.High = verdict.Number(math.Inf(1))
		}
	}
	if !out.Known() || out.Blocks == 0 {
		out.Why = fmt.Sprintf("an interval takes 2 blocks, and %s has %s with requests in this phase", a.target, show.Plural(out.Blocks, "valid block"))
		return
	}
	out.Outcome = a.outcome(float64(out.Low), float64(out.High))
	if low, high, why := s.heldBack(a, p, *out); out.Outcome != a.outcome(low, high) {
		out.Outcome, out.Why = Undecided, why
	}
}

// outcome is that of an interval.
func (a asked) outcome(low, high float64) string {
	switch from, to := a.Holds(low), a.Holds(high); {
	case from && to:
		return Met
	case !from && !to:
		return Missed
	}
	return Undecided
}

// heldBack is where a ratio of two targets may be, as far as it is known, if another tier was the limit of one of them in this phase: what
// such a target shows is the least that it can do. Why names the first of them.
func (s *Summary) heldBack(a asked, p Phase, found Threshold) (low, high float64, why string) {
	low, high = float64(found.Low), float64(found.High)
	if a.Right == nil {
		return low, high, ""
	}
	right := cmp.Or(a.Right.Target, a.target)
	if right == a.target {
		return low, high, ""
	}
	for i, target := range []string{a.target, right} {
		tier := s.foreignIn[p.Number][target]
		if tier == "" {
			continue
		}
		if why == "" {
			why = fmt.Sprintf("the %s was the limit of %s, so that its figure is the least that it can do", tier, target)
		}
		if (i == 0) == a.Left.IsTime() { // a better target has shorter times
			low = 0
		} else {
			high = math.Inf(1)
		}
	}
	return low, high, why
}

func (s *Summary) has(target string) bool {
	return slices.ContainsFunc(s.Targets, func(t Target) bool { return t.Name == target })
}

func unitOf(t threshold.Threshold) string {
	switch {
	case t.Right != nil:
		return UnitRatio
	case t.Share:
		return UnitPercent
	case t.Counts():
		return ""
	case t.Left.IsTime():
		return UnitSeconds
	}
	return UnitPerSecond
}

// percent is an estimate of a share in percent.
func percent(e verdict.Estimate) verdict.Estimate {
	e.Value, e.Low, e.High = 100*e.Value, 100*e.Low, 100*e.High
	return e
}

// counted is a sum that is what it is: its interval has no width.
func counted(counts []int64) verdict.Estimate {
	var sum int64
	for _, n := range counts {
		sum += n
	}
	return verdict.Estimate{Value: verdict.Number(sum), Low: verdict.Number(sum), High: verdict.Number(sum), Level: 1}
}

// phaseOf are a target's figures of a phase by block, of the trials that count.
func (s *Summary) phaseOf(target string, number int) map[int]PhaseFigures {
	out := map[int]PhaseFigures{}
	for _, t := range s.Trials {
		for _, f := range t.Phases {
			if t.Used && t.Target == target && f.Number == number {
				out[t.Block] = f
			}
		}
	}
	return out
}

// countsOf are counts of requests with those planned, block by block.
func (s *Summary) countsOf(a asked, p Phase) (n, planned []int64) {
	of := s.phaseOf(a.target, p.Number)
	for block := range s.Run.Blocks {
		if f, found := of[block+1]; found {
			n, planned = append(n, countOf(f.Books, a.Left.Name)), append(planned, f.Books.Planned)
		}
	}
	return n, planned
}

func countOf(b stats.Books, name string) int64 {
	return map[string]int64{
		"errors": b.Planned - b.OK, "ok": b.OK, "bad": b.Bad, "timeouts": b.Timeout, "dropped": b.Dropped, "late": b.Late, "queued": b.Queued,
	}[name]
}

// valuesOf are a figure's values block by block, or the ratios to another one's in the same block; over says that one of them is a
// lower bound, why that there is none that can be used.
func (s *Summary) valuesOf(a asked, p Phase) (values []float64, over bool, why string) {
	left, right := s.phaseOf(a.target, p.Number), map[int]PhaseFigures(nil)
	other := a.target
	if a.Right != nil {
		if a.Right.Target != "" {
			other = a.Right.Target
		}
		if other == a.target && a.Left.Same(*a.Right, p.ByService()) {
			return nil, false, "a figure of " + a.target + " is compared with itself"
		}
		right = s.phaseOf(other, p.Number)
	}
	for block := 1; block <= s.Run.Blocks; block++ {
		f, found := left[block]
		g, both := right[block]
		if !found || a.Right != nil && !both {
			continue
		}
		value, atLeast, why := f.figure(a.Left, p.ByService())
		if why != "" {
			return nil, false, fmt.Sprintf("block %d of %s: %s", block, a.target, why)
		}
		if a.Right != nil {
			of, bounded, why := g.figure(*a.Right, p.ByService())
			switch {
			case why != "":
			case bounded:
				why = "the figure is among time-outs"
			case of <= 0:
				why = "the figure is 0"
			}
			if why != "" {
				return nil, false, fmt.Sprintf("block %d of %s: %s", block, other, why)
			}
			value /= of
		}
		values, over = append(values, value), over || atLeast
	}
	return values, over, ""
}

// figure is a time in seconds or a rate per second; over says that it is a lower bound, why that it is not known.
func (f PhaseFigures) figure(side threshold.Side, byService bool) (value float64, over bool, why string) {
	switch side.Name {
	case "goodput":
		return f.Goodput, false, ""
	case "rate":
		return f.Achieved, false, ""
	}
	h := f.totals.Response
	if side.Distribution(byService) == "service" {
		h = f.totals.Service
	}
	switch {
	case h == nil:
		return 0, false, "this time was not measured"
	case h.Count() == 0:
		return 0, false, "no request has a time"
	}
	return timeOf(h, side)
}

// timeOf is a figure of a distribution that has samples.
func timeOf(h *stats.Histogram, side threshold.Side) (value float64, over bool, why string) {
	var d time.Duration
	switch side.Name {
	case "mean":
		d, over = h.MeanAtLeast()
	case "min":
		d, over = h.Quantile(1e-12)
	case "max":
		d, over = h.MaxAtLeast()
	default:
		p := h.Percentile(side.P)
		if p.Needs > 0 {
			return 0, false, fmt.Sprintf("p%v needs %s requests, it has %s", side.P, show.Count(p.Needs), show.Count(p.Has))
		}
		d, over = p.Value, p.Censored
	}
	return d.Seconds(), over, ""
}
