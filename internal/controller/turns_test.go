package controller

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/figures"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
)

// Blocks whose targets take turns, in virtual time on a fake venue and a fake loader, which note what is
// out of turn.

const threeTurns = "targets: [flask, fastapi, go-nethttp]\nwarmup: 1s\nturns: 250ms\n"

// mistakes are what the fakes saw out of turn.
func (w *world) wantNoMistake(t *testing.T) {
	t.Helper()
	for _, note := range w.happened("MISTAKE") {
		t.Error(note)
	}
}

func TestTurnsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := w.options(t, "blocks: 2\npilot: 5s\n"+threeTurns+
			"phases: [{model: closed, connections: 32, duration: 6s}, {model: open, rate: 100, connections: 32, duration: 3s}]\n")
		dir, _ := conducted(t, o)
		w.wantNoMistake(t)
		var trials []string
		for _, at := range o.Plan.Trials() {
			trials = append(trials, fmt.Sprintf("%d-%d-%s valid", at.Block, at.Position, at.Target))
		}
		wantList(t, "trials", trialsOf(t, dir), trials...)
		for _, of := range []struct {
			phase  string
			slices int
		}{{"warmup", 4}, {"closed", 24}, {"open", 12}} {
			for _, name := range []string{"flask", "fastapi", "go-nethttp"} {
				if got := len(w.happened("turn " + name + " " + of.phase)); got != 2*of.slices {
					t.Errorf("%s: %d slices of %s in two blocks, want %d", of.phase, got, name, 2*of.slices)
				}
			}
		}
		// In a block all are started and checked, then the phases follow one another, then all are checked
		// and stopped.
		second := w.notes[slices.Index(w.notes, "turn flask open"):]
		second = second[slices.IndexFunc(second, func(n string) bool { return strings.HasPrefix(n, "start ") }):]
		var steps []string
		for _, n := range second {
			if strings.HasPrefix(n, "redraw ") || strings.HasPrefix(n, "fresh ") {
				continue
			}
			if step := strings.Fields(n)[0] + " " + n[strings.LastIndex(n, " ")+1:]; len(steps) == 0 || steps[len(steps)-1] != step {
				steps = append(steps, step)
			}
		}
		if got := strings.Join(steps, ", "); !strings.Contains(got, "check before, turn warmup, turn closed, turn open, check after, stop 10s") {
			t.Errorf("the second block: %s", got)
		}
		rec := trialRecord(t, dir, 1, "flask")
		// The database is waited for once a phase, not once a target: 3 x 20 ms.
		for _, step := range rec.Timeline {
			if more := 3*step.Seconds - 3*24*0.26; step.Name == "closed" && math.Abs(more-0.06) > 1e-6 {
				t.Errorf("phase closed took %v s more than its slices", more)
			}
		}
		for i, want := range []record.PhaseTurns{{Slices: 4, RunInS: 0.05}, {Slices: 24, RunInS: 0.05}, {Slices: 12}} {
			p := rec.Phases[i]
			if p.Turns == nil || p.Turns.Slices != want.Slices || p.Turns.SliceS != 0.25 || p.Turns.RunInS != want.RunInS || !p.Turns.Frozen ||
				fmt.Sprintf("%.2f", p.Turns.OnS) != fmt.Sprintf("%.2f", float64(want.Slices)*0.26) {
				t.Errorf("phase %s: %+v", p.Name, p.Turns)
			}
			if sent := int64(100 * p.DurationS); p.Witness.DatabaseReads != sent || p.Witness.BalancerTotal != sent {
				t.Errorf("phase %s: %+v, sent %d", p.Name, p.Witness, sent)
			}
		}
	})
}

// trialRecord is the last trial of a target in a block.
func trialRecord(t *testing.T, dir string, block int, name string) (out record.Trial) {
	t.Helper()
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range r.Trials() {
		if trial, err := state.Trial(); err == nil && trial.Block == block && trial.Target == name && trial.Attempt > out.Attempt {
			out = trial
		}
	}
	return out
}

// Every target comes equally often in each position of a round, and the order is the seed's.
func TestRoundsAreBalanced(t *testing.T) {
	for _, k := range []int{2, 3, 5} {
		p := &plan.Plan{Seed: 7, Targets: make([]plan.Target, k)}
		count := map[[2]int]int{}
		for round := range 4 * k {
			for position, target := range p.Round(1, 1, round+1) {
				count[[2]int{position, target}]++
			}
		}
		for at, n := range count {
			if n != 4 {
				t.Errorf("%d targets: %d times target %d in position %d, want 4", k, n, at[1], at[0])
			}
		}
		other := func(block, phase int) string {
			var all []int
			for round := range 2 * k {
				all = append(all, p.Round(block, phase, round+1)...)
			}
			return fmt.Sprint(all)
		}
		if k > 2 && (other(1, 1) == other(1, 2) || other(1, 1) == other(2, 1)) {
			t.Errorf("%d targets: one order for all blocks and phases", k)
		}
		if first, again := other(1, 1), other(1, 1); first != again {
			t.Errorf("%d targets: the same block and phase has two orders: %s and %s", k, first, again)
		}
	}
}

// A slice is at least ten median response times of the slowest target long, its run-in two; slices fill a
// phase exactly.
func TestPace(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		model            string
		median, duration time.Duration
		n                int
		length, runIn    time.Duration
	}{
		{load.Closed, 0, 4000 * ms, 16, 250 * ms, 50 * ms},
		{load.Closed, 15 * ms, 4000 * ms, 16, 250 * ms, 50 * ms},
		{load.Open, 15 * ms, 4000 * ms, 16, 250 * ms, 0},
		{load.Closed, 40 * ms, 4000 * ms, 10, 400 * ms, 80 * ms},
		{load.Closed, 15 * ms, 3900 * ms, 16, 243750 * time.Microsecond, 50 * ms},
		{load.Closed, 15 * ms, 100 * ms, 1, 100 * ms, 50 * ms},
		{load.Closed, 1000 * ms, 4000 * ms, 1, 4000 * ms, 2000 * ms},
		// The nearest number of slices would make them shorter than ten medians.
		{load.Closed, 37 * ms, 5500 * ms, 14, 5500 * ms / 14, 74 * ms},
		{load.Open, 160 * ms, 4000 * ms, 2, 2000 * ms, 0},
	} {
		r := &run{o: &Options{Plan: &plan.Plan{Turns: plan.Turns(250 * ms)}}, pilot: &record.Pilot{MedianNS: map[string]int64{"a": int64(c.median), "b": 0}}}
		n, length, runIn := r.pace(load.Phase{Model: c.model, Duration: c.duration})
		if n != c.n || length != c.length || runIn != c.runIn {
			t.Errorf("%+v: %d slices of %v, %v of each aside", c, n, length, runIn)
		}
	}
}

// A block with an invalid trial is measured again as a whole, at most twice; what fails before the load of
// the last attempt is left out of it.
func TestTurnsRepeatTheBlock(t *testing.T) {
	bad := act{fails: before}
	late := act{intact: errFaked}
	for name, c := range map[string]struct {
		script []act
		short  bool
		trials []string
		words  []string
	}{
		"once": {[]act{late}, false, []string{"1 fastapi block", "1 flask worker-gone", "2 fastapi", "2 flask"}, nil},
		"before the load": {[]act{bad, bad, bad}, false, []string{
			"1 fastapi block", "1 flask contract", "2 fastapi block", "2 flask contract", "3 fastapi", "3 flask contract",
		}, []string{"flask has none in 1 of 1 block"}},
		"always": {[]act{late, late, late}, false, []string{
			"1 fastapi block", "1 flask worker-gone", "2 fastapi block", "2 flask worker-gone", "3 fastapi", "3 flask worker-gone",
		}, []string{"flask has none in 1 of 1 block"}},
		"short": {[]act{bad}, true, []string{"1 fastapi", "1 flask contract"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.script["flask"] = c.script
				o := w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly)
				o.Short = c.short
				dir, _ := conducted(t, o, c.words...)
				w.wantNoMistake(t)
				wantList(t, "trials", attemptsOf(t, dir), c.trials...)
				if rec := trialRecord(t, dir, 1, "fastapi"); rec.Status != record.Valid || len(rec.Phases) != 2 {
					t.Errorf("fastapi: %s with %d phases", rec.Status, len(rec.Phases))
				}
				if starts, stops := len(w.happened("start ")), len(w.happened("stop ")); starts != stops {
					t.Errorf("%d starts, %d stops", starts, stops)
				}
			})
		})
	}
}

// attemptsOf are the trials as "attempt target codes", sorted.
func attemptsOf(t *testing.T, dir string) []string {
	t.Helper()
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			t.Fatal(err)
		}
		var codes []string
		for _, reason := range trial.Reasons {
			codes = append(codes, reason.Code)
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%d %s %s", trial.Attempt, trial.Target, strings.Join(codes, ","))))
	}
	slices.Sort(out)
	return out
}

// Statements that come late, in another target's turn, are found with both.
func TestTurnsCatchLateStatements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		slices := 0
		w.script["flask"] = []act{{phase: func(p *phaseFaked) {
			if slices++; p.task.Phase.Number > 0 && slices == 8 {
				p.pending = 3
			}
		}}}
		dir, _ := conducted(t, w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly))
		wantList(t, "trials", attemptsOf(t, dir), "1 fastapi witness", "1 flask witness", "2 fastapi", "2 flask")
		for _, reason := range reasonsOf(t, dir) {
			if !strings.Contains(reason.Text, "the database counted 997 row-reading statements") && !strings.Contains(reason.Text, "the database counted 1003 ") {
				t.Errorf("reason %+v", reason)
			}
		}
	})
}

// What a target has the database do between the count of its turn and its freeze is its own: reads are its reason, a statement is waited
// for, and one that does not end is its reason too. The next target has nothing of it, in any order.
func TestTurnsEndWithTheFreeze(t *testing.T) {
	const at = 20 // the freeze in which it happens
	for name, c := range map[string]struct {
		began func(w *world)
		code  string
	}{
		"reads": {func(w *world) { w.counters.Reads += 3; w.count(phaseFaked{}) }, record.CodeWitness},
		"a statement": {func(w *world) {
			w.under = []database.Session{{ID: 5, User: w.users["flask"], Statement: "SELECT BENCHMARK(1, 1)"}}
			time.AfterFunc(200*time.Millisecond, func() { w.mu.Lock(); defer w.mu.Unlock(); w.under = nil })
		}, ""},
		"a statement without an end": {func(w *world) {
			w.under = []database.Session{{ID: 5, User: w.users["flask"], Statement: "SELECT SLEEP(1000)"}}
		}, record.CodeLeftBehind},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			freezes, alone := 0, 0
			w.script["flask"] = []act{{freezing: func() {
				if freezes++; freezes == at {
					c.began(w)
				}
			}}}
			w.script["fastapi"] = slices.Repeat([]act{{phase: func(*phaseFaked) {
				w.mu.Lock()
				defer w.mu.Unlock()
				if alone++; len(w.under) > 0 {
					t.Errorf("%s: a statement of flask runs in the turn of fastapi", name)
				}
			}}}, 3)
			dir, _ := conducted(t, w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly))
			w.wantNoMistake(t)
			if c.code == "" {
				wantList(t, "trials", attemptsOf(t, dir), "1 fastapi", "1 flask")
			} else {
				wantList(t, "trials", attemptsOf(t, dir), "1 fastapi block", "1 flask "+c.code, "2 fastapi", "2 flask")
			}
			if freezes < at || alone < at {
				t.Errorf("%s: %d freezes, %d turns", name, freezes, alone)
			}
		})
	}
}

// What a target has the database do before all are frozen for a phase is in nobody's turn.
func TestTurnsBeginWithTheFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		phases := 0
		w.script["flask"] = []act{{freezing: func() {
			if last := w.notes[len(w.notes)-1]; last != "fresh flask" && !strings.HasPrefix(last, "turn flask") {
				phases++
				w.counters.Reads += 3
				w.count(phaseFaked{})
			}
		}}}
		dir, _ := conducted(t, w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly))
		wantList(t, "trials", attemptsOf(t, dir), "1 fastapi", "1 flask")
		if phases == 0 {
			t.Error("flask was never frozen before a phase")
		}
	})
}

// A round in which an agent missed a start is left out of all targets' figures, together, and another one takes its place; too
// many are the phase's reason.
func TestTurnsLeaveRoundsOut(t *testing.T) {
	good := []string{"1 fastapi", "1 flask"}
	for rounds, trials := range map[int][]string{ // of 40; 8 are replaced
		1: good, 2: good, 8: good, 9: good,
		10: {"1 fastapi generator-limited", "1 flask generator-limited", "2 fastapi", "2 flask"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			slices := 0
			w.script["flask"] = []act{{phase: func(p *phaseFaked) {
				if slices++; p.task.Phase.Number > 0 && slices <= 4+rounds {
					p.missed, p.books.Planned, p.books.Sent, p.books.OK = 20*time.Millisecond, 10, 10, 10
					p.reads, p.requests = 10, 10
				}
			}}}
			dir, _ := conducted(t, w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly))
			w.wantNoMistake(t)
			wantList(t, "trials", attemptsOf(t, dir), trials...)
			for _, reason := range reasonsOf(t, dir) {
				if want := "in 10 of 48 rounds an agent was late or stood still, and they are left out, 2 of them with no other in their place; one may be, or 2 %"; !strings.HasSuffix(reason.Text, want) && reason.Code != record.CodeBlock {
					t.Errorf("%+v", reason)
				}
			}
			for _, name := range []string{"flask", "fastapi"} {
				wantRoundsLeftOut(t, dir, name, rounds)
			}
		})
	}
}

// wantRoundsLeftOut wants a number of rounds of 25 answers left out in the target's first trial, in those of flask with 15 less, and
// up to 8 of them replaced.
func wantRoundsLeftOut(t *testing.T, dir, name string, rounds int) {
	t.Helper()
	for _, state := range openRecord(t, dir).Trials() {
		trial, err := state.Trial()
		if err != nil || trial.Target != name || trial.Attempt > 1 {
			continue
		}
		phase := trial.Phases[1]
		totals, err := totalsOf(state, phase)
		if err != nil {
			t.Fatal(err)
		}
		again := min(rounds, 8)
		answers := int64(25*(40+again) - 15*rounds*boolean(name == "flask"))
		if p := phase.Turns; p.LeftOut != rounds || p.Replaced != again || p.Rounds != 40+again || p.Slices != 40+again || p.Redraws != mostRedraws || p.LateNS != 20e6 || phase.DurationS != 10+0.25*float64(again) {
			t.Errorf("%s: %v s, %+v", name, phase.DurationS, p)
		}
		if totals.Books.OK != answers || math.Abs(totals.Goodput()-25/0.2) > 1e-9 || phase.LeftOut() != time.Duration(rounds)*250*time.Millisecond {
			t.Errorf("%s: %d answers, %v/s, %v left out", name, totals.Books.OK, totals.Goodput(), phase.LeftOut())
		}
	}
}

// A stall extends a target's slice, and it has the fewer of them: each target is on for as long as the
// phase says.
func TestTurnsExtended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		slices := 0
		w.script["flask"] = []act{{phase: func(p *phaseFaked) {
			if slices++; p.task.Phase.Number > 0 && slices == 10 {
				p.longer = 600 * time.Millisecond
			}
		}}}
		dir, _ := conducted(t, w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+
			"phases: [{model: open, rate: 100, connections: 32, duration: 10s}]\n"))
		w.wantNoMistake(t)
		for name, want := range map[string]int{"flask": 38, "fastapi": 40} {
			rec := trialRecord(t, dir, 1, name)
			if p := rec.Phases[1]; rec.Status != record.Valid || p.Turns.Slices != want || p.Witness.DatabaseReads != 1000 {
				t.Errorf("%s: %s, %+v, %+v", name, rec.Status, p.Turns, p.Witness)
			}
		}
	})
	r := &run{pilot: &record.Pilot{MedianNS: map[string]int64{"a": 5e6, "b": 20e6}}}
	for name, want := range map[string]time.Duration{"a": 50 * time.Millisecond, "b": 80 * time.Millisecond} {
		if got := r.stall(load.Phase{Model: load.Open}, name); got != want {
			t.Errorf("a stall of %s is from %v on, want %v", name, got, want)
		}
	}
	if got := r.stall(load.Phase{Model: load.Closed}, "a"); got != 0 {
		t.Errorf("a slice of the closed model is extended from %v on", got)
	}
}

// What ends turns early: everything is thawed before it is stopped, and each trial says why.
func TestTurnsEndEarly(t *testing.T) {
	nth := func(n int, do func(p *phaseFaked)) act {
		slices := 0
		return act{phase: func(p *phaseFaked) {
			if slices++; slices == n {
				do(p)
			}
		}}
	}
	for name, c := range map[string]struct {
		act    act
		max    time.Duration
		trials []string
		words  []string
	}{
		"an agent is lost": {
			nth(7, func(p *phaseFaked) { p.lost = []fleet.Lost{{Agent: 1, Why: "silent for 2s"}} }), 0,
			[]string{"1 fastapi agent-lost", "1 flask agent-lost", "2 fastapi", "2 flask"},
			nil,
		},
		"the load fails": {
			nth(7, func(p *phaseFaked) { p.err = errFaked }), 0,
			[]string{"1 fastapi run-ended", "1 flask run-ended"},
			[]string{"phase closed: faked"},
		},
		"the time is over": {act{}, 20 * time.Second, []string{"1 fastapi interrupted", "1 flask interrupted"}, []string{"--max-time 20s"}},
		"freezing fails":   {act{still: errFaked}, 0, []string{"1 fastapi run-ended", "1 flask run-ended"}, []string{"faked"}},
		"a worker ends, and the load fails": {
			act{intact: errors.New("flask-1 is gone"), phase: nth(2, func(p *phaseFaked) { p.err = errFaked }).phase},
			0,
			[]string{"1 fastapi run-ended", "1 flask run-ended"},
			[]string{"flask-1 is gone; therefore: phase warmup: faked"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.script["flask"] = []act{c.act}
				o := w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly)
				o.MaxTime = c.max
				dir, _ := conducted(t, o, c.words...)
				w.wantNoMistake(t)
				wantList(t, "trials", attemptsOf(t, dir), c.trials...)
				for name, still := range w.frozen {
					if still {
						t.Errorf("%s is left frozen", name)
					}
				}
			})
		})
	}
}

// A run is resumed at the next block; the one that was under way is measured again as a whole.
func TestTurnsResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := w.options(t, "blocks: 3\nturns: 250ms\n"+twoTargets+closedOnly)
		dir := interrupted(t, w, o, "flask", 2, 1)
		w.script, w.notes, o.Resume = map[string][]act{}, nil, dir
		conducted(t, o)
		w.wantNoMistake(t)
		if got := len(w.happened("start ")); got != 4 {
			t.Errorf("%d starts, want those of blocks 2 and 3", got)
		}
		if got := trialsOf(t, dir); len(got) != 6 || slices.ContainsFunc(got, func(s string) bool { return !strings.HasSuffix(s, " valid") }) {
			t.Errorf("trials %q", got)
		}
	})
}

// Interrupted while the last target of a block stops: no trial of it counts, and the block is
// measured again as a whole, so that what is compared was measured together.
func TestTurnsResumeAWholeBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly)
		ctx, cancel := context.WithCancelCause(t.Context())
		last := o.Plan.Trials()[1].Target
		w.script[last] = []act{{stopping: func() {
			time.Sleep(time.Second)
			cancel(ErrInterrupted)
		}}}
		dir, err := Run(ctx, o)
		if !errors.Is(err, ErrInterrupted) {
			t.Fatal(err)
		}
		if before := attemptsOf(t, dir); len(before) != 2 || strings.Count(strings.Join(before, " "), "interrupted") != 2 {
			t.Fatalf("before: %q", before)
		}
		w.notes, o.Resume = nil, dir
		conducted(t, o)
		if got := len(w.happened("start ")); got != 2 {
			t.Errorf("%d starts, want both", got)
		}
		summary, err := figures.Build(openRecord(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		used := 0
		for _, trial := range summary.Trials {
			if trial.Used {
				used++
			}
		}
		if used != 2 {
			t.Errorf("%d trials are used, want those of both targets", used)
		}
	})
}

func openRecord(t *testing.T, dir string) *record.Reader {
	t.Helper()
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
