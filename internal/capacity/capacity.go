// Package capacity finds the highest rate at which a server still meets an objective: a percentile of the response time
// within a bound, and a share of requests without a right answer. In: what stages of the open model found, each at one
// rate. Out: the rate of the next stage, and in the end a rate for each block, or why there is none.
//
// A pilot search comes first (Search): from a rate to start with until two rates are known, one that meets the objective
// and one that does not, at most 21 % apart. Each block then has at most four stages around their middle (Next). The value
// of a block is where the share of slow answers crosses what the objective allows, fitted to the block's stages (Values).
//
// Rates are bounds as in Multiple Loss Ratio Search (RFC 9971): the upper one is the smallest rate that fails, the lower
// one the greatest below it that passes. Stages of one rate are added up before they are judged. Where a bound is missing
// the result is irregular, and no number is given: "at least" a rate, "below" a rate.
//
// The package is pure: it knows no clock, no plan, and no record.
package capacity

import (
	"math"
	"time"
)

// Objective is what a server has to meet.
type Objective struct {
	Percentile float64       // of the response time, such as 0.99
	Bound      time.Duration // which it must not exceed
	Errors     float64       // share of planned requests that may lack a right answer; above 0
}

// LeastStage is how long a stage lasts at least.
const LeastStage = 10 * time.Second

const (
	// fewestRequests and fewestBeyond are how many requests a stage has at least, and how many of them beyond the percentile.
	fewestRequests = 1000
	fewestBeyond   = 10
)

// Allowed is the share of answers that may be slower than the bound.
func (o Objective) Allowed() float64 { return 1 - o.Percentile }

// Requests is how many requests a stage has at least.
func (o Objective) Requests() int {
	return max(fewestRequests, int(math.Ceil(fewestBeyond/o.Allowed())))
}

// Length is how long a stage at a rate lasts: as long as its requests need, and at least so long.
func (o Objective) Length(rate float64, least time.Duration) time.Duration {
	needed := time.Duration(math.Ceil(float64(o.Requests())/rate)) * time.Second
	return max(needed, least, LeastStage)
}

// Round makes a rate that can be asked for: whole, and with two digits after the point where it is small.
func Round(rate float64) float64 {
	if rate >= 100 {
		return math.Round(rate)
	}
	return math.Round(100*rate) / 100
}
