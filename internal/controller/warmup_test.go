package controller

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// Whole runs whose warm-ups end when they are steady, in virtual time.

// warming has a target answer in its warm-up as a level of each window says, the logarithm of a rate around 100,000/s.
func warming(level func(i int, rng *rand.Rand) float64) act {
	i, rng := 0, rand.New(rand.NewPCG(1, 2))
	return act{phase: func(p *phaseFaked) {
		if p.task.Phase.Number != warmupPhase {
			return
		}
		p.answers = func(counted time.Duration, parts int) int64 {
			i++
			return int64(100_000 * counted.Seconds() / float64(parts) * math.Exp(level(i-1, rng)))
		}
	}}
}

// quiet is noise of 2 %, and what comes over it.
func quiet(over func(i int) float64) act {
	return warming(func(i int, rng *rand.Rand) float64 { return over(i) + 0.02*rng.NormFloat64() })
}

func level(int) float64 { return 0 }

const untilSteady = "warmup: 3s to 12s\n" // 30 windows of 95 ms at least, 120 at most; in turns 36 of 67 ms, and 144

// A target alone is warmed up until it is steady, and at most as long as the plan says; then the run goes on.
func TestWarmupEndsWhenSteady(t *testing.T) {
	for name, c := range map[string]struct {
		act         act
		least, most float64 // seconds of the warm-up
		state       string
		warning     string
	}{
		"steady": {quiet(level), 3, 3, "steady", ""},
		"gets faster for 5 s": {
			quiet(func(i int) float64 { return -0.01 * float64(max(0, 50-i)) }), 6, 9, "steady", "",
		},
		"a step after 2 s": {quiet(func(i int) float64 { return map[bool]float64{true: 0.1}[i >= 20] }), 5, 7, "steady", ""},
		"stands still for a second": {
			quiet(func(i int) float64 { return map[bool]float64{true: math.Inf(-1)}[i >= 20 && i < 31] }), 7, 9, "steady", "",
		},
		"goes up and down": {
			quiet(func(i int) float64 { return 0.2*float64(i%10)/9 - 0.1 }), 12, 12, "no steady state",
			"phase warmup: no steady state in its last 20 windows: a longer warm-up is needed",
		},
		"a rented machine": {
			warming(func(_ int, rng *rand.Rand) float64 { return 0.3 * rng.NormFloat64() }), 12, 12,
			"a trend could not be distinguished from noise", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.script["flask"] = []act{c.act}
				dir, _ := conducted(t, w.options(t, "blocks: 1\ntargets: [flask]\n"+untilSteady+closedOnly))
				w.wantNoMistake(t)
				wantList(t, "trials", trialsOf(t, dir), "1-1-flask valid")
				rec := trialRecord(t, dir, 1, "flask")
				p := rec.Phases[0]
				if p.DurationS < c.least-0.01 || p.DurationS > c.most+0.01 || p.Settling == nil || *p.Settling != (record.Settling{LeastS: 3, MostS: 12, State: c.state}) {
					t.Errorf("a warm-up of %v s, want %v to %v: %+v", p.DurationS, c.least, c.most, p.Settling)
				}
				var warnings []string
				for _, warning := range rec.Warnings {
					warnings = append(warnings, warning.Text)
				}
				if strings.Join(warnings, "\n") != c.warning {
					t.Errorf("warnings %q, want %q", warnings, c.warning)
				}
				if len(rec.Phases) != 2 || rec.Phases[1].DurationS != 10 || rec.Phases[1].Settling != nil {
					t.Errorf("%+v", rec.Phases)
				}
				if note := "warm-ups that end when steady: 1 " + c.state; !slices.Contains(runOf(t, dir).Notes, note) {
					t.Errorf("no note %q in %q", note, runOf(t, dir).Notes)
				}
			})
		})
	}
}

// In turns all targets of a block are warmed up until the last of them is steady, equally long.
func TestWarmupInTurnsWaitsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["flask"] = []act{quiet(level), quiet(level)}
		w.script["fastapi"] = []act{quiet(func(i int) float64 { return -0.01 * float64(max(0, 50-i)) }), quiet(level)}
		w.script["go-nethttp"] = []act{quiet(level), quiet(level)}
		dir, _ := conducted(t, w.options(t, "blocks: 2\ntargets: [flask, fastapi, go-nethttp]\nturns: 250ms\n"+untilSteady+closedOnly))
		w.wantNoMistake(t)
		long := map[int]float64{}
		for _, name := range []string{"flask", "fastapi", "go-nethttp"} {
			for block := range 2 {
				p := trialRecord(t, dir, block+1, name).Phases[0]
				if p.Settling == nil || p.Settling.State != "steady" || !p.Turns.Frozen {
					t.Errorf("block %d, %s: %+v %+v", block+1, name, p.Settling, p.Turns)
				}
				if long[block] == 0 {
					long[block] = p.DurationS
				}
				if math.Abs(p.DurationS-long[block]) > 0.01 || math.Abs(float64(p.Turns.Slices)*p.Turns.SliceS-p.DurationS) > 0.01 {
					t.Errorf("block %d, %s: %v s in %d slices, others %v s", block+1, name, p.DurationS, p.Turns.Slices, long[block])
				}
			}
		}
		if long[0] < 6 || long[0] > 9 || long[1] < 3 || long[1] > 5 {
			t.Errorf("warm-ups of %v s", long)
		}
		if note := "warm-ups that end when steady: 6 steady"; !slices.Contains(runOf(t, dir).Notes, note) {
			t.Errorf("notes %q", runOf(t, dir).Notes)
		}
	})
}

// A warm-up that ended steady excuses no step in the phase that follows: that is judged on its own windows.
func TestPhaseIsJudgedOnItsOwnWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		good := quiet(level)
		slices := 0
		w.script["flask"] = []act{{phase: func(p *phaseFaked) {
			if good.phase(p); p.task.Phase.Number != warmupPhase {
				if slices++; slices > 20 {
					n := 2 * p.books.OK
					p.books, p.reads, p.requests = stats.Books{Planned: n, Sent: n, OK: n}, n, n
				}
			}
		}}}
		w.script["fastapi"] = []act{quiet(level)}
		dir, _ := conducted(t, w.options(t, "blocks: 1\nturns: 250ms\ntargets: [flask, fastapi]\n"+untilSteady+closedOnly))
		wantList(t, "trials", attemptsOf(t, dir), "1 fastapi block", "1 flask not-steady", "2 fastapi", "2 flask")
	})
}

// A short run warms up for a fixed time.
func TestShortWarmupIsFixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := w.options(t, "blocks: 1\n"+"targets: [flask]\n"+untilSteady+closedOnly)
		o.Plan, o.Short = o.Plan.Short(), true
		dir, _ := conducted(t, o)
		p := trialRecord(t, dir, 1, "flask").Phases[0]
		if p.Settling != nil || p.DurationS != 1 || p.Turns != nil || !runOf(t, dir).Short {
			t.Errorf("%+v", p)
		}
	})
}

// Short windows with too much noise are joined to longer ones: such a warm-up ends later, and before its maximum.
func TestNoisyWarmupEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["flask"] = []act{warming(func(_ int, rng *rand.Rand) float64 { return 0.08 * rng.NormFloat64() })}
		dir, _ := conducted(t, w.options(t, "blocks: 1\ntargets: [flask]\nwarmup: 3s to 60s\n"+closedOnly))
		p := trialRecord(t, dir, 1, "flask").Phases[0]
		if p.Settling == nil || p.Settling.State != "steady" || p.DurationS < 9 || p.DurationS > 30 {
			t.Errorf("a warm-up of %v s, want 9 to 30: %+v", p.DurationS, p.Settling)
		}
	})
}

// A slice is cut into as many windows as the end of a warm-up needs in its least length, where answers come fast enough.
func TestWindowsOfWarmup(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		bounds      string
		turns       string
		connections int
		median      time.Duration
		n, parts    int
		length      time.Duration
	}{
		{"3s to 12s", "250ms", 32, 0, 48, 3, 250 * ms},
		{"3s to 12s", "off", 32, 0, 12, 10, 1000 * ms},
		{"500ms to 1s", "250ms", 32, 5 * ms, 4, 15, 250 * ms},
		{"500ms to 1s", "250ms", 32, 20 * ms, 4, 15, 250 * ms}, // 13.3 ms each
		{"500ms to 1s", "250ms", 16, 20 * ms, 4, 8, 250 * ms},  // 25 ms each
		{"500ms to 1s", "250ms", 2, 20 * ms, 4, 1, 250 * ms},
		{"2s to 8s", "250ms", 1000, 400 * ms, 2, 60, 4000 * ms}, // 800 ms of each slice are aside
	} {
		synctest.Test(t, func(t *testing.T) {
			o := newWorld().options(t, "targets: [flask]\nturns: "+c.turns+"\nwarmup: "+c.bounds+"\nphases: [{model: closed, connections: "+fmt.Sprint(c.connections)+", duration: 9s}]\n")
			r := &run{o: &o, pilot: &record.Pilot{MedianNS: map[string]int64{"flask": int64(c.median)}}}
			phase := r.phasesOf(1)[0]
			n, length, runIn := r.pace(phase)
			if got := r.parts(phase, length, runIn); n != c.n || length != c.length || got != c.parts {
				t.Errorf("%+v: %d slices of %v, %d windows in each", c, n, length, got)
			}
			if got := r.parts(r.phasesOf(1)[1], length, runIn); got != 0 {
				t.Errorf("%+v: a measured phase has %d windows in a slice", c, got)
			}
		})
	}
}

// How fast a target answers is taken from the pilot's measured phase, not from its cold warm-up.
func TestMediansAreThoseOfTheWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		cold := quiet(level)
		w.script["flask"] = []act{{phase: func(p *phaseFaked) {
			cold.phase(p)
			p.took = map[bool]time.Duration{true: 80 * time.Millisecond, false: 5 * time.Millisecond}[p.task.Phase.Number == warmupPhase]
		}}}
		dir, _ := conducted(t, w.options(t, "blocks: 1\npilot: 5s\ntargets: [flask]\n"+untilSteady+closedOnly))
		if got := time.Duration(runOf(t, dir).Pilot.MedianNS["flask"]); got < 4*time.Millisecond || got > 6*time.Millisecond {
			t.Errorf("a median of %v is kept", got)
		}
	})
}

// hoarding are agents that hand times on with the last slice of a phase alone, as far as they know which that is.
type hoarding struct{ *loading }

func (l *hoarding) Turns(ctx context.Context, tasks []fleet.Task, sink func(int, fleet.Snapshot)) (Turns, error) {
	h := &hoard{kept: make([]*stats.Histogram, len(tasks))}
	for i := range h.kept {
		h.kept[i] = stats.NewHistogram()
	}
	under, err := l.loading.Turns(ctx, tasks, func(i int, s fleet.Snapshot) {
		h.kept[i].Merge(s.Window.Service)
		s.Window.Service = stats.NewHistogram()
		if s.Window.End() >= h.slice.Until-load.SliceRest {
			s.Window.Service, h.kept[i] = h.kept[i], stats.NewHistogram()
		}
		sink(i, s)
	})
	h.Turns = under
	return h, err
}

// hoard is a phase of such agents.
type hoard struct {
	Turns
	slice fleet.Slice        // under way
	kept  []*stats.Histogram // by task
}

func (h *hoard) Slice(ctx context.Context, i int, s fleet.Slice) (fleet.Sliced, error) {
	h.slice = s
	return h.Turns.Slice(ctx, i, s)
}

// A warm-up that ends before its maximum has the times of all its answers: without them it would be refused by Little's law.
func TestWarmupHasItsTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["flask"], w.script["fastapi"] = []act{quiet(level)}, []act{quiet(level)}
		o := w.options(t, "blocks: 1\ntargets: [flask, fastapi]\nturns: 250ms\n"+untilSteady+closedOnly)
		o.Load = func(context.Context, string, func(string)) (Loader, error) { return &hoarding{&loading{w}}, nil }
		dir, _ := conducted(t, o)
		wantList(t, "trials", attemptsOf(t, dir), "1 fastapi", "1 flask")
		for _, state := range openRecord(t, dir).Trials() {
			trial, err := state.Trial()
			if err != nil {
				t.Fatal(err)
			}
			for _, phase := range trial.Phases {
				sum, err := totalsOf(state, phase)
				if err != nil || sum.Books.OK == 0 || sum.Service.Count() != sum.Books.OK || phase.Warmup && phase.DurationS > 11 {
					t.Errorf("%s, %s, %v s: %d answers, times of %d, %v", trial.Target, phase.Name, phase.DurationS, sum.Books.OK, sum.Service.Count(), err)
				}
			}
		}
	})
}
