package controller

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
)

// Rates are whole from 100 on, have two digits after the point below, and are rounded down.
func TestRateOf(t *testing.T) {
	for _, c := range []struct{ share, throughput, want float64 }{
		{0.5, 1001, 500}, {0.5, 200.99, 100}, {0.5, 200, 100}, {0.5, 199.99, 99.99}, {0.6, 1.3, 0.78}, {1, 0.019, 0.01},
	} {
		if got := rateOf(c.share, c.throughput); got != c.want {
			t.Errorf("%v of %v/s is %v/s, want %v", c.share, c.throughput, got, c.want)
		}
	}
}

// The warm-up has the engine of the first phase, the pilot connections and engine of the first closed one.
func TestWhatAPhaseHas(t *testing.T) {
	open := plan.Phase{Name: "a", Model: load.Open, Rate: 50, Connections: 3, Engine: "http"}
	closed := plan.Phase{Name: "b", Model: load.Closed, Connections: 5, Lookups: "server"}
	p := &plan.Plan{Agents: plan.Agents{Engine: "native"}, Dataset: plan.Dataset{Lookups: "client"}, Phases: []plan.Phase{open, closed}}
	p.Pilot = plan.Duration(time.Second)
	r := &run{o: &Options{Plan: p}, pilot: &record.Pilot{}}
	for number, want := range map[int][2]string{warmupPhase: {"http", "client"}, 1: {"http", "client"}, 2: {"native", "server"}, pilotPhase: {"native", "client"}} {
		phase := load.Phase{Number: number}
		if got := [2]string{r.engineOf(phase), lookupsOf(p, phase)}; got != want {
			t.Errorf("phase %d: engine and lookups %v, want %v", number, got, want)
		}
	}
	if all := r.phasesOf(0); len(all) != 1 || all[0].Number != pilotPhase || all[0].Connections != 5 || all[0].Duration != time.Second {
		t.Errorf("without a warm-up the pilot has %+v", all)
	}
	if all := r.phasesOf(1); len(all) != 2 || all[0].Number != 1 || all[1].Number != 2 || all[1].Name != "b" {
		t.Errorf("without a warm-up a block has %+v", all)
	}
	p.Warmup = plan.FixedWarmup(plan.Duration(time.Second))
	if all := r.phasesOf(1); len(all) != 3 || all[0].Number != warmupPhase || all[0].Connections != 3 || all[0].Duration != time.Second {
		t.Errorf("a block has %+v", all)
	}
	p.Phases = p.Phases[:1]
	if got := r.pilotOf().Name; got != "a" {
		t.Errorf("without a closed phase the pilot is like %s", got)
	}
}

// A target that has no throughput after the pilot is measured all the same, unless a rate is a share of what it finds.
func TestThePilotFindsNothing(t *testing.T) {
	share := "phases: [{name: open, model: open, rate_of_pilot: 0.5, connections: 32, duration: 10s}]\n"
	for name, c := range map[string]struct {
		bad     []string
		phases  string
		slowest string
		words   []string
	}{
		"of one":                         {[]string{"flask"}, closedOnly, "fastapi", nil},
		"of one, and a rate needs it":    {[]string{"flask"}, share, "fastapi", nil},
		"of none":                        {[]string{"flask", "fastapi"}, closedOnly, "", nil},
		"of none, but a rate depends on": {[]string{"flask", "fastapi"}, share, "", []string{"the pilot found no throughput of any target, but a rate of the plan is a share of it"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				for _, target := range c.bad {
					w.script[target] = []act{{fails: before}, {fails: before}, {fails: before}}
				}
				dir, _ := conducted(t, w.options(t, "blocks: 2\npilot: 10s\n"+twoTargets+c.phases), c.words...)
				said := map[string]int{}
				for _, e := range w.events {
					said[e.Text]++
				}
				for _, target := range []string{"flask", "fastapi"} {
					bad := strings.Contains(strings.Join(c.bad, " "), target)
					if n := said["the pilot found no throughput of "+target+": every attempt was invalid"]; (n == 1) != bad || n > 1 {
						t.Errorf("%s: said %d times that nothing was found", target, n)
					}
				}
				slowest := ""
				if pilot := runOf(t, dir).Pilot; pilot != nil {
					slowest = pilot.Slowest
				}
				if slowest != c.slowest || said["pilot: the slowest target is "+c.slowest+" with 100/s"] != map[bool]int{true: 1}[c.slowest != ""] {
					t.Errorf("slowest %q, want %q", slowest, c.slowest)
				}
			})
		})
	}
}

// In turns a rate that the pilot makes tiny refuses all targets of the block together, before any slice of that phase.
func TestTooFewArrivalsInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["flask"] = []act{{phase: func(p *phaseFaked) {
			if p.task.Phase.Number == pilotPhase {
				p.books.Planned, p.books.Sent, p.books.OK, p.reads, p.requests = 13, 13, 13, 13, 13
			}
		}}}
		dir, _ := conducted(t, w.options(t, "blocks: 1\npilot: 10s\nturns: 250ms\n"+twoTargets+
			"phases: [{model: closed, connections: 32, duration: 10s}, {model: open, rate_of_pilot: 0.6, connections: 32, duration: 10s}]\n"),
			"fastapi has none in 1 of 1 block", "flask has none in 1 of 1 block")
		wantList(t, "trials", attemptsOf(t, dir), "1 fastapi", "1 fastapi too-few-arrivals", "1 flask", "1 flask too-few-arrivals")
		if closed, open := len(w.happened("turn fastapi closed")), len(w.happened("turn fastapi open")); closed == 0 || open > 0 {
			t.Errorf("%d slices of the closed phase, %d of the open one", closed, open)
		}
	})
}
