package cli_test

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"bakeoff/internal/figures"
	"bakeoff/internal/verdict"
)

// made is a run of seven blocks of two targets: both vary by common from block to block, and their ratio by own around the given one.
func made(t *testing.T, turns string, ratio, common, own float64) benched {
	t.Helper()
	var table verdict.Table
	v := &figures.Verdict{}
	for block := range 7 {
		at := float64(block-3) / 2
		for name, value := range map[string]float64{"a": 1000 * ratio * math.Exp(common*at+own*math.Cos(float64(5*block))), "b": 1000 * math.Exp(common*at)} {
			if err := table.Add(verdict.Cell{Block: strconv.Itoa(block + 1), Target: name, Value: value}); err != nil {
				t.Fatal(err)
			}
			v.Values = append(v.Values, figures.Value{Block: block + 1, Target: name, Value: value})
		}
	}
	var err error
	if v.Result, err = verdict.Judge(&table, verdict.Options{Delta: 0.03}); err != nil {
		t.Fatal(err)
	}
	return benched{turns, &figures.Summary{Verdict: v, Time: figures.Time{WallS: 240, Useful: 0.5}}}
}

// The table of bench-turns says what is promised, and what of it does not hold.
func TestTurnsTable(t *testing.T) {
	for name, c := range map[string]struct {
		common, off, on, shift float64
		missed                 []string
	}{
		"as promised":            {0.2, 0.1, 0.03, 1, nil},
		"wide where it is noisy": {0.2, 0.1, 0.06, 1, []string{"half-widths in turns are 0.60 of those one after another, at most 0.4 is promised"}},
		"wide where it is quiet": {0.02, 0.02, 0.019, 1, nil},
		"wider than off":         {0.02, 0.02, 0.03, 1, []string{"at most 1 is promised"}},
		"another ratio":          {0.2, 0.1, 0.03, 1.4, []string{"further apart", "further apart"}},
	} {
		off, on := made(t, "off", 1.2, c.common, c.off), made(t, "250ms", 1.2*c.shift, c.common, c.on)
		table, missed := turnsTable([]benched{off, on, on, off})
		for _, want := range []string{"| 1 | off |", "| 2 | 250ms |", " +-", "| 50 % |", "Root mean square of the half-widths"} {
			if !strings.Contains(table, want) {
				t.Errorf("%s: no %q in\n%s", name, want, table)
			}
		}
		if len(missed) != len(c.missed) {
			t.Errorf("%s: missed %q, want %q", name, missed, c.missed)
			continue
		}
		for i, want := range c.missed {
			if !strings.Contains(missed[i], want) {
				t.Errorf("%s: missed %q, want %q", name, missed, c.missed)
			}
		}
	}
}
