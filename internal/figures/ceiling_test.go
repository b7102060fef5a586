package figures

import (
	"slices"
	"strings"
	"testing"

	"bakeoff/internal/limit"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// underACeiling is a run of blocks of 1 s under a ceiling of 2,000 answers per second.
func underACeiling(blocks int, rate func(target string, block int) int, targets ...string) *recordtest.Run {
	r := recordtest.Of(blocks, targets...)
	r.ClosedS, r.OpenS, r.Rate = 1, 0, rate
	r.Change = func(tr *record.Trial) {
		for i := range tr.Phases {
			tr.Phases[i].CeilingS = 2000
		}
	}
	return r
}

// Of a target whose rate is about 70 % of the ceiling every attempt counts, those above it too: none of its values is left out for
// what it is. In every block it is at the agents' limit.
func TestNearTheCeiling(t *testing.T) {
	r := underACeiling(8, func(target string, block int) int {
		if target == "a" {
			return 1380 + 40*(block%2)
		}
		return 1000 + 2*block
	}, "a", "b")
	s := build(t, r.Write(t))
	var values []float64
	for _, v := range s.Verdict.Values {
		if v.Target == "a" {
			values = append(values, v.Value)
		}
	}
	if slices.Sort(values); len(values) != 8 || values[0] != 1380 || values[7] != 1420 {
		t.Errorf("values %v", values)
	}
	if l := s.Limits[0]; l.Target != "a" || l.Tier != limit.Generator || l.What != limit.Ceiling || !l.Foreign || l.Share != 0.71 {
		t.Errorf("%+v", l)
	}
	if l := s.Limits[1]; l.Foreign || l.What == limit.Ceiling {
		t.Errorf("%+v", l)
	}
	if c, _ := s.Verdict.Pair("a", "b"); c.Verdict != "better" {
		t.Errorf("a can do this much at least, and is better than b: %+v", c)
	}
	const want = "NEAR THE CEILING of the agents in phase closed: a (71.0 % of it); above 70.0 % they may be the limit, so figures there are the least that a target can do"
	if !slices.Contains(s.Marks, want) {
		t.Errorf("%q, want %q", s.Marks, want)
	}
}

// One attempt above the bound is enough, also one that was refused for something else: what is kept would else be the slower ones.
func TestNearTheCeilingOnce(t *testing.T) {
	for top, near := range map[int]bool{1400: false, 1402: true} {
		rate := map[string]int{"a": 1300, "b": 1200}
		r := underACeiling(6, func(target string, block int) int { return rate[target] + 2*block }, "a", "b")
		w := r.Begin(t)
		r.Whole(t, w)
		r.Rate = func(string, int) int { return top }
		r.Trial(t, w, 2, 3, "b", 2, func(tr *record.Trial) {
			tr.Status, tr.Reasons = record.Invalid, []record.Reason{{Code: record.CodeBooks, Text: "x"}}
		})
		check(t, w.Finish(record.Complete, ""))
		s := open(t, w)
		if s.Limits[0].Foreign || s.Limits[1].Foreign != near {
			t.Errorf("%d/s: %+v", top, s.Limits)
		}
		c, _ := s.Verdict.Pair("a", "b")
		if near != (c.CappedBy == limit.Generator) || near != strings.Contains(s.Verdict.Head, "not distinguishable above") {
			t.Errorf("%d/s: %s: %+v", top, s.Verdict.Head, c)
		}
	}
}
