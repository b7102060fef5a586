package figures

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/verdict"
)

// judged are the thresholds of a run of some blocks of "slow" and "fast", which is a tenth faster.
func judged(t *testing.T, blocks int, change func(*recordtest.Run), texts ...string) []Threshold {
	t.Helper()
	r := quick(blocks, 0.1, "slow", "fast")
	quoted := must[[]byte](t)(json.Marshal(texts))
	r.Plan("throughput", `"thresholds":`+string(quoted))
	if change != nil {
		change(r)
	}
	return build(t, r.Write(t)).Thresholds
}

// outcomes are "target outcome" of each.
func outcomes(all []Threshold) (out []string) {
	for _, o := range all {
		out = append(out, o.Target+" "+o.Outcome)
	}
	return out
}

// A threshold is met or missed where the whole interval is on one side, else undecided; without a target it is for every one.
func TestThresholds(t *testing.T) {
	for text, want := range map[string]string{
		"closed: throughput > 300/s":                       "[slow met fast met]",
		"closed: throughput > 3000":                        "[slow missed fast missed]",
		"closed: slow.throughput > 800":                    "[slow undecided]", // blocks are from 400 to 1200
		"closed: fast.throughput > 1.05 * slow.throughput": "[fast met]",       // which are pairs
		"closed: fast.throughput < 1.05 * slow.throughput": "[fast missed]",
		"closed: throughput > 1.05 * slow.throughput":      "[fast met]",
		"closed: p50 < 1h":                                 "[slow met fast met]",
		"closed: max < 1ns":                                "[slow missed fast missed]",
		"closed: p50 < 1.01 * max":                         "[slow met fast met]",
		"closed: errors <= 0":                              "[slow met fast met]",
		"closed: errors < 5%":                              "[slow met fast met]",
		"closed: errors < 0.000001%":                       "[slow undecided fast undecided]", // none, of too few requests
		"closed: ok > 1":                                   "[slow met fast met]",
		"closed: p99 < 1h":                                 "[slow undecided fast undecided]", // of too few requests
		"other: p50 < 1h":                                  "[slow undecided fast undecided]",
		"closed: nobody.p50 < 1h":                          "[nobody undecided]",
		"closed: slow.rate > nobody.rate":                  "[slow undecided]",
	} {
		all := judged(t, 7, nil, text)
		if got := fmt.Sprint(outcomes(all)); got != want {
			t.Errorf("%s: %s, want %s: %+v", text, got, want, all)
		}
	}
}

// The figure is that of the blocks: the geometric mean of the ratios of pairs, the sum of counts.
func TestThresholdFigures(t *testing.T) {
	all := judged(t, 7, nil, "closed: fast.throughput > 1.05 * slow.throughput", "closed: slow.ok > 1", "closed: slow.errors < 1%")
	r := quick(7, 0.1, "slow", "fast")
	var ratios []float64
	var ok float64
	for block := 1; block <= 7; block++ {
		ratios = append(ratios, float64(r.Rate("fast", block))/float64(r.Rate("slow", block)))
		ok += float64(r.Rate("slow", block))
	}
	want := verdict.MeanOf(ratios, 2) // a count has no interval
	if all[0].Estimate != want || all[0].Unit != UnitRatio || all[0].Blocks != 7 || all[0].Bound != 1.05 {
		t.Errorf("%+v, want %+v", all[0], want)
	}
	if all[1].Value != verdict.Number(ok) || all[1].Low != all[1].High || all[1].Unit != "" {
		t.Errorf("%+v, want %v", all[1], ok)
	}
	if high := 100 * (1 - math.Pow(0.0125, 1/ok)); math.Abs(float64(all[2].High)-high) > 1e-9 || all[2].Unit != UnitPercent {
		t.Errorf("%+v, want none to %v %%", all[2], high)
	}
}

// Nothing is decided from one block, in a short run, or from a percentile that requests do not support, and the reason is said.
func TestThresholdsUndecided(t *testing.T) {
	for want, all := range map[string][]Threshold{
		"an interval takes 2 blocks, and fast has 1 valid block with requests in this phase": judged(t, 1, nil, "closed: fast.throughput > 1"),
		"the run is a short one":                                    judged(t, 2, func(r *recordtest.Run) { r.Head.Short = true }, "closed: fast.throughput > 1"),
		"block 1 of fast: p99.99 needs 1,000,000 requests, it has ": judged(t, 2, nil, "closed: fast.p99.99 < 1h"),
		"no trial has the phase other":                              judged(t, 2, nil, "other: fast.rate > 1"),
		"the run has no such target":                                judged(t, 2, nil, "closed: other.rate > 1"),
		"a figure of fast is compared with itself":                  judged(t, 2, nil, "closed: fast.p50 < 0.9 * service p50"),
	} {
		if len(all) != 1 || all[0].Outcome != Undecided || !strings.HasPrefix(all[0].Why, want) {
			t.Errorf("want %q: %+v", want, all)
		}
	}
	r := quick(2, 0.1, "slow", "fast")
	r.Plan("throughput", `"thresholds":["closed: speed > 1"]`)
	reader := must[*record.Reader](t)(record.Open(r.Write(t)))
	if _, err := Build(reader); err == nil || !strings.Contains(err.Error(), `thresholds[0]: "speed" is not a figure`) {
		t.Errorf("a threshold that is none: %v", err)
	}
}

// A trial that is not valid counts nowhere.
func TestThresholdsOfValidTrials(t *testing.T) {
	all := judged(t, 4, func(r *recordtest.Run) {
		r.Change = func(trial *record.Trial) {
			if trial.Block == 2 && trial.Target == "slow" {
				trial.Status, trial.Reasons = record.Invalid, []record.Reason{{Code: record.CodeWitness, Text: "x"}}
			}
		}
	}, "closed: throughput > 1", "closed: fast.throughput > slow.throughput")
	if got := fmt.Sprint(all[0].Blocks, all[1].Blocks, all[2].Blocks); got != "3 4 3" {
		t.Errorf("blocks %s: %+v", got, all)
	}
}

// Of two versions a threshold without a target is about the new one.
func TestThresholdsOfVersions(t *testing.T) {
	r := quick(7, 0.1, record.Base, record.Head)
	r.Head.Revisions = &record.Revisions{}
	r.Plan("throughput", `"thresholds":["closed: throughput > 1", "closed: throughput > 0.95 * base.throughput",
		"closed: throughput > 0.9 * head.throughput", "closed: p50 < 1.01 * head.max"]`)
	all := build(t, r.Write(t)).Thresholds
	if got := fmt.Sprint(outcomes(all)); got != "[head met head met head undecided head met]" || all[2].Why != "a figure of head is compared with itself" {
		t.Errorf("%s: %+v", got, all)
	}
}

// A threshold that compares targets is undecided where another tier held one of them back and it might then be otherwise: the figure of
// such a target is the least that it can do.
func TestThresholdsUnderForeignLimits(t *testing.T) {
	const more, less = "closed: fast.throughput > 1.05 * slow.throughput", "closed: fast.throughput < 1.05 * slow.throughput"
	const longer, shorter = "closed: slow.p50 > 0.9 * fast.p50", "closed: slow.p50 < 0.9 * fast.p50"
	type held map[string]string
	for _, c := range []struct {
		text string
		held held
		want string
	}{
		{more, nil, Met},
		{more, held{"fast": "database"}, Met}, // it may only be faster
		{more, held{"slow": "database"}, Undecided},
		{more, held{"slow": "database", "fast": "database"}, Undecided},
		{less, nil, Missed},
		{less, held{"fast": "database"}, Missed},
		{less, held{"slow": "database"}, Undecided},
		{longer, nil, Met},
		{longer, held{"fast": "balancer"}, Met},
		{longer, held{"slow": "balancer"}, Undecided},
		{shorter, nil, Missed},
		{shorter, held{"slow": "balancer"}, Undecided},
		{"closed: slow.p50 < 1.01 * slow.max", held{"slow": "database"}, Met}, // of one target
		{"closed: slow.throughput > 300/s", held{"slow": "database"}, Met},    // of one target
		{"closed: throughput > 3000/s", held{"slow": "database", "fast": "database"}, Missed},
	} {
		s := build(t, quick(7, 0.1, "slow", "fast").Write(t))
		s.foreignIn = map[int]map[string]string{s.Phases[0].Number: c.held}
		check(t, s.thresholds([]string{c.text}, false))
		got := s.Thresholds[0]
		if got.Outcome != c.want || (got.Why != "") != (c.want == Undecided) || !got.Known() {
			t.Errorf("%s, %v: %s %q, want %s", c.text, c.held, got.Outcome, got.Why, c.want)
		}
	}
}

// What was the limit is found in each phase by itself.
func TestThresholdsKnowTheLimit(t *testing.T) {
	for cores, want := range map[float64]string{1.8: Undecided, 0.5: Met} {
		r := recordtest.Of(7, "a", "b")
		r.Cores = map[string]float64{"target": 0.05, "balancer": 0.01, "database": cores, "agent": 0.01, "host": cores + 0.14}
		r.Rate = func(target string, block int) int { return map[string]int{"a": 1000, "b": 800}[target] + 2*block%3 }
		r.Plan("p99 at rate", `"thresholds":["closed: a.throughput > 1.1 * b.throughput"]`)
		got := build(t, r.Write(t)).Thresholds[0]
		said := strings.Contains(got.Why, "the database was the limit of a, so that its figure is the least that it can do")
		if got.Outcome != want || said != (want == Undecided) {
			t.Errorf("%v cores of the database: %s %q, want %s", cores, got.Outcome, got.Why, want)
		}
	}
}
