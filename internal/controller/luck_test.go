package controller

import (
	"slices"
	"testing"
	"testing/synctest"

	"bakeoff/internal/fleet"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
)

// What a fresh start leaves to chance is drawn for each trial, used, and in its record; a trial that is repeated draws again.
func TestLuckIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["flask"] = []act{{fails: before}}
		dir, _ := conducted(t, w.options(t, "blocks: 2\ndeployment: {replicas: 3}\n"+twoTargets+closedOnly))
		r, err := record.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		paddings, first := map[int]bool{}, map[int]int{}
		for _, state := range r.Trials() {
			trial, err := state.Trial()
			if err != nil {
				t.Fatal(err)
			}
			used := slices.ContainsFunc(w.luck, func(l record.Luck) bool {
				return trial.Luck != nil && l.Padding == trial.Luck.Padding && slices.Equal(l.Order, trial.Luck.Order)
			})
			if !used || len(trial.Luck.Order) != 3 {
				t.Errorf("%s in block %d: %+v is recorded, %+v were used", trial.Target, trial.Block, trial.Luck, w.luck)
				continue
			}
			paddings[trial.Luck.Padding] = true
			if len(trial.Luck.Agents) != 2 {
				t.Errorf("agents %v", trial.Luck.Agents)
				continue
			}
			first[trial.Luck.Agents[0]]++
			given := slices.ContainsFunc(w.tasks, func(task fleet.Task) bool {
				return slices.Equal(task.Shares, []int{trial.Luck.Agents[0] - 1, trial.Luck.Agents[1] - 1})
			})
			if !given && len(trial.Phases) > 0 {
				t.Errorf("%v is recorded, and no phase had it", trial.Luck.Agents)
			}
		}
		for _, task := range w.tasks {
			if len(task.Shares) != 2 {
				t.Errorf("a phase with shares %v", task.Shares)
			}
		}
		if len(first) != 2 {
			t.Errorf("the same agent goes first in all trials: %v", first)
		}
		if len(w.luck) != 5 || len(paddings) != 5 {
			t.Errorf("%d starts, %d different paddings, want 5: %+v", len(w.luck), len(paddings), w.luck)
		}
	})
}

// A resumed run draws for each trial which agent has the first connection and the first request, and all else that a start leaves
// to chance: what the plan draws for it, as if there had been no interruption.
func TestResumeDrawsLuck(t *testing.T) {
	for _, turns := range []string{"off", "250ms"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			o := w.options(t, "blocks: 6\nturns: "+turns+"\ndeployment: {replicas: 3}\n"+twoTargets+closedOnly)
			o.Resume = interrupted(t, w, o, "flask", 2, 1)
			w.script, w.tasks = map[string][]act{}, nil
			dir, _ := conducted(t, o)
			first := map[int]int{}
			for _, state := range openRecord(t, dir).Trials() {
				trial, err := state.Trial()
				if err != nil {
					t.Fatal(err)
				}
				padding, order, agents := o.Plan.Luck(plan.Trial{Block: trial.Block, Target: trial.Target}, trial.Attempt)
				if l := trial.Luck; l == nil || l.Padding != padding || !slices.Equal(l.Order, order) || !slices.Equal(l.Agents, agents) {
					t.Errorf("turns %s, %s in block %d, attempt %d: %+v, want agents %v", turns, trial.Target, trial.Block, trial.Attempt, l, agents)
					continue
				}
				first[agents[0]]++
			}
			if len(first) != 2 {
				t.Errorf("turns %s: the same agent goes first in all trials: %v", turns, first)
			}
			given := map[int]int{}
			for _, task := range w.tasks {
				given[task.Shares[0]+1]++
			}
			if turns == "off" && len(given) != 2 {
				t.Errorf("after the interruption agent %v goes first in all phases", given)
			}
		})
	}
}
