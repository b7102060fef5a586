package controller

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// What a run says while it lasts, and what it writes into run.json and trial.json in addition to reasons.

// texts are what was said, and how often; lasting only what stays.
func (w *world) texts(lasting bool) map[string]int {
	out := map[string]int{}
	for _, e := range w.events {
		if e.Lasting || !lasting {
			out[e.Text]++
		}
	}
	return out
}

// Why a trial is refused, and what to know of a valid one, stays to be read; each trial has its number among all.
func TestRunsSayWhatHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.foreign = between(5*time.Second, time.Hour, 0.08) // a warning
		w.script["flask"] = []act{{fails: before}}
		o := w.options(t, "blocks: 2\n"+twoTargets+closedOnly)
		dir, _ := conducted(t, o)
		said := w.texts(true)
		if said["invalid: contract: "+reasonsOf(t, dir)[0].Text] != 1 {
			t.Errorf("the refused trial is not in %v", said)
		}
		warnings := 0
		for text, n := range said {
			if strings.HasPrefix(text, "warning: disturbed-host: phase closed: other programs used 8.0 %") {
				warnings += n
			}
		}
		if warnings != len(warningsOf(t, dir)) || warnings == 0 {
			t.Errorf("%d warnings are said, %d recorded", warnings, len(warningsOf(t, dir)))
		}
		numbers := map[int]bool{}
		for _, e := range w.events {
			if e.Text == "starting" {
				numbers[e.Trial] = true
				if e.Trials != 4 || e.Blocks != 2 || e.Attempt == 0 || e.Target == "" {
					t.Errorf("%+v", e)
				}
			}
			if strings.HasPrefix(e.Text, "closed: 32 connections for 10s") && e.Expect != 10*time.Second {
				t.Errorf("%+v takes 10 s", e)
			}
		}
		if len(numbers) != 4 || !numbers[1] || !numbers[4] {
			t.Errorf("numbers of trials %v, want 1 to 4", numbers)
		}
	})
}

// Phases are described by what they ask for.
func TestPhasesInWords(t *testing.T) {
	for want, p := range map[string]load.Phase{
		"open: 150/s for 2s":           {Name: "open", Model: load.Open, Rate: 150.4, Connections: 3, Duration: 2 * time.Second},
		"closed: 3 connections for 2s": {Name: "closed", Model: load.Closed, Rate: 0, Connections: 3, Duration: 2 * time.Second},
	} {
		if got := describe(p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// run.json says what the run was: its plan's reason for differences, the digest at the end, the folder of its recipes, each target once,
// also where the run went on.
func TestRunIsDescribed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		const why = "to see what a pool is worth"
		o := w.options(t, "blocks: 2\nallow_unfair: "+why+"\ntargets: [flask, {recipe: django, name: django}, {recipe: flask, name: again}]\nwarmup: 1s\n"+closedOnly)
		o.PlanDir = "/plans"
		dir := interrupted(t, w, o, "django", 1, 1)
		w.script, o.Resume = map[string][]act{}, dir
		conducted(t, o)
		rec := runOf(t, dir)
		if n := strings.Count(strings.Join(rec.Notes, "\n"), "differences between targets allowed: "+why); n != 1 {
			t.Errorf("notes %q", rec.Notes)
		}
		if rec.Database.DigestAtEnd != w.rows.Digest() || rec.Database.Rows != 1000 || rec.Balancer.Kind != "nginx" || rec.PlanDir != "" || rec.Bakeoff != "1" || rec.Salt == "" {
			t.Errorf("run.json: %+v", rec)
		}
		var names []string
		for _, target := range rec.Targets {
			names = append(names, target.Name)
			if pool := *target.Pool; (pool == 0) != (target.Recipe == "django") || target.Digest != w.digest || *target.AccessLog {
				t.Errorf("target %+v, pool %d", target, pool)
			}
		}
		wantList(t, "targets", names, "flask", "django", "again")
		if len(w.prepared) != 4 { // two recipes, twice
			t.Errorf("prepared %q, want each recipe once", w.prepared)
		}
		if rec.Wall < 6*14 || rec.Measured < 60 || rec.Measured > 75 {
			t.Errorf("it took %v s, %v s of them measured, want those of both parts", rec.Wall, rec.Measured)
		}
		if w.texts(false)["preparing flask/"] != 2 || w.texts(false)["reading the table back"] != 1 {
			t.Errorf("said %v", w.texts(false))
		}
	})
}

// Recipes that are folders are relative to the plan's, which is kept.
func TestFolderOfThePlanIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := w.options(t, "blocks: 1\ntargets: [{name: flask, recipe: ./flask}]\n"+closedOnly)
		o.PlanDir = "../../targets"
		dir, _ := conducted(t, o)
		if got := runOf(t, dir).PlanDir; got != "../../targets" {
			t.Errorf("kept %q", got)
		}
		begun, err := Recorded(dir)
		if err != nil || begun.PlanDir != "../../targets" || begun.Plan.Digest() != o.Plan.Digest() || begun.Short {
			t.Errorf("%+v, %v", begun, err)
		}
	})
}

// Which targets were not held apart from bakeoff is noted once.
func TestSharedAccountIsNoted(t *testing.T) {
	for held, want := range map[string]int{"": 0, "guard": 1} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.heldBy = held
			dir, _ := conducted(t, w.options(t, "blocks: 2\n"+twoTargets+closedOnly))
			notes := strings.Join(runOf(t, dir).Notes, "\n")
			if got := strings.Count(notes, sharedAccount); got != want {
				t.Errorf("held by %q: noted %d times, want %d", held, got, want)
			}
			if named := strings.Contains(notes, "flask, fastapi"+sharedAccount) || strings.Contains(notes, "fastapi, flask"+sharedAccount); named != (want > 0) {
				t.Errorf("held by %q: noted %q", held, notes)
			}
		})
	}
}

// Connections are counted in the middle of the last phase, in turns too; where they cannot be that is said and refuses nothing.
func TestConnectionsThatCannotBeCounted(t *testing.T) {
	for turns, counts := range map[string]int{"": 2, "turns: 250ms\n": 2} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.countErr = errFaked
			dir, _ := conducted(t, w.options(t, "blocks: 1\n"+turns+twoTargets+closedOnly))
			if got := w.texts(false)["connections per worker not counted: faked"]; got != counts || len(w.counted) != counts {
				t.Errorf("turns %q: counted %d times, said %d times", turns, len(w.counted), got)
			}
			for _, line := range trialsOf(t, dir) {
				if !strings.HasSuffix(line, " valid") {
					t.Error(line)
				}
			}
			if turns == "" {
				return
			}
			phase := trialRecord(t, dir, 1, "flask").Phases[1]
			half := phase.Ended.Sub(w.began) - 20*2*260*time.Millisecond // 20 of 40 rounds are left
			if w.counted[0] != w.counted[1] || (w.counted[0]-half).Abs() > 300*time.Millisecond {
				t.Errorf("counted at %v, want %v", w.counted, half)
			}
		})
	}
}

// A check is given what the recipe, the plan and the trial say: a whole one only by verify.
func TestWhatACheckIsGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := w.options(t, "blocks: 1\n"+oneTarget+closedOnly)
		conducted(t, o)
		o.LongKeepAlive = true
		if err := Verify(t.Context(), o, func(Findings) {}); err != nil {
			t.Error(err)
		}
		if len(w.asked) != 3 {
			t.Fatalf("%d checks", len(w.asked))
		}
		for i, c := range w.asked {
			whole := i == 2
			if c.Full != whole || c.Long != whole || c.Protocol != "text" || c.KeepAlive != 75*time.Second || !slices.Equal(c.Secrets, []string{"secret"}) || c.InFlight != 32 ||
				c.Dataset.Rows() != 1000 || c.Lookups != dataset.Client || c.Seed == o.Plan.Seed {
				t.Errorf("check %d: %+v", i, c)
			}
		}
		if w.asked[0].Seed != w.asked[1].Seed || w.asked[0].Seed == w.asked[2].Seed {
			t.Error("the keys of a check follow from the salt of its run")
		}
		var spec dataset.WorkloadSpec
		if err := json.Unmarshal(w.tasks[1].Workload, &spec); err != nil || spec.LengthPresent != 10 || spec.LengthAbsent != 20 || spec.HitRatio != 0.5 || spec.Dataset.Rows != 1000 {
			t.Errorf("the workload is %+v: %v", spec, err)
		}
		if task := w.tasks[1]; task.Contract != Contract || task.Seed != o.Plan.Seed || task.Engine != "native" || task.Target != "flask" || task.Phase.Number != 1 {
			t.Errorf("%+v", task)
		}
	})
}

// Windows are written with the replicas' names, where it is known whose an address is.
func TestLinesNameReplicas(t *testing.T) {
	at := time.Unix(1000, 5).In(time.FixedZone("x", 3600))
	s := fleet.Snapshot{Agent: 1, Epoch: 2, Sequence: 3, At: at, Window: stats.Window{Replicas: map[string]stats.Replica{"127.0.0.1:1": {Answers: 7}, "127.0.0.1:2": {Answers: 8}}}}
	got := line(4, s, map[string]string{"127.0.0.1:1": "flask-1"}, false)
	if got.Agent != 1 || got.Epoch != 2 || got.Sequence != 3 || got.Phase != 4 || !got.At.Equal(at) || got.At.Location() != time.UTC ||
		len(got.Replicas) != 2 || got.Replicas["flask-1"].Answers != 7 || got.Replicas["127.0.0.1:2"].Answers != 8 {
		t.Errorf("%+v", got)
	}
}

// Where a name is all that proves who has answered, only names that were given to replicas count, and what has come by several of a
// replica's names is added up.
func TestLinesNameNobodyElse(t *testing.T) {
	s := fleet.Snapshot{Window: stats.Window{Replicas: map[string]stats.Replica{
		"pod-a": {Answers: 7, Errors: 1}, "10.0.0.1:80": {Answers: 5, Errors: 2}, "flask-2": {Answers: 8}, "other": {Answers: 9},
	}}}
	got := line(1, s, map[string]string{"pod-a": "flask-1", "10.0.0.1:80": "flask-1", "pod-b": "flask-2"}, true)
	if one := got.Replicas["flask-1"]; len(got.Replicas) != 1 || one.Answers != 12 || one.Errors != 3 {
		t.Errorf("%+v", got.Replicas)
	}
}

// What was left of earlier trials in the database ends before a trial, whose it was or not.
func TestStatementsOfEarlierTrialsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.under = []database.Session{{ID: 5, User: "of-before", Statement: "SELECT 1"}}
		dir, _ := conducted(t, w.options(t, "blocks: 1\n"+oneTarget+closedOnly))
		if !slices.Equal(w.closed, []int64{5}) {
			t.Errorf("ended %v", w.closed)
		}
		wantList(t, "trials", trialsOf(t, dir), "1-1-flask valid")
	})
}

// A target's account is known, also when it has ended, and is ended once; one that all share is nobody's.
func TestAccountsOfTargets(t *testing.T) {
	w := newWorld()
	s := &recipes{o: &Options{Plan: &plan.Plan{}}, db: &table{world: w}, logins: map[string]*replicated{}}
	d := &replicated{stage: s}
	if err := d.admit(t.Context()); err != nil || s.logins["account-1"] != d || len(w.open) != 1 {
		t.Fatalf("%v, %v, %v", err, s.logins, w.open)
	}
	other := &replicated{stage: s}
	other.accuse("account-1", record.CodeLocks, "one")
	other.accuse("somebody", record.CodeLocks, "two")
	if mine, its := d.reasons(), other.reasons(); len(mine) != 1 || mine[0].Text != "one" || len(its) != 1 || its[0].Text != "two" || len(d.reasons()) > 0 {
		t.Errorf("%v, %v", mine, its)
	}
	if err := d.dismiss(t.Context()); err != nil || len(w.open) > 0 {
		t.Errorf("%v, %v", err, w.open)
	}
	other.accuse("account-1", record.CodeLeftBehind, "late")
	if mine, its := d.reasons(), other.reasons(); len(mine) != 1 || mine[0].Text != "late" || len(its) > 0 {
		t.Errorf("a statement of one that has just ended: %v, %v", mine, its)
	}
	w.open["account-1"] = true // of somebody else by now
	if err := d.dismiss(t.Context()); err != nil || len(w.open) != 1 {
		t.Errorf("%v, an account was ended twice: %v", err, w.open)
	}
	w.refused[""] = errFaked
	if err := d.examine(t.Context()); err != nil {
		t.Errorf("without an account: %v", err)
	}
	d.login, d.err = database.Account{Access: database.Access{User: "account-1"}}, errFaked
	if w.refused["account-1"] = errFaked; d.examine(t.Context()) != nil {
		t.Error("a target that did not start is examined")
	}
	if d.err = nil; !errors.Is(d.examine(t.Context()), errFaked) {
		t.Error("a look that cannot be made is no error")
	}
}

// What the database says only after the phase is waited for, as long as it goes on; statements that still run are ended and name
// whose they are.
func TestCountsThatComeLate(t *testing.T) {
	for name, c := range map[string]struct {
		late   time.Duration // after the first phase's last answer
		trials []string
	}{
		"at once":         {0, []string{"1-1-flask valid"}},
		"after a moment":  {400 * time.Millisecond, []string{"1-1-flask valid"}},
		"after they rest": {3 * time.Second, []string{"1-1-flask invalid witness", "1-2-flask valid"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				var ended time.Time
				w.behind = func() int64 {
					if ended.IsZero() || time.Since(ended) >= c.late || time.Since(ended) < 0 {
						return 0
					}
					return 3
				}
				w.script["flask"] = []act{{phase: func(p *phaseFaked) {
					if p.task.Phase.Number == 1 {
						ended = time.Now().Add(p.task.Phase.Duration)
					}
				}}}
				dir, _ := conducted(t, w.options(t, "blocks: 1\n"+oneTarget+closedOnly))
				wantList(t, "trials", trialsOf(t, dir), c.trials...)
			})
		})
	}
}
