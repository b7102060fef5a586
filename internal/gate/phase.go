package gate

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
)

// Phase is all that a judgement of one phase of one trial needs: the record's
// account of it, what the agents and the samplers wrote, and what the witnesses counted.
type Phase struct {
	record.Phase
	host Host
	held connections
	// declared is what the target is declared to do; nil: not known.
	declared *record.Declared
	agents   map[int]*agent
	levels   *Levels
	batches  *Batches // nil: it is no stage
}

// agent is one agent in the phase.
type agent struct {
	totals stats.Totals
	strain Strain
}

// NewPhase begins a phase. What the record only knows afterwards, the witness above all, is set before Judge.
func NewPhase(p record.Phase) *Phase {
	out := &Phase{Phase: p, agents: map[int]*agent{}, levels: NewLevels(p)}
	if p.Stage != nil {
		out.batches = NewBatches(p)
	}
	return out
}

// Load adds a line of load.jsonl, or the same before it is written.
func (p *Phase) Load(from int, w stats.Window) {
	a := p.agents[from]
	if a == nil {
		a = &agent{totals: stats.Totals{Sending: p.Phase.Duration()}}
		p.agents[from] = a
	}
	a.totals.Add(w)
	a.strain.Add(w)
	p.levels.Add(w)
	if p.batches != nil {
		p.batches.Add(w)
	}
}

// Series adds a line of series.jsonl.
func (p *Phase) Series(s record.Series) {
	p.host.Add(s)
	if p.declared != nil {
		p.held.add(s, p.declared)
	}
}

// Totals is the sum of all windows of every agent.
func (p *Phase) Totals() stats.Totals {
	sum := stats.Totals{Sending: p.Phase.Duration()}
	for _, number := range slices.Sorted(maps.Keys(p.agents)) {
		sum.Merge(p.agents[number].totals)
	}
	return sum
}

// Disturbance is what others did on the machine during the phase.
func (p *Phase) Disturbance() record.Disturbance { return p.host.Disturbance() }

// Judgement is what the rules say of a phase: none of either where all is well.
type Judgement struct {
	Reasons  []record.Reason // why it must not be used
	Warnings []record.Reason // what to know of it all the same
	Limited  bool            // of a stage: an agent could not keep the rate
	Stages   map[int]bool    // of Replay: Limited of each stage, by the number of its phase
}

// Judge applies every rule. rest is the machine as it was before anything was loaded; nil: not known, and
// what others did is not judged.
func (p *Phase) Judge(rest *record.Baseline) Judgement {
	sum := p.Totals()
	found := p.disturbances(rest)
	j := Judgement{Reasons: slices.Concat(exact(sum), p.witness(sum),
		p.lookups(sum), p.stale(), p.unmoved(), p.shares(sum), p.otherwise(sum), littlesLaw(sum), wrong(sum), p.answered(sum), p.steady())}
	for _, f := range found {
		reason := record.Reason{Code: record.CodeDisturbedHost, Text: f.text}
		if f.refuse {
			j.Reasons = append(j.Reasons, reason)
		} else {
			j.Warnings = append(j.Warnings, reason)
		}
	}
	j.Reasons = slices.Concat(j.Reasons, p.limited(), p.leftOut())
	if near := p.nearCeiling(sum); p.Phase.Stage != nil {
		j.Limited = len(near) > 0 || p.missedByAgents(sum)
		j.stage()
	} else {
		j.Warnings = append(j.Warnings, near...)
	}
	j.Warnings = slices.Concat(j.Warnings, p.unwatched(rest), p.settled())
	for _, list := range [][]record.Reason{j.Reasons, j.Warnings} {
		for i := range list {
			list[i].Text = "phase " + p.Name + ": " + list[i].Text
		}
	}
	return j
}

// maxLeftOut is how many of a hundred rounds may be left out without another in their place; a single one always may.
const maxLeftOut = 2

// leftOut refuses a phase in turns that lacks too many of its rounds.
func (p *Phase) leftOut() []record.Reason {
	if p.Warmup || p.Turns == nil {
		return nil
	}
	lacking, rounds := p.Turns.LeftOut-p.Turns.Replaced, max(p.Turns.Rounds, p.Turns.Slices)
	if lacking <= 1 || 100*lacking <= maxLeftOut*rounds {
		return nil
	}
	text := fmt.Sprintf("in %d of %d rounds an agent was late or stood still, and they are left out", p.Turns.LeftOut, rounds)
	if p.Turns.Replaced > 0 {
		text += fmt.Sprintf(", %d of them with no other in their place", lacking)
	}
	text += fmt.Sprintf("; one may be, or %d %%", maxLeftOut)
	return []record.Reason{{Code: record.CodeGeneratorLimited, Text: text}}
}

// disturbances are those of a phase that is used: what others do during the warm-up does no harm.
func (p *Phase) disturbances(rest *record.Baseline) []finding {
	if p.Warmup || rest == nil {
		return nil
	}
	return disturbed(*rest, p.Disturbance(), maxSteal)
}

// unwatched warns where it is not known what others did during the phase.
func (p *Phase) unwatched(rest *record.Baseline) []record.Reason {
	if p.Warmup || rest == nil || p.Disturbance().Watched() {
		return nil
	}
	return []record.Reason{{Code: record.CodeNotWatched, Text: "it is not known whether others used the machine: it was not sampled at the beginning or at the end"}}
}

// exact refuses books that do not add up.
func exact(sum stats.Totals) []record.Reason {
	if err := sum.Exact(); err != nil {
		return []record.Reason{{Code: record.CodeBooks, Text: err.Error()}}
	}
	return nil
}

// maxLittle is how far the two sides of Little's law may be apart.
const maxLittle = 0.02

// littlesLaw refuses a phase whose requests in flight, added up over time, are not the times that were
// recorded of them: then answers are missing in the histogram, or are in it wrongly. (Little, 1961: the mean
// number in a system is the rate of arrivals x the mean time spent there; here both sides are multiplied by the time.)
func littlesLaw(sum stats.Totals) []record.Reason {
	if sum.InFlight == nil || sum.Service == nil {
		return nil // not measured
	}
	recorded := float64(sum.Service.Count()-sum.Service.Over())*sum.Service.Mean().Seconds() + sum.ErrorTime
	apart := math.Abs(*sum.InFlight - recorded)
	if apart <= maxLittle*math.Max(*sum.InFlight, recorded) {
		return nil
	}
	text := fmt.Sprintf("the requests in flight add up to %s, the times recorded of them to %s: %s apart, at most %s is allowed",
		show.Seconds(*sum.InFlight), show.Seconds(recorded), show.Percent(apart/math.Max(*sum.InFlight, recorded)), show.Percent(maxLittle))
	return []record.Reason{{Code: record.CodeLittlesLaw, Text: text}}
}

// wrong refuses a phase with a single wrong answer: only a share of the bodies is checked, so one that is found stands for more.
func wrong(sum stats.Totals) []record.Reason {
	if sum.Wrong == 0 {
		return nil
	}
	text := fmt.Sprintf("%s with a wrong body (none may be), of %s checked", show.Plural(int(sum.Wrong), "answer"), show.Count(sum.Checked))
	for _, class := range slices.Sorted(maps.Keys(sum.Outcomes)) {
		if class != "not json" && !strings.HasPrefix(class, "wrong ") {
			continue
		}
		text += "; " + class
		if words := sum.Examples[class]; words != "" {
			text += ": " + words
		}
		break
	}
	return []record.Reason{{Code: record.CodeWrongAnswers, Text: text}}
}

// maxWrong is the share of planned requests that may fail to be answered: by their status, with a time-out or an error, or as
// they were dropped.
const maxWrong = 0.001

// answered refuses a phase in which too many requests were not answered correctly; of a stage that is a finding.
func (p *Phase) answered(sum stats.Totals) []record.Reason {
	if p.Phase.Stage != nil {
		return nil
	}
	b := sum.Books
	b.Bad -= sum.Wrong // a reason of its own
	if b.Planned == 0 {
		return []record.Reason{{Code: record.CodeWrongAnswers, Text: "no request was due during the phase"}}
	}
	failed := b.Bad + b.Timeout + b.Error + b.Dropped
	share := float64(failed) / float64(b.Planned)
	if share <= maxWrong {
		return nil
	}
	text := fmt.Sprintf("%.2f %% of %d requests were not answered correctly (at most %.1f %%): bad %d, timeout %d, error %d, dropped %d",
		100*share, b.Planned, 100*maxWrong, b.Bad, b.Timeout, b.Error, b.Dropped)
	if len(sum.Outcomes) > 0 {
		text += " (" + show.Pairs(sum.Outcomes, show.Count) + ")"
	}
	var lost int64
	for _, n := range sum.Lost {
		lost += n
	}
	switch lost {
	case 0:
	case failed:
		text += "; all of them lost by the agents themselves"
	default:
		text += fmt.Sprintf("; %d of them lost by the agents themselves", lost)
	}
	return []record.Reason{{Code: record.CodeWrongAnswers, Text: text}}
}

// limited refuses a phase in which an agent was itself the limit. Where the host took the machine's time
// away, lateness is the host's doing.
func (p *Phase) limited() []record.Reason {
	steal := p.Disturbance().Steal
	var out []record.Reason
	for _, number := range slices.Sorted(maps.Keys(p.agents)) {
		a := p.agents[number]
		health := Health{
			Model: p.Model, Planned: a.totals.Books.Planned, Lost: a.totals.Lost,
			Lateness: a.totals.Lateness, Service: a.totals.Service, Strain: a.strain, Driver: p.declared != nil && p.declared.Driver,
		}
		for _, l := range health.Limited() {
			reason := record.Reason{Code: record.CodeGeneratorLimited, Text: fmt.Sprintf("agent %d: %s", number, l.Text), Cause: l.Cause}
			if l.InTime {
				reason.Text += fmt.Sprintf(" (the host took %s of this machine's time away during that)", show.Percent(steal))
				if steal > maxSteal {
					reason.Code = record.CodeDisturbedHost
				}
			}
			out = append(out, reason)
		}
	}
	return out
}
