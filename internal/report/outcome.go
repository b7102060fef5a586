package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"bakeoff/internal/figures"
	"bakeoff/internal/limit"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// outcome is what limited the result, what became of the trials, and what other runs say.
func outcome(s *figures.Summary, others figures.Others) show.Table {
	t := show.Table{Left: 2}
	if text := thresholdsInWords(s); text != "" {
		t.Rows = append(t.Rows, []string{"thresholds", text})
	}
	t.Rows = append(t.Rows, []string{"limited by", limitedBy(s.Limits)}, []string{"trials", trials(s.Attempts)})
	if text := usefulTime(s.Time); text != "" {
		t.Rows = append(t.Rows, []string{"time", text})
	}
	if s.Calibration != nil {
		t.Rows = append(t.Rows, []string{"calibrated", calibrated(*s.Calibration) + void(*s.Calibration, s.Run)})
	}
	if text := otherRuns(others); text != "" {
		t.Rows = append(t.Rows, []string{"other runs", text})
	}
	return t
}

// outcomePoints is the outcome as points, without the time, which is among the facts under the head line.
func outcomePoints(s *figures.Summary, others figures.Others) (out []string) {
	for _, row := range outcome(s, others).Rows {
		if row[0] != "time" {
			out = append(out, upper(row[0])+": "+row[1]+".")
		}
	}
	return out
}

// speedInWords says by how much the speed of the machine varied from trial to trial.
func speedInWords(v *figures.Speed) string {
	return fmt.Sprintf("its speed was %.2f to %.2f of its median", v.Low, v.High)
}

// limitedBy says which tier limited which targets, with its evidence.
func limitedBy(limits []figures.Limit) string {
	if len(limits) == 0 {
		return "not known: no tier was sampled"
	}
	type kind struct{ tier, what, of string }
	var kinds []kind
	of := map[kind][]figures.Limit{}
	for _, l := range limits {
		k := kind{l.Tier, l.What, l.Of}
		if of[k] == nil {
			kinds = append(kinds, k)
		}
		of[k] = append(of[k], l)
	}
	var parts []string
	for _, k := range kinds {
		part := oneLimit(of[k])
		if len(kinds) > 1 {
			part = targetsOf(of[k], len(limits) > screenTargets) + ": " + part
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// oneLimit is what limited all of these targets in the same way.
func oneLimit(limits []figures.Limit) string {
	first := limits[0]
	low, high := first.Share, first.Share
	for _, l := range limits {
		low, high = min(low, l.Share), max(high, l.Share)
	}
	switch first.Tier {
	case "":
		return "none shown: the busiest is " + utilisations(limits, 1)
	case limit.SharedMachine:
		return "the shared machine, " + percents(low, high) + " busy: " + utilisations(limits, 4)
	}
	out := first.Tier + " " + first.What + ", " + percents(low, high) + " " + first.Of
	if len(limits) > 1 {
		return out
	}
	if first.Member != "" {
		out += " (" + first.Member + ")"
	}
	if first.More != "" {
		out += "; " + first.More
	}
	return out
}

// targetsOf names them; of many only the first two.
func targetsOf(limits []figures.Limit, many bool) string {
	const first = 2
	var out []string
	for i, l := range limits {
		if rest := len(limits) - i; many && i == first && rest > 1 {
			out = append(out, fmt.Sprintf("%d more", rest))
			break
		}
		out = append(out, short(l.Target))
	}
	return show.List(out)
}

// utilisations are the busiest tiers over all of these targets, apart from the whole machine.
func utilisations(limits []figures.Limit, most int) string {
	greatest := map[string]float64{}
	var tiers []string
	for _, l := range limits {
		for _, u := range l.Tiers {
			if u.Tier == "host" {
				continue
			}
			if _, seen := greatest[u.Tier]; !seen {
				tiers = append(tiers, u.Tier)
			}
			greatest[u.Tier] = max(greatest[u.Tier], u.Share)
		}
	}
	slices.SortStableFunc(tiers, func(a, b string) int {
		if greatest[a] > greatest[b] {
			return -1
		}
		return 1
	})
	var out []string
	for _, tier := range tiers[:min(len(tiers), most)] {
		out = append(out, tier+" "+busy(limits, tier))
	}
	return show.List(out)
}

// busy is the range of a tier's utilisation over targets: "61 %", "61 to 66 %".
func busy(limits []figures.Limit, tier string) string {
	low, high := math.Inf(1), 0.0
	for _, l := range limits {
		for _, u := range l.Tiers {
			if u.Tier == tier {
				low, high = min(low, u.Share), max(high, u.Share)
			}
		}
	}
	return shares(low, high, 0)
}

// percents is a range of shares, with a decimal where they are small: "61 to 66 %", "2.9 %".
func percents(low, high float64) string {
	if high < 0.1 {
		return shares(low, high, 1)
	}
	return shares(low, high, 0)
}

// shares is a range of shares with that many digits behind the point: "61 %", "61 to 66 %".
func shares(low, high float64, digits int) string {
	from, to := fmt.Sprintf("%.*f", digits, 100*low), fmt.Sprintf("%.*f", digits, 100*high)
	if from == to {
		return to + " %"
	}
	return from + " to " + to + " %"
}

// trials says what became of them: "24 planned, 26 run: 24 valid, 2 invalid: disturbed-host".
func trials(a figures.Attempts) string {
	out := fmt.Sprintf("%d planned, %d run: %d valid", a.Planned, a.Run, a.Valid)
	if a.Warned > 0 {
		out += fmt.Sprintf(" (%d with a warning)", a.Warned)
	}
	if a.Unfinished > 0 {
		out += fmt.Sprintf(", %d unfinished", a.Unfinished)
	}
	if a.Damaged > 0 {
		out += fmt.Sprintf(", %d damaged", a.Damaged)
	}
	if a.Invalid > 0 {
		out += fmt.Sprintf(", %d invalid", a.Invalid)
	}
	return out + why(a.Reasons)
}

// why is the commonest reason of invalid trials, before those that were refused only as another one in their block was.
func why(reasons []figures.ReasonCount) string {
	own := slices.DeleteFunc(slices.Clone(reasons), func(r figures.ReasonCount) bool { return r.Code == record.CodeBlock })
	others := ""
	if len(own) > 0 && len(own) < len(reasons) {
		at := slices.IndexFunc(reasons, func(r figures.ReasonCount) bool { return r.Code == record.CodeBlock })
		others = fmt.Sprintf(", and %d that took turns with them", reasons[at].Trials)
		reasons = own
	}
	switch {
	case len(reasons) == 0:
		return ""
	case len(reasons) > 1:
		return fmt.Sprintf(", most often %s (%d)%s", reasons[0].Code, reasons[0].Trials, others)
	case others != "":
		return fmt.Sprintf(": %s (%d)%s", reasons[0].Code, reasons[0].Trials, others)
	}
	return ": " + reasons[0].Code
}

// otherRuns are the ratios of other runs of the same plan, and by how much they differ from run to run.
func otherRuns(o figures.Others) string {
	var parts []string
	most := len(o.Ratios)
	if most > screenRatios {
		most = 2
	}
	for i, r := range o.Ratios {
		if i == most {
			parts = append(parts, "and those of "+show.Plural(len(o.Ratios)-i, "more target"))
			break
		}
		if len(r.Others) > 0 {
			parts = append(parts, fmt.Sprintf("by %s %s (here %s, spread %s)", short(r.B), several(r.Others), ratio(r.This), show.Percent(math.Expm1(float64(r.Spread)))))
		}
	}
	var out []string
	if o.Runs > 0 && len(parts) > 0 {
		which := show.Plural(o.Runs, "other run") + " of this plan"
		if o.Older > 0 {
			which = fmt.Sprintf("the newest %d of %d other runs of this plan", o.Runs, o.Runs+o.Older)
		}
		if len(o.Marks) > 0 {
			which += " (MARKED: with " + strings.Join(o.Marks, ", ") + ")"
		}
		out = append(out, which+": "+short(o.Ratios[0].A)+" "+strings.Join(parts, ", "))
	}
	if o.OtherSpeed() {
		out = append(out, "another speed of the machine, "+several(o.Speeds)+" of its speed here: absolute figures are not compared")
	}
	if o.LeftOut > 0 {
		out = append(out, show.Plural(o.LeftOut, "other run")+" cannot be compared (not complete or short, another machine or other recipes)")
	}
	return strings.Join(out, "; ")
}

// several are ratios one by one, or their range.
func several(ratios []float64) string {
	if len(ratios) > 3 {
		return ratioOf(slices.Min(ratios)) + " to " + ratioOf(slices.Max(ratios))
	}
	var out []string
	for _, r := range ratios {
		out = append(out, ratioOf(r))
	}
	return strings.Join(out, ", ")
}
