package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bakeoff/internal/strictyaml"
	"bakeoff/internal/threshold"
)

// mostThresholds is how many a plan may have.
const mostThresholds = 100

// versions are the names of the two versions that bakeoff ab puts in the place of the target of a plan.
func versions() []string { return []string{"base", "head"} }

// thresholds looks at each requirement: its words, and the phase and targets that it is about.
func (c *checker) thresholds() {
	p := c.plan
	if len(p.Thresholds) > mostThresholds {
		c.report("thresholds", "", "%d thresholds are more than %d", len(p.Thresholds), mostThresholds)
	}
	known := p.targetNames()
	if p.alone() { // it may be a plan for ab
		known = append(known, versions()...)
	}
	for i, text := range p.Thresholds {
		path := fmt.Sprintf("thresholds[%d]", i)
		if first := slices.Index(p.Thresholds, text); first < i {
			c.report(path, "remove one", "is thresholds[%d] already", first)
			continue
		}
		t, err := threshold.Parse(text)
		if err != nil {
			c.report(path, thresholdHint(err), "%s: %s", strictyaml.Quote(text), err)
			continue
		}
		c.threshold(path, t, known)
	}
}

// thresholdHint is the nearest word that may be in the place of a wrong one, else an example.
func thresholdHint(err error) string {
	var word *threshold.WordError
	if errors.As(err, &word) {
		if near := strictyaml.Suggest(word.Word, word.Known); near != "" {
			return near
		}
	}
	return threshold.PlanExample
}

func (c *checker) threshold(path string, t threshold.Threshold, targets []string) {
	p, all := c.plan, c.plan.paired()
	var phases []string
	for _, ph := range all {
		phases = append(phases, ph.Name)
	}
	i := slices.Index(phases, t.Phase)
	switch {
	case t.Phase == "":
		c.report(path, "such as "+strings.Join(phases[:min(1, len(phases))], "")+": "+t.Text, "%s names no phase", strictyaml.Quote(t.Text))
		return
	case i < 0:
		c.report(path, strictyaml.Suggest(t.Phase, phases), "%s is no phase of the plan: there is %s", strictyaml.Quote(t.Phase), strings.Join(phases, ", "))
		return
	}
	for _, side := range t.Sides() {
		if side.Target != "" && !slices.Contains(targets, side.Target) {
			hint := strictyaml.Suggest(side.Target, targets)
			if slices.Equal(targets, versions()) {
				hint = "in bakeoff ab base and head take the place of the plan's target"
			}
			c.report(path, hint, "%s is no target of the plan: there is %s", strictyaml.Quote(side.Target), strings.Join(targets, ", "))
		}
		ph := all[i]
		switch {
		case side.Of != "response":
		case p.EngineOf(ph) == JMeter:
			c.report(path, "write service", "JMeter measures no response time: phase %s has service times", ph.Name)
		case ph.Model == "closed":
			c.report(path, "write service", "a closed phase has service times: nothing is due before the last answer came")
		}
	}
	if p.alone() && t.Left.Target == "" && t.Right != nil && t.Right.Target == p.Targets[0].Name {
		c.report(path, "", "there is no other target than %s that it could be about", t.Right.Target)
	} else if whose := p.itself(t, all[i]); whose != "" {
		c.report(path, "name another target or another figure", "a figure of %s is compared with itself", whose)
	}
}

// itself is whose figure a threshold compares with itself; empty: nobody's. A right side without a target is about that of the
// left one. In a plan for bakeoff ab a left side without a target is about head.
func (p *Plan) itself(t threshold.Threshold, ph Phase) string {
	if t.Right == nil || !t.Left.Same(*t.Right, ph.Model == "closed" || p.EngineOf(ph) == JMeter) {
		return ""
	}
	left := t.Left.Target
	if left == "" && p.alone() && t.Right.Target != "" {
		left = "head"
	}
	switch t.Right.Target {
	case left:
		return cmp.Or(left, "each target")
	case "":
		return left
	}
	return ""
}

func (p *Plan) targetNames() (out []string) {
	for _, t := range p.swept() {
		out = append(out, t.Name)
	}
	return out
}

// Versioned are the thresholds that are about base or head although the plan has no such target: it is for bakeoff ab.
func (p *Plan) Versioned() (out []Finding) {
	known := p.targetNames()
	for i, text := range p.Thresholds {
		t, err := threshold.Parse(text)
		if err != nil {
			continue // Load has refused it
		}
		for _, side := range t.Sides() {
			if slices.Contains(versions(), side.Target) && !slices.Contains(known, side.Target) {
				out = append(out, Finding{
					Path: fmt.Sprintf("thresholds[%d]", i), Hint: "such as " + known[0],
					Text: fmt.Sprintf("%s is a target of bakeoff ab: a run of this plan has none", strictyaml.Quote(side.Target)),
				})
			}
		}
	}
	return out
}
