package figures

import (
	"cmp"
	"slices"

	"bakeoff/internal/record"
)

// What a run's time goes to, other than what is measured in trials that count.
const (
	timePilot   = "pilot"
	timeRepeats = "repeats"    // trials that are in no statistic
	timeCut     = "unfinished" // trials that the end of the run cut short
	timeStarts  = "starts"
	timeChecks  = "checks"
	timeWarmup  = "warm-up"
	timeStops   = "stops"
	timePauses  = "pauses"          // of phases: common starts, switches between targets, waits for last answers
	timeLeftOut = "rounds left out" // in which an agent was late or stood still
	timeSetUp   = "set-up"          // what is in no trial: the database, the machine at rest, the end
)

// Share is a part of a run's time.
type Share struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Share   float64 `json:"share"` // of the wall
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
	for _, t := range slices.Concat(s.Trials, s.Pilot) {
		all := t.all()
		for i, step := range t.steps() {
			switch seconds := t.timeline[i].Seconds; {
			case all != "":
				add(all, seconds)
			case step.kind != "":
				add(step.kind, seconds)
			default:
				add(timePauses, seconds-step.measured-step.leftOut)
			}
			if all == "" && step.leftOut > 0 {
				add(timeLeftOut, step.leftOut)
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

// all is what the whole time of a trial that is in no statistic goes to; empty for one that is.
func (t Trial) all() string {
	switch {
	case t.Block == 0:
		return timePilot
	case t.Used:
		return ""
	case t.Status == record.TrialAborted:
		return timeCut
	}
	return timeRepeats
}

// taken is what a step of a trial is: of a kind, or a phase with its measured time and what of its time is left out, in seconds.
type taken struct {
	kind              string
	measured, leftOut float64
}

// steps says of each step of a trial what it is. Phases come behind the first check and the warm-up, in the order in which they
// are recorded: one may have the name of a step.
func (t Trial) steps() []taken {
	named := map[string]string{
		"start": timeStarts, "table": timeChecks, "verify-before": timeChecks, "verify-after": timeChecks, "warmup": timeWarmup, "stop": timeStops,
	}
	out, phases := make([]taken, len(t.timeline)), t.measured()
	checked := slices.IndexFunc(t.timeline, func(s record.Step) bool { return s.Name == "verify-before" })
	for i, step := range t.timeline {
		out[i].kind = named[step.Name]
		if i > checked && len(phases) > 0 && step.Name == phases[0].Name && !t.warmsUp(i) {
			f := phases[0]
			out[i] = taken{measured: f.DurationS - f.leftOutS, leftOut: f.leftOutS}
			phases = phases[1:]
		}
	}
	return out
}

// warmsUp reports whether a step is the warm-up, although a phase has its name: then there is another step of that name.
func (t Trial) warmsUp(i int) bool {
	same := func(s record.Step) bool { return s.Name == "warmup" }
	return same(t.timeline[i]) && slices.ContainsFunc(t.timeline[i+1:], same)
}
