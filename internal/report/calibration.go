package report

import (
	"fmt"
	"io"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// WriteCalibration writes what a calibration found, and where it is kept; empty: nowhere.
func WriteCalibration(w io.Writer, c record.Calibration, kept string) error {
	t := show.Table{Left: 2, Rows: [][]string{
		{"ceiling through nginx", show.Number(c.Ceilings[record.PathNginx]) + " answers/s", show.Plural(c.Agents, "agent") + ", engine " + c.Engine},
		{"ceiling directly", show.Number(c.Ceilings[record.PathDirect]) + " answers/s", ""},
		{"a server of " + show.Seconds(c.Constant.ServerS), "p50 " + show.Seconds(c.Constant.P50S), "p99 " + show.Seconds(c.Constant.P99S)},
		{"a stall of " + show.Seconds(c.Stall.StallS), "p99 " + show.Seconds(c.Stall.SeenS), fmt.Sprintf("true %s: %s", show.Seconds(c.Stall.TrueS), honest(c.Stall.Honest))},
		{"two equal servers", c.Noise.Verdict, ratioWithin(c.Noise.Ratio, c.Noise.Low, c.Noise.High)},
		{"5 % more work than null-a", plantedInWords(c.Planted), ratioWithin(c.Planted.Ratio, c.Planted.Low, c.Planted.High)},
	}}
	end := "not kept"
	if kept != "" {
		end = "kept in " + kept
	}
	if _, err := fmt.Fprintf(w, "%s\n\n%s\nit took %s; %s\n", t.Text(0), show.Inert(calibrated(c)+restingInWords(c.Rest)), show.Span(round(c.Seconds)), show.Inert(end)); err != nil {
		return fmt.Errorf("report: write calibration: %w", err)
	}
	return nil
}

// calibrated says how small a difference a machine shows, by p alone: whatever is within a plan's margin is no verdict of better.
func calibrated(c record.Calibration) string {
	return fmt.Sprintf("on this machine bakeoff shows differences from %s (p <= 0.05 of one pair, %d blocks of %s, null servers; %s); better and worse also need more than delta",
		show.Percent(c.Noise.Detects), c.Noise.Blocks, show.Seconds(c.Noise.PhaseS), c.At.UTC().Format("2006-01-02"))
}

// void warns of a calibration whose ceiling decided nothing in a run: it was too old when that began, or its agents have changed since.
func void(c record.Calibration, run figures.Facts) string {
	if why := c.Void(run.Started, run.Bakeoff); why != "" {
		return "; it was " + why + ", so that its ceiling decided nothing"
	}
	return ""
}

// restingInWords says what others used of the machine before a calibration; empty: not known.
func restingInWords(rest record.Baseline) string {
	if !rest.Watched() {
		return ""
	}
	return fmt.Sprintf("; before it others used %s of the machine (in %s)", show.Percent(rest.Foreign+rest.Steal), show.Span(round(rest.Seconds)))
}

// calibrationInWords is what a run says of its machine's calibration.
func calibrationInWords(c *record.Calibration, run figures.Facts) string {
	if c == nil {
		return "Calibration: none of this machine when the run began (bakeoff calibrate)."
	}
	return fmt.Sprintf("Calibration: %s%s%s; ceiling %s answers/s through nginx and %s directly; a stall's p99 was %s, true %s; 5 %% more work was %s.",
		calibrated(*c), restingInWords(c.Rest), void(*c, run), show.Number(c.Ceilings[record.PathNginx]), show.Number(c.Ceilings[record.PathDirect]), show.Seconds(c.Stall.SeenS),
		show.Seconds(c.Stall.TrueS), foundOrNot(c.Planted.Found))
}

func honest(within bool) string {
	if within {
		return "within 3 %"
	}
	return "more than 3 % apart"
}

func foundOrNot(found bool) string {
	if found {
		return "found"
	}
	return "not found"
}

// plantedInWords says what the run found of null-a, compared with the server that does more work.
func plantedInWords(p record.Planted) string {
	said := "null-a is " + p.Verdict
	if p.Verdict == string(verdict.Inconclusive) {
		said = "null-a and it are not told apart"
	}
	return foundOrNot(p.Found) + ": " + said
}

func ratioWithin(r, low, high float64) string {
	return fmt.Sprintf("ratio %.4f [%.4f, %.4f]", r, low, high)
}
