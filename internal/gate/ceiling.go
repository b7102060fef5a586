package gate

import (
	"fmt"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
)

// maxOfCeiling is the share of the rate that the agents reach at most above which they may be what limits a target.
const maxOfCeiling = 0.7

// nearCeiling refuses a measured phase in which more was answered than the agents can be trusted with on this machine. Without a
// calibration there is no ceiling.
func (p *Phase) nearCeiling(sum stats.Totals) []record.Reason {
	if p.Warmup || p.CeilingS <= 0 || sum.Goodput() <= maxOfCeiling*p.CeilingS {
		return nil
	}
	return []record.Reason{{Code: record.CodeGeneratorLimited, Text: fmt.Sprintf(
		"%s answers per second are %s of the %s that the agents reach on this machine with a server that does nothing: above %s they may be the limit",
		show.Number(sum.Goodput()), show.Percent(sum.Goodput()/p.CeilingS), show.Number(p.CeilingS), show.Percent(maxOfCeiling))}}
}
