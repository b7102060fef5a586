package capacity_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"bakeoff/internal/capacity"
)

// stage has the same share of slow answers in each of 10 seconds.
func stage(rate, slow float64) capacity.Stage {
	s := capacity.Stage{Rate: rate}
	for range 10 {
		n := int64(rate)
		s.Batches = append(s.Batches, capacity.Batch{Planned: n, Answers: n, Slow: int64(slow*rate + 0.5)})
	}
	return s
}

// uneven has that many slow answers in each second.
func uneven(rate float64, slow ...int64) capacity.Stage {
	s := capacity.Stage{Rate: rate}
	for _, n := range slow {
		s.Batches = append(s.Batches, capacity.Batch{Planned: int64(rate), Answers: int64(rate), Slow: n})
	}
	return s
}

func TestStagesAreAsLongAsTheirRequestsNeed(t *testing.T) {
	for _, c := range []struct {
		rate, percentile float64
		least, want      time.Duration
	}{
		{1000, 0.99, 0, 10 * time.Second},
		{100, 0.99, 0, 10 * time.Second},
		{40, 0.99, 0, 25 * time.Second},
		{1000, 0.99, 30 * time.Second, 30 * time.Second},
		{300, 0.99, 5 * time.Second, 10 * time.Second},
		{500, 0.999, 0, 20 * time.Second}, // 10 of 10,000 are beyond the percentile
		{70, 0.99, 0, 15 * time.Second},   // whole seconds
	} {
		o := capacity.Objective{Percentile: c.percentile, Bound: time.Second, Errors: 0.001}
		if got := o.Length(c.rate, c.least); got != c.want {
			t.Errorf("%v/s, p %v, at least %v: %v, want %v", c.rate, c.percentile, c.least, got, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	failed, seldom, once := stage(1000, 0), stage(1000, 0), stage(1000, 0)
	for i := range failed.Batches {
		failed.Batches[i].Failed = 2 // of 1,000
	}
	seldom.Batches[3].Failed, once.Batches[3].Failed = 9, 11 // of 10,000: 0.09 and 0.11 %
	few := stage(50, 0)
	for _, c := range []struct {
		says  string
		s     capacity.Stage
		class capacity.Class
		meets bool
	}{
		{"no slow answer", stage(1000, 0), capacity.Passes, true},
		{"half of what is allowed, always", stage(1000, 0.005), capacity.Passes, true},
		{"twice as much, always", stage(1000, 0.02), capacity.Fails, false},
		{"all slow answers in one second", uneven(1000, 0, 0, 0, 0, 0, 80, 0, 0, 0, 0), capacity.Undecided, true},
		{"more than allowed, in one second", uneven(1000, 0, 0, 0, 0, 0, 300, 0, 0, 0, 0), capacity.Undecided, false},
		{"too many errors, always", failed, capacity.Fails, false},
		{"too many errors, in one second", once, capacity.Undecided, false},
		{"as many errors as are allowed, in one second", seldom, capacity.Undecided, true},
		{"too few requests", few, capacity.Undecided, true},
		{"no answers at all", capacity.Stage{Rate: 5}, capacity.Fails, false},
		{"one second", uneven(2000, 30), capacity.Undecided, false},
	} {
		f := objective.Judge(c.s)
		if f.Class != c.class || f.Meets() != c.meets {
			t.Errorf("%s: %s, met %v; want %s, %v (%+v)", c.says, f.Class, f.Meets(), c.class, c.meets, f)
		}
	}
}

// Two stages of one rate are judged as one: what one leaves undecided the other may decide.
func TestStagesOfOneRateAreAddedUp(t *testing.T) {
	first := uneven(1000, 0, 0, 0, 0, 0, 0, 90, 0, 0, 0)
	if c := objective.Judge(first).Class; c != capacity.Undecided {
		t.Fatalf("the first alone: %s", c)
	}
	limited := stage(1000, 1)
	limited.Limited = true
	sums := capacity.Sums([]capacity.Stage{stage(1100, 0.5), first, limited, stage(1000, 0), stage(1000, 0)})
	if len(sums) != 2 || sums[0].Rate != 1000 || sums[1].Rate != 1100 {
		t.Fatalf("sums are %+v", sums)
	}
	if n := sums[0].Sum().Answers; n != 30_000 {
		t.Errorf("%d answers at 1000/s", n)
	}
	if f := objective.Judge(sums[0]); f.Class != capacity.Passes {
		t.Errorf("together: %+v", f)
	}
}

func TestBounds(t *testing.T) {
	b := objective.Bounds([]capacity.Stage{stage(900, 0.001), stage(1000, 0.5), stage(800, 0), uneven(950, 0, 0, 0, 0, 300)})
	if b.Lower != 900 || b.Upper != 1000 || b.Inverted {
		t.Errorf("%+v", b)
	}
	b = objective.Bounds([]capacity.Stage{stage(900, 0.5), stage(1000, 0), stage(800, 0)})
	if b.Lower != 800 || b.Upper != 900 || !b.Inverted {
		t.Errorf("a rate passes above one that fails: %+v", b)
	}
	if b = objective.Bounds(nil); b.Lower != 0 || !math.IsInf(b.Upper, 1) {
		t.Errorf("nothing: %+v", b)
	}
}

// The steps of a block are 6, 4 and 2 %.
func TestBlockSteps(t *testing.T) {
	for _, c := range []struct {
		met  []bool
		want []float64
	}{
		{[]bool{true, true, true, true}, []float64{1000, 1061, 1104, 1126}},
		{[]bool{false, false, false, false}, []float64{1000, 942, 906, 888}},
		{[]bool{true, false, true, true}, []float64{1000, 1061, 1020, 1040}},
		{[]bool{true, false, false, true}, []float64{1000, 1061, 1020, 1000}},
	} {
		var stages []capacity.Stage
		var rates []float64
		for {
			rate, more := objective.Next(1000, math.Inf(1), stages)
			if !more {
				break
			}
			rates = append(rates, rate)
			slow := 0.5
			if c.met[len(stages)] {
				slow = 0
			}
			stages = append(stages, stage(rate, slow))
		}
		if !slices.Equal(rates, c.want) {
			t.Errorf("%v: %v, want %v", c.met, rates, c.want)
		}
	}
}

func TestBlockStaysAtTheCeiling(t *testing.T) {
	rate, more := objective.Next(1000, 1040, []capacity.Stage{stage(1000, 0)})
	if rate != 1040 || !more {
		t.Errorf("%v, %v", rate, more)
	}
	stages := []capacity.Stage{stage(1000, 0), stage(1040, 0)}
	if rate, more := objective.Next(1000, 1040, stages); rate != 1040 || !more {
		t.Errorf("%v, %v after the ceiling was met", rate, more)
	}
	if v := objective.Values([][]capacity.Stage{stages})[0]; v != (capacity.Value{Kind: capacity.NotBelow, Rate: 1040}) {
		t.Errorf("%+v", v)
	}
	limited := stage(1000, 0)
	limited.Limited = true
	if rate, more := objective.Next(1000, math.Inf(1), []capacity.Stage{limited}); rate != 942 || !more {
		t.Errorf("%v, %v after the generator was limited", rate, more)
	}
	if v := objective.Values([][]capacity.Stage{{limited}})[0]; v.Kind != capacity.NoStages {
		t.Errorf("%+v", v)
	}
}

// exact has the shares of an M/M/1 queue itself.
func exact(rate float64) capacity.Stage {
	share := math.Exp(-(serviceRate - rate) * objective.Bound.Seconds())
	s := capacity.Stage{Rate: rate}
	for range 10 {
		s.Batches = append(s.Batches, capacity.Batch{Planned: 1_000_000, Answers: 1_000_000, Slow: int64(1_000_000 * share)})
	}
	return s
}

// Without noise the value is the truth, wherever the stages are; at most one step beyond them.
func TestValuesWithoutNoise(t *testing.T) {
	for _, centre := range []float64{850, 880, 907.9, 930, 960} {
		var stages []capacity.Stage
		for {
			rate, more := objective.Next(centre, math.Inf(1), stages)
			if !more {
				break
			}
			stages = append(stages, exact(rate))
		}
		v := objective.Values([][]capacity.Stage{stages})[0]
		if v.Kind != capacity.Rate || !within(v.Rate, truth(serviceRate), 0.002) {
			t.Errorf("around %v: %+v, want %.1f", centre, v, truth(serviceRate))
		}
	}
}

func TestValues(t *testing.T) {
	failed := stage(1061, 0)
	failed.Batches[3].Failed = 1000
	for _, c := range []struct {
		says      string
		stages    []capacity.Stage
		kind      capacity.Kind
		low, high float64
	}{
		{"none", nil, capacity.NoStages, 0, 0},
		{"all met", []capacity.Stage{stage(1000, 0), stage(1061, 0.001)}, capacity.NotBelow, 1061, 1061},
		{"none met", []capacity.Stage{stage(1000, 0.5), stage(942, 0.3)}, capacity.NotAbove, 942, 942},
		{"a cliff", []capacity.Stage{stage(1000, 0), stage(1061, 1), stage(1020, 0), stage(1040, 1)}, capacity.Rate, 1020, 1040},
		{"errors", []capacity.Stage{stage(1000, 0), failed, stage(1020, 0), stage(1040, 0)}, capacity.Rate, 1040, 1061},
		{"a higher rate met again", []capacity.Stage{stage(900, 0), stage(1000, 0.5), stage(1050, 0)}, capacity.Rate, 900, 1000},
		{"the smallest not met", []capacity.Stage{stage(900, 0.5), stage(1050, 0)}, capacity.NotAbove, 900, 900},
	} {
		v := objective.Values([][]capacity.Stage{c.stages})[0]
		if v.Kind != c.kind || v.Rate < c.low || v.Rate > c.high {
			t.Errorf("%s: %+v, want %s from %v to %v", c.says, v, c.kind, c.low, c.high)
		}
	}
}

// A search cut short has no centre.
func TestUnfinishedSearch(t *testing.T) {
	s := capacity.Search{Objective: objective, Start: 100, Ceiling: math.Inf(1)}
	if r := s.Result(nil); r.Outcome != capacity.Unfinished || r.Centre != 0 {
		t.Errorf("nothing measured: %+v", r)
	}
	r := s.Result([]capacity.Stage{stage(100, 0), stage(150, 0)})
	if r.Outcome != capacity.Unfinished || r.Lower != 150 || r.Upper != 0 {
		t.Errorf("cut short: %+v", r)
	}
}

// unkept is a stage whose rate the generator did not keep.
func unkept(rate float64) capacity.Stage {
	out := stage(rate, 0)
	out.Limited = true
	return out
}

// searched is a search to its end: what each rate finds, when it is asked for the n-th time.
func searched(s capacity.Search, finds func(rate float64, n int) capacity.Stage) (rates []float64, stages []capacity.Stage) {
	seen := map[float64]int{}
	for len(stages) < 2*capacity.MostSearch {
		rate, more := s.Next(stages)
		if !more {
			break
		}
		seen[rate]++
		rates, stages = append(rates, rate), append(stages, finds(rate, seen[rate]))
	}
	return rates, stages
}

// A rate that the generator did not keep is no end of the search: between it and the rates that met the objective, or below it where
// none did, there may be a capacity, and else the greatest rate that can be kept.
func TestLimitedGenerator(t *testing.T) {
	s := capacity.Search{Objective: objective, Start: 100, Ceiling: math.Inf(1)}
	for _, c := range []struct {
		says       string
		good, kept float64 // up to which rates the server meets the objective, and the generator keeps them
		rates      []float64
		want       capacity.Result
	}{
		{"a capacity below", 450, 500, []float64{100, 150, 338, 1352, 676, 478, 402, 402}, capacity.Result{Outcome: capacity.Found, Centre: 438, Lower: 402, Upper: 478}},
		{"none below", 5000, 500, []float64{100, 150, 338, 1352, 676, 478, 568}, capacity.Result{Outcome: capacity.AtLeast, Lower: 478}},
		{"the first rate is too much", 5000, 60, []float64{100, 66.67, 29.63, 44.45, 54.44, 60.25}, capacity.Result{Outcome: capacity.AtLeast, Lower: 54.44}},
		{"each rate is", 5000, 0, []float64{100, 66.67, 29.63, 7.41, 5}, capacity.Result{Outcome: capacity.Unfinished}},
		{"an impossible objective below", 0, 60, []float64{100, 66.67, 29.63, 7.41, 5}, capacity.Result{Outcome: capacity.Impossible, Upper: 5}},
	} {
		rates, stages := searched(s, func(rate float64, _ int) capacity.Stage {
			switch {
			case rate > c.kept:
				return unkept(rate)
			case rate > c.good:
				return stage(rate, 0.5)
			}
			return stage(rate, 0)
		})
		if r := s.Result(stages); !slices.Equal(rates, c.rates) || r != c.want {
			t.Errorf("%s: %v came to %+v, want %v and %+v", c.says, rates, r, c.rates, c.want)
		}
		if r := s.Result(stages[:4]); c.want.Outcome == capacity.AtLeast && (r.Outcome != capacity.AtLeast || r.Lower > c.want.Lower) {
			t.Errorf("%s, cut short: %+v", c.says, r)
		}
	}
}

// An upper bound that one stall has made is looked at a second time, and both looks are added up: so a stall bounds nothing, and
// a server that is too slow there still does.
func TestUpperBoundIsLookedAtAgain(t *testing.T) {
	s := capacity.Search{Objective: objective, Start: 700, Ceiling: math.Inf(1)}
	for _, c := range []struct {
		says   string
		second capacity.Stage
		rates  []float64
		want   capacity.Result
	}{
		{
			"a stall", stage(700, 0),
			[]float64{700, 467, 572, 633, 633, 317, 700, 1050, 857, 949, 857},
			capacity.Result{Outcome: capacity.Found, Centre: 902, Lower: 857, Upper: 949},
		},
		{
			"two", uneven(700, 0, 0, 0, 0, 0, 120, 0, 0, 0, 0),
			[]float64{700, 467, 572, 633, 633, 317, 700},
			capacity.Result{Outcome: capacity.Found, Centre: 666, Lower: 633, Upper: 700},
		},
	} {
		rates, stages := searched(s, func(rate float64, n int) capacity.Stage {
			switch {
			case rate == 700 && n == 1:
				return uneven(rate, 0, 0, 0, 0, 0, 120, 0, 0, 0, 0)
			case rate == 700:
				return c.second
			case rate > 900:
				return stage(rate, 0.5)
			}
			return stage(rate, 0)
		})
		if r := s.Result(stages); !slices.Equal(rates, c.rates) || r != c.want {
			t.Errorf("%s: %v came to %+v, want %v and %+v", c.says, rates, r, c.rates, c.want)
		}
		if r := s.Result(stages[:6]); r.Outcome != capacity.Found || r.Upper != 700 { // as in records of searches that had no second look
			t.Errorf("%s, without the second look: %+v", c.says, r)
		}
	}
}

// A stage that the generator did not keep, below a rate that failed, is no ceiling: its rate is asked for again.
func TestLimitedBelowAFailure(t *testing.T) {
	s := capacity.Search{Objective: objective, Start: 100, Ceiling: math.Inf(1)}
	for _, stages := range [][]capacity.Stage{{stage(100, 0), stage(150, 0.5)}, {stage(100, 0.5)}} {
		want, _ := s.Next(stages)
		for len(stages) < capacity.MostSearch {
			if rate, more := s.Next(stages); rate != want || !more || s.Result(stages).Outcome != capacity.Unfinished {
				t.Fatalf("after %d stages: %v, %v, want %v; %+v", len(stages), rate, more, want, s.Result(stages))
			}
			stages = append(stages, unkept(want))
		}
		if rate, more := s.Next(stages); more || s.Result(stages).Outcome != capacity.Unfinished {
			t.Errorf("goes on at %v: %+v", rate, s.Result(stages))
		}
	}
}

// A server that fails after each overload, where it had passed before, ends the search.
func TestUnrepeatable(t *testing.T) {
	s := capacity.Search{Objective: objective, Start: 700, Ceiling: math.Inf(1)}
	seen := map[float64]bool{}
	var stages []capacity.Stage
	for len(stages) < 2*capacity.MostSearch {
		rate, more := s.Next(stages)
		if !more {
			break
		}
		slow := 0.0
		if rate > 900 || seen[rate] {
			slow = 0.5
		}
		seen[rate] = true
		stages = append(stages, stage(rate, slow))
	}
	if r := s.Result(stages); r.Outcome != capacity.Unrepeatable || !r.Hysteresis || r.Centre != 0 {
		t.Errorf("%+v after %d stages", r, len(stages))
	}
}

// The steps away from the start grow, and the search ends within its most stages.
func TestSearchSteps(t *testing.T) {
	s := capacity.Search{Objective: objective, Start: 100, Ceiling: math.Inf(1)}
	var stages []capacity.Stage
	var rates []float64
	for {
		rate, more := s.Next(stages)
		if !more {
			break
		}
		rates = append(rates, rate)
		slow := 0.0
		if rate > 900 {
			slow = 0.5
		}
		stages = append(stages, stage(rate, slow))
	}
	want := []float64{100, 150, 338, 1352, 676, 956, 804, 804}
	if !slices.Equal(rates, want) {
		t.Errorf("%v, want %v", rates, want)
	}
	if r := s.Result(stages); r.Outcome != capacity.Found || r.Centre != 877 || r.Lower != 804 || r.Upper != 956 {
		t.Errorf("%+v", r)
	}
	never := capacity.Search{Objective: objective, Start: 10, Ceiling: math.Inf(1)}
	stages = nil
	for {
		rate, more := never.Next(stages)
		if !more {
			break
		}
		stages = append(stages, stage(rate, 0))
	}
	if r := never.Result(stages); len(stages) != capacity.MostSearch || r.Outcome != capacity.Unfinished {
		t.Errorf("%d stages, %+v", len(stages), r)
	}
}
