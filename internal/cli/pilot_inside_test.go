package cli

import (
	"math"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// pilotRun are the figures of a pilot of four blocks in which the ratio spreads, and its plan.
func pilotRun(t *testing.T, spread float64) (whole, pilot *plan.Plan, s *figures.Summary) {
	t.Helper()
	whole, err := plan.Load("p.yaml", []byte("name: demo\nblocks: 9\ntargets: [flask, fastapi]\nwarmup: 1s\n"+
		"phases: [{name: closed, model: closed, connections: 32, duration: 20s}, {name: open, model: open, rate: 100, duration: 10s}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	pilot = whole.Pilots()
	r := recordtest.Of(pilot.Blocks, "flask", "fastapi")
	r.ClosedS, r.OpenS, r.Head.Wall = 4, 0, 140
	r.Rate = func(target string, block int) int {
		if target == "flask" {
			return 1000
		}
		return 2 * int(600*math.Exp(spread*[]float64{1, -1, 1, -1}[block-1]))
	}
	reader, err := record.Open(r.Write(t))
	if err != nil {
		t.Fatal(err)
	}
	if s, err = figures.Build(reader); err != nil {
		t.Fatal(err)
	}
	return whole, pilot, s
}

// The plan of a pilot is four blocks of the primary phase alone.
func TestPilotPlan(t *testing.T) {
	whole, pilot, _ := pilotRun(t, 0.05)
	if pilot.Blocks != 4 || len(pilot.Phases) != 1 || pilot.Phases[0].Duration != plan.Duration(4*time.Second) || whole.Phases[0].Duration != plan.Duration(20*time.Second) {
		t.Errorf("%+v of %+v", pilot, whole)
	}
}

// What a pilot costs in addition to its load is taken from its run: the pilot plan itself would take as long as it took.
func TestCostsOfAPilot(t *testing.T) {
	_, pilot, s := pilotRun(t, 0.05)
	costs := costsOf(pilot, s, plan.Overhead{Phase: 100 * time.Millisecond})
	if got := pilot.Expected(costs); (got - 140*time.Second).Abs() > time.Second {
		t.Errorf("%v with %+v, it took 140 s", got, costs)
	}
}

// The pilot says how the ratio spreads, and of more blocks that they show more and take longer.
func TestPrintPilot(t *testing.T) {
	for _, c := range []struct {
		spread float64
		says   []string
	}{
		// sd = spread x sqrt(4/3), its bound 1.7277 times that
		{0.02, []string{"fastapi/flask", "2.3 %", "4.1 %"}},
		{0.1, []string{"12.3 %", "22.3 %"}},
	} {
		whole, pilot, s := pilotRun(t, c.spread)
		var b strings.Builder
		if err := printPilot(&b, whole, pilot, s, plan.Overhead{Phase: 100 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if first, last := strings.Fields(lines[len(lines)-15]), strings.Fields(lines[len(lines)-1]); first[0] != "6" || last[0] != "20" {
			t.Errorf("rows from %v to %v:\n%s", first, last, b.String())
		}
		for _, text := range c.says {
			if !strings.Contains(b.String(), text) {
				t.Errorf("%q is missing:\n%s", text, b.String())
			}
		}
	}
}
