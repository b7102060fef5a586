package gate

import (
	"fmt"
	"math"
	"strings"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
)

// shares refuses a phase in which right answers do not name a replica of the target, or in which the replicas did not give as equal
// shares of them as is demanded.
func (p *Phase) shares(sum stats.Totals) []record.Reason {
	if p.declared == nil || p.declared.Shares == nil || p.Warmup || p.Direct {
		return nil
	}
	demanded := p.declared.Shares
	right, named := rightBy(sum, demanded.Replicas)
	say := func(format string, args ...any) []record.Reason {
		return []record.Reason{{Code: record.CodeShares, Text: fmt.Sprintf(format, args...)}}
	}
	if named != sum.Books.OK {
		return say("%s of %s right answers do not name a replica of the target as the one that gave them", show.Count(sum.Books.OK-named), show.Count(sum.Books.OK))
	}
	apart, at := Apart(right)
	if demanded.Within == 0 || named == 0 || apart <= demanded.Within {
		return nil
	}
	return say("the replicas gave %s of the answers: %s is %s from an equal share, and the plan allows %s",
		Portions(right), demanded.Replicas[at], show.Percent(apart), show.Percent(demanded.Within))
}

// rightBy are the right answers that each replica gave, and their sum.
func rightBy(sum stats.Totals, replicas []string) (each []int64, all int64) {
	for _, name := range replicas {
		r := sum.Replicas[name]
		each = append(each, r.Answers-r.Errors)
		all += r.Answers - r.Errors
	}
	return each, all
}

// Apart is the greatest difference of a count from an equal share of all, as a part of that share, and which count it is.
func Apart(counts []int64) (apart float64, at int) {
	var all int64
	for _, n := range counts {
		all += n
	}
	if all == 0 {
		return 0, 0
	}
	equal := float64(all) / float64(len(counts))
	for i, n := range counts {
		if d := math.Abs(float64(n)-equal) / equal; d > apart {
			apart, at = d, i
		}
	}
	return apart, at
}

// Portions are counts as parts of their sum, in words.
func Portions(counts []int64) string {
	var all int64
	for _, n := range counts {
		all += n
	}
	var parts []string
	for _, n := range counts {
		parts = append(parts, fmt.Sprintf("%.1f", 100*float64(n)/float64(max(all, 1))))
	}
	return strings.Join(parts, ", ") + " %"
}
