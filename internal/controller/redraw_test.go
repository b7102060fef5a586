package controller

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
)

// The connections of all targets are redrawn together, between two rounds of a closed phase; the slices behind that
// begin with fresh ones. Neither the first slice of a phase nor any of an open one does.
func TestConnectionsAreRedrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		dir, _ := conducted(t, w.options(t, "blocks: 1\n"+threeTurns+
			"phases: [{model: closed, connections: 32, duration: 4s}, {model: open, rate: 100, connections: 32, duration: 4s}]\n"))
		w.wantNoMistake(t)
		slices, draws, fresh := map[string]int{}, map[string]int{}, map[string]int{}
		for _, note := range w.notes {
			words := strings.Fields(note)
			switch words[0] {
			case "redraw":
				draws[words[1]]++
				if at := slices[words[1]+" closed"]; at != 4*draws[words[1]] || draws[words[1]] > 3 {
					t.Errorf("redraw %d of %s behind slice %d of the closed phase", draws[words[1]], words[1], at)
				}
			case "fresh":
				fresh[words[1]]++
				if at := slices[words[1]+" closed"]; at != 4*fresh[words[1]]+1 {
					t.Errorf("slice %d of %s has fresh connections", at, words[1])
				}
			case "turn":
				slices[words[1]+" "+words[2]]++
			}
		}
		for _, name := range []string{"flask", "fastapi", "go-nethttp"} {
			if draws[name] != 3 || fresh[name] != 3 {
				t.Errorf("%s: redrawn %d times, fresh in %d slices, want 3 each", name, draws[name], fresh[name])
			}
			rec := trialRecord(t, dir, 1, name)
			if len(rec.Reasons) > 0 || rec.Phases[0].Turns.Redraws != 0 || rec.Phases[1].Turns.Redraws != 3 || rec.Phases[2].Turns.Redraws != 0 {
				t.Errorf("%s: %v, %+v", name, rec.Reasons, rec.Phases)
			}
		}
	})
}

// A plan may have them kept.
func TestKeptConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		dir, _ := conducted(t, w.options(t, "blocks: 1\nkeep_connections: true\n"+threeTurns+closedOnly))
		if got := w.happened("redraw", "fresh"); len(got) > 0 || trialRecord(t, dir, 1, "flask").Phases[1].Turns.Redraws != 0 {
			t.Errorf("%q", got)
		}
	})
}

// Connections are redrawn once a second of a target's own time, in long phases seven times.
func TestRoundsPerDraw(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		phase  load.Phase
		length time.Duration
		want   int
	}{
		{load.Phase{Model: load.Closed, Duration: 4 * time.Second}, 250 * ms, 4},
		{load.Phase{Model: load.Closed, Duration: 4 * time.Second}, 300 * ms, 4},
		{load.Phase{Model: load.Closed, Duration: 4 * time.Second}, 2 * time.Second, 1},
		{load.Phase{Model: load.Closed, Duration: 80 * time.Second}, 250 * ms, 40},
		{load.Phase{Model: load.Open, Duration: 4 * time.Second}, 250 * ms, 0},
		{load.Phase{Model: load.Closed, Duration: 4 * time.Second, Reconnect: true}, 250 * ms, 0},
	} {
		if got := roundsPerDraw(c.phase, c.length); got != c.want {
			t.Errorf("%+v in slices of %v: every %d rounds, want %d", c.phase, c.length, got, c.want)
		}
	}
}

// New connections over TLS cost more than a run-in hides: those stay open.
func TestRedrawsOfServers(t *testing.T) {
	for url, want := range map[string]error{"http://127.0.0.1:1/": nil, "https://127.0.0.1:1/": errNoRedraw} {
		if got := (&server{plan: plan.Target{URL: url}}).redraw(t.Context()); got != want {
			t.Errorf("%s: %v, want %v", url, got, want)
		}
	}
}

// Connections that cannot be redrawn are that block's reason, and it is measured again; where the venue is lost the run ends.
func TestFailedRedrawsRepeatTheBlock(t *testing.T) {
	for name, c := range map[string]struct {
		fails  int
		trials []string
		words  []string
	}{
		"once": {1, []string{"1 fastapi block", "1 flask block", "2 fastapi", "2 flask"}, nil},
		"always": {3, []string{
			"1 fastapi block", "1 flask block", "2 fastapi block", "2 flask block", "3 fastapi block", "3 flask block",
		}, []string{"flask has none in 1 of 1 block"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				for range c.fails {
					w.script["flask"] = append(w.script["flask"], act{redraw: errFaked})
				}
				dir, _ := conducted(t, w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly), c.words...)
				w.wantNoMistake(t)
				wantList(t, "trials", attemptsOf(t, dir), c.trials...)
				said := 0
				for _, reason := range reasonsOf(t, dir) {
					if reason.Text == "phase closed: the connections of flask could not be redrawn: faked" {
						said++
					}
				}
				if said != c.fails {
					t.Errorf("%d reasons name flask, want %d: %+v", said, c.fails, reasonsOf(t, dir))
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["flask"] = []act{{redraw: errFaked, phase: func(p *phaseFaked) {
			if p.task.Phase.Number != warmupPhase {
				w.lost = errors.New("the guard is gone")
			}
		}}}
		dir, _ := conducted(t, w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly), "the guard is gone")
		if rec := runOf(t, dir); rec.Status != record.Aborted {
			t.Errorf("run.json: %s", rec.Status)
		}
	})
}
