package figures

import (
	"testing"

	"bakeoff/internal/record"
	"bakeoff/internal/verdict"
)

// What is said of two versions is about head, and says why there is no verdict where there is none.
func TestVersionsCompared(t *testing.T) {
	between := func(a, b string, blocks int) *Verdict {
		return &Verdict{Unit: UnitAnswers, Result: verdict.Result{
			FewestBlocks: 6, Comparisons: []verdict.Comparison{{A: a, B: b, Blocks: blocks, Ratio: 1.1, Low: 1.05, High: 1.15, Verdict: verdict.Better}},
		}}
	}
	for name, c := range map[string]struct {
		s          *Summary
		few, claim string
	}{
		"no verdict":      {&Summary{NoVerdict: "a short run"}, "a short run", ""},
		"too few blocks":  {&Summary{Verdict: between(record.Head, record.Base, 5)}, "5 blocks with a valid trial of both, and a verdict takes 6", ""},
		"enough":          {&Summary{Verdict: between(record.Head, record.Base, 6)}, "", string(verdict.Better)},
		"other targets":   {&Summary{Verdict: between("a", "b", 6)}, "the run has no target base or no target head", ""},
		"the other order": {&Summary{Verdict: between(record.Base, record.Head, 6)}, "", string(verdict.Worse)},
	} {
		c.s.compare(&record.Revisions{})
		ab := c.s.AB
		if ab.TooFew != c.few || string(ab.Claim()) != c.claim {
			t.Errorf("%s: too few %q, claim %q", name, ab.TooFew, ab.Claim())
		}
		if (ab.Line == "no verdict: "+c.few) != (c.few != "") || ab.Line == "" {
			t.Errorf("%s: %q", name, ab.Line)
		}
		if c.s.Verdict != nil && c.s.Verdict.Head != ab.Line {
			t.Errorf("%s: head line %q, want %q", name, c.s.Verdict.Head, ab.Line)
		}
	}
}
