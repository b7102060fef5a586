package verdict

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
)

// steadyTable is a table of targets with these figures and hardly any noise, over 10 blocks.
func steadyTable(t *testing.T, figures map[string]float64) *Table {
	t.Helper()
	var out Table
	for block := range 10 {
		for name, v := range figures {
			noise := 1 + 0.001*math.Sin(float64(7*block+3*len(name)))
			if err := out.Add(Cell{Block: fmt.Sprint(block + 1), Target: name, Value: v * noise}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return &out
}

// A target that something else held back is worse than none and equal to none; it may be better than one.
func TestCapped(t *testing.T) {
	for name, c := range map[string]struct {
		a, b   float64
		capped map[string]string
		better Direction
		want   string
	}{
		"nobody":                   {1000, 800, nil, Higher, "a is better than bb: at least "},
		"the loser":                {1000, 800, map[string]string{"bb": "database"}, Higher, "a and bb are not distinguishable above 800 answers/s: the database was the limit there"},
		"the winner":               {1000, 800, map[string]string{"a": "database"}, Higher, "a is better than bb: at least "},
		"both":                     {1000, 800, map[string]string{"a": "database", "bb": "balancer"}, Higher, "a and bb are not distinguishable above 800 answers/s: the balancer was the limit there"},
		"both, the other way":      {800, 1000, map[string]string{"a": "database", "bb": "balancer"}, Higher, "a and bb are not distinguishable above 800 answers/s: the database was the limit there"},
		"equal, and both":          {1000, 1000, map[string]string{"a": "generator", "bb": "generator"}, Higher, "not distinguishable above 1,000 answers/s: the generator"},
		"equal, and one":           {1000, 1000, map[string]string{"a": "generator"}, Higher, "not distinguishable above 1,000 answers/s: the generator"},
		"slower, lower is better":  {0.02, 0.05, map[string]string{"bb": "balancer"}, Lower, "a and bb are not distinguishable below 0.05 answers/s: the balancer"},
		"fastest, lower is better": {0.02, 0.05, map[string]string{"a": "balancer"}, Lower, "a is better than bb: at least "},
	} {
		r, err := Judge(steadyTable(t, map[string]float64{"a": c.a, "bb": c.b}), Options{Delta: 0.03, Better: c.better, Capped: c.capped, Unit: "answers/s"})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Head(); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		one := r.Comparisons[0]
		if withdrawn := one.CappedBy != ""; withdrawn == strings.Contains(c.want, "is better") || withdrawn && (one.Verdict != Inconclusive || one.AtLeast.Known()) {
			t.Errorf("%s: %+v", name, one)
		}
		if ranked := r.Targets[0].Rank[1] == 1; ranked != strings.Contains(c.want, "is better") || one.CappedBy != "" && len(r.Groups) > 0 {
			t.Errorf("%s: ranks %v, ties %v", name, r.Targets, r.Groups)
		}
	}
}

// Of three targets the pairs that remain are ranked, and the head names the others.
func TestCappedAmongOthers(t *testing.T) {
	table := steadyTable(t, map[string]float64{"a": 1000, "bb": 950, "ccc": 500})
	r, err := Judge(table, Options{Delta: 0.03, Capped: map[string]string{"a": "database", "bb": "database"}, Unit: "answers/s"})
	if err != nil {
		t.Fatal(err)
	}
	want := "it is not shown which of a and bb is the best; shown not to be the best: ccc; a and bb are not distinguishable above 950 answers/s: the database was the limit there"
	if got := r.Head(); got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
	r, err = Judge(table, Options{Delta: 0.03, Capped: map[string]string{"a": "database", "bb": "database", "ccc": "balancer"}, Unit: "answers/s"})
	if err != nil {
		t.Fatal(err)
	}
	want = "no target is shown to be better than another; 3 pairs not distinguishable above 500 answers/s: the balancer was the limit there"
	if got := r.Head(); got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
	if rank := r.Targets[0].Rank; rank != [2]int{1, 3} {
		t.Errorf("rank %v", rank)
	}
}

// In a pair that is not decided the one that looks worse counts: if nothing held it back, no other tier is to blame.
func TestCappedAndInconclusive(t *testing.T) {
	for _, c := range []struct {
		b      float64 // a has 1,000
		capped map[string]string
		better Direction
		want   string
	}{
		{900, map[string]string{"a": "database"}, Higher, ""},
		{900, map[string]string{"b": "database"}, Higher, "database"},
		{900, map[string]string{"a": "database", "b": "balancer"}, Higher, "balancer"},
		{900, map[string]string{"a": "database", "b": "balancer"}, Lower, "database"},
		{900, map[string]string{"b": "balancer"}, Lower, ""},
	} {
		var table Table
		for block := range 10 {
			noise := math.Pow(4, float64(block%2)-0.5) // by a factor of 2 up and down
			for name, v := range map[string]float64{"a": 1000, "b": c.b * noise} {
				if err := table.Add(Cell{Block: fmt.Sprint(block + 1), Target: name, Value: v}); err != nil {
					t.Fatal(err)
				}
			}
		}
		r, err := Judge(&table, Options{Delta: 0.03, Better: c.better, Capped: c.capped})
		if err != nil {
			t.Fatal(err)
		}
		if one := r.Comparisons[0]; one.Verdict != Inconclusive || one.CappedBy != c.want || (one.Above > 0) != (c.want != "") {
			t.Errorf("%+v: %+v", c, one)
		}
	}
}

// A pair without a common block has no figures from which on anything holds.
func TestCappedWithoutCommonBlocks(t *testing.T) {
	var table Table
	for _, cell := range []Cell{{Block: "1", Target: "a", Value: 1000}, {Block: "2", Target: "b", Value: 900}, {Block: "2", Target: "c", Value: 800}} {
		if err := table.Add(cell); err != nil {
			t.Fatal(err)
		}
	}
	table.Expect("1", "d") // and it has no figure at all
	r, err := Judge(&table, Options{Delta: 0.03, Capped: map[string]string{"a": "database", "b": "database", "d": "database"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Comparisons {
		if c.Blocks == 0 && (c.CappedBy != "" || c.Above != 0) {
			t.Errorf("%+v", c)
		}
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

// With too few blocks for any verdict that alone is said, and how many it takes.
func TestCappedWithFewBlocks(t *testing.T) {
	for n := 2; n <= 6; n++ {
		a, b := around(1000, 0.01, n, 0), around(800, 0.01, n, 1)
		r := judge(t, map[string][]float64{"a": a, "b": b}, Options{Delta: 0.03, Capped: map[string]string{"a": "database", "b": "database"}, Unit: "answers/s"})
		c := r.Comparisons[0]
		if capped := c.CappedBy != ""; capped != (n >= 6) || capped != (c.Above > 0) || capped != strings.Contains(r.Words(c), "the database was the limit") {
			t.Errorf("%d blocks: %q, %+v", n, r.Words(c), c)
		}
		if n < 6 && r.Words(c) != "not told apart; about 6 blocks would tell 3 %" {
			t.Errorf("%d blocks: %q", n, r.Words(c))
		}
	}
}

// A target that can do its figure at most is better than none and equal to none; another one may be better than it.
func TestAtMost(t *testing.T) {
	for name, c := range map[string]struct {
		a, b   float64
		atMost string
		better Direction
		want   string
	}{
		"the winner":                {1000, 800, "a", Higher, "a and bb are not distinguishable below 1,000 requests/s: the lowest stage was the limit there"},
		"the winner, the other way": {800, 1000, "bb", Higher, "a and bb are not distinguishable below 1,000 requests/s: the lowest stage was the limit there"},
		"the loser":                 {1000, 800, "bb", Higher, "a is better than bb: at least "},
		"equal":                     {1000, 1000, "bb", Higher, "not distinguishable below 1,000 requests/s: the lowest stage"},
		"lower is better":           {0.02, 0.05, "a", Lower, "not distinguishable above 0.02 requests/s: the lowest stage"},
	} {
		o := Options{Delta: 0.03, Better: c.better, AtMost: map[string]string{c.atMost: "lowest stage"}, Unit: "requests/s"}
		r, err := Judge(steadyTable(t, map[string]float64{"a": c.a, "bb": c.b}), o)
		if err != nil {
			t.Fatal(err)
		}
		one := r.Comparisons[0]
		if got := r.Head(); !strings.Contains(got, c.want) || (one.CappedBy == "") != strings.Contains(c.want, "is better") || one.Above != 0 {
			t.Errorf("%s: %q, want %q; %+v", name, got, c.want, one)
		}
	}
	both := Options{Delta: 0.03, Capped: map[string]string{"a": "highest stage"}, AtMost: map[string]string{"a": "lowest stage"}}
	for other, above := range map[float64]bool{2000: true, 500: false} { // neither better than another one nor worse
		r, err := Judge(steadyTable(t, map[string]float64{"a": 1000, "bb": other}), both)
		if err != nil {
			t.Fatal(err)
		}
		if one := r.Comparisons[0]; one.Verdict != Inconclusive || (one.Above > 0) != above || (one.Below > 0) == above {
			t.Errorf("against %v: %+v", other, one)
		}
	}
}
