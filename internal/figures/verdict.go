package figures

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"

	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// Primary metrics of a plan.
const (
	throughput     = "throughput"
	p99AtRate      = "p99 at rate"
	capacityMetric = "capacity"
)

// Units of block values.
const (
	UnitAnswers  = "answers/s"
	UnitRequests = "requests/s" // of a capacity
	UnitSeconds  = "s"
)

// Verdict is what the run may claim about the plan's primary metric, and from which figures.
type Verdict struct {
	Metric string  `json:"metric"` // the plan's primary metric
	Phase  string  `json:"phase"`  // the first of the model that the metric is for
	Unit   string  `json:"unit"`   // of values and means: UnitAnswers, UnitRequests or UnitSeconds
	Head   string  `json:"head"`   // the verdict on all targets in one sentence
	Values []Value `json:"values"` // one a block and target, of valid trials
	// Splits are what the spread of each pair is made of; none unless targets took turns.
	Splits []Split `json:"splits,omitempty"`
	verdict.Result
}

// Value is the figure of one target in one block.
type Value struct {
	Block  int     `json:"block"`
	Target string  `json:"target"`
	Value  float64 `json:"value"`
}

// delta is a margin as a plan writes it, "3%".
type delta float64

// UnmarshalJSON reads the text of a plan.
func (d *delta) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	x, err := verdict.ParseDelta(text)
	*d = delta(x)
	return err
}

// judge fills in the verdict, or why there is none.
func (s *Summary) judge(live bool) (err error) {
	primary, found := s.Primary()
	switch {
	case s.Run.Short:
		s.NoVerdict = "a short run is scaled down to see that everything works"
	case live:
		s.NoVerdict = "the run is under way: its number of blocks was fixed before it began"
	case s.stopped():
		s.NoVerdict = fmt.Sprintf("stopped before its %s (bakeoff run --resume goes on)", show.Plural(s.Run.Blocks, "block"))
	case s.Run.Search != "":
		s.NoVerdict = "a search chooses a setting: what is claimed is the verdict of the run that confirms it"
	case !found:
		s.NoVerdict = cmp.Or(s.searches(), "no trial has a phase that the primary metric is for")
	default:
		s.Verdict, err = s.verdict(primary, s.margin)
	}
	return err
}

// stopped reports whether a person ended the run before its last block was whole, or may have: a run that was killed has no
// reason. The blocks that it has may be as many as it took until they pleased, so nothing is claimed of them. A time limit
// that was set before it began, and an error, look at no figure.
func (s *Summary) stopped() bool { return s.Run.Stopped && s.blocksDone() < s.Run.Blocks }

// Standing is how the targets compare where no verdict is made of them: while the run is under way, in a part of a search, in a run that
// a person stopped. It has values and intervals, and no claim in words. It is nil where there is a verdict, or nothing to compare.
func (s *Summary) Standing() (*Verdict, error) {
	primary, found := s.Primary()
	if s.Verdict != nil || s.Run.Short || !found || len(s.Ranked()) < 2 {
		return nil, nil
	}
	v, err := s.verdict(primary, s.margin)
	if err != nil {
		return nil, err
	}
	v.Head = ""
	return v, nil
}

// Primary is the first phase of the model that the plan's primary metric is for; false where no trial has
// one. For a capacity it stands for the stages of all blocks, and the goodput is the capacity.
func (s *Summary) Primary() (Phase, bool) {
	if s.capacityPhase != nil {
		return *s.capacityPhase, true
	}
	model := map[string]string{throughput: "closed", p99AtRate: "open"}[s.Run.Primary]
	for _, phase := range s.Phases {
		if phase.Model == model && phase.Ask == "" && !phase.Direct {
			return phase, true
		}
	}
	return Phase{}, false
}

// verdict judges the block values of a phase; a margin of 0 is the default one.
func (s *Summary) verdict(phase Phase, margin float64) (*Verdict, error) {
	v := &Verdict{Metric: s.Run.Primary, Phase: phase.Name, Unit: UnitAnswers, Values: []Value{}}
	o := verdict.Options{Delta: cmp.Or(margin, verdict.DefaultDelta), Better: verdict.Higher, Seed: s.Run.Seed}
	switch v.Metric {
	case p99AtRate:
		v.Unit, o.Better = UnitSeconds, verdict.Lower
	case capacityMetric:
		v.Unit = UnitRequests
	}
	if o.Capped, o.Unit = foreign(s.Limits), v.Unit; v.Metric == capacityMetric {
		s.Capacity.bound(&o)
	}
	table, unusable := s.table(v, phase)
	var err error
	if v.Result, err = verdict.Judge(table, o); err != nil {
		return nil, fmt.Errorf("figures: %w", err)
	}
	v.Warnings = append(v.Warnings, unusable...)
	if v.Head = v.Result.Head(); v.Head != "" {
		v.Head += s.notRanked()
	}
	v.Splits = s.splits(v, phase)
	return v, nil
}

// table holds a value of every valid trial, or what bounds it, and expects one of every block and target. What cannot be
// compared is a warning.
func (s *Summary) table(v *Verdict, phase Phase) (*verdict.Table, []verdict.Warning) {
	var table verdict.Table
	for block := range s.Run.Blocks {
		for _, t := range s.Ranked() {
			if s.inBlocks(t.Name) {
				table.Expect(strconv.Itoa(block+1), t.Name)
			}
		}
	}
	var unusable []verdict.Warning
	for _, t := range s.Trials {
		if !t.Used || t.Target == s.driver() {
			continue
		}
		value, why := t.value(phase.Number, v.Unit)
		if v.Unit == UnitRequests {
			value, why = s.Capacity.value(t.Target, t.Block)
		}
		if why == "" || value > 0 { // a bound stands for the value, which is beyond it
			if err := table.Add(verdict.Cell{Block: strconv.Itoa(t.Block), Target: t.Target, Value: value, Position: t.place()}); err != nil {
				why = err.Error()
			}
		}
		if why != "" {
			unusable = append(unusable, verdict.Warning{Code: WarnNoValue, Text: trialOf(t.Block, t.Target) + why})
			continue
		}
		v.Values = append(v.Values, Value{t.Block, t.Target, value})
	}
	return &table, unusable
}

// place is where in its block the trial ran, 0 where that means nothing: repeats come after all others, and
// in turns there is no first.
func (t Trial) place() int {
	if t.Attempt > 1 || t.turns {
		return 0
	}
	return t.Position
}

// trialOf begins a warning about a valid trial.
func trialOf(block int, target string) string { return fmt.Sprintf("block %d of %s: ", block, target) }

// WarnNoValue is the code of the warning that a valid trial has no value to compare.
const WarnNoValue = "no-value"

// value is the trial's figure of the primary metric, or why there is none that can be compared.
func (t Trial) value(phase int, unit string) (value float64, why string) {
	for _, f := range t.Phases {
		switch p99 := f.Response; {
		case f.Number != phase:
		case unit == UnitAnswers:
			return f.Goodput, ""
		default:
			return p99[percentileAt(99)].comparable()
		}
	}
	return 0, "it has no such phase"
}

// percentileAt is the place of one of Percents.
func percentileAt(percent float64) int {
	for i, p := range Percents() {
		if p == percent {
			return i
		}
	}
	return -1
}

// comparable is a percentile that is known as a number, or why it is not.
func (p Percentile) comparable() (value float64, why string) {
	switch name := fmt.Sprintf("p%g", p.P); {
	case p.Unmeasured:
		return 0, name + " was not measured"
	case p.Needs > 0:
		return 0, fmt.Sprintf("%s needs %d requests, it has %d", name, p.Needs, p.Has)
	case p.Over:
		return 0, fmt.Sprintf("%s lies among time-outs: it is only known to be above %g s", name, p.Seconds)
	}
	return p.Seconds, ""
}

// Ahead is in how many blocks the first of the ranking has the best value, of those in which it and another target have one.
func (v *Verdict) Ahead() (blocks, of int) {
	first := v.Targets[0].Name
	own, best := map[int]float64{}, map[int]float64{}
	for _, one := range v.Values {
		value := one.Value
		if v.Unit == UnitSeconds {
			value = -value
		}
		if one.Target == first {
			own[one.Block] = value
		} else if old, seen := best[one.Block]; !seen || value > old {
			best[one.Block] = value
		}
	}
	for block, value := range own {
		if other, seen := best[block]; seen {
			of++
			if value > other {
				blocks++
			}
		}
	}
	return blocks, of
}
