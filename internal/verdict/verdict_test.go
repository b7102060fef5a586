package verdict

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// tableOf makes a table of each target's values in block 1, 2 and so on; 0 is a missing cell.
func tableOf(t testing.TB, values map[string][]float64) *Table {
	t.Helper()
	var table Table
	for name, blocks := range values {
		for i, v := range blocks {
			if v == 0 {
				table.Expect(fmt.Sprint(i+1), name)
			} else if err := table.Add(Cell{Block: fmt.Sprint(i + 1), Target: name, Value: v}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return &table
}

func judge(t testing.TB, values map[string][]float64, o Options) Result {
	t.Helper()
	r, err := Judge(tableOf(t, values), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// around are n values that alternate around a centre by a fraction, so that ratios of two of them spread.
func around(centre, by float64, n, phase int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = centre * (1 + by*math.Sin(float64(i*i+phase)))
	}
	return out
}

func codes(r Result) []string {
	var out []string
	for _, w := range r.Warnings {
		out = append(out, w.Code)
	}
	return out
}

func TestAddRefuses(t *testing.T) {
	for _, c := range []struct {
		cell Cell
		want string
	}{
		{Cell{Block: "1", Target: "a", Value: 0}, "not above 0"},
		{Cell{Block: "1", Target: "a", Value: -3}, "not above 0"},
		{Cell{Block: "1", Target: "a", Value: math.NaN()}, "not a number"},
		{Cell{Block: "1", Target: "a", Value: math.Inf(1)}, "not a number"},
		{Cell{Block: "1", Target: "a", Value: 1, Position: -1}, "below 1"},
		{Cell{Block: "", Target: "a", Value: 1}, "no block"},
		{Cell{Block: "1", Target: "", Value: 1}, "no target"},
		{Cell{Block: "2", Target: "b", Value: 1}, "already"},
	} {
		var table Table
		if err := table.Add(Cell{Block: "2", Target: "b", Value: 5}); err != nil {
			t.Fatal(err)
		}
		if err := table.Add(c.cell); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, wanted %q", c.cell, err, c.want)
		}
		if table.Len() != 1 || len(table.targets()) != 1 {
			t.Errorf("%+v left something behind", c.cell)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{}, {Delta: -0.1}, {Delta: 1}, {Delta: math.NaN()}, {Delta: 0.03, Better: "more"}} {
		if _, err := Judge(&Table{}, o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

// What decides is in the options and nowhere else: no figure of a machine, of a calibration or of another run. Capped and AtMost only take claims back.
func TestOptionsAreAllThatDecides(t *testing.T) {
	var names []string
	for _, kind := range []any{Options{}, Cell{}} {
		for field := range reflect.TypeOf(kind).Fields() {
			names = append(names, field.Name)
		}
	}
	if got := strings.Join(names, " "); got != "Delta Better Seed Capped AtMost Unit Block Target Value Position Bound" {
		t.Errorf("a verdict depends on %s", got)
	}
}

// Blocks and targets that changed places make very many targets: refused before anything is computed.
func TestTooManyTargets(t *testing.T) {
	var table Table
	for i := range 201 {
		table.Expect("1", fmt.Sprint(i))
	}
	if _, err := Judge(&table, Options{Delta: 0.03}); err == nil || !strings.Contains(err.Error(), "201 targets in 1 blocks: at most 200") {
		t.Errorf("%v", err)
	}
}

func TestFewestBlocks(t *testing.T) {
	for pairs, want := range map[int]int{0: 6, 1: 6, 3: 7, 6: 8, 10: 9, 28: 11, 435: 15} {
		if got := FewestBlocks(pairs); got != want {
			t.Errorf("%d pairs: %d blocks, not %d", pairs, got, want)
		}
	}
}

// However clear the difference, fewer blocks than the fewest decide nothing, and what is lacking is said.
func TestTooFewBlocks(t *testing.T) {
	for n := range 7 {
		r := judge(t, map[string][]float64{"a": around(200, 0.01, n, 0), "b": around(100, 0.01, n, 1)}, Options{Delta: 0.03})
		if n == 0 {
			continue // no target
		}
		c := r.Comparisons[0]
		if want := map[bool]Claim{true: Better, false: Inconclusive}[n >= 6]; c.Verdict != want {
			t.Errorf("%d blocks: %s", n, c.Verdict)
		}
		if warned := slices.Contains(codes(r), WarnTooFewBlocks); warned != (n < 6) {
			t.Errorf("%d blocks: warned %v", n, warned)
		}
		if n < 6 && !strings.Contains(r.Warnings[0].Text, fmt.Sprintf("takes 6, so %d more", 6-n)) {
			t.Errorf("%d blocks: %s", n, r.Warnings[0].Text)
		}
		if known := c.P.Known(); known != (n >= 2) {
			t.Errorf("%d blocks: p known %v", n, known)
		}
	}
}

// Blocks that lack a value of one target count for the other pairs.
func TestMissingCells(t *testing.T) {
	a, b, c := around(120, 0.01, 9, 0), around(100, 0.01, 9, 1), around(80, 0.01, 9, 2)
	whole := judge(t, map[string][]float64{"a": a[2:], "b": b[2:], "c": c[2:]}, Options{Delta: 0.03})
	c[0], c[1] = 0, 0
	r := judge(t, map[string][]float64{"a": a, "b": b, "c": c}, Options{Delta: 0.03})
	blocks := []int{r.Comparisons[0].Blocks, r.Comparisons[1].Blocks, r.Comparisons[2].Blocks}
	if !slices.Equal(blocks, []int{9, 7, 7}) {
		t.Errorf("blocks of the pairs: %v", blocks)
	}
	if r.Comparisons[1].P != whole.Comparisons[1].P {
		t.Errorf("a/c over complete pairs: p %v, without the two blocks %v", r.Comparisons[1].P, whole.Comparisons[1].P)
	}
	if !slices.Equal(codes(r), []string{WarnMissingCells}) || !strings.Contains(r.Warnings[0].Text, "c has no value in blocks 1 and 2 of 9") {
		t.Errorf("warnings: %v", r.Warnings)
	}
}

// A target without any figure is a target: of any rank.
func TestTargetWithoutFigures(t *testing.T) {
	r := judge(t, map[string][]float64{"a": around(120, 0.01, 9, 0), "b": around(100, 0.01, 9, 1), "c": make([]float64, 9)}, Options{Delta: 0.03})
	for _, target := range r.Targets {
		want := map[string][2]int{"a": {1, 2}, "b": {2, 3}, "c": {1, 3}}[target.Name]
		if target.Rank != want {
			t.Errorf("%s: ranks %v, not %v", target.Name, target.Rank, want)
		}
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), `"ratio":null,"low":null,"high":null`) {
		t.Errorf("unknown figures are not null: %s", data)
	}
}

// Without spread there is nothing to test: the limit is taken, and said.
func TestNoSpread(t *testing.T) {
	flat := func(v float64) []float64 { return slices.Repeat([]float64{v}, 8) }
	r := judge(t, map[string][]float64{"a": flat(300), "b": flat(300), "c": flat(0.3), "d": flat(0.301)}, Options{Delta: 0.03, Better: Lower})
	for _, c := range r.Comparisons {
		want := map[string]Claim{"ab": Equivalent, "ac": Worse, "ad": Worse, "bc": Worse, "bd": Worse, "cd": Equivalent}[c.A+c.B]
		if c.Verdict != want || c.Low != c.High || (c.Ratio == 1) != (c.P == 1) {
			t.Errorf("%s/%s: %s, not %s: %+v", c.A, c.B, c.Verdict, want, c)
		}
	}
	if got := codes(r); len(got) != 6 || got[0] != WarnNoSpread {
		t.Errorf("warnings: %v", got)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

// With few blocks an interval may pass every number; JSON has no word for that but null.
func TestIntervalBeyondNumbers(t *testing.T) {
	r := judge(t, map[string][]float64{"a": {1e-200, 1e200}, "b": {1e100, 1e-100}}, Options{Delta: 0.03})
	data, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(data), `"low":0,"high":null`) {
		t.Errorf("%v: %s", err, data)
	}
}

func TestOneTarget(t *testing.T) {
	r := judge(t, map[string][]float64{"a": {1, 2, 3}}, Options{Delta: 0.03})
	if len(r.Comparisons) != 0 || r.Targets[0].Rank != [2]int{1, 1} || !slices.Equal(codes(r), []string{WarnNoPairs}) {
		t.Errorf("%+v", r)
	}
	empty, err := Judge(&Table{}, Options{Delta: 0.03})
	if err != nil {
		t.Fatal(err)
	}
	data, _ := json.Marshal(empty)
	for _, list := range []string{`"comparisons":[]`, `"targets":[]`, `"groups":[]`} {
		if !strings.Contains(string(data), list) {
			t.Errorf("%s is not in %s", list, data)
		}
	}
}

func TestThirtyTargets(t *testing.T) {
	values := map[string][]float64{}
	for i := range 30 {
		values[fmt.Sprintf("t%02d", i)] = around(100*math.Pow(1.2, float64(i/2)), 0.004, 20, 7*i)
	}
	r := judge(t, values, Options{Delta: 0.03})
	if len(r.Comparisons) != 435 || len(r.Groups) != 15 {
		t.Fatalf("%d pairs, %d ties", len(r.Comparisons), len(r.Groups))
	}
	for i, target := range r.Targets {
		first := i/2*2 + 1
		if target.Rank != [2]int{first, first + 1} {
			t.Errorf("%d: %s has ranks %v", i, target.Name, target.Rank)
		}
	}
}

// Equivalence does not carry over: b is in two ties, with a and with c.
func TestTiesOverlap(t *testing.T) {
	r := judge(t, map[string][]float64{
		"a": around(104, 0.002, 12, 0), "b": around(102, 0.002, 12, 1), "c": around(100, 0.002, 12, 2), "d": around(99.9, 0.002, 12, 3),
	}, Options{Delta: 0.03})
	if got := fmt.Sprint(r.Groups); got != "[[a b] [b c d]]" {
		t.Errorf("ties: %s", got)
	}
}

// With an odd number of signs, and sums that are equal except for their last bits, every sum is counted as often as by trying all.
func TestSignFlipCountsAll(t *testing.T) {
	for _, x := range [][]float64{
		{0.3}, {0.1, 0.2, -0.3}, {0.1, 0.1, 0.1, -0.1}, {0, 0, 0}, {0.1, -0.7, 0.25, 0.3, 0.011, -0.02, 0.3}, {1, 1, 1, 1, 1, 1},
	} {
		reached := math.Abs(sum(x))
		count := 0
		for signs := range 1 << len(x) {
			total := 0.0
			for i, v := range x {
				if signs>>i&1 == 1 {
					v = -v
				}
				total += v
			}
			if math.Abs(total) >= reached-1e-9 {
				count++
			}
		}
		p, least := signFlip(x, 1)
		if all := math.Exp2(float64(len(x))); p != float64(count)/all || least != 2/all {
			t.Errorf("%v: p %v of at least %v; all signs give %v", x, p, least, float64(count)/all)
		}
	}
}

// Above 20 blocks the signs are drawn: near the exact p, never below the smallest possible.
func TestSignFlipDraws(t *testing.T) {
	x := around(0.01, 3, 20, 0)
	exact, _ := signFlip(x, 1)
	drawnP := float64(1+drawn(absolute(x), math.Abs(sum(x)), 1)) / 10000
	if math.Abs(exact-drawnP) > 4*math.Sqrt(exact*(1-exact)/9999) {
		t.Errorf("exact %v, drawn %v", exact, drawnP)
	}
	if p, least := signFlip(slices.Repeat([]float64{1}, 70), 5); p != least || least != 1e-4 {
		t.Errorf("70 equal differences: p %v, least %v", p, least)
	}
	if a, _ := signFlip(around(0.01, 9, 21, 0), 1); a == first(signFlip(around(0.01, 9, 21, 0), 2)) {
		t.Errorf("the seed changes nothing: %v", a)
	}
}

func first(p, _ float64) float64 { return p }

func absolute(x []float64) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = math.Abs(v)
	}
	return out
}

// The document has every field of the JSON and every code of a warning.
func TestMethodDocumentsEveryField(t *testing.T) {
	doc, err := os.ReadFile(methodDoc)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{WarnNoPairs, WarnTooFewBlocks, WarnMissingCells, WarnNoSpread, WarnPosition}
	for _, kind := range []any{Result{}, Comparison{}, Target{}, Positions{}, Warning{}} {
		for field := range reflect.TypeOf(kind).Fields() {
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "-" {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("%s is not in %s", name, methodDoc)
		}
	}
}
