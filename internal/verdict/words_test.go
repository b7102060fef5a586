package verdict

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// The words of every answer, in both directions.
func TestWords(t *testing.T) {
	const least, estimate = 0.0418, 0.0634
	better := Comparison{A: "a", B: "b", Ratio: 1 + estimate, AtLeast: least, Verdict: Better, Blocks: 7, BlocksNeeded: 9}
	unbound := better
	unbound.AtLeast = unknown
	equal := Comparison{A: "a", B: "b", Ratio: 1.001, AtLeast: unknown, Verdict: Equivalent, Blocks: 7, BlocksNeeded: 6}
	open := func(blocks int, needed Needed) Comparison {
		return Comparison{A: "a", B: "b", Ratio: 1.01, AtLeast: unknown, PHolm: 0.0501, Verdict: Inconclusive, Blocks: blocks, BlocksNeeded: needed}
	}
	apart := func(blocks int) Comparison {
		c := open(blocks, 9)
		c.PHolm = 0.05
		return c
	}
	r := Result{Delta: 0.03, FewestBlocks: 6}
	for _, c := range []struct {
		c               Comparison
		words, sentence string
	}{
		{better, "better: at least 4.1 % (estimate 6.3 %)", "a is better than b: at least 4.1 % (estimate 6.3 %)"},
		{better.Mirror(), "worse: at least 4.1 % (estimate 6.3 %)", "a is better than b: at least 4.1 % (estimate 6.3 %)"},
		{unbound, "better, by an amount this run does not bound", "a is better than b, by an amount this run does not bound"},
		{unbound.Mirror(), "worse, by an amount this run does not bound", "a is better than b, by an amount this run does not bound"},
		{equal, "within 3 %, a tie", "a and b: within 3 %, a tie"},
		{open(7, 14), "not told apart; about 14 blocks would tell 3 %", "a and b are not told apart; about 14 blocks would tell 3 %"},
		{open(7, 1234), "not told apart; about 1,234 blocks would tell 3 %", "a and b are not told apart; about 1,234 blocks would tell 3 %"},
		{
			open(7, mostBlocks), "not told apart; not even 1,000,000 blocks would tell 3 %",
			"a and b are not told apart; not even 1,000,000 blocks would tell 3 %",
		},
		{
			open(20, 14), "not told apart; they may be just about 3 % apart",
			"a and b are not told apart; they may be just about 3 % apart",
		},
		{
			apart(6), "different, but not shown to differ by more than 3 %",
			"a and b are different, but not shown to differ by more than 3 %",
		},
		{apart(5), "not told apart; about 9 blocks would tell 3 %", "a and b are not told apart; about 9 blocks would tell 3 %"},
		{open(1, 0), "not told apart; no verdict takes fewer than 6 blocks", "a and b are not told apart; no verdict takes fewer than 6 blocks"},
	} {
		if got := r.Words(c.c); got != c.words {
			t.Errorf("words %q, not %q", got, c.words)
		}
		if got := r.Sentence(c.c); got != c.sentence {
			t.Errorf("sentence %q, not %q", got, c.sentence)
		}
	}
}

// The verdict on one target, whichever it is: what is compared stands first.
func TestSubject(t *testing.T) {
	c := Comparison{A: "base", B: "head", Ratio: 1.0634, AtLeast: 0.0418, Verdict: Better, Blocks: 7, BlocksNeeded: 14}
	r := Result{Delta: 0.03, FewestBlocks: 6}
	unbound, equal, open := c, c, c
	unbound.AtLeast, equal.Verdict, open.Verdict, open.PHolm = unknown, Equivalent, Inconclusive, 0.2
	apart := open
	apart.PHolm = 0.01
	for want, of := range map[string]Comparison{
		"head is worse than base: at least 4.1 % (estimate 6.3 %)":                            c.Mirror(),
		"base is better than head: at least 4.1 % (estimate 6.3 %)":                           c,
		"head is worse than base, by an amount this run does not bound":                       unbound.Mirror(),
		"head is equivalent to base: within 3 %, a tie":                                       equal.Mirror(),
		"inconclusive: head and base are not told apart; about 14 blocks would tell 3 %":      open.Mirror(),
		"inconclusive: head and base are different, but not shown to differ by more than 3 %": apart.Mirror(),
	} {
		if got := r.Subject(of); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

// What the sign flips say: of one pair, of more that they confirm or do not, of none.
func TestSignFlipWords(t *testing.T) {
	pair := Comparison{A: "a", B: "b", P: 0.0103, PSignFlip: 0.0098, PSignFlipLeast: 2. / 1024, Verdict: Better, Blocks: 10}
	other, open := pair, pair
	other.B, other.PSignFlip, other.Verdict = "c", 0.0781, Worse
	open.Verdict = Inconclusive
	alone := pair
	alone.P, alone.Blocks = unknown, 1
	twenty := pair
	twenty.PSignFlipLeast, twenty.Blocks = 2./(1<<20), 20
	weak, unseen := pair, open
	weak.PSignFlip, unseen.PSignFlip = 0.04, unknown
	const says = "sign flips, which assume no shape of the noise, give p <= 0.05 (Holm) for "
	for _, c := range []struct {
		comparisons []Comparison
		want        string
	}{
		{nil, ""},
		{[]Comparison{alone}, ""},
		{[]Comparison{open, open, open}, ""},
		{[]Comparison{pair}, "p = 0.01; by sign flips, which assume no shape of the noise, 0.0098 (at least 0.002 with 10 blocks)"},
		{[]Comparison{twenty}, "p = 0.01; by sign flips, which assume no shape of the noise, 0.0098 (at least 0.0000019 with 20 blocks)"},
		{[]Comparison{pair, open, open}, says + "the pair called better"},
		{[]Comparison{pair, open, pair}, says + "all 2 pairs called better"},
		{[]Comparison{pair, other, pair}, says + "2 of 3 pairs called better, not for a and c (0.078)"},
		{[]Comparison{pair, unseen, unseen}, says + "the pair called better"},
		{[]Comparison{weak, weak}, says + "0 of 2 pairs called better, not for a and b (0.08) and a and b (0.08)"},
		{[]Comparison{weak, open, pair}, says + "all 2 pairs called better"},
	} {
		if got := (Result{Comparisons: c.comparisons}).SignFlips(); got != c.want {
			t.Errorf("%q, not %q", got, c.want)
		}
	}
}

// A bound is rounded to the side where it stays true, an estimate to the nearest.
func TestPercent(t *testing.T) {
	for _, c := range []struct {
		f             float64
		down, nearest string
	}{
		{0.0418, "4.1 %", "4.2 %"},
		{0.04, "4.0 %", "4.0 %"},
		{0.1, "10.0 %", "10.0 %"},
		{0.9999, "99.9 %", "100.0 %"},
		{1.899, "189 %", "190 %"},
		{24.6, "2,460 %", "2,460 %"},
		{0.00049, "0.049 %", "0.049 %"},
		{0.0000567, "0.0056 %", "0.0057 %"},
		{0, "0.0 %", "0.0 %"},
	} {
		if got := percentDown(c.f); got != c.down {
			t.Errorf("%v down: %q, not %q", c.f, got, c.down)
		}
		if got := percent(c.f); got != c.nearest {
			t.Errorf("%v: %q, not %q", c.f, got, c.nearest)
		}
	}
}

// One sentence says the verdict on many targets.
func TestHead(t *testing.T) {
	for _, c := range []struct {
		values map[string][]float64
		want   string
	}{
		{nil, ""},
		{map[string][]float64{"a": {1}}, "a is alone: there is nothing to compare it with"},
		{
			map[string][]float64{"a": around(100, 0.002, 9, 0), "b": around(101, 0.002, 9, 1)},
			"a and b: within 3 %, a tie",
		},
		{
			map[string][]float64{"a": around(100, 0.002, 9, 0), "b": around(120, 0.002, 9, 1), "c": around(130, 0.002, 9, 2)},
			"c is better than every other; than b, the closest, at least ",
		},
		{
			map[string][]float64{"a": around(100, 0.002, 9, 0), "b": around(130, 0.002, 9, 1), "c": around(130.5, 0.002, 9, 2)},
			"c and b are a tie, within 3 %; shown not to be the best: a",
		},
		{
			map[string][]float64{"a": around(100, 0.2, 9, 0), "b": around(110, 0.2, 9, 1), "c": around(115, 0.2, 9, 2)},
			"no target is shown to be better than another",
		},
		{
			map[string][]float64{"a": around(50, 0.002, 9, 0), "b": around(130, 0.1, 9, 1), "c": around(135, 0.1, 9, 2)},
			"it is not shown which of c and b is the best; shown not to be the best: a",
		},
	} {
		got := judge(t, c.values, Options{Delta: 0.03}).Head()
		if got != c.want && !(strings.HasSuffix(c.want, " ") && strings.HasPrefix(got, c.want)) {
			t.Errorf("%q, not %q", got, c.want)
		}
	}
}

// The closest is the one whose estimate is nearest, with its own bound; where another one's bound is smaller, that is said of each.
func TestHeadNamesTheClosest(t *testing.T) {
	logs := func(mean, by float64) []float64 { // 100 exp(-mean), up and down by
		out := make([]float64, 8)
		for i := range out {
			out[i] = 100 * math.Exp(-mean+by*float64(1-2*(i%2)))
		}
		return out
	}
	for want, values := range map[string]map[string][]float64{
		"a is better than every other; than b, the closest, at least 4.4 % (estimate 5.1 %), than each at least 4.1 %": {
			"a": logs(0, 0), "b": logs(0.05, 0.00529), "c": logs(0.15, 0.0926),
		},
		"a is better than every other; than b, the closest, at least 4.4 % (estimate 5.1 %)": {
			"a": logs(0, 0), "b": logs(0.05, 0.00529), "c": logs(0.15, 0.02),
		},
	} {
		if got := judge(t, values, Options{Delta: 0.03}).Head(); got != want {
			t.Errorf("%q, not %q", got, want)
		}
		for _, of := range values { // the same of times
			for i := range of {
				of[i] = 1 / of[i]
			}
		}
		if got := judge(t, values, Options{Delta: 0.03, Better: Lower}).Head(); got != want {
			t.Errorf("of times %q, not %q", got, want)
		}
	}
}

// A pair may be shown to differ, and neither by more than the margin nor by less.
func TestDifferentWithinTheMargin(t *testing.T) {
	a := make([]float64, 8)
	for i := range a {
		a[i] = 100 * math.Exp([]float64{0.05246, -0.00046}[i%2])
	}
	r := judge(t, map[string][]float64{"a": a, "b": slices.Repeat([]float64{100}, 8)}, Options{Delta: 0.03})
	c := r.Comparisons[0]
	if want := "a and b are different, but not shown to differ by more than 3 %"; c.Verdict != Inconclusive || c.P > 0.05 || c.Low < 1 || r.Head() != want {
		t.Errorf("%q, not %q: %+v", r.Head(), want, c)
	}
	for i := range a { // twice as far from block to block
		a[i] = 100 * math.Exp([]float64{0.07846, -0.02646}[i%2])
	}
	r = judge(t, map[string][]float64{"a": a, "b": slices.Repeat([]float64{100}, 8)}, Options{Delta: 0.03})
	if got := r.Head(); !strings.HasPrefix(got, "a and b are not told apart; about ") {
		t.Errorf("%q: %+v", got, r.Comparisons[0])
	}
}

// Every target is named than which the best is better by an amount that is not bound, the best first; of many their number.
func TestHeadWithoutBounds(t *testing.T) {
	for names, want := range map[string]string{
		"b":    "z is better than every other, than b by an amount this run does not bound",
		"dbc":  "z is better than every other, than d, b and c by an amount this run does not bound",
		"bcde": "z is better than every other, than 4 of them by an amount this run does not bound",
	} {
		r := Result{
			Delta: 0.03, Targets: []Target{{Name: "z", Rank: [2]int{1, 1}}},
			Comparisons: []Comparison{{A: "a", B: "z", Ratio: 0.8, AtLeast: 0.1, Verdict: Worse}},
		}
		for _, name := range strings.Split(names+"a", "") {
			r.Targets = append(r.Targets, Target{Name: name, Rank: [2]int{2, 6}})
			if name != "a" {
				r.Comparisons = append(r.Comparisons, Comparison{A: name, B: "z", Ratio: 0.9, AtLeast: unknown, Verdict: Worse})
			}
		}
		if got := r.Head(); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

// The verdict on many targets names the first of them.
func TestHeadOfMany(t *testing.T) {
	const eight = "a, b, c, d, e, f, g and h"
	for n, want := range map[int]string{8: eight, 9: "a, b, c and 6 more", 20: "a, b, c and 17 more"} {
		var names []string
		for i := range n {
			names = append(names, string(rune('a'+i)))
		}
		if got := crowd(names); got != want {
			t.Errorf("%d names: %q, not %q", n, got, want)
		}
		r := Result{Delta: 0.03, Groups: [][]string{names}}
		if got := r.leaders(names); got != want+" are a tie, within 3 %" {
			t.Errorf("%d tied: %q", n, got)
		}
		if got := beaten(names); got != "; shown not to be the best: "+want {
			t.Errorf("%d beaten: %q", n, got)
		}
	}
}

// A best target that the comparisons leave alone, but not ahead of all, is not called better than all.
func TestHeadWithoutAChain(t *testing.T) {
	r := Result{Delta: 0.03, Targets: []Target{{Name: "a", Rank: [2]int{1, 2}}, {Name: "b", Rank: [2]int{2, 2}}, {Name: "c", Rank: [2]int{2, 3}}}}
	if got, want := r.Head(), "a may be the best, and is not shown to be better than every other; shown not to be the best: b and c"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	r.Targets[0].Rank = [2]int{2, 2}
	if got, want := r.Head(), "no target is shown to be the best; shown not to be the best: a, b and c"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

// Holm may decide where the wider interval, for all pairs at once, still reaches no difference.
func TestBetterByAnAmountNotBound(t *testing.T) {
	a := make([]float64, 8)
	for i := range a {
		a[i] = 100 * math.Exp(0.061+0.06*float64(1-2*(i%2))) // t = 2.7: p = 0.03, between 0.05/3 and 0.05
	}
	r := judge(t, map[string][]float64{"a": a, "b": around(100, 0.0001, 8, 1), "c": around(300, 0.0001, 8, 2)}, Options{Delta: 0.03})
	c := r.Comparisons[0]
	if c.Verdict != Better || c.AtLeast.Known() || c.Low > 1 || r.Words(c) != "better, by an amount this run does not bound" {
		t.Errorf("%s: %+v", r.Sentence(c), c)
	}
}

// A margin is a percentage between 0 and 100, and is read to the last bit.
func TestParseDelta(t *testing.T) {
	for text, want := range map[string]float64{"3%": 0.03, " 2.5 % ": 0.025, "12.3%": 0.123, ".1%": 0.001, "99.9%": 0.999} {
		if got, err := ParseDelta(text); err != nil || got != want {
			t.Errorf("%q is %v, %v, not %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "%", "3", "0.03", "0%", "-3%", "100%", "inf%", "NaN%", "0x1p3%", "1e1%", "3%%", "3 percent", "3\u00a0%x"} {
		if got, err := ParseDelta(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
