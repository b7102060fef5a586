package gate

import (
	"fmt"
	"math"

	"bakeoff/internal/limit"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
)

// nearCeiling names a measured phase in which more was answered than the agents can be trusted with on this machine. That refuses
// no trial, for the fastest ones would be left out and the slower ones kept: the target's figure is the least that it can do, in
// every block. Without a calibration there is no ceiling.
func (p *Phase) nearCeiling(sum stats.Totals) []record.Reason {
	if p.Warmup || p.CeilingS <= 0 || sum.Goodput() <= limit.NearCeiling*p.CeilingS {
		return nil
	}
	return []record.Reason{{Code: record.CodeGeneratorLimited, Text: fmt.Sprintf(
		"%s answers per second are %s of the %s that the agents reach on this machine with a server that does nothing: above %s they may be the limit, and over all blocks the target's figure is the least that it can do",
		show.Number(sum.Goodput()), show.Percent(sum.Goodput()/p.CeilingS), show.Number(p.CeilingS), show.Percent(limit.NearCeiling))}}
}

// UsableCeiling is the highest rate that a stage may ask for on a path with a ceiling, infinite where that is not known (0): a little
// below the one from which on the agents may be the limit, for arrivals vary.
func UsableCeiling(ceiling float64) float64 {
	if ceiling <= 0 {
		return math.Inf(1)
	}
	return 0.95 * limit.NearCeiling * ceiling
}
