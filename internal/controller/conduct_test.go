package controller

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/fleet"
	"bakeoff/internal/gate"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
	"bakeoff/internal/target"
	"bakeoff/internal/venue"
)

// Whole runs in virtual time, on a fake venue and a fake loader: their order, repeats, resume,
// pilot and end, and every reason for which a trial or a run is refused.

const (
	twoTargets = "targets: [flask, fastapi]\nwarmup: 1s\n"
	oneTarget  = "targets: [flask]\nwarmup: 1s\n"
	closedOnly = "phases: [{name: closed, model: closed, connections: 32, duration: 10s}]\n"
)

// conducted runs the world's plan and wants it to end with an error of these words, or without one.
func conducted(t *testing.T, o Options, words ...string) (dir string, err error) {
	t.Helper()
	dir, err = Run(t.Context(), o)
	wantError(t, err, words...)
	return dir, err
}

func wantList(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestRunInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := w.options(t, "blocks: 2\nseed: 3\n"+twoTargets+closedOnly)
		dir, _ := conducted(t, o)
		want := []string{"database starts", "agents start"}
		var trials []string
		for _, at := range o.Plan.Trials() {
			for _, step := range []string{"start %s", "check %s before", "load %s warmup", "load %s closed", "check %s after", "stop %s"} {
				want = append(want, fmt.Sprintf(step, at.Target))
			}
			trials = append(trials, fmt.Sprintf("%d-%d-%s valid", at.Block, at.Position, at.Target))
		}
		want = append(want, "agents end", "database stops")
		wantList(t, "what happened", w.happened(""), want...)
		wantList(t, "trials", trialsOf(t, dir), trials...)
		rec := runOf(t, dir)
		if rec.Status != record.Complete || rec.Platform != "fake" || rec.Measured != 40 || !slices.Contains(rec.Notes, "agents are faked") {
			t.Errorf("run.json: %s on %s, measured %v s, notes %q", rec.Status, rec.Platform, rec.Measured, rec.Notes)
		}
		if w.healed != 4 || rec.Wall < 4*(3+1+10) {
			t.Errorf("healed %d times, wall %v s", w.healed, rec.Wall)
		}
	})
}

// A trial that stays invalid is tried twice again, at the end of its block; the blocks go on.
func TestRepeats(t *testing.T) {
	bad := act{fails: before}
	for name, c := range map[string]struct {
		short  bool
		script []act
		starts int
		trials []string
		words  []string
	}{
		"once": {false, []act{bad}, 3, []string{
			"1-1-fastapi valid", "1-2-flask invalid contract", "1-3-flask valid", "2-1-flask valid", "2-2-fastapi valid",
		}, nil},
		"always": {false, []act{bad, bad, bad}, 4, []string{
			"1-1-fastapi valid", "1-2-flask invalid contract", "1-3-flask invalid contract", "1-4-flask invalid contract",
			"2-1-flask valid", "2-2-fastapi valid",
		}, []string{"a target lacks enough valid trials", "flask has none in 1 of 2 blocks"}},
		"never in a short run": {true, []act{bad}, 2, []string{
			"1-1-fastapi valid", "1-2-flask invalid contract", "2-1-flask valid", "2-2-fastapi valid",
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.script["flask"] = c.script
				o := w.options(t, "blocks: 2\nseed: 1\n"+twoTargets+closedOnly)
				o.Short = c.short
				dir, _ := conducted(t, o, c.words...)
				wantList(t, "trials", trialsOf(t, dir), c.trials...)
				if w.at["flask"] != c.starts {
					t.Errorf("flask was started %d times, want %d", w.at["flask"], c.starts)
				}
				loads := len(w.happened("load flask"))
				if want := 2 * (c.starts - len(slices.DeleteFunc(slices.Clone(c.trials), func(l string) bool { return !strings.Contains(l, "contract") }))); loads != want {
					t.Errorf("%d loads of flask, want %d: a target that fails its check is not loaded", loads, want)
				}
			})
		})
	}
}

// Every reason for which a trial is refused, each by what causes it.
func TestReasonsOfTrials(t *testing.T) {
	phases := func(change func(p *phaseFaked)) act {
		return act{phase: func(p *phaseFaked) {
			if p.task.Phase.Number > 0 {
				change(p)
			}
		}}
	}
	seen := map[string]bool{"": true}
	for _, c := range []struct {
		name       string
		act        act
		code, text string
	}{
		{"not ready", act{deploy: errFaked}, record.CodeNotReady, "faked"},
		{"no overlap", act{deploy: fmt.Errorf("flask-1: %w", target.ErrNoOverlap)}, record.CodeNoOverlap, "no proof"},
		{"too many connections", act{open: 17}, record.CodeConnections, "17 are open after the start, the plan gives it 1 replica x 16 = 16"},
		{"wrong before", act{fails: before}, record.CodeContract, "1 of 1 checks failed before the load"},
		{"wrong after", act{fails: after}, record.CodeContract, "1 of 1 checks failed after the load"},
		{"worker gone", act{intact: errFaked}, record.CodeWorkerGone, "phase warmup: faked"},
		{"another pod", act{intact: fmt.Errorf("%w: pod x is another one", venue.ErrPlacement)}, record.CodePlacement, "pod x is another one"},
		{"not stopped", act{stop: errFaked}, record.CodeNotStopped, "faked"},
		{"left behind", act{stop: fmt.Errorf("flask-1: %w: process 7 (sleep)", target.ErrLeft)}, record.CodeGhost, "process 7 (sleep)"},
		{"left behind alone", act{stop: fmt.Errorf("flask-1: %w: process 8 (sleep)", target.ErrUnclaimed)}, record.CodeGhost, "process 8 (sleep)"},
		{
			"agent lost", phases(func(p *phaseFaked) { p.lost = []fleet.Lost{{Agent: 1, Why: "silent for 2s"}} }),
			record.CodeAgentLost, "agent 1 in phase closed: silent for 2s",
		},
		{"books", phases(func(p *phaseFaked) { p.books.OK-- }), record.CodeBooks, "phase closed"},
		{"statements", phases(func(p *phaseFaked) { p.reads++ }), record.CodeWitness, "the database counted 1001"},
		{"a statement for two", phases(func(p *phaseFaked) { p.extra = -1 }), record.CodeLookups, "phase closed: not each answer was one indexed lookup of its own: the database counted 999 statements"},
		{"an answer of long before", phases(func(p *phaseFaked) {
			p.seen = func() map[int]stats.MoveSeen {
				return map[int]stats.MoveSeen{0: {Before: 1, LastBefore: time.Now().UnixNano()}}
			}
		}), record.CodeStale, "phase closed: 1 row of 12 that changed during the phase had answers that were not true at that moment"},
		{"a balancer's count", phases(func(p *phaseFaked) { p.requests-- }), record.CodeWitness, "the balancer counted 999"},
		{"wrong answers", phases(func(p *phaseFaked) {
			p.books.OK, p.books.Bad, p.outcomes = p.books.OK-2, 2, map[string]int64{"wrong id": 2}
		}), record.CodeWrongAnswers, "bad 2, timeout 0, error 0, dropped 0 (wrong id 2)"},
		{"twice its pool under load", act{held: 32}, record.CodeDeclared, "phase closed: database connections: 32 were open, 16 are declared"},
		{"another protocol", phases(func(p *phaseFaked) { p.executed = p.reads }), record.CodeDeclared, "protocol: text is declared, but 1000 prepared statements were executed"},
		{"an access log", phases(func(p *phaseFaked) { p.lines = p.reads }), record.CodeDeclared, "access log: off is declared, but 1000 lines were written for 1000 answers"},
		{"late", phases(func(p *phaseFaked) { p.late = 5 * time.Millisecond }), record.CodeGeneratorLimited, "agent 0"},
		{"answers that become slow", phases(func(p *phaseFaked) { p.slower = 2 }), record.CodeNotSteady, "2.00 times that of the first"},
		{"requests in flight that were not recorded", phases(func(p *phaseFaked) { p.inFlight = 1.1 }), record.CodeLittlesLaw, "9.1 % apart"},
	} {
		seen[c.code] = true
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.script["flask"] = []act{c.act}
				phase := closedOnly
				if c.act.phase != nil {
					phase = strings.Replace(closedOnly, "model: closed", "model: open, rate: 100", 1)
				}
				dir, _ := conducted(t, w.options(t, "blocks: 1\n"+oneTarget+phase))
				wantList(t, "trials", trialsOf(t, dir), "1-1-flask invalid "+c.code, "1-2-flask valid")
				if reason := reasonsOf(t, dir)[0]; !strings.Contains(reason.Text, c.text) {
					t.Errorf("reason %+v, want %q in it", reason, c.text)
				}
				wantList(t, "starts and stops", w.happened("start", "stop"), "start flask", "stop flask", "start flask", "stop flask")
			})
		})
	}
	seen[record.CodeInterrupted], seen[record.CodeRunEnded] = true, true // TestRunEnds
	seen[record.CodeTooFewArrivals] = true                               // TestTooFewArrivals
	seen[record.CodeDisturbedHost] = true                                // TestDisturbedHost
	seen[record.CodeNotWatched] = true                                   // TestUnwatchedMachines
	for _, left := range []string{record.CodeLeftBehind, record.CodeLocks, record.CodeAccount} {
		seen[left] = true // TestWhatIsLeftInTheDatabase
	}
	seen[record.CodeBlock] = true     // TestTurnsRepeatTheBlock
	seen[record.CodeMoves] = true     // TestRowsThatAreLocked
	seen[record.CodeNoAnswer] = true  // of running servers, which have no venue
	seen[record.CodeRewritten] = true // TestRewritten
	seen[record.CodeShares] = true    // TestBehindTheClustersBalancer
	for _, code := range codes(t) {
		if !seen[code] {
			t.Errorf("nothing here is refused with the code %s", code)
		}
	}
}

// codes are all that a record may have.
func codes(t *testing.T) []string {
	t.Helper()
	source, err := os.ReadFile("../record/reason.go")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, found := range regexp.MustCompile(`(?m)^\tCode\w+ += "([a-z-]+)"`).FindAllSubmatch(source, -1) {
		out = append(out, string(found[1]))
	}
	if len(out) < 10 {
		t.Fatalf("found only the codes %q", out)
	}
	return out
}

// A target that is gone during a check is refused for that first, and once.
func TestGoneDuringACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["flask"] = []act{{fails: before, intact: errFaked}, {fails: after, intact: errFaked}}
		dir, _ := conducted(t, w.options(t, "blocks: 1\n"+oneTarget+closedOnly))
		wantList(t, "trials", trialsOf(t, dir), "1-1-flask invalid worker-gone,contract", "1-2-flask invalid worker-gone,contract", "1-3-flask valid")
		if text := reasonsOf(t, dir)[0].Text; text != "the check before the load: faked" {
			t.Errorf("%q", text)
		}
	})
}

// reasonsOf are those of all trials.
func reasonsOf(t *testing.T, dir string) []record.Reason {
	t.Helper()
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []record.Reason
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, trial.Reasons...)
	}
	return out
}

// What others do on the machine in a measured phase refuses the trial, over what they did at rest, and it
// is repeated; with the user's consent it is a warning. The machine is watched before the first trial.
func TestDisturbedHost(t *testing.T) {
	late := []act{{phase: func(p *phaseFaked) { p.late = 5 * time.Millisecond }}}
	const phase, start = 5 * time.Second, time.Second // the measured phase begins, the first trial begins
	for name, c := range map[string]struct {
		foreign, stolen func(time.Duration) time.Duration
		script          []act
		shared, short   bool
		trials          []string
		rest            float64 // foreign
		text            string  // of the first reason, or else of the first warning
	}{
		"others":            {between(phase, phase+5*time.Second, 0.5), nil, nil, false, false, []string{"1-1-flask invalid disturbed-host", "1-2-flask valid"}, 0, "phase closed: other programs used 24.4 % of this machine's CPU time"},
		"others, warm-up":   {between(start, phase, 0.5), nil, nil, false, false, []string{"1-1-flask valid"}, 0, ""},
		"others, always":    {between(0, time.Hour, 0.5), nil, nil, false, false, []string{"1-1-flask valid"}, 0.5, ""},
		"others, at first":  {between(0, 1500*time.Millisecond, 0.5), nil, nil, false, false, []string{"1-1-flask valid"}, 0, ""},
		"others, sharing":   {between(0, 1500*time.Millisecond, 0.5), nil, nil, true, false, []string{"1-1-flask valid"}, 0.5, ""},
		"others, a little":  {between(phase, time.Hour, 0.08), nil, nil, false, false, []string{"1-1-flask valid"}, 0, "phase closed: other programs used 8.0 %"},
		"others, allowed":   {between(phase, time.Hour, 0.5), nil, nil, true, false, []string{"1-1-flask valid"}, 0, "phase closed: other programs used 50.0 %"},
		"others, short run": {between(0, time.Hour, 0.5), nil, nil, false, true, []string{"1-1-flask valid"}, 0, "phase closed: other programs used 50.0 %"},
		"the host":          {nil, between(phase, phase+10*time.Second, 0.1), nil, false, false, []string{"1-1-flask invalid disturbed-host", "1-2-flask valid"}, 0, "phase closed: the host of this virtual machine took 9.9 %"},
		"late, with the host's help": {
			nil, between(phase, phase+10*time.Second, 0.1), late, false, false,
			[]string{"1-1-flask invalid disturbed-host,disturbed-host", "1-2-flask valid"},
			0, "phase closed: the host of this virtual machine took 9.9 %",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.foreign, w.stolen, w.script["flask"] = c.foreign, c.stolen, c.script
				o := w.options(t, "blocks: 1\n"+oneTarget+strings.Replace(closedOnly, "model: closed", "model: open, rate: 100", 1))
				o.Shared, o.Short = c.shared, c.short
				dir, _ := conducted(t, o)
				wantList(t, "trials", trialsOf(t, dir), c.trials...)
				said := append(reasonsOf(t, dir), warningsOf(t, dir)...)
				if (len(said) > 0) != (c.text != "") || len(said) > 0 && !strings.HasPrefix(said[0].Text, c.text) {
					t.Errorf("said %+v, want %q", said, c.text)
				}
				rests := runOf(t, dir).Baselines
				if len(rests) != 1 || rests[0].Foreign != c.rest || rests[0].WarnOnly != (c.shared || c.short) || (rests[0].Seconds == 1) == c.short {
					t.Errorf("baselines %+v", rests)
				}
				replayed(t, dir)
			})
		})
	}
}

// Connections of workers are counted in the middle of the last phase, when all are in use.
func TestConnectionsAreCountedHalfway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		dir, _ := conducted(t, w.options(t, "blocks: 1\n"+oneTarget+closedOnly))
		phases := trialRecord(t, dir, 1, "flask").Phases
		last := phases[len(phases)-1]
		if want := last.Started.Sub(w.began) + last.Ended.Sub(last.Started)/2; len(w.counted) != 1 || (w.counted[0]-want).Abs() > 100*time.Millisecond {
			t.Errorf("counted at %v, want %v", w.counted, want)
		}
	})
}

// replayed wants a reader of the record to find the same reasons and warnings.
func replayed(t *testing.T, dir string) {
	t.Helper()
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			t.Fatal(err)
		}
		got, err := gate.Replay(trial, state.Loads(), state.Series(), gate.Baseline(r.Run(), trial.Started))
		if err != nil {
			t.Fatal(err)
		}
		reasons := slices.DeleteFunc(trial.Reasons, func(reason record.Reason) bool { return !gate.Decides(reason.Code) })
		if !slices.Equal(got.Reasons, reasons) || !slices.Equal(got.Warnings, trial.Warnings) {
			t.Errorf("computed %+v and %+v\nrecorded %+v and %+v", got.Reasons, got.Warnings, reasons, trial.Warnings)
		}
	}
}

// warningsOf are those of all trials.
func warningsOf(t *testing.T, dir string) []record.Reason {
	t.Helper()
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []record.Reason
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, trial.Warnings...)
	}
	return out
}

// Before a trial is repeated the controller waits, for a minute at most, until others have left the
// machine alone for a second.
func TestRepeatAwaitsAQuietMachine(t *testing.T) {
	const failed = 4 * time.Second // 1 s at rest, 3 s for a start that fails
	for name, c := range map[string]struct {
		foreign, stolen func(time.Duration) time.Duration
		waited          time.Duration
	}{
		"quiet":               {nil, nil, time.Second},
		"steal for a while":   {nil, between(failed, failed+5*time.Second, 0.1), 6 * time.Second},
		"others for a while":  {between(failed, failed+7*time.Second, 0.1), nil, 8 * time.Second},
		"others all the time": {between(failed, time.Hour, 0.1), nil, time.Minute},
		"others from before":  {between(0, time.Hour, 0.1), nil, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.foreign, w.stolen = c.foreign, c.stolen
				var ended, again time.Time
				w.script["flask"] = []act{{deploy: errFaked}}
				o := w.options(t, "blocks: 1\n"+oneTarget+closedOnly)
				o.Progress = func(e record.Progress) {
					switch {
					case e.Text == "stopping" && ended.IsZero():
						ended = time.Now()
					case e.Text == "starting" && e.Attempt == 2:
						again = time.Now()
					}
				}
				_, _ = Run(t.Context(), o)
				if got := again.Sub(ended).Round(time.Second); got != c.waited {
					t.Errorf("waited %v, want %v", got, c.waited)
				}
			})
		})
	}
}

// The pilot's throughput is that of right answers, and the rate of an open phase follows from the slowest.
func TestPilot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["flask"] = []act{{phase: func(p *phaseFaked) {
			if p.task.Phase.Number == pilotPhase {
				p.books = stats.Books{Planned: 10_010, Sent: 10_010, OK: 10_000, Bad: 10}
			}
			p.reads, p.requests = p.books.Sent, p.books.Sent
		}}}
		w.script["fastapi"] = []act{{phase: func(p *phaseFaked) {
			if p.task.Phase.Number == pilotPhase {
				p.books = stats.Books{Planned: 10_005, Sent: 10_005, OK: 10_005}
			}
			p.reads, p.requests = p.books.Sent, p.books.Sent
		}}}
		o := w.options(t, "blocks: 1\npilot: 10s\n"+twoTargets+
			"phases: [{name: open, model: open, rate_of_pilot: 0.5, connections: 32, duration: 10s}]\n")
		dir, _ := conducted(t, o)
		rec := runOf(t, dir)
		if p := rec.Pilot; p == nil || p.Throughput["flask"] != 1000 || p.Throughput["fastapi"] != 1000.5 || p.Slowest != "flask" {
			t.Errorf("pilot %+v", p)
		}
		rates := 0
		for _, task := range w.tasks {
			if task.Phase.Name == "open" {
				if rates++; task.Phase.Rate != 500 {
					t.Errorf("rate %v, want half of 1000", task.Phase.Rate)
				}
			}
		}
		if rates != 2 {
			t.Errorf("%d open phases", rates)
		}
	})
}

// A rate that the pilot makes tiny is that phase's reason: the phases before it are measured, the run goes on, and
// nothing is repeated, for it would be so again.
func TestTooFewArrivals(t *testing.T) {
	for answers, text := range map[int64]string{
		13: "phase open: 0.78 requests per second (0.6 of the 1.30/s of flask in the pilot) for 10s are 7.8 arrivals, at least 10 are needed",
		20: "",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.script["flask"] = []act{{phase: func(p *phaseFaked) {
				if p.task.Phase.Number == pilotPhase {
					p.books = stats.Books{Planned: answers, Sent: answers, OK: answers}
					p.reads, p.requests = answers, answers
				}
			}}}
			o := w.options(t, "blocks: 1\nseed: 1\npilot: 10s\n"+twoTargets+
				"phases: [{model: closed, connections: 32, duration: 10s}, {model: open, rate_of_pilot: 0.6, connections: 32, duration: 10s}]\n")
			if text == "" {
				conducted(t, o)
				return
			}
			dir, err := conducted(t, o, "flask has none in 1 of 1 block")
			if !errors.Is(err, ErrTooFewValid) {
				t.Error(err)
			}
			for _, reason := range reasonsOf(t, dir) {
				if reason.Code != record.CodeTooFewArrivals || !strings.Contains(reason.Text, text) {
					t.Errorf("reason %+v", reason)
				}
			}
			wantList(t, "trials", trialsOf(t, dir)[2:], "1-1-fastapi invalid too-few-arrivals", "1-2-flask invalid too-few-arrivals")
			if closed, open := len(w.happened("load flask closed")), len(w.happened("load flask open")); closed != 1 || open != 0 {
				t.Errorf("%d closed and %d open phases of flask", closed, open)
			}
			before := len(w.happened("load"))
			o.Resume = dir
			if _, err := Run(t.Context(), o); !errors.Is(err, record.ErrComplete) || len(w.happened("load")) != before {
				t.Errorf("resumed: %v", err)
			}
		})
	}
}

// What ends a whole run: the run directory says why, and everything is stopped.
func TestRunEnds(t *testing.T) {
	open := strings.Replace(closedOnly, "model: closed", "model: open, rate: 100", 1)
	for name, c := range map[string]struct {
		arrange func(*world, *Options)
		trials  []string
		reason  string
		err     error
	}{
		"the table is another": {
			func(w *world, _ *Options) {
				w.look = func(n int) error {
					if n == 2 {
						return errFaked
					}
					return nil
				}
			}, []string{"1-1-flask valid", "2-1-flask aborted run-ended"}, "before block 2, flask: faked", errFaked,
		},
		"the table changed": {
			func(w *world, _ *Options) { w.ended = "0000" },
			[]string{"1-1-flask valid", "2-1-flask valid"},
			"the table changed during the run: its digest is 0000", nil,
		},
		"the fill is not the rows": {
			func(w *world, _ *Options) { w.filled = "1111" }, nil, "the digest of the table is 1111, that of the rows", nil,
		},
		"the check cannot be made": {
			func(w *world, _ *Options) { w.script["flask"] = []act{{check: errFaked}} },
			[]string{"1-1-flask aborted run-ended"},
			"faked", errFaked,
		},
		"the load fails": {
			func(w *world, _ *Options) {
				w.script["flask"] = []act{{phase: func(p *phaseFaked) { p.err = errFaked }}}
			},
			[]string{"1-1-flask aborted run-ended"},
			"phase warmup: faked", errFaked,
		},
		"no agents": {
			func(_ *world, o *Options) {
				o.Load = func(context.Context, string, func(string)) (Loader, error) { return nil, errFaked }
			}, nil, "agents: faked", errFaked,
		},
		"it takes too long": { // there is time for one repeat and not for two
			func(w *world, o *Options) {
				o.MaxTime = 36 * time.Second
				w.script["flask"] = []act{{}, {fails: before}, {fails: before}}
			},
			[]string{"1-1-flask valid", "2-1-flask invalid contract", "2-2-flask invalid contract", "2-3-flask aborted interrupted"},
			"the run took longer than --max-time 36s", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				o := w.options(t, "blocks: 2\n"+oneTarget+open)
				c.arrange(w, &o)
				dir, err := conducted(t, o, c.reason)
				if c.err != nil && !errors.Is(err, c.err) {
					t.Errorf("error %v is not %v", err, c.err)
				}
				wantList(t, "trials", trialsOf(t, dir), c.trials...)
				if rec := runOf(t, dir); rec.Status != record.Aborted || !strings.Contains(rec.Reason, c.reason) {
					t.Errorf("run.json: %s: %s", rec.Status, rec.Reason)
				}
				if starts, stops := w.happened("start"), w.happened("stop"); len(starts) != len(stops) || w.notes[len(w.notes)-1][:14] != "database stops" {
					t.Errorf("left running: %q", w.notes)
				}
			})
		})
	}
}

// Nothing is begun where the disk has no room, where something is missing, or with an unfair plan.
func TestNothingIsBegun(t *testing.T) {
	for name, c := range map[string]struct {
		lines   string
		arrange func(*world)
		words   []string
		kind    any
	}{
		"no room":                 {"", func(w *world) { w.room = 1000 }, []string{"free, the run needs about"}, &DiskError{}},
		"not a byte":              {"", func(w *world) { w.room = 0 }, []string{"has 0 MB free, the run needs about"}, &DiskError{}},
		"not known how much room": {"", func(w *world) { w.room = -1 }, nil, nil},
		"nginx is missing":        {"", func(w *world) { w.lacking = []target.Need{{What: "nginx", Package: "nginx-light"}} }, []string{"missing on this machine: nginx"}, &MissingError{}},
		"a small budget":          {"database: {max_connections: 20}\n", func(*world) {}, []string{"connection budget exceeded: flask"}, &PlanError{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				c.arrange(w)
				_, err := conducted(t, w.options(t, "blocks: 1\n"+c.lines+oneTarget+closedOnly), c.words...)
				if begun := len(w.notes) > 0; begun != (c.words == nil) {
					t.Errorf("happened: %q", w.notes)
				}
				if c.kind != nil && fmt.Sprintf("%T", c.kind) != fmt.Sprintf("%T", deepest(err)) {
					t.Errorf("%T, want %T", deepest(err), c.kind)
				}
			})
		})
	}
}

// deepest is the first of the errors below that cli knows by its type.
func deepest(err error) any {
	for ; err != nil; err = errors.Unwrap(err) {
		switch err.(type) {
		case *DiskError, *MissingError, *PlanError:
			return err
		}
	}
	return nil
}

// Another run that came to the machine marks this one.
func TestOthersAreNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["flask"] = []act{{phase: func(*phaseFaked) { w.others = []string{"run other (process 7)"} }}}
		dir, _ := conducted(t, w.options(t, "blocks: 1\n"+oneTarget+closedOnly))
		rec := runOf(t, dir)
		if !rec.Shared || !slices.Contains(rec.Notes, "shared the machine with run other (process 7)") {
			t.Errorf("shared %v, notes %q", rec.Shared, rec.Notes)
		}
	})
}

// Targets with and without an access log are not compared.
func TestFairComparesAccessLogs(t *testing.T) {
	o := planOf(t, "targets: [flask, fastapi]\n")
	entrants, err := o.resolve()
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, o.fair(entrants))
	entrants[1].AccessLog = true
	wantError(t, o.fair(entrants), "unfair: access log: flask has false, fastapi has true")
}
