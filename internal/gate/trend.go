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
	To []string `json:"to"` // the others, without those that were found to change more
	Change
}

// TrendsOf are those of the targets in a phase, in the order of names, and where they took turns that of all together. Of that
// many trends in all, as counted by Trends, at most 5 % together are called unsteady by chance (Bonferroni).
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

// Trends is how many trends that many targets have in that many phases.
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

// relate compares each target with the others and returns those that change alike. One that changes makes all others seem to change
// the other way, so the one that differs most is taken out, and the rest are compared again. Of two nobody knows which one it
// is: it is the one that changed more by itself.
func (s shared) relate(all []Trend, of int) []*Trend {
	rest := make([]*Trend, len(all))
	for i := range all {
		rest[i] = &all[i]
	}
	for len(rest) > 1 {
		var most *Trend
		for _, t := range rest {
			t.Relative = s.relative(t, rest, of)
			if t.Relative != nil && !t.Relative.Steady && (most == nil || t.exceeds(most)) {
				most = t
			}
		}
		if most == nil {
			return rest
		}
		rest = slices.DeleteFunc(rest, func(t *Trend) bool { return t == most })
	}
	for _, t := range rest { // there is nobody left whom it could be compared with
		t.Relative = nil
	}
	return rest
}

// exceeds reports whether a target differs from the others by more than another one does.
func (t *Trend) exceeds(other *Trend) bool {
	const same = 1e-9
	here, there := math.Abs(math.Log(t.Relative.Ratio)), math.Abs(math.Log(other.Relative.Ratio))
	if math.Abs(here-there) < same {
		here, there = math.Abs(math.Log(t.Ratio)), math.Abs(math.Log(other.Ratio))
	}
	return here > there
}

// relative compares a target with the others of the rest in the same blocks; nil where these are too few.
func (s shared) relative(t *Trend, rest []*Trend, of int) *Relative {
	out := &Relative{}
	for _, other := range rest {
		if other != t {
			out.To = append(out.To, other.Target)
		}
	}
	var logs []float64
	for _, block := range s {
		own, there := block[t.Target]
		sum, n := 0.0, 0.0
		for _, name := range out.To {
			if v, too := block[name]; too {
				sum, n = sum+v, n+1
			}
		}
		if there && n > 0 {
			logs = append(logs, own-sum/n)
		}
	}
	var enough bool
	if out.Change, enough = changeOf(logs, of); !enough {
		return nil
	}
	return out
}

// Unsteady says what is not steady, one sentence each: what differs from the others of the same minute is a target's own; what those
// that took turns have in common is said once, and not of each.
func Unsteady(trends []Trend) (out []string) {
	common, own := map[string]bool{}, map[string]bool{} // by phase
	for _, t := range trends {
		common[t.Phase] = common[t.Phase] || t.Target == "" && !t.Steady
		own[t.Phase] = own[t.Phase] || t.Relative != nil && !t.Relative.Steady
	}
	for _, t := range trends {
		switch {
		case t.Relative != nil && !t.Relative.Steady:
			out = append(out, t.words(t.Target, t.Relative.others(), t.Relative.Change))
		case t.Steady || t.Target != "" && t.Relative != nil && common[t.Phase]:
		case t.Target != "":
			out = append(out, t.words(t.Target, "", t.Change))
		case own[t.Phase]:
			out = append(out, t.words("the other targets", "", t.Change))
		default:
			out = append(out, t.words("all targets", "", t.Change))
		}
	}
	return out
}

// words say first what a change means, and then how much it is.
func (t Trend) words(who, compared string, c Change) string {
	faster := getsFaster(t.Model, c.Ratio)
	does, advice, what := map[bool]string{true: "still gets faster", false: "gets slower"}[faster], "", "rate"
	if t.Model == open {
		what = "p50"
	}
	switch {
	case t.Target == "":
		does, advice = strings.Replace(does, "gets", "get", 1), " (or the machine does)"
	case faster:
		advice = " and needs a longer warm-up"
	}
	return fmt.Sprintf("%s %s in phase %s%s%s: %s %s (%s to %s) from first to last third, %s", who, does, t.Phase, compared, advice, what,
		manyTimes(c.Ratio), show.Three(c.Low), show.Three(c.High), show.Plural(c.Blocks, "block"))
}

// others names those that a target is compared with.
func (r Relative) others() string {
	if len(r.To) == 1 {
		return " compared with " + r.To[0]
	}
	return " compared with the others"
}
