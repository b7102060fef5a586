package verdict

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// cells draws a table as a list: 2 to 6 targets, 1 to 24 blocks, some apart and some not, some cells missing.
func cells(t *rapid.T) []Cell {
	targets, blocks := rapid.IntRange(2, 6).Draw(t, "targets"), rapid.IntRange(1, 24).Draw(t, "blocks")
	cv := rapid.SampledFrom([]float64{0.001, 0.01, 0.05, 0.3}).Draw(t, "cv")
	known := rapid.Bool().Draw(t, "positions")
	missing := rapid.SampledFrom([]float64{0, 0, 0.1}).Draw(t, "missing")
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "noise"), 0))
	var out []Cell
	for i := range targets {
		level := 100 * rapid.SampledFrom([]float64{1, 1.01, 1.03, 1.2, 5}).Draw(t, "level")
		for block := range blocks {
			if random.Float64() >= missing {
				value := level * math.Exp(cv*random.NormFloat64())
				c := Cell{Block: fmt.Sprint(block + 1), Target: string(rune('a' + i)), Value: value}
				if known {
					c.Position = (i+block*(1+block/targets))%targets + 1
				}
				out = append(out, c)
			}
		}
	}
	return out
}

func options(t *rapid.T) Options {
	return Options{
		Delta:  rapid.SampledFrom([]float64{0.01, 0.03, 0.1}).Draw(t, "delta"),
		Better: rapid.SampledFrom([]Direction{Higher, Lower, ""}).Draw(t, "better"),
		Seed:   rapid.Uint64().Draw(t, "seed"),
	}
}

func judged(t *rapid.T, list []Cell, o Options) Result {
	var table Table
	for _, c := range list {
		if err := table.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Judge(&table, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mapped(list []Cell, change func(Cell) Cell) []Cell {
	out := make([]Cell, len(list))
	for i, c := range list {
		out[i] = change(c)
	}
	return out
}

func bytesOf(t *rapid.T, r Result) []byte {
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// same compares figures: equal to a few last bits, NaN and infinity equal to themselves.
func same(x, y Number) bool {
	a, b := float64(x), float64(y)
	return a == b || math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-7*math.Max(math.Abs(a), math.Abs(b))+1e-11
}

func alike(t *rapid.T, got, want Comparison) {
	figures := func(c Comparison) []Number {
		return []Number{c.Ratio, c.Low, c.High, c.Level, c.AtLeast, c.P, c.PHolm, c.PEquivalent, c.PSignFlip, c.PSignFlipLeast}
	}
	for i, x := range figures(got) {
		if !same(x, figures(want)[i]) {
			t.Fatalf("figure %d of %s/%s is %v, not %v", i, got.A, got.B, x, figures(want)[i])
		}
	}
	if got.A != want.A || got.B != want.B || got.Verdict != want.Verdict || got.Blocks != want.Blocks || got.BlocksNeeded != want.BlocksNeeded {
		t.Fatalf("%+v, not %+v", got, want)
	}
}

// Two targets that exchange their names exchange every figure and every verdict.
func TestSwappingMirrors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list, o := cells(t), options(t)
		swapped := judged(t, mapped(list, func(c Cell) Cell {
			c.Target = map[string]string{"a": "b", "b": "a"}[c.Target] + c.Target
			c.Target = c.Target[:1]
			return c
		}), o)
		r := judged(t, list, o)
		if len(r.Comparisons) == 0 || r.Comparisons[0].B != "b" || swapped.Comparisons[0].B != "b" {
			t.Skip("a or b has no cell")
		}
		want := r.Comparisons[0].Mirror()
		want.A, want.B = "a", "b"
		alike(t, swapped.Comparisons[0], want)
		if p, q := r.Comparisons[0].P, swapped.Comparisons[0].P; p != q && p.Known() {
			t.Fatalf("p is %v and %v: not the same to the last bit", p, q)
		}
	})
}

// A mirrored mirror is the thing itself, and b's words mirror a's.
func TestMirrorTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := judged(t, cells(t), options(t))
		for _, c := range r.Comparisons {
			alike(t, c.Mirror().Mirror(), c)
			if c.Verdict != Inconclusive && c.Verdict != Equivalent && c.Mirror().Verdict == c.Verdict {
				t.Fatalf("both are %s", c.Verdict)
			}
			if c.Verdict != Equivalent && c.Verdict != Inconclusive && r.Sentence(c) != r.Sentence(c.Mirror()) {
				t.Fatalf("%q, mirrored %q", r.Sentence(c), r.Sentence(c.Mirror()))
			}
		}
	})
}

// The unit means nothing.
func TestScalingChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list, o := cells(t), options(t)
		factor := rapid.SampledFrom([]float64{1e-9, 1. / 3, 60, 1e12}).Draw(t, "factor")
		r, scaled := judged(t, list, o), judged(t, mapped(list, func(c Cell) Cell { c.Value *= factor; return c }), o)
		for i := range r.Comparisons {
			alike(t, scaled.Comparisons[i], r.Comparisons[i])
		}
		for i, target := range r.Targets {
			if scaled.Targets[i].Name != target.Name || scaled.Targets[i].Rank != target.Rank {
				t.Fatalf("%+v, scaled %+v", r.Targets, scaled.Targets)
			}
		}
	})
}

// A figure's reciprocal judged the other way round is the same judgement.
func TestReciprocalsJudgedTheOtherWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list, o := cells(t), options(t)
		o.Better = Higher
		r := judged(t, list, o)
		o.Better = Lower
		upside := judged(t, mapped(list, func(c Cell) Cell { c.Value = 1 / c.Value; return c }), o)
		for i, c := range r.Comparisons {
			want := c
			want.Ratio, want.Low, want.High = 1/c.Ratio, 1/c.High, 1/c.Low
			alike(t, upside.Comparisons[i], want)
		}
		if r.Head() != upside.Head() && len(r.Comparisons) == 1 {
			t.Fatalf("%q, the other way %q", r.Head(), upside.Head())
		}
	})
}

// Which block holds which values, and in which order they come, changes no byte.
func TestPermutingChangesNoByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list, o := cells(t), options(t)
		blocks := 0
		for _, c := range list {
			blocks = max(blocks, number(c.Block))
		}
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 0))
		other := random.Perm(blocks)
		permuted := mapped(list, func(c Cell) Cell { c.Block = fmt.Sprint(other[number(c.Block)-1] + 1); return c })
		random.Shuffle(len(permuted), func(i, j int) { permuted[i], permuted[j] = permuted[j], permuted[i] })
		r, p := judged(t, list, o), judged(t, permuted, o)
		r.Warnings, p.Warnings = nil, nil // these name blocks
		if a, b := bytesOf(t, r), bytesOf(t, p); !bytes.Equal(a, b) {
			t.Fatalf("%s\npermuted\n%s", a, b)
		}
	})
}

func number(block string) (n int) {
	_, _ = fmt.Sscan(block, &n) // tests name blocks 1, 2, 3
	return n
}

// Same input, same bytes.
func TestSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list, o := cells(t), options(t)
		if a, b := bytesOf(t, judged(t, list, o)), bytesOf(t, judged(t, slices.Clone(list), o)); !bytes.Equal(a, b) {
			t.Fatalf("%s\nand then\n%s", a, b)
		}
	})
}

// What every result keeps, whatever the table.
func TestEveryResultHoldsTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := judged(t, cells(t), options(t))
		better, worse := map[string]int{}, map[string]int{}
		for _, c := range r.Comparisons {
			if c.P.Known() && (c.P > c.PHolm || c.PHolm > 1 || c.PSignFlip < c.PSignFlipLeast || c.Low > c.Ratio || c.Ratio > c.High) {
				t.Fatalf("figures out of order: %+v", c)
			}
			if c.Verdict != Inconclusive && c.Blocks < r.FewestBlocks {
				t.Fatalf("%s with %d blocks", c.Verdict, c.Blocks)
			}
			if c.AtLeast.Known() && (c.AtLeast <= 0 || c.Verdict != Better && c.Verdict != Worse) {
				t.Fatalf("claimed: %+v", c)
			}
			switch c.Verdict {
			case Better:
				better[c.A]++
				worse[c.B]++
			case Worse:
				worse[c.A]++
				better[c.B]++
			}
		}
		for _, target := range r.Targets {
			if len(r.Targets)-better[target.Name] != target.Rank[1] || 1+worse[target.Name] != target.Rank[0] || target.Rank[0] > target.Rank[1] || target.Rank[0] < 1 {
				t.Fatalf("%s is better than %d of %d and has ranks %v", target.Name, better[target.Name], len(r.Targets), target.Rank)
			}
		}
	})
}

// A result read back is the result written.
func TestResultSurvivesJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := judged(t, cells(t), options(t))
		data := bytesOf(t, r)
		var back Result
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if again := bytesOf(t, back); !bytes.Equal(again, data) {
			t.Fatalf("%s\nread back\n%s", data, again)
		}
		if back.Head() != r.Head() {
			t.Fatalf("%q, read back %q", r.Head(), back.Head())
		}
	})
}
