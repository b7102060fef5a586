package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/gate"
	"bakeoff/internal/load"
	"bakeoff/internal/record"
)

// A warm-up that ends when it is steady runs in slices, also where a target is alone, and is looked at after
// each round. Nothing measured is looked at for that, and no figure of the warm-up is used.

const (
	// leastWindow is the shortest window of such a warm-up, and windowAnswers how many answers of the slowest target one
	// has at least.
	leastWindow   = 10 * time.Millisecond
	windowAnswers = 20
	// aloneSlice is how long its slices are where targets do not take turns.
	aloneSlice = time.Second
)

// isWarmup identifies the phase that is measured but not used.
func (r *run) isWarmup(p load.Phase) bool { return p.Number == warmupPhase }

// settles identifies a warm-up that ends when every target is steady.
func (r *run) settles(p load.Phase) bool { return r.isWarmup(p) && r.o.Plan.Warmup.Settles() }

// parts is into how many windows a slice of such a warm-up is cut behind its run-in: as many as its end needs come
// in its least length, where the targets answer fast enough. 0: it is no such phase.
func (r *run) parts(p load.Phase, length, runIn time.Duration) int {
	if !r.settles(p) {
		return 0
	}
	shortest := max(leastWindow, windowAnswers*r.slowest()/time.Duration(max(p.Connections, 1)))
	least := time.Duration(r.o.Plan.Warmup.Least)
	return max(1, min(int((length-runIn)/shortest), int((gate.EndingWindows*length+least-1)/least)))
}

// warmUp warms one target up by itself.
func (t *trial) warmUp(ctx context.Context, phase load.Phase) error {
	up := []*trial{t}
	b := &block{run: t.run, up: up, shares: newShares(t.run, up), alone: true}
	return b.phase(ctx, t.sampler, phase, false)
}

// steady reports whether a warm-up may end: it has lasted for its least length, and every target is steady.
func (ts *turns) steady() bool {
	if !ts.run.settles(ts.phase) {
		return false
	}
	for i, watched := range ts.watched {
		if ts.at[i] < time.Duration(ts.run.o.Plan.Warmup.Least)-load.SliceRest || !watched.Ready() {
			return false
		}
	}
	return true
}

// settled is what the record says of how target i's warm-up ended; its phase lasted as long as it took.
func (ts *turns) settled(i int, rec *record.Phase) {
	if !ts.run.settles(ts.phase) {
		return
	}
	rec.DurationS = ts.at[i].Seconds()
	least, most := time.Duration(ts.run.o.Plan.Warmup.Least), time.Duration(ts.run.o.Plan.Warmup.Most)
	rec.Settling = &record.Settling{LeastS: least.Seconds(), MostS: most.Seconds()}
	t := ts.up[i]
	t.mu.Lock() // a sample may come
	defer t.mu.Unlock()
	ts.watched[i].Phase = *rec
	rec.Settling.State = ts.watched[i].Settling().String()
}

// warmups counts the warm-ups so far that end when they are steady, by how they ended.
type warmups map[string]int

// warmupsNote begins the note about them.
const warmupsNote = "warm-ups that end when steady: "

func (w warmups) add(t record.Trial) {
	for _, p := range t.Phases {
		if p.Settling != nil && !p.Unjudged {
			w[p.Settling.State]++
		}
	}
}

// note puts how they ended into the run's notes, in place of what an earlier part of the run said.
func (w warmups) note(rec *record.Run) {
	if len(w) == 0 {
		return
	}
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(w)) {
		parts = append(parts, fmt.Sprintf("%d %s", w[state], state))
	}
	rec.Notes = slices.DeleteFunc(rec.Notes, func(n string) bool { return strings.HasPrefix(n, warmupsNote) })
	rec.Notes = append(rec.Notes, warmupsNote+strings.Join(parts, "; "))
}
