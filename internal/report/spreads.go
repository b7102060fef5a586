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
		Caption: "The parts of the spread between blocks. starts: what is constant within a block but differs from block to block, such as what a " +
			"fresh start leaves to chance; within: what varies within a block, from second to second. The two give about the interval now, and its " +
			"width in twice the time, spent on twice the blocks or on longer blocks.",
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
