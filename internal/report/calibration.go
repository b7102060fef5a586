package report

import (
	"fmt"
	"io"
	"time"

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
	if _, err := fmt.Fprintf(w, "%s\n\n%s\nit took %s; %s\n", t.Text(0), show.Inert(calibrated(c)), show.Span(round(c.Seconds)), show.Inert(end)); err != nil {
		return fmt.Errorf("report: write calibration: %w", err)
	}
	return nil
}

// calibrated says how small a difference a machine shows.
func calibrated(c record.Calibration) string {
	return fmt.Sprintf("on this machine bakeoff shows differences from %s (in %d blocks of %s, between null servers; %s)",
		show.Percent(c.Noise.Detects), c.Noise.Blocks, show.Seconds(c.Noise.PhaseS), c.At.UTC().Format("2006-01-02"))
}

// aged warns of a calibration that was too old to refuse a trial when a run began.
func aged(c record.Calibration, began time.Time) string {
	if !c.Old(began) {
		return ""
	}
	return fmt.Sprintf("; it was older than %.0f days, so that its ceiling refused no trial", record.CalibrationLasts.Hours()/24)
}

// calibrationInWords is what a run that began then says of its machine's calibration.
func calibrationInWords(c *record.Calibration, began time.Time) string {
	if c == nil {
		return "Calibration: none of this machine when the run began (bakeoff calibrate)."
	}
	return fmt.Sprintf("Calibration: %s%s; ceiling %s answers/s through nginx and %s directly; a stall's p99 was %s, true %s; 5 %% more work was %s.",
		calibrated(*c), aged(*c, began), show.Number(c.Ceilings[record.PathNginx]), show.Number(c.Ceilings[record.PathDirect]), show.Seconds(c.Stall.SeenS),
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
