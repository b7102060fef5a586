package report

import (
	"fmt"
	"math"
	"strings"

	"bakeoff/internal/figures"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// thresholdSection is what the thresholds of the plan came to; none where it has none.
func thresholdSection(s *figures.Summary) []section {
	if len(s.Thresholds) == 0 {
		return nil
	}
	return []section{{title: "Thresholds of the plan", tables: []show.Table{thresholds(s)}, paras: []string{
		"A threshold is met or missed when the whole interval is on one side of it, and undecided otherwise.",
	}}}
}

// thresholds has a line for each of them and each target.
func thresholds(s *figures.Summary) show.Table {
	t := show.Table{Left: 2, Words: 1, Head: []string{"threshold", "target", "it is", "interval", "blocks", "outcome"}}
	var level verdict.Number
	for _, o := range s.Thresholds {
		outcome := outcomeInWords(o)
		if o.Why != "" {
			outcome += ": " + show.Clip(o.Why, screenText)
		}
		t.Rows = append(t.Rows, []string{o.Text, o.Target, figureOf(o), intervalOf(o), fmt.Sprint(o.Blocks), outcome})
		if intervalOf(o) != "" {
			level = o.Level
		}
	}
	switch {
	case level == 0:
	case len(s.Thresholds) == 1:
		t.Notes = []string{"the interval is a 95 % one"}
	default:
		t.Notes = []string{fmt.Sprintf("the intervals hold together with 95 %% (Bonferroni), each alone with %s", levelOf(level))}
	}
	return t
}

// outcomeInWords makes what is missed stand out.
func outcomeInWords(o figures.Threshold) string {
	if o.Outcome == figures.Missed {
		return "MISSED"
	}
	return o.Outcome
}

// figureOf is the figure that a threshold is about; "-" where it is not known.
func figureOf(o figures.Threshold) string {
	if !o.Value.Known() {
		return show.None
	}
	return bound(o.AtLeast) + inUnit(o.Unit, float64(o.Value))
}

// intervalOf is empty where there is none, as of a count.
func intervalOf(o figures.Threshold) string {
	if !o.Known() || o.Unit == "" {
		return ""
	}
	high := "unknown"
	if !math.IsInf(float64(o.High), 0) {
		high = inUnit(o.Unit, float64(o.High))
	}
	return "[" + inUnit(o.Unit, float64(o.Low)) + ", " + high + "]"
}

// inUnit is a figure of a threshold with its unit.
func inUnit(unit string, v float64) string {
	switch unit {
	case figures.UnitSeconds:
		return show.Seconds(v)
	case figures.UnitPerSecond:
		return show.Number(v) + "/s"
	case figures.UnitPercent:
		return show.Number(v) + " %"
	case figures.UnitRatio:
		return ratioOf(v)
	}
	return show.Count(int64(v))
}

// thresholdsInWords is one line about all of them, what is missed first; empty where there are none.
func thresholdsInWords(s *figures.Summary) string {
	if len(s.Thresholds) == 0 {
		return ""
	}
	met := 0
	var missed, undecided []string
	for _, o := range s.Thresholds {
		switch o.Outcome {
		case figures.Met:
			met++
		case figures.Missed:
			missed = append(missed, fmt.Sprintf("%s (%s: %s)", show.Clip(o.Text, screenText), short(o.Target), figureOf(o)))
		default:
			undecided = append(undecided, fmt.Sprintf("%s (%s)", show.Clip(o.Text, screenText), short(o.Target)))
		}
	}
	out := []string{fmt.Sprintf("%d of %d met", met, len(s.Thresholds))}
	if len(missed) > 0 {
		out = append(out, "MISSED: "+some(missed))
	}
	if len(undecided) > 0 {
		out = append(out, "undecided: "+some(undecided))
	}
	return strings.Join(out, "; ")
}

// some are the first of several texts, and how many more there are.
func some(texts []string) string {
	const most = 2
	out := strings.Join(texts[:min(len(texts), most)], ", ")
	if more := len(texts) - most; more > 0 {
		out += fmt.Sprintf(" and %d more", more)
	}
	return out
}
