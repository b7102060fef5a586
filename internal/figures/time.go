package figures

import (
	"cmp"
	"slices"

	"bakeoff/internal/record"
)

// What a run's time goes to, other than what is measured in trials that count.
const (
	timePilot   = "pilot"
	timeRepeats = "repeats" // trials that are in no statistic
	timeStarts  = "starts"
	timeChecks  = "checks"
	timeWarmup  = "warm-up"
	timeStops   = "stops"
	timePauses  = "pauses" // of phases: common starts, switches between targets, waits for last answers
	timeSetUp   = "set-up" // what is in no trial: the database, the machine at rest, the end
)

// Share is a part of a run's time.
type Share struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Share   float64 `json:"share"` // of the wall
}

// kinds are what the steps of a trial are; all others are phases.
func kinds() map[string]string {
	return map[string]string{
		"start": timeStarts, "table": timeChecks, "verify-before": timeChecks, "verify-after": timeChecks, "warmup": timeWarmup, "stop": timeStops,
	}
}

// shares says where the time went that is not useful, the most first.
func (s *Summary) shares() []Share {
	if s.Time.WallS <= 0 {
		return nil
	}
	spent, left := map[string]float64{}, s.Time.WallS-s.Time.MeasuredS
	add := func(name string, seconds float64) {
		spent[name] += seconds
		left -= seconds
	}
	known := kinds()
	for _, t := range slices.Concat(s.Trials, s.Pilot) {
		for _, step := range t.timeline {
			switch kind := known[step.Name]; {
			case t.Block == 0:
				add(timePilot, step.Seconds)
			case !t.Used:
				add(timeRepeats, step.Seconds)
			case kind != "":
				add(kind, step.Seconds)
			default:
				add(timePauses, step.Seconds-t.measured(step))
			}
		}
	}
	add(timeSetUp, max(0, left))
	var out []Share
	for name, seconds := range spent {
		out = append(out, Share{Name: name, Seconds: seconds, Share: seconds / s.Time.WallS})
	}
	slices.SortFunc(out, func(a, b Share) int { return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.Name, b.Name)) })
	return out
}

// measured is how much of a step is the measured time of its phase.
func (t Trial) measured(step record.Step) float64 {
	for _, f := range t.Phases {
		if f.Name == step.Name {
			return f.DurationS
		}
	}
	return 0
}
