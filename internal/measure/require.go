package measure

import (
	"fmt"
	"slices"
	"strings"

	"bakeoff/internal/load"
	"bakeoff/internal/threshold"
)

// found are the figures of a measurement as requirements ask for them.
type found struct {
	m *Measurement
	r Result
}

// Time is a figure of a distribution: of the response time in the open model, of the service time in the closed one, unless one is named.
func (f found) Time(of, name string, p float64) threshold.Time {
	h := f.m.total.Service
	if of == "response" || of == "" && f.m.phase.Model == load.Open {
		h = f.m.total.Response
	}
	if name == "p" {
		v := h.Percentile(p)
		return threshold.Time{Value: v.Value, AtLeast: v.Censored, Needs: v.Needs}
	}
	all := figures(h)
	v := all[slices.IndexFunc(all, func(one figure) bool { return one.name == name })]
	if !v.known {
		return threshold.Time{Needs: 1}
	}
	return threshold.Time{Value: v.value, AtLeast: v.censored}
}

// Count is how many requests were such.
func (f found) Count(name string) (n, planned int64) {
	b := f.m.total.Books
	return map[string]int64{
		"errors": b.Planned - b.OK, "ok": b.OK, "bad": b.Bad, "timeouts": b.Timeout, "dropped": b.Dropped, "late": b.Late, "queued": b.Queued,
	}[name], b.Planned
}

// Rate is the achieved rate or the goodput.
func (f found) Rate(name string) float64 {
	if name == "goodput" {
		return f.r.Goodput
	}
	return f.r.AchievedRate
}

// judge holds the requirements against the figures.
func (m *Measurement) judge(j *Job, r Result) []threshold.Outcome {
	out := []threshold.Outcome{}
	for _, t := range j.Require {
		out = append(out, t.Judge(found{m, r}))
	}
	return out
}

// Missed are the requirements that are not met.
func (r Result) Missed() []string {
	var out []string
	for _, o := range r.Requirements {
		if !o.Met {
			out = append(out, fmt.Sprintf("%s (it is %s)", o.Require, o.Is))
		}
	}
	return out
}

// writeRequirements prints each as met or missed.
func writeRequirements(b *strings.Builder, r Result) {
	if len(r.Requirements) == 0 {
		return
	}
	b.WriteString("\nrequirements\n")
	for _, o := range r.Requirements {
		mark := "met"
		if !o.Met {
			mark = "MISSED"
		}
		fmt.Fprintf(b, "  %-7s %s: %s\n", mark, o.Require, o.Is)
	}
}
