package verdict

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// placed are the golden figures with the positions of another table; a missing cell is left out.
func placed(t *testing.T, blocks int) Result {
	t.Helper()
	positions := map[string][]int{"a": {1, 3, 2, 3, 1, 2, 1}, "b": {2, 1, 3, 2, 3, 1, 2}, "c": {3, 2, 1, 1, 2, 3, 0}}
	var table Table
	for name, values := range golden {
		for i, v := range values[:blocks] {
			if positions[name][i] == 0 {
				continue
			}
			if err := table.Add(Cell{Block: strconv.Itoa(i + 1), Target: name, Value: v, Position: positions[name][i]}); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := Judge(&table, Options{Delta: 0.03})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPositionsAsInR(t *testing.T) {
	// d has the columns block, target, value, position, the first, second and last as factors; blocks 1 to 6, then all 7, where c has no value in block 7
	// m <- lm(log(value) ~ block + target + position, d); m0 <- lm(log(value) ~ block + target, d)
	// anova(m0, m)$"Pr(>F)"[2]; b <- c(0, coef(m)[c("position2", "position3")]); exp(b - mean(b))
	for blocks, want := range map[int][]float64{
		6: {0.0746369955297688, 1.001070064262642, 1.008503533968820, 0.990508258924767},
		7: {0.112527609560733, 1.002877897706611, 1.006685559496315, 0.990508258924767},
	} {
		p := placed(t, blocks).Positions
		if p == nil || len(p.Effects) != 3 {
			t.Fatalf("%d blocks: %+v", blocks, p)
		}
		near(t, "p", float64(p.P), want[0])
		for i, e := range p.Effects {
			near(t, "effect", float64(e), want[i+1])
		}
	}
}

// Where positions cannot be separated from targets, or are not known, nothing is said of them.
func TestPositionsThatCannotBeSeparated(t *testing.T) {
	for name, position := range map[string]func(block, target int) int{
		"always the same order": func(_, target int) int { return target + 1 },
		"not known":             func(_, _ int) int { return 0 },
		"one position":          func(_, _ int) int { return 1 },
		"a position never seen": func(block, target int) int { return 1 + 2*((block+target)%2) },
	} {
		var table Table
		for block, v := range golden["a"] {
			for target, factor := range []float64{1, 1.1} {
				noise := 1 + 0.01*math.Sin(float64(7*block+target))
				c := Cell{Block: strconv.Itoa(block), Target: string(rune('a' + target)), Value: v * factor * noise, Position: position(block, target)}
				if err := table.Add(c); err != nil {
					t.Fatal(err)
				}
			}
		}
		r, err := Judge(&table, Options{Delta: 0.03})
		if err != nil || r.Positions != nil {
			t.Errorf("%s: %v, %+v", name, err, r.Positions)
		}
	}
}

// An effect of the position is found where there is one, and seldom elsewhere; as positions are balanced it makes nobody better.
func TestPositionsSimulated(t *testing.T) {
	for _, c := range []struct {
		first           float64 // what the first position's figures are multiplied by
		atLeast, atMost int     // warnings in 500
	}{{1, 0, 13}, {0.95, 475, 500}} {
		random := rand.New(rand.NewPCG(13, 0))
		warned, better, wrongSide := 0, 0, 0
		for range 500 {
			var table Table
			for block := range 9 {
				for i := range 3 {
					position := (i+block)%3 + 1
					v := 100 * math.Exp(0.02*random.NormFloat64())
					if position == 1 {
						v *= c.first
					}
					if err := table.Add(Cell{Block: strconv.Itoa(block), Target: string(rune('a' + i)), Value: v, Position: position}); err != nil {
						t.Fatal(err)
					}
				}
			}
			r, err := Judge(&table, Options{Delta: delta})
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(codes(r), WarnPosition) {
				warned++
			}
			if r.Positions.Effects[0] > 1 {
				wrongSide++
			}
			if anyOf(Better, Worse)(r) {
				better++
			}
		}
		t.Logf("first position times %v: warned in %d of 500, above 1 in %d, any better in %d", c.first, warned, wrongSide, better)
		if warned < c.atLeast || warned > c.atMost || better > 37 || c.first < 1 && wrongSide > 0 {
			t.Errorf("first position times %v: warned in %d of 500 (must be %d to %d), effect above 1 in %d, any better in %d",
				c.first, warned, c.atLeast, c.atMost, wrongSide, better)
		}
	}
}

func TestPositionWords(t *testing.T) {
	p := Positions{Effects: []Number{0.979, 1.002, 1.0194}, P: 0.0321}
	if got, want := p.Words(), "position in the block, against the mean of all: 1st 2.1 % below, 2nd 0.2 % above, 3rd 1.9 % above (p = 0.032)"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	var names []string
	for _, n := range []int{1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 30, 111} {
		names = append(names, ordinal(n))
	}
	if got := strings.Join(names, " "); got != "1st 2nd 3rd 4th 11th 12th 13th 21st 22nd 23rd 30th 111th" {
		t.Error(got)
	}
	if got := pValue(1e-7); got != "less than 0.0001" {
		t.Error(got)
	}
}
