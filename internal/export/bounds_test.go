package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"bakeoff/internal/capacity"
	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/verdict"
)

// bounded is a run of a capacity with a target whose blocks have one, one whose blocks only say that it is at least a rate, one whose
// blocks only say that it is below one, and two that the search kept out of the blocks.
func bounded(t *testing.T, change func(*recordtest.Run)) *record.Reader {
	t.Helper()
	r := recordtest.Of(7, "known", "more", "less", "ceiling", "hopeless")
	r.ClosedS = 1
	r.WithCapacity(map[string]float64{"known": 400, "more": 500, "less": 500, "ceiling": 600, "hopeless": 20})
	for name, end := range map[string]capacity.Result{
		"more": {Outcome: capacity.Found, Centre: 300}, "less": {Outcome: capacity.Found, Centre: 900},
		"ceiling": {Outcome: capacity.AtLeast, Lower: 950}, "hopeless": {Outcome: capacity.Impossible, Upper: 25},
	} {
		r.Head.Pilot.Capacity[name] = end
	}
	r.Head.Order = slices.DeleteFunc(r.Head.Order, func(p record.Place) bool { return p.Target == "ceiling" || p.Target == "hopeless" })
	if change != nil {
		change(r)
	}
	reader, err := record.Open(r.Write(t))
	if err != nil {
		t.Fatal(err)
	}
	return reader
}

// A block that only bounds a capacity is in every format, with its bound, and in none of them with those that are figures. So is a
// target that is in no block; of the values that are judged together it is left out with a word.
func TestBoundsAreExported(t *testing.T) {
	r := bounded(t, nil)
	var out bytes.Buffer
	problems, err := Blocks(t.Context(), &out, r)
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(problems); len(problems) != 2 || !strings.Contains(text, "ceiling at least 950") || !strings.Contains(text, "hopeless at most 25") {
		t.Errorf("problems %q", text)
	}
	for format, want := range map[string]map[string]int{
		out.String(): {"block,target,value,bound\n": 1, "\n7,more,338,at least\n": 1, ",at least\n": 7, ",less,799,at most\n": 7, ",at most\n": 7, ",\n": 7},
		exported(t, GoBench, r): {
			"Benchmark/target=known 1 ": 7, "Benchmark/target=more/bound=at-least 1 338 requests/s\n": 7, "Benchmark/target=less/bound=at-most 1 799 ": 7,
			"Benchmark/target=ceiling/bound=at-least 1 950 ": 1, "Benchmark/target=hopeless/bound=at-most 1 25 ": 1, "Benchmark": 23,
		},
		exported(t, OpenMetrics, r): {
			`target="known",block="7",phase="capacity"} `: 1, `target="more",block="7",phase="capacity",bound="at least"} 338 `: 1,
			`target="less",block="1",phase="capacity",bound="at most"} 799 `: 1, `target="ceiling",block="0",phase="capacity",bound="at least"} 950 `: 1,
			`target="hopeless",block="0",phase="capacity",bound="at most"} 25 `: 1, "{plan=": 23,
		},
	} {
		for text, times := range want {
			if n := strings.Count(format, text); n != times {
				t.Errorf("%d times %q, want %d, in\n%s", n, text, times, format)
			}
		}
	}
}

// The mean of bounds is a measure of its own, which has no end where nothing bounds it.
func TestBencherOfBounds(t *testing.T) {
	var got map[string]map[string]bencherMeasure
	if err := json.Unmarshal([]byte(exported(t, Bencher, bounded(t, nil))), &got); err != nil {
		t.Fatal(err)
	}
	want := []struct {
		target, measure string
		value           float64
		low, high       bool
	}{
		{"known", "capacity", 400, true, true},
		{"more", "capacity-at-least", 338, true, false},
		{"less", "capacity-at-most", 799, false, true},
		{"ceiling", "capacity-at-least", 950, false, false},
		{"hopeless", "capacity-at-most", 25, false, false},
	}
	for _, w := range want {
		m := got[w.target][w.measure]
		if len(got[w.target]) != 1 || math.Abs(m.Value/w.value-1) > 0.02 || (m.Lower != nil) != w.low || (m.Upper != nil) != w.high {
			t.Errorf("%+v, want %+v", got[w.target], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d targets: %v", len(got), got)
	}
}

// What another tier limited is the least that the targets can do, in a block whose stages all failed as well as in others.
func TestBoundsOfAnotherTier(t *testing.T) {
	r := bounded(t, func(r *recordtest.Run) { r.Cores["database"], r.Cores["host"] = 1.8, 1.95 })
	s, err := figures.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]verdict.Bound{"known": verdict.AtLeast, "more": verdict.AtLeast, "less": verdict.About} {
		values := s.BlockValues()
		if got := figures.MeanBound(values, target); got != want {
			t.Errorf("%s is %q, want %q", target, got, want)
		}
	}
	both := []figures.BlockValue{{Target: "a", Bound: verdict.AtLeast}, {Target: "b"}, {Target: "a"}, {Target: "a", Bound: verdict.AtMost}}
	if got := figures.MeanBound(both, "a"); got != verdict.About {
		t.Errorf("of both bounds %q", got)
	}
}

// Bounds that are read back claim no more than the run does.
func TestBoundsReadBack(t *testing.T) {
	r := bounded(t, nil)
	var out bytes.Buffer
	if _, err := Blocks(t.Context(), &out, r); err != nil {
		t.Fatal(err)
	}
	table, err := verdict.ReadCSV("blocks.csv", out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	s, err := figures.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := verdict.Judge(table, verdict.Options{Delta: s.Verdict.Delta, Seed: s.Verdict.Seed})
	if err != nil {
		t.Fatal(err)
	}
	for i, was := range s.Verdict.Comparisons {
		is := again.Comparisons[i]
		if is.A != was.A || is.B != was.B || is.Verdict != was.Verdict || is.Blocks != 7 || is.Above != was.Above || is.Below != was.Below || (is.CappedBy == "") != (was.CappedBy == "") {
			t.Errorf("%+v, was %+v", is, was)
		}
	}
	if len(again.Comparisons) != 3 {
		t.Errorf("%d pairs", len(again.Comparisons))
	}
}

// A valid trial without a figure and without a bound is not left out silently.
func TestTrialsWithoutValueAreNamed(t *testing.T) {
	r := bounded(t, func(r *recordtest.Run) {
		r.Change = func(tr *record.Trial) {
			for _, p := range tr.Phases {
				if p.Stage != nil && tr.Target == "known" && tr.Block == 2 {
					p.Stage.Limited = true
				}
			}
		}
	})
	for _, f := range Formats() {
		if !slices.Contains([]string{"blocks", "gobench", "openmetrics", "bencher"}, f.Name) {
			continue
		}
		var out bytes.Buffer
		problems, err := f.Write(t.Context(), &out, r)
		if err != nil || strings.Count(fmt.Sprint(problems), "block values: block 2 of known: the agents could keep no rate") != 1 {
			t.Errorf("%s: %v, %v", f.Name, problems, err)
		}
	}
}
