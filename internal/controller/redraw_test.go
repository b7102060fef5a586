package controller

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/plan"
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
