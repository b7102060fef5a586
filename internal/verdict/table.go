package verdict

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Cell is one figure: of a target in a block.
type Cell struct {
	Block  string
	Target string
	Value  float64 // above 0 and finite
	// Position is where in its block the target ran: 1 for the first, 0 where that is not known or means nothing, as in turns.
	Position int
	Bound    Bound
}

// Table holds the figures to be judged. The zero value is empty and ready. The order in which cells are added means nothing.
type Table struct {
	cells map[string]map[string]Cell // by target, then by block
	seen  map[string]bool            // blocks
}

// Add puts a figure in. It refuses one that has no logarithm, one without a name, and a second one for the same block and target.
func (t *Table) Add(c Cell) error {
	switch {
	case c.Block == "":
		return fmt.Errorf("no block is named")
	case c.Target == "":
		return fmt.Errorf("no target is named")
	case math.IsNaN(c.Value) || math.IsInf(c.Value, 0):
		return fmt.Errorf("value %v is not a number that can be compared", c.Value)
	case c.Value <= 0:
		return fmt.Errorf("value %v is not above 0: ratios are compared", c.Value)
	case c.Position < 0:
		return fmt.Errorf("position %d is below 1", c.Position)
	}
	if _, twice := t.cells[c.Target][c.Block]; twice {
		return fmt.Errorf("block %s has a value of target %s already", c.Block, c.Target)
	}
	t.Expect(c.Block, c.Target)
	t.cells[c.Target][c.Block] = c
	return nil
}

// Expect says that there should be a figure, such as one of a trial that turned out invalid: where none is added
// it counts as missing, and a target without any is still a target.
func (t *Table) Expect(block, target string) {
	if t.cells == nil {
		t.cells, t.seen = map[string]map[string]Cell{}, map[string]bool{}
	}
	if t.cells[target] == nil {
		t.cells[target] = map[string]Cell{}
	}
	t.seen[block] = true
}

// Len is the number of figures.
func (t *Table) Len() int {
	n := 0
	for _, blocks := range t.cells {
		n += len(blocks)
	}
	return n
}

// targets are the names, sorted.
func (t *Table) targets() []string {
	names := make([]string, 0, len(t.cells))
	for name := range t.cells {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// blocks are the names, sorted: as numbers where both are.
func (t *Table) blocks() []string {
	names := make([]string, 0, len(t.seen))
	for name := range t.seen {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		x, errX := strconv.Atoi(a)
		y, errY := strconv.Atoi(b)
		switch {
		case errX == nil && errY == nil && x != y:
			return cmp.Compare(x, y)
		case (errX == nil) != (errY == nil): // numbers first
			return cmp.Compare(btoi(errX != nil), btoi(errY != nil))
		}
		return cmp.Compare(a, b)
	})
	return names
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// logRatios are ln(a/b) in the blocks that have both.
func (t *Table) logRatios(blocks []string, a, b string) []float64 {
	var out []float64
	for _, block := range blocks {
		x, hasX := t.cells[a][block]
		y, hasY := t.cells[b][block]
		if hasX && hasY {
			out = append(out, math.Log(x.Value)-math.Log(y.Value))
		}
	}
	return out
}

// mean is the geometric mean of a target's figures.
func (t *Table) mean(target string) Number {
	var logs []float64
	for _, c := range t.cells[target] {
		logs = append(logs, math.Log(c.Value))
	}
	if len(logs) == 0 {
		return unknown
	}
	return exp(sum(logs) / float64(len(logs)))
}
