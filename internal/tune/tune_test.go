package tune

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"bakeoff/internal/verdict"
)

// blocks are figures of settings in one stage; a block may make all of them slower by any amount.
func blocks(stage int, speed []float64, of map[string]float64) (out []Value) {
	for i, slower := range speed {
		for _, name := range []string{"a", "b", "c", "d"} {
			if v, in := of[name]; in {
				out = append(out, Value{stage, i + 1, name, v * slower})
			}
		}
	}
	return out
}

// What a block does to all settings in it says nothing about them, and later stages count with the earlier ones.
func TestRank(t *testing.T) {
	first := blocks(1, []float64{1, 0.2, 5}, map[string]float64{"a": 90, "b": 100, "c": 120, "d": 110})
	if got := Rank(first, []string{"a", "b", "c", "d"}, verdict.Higher); !slices.Equal(got, []string{"c", "d", "b", "a"}) {
		t.Errorf("higher is better: %v", got)
	}
	if got := Rank(first, []string{"a", "b", "c", "d"}, verdict.Lower); !slices.Equal(got, []string{"a", "b", "d", "c"}) {
		t.Errorf("lower is better: %v", got)
	}
	second := blocks(2, []float64{1, 1, 1, 1, 1, 1}, map[string]float64{"c": 100, "d": 104})
	if got := Rank(slices.Concat(first, second), []string{"c", "d"}, verdict.Higher); !slices.Equal(got, []string{"c", "d"}) {
		t.Errorf("3 blocks of +9 %% against 6 of -4 %%: %v", got)
	}
	second = blocks(2, []float64{1, 1, 1, 1, 1, 1}, map[string]float64{"c": 100, "d": 106})
	if got := Rank(slices.Concat(first, second), []string{"c", "d"}, verdict.Higher); !slices.Equal(got, []string{"d", "c"}) {
		t.Errorf("3 blocks of +9 %% against 6 of -6 %%: %v", got)
	}
}

// A setting that lacks a block is compared in the others alone: it is not better because it missed the slow one. One without any
// figure comes last.
func TestRankMissing(t *testing.T) {
	values := blocks(1, []float64{1, 0.1}, map[string]float64{"a": 100, "b": 99})
	values = slices.DeleteFunc(values, func(v Value) bool { return v.Setting == "b" && v.Block == 2 })
	if got := Rank(values, []string{"d", "b", "a"}, verdict.Higher); !slices.Equal(got, []string{"a", "b", "d"}) {
		t.Error(got)
	}
	// a is 10 % ahead of b in one block, and 2 % behind c in nine: a pair counts once, however many blocks it has.
	apart := slices.Concat(blocks(1, []float64{1, 1, 1, 1, 1, 1, 1, 1, 1}, map[string]float64{"a": 98, "c": 100}), blocks(2, []float64{1}, map[string]float64{"a": 110, "b": 100}))
	if got := Rank(apart, []string{"b", "c", "a"}, verdict.Higher); !slices.Equal(got, []string{"a", "c", "b"}) {
		t.Errorf("pairs with different numbers of blocks: %v", got)
	}
	if got := Rank(nil, []string{"b", "a"}, verdict.Higher); !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("without figures the order stays: %v", got)
	}
}

// Ratios are to the best within its blocks, whatever the blocks did to both.
func TestCompare(t *testing.T) {
	values := blocks(1, []float64{1, 3, 0.5}, map[string]float64{"a": 80, "b": 100, "c": 90})
	values = slices.Concat(values, blocks(2, []float64{2, 1}, map[string]float64{"b": 100, "c": 90}))
	got := Compare(values, []string{"b", "c", "a", "d"})
	for i, want := range []struct {
		name           string
		ratio          float64
		blocks, stages int
	}{{"b", 1, 5, 2}, {"c", 0.9, 5, 2}, {"a", 0.8, 3, 1}, {"d", math.NaN(), 0, 0}} {
		one := got[i]
		same := math.Abs(float64(one.Ratio.Value)-want.ratio) < 1e-9 || math.IsNaN(want.ratio) && !one.Ratio.Value.Known()
		if one.Name != want.name || !same || one.Blocks != want.blocks || one.Stages != want.stages {
			t.Errorf("%+v, want %+v", one, want)
		}
	}
	if a := got[2].Figure; math.Abs(float64(a.Value)-80*math.Cbrt(1.5)) > 1e-9 || !(a.Low < a.Value && a.Value < a.High) {
		t.Errorf("%+v", a)
	}
	if level := got[1].Ratio.Level; math.Abs(float64(level)-(1-0.05/3)) > 1e-12 {
		t.Errorf("each of three ratios has the level %v", level)
	}
	text, err := json.Marshal(got[3])
	if err != nil || !strings.Contains(string(text), `"value":null`) {
		t.Errorf("%s, %v", text, err)
	}
}

// Intervals of ratios that were chosen by nothing hold the truth together in at least 93 of 100 simulated searches.
func TestCompareCovers(t *testing.T) {
	held := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		var values []Value
		truth := map[string]float64{"a": 100, "b": 97, "c": 95, "d": 80}
		for block := range 5 {
			slower := math.Exp(r.NormFloat64())
			for _, name := range []string{"a", "b", "c", "d"} {
				values = append(values, Value{1, block + 1, name, truth[name] * slower * math.Exp(0.02*r.NormFloat64())})
			}
		}
		all := true
		for _, s := range Compare(values, []string{"a", "b", "c", "d"})[1:] {
			true100 := verdict.Number(truth[s.Name] / 100)
			all = all && s.Ratio.Low <= true100 && true100 <= s.Ratio.High
		}
		if all {
			held++
		}
	}
	if held < 372 {
		t.Errorf("%d of 400", held)
	}
}
