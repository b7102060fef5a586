package figures

import (
	"fmt"
	"slices"

	"bakeoff/internal/show"
)

// checksCost is the part of the database's CPU time per answer that all checks of the targets' honesty cost, in the protocol in which it
// is more: the table of docs/trust.md has both. make bench-trust writes it here and there.
const checksCost = 0.124

// ChecksCost says what the checks cost the database, as far as it is known; empty: there were none to speak of. Nothing of it is measured
// in a run: for that the run would have to be made again without them.
func (s *Summary) ChecksCost() string {
	if !s.checked || s.Running() || s.Database.Vendor == "" {
		return ""
	}
	less := s.Run.ChecksLeftOut
	counted := len(s.Database.Uncounted) == 0 && !slices.Contains(less, "lookups: off")
	moved := s.Database.MovesReason == "" && len(s.still) == 0 && !slices.Contains(less, "moves: off")
	most, some := "", ""
	switch {
	case !counted && !moved:
		return "Of the checks of the targets' honesty, those that cost the database CPU time were not made (docs/trust.md)."
	case !counted || !moved:
		most, some = "at most ", ", since only some of them were made"
	}
	return fmt.Sprintf("The checks of the targets' honesty cost the database %sabout %s of its CPU time per answer%s. That was measured with the fastest "+
		"target on MariaDB (docs/trust.md), not in this run; no figure is corrected for it.", most, show.Percent(max(checksCost, 0)), some)
}
