package figures

import (
	"fmt"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// AB is what a run says of two versions of one target.
type AB struct {
	record.Revisions
	// Same says that both are the same recipe, byte for byte.
	Same bool `json:"same"`
	// Comparison is head's, with base: ratios are head/base. Nil where the run has no verdict at all.
	Comparison *verdict.Comparison `json:"comparison,omitempty"`
	// TooFew says why there are too few valid trials for any verdict; empty: there are enough.
	TooFew string `json:"too_few,omitempty"`
	// Line is the outcome in one sentence: better, worse, equivalent or inconclusive, or that there are too few trials.
	Line string `json:"line"`
}

// compare fills in what the run says of two versions; the head line is about head then, whichever is the better one.
func (s *Summary) compare(of *record.Revisions) {
	if of == nil {
		return
	}
	out := &AB{Revisions: *of, TooFew: s.NoVerdict, Same: len(s.Targets) == 2 && s.Targets[0].Digest == s.Targets[1].Digest}
	s.AB = out
	if s.Verdict != nil {
		c, found := s.Verdict.Pair(record.Head, record.Base)
		if !found {
			out.TooFew = "the run has no target base or no target head"
		} else {
			out.Comparison = &c
			out.Line = s.Verdict.Subject(c)
			if c.Blocks < s.Verdict.FewestBlocks {
				out.TooFew = fmt.Sprintf("%s with a valid trial of both, and a verdict takes %d", show.Plural(c.Blocks, "block"), s.Verdict.FewestBlocks)
			}
		}
	}
	if out.TooFew != "" {
		out.Line = "no verdict: " + out.TooFew
	}
	if s.Verdict != nil {
		s.Verdict.Head = out.Line
	}
}

// Claim is the verdict on head; empty where there are too few valid trials.
func (a *AB) Claim() verdict.Claim {
	if a.TooFew != "" || a.Comparison == nil {
		return ""
	}
	return a.Comparison.Verdict
}
