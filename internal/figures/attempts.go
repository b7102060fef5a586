package figures

import (
	"cmp"
	"slices"

	"bakeoff/internal/record"
)

// Attempts counts the trials of blocks from 1, repeats each for itself.
type Attempts struct {
	Planned int `json:"planned"`
	Run     int `json:"run"` // begun
	Valid   int `json:"valid"`
	Invalid int `json:"invalid"`
	// Unfinished trials were aborted, or begun and never finished; damaged ones are no longer as they were
	// written.
	Unfinished int `json:"unfinished"`
	Damaged    int `json:"damaged"`
	// Reasons are those of invalid trials, the commonest first; a trial may have several.
	Reasons []ReasonCount `json:"reasons,omitempty"`
	Warned  int           `json:"warned"` // valid ones with a warning
}

// ReasonCount is in how many trials a reason was given.
type ReasonCount struct {
	Code   string `json:"code"`
	Trials int    `json:"trials"`
}

// attempts counts what became of every trial.
func (s *Summary) attempts() Attempts {
	out := Attempts{Planned: s.Run.Planned}
	codes := map[string]int{}
	for _, t := range s.Trials {
		switch {
		case t.Status == record.Invalid:
			out.Invalid++
			count(codes, t.Reasons)
		case t.Status != record.Valid:
			out.Unfinished++
		default:
			out.Valid++
			if len(t.Warnings) > 0 {
				out.Warned++
			}
		}
	}
	for _, u := range s.Unusable {
		switch {
		case u.Block == 0:
		case u.Status == record.Damaged:
			out.Damaged++
		case u.Status == record.Unfinished:
			out.Unfinished++
		}
	}
	out.Run = out.Valid + out.Invalid + out.Unfinished + out.Damaged
	for code, n := range codes {
		out.Reasons = append(out.Reasons, ReasonCount{code, n})
	}
	slices.SortFunc(out.Reasons, func(a, b ReasonCount) int {
		return cmp.Or(cmp.Compare(b.Trials, a.Trials), cmp.Compare(a.Code, b.Code))
	})
	return out
}

// count counts each code once.
func count(codes map[string]int, reasons []record.Reason) {
	seen := map[string]bool{}
	for _, r := range reasons {
		if !seen[r.Code] {
			seen[r.Code] = true
			codes[r.Code]++
		}
	}
}
