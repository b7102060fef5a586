package controller

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
)

// As many blocks are run as fit into --max-time by the pilot, never more than the plan has, and the number is fixed before block 1.
func TestBlocksThatFit(t *testing.T) {
	for name, c := range map[string]struct {
		max   time.Duration
		pilot string
		setup time.Duration // half of it is behind the blocks
		want  int
	}{
		"no bound":               {0, "pilot: 2s\n", 0, 5},
		"more than enough":       {10 * time.Hour, "pilot: 2s\n", 0, 5},
		"three":                  {120 * time.Second, "pilot: 2s\n", 0, 3},
		"two with a slow end":    {120 * time.Second, "pilot: 2s\n", time.Minute, 2},
		"by what is usual":       {70 * time.Second, "", 0, 2},
		"one at least":           {55 * time.Second, "pilot: 2s\n", 0, 1},
		"one where nothing fits": {55 * time.Second, "pilot: 2s\n", 5 * time.Minute, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.overhead.Setup = c.setup
				o := w.options(t, "blocks: 5\n"+c.pilot+twoTargets+closedOnly)
				o.MaxTime = c.max
				began := time.Now()
				dir, _ := Run(t.Context(), o)
				took := time.Since(began)
				r, err := record.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				run := r.Run()
				if got := lastBlock(run.Order); got != c.want || c.max > 0 && took > c.max {
					t.Errorf("%d blocks in %v, want %d", got, took, c.want)
				}
				said := slices.ContainsFunc(run.Notes, func(n string) bool {
					return strings.Contains(n, "fit into --max-time") && strings.HasSuffix(n, "; no verdict takes fewer than 6")
				})
				if said != (c.want < 5) {
					t.Errorf("notes %q", run.Notes)
				}
				s, err := figures.Build(r)
				if err != nil {
					t.Fatal(err)
				}
				if s.Run.Blocks != c.want || s.Run.Planned != 2*c.want {
					t.Errorf("%d blocks and %d trials in the figures", s.Run.Blocks, s.Run.Planned)
				}
			})
		})
	}
}

// One block less than fits is run, which leaves time to measure a block again; but not where too few for a verdict would be left.
func TestTimeForRepeats(t *testing.T) {
	for fit, want := range map[int]int{-1: 1, 0: 1, 1: 1, 5: 5, 6: 6, 7: 6, 8: 7, 20: 19} {
		if got := sparing(fit, 6); got != want {
			t.Errorf("of %d blocks %d are run, want %d", fit, got, want)
		}
	}
	for fit, want := range map[int]int{0: 1, 1: 1, 2: 1, 3: 2} {
		if got := sparing(fit, 0); got != want {
			t.Errorf("without a verdict, of %d blocks %d are run, want %d", fit, got, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := w.options(t, "blocks: 9\npilot: 2s\n"+twoTargets+closedOnly)
		o.MaxTime = 255 * time.Second                          // 8 blocks of 28 s fit, and 8 with a repeat do not
		w.script["flask"] = []act{{}, {}, {}, {fails: before}} // in block 3, which is repeated
		began := time.Now()
		dir, _ := conducted(t, o)
		run := runOf(t, dir)
		if took := time.Since(began); lastBlock(run.Order) != 7 || run.Status != record.Complete || took > o.MaxTime {
			t.Errorf("%d blocks in %v, %s", lastBlock(run.Order), took, run.Status)
		}
	})
}

// A plan with too few blocks for a verdict on all its pairs is named, with the number that it takes.
func TestTooFewBlocks(t *testing.T) {
	const three = "targets: [flask, fastapi, django]\n"
	for lines, want := range map[string]string{
		"blocks: 7\n" + three:                                    "",
		"blocks: 6\n" + three:                                    "no verdict is possible: 3 targets take at least 7 blocks, and the plan has 6",
		"blocks: 6\n" + twoTargets:                               "",
		"blocks: 5\n" + twoTargets:                               "no verdict is possible: 2 targets take at least 6 blocks, and the plan has 5",
		"blocks: 1\n" + oneTarget:                                "",
		"blocks: 5\ntargets: [flask, fastapi, {kind: driver}]\n": "no verdict is possible: 2 targets take at least 6 blocks, and the plan has 5",
	} {
		o := newWorld().options(t, lines+closedOnly)
		if got := o.TooFewBlocks(); got != want {
			t.Errorf("%q: %q, want %q", lines, got, want)
		}
		for name, change := range map[string]func(*Options){"short": func(o *Options) { o.Short = true }, "a search": func(o *Options) { o.Search = "stage 1 of 2" }} {
			other := o
			if change(&other); other.TooFewBlocks() != "" {
				t.Errorf("%q, %s: %q", lines, name, other.TooFewBlocks())
			}
		}
	}
}

// A driver is compared with nobody: it adds no pairs to those that a verdict is about.
func TestBlocksThatFitNextToADriver(t *testing.T) {
	for targets, want := range map[string]string{
		"flask":          "the number was fixed before block 1",
		"flask, fastapi": "the number was fixed before block 1; no verdict takes fewer than 6",
	} {
		t.Run(targets, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				o := w.options(t, "blocks: 5\npilot: 2s\ntargets: ["+targets+", {kind: driver}]\n"+closedOnly)
				o.MaxTime, o.Short = 2*time.Minute, true
				o.Calibration = &record.Calibration{At: w.began, Engine: "native", Agents: 2, Ceilings: map[string]float64{record.PathNginx: 1000}}
				dir, err := Run(t.Context(), o)
				notes := runOf(t, dir).Notes
				if !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, "fit into --max-time") && strings.HasSuffix(n, want) }) {
					t.Errorf("%q, %v, want %q", notes, err, want)
				}
			})
		})
	}
}

// A run that was cut to fit and interrupted is resumed to the same number of blocks.
func TestResumeOfBlocksThatFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := w.options(t, "blocks: 5\npilot: 2s\n"+twoTargets+closedOnly)
		o.MaxTime = 120 * time.Second
		w.script["flask"] = []act{{}, {}, {phase: func(p *phaseFaked) { p.err = errFaked }}}
		dir, _ := conducted(t, o, "faked")
		o.Resume, o.MaxTime = dir, 0
		w.script["flask"] = nil
		conducted(t, o)
		if run := runOf(t, dir); lastBlock(run.Order) != 3 || run.Status != record.Complete {
			t.Errorf("%d blocks, %s", lastBlock(run.Order), run.Status)
		}
	})
}

// The number of blocks is fixed before block 1, also where the run is resumed with less time.
func TestBlocksStayOnResuming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := w.options(t, "blocks: 5\npilot: 2s\n"+twoTargets+closedOnly)
		o.MaxTime = 120 * time.Second
		w.script["flask"] = []act{{}, {phase: func(p *phaseFaked) { p.err = errFaked }}} // in block 1
		dir, _ := conducted(t, o, "faked")
		w.script["flask"], w.overhead.Setup = nil, time.Minute // by that estimate two blocks would fit
		o.Resume, o.MaxTime = dir, 100*time.Second
		conducted(t, o)
		if run := runOf(t, dir); lastBlock(run.Order) != 3 || run.Status != record.Complete || len(trialsOf(t, dir)) < 8 {
			t.Errorf("%d blocks, %s, %q", lastBlock(run.Order), run.Status, trialsOf(t, dir))
		}
	})
}

// What the pilot says of a block: what each of its trials took without its load, and the warm-up and phases of the plan.
func TestBlockTakes(t *testing.T) {
	w := newWorld()
	w.overhead.Phase, w.overhead.Worker = 2*time.Second, time.Minute // the starts of workers are in what the pilot took
	for lines, want := range map[string]time.Duration{
		// 20 s less 2 of the pilot, 3 of the warm-up and 2 for each of both leave 11; 3 + 10 of load, and 2 for each of both again.
		"warmup: 3s\n":                           2 * (11 + 3 + 10 + 4) * time.Second,
		"warmup: 0s\n":                           2 * (16 + 10 + 2) * time.Second,
		"warmup: 3s\nagents: {engine: jmeter}\n": 2 * (20 - 2 - 3 - 2*7 + 3 + 10 + 2*7) * time.Second,
	} {
		o := w.options(t, "pilot: 2s\ntargets: [flask, fastapi]\n"+lines+"phases: [{model: closed, connections: 32, duration: 10s}]\n")
		o.Loading.Master = 5 * time.Second
		r := &run{o: &o, stage: o.stage(), pilots: []pilotTook{{rest: 18 * time.Second}, {rest: 22 * time.Second}}}
		if got := r.blockTakes(); got != want {
			t.Errorf("%q: a block takes %v, want %v", lines, got, want)
		}
	}
}

// A block of targets in turns is warmed up as long as the slowest of them: each trial counts with the longest warm-up of the pilot.
func TestBlocksCountTheLongestWarmup(t *testing.T) {
	o := newWorld().options(t, "blocks: 5\npilot: 2s\nturns: 250ms\ntargets: [flask, fastapi]\n"+untilSteady+"phases: [{model: closed, connections: 32, duration: 10s}]\n")
	r := &run{o: &o, stage: o.stage(), tried: map[trialKey]int{}, reached: map[trialKey]float64{}, last: map[int]int{}, valid: map[string]map[int]bool{}, warmups: warmups{}}
	for name, warmup := range map[string]float64{"flask": 3, "fastapi": 9} {
		began := time.Now()
		r.remember(record.Trial{
			Target: name, Status: record.Valid, Started: began, Ended: began.Add(time.Duration(warmup+7) * time.Second),
			Phases: []record.Phase{{DurationS: warmup, Warmup: true, Settling: &record.Settling{State: "steady"}}, {DurationS: 2}},
		})
	}
	if got, want := r.blockTakes(), 2*(9+5+10)*time.Second; got != want { // the pilot's own 2 s are not in a block
		t.Errorf("a block takes %v, want %v", got, want)
	}
}
