package verdict

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/gonum/stat/distuv"
)

// positionAlpha is the p below which a reader is warned of positions. It decides nothing.
const positionAlpha = 0.01

// Positions says whether it matters in which place of its block a target ran.
type Positions struct {
	Effects []Number `json:"effects"` // of position 1, 2, ...: its figures as a ratio to the geometric mean over all positions
	P       Number   `json:"p"`       // of the F test against no effect of any position
}

// sighting is a figure whose position is known.
type sighting struct {
	block, target, position int
	log                     float64
}

// positions estimates the effect of the position by least squares: ln(value) = block + target + position + noise, with the
// F test that compares this with a fit without positions. It is nil where positions are not known, or cannot be separated
// from targets, as when a target is always first.
func (t *Table) positions(blocks, names []string) *Positions {
	seen, last := t.sightings(blocks, names)
	parameters := len(distinct(seen, func(s sighting) int { return s.block })) + len(distinct(seen, func(s sighting) int { return s.target })) - 1
	df := len(seen) - parameters - (last - 1)
	if last < 2 || len(distinct(seen, func(s sighting) int { return s.position })) < last || df < 1 {
		return nil
	}
	y := swept(seen, func(s sighting) float64 { return s.log })
	columns := make([][]float64, last-1)
	for p := range columns {
		columns[p] = swept(seen, func(s sighting) float64 { return float64(btoi(s.position == p+1)) })
	}
	effects, ok := leastSquares(columns, y)
	if !ok {
		return nil
	}
	without, with := dot(y, y), 0.0
	for p, x := range columns {
		for i := range y {
			y[i] -= effects[p] * x[i]
		}
	}
	if with = dot(y, y) / float64(df); with < resolution*resolution {
		return nil // no noise: nothing to compare an effect with
	}
	f := (without/with - float64(df)) / float64(last-1)
	return &Positions{
		Effects: centred(append(effects, 0)),
		P:       Number(distuv.F{D1: float64(last - 1), D2: float64(df)}.Survival(max(f, 0))),
	}
}

// sightings are the figures with a position, and the last position.
func (t *Table) sightings(blocks, names []string) (seen []sighting, last int) {
	for b, block := range blocks {
		for n, name := range names {
			if c, has := t.cells[name][block]; has && c.Position > 0 {
				seen = append(seen, sighting{b, n, c.Position, math.Log(c.Value)})
				last = max(last, c.Position)
			}
		}
	}
	return seen, last
}

func distinct(seen []sighting, of func(sighting) int) map[int][]int {
	out := map[int][]int{}
	for i, s := range seen {
		out[of(s)] = append(out[of(s)], i)
	}
	return out
}

// swept is a column without what blocks and targets explain of it: their means are taken off in turn until nothing is left.
func swept(seen []sighting, of func(sighting) float64) []float64 {
	const rounds = 500 // where every block has every target one is enough
	out := make([]float64, len(seen))
	for i, s := range seen {
		out[i] = of(s)
	}
	groups := []map[int][]int{
		distinct(seen, func(s sighting) int { return s.block }), distinct(seen, func(s sighting) int { return s.target }),
	}
	for range rounds {
		moved := 0.0
		for _, group := range groups {
			for _, members := range group {
				moved = max(moved, math.Abs(takeMean(out, members)))
			}
		}
		if moved < 1e-14 {
			break
		}
	}
	return out
}

// takeMean takes the mean of some members off them.
func takeMean(column []float64, members []int) float64 {
	values := make([]float64, len(members))
	for i, m := range members {
		values[i] = column[m]
	}
	mean := sum(values) / float64(len(values))
	for _, m := range members {
		column[m] -= mean
	}
	return mean
}

// leastSquares solves the normal equations of y = sum of b times columns by elimination; not where columns depend on each other.
func leastSquares(columns [][]float64, y []float64) (b []float64, ok bool) {
	n := len(columns)
	rows := make([][]float64, n)
	for i, x := range columns {
		for _, z := range columns {
			rows[i] = append(rows[i], dot(x, z))
		}
		rows[i] = append(rows[i], dot(x, y))
	}
	for i := range rows {
		pivot := i
		for j := i + 1; j < n; j++ {
			if math.Abs(rows[j][i]) > math.Abs(rows[pivot][i]) {
				pivot = j
			}
		}
		rows[i], rows[pivot] = rows[pivot], rows[i]
		if math.Abs(rows[i][i]) < 1e-9 {
			return nil, false
		}
		for j := range rows {
			if factor := rows[j][i] / rows[i][i]; j != i {
				for c := i; c <= n; c++ {
					rows[j][c] -= factor * rows[i][c]
				}
			}
		}
	}
	for i := range rows {
		b = append(b, rows[i][n]/rows[i][i])
	}
	return b, true
}

// dot does not depend on the order of the places.
func dot(x, y []float64) float64 {
	products := make([]float64, len(x))
	for i := range x {
		products[i] = x[i] * y[i]
	}
	return sum(products)
}

// centred turns effects on logarithms into ratios whose geometric mean is 1.
func centred(logs []float64) []Number {
	mean := sum(logs) / float64(len(logs))
	out := make([]Number, len(logs))
	for i, v := range logs {
		out[i] = exp(v - mean)
	}
	return out
}

// Words says what each position was worth: "1st 0.8 % above the mean of all positions, 2nd 0.1 % below, ... (p = 0.42)".
func (p Positions) Words() string {
	var parts []string
	for i, e := range p.Effects {
		side := "above"
		if e < 1 {
			side = "below"
		}
		parts = append(parts, fmt.Sprintf("%s %s %s", ordinal(i+1), percent(math.Abs(math.Expm1(math.Log(float64(e))))), side))
	}
	return fmt.Sprintf("position in the block, against the mean of all: %s (p = %s)", strings.Join(parts, ", "), pValue(p.P))
}

// pValue is p to two digits, or that it is below 0.0001.
func pValue(p Number) string {
	if p < 0.0001 {
		return "less than 0.0001"
	}
	return fmt.Sprintf("%.2g", float64(p))
}

func ordinal(n int) string {
	switch {
	case n%100/10 == 1:
		return fmt.Sprintf("%dth", n)
	case n%10 == 1:
		return fmt.Sprintf("%dst", n)
	case n%10 == 2:
		return fmt.Sprintf("%dnd", n)
	case n%10 == 3:
		return fmt.Sprintf("%drd", n)
	}
	return fmt.Sprintf("%dth", n)
}
