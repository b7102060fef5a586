package report

import (
	"fmt"
	"math"

	"bakeoff/internal/figures"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// spreads says what the spread of each pair is made of, and whether more blocks or longer ones would narrow its interval.
func spreads(v *figures.Verdict) []show.Table {
	if len(v.Splits) == 0 {
		return nil
	}
	t := show.Table{
		Left: 2, Words: 1,
		Caption: "What the spread between blocks is made of. starts: what is the same for the whole of a block and another in the next, such as what a fresh start " +
			"leaves to luck; within: what varies within a block, in parts of a second. The interval is about as wide as these give, and in twice the time, spent on " +
			"twice the blocks or on blocks that many times as long.",
		Head: []string{"target", "compared with", "starts", "within", "interval now", "more blocks", "longer blocks", "what helps"},
	}
	for _, s := range v.Splits {
		t.Rows = append(t.Rows, []string{
			s.A, s.B, spreadPercent(s.Starts), spreadPercent(s.Within), "+-" + spreadPercent(s.Now), "+-" + spreadPercent(s.More),
			fmt.Sprintf("+-%s (x %.1f)", spreadPercent(s.Longer), float64(s.Length)), helps(s.Halves),
		})
	}
	return []show.Table{t}
}

// spreadPercent is a spread of logarithms as a percentage of the figures.
func spreadPercent(x verdict.Number) string {
	if !x.Known() {
		return show.None
	}
	return fmt.Sprintf("%.1f %%", 100*math.Expm1(float64(x)))
}

func helps(h verdict.Halves) string {
	if h.MoreBlocks() {
		return "more blocks"
	}
	return "longer blocks"
}
