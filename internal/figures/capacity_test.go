package figures_test

import (
	"math"
	"slices"
	"testing"

	"bakeoff/internal/capacity"
	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/verdict"
)

func withCapacity(t *testing.T, change func(*recordtest.Run)) *figures.Summary {
	t.Helper()
	run := recordtest.Of(7, "django", "flask")
	run.ClosedS = 1
	run.WithCapacity(map[string]float64{"django": 400, "flask": 500})
	if change != nil {
		change(run)
	}
	r, err := record.Open(run.Write(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := figures.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The value of each block is the rate at which the share of slow answers is 1 %, and targets are compared by it.
func TestCapacity(t *testing.T) {
	s := withCapacity(t, nil)
	if c := s.Capacity; c == nil || c.Percentile != 99 || c.BoundS != 0.05 || c.Errors != 0.001 || len(c.Targets) != 2 {
		t.Fatalf("%+v", c)
	}
	for i, most := range []float64{400, 500} {
		c := s.Capacity.Targets[i]
		if len(c.Values) != 7 || c.Search == nil || c.Search.Centre != most {
			t.Fatalf("%+v", c)
		}
		for _, v := range c.Values {
			want := most * (1 + 0.01*math.Sin(float64(v.Block)))
			if v.Kind != capacity.Rate || math.Abs(v.Rate/want-1) > 0.01 {
				t.Errorf("%s, block %d: %+v, want %v", c.Target, v.Block, v.Value, want)
			}
		}
		if low, high := float64(c.Estimate.Low), float64(c.Estimate.High); !(low < most*1.005 && high > most*0.995 && high/low < 1.03) {
			t.Errorf("%s: %+v", c.Target, c.Estimate)
		}
		if !(c.Lower > 0.9*most && c.Lower < c.Upper && c.Upper < 1.1*most) {
			t.Errorf("%s: bounds %v, %v", c.Target, c.Lower, c.Upper)
		}
		stages := 0
		for at, p := range c.Load {
			stages += p.Stages
			if at > 0 && p.Rate <= c.Load[at-1].Rate {
				t.Errorf("%s: %v/s after %v/s", c.Target, p.Rate, c.Load[at-1].Rate)
			}
			want := 0.015
			if p.Slow > 0.011 {
				want = 0.08
			} else if p.Slow > 0.009 {
				continue
			}
			if got := float64(p.Response.Value); math.Abs(got/want-1) > 0.01 {
				t.Errorf("%s at %v/s, %v slow: p99 %v, want %v", c.Target, p.Rate, p.Slow, got, want)
			}
		}
		if stages != 28 {
			t.Errorf("%s: %d stages in the curve", c.Target, stages)
		}
	}
	v := s.Verdict
	if v == nil || v.Unit != figures.UnitRequests || v.Metric != "capacity" || len(v.Values) != 14 || v.Comparisons[0].Verdict != verdict.Worse {
		t.Fatalf("verdict %+v", v)
	}
	if r := float64(v.Comparisons[0].Ratio); math.Abs(r-0.8) > 0.01 {
		t.Errorf("django/flask is %v", r)
	}
	if len(s.Limits) != 2 || len(s.Phases) != 1 {
		t.Errorf("%d limits, %d phases", len(s.Limits), len(s.Phases))
	}
	if want := 14 * 41.0; math.Abs(s.Time.MeasuredS-want) > 1e-6 {
		t.Errorf("measured %v s, want %v", s.Time.MeasuredS, want)
	}
}

// A block whose stages all meet the objective, or in which no agent kept the rate, has no value, and a warning says why.
func TestCapacityWithoutValue(t *testing.T) {
	s := withCapacity(t, func(r *recordtest.Run) {
		r.Head.Pilot.Capacity["flask"] = capacity.Result{Outcome: capacity.Found, Centre: 300}
		r.Change = func(tr *record.Trial) {
			for _, p := range tr.Phases {
				if p.Stage != nil && tr.Target == "django" && tr.Block == 2 {
					p.Stage.Limited = true
				}
			}
		}
	})
	var texts []string
	for _, w := range s.Verdict.Warnings {
		if w.Code == figures.WarnNoValue {
			texts = append(texts, w.Text)
		}
	}
	want := map[string]bool{
		"block 2 of django: the agents could keep no rate: nothing is known of its capacity": true,
		"block 1 of flask: every stage met the objective: its capacity is at least 338/s":    true,
	}
	for _, text := range texts {
		delete(want, text)
	}
	if len(texts) != 8 || len(want) > 0 {
		t.Errorf("%q; missing %v", texts, want)
	}
}

// Figures that are only bounds are no claim: a target whose stages all met the objective is not worse by that, and one that met it in
// none is not better. To leave such blocks out would leave out the highest values, or the lowest.
func TestCapacityBounds(t *testing.T) {
	for _, c := range []struct {
		centre, figure float64
		head           string
	}{
		{300, 338, "django and flask are not distinguishable above 338 requests/s: the highest stage was the limit there"},
		{900, 799, "django and flask are not distinguishable below 799 requests/s: the lowest stage was the limit there"},
	} {
		s := withCapacity(t, func(r *recordtest.Run) {
			r.Head.Pilot.Capacity["flask"] = capacity.Result{Outcome: capacity.Found, Centre: c.centre}
		})
		flask, above := s.Capacity.Targets[1], c.centre < 500
		if e := flask.Estimate; math.Abs(float64(e.Value)/c.figure-1) > 1e-9 || flask.AtLeast() != above || flask.AtMost() == above ||
			math.IsInf(float64(e.High), 1) != above || (e.Low == 0) == above {
			t.Errorf("around %v/s: %+v", c.centre, e)
		}
		if v := s.Verdict; v.Head != c.head || len(v.Values) != 7 || v.Comparisons[0].Blocks != 7 {
			t.Errorf("around %v/s: %q, %d values, %+v", c.centre, v.Head, len(v.Values), v.Comparisons[0])
		}
	}
}

// A target that a search kept out of the blocks is named where the verdict is quoted, and a run of such targets alone says why.
func TestCapacityNotRanked(t *testing.T) {
	without := func(ends map[string]capacity.Result) *figures.Summary {
		return withCapacity(t, func(r *recordtest.Run) {
			for name, end := range ends {
				r.Head.Pilot.Capacity[name] = end
				r.Head.Order = slices.DeleteFunc(r.Head.Order, func(p record.Place) bool { return p.Target == name })
			}
		})
	}
	ceiling, impossible := capacity.Result{Outcome: capacity.AtLeast, Lower: 900}, capacity.Result{Outcome: capacity.Impossible, Upper: 25}
	for end, want := range map[capacity.Result]string{
		ceiling:    "django is alone: there is nothing to compare it with; flask is not ranked and may be better, for the objective was met up to the ceiling of the agents",
		impossible: "django is alone: there is nothing to compare it with; flask is not ranked",
	} {
		if got := without(map[string]capacity.Result{"flask": end}).Verdict.Head; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	s := without(map[string]capacity.Result{"flask": ceiling, "django": impossible})
	if want := "no target is in a block: django did not meet the objective even almost without load; flask met the objective up to the ceiling of the agents, at least 900/s"; s.Verdict != nil || s.NoVerdict != want {
		t.Errorf("%+v, %q, want %q", s.Verdict, s.NoVerdict, want)
	}
}

// A capacity that another tier limited is the least that the target can do, without an upper end.
func TestCapacityHeldBack(t *testing.T) {
	s := withCapacity(t, func(r *recordtest.Run) {
		r.Cores["database"], r.Cores["host"] = 1.8, 1.95
	})
	for _, c := range s.Capacity.Targets {
		if c.HeldBy != "database" || !c.AtLeast() || c.AtMost() || !math.IsInf(float64(c.Estimate.High), 1) || !(c.Estimate.Low > 390) {
			t.Errorf("%s: held by %q, %+v", c.Target, c.HeldBy, c.Estimate)
		}
	}
	if by := s.Verdict.Comparisons[0].CappedBy; by != "database" {
		t.Errorf("capped by %q", by)
	}
}
