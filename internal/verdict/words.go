package verdict

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Words is the verdict on a, and how sure it is: the only place that words it.
//
//	better: at least 4.1 % (estimate 6.3 %)
//	better, by an amount this run does not bound
//	within 3 %, a tie
//	different, but not shown to differ by more than 3 %
//	not told apart; about 14 blocks would tell 3 %
//	not distinguishable above 812 answers/s: the database was the limit there
//
// Percentages are of the smaller of both figures, so that they are the same for a and for b.
func (r Result) Words(c Comparison) string {
	switch {
	case c.Verdict == Equivalent:
		return "within " + r.delta() + ", a tie"
	case c.CappedBy != "":
		return "not distinguishable " + r.beyond(c) + ": the " + c.CappedBy + " was the limit there"
	case r.different(c):
		return "different, but not shown to differ by more than " + r.delta()
	case c.Verdict == Inconclusive:
		return "not told apart; " + r.outlook(c)
	case !c.AtLeast.Known():
		return string(c.Verdict) + ", by an amount this run does not bound"
	}
	return string(c.Verdict) + ": " + r.amount(c)
}

// different says that a pair is shown to differ, though neither by more than delta nor by less.
func (r Result) different(c Comparison) bool {
	return c.Verdict == Inconclusive && c.Blocks >= r.FewestBlocks && c.PHolm <= alpha
}

// Sentence is the verdict with both names, the better one first: "a is better than b: at least 4.1 % (estimate 6.3 %)".
func (r Result) Sentence(c Comparison) string {
	if c.Verdict == Worse {
		c = c.Mirror()
	}
	switch {
	case c.Verdict == Better:
		return c.A + " is better than " + c.B + strings.TrimPrefix(r.Words(c), string(Better))
	case c.Verdict == Equivalent:
		return c.A + " and " + c.B + ": " + r.Words(c)
	}
	return c.A + " and " + c.B + " are " + r.Words(c)
}

// Subject is the verdict on a, with both names, a first whatever it is:
//
//	head is worse than base: at least 4.1 % (estimate 6.3 %)
//	head is better than base, by an amount this run does not bound
//	head is equivalent to base: within 3 %, a tie
//	inconclusive: head and base are not told apart; about 14 blocks would tell 3 %
func (r Result) Subject(c Comparison) string {
	switch c.Verdict {
	case Equivalent:
		return c.A + " is equivalent to " + c.B + ": " + r.Words(c)
	case Inconclusive:
		return string(Inconclusive) + ": " + r.Sentence(c)
	}
	return c.A + " is " + string(c.Verdict) + " than " + c.B + strings.TrimPrefix(r.Words(c), string(c.Verdict))
}

// amount is "at least 4.1 % (estimate 6.3 %)".
func (r Result) amount(c Comparison) string {
	estimate := math.Expm1(c.distance())
	return fmt.Sprintf("at least %s (estimate %s)", percentDown(float64(c.AtLeast)), percent(estimate))
}

// outlook says how many blocks would tell delta.
func (r Result) outlook(c Comparison) string {
	switch {
	case c.BlocksNeeded == 0:
		return fmt.Sprintf("no verdict takes fewer than %d blocks", r.FewestBlocks)
	case c.BlocksNeeded >= mostBlocks:
		return fmt.Sprintf("not even %s blocks would tell %s", thousands(strconv.Itoa(mostBlocks)), r.delta())
	case int(c.BlocksNeeded) <= c.Blocks:
		return "they may be just about " + r.delta() + " apart"
	}
	return fmt.Sprintf("about %s blocks would tell %s", thousands(strconv.Itoa(int(c.BlocksNeeded))), r.delta())
}

func (r Result) delta() string { return Margin(r.Delta) }

// Margin is delta as a percentage: "3 %", "2.5 %".
func Margin(delta float64) string {
	return strconv.FormatFloat(math.Round(delta*1e8)/1e6, 'f', -1, 64) + " %"
}

// ParseDelta reads a margin such as "3%" or "2.5 %": above 0 % and below 100 %.
func ParseDelta(text string) (float64, error) {
	number, found := strings.CutSuffix(strings.TrimSpace(text), "%")
	delta, err := strconv.ParseFloat(strings.TrimSpace(number)+"e-2", 64)
	if !found || err != nil || !(delta > 0 && delta < 1) {
		return 0, fmt.Errorf("verdict: delta %q is not a percentage above 0%% and below 100%%", text)
	}
	return delta, nil
}

// SignFlips says what the sign-flip test makes of the verdicts; empty where there is nothing to say. It decides nothing. Of several
// pairs its p values are adjusted over all of them, as those that decide.
//
//	p = 0.010; by sign flips, which assume no shape of the noise, 0.0098 (at least 0.0020 with 10 blocks)
//	sign flips, which assume no shape of the noise, give p <= 0.05 (Holm) for all 3 pairs called better
//	sign flips, which assume no shape of the noise, give p <= 0.05 (Holm) for 2 of 3 pairs called better, not for a and b (0.078)
func (r Result) SignFlips() string {
	if len(r.Comparisons) == 1 {
		c := r.Comparisons[0]
		if !c.P.Known() {
			return ""
		}
		return fmt.Sprintf("p = %s; by sign flips, which assume no shape of the noise, %s (at least %s with %s)",
			pValue(c.P), pValue(c.PSignFlip), decimal(c.PSignFlipLeast), plural(c.Blocks, "block"))
	}
	const says = "sign flips, which assume no shape of the noise, give p <= 0.05 (Holm) for "
	all, not := 0, []string{}
	for i, adjusted := range r.signFlipsAdjusted() {
		c := r.Comparisons[i]
		if c.Verdict != Better && c.Verdict != Worse {
			continue
		}
		all++
		if adjusted > alpha {
			not = append(not, fmt.Sprintf("%s and %s (%s)", c.A, c.B, pValue(Number(adjusted))))
		}
	}
	switch {
	case all == 0:
		return ""
	case len(not) == 0 && all == 1:
		return says + "the pair called better"
	case len(not) == 0:
		return fmt.Sprintf("%sall %s called better", says, plural(all, "pair"))
	}
	return fmt.Sprintf("%s%d of %s called better, not for %s", says, all-len(not), plural(all, "pair"), list(not))
}

// signFlipsAdjusted are the p values of the sign-flip test, adjusted over all pairs; those that are not known count as 1.
func (r Result) signFlipsAdjusted() []float64 {
	ps := make([]float64, len(r.Comparisons))
	for i, c := range r.Comparisons {
		if ps[i] = 1; c.PSignFlip.Known() {
			ps[i] = float64(c.PSignFlip)
		}
	}
	return holm(ps)
}

// decimal is a number below 1 to two digits, without an exponent.
func decimal(p Number) string {
	scale := math.Pow10(1 - int(math.Floor(math.Log10(float64(p)))))
	return strconv.FormatFloat(math.Round(float64(p)*scale)/scale, 'f', -1, 64)
}

// Head is the verdict on all targets in one sentence without a full stop, fit to be quoted; empty without a target.
func (r Result) Head() string {
	switch len(r.Targets) {
	case 0:
		return ""
	case 1:
		return r.Targets[0].Name + " is alone: there is nothing to compare it with"
	case 2:
		return r.Sentence(r.Comparisons[0])
	}
	var first, last []string
	for _, t := range r.Targets {
		if t.Rank[0] == 1 {
			first = append(first, t.Name)
		} else {
			last = append(last, t.Name)
		}
	}
	if len(first) == 1 && r.Targets[0].Rank == [2]int{1, 1} {
		return first[0] + " is better than every other" + r.margin(first[0])
	}
	return r.leaders(first) + beaten(last) + r.capped()
}

// leaders says what is known of the targets that none is shown to be better than.
func (r Result) leaders(names []string) string {
	tied := slices.ContainsFunc(r.Groups, func(g []string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(g, n) })
	})
	switch {
	case len(names) == 0: // each is behind another: only with other blocks for each pair
		return "no target is shown to be the best"
	case len(names) == 1:
		return names[0] + " may be the best, and is not shown to be better than every other"
	case tied:
		return fmt.Sprintf("%s are a tie, within %s", crowd(names), r.delta())
	case len(names) == len(r.Targets):
		return "no target is shown to be better than another"
	}
	return "it is not shown which of " + crowd(names) + " is the best"
}

// beaten says which targets another one is shown to be better than.
func beaten(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "; shown not to be the best: " + crowd(names)
}

// margin says by how much the best is at least ahead of the target whose estimate is nearest to its own, and of each one where another
// one's bound is smaller; or than which others no amount is bounded.
func (r Result) margin(best string) string {
	var closest *Comparison
	var least Number
	var unbound []string
	for _, t := range r.Targets {
		c, found := r.Pair(best, t.Name)
		switch {
		case !found:
		case !c.AtLeast.Known():
			unbound = append(unbound, t.Name)
		case closest == nil:
			closest, least = &c, c.AtLeast
		default:
			if least = min(least, c.AtLeast); c.distance() < closest.distance() {
				closest = &c
			}
		}
	}
	switch {
	case len(unbound) > mostNamed:
		return fmt.Sprintf(", than %d of them by an amount this run does not bound", len(unbound))
	case len(unbound) > 0:
		return ", than " + list(unbound) + " by an amount this run does not bound"
	}
	out := fmt.Sprintf("; than %s, the closest, %s", closest.B, r.amount(*closest))
	if each := percentDown(float64(least)); each != percentDown(float64(closest.AtLeast)) {
		out += ", than each at least " + each
	}
	return out
}

// distance is how far apart both targets are estimated to be, as a logarithm.
func (c Comparison) distance() float64 { return math.Abs(math.Log(float64(c.Ratio))) }

// Of how many targets the verdict on all names each one: of those that are behind by an amount without a bound, and of a crowd.
const (
	mostNamed = 3
	mostCrowd = 8
)

// crowd is the list of up to eight names; of more the first three and the number of the others.
func crowd(names []string) string {
	if len(names) <= mostCrowd {
		return list(names)
	}
	const first = 3
	return list(append(slices.Clone(names[:first]), fmt.Sprintf("%d more", len(names)-first)))
}

// list is "a, b and c".
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// percent is a fraction as a percentage to one decimal, to none from 100 % on, to two digits below 0.1 %.
func percent(f float64) string { return rounded(f, math.Round) }

// percentDown is the same, rounded down: what is at least 4.18 % is at least 4.1 %.
func percentDown(f float64) string {
	return rounded(f, func(x float64) float64 { return math.Floor(x * (1 + 1e-12)) })
}

func rounded(f float64, round func(float64) float64) string {
	value, decimals := 100*f, 1
	switch {
	case value >= 100:
		decimals = 0
	case value > 0 && value < 0.1:
		decimals = 1 - int(math.Floor(math.Log10(value)))
	}
	scale := math.Pow10(decimals)
	return thousands(strconv.FormatFloat(round(value*scale)/scale, 'f', decimals, 64)) + " %"
}

// thousands puts commas between the thousands.
func thousands(s string) string {
	end := strings.IndexByte(s+".", '.')
	for i := end - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
