package gate

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat/distuv"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

const (
	// FewestBlocks is how many blocks a trend over blocks needs.
	FewestBlocks = 3
	// minDrift is a change from the first to the last third that is never too much, on the average of all blocks.
	minDrift = 0.03
)

// Drift is how a phase of one target changed in one block: the level in its last third over that in its first, as of Levels.Drift.
type Drift struct {
	Target         string
	Block, Attempt int
	Turns          bool // the targets of that block took turns: those of one attempt met the same machine
	Ratio          float64
}

// Change is the mean of such ratios over blocks.
type Change struct {
	Blocks int     `json:"blocks"`
	Ratio  float64 `json:"ratio"` // geometric mean
	Low    float64 `json:"low"`   // interval of that mean
	High   float64 `json:"high"`
	Steady bool    `json:"steady"` // the interval holds 1, or the mean is within 3 % of it
}

// Trend is how a phase of one target changes from its first to its last third, over all blocks.
type Trend struct {
	Target string `json:"target,omitempty"` // empty: all together that took turns and change alike, by the mean of each block
	Phase  string `json:"phase"`
	Model  string `json:"model"`
	Change
	// Relative, of a target that took turns, is the same divided by the geometric mean of what others changed by in the same
	// block, on the same machine in the same minute.
	Relative *Relative `json:"relative,omitempty"`
}

// Relative is a change compared with that of others.
type Relative struct {
	To     []string `json:"to"`     // the others, without those that differed more
	Own    float64  `json:"own"`    // the geometric mean of the target itself, over the blocks of this change
	Others float64  `json:"others"` // and that of the others: Own over Others is Ratio
	Change
}

// TrendsOf are those of the targets in a phase, in the order of names, and where they took turns that of all together. Of runs in
// which nothing changes, with as many trends in all as Trends counts, at most 5 % have one that is called unsteady (Bonferroni).
// A trend needs FewestBlocks.
func TrendsOf(p record.Phase, names []string, drifts []Drift, of int) []Trend {
	var out []Trend
	for _, name := range names {
		var logs []float64
		for _, d := range drifts {
			if d.Target == name {
				logs = append(logs, math.Log(d.Ratio))
			}
		}
		if c, enough := changeOf(logs, of); enough {
			out = append(out, Trend{Target: name, Phase: p.Name, Model: p.Model, Change: c})
		}
	}
	shared := sharedBlocks(drifts)
	alike := shared.relate(out, of)
	if c, enough := changeOf(shared.together(alike), of); enough {
		out = append(out, Trend{Phase: p.Name, Model: p.Model, Change: c})
	}
	return out
}

// Trends is how many trends that many targets have in that many phases. In turns it is each by itself, each compared with all
// others, and all together. More comparisons follow only where one of these has found something.
func Trends(phases, targets int, turns bool) int {
	if turns {
		return phases * (2*targets + 1)
	}
	return phases * targets
}

// changeOf is the mean of logarithms with its interval; false where they are too few.
func changeOf(logs []float64, of int) (c Change, enough bool) {
	n := float64(len(logs))
	if n < FewestBlocks {
		return c, false
	}
	mean, squares := 0.0, 0.0
	for _, v := range logs {
		mean += v / n
	}
	for _, v := range logs {
		squares += (v - mean) * (v - mean)
	}
	student := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 1}
	half := student.Quantile(1-0.05/2/float64(max(of, 1))) * math.Sqrt(squares/(n-1)/n)
	return Change{
		Blocks: len(logs), Ratio: math.Exp(mean), Low: math.Exp(mean - half), High: math.Exp(mean + half),
		Steady: math.Abs(mean) <= half || math.Abs(mean) <= math.Log(1+minDrift),
	}, true
}

// shared are the logarithms of drifts by target, of each attempt at a block in which several took turns.
type shared []map[string]float64

func sharedBlocks(drifts []Drift) (out shared) {
	type attempt struct{ block, attempt int }
	at := map[attempt]map[string]float64{}
	var order []attempt
	for _, d := range drifts {
		if !d.Turns {
			continue
		}
		k := attempt{d.Block, d.Attempt}
		if at[k] == nil {
			at[k], order = map[string]float64{}, append(order, k)
		}
		at[k][d.Target] = math.Log(d.Ratio)
	}
	for _, k := range order {
		if len(at[k]) > 1 {
			out = append(out, at[k])
		}
	}
	return out
}

// together are the means of each block in which several of these targets took turns.
func (s shared) together(of []*Trend) (out []float64) {
	for _, block := range s {
		sum, n := 0.0, 0.0
		for _, t := range of {
			if v, there := block[t.Target]; there {
				sum, n = sum+v, n+1
			}
		}
		if n > 1 {
			out = append(out, sum/n)
		}
	}
	return out
}

// relate compares each target with the others and returns those that were not found to differ. One that changes makes all others
// seem to change the other way, and with less noise than its own. So as long as any seems to differ, the one that differs most is
// taken out, and the rest are compared again. It counts as one that differs only if its own interval excludes that it changed as
// they did: one with much noise accuses nobody, and nobody is accused in its place.
func (s shared) relate(all []Trend, of int) []*Trend {
	rest := make([]*Trend, len(all))
	for i := range all {
		rest[i] = &all[i]
	}
	alike := slices.Clone(rest)
	for len(rest) > 1 {
		most := s.compare(rest, of)
		if !slices.ContainsFunc(rest, (*Trend).differs) {
			return alike
		}
		is := func(t *Trend) bool { return t == most }
		if rest = slices.DeleteFunc(rest, is); most.differs() {
			alike = slices.DeleteFunc(alike, is)
		}
	}
	for _, t := range rest { // there is nobody left whom it could be compared with
		t.Relative = nil
	}
	return alike
}

// compare compares each of these targets with the others, and returns the one that differs most; nil where none can be compared.
func (s shared) compare(rest []*Trend, of int) (most *Trend) {
	for _, t := range rest {
		t.Relative = s.relative(t, rest, of)
		if t.Relative != nil && (most == nil || t.Relative.exceeds(most.Relative)) {
			most = t
		}
	}
	return most
}

// differs reports whether a target changes in another way than the others, by more than chance.
func (t *Trend) differs() bool { return t.Relative != nil && !t.Relative.Steady }

// exceeds reports whether a target differs from the others by more than another one does. Of two nobody knows which one it is: it is
// the one that changed more by itself.
func (r *Relative) exceeds(other *Relative) bool {
	const same = 1e-9
	here, there := distance(r.Ratio), distance(other.Ratio)
	if math.Abs(here-there) < same {
		here, there = distance(r.Own), distance(other.Own)
	}
	return here > there
}

// distance is how far a ratio is from 1, either way.
func distance(ratio float64) float64 { return math.Abs(math.Log(ratio)) }

// relative compares a target with the others of the rest in the same blocks; nil where these are too few.
func (s shared) relative(t *Trend, rest []*Trend, of int) *Relative {
	out := &Relative{}
	for _, other := range rest {
		if other != t {
			out.To = append(out.To, other.Target)
		}
	}
	var logs, owns []float64
	for _, block := range s {
		own, there := block[t.Target]
		sum, n := 0.0, 0.0
		for _, name := range out.To {
			if v, too := block[name]; too {
				sum, n = sum+v, n+1
			}
		}
		if there && n > 0 {
			logs, owns = append(logs, own-sum/n), append(owns, own)
		}
	}
	var enough bool
	if out.Change, enough = changeOf(logs, of); !enough {
		return nil
	}
	own, _ := changeOf(owns, of)
	out.Own, out.Others = own.Ratio, own.Ratio/out.Ratio
	return out
}

// Unsteady says what is not steady, one sentence each: what differs from the others of the same minute is a target's own, unless the
// others moved away from it; what those that took turns have in common is said once, and not of each.
func Unsteady(trends []Trend) (out []string) {
	type move struct {
		phase  string
		faster bool
	}
	common, own, others := map[string]bool{}, map[string]bool{}, map[move]bool{}
	for i := range trends {
		t := &trends[i]
		common[t.Phase] = common[t.Phase] || t.Target == "" && !t.Steady
		if t.differs() {
			own[t.Phase] = true
			if r := t.Relative; r.othersMoved() {
				others[move{t.Phase, getsFaster(t.Model, r.Others)}] = true
			}
		}
	}
	for i := range trends {
		t := &trends[i]
		switch {
		case t.differs():
			out = append(out, t.compared())
		case t.Steady || t.Target != "" && t.Relative != nil && common[t.Phase]:
		case t.Target != "":
			out = append(out, t.alone())
		case others[move{t.Phase, getsFaster(t.Model, t.Ratio)}]: // that they do is said
		case own[t.Phase]:
			out = append(out, t.together("the other targets"))
		default:
			out = append(out, t.together("all targets"))
		}
	}
	return out
}

// othersMoved reports whether a target differs because the others changed more than it did itself.
func (r *Relative) othersMoved() bool { return distance(r.Own) < distance(r.Others) }

// alone says what a target does by itself: first what that means, and then how much it is.
func (t *Trend) alone() string {
	does, faster := t.does(t.Ratio)
	if faster {
		return fmt.Sprintf("%s %s in phase %s and needs a longer warm-up: %s", t.Target, does, t.Phase, t.figures(t.Change))
	}
	return fmt.Sprintf("%s %s in phase %s: %s", t.Target, does, t.Phase, t.figures(t.Change))
}

// together says what several have in common.
func (t *Trend) together(who string) string {
	does, _ := t.does(t.Ratio)
	return fmt.Sprintf("%s %s in phase %s (or the machine does): %s", who, plural(does), t.Phase, t.figures(t.Change))
}

// compared says how a target differs from the others, of whichever changed more, and how much each changed.
func (t *Trend) compared() string {
	r := t.Relative
	others, on, number := "the others", " on average", plural
	if len(r.To) == 1 {
		others, on, number = r.To[0], "", func(does string) string { return does }
	}
	if r.othersMoved() {
		does, faster := t.does(r.Others)
		advice := fmt.Sprintf(", or the machine does and %s needs a longer warm-up:", t.Target)
		if faster {
			advice = ": a longer warm-up is needed;"
		}
		theirs := Change{Blocks: r.Blocks, Ratio: 1 / r.Ratio, Low: 1 / r.High, High: 1 / r.Low}
		return fmt.Sprintf("%s %s in phase %s compared with %s%s %s; %s %s%s, %s itself %s", others, number(does), t.Phase, t.Target, advice,
			t.figures(theirs), others, manyTimes(r.Others), on, t.Target, manyTimes(r.Own))
	}
	does, faster := t.does(r.Own)
	advice := ""
	if faster {
		advice = " and needs a longer warm-up"
	}
	return fmt.Sprintf("%s %s in phase %s compared with %s%s: %s; itself %s, %s %s%s", t.Target, does, t.Phase, others, advice,
		t.figures(r.Change), manyTimes(r.Own), others, manyTimes(r.Others), on)
}

// does says what a ratio of the last third to the first means.
func (t *Trend) does(ratio float64) (text string, faster bool) {
	if getsFaster(t.Model, ratio) {
		return "still gets faster", true
	}
	return "gets slower", false
}

func plural(does string) string { return strings.Replace(does, "gets", "get", 1) }

// figures are how much a change is.
func (t *Trend) figures(c Change) string {
	what := "rate"
	if t.Model == open {
		what = "p50"
	}
	return fmt.Sprintf("%s %s (%s to %s) from first to last third, %s", what, manyTimes(c.Ratio), show.Three(c.Low), show.Three(c.High),
		show.Plural(c.Blocks, "block"))
}
