package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/capacity"
	"bakeoff/internal/controller"
	"bakeoff/internal/figures"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/tune"
	"bakeoff/internal/verdict"
)

// The whole of bakeoff tune, on the fake venue and loader of bakeoff ab. The speed of each start varies with a CV of 2 %.

// swept is a plan that sweeps a target over these axes.
const swept = `name: small
blocks: 6
dataset: {rows: 1000}
deployment: {replicas: 1, workers: 2, pool: 5}
budget: {connections: 240, workers: 12}
targets:
  - {name: app, recipe: %q, sweep: %s}
warmup: 1s
turns: 250ms
phases: [{name: closed, model: closed, connections: 16, duration: 2s}]
`

// tuned is what one bakeoff tune came to.
type tuned struct {
	err            error
	stdout, stderr string
	markdown       string
	json           tune.Result
	took           time.Duration
	runs           string // the folder of run directories
}

// tuneWorld is a world in which each setting of the plan has its own rate of answers.
func tuneWorld(t *testing.T, seed uint64, text string, rate func(plan.Target) float64) *abWorld {
	t.Helper()
	p, err := plan.Load("p.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	w := newABWorld(seed, 1)
	for i, target := range p.Targets {
		w.rates[target.Name], w.draw[target.Name] = rate(target), rand.New(rand.NewPCG(seed, uint64(i)))
	}
	return w
}

// tuned runs bakeoff tune in this world on a plan.
func (w *abWorld) tuned(t *testing.T, f tuneFlags, text string) tuned {
	t.Helper()
	return w.tunedUntil(t, t.Context(), f, text)
}

// tunedUntil is the same until the context ends.
func (w *abWorld) tunedUntil(t *testing.T, ctx context.Context, f tuneFlags, text string) tuned {
	t.Helper()
	return w.tunedIn(t, ctx, memoryDir(t), f, text)
}

// tunedIn is the same with the plan and the runs in a folder.
func (w *abWorld) tunedIn(t *testing.T, ctx context.Context, dir string, f tuneFlags, text string) tuned {
	t.Helper()
	path := filepath.Join(dir, "p.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f.out, f.markdown = filepath.Join(dir, "runs"), filepath.Join(dir, "t.md")
	var stdout, stderr bytes.Buffer
	env := Env{Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" }}
	know := func(ctx context.Context, env Env, f runFlags, p planFile) (controller.Options, error) {
		o, _, err := w.open(ctx, env, f, p)
		return o, err
	}
	began := time.Now()
	out := tuned{err: tunePlan(ctx, env, f, path, know, w.open), runs: f.out}
	out.took, out.stdout, out.stderr = time.Since(began), stdout.String(), stderr.String()
	if f.json && stdout.Len() > 0 {
		if err := json.Unmarshal(stdout.Bytes(), &out.json); err != nil {
			t.Fatalf("%v\n%s", err, stdout.String())
		}
	}
	text2, _ := os.ReadFile(f.markdown)
	out.markdown = string(text2)
	return out
}

// peak is a surface with its top at the seed's 7 workers and a pool of 20: every other setting is slower by this share, a step.
func peak(step float64) func(plan.Target) float64 {
	return func(t plan.Target) float64 {
		away := 0.0
		if t.Workers != 7 {
			away++
		}
		if t.Pool != 20 {
			away++
		}
		return 10_000 * (1 - step*away)
	}
}

// foundOf is in how many of 20 tunings of these axes the best setting was found.
func foundOf(t *testing.T, sweep string, step float64) (found, better int) {
	t.Helper()
	text := fmt.Sprintf(swept, abFolder(t, "app"), sweep)
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			got := tuneWorld(t, seed, text, peak(step)).tuned(t, tuneFlags{json: true}, text)
			if got.err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, got.err, got.stderr)
			}
			one := got.json.Targets[0]
			if one.Best == "app-w7-pool20" {
				found++
			}
			if one.Verdict == string(verdict.Better) && one.Rival == "app-w2-pool5" && one.Against == tune.AgainstDefault {
				better++
			}
		})
	}
	return found, better
}

// A best setting that is 5 % ahead of the next is found in at least 19 of 20 tunings, and shown to be better than the plan's own.
func TestTuneFindsTheBest(t *testing.T) {
	t.Parallel()
	if found, better := foundOf(t, "{workers: [2, 7], pool: [5, 20]}", 0.05); found < 19 || better < 19 {
		t.Errorf("of 20: found %d times, confirmed %d times", found, better)
	}
}

// So is one of twelve that is 4 % ahead.
func TestLongTuneFindsTheBest(t *testing.T) {
	if os.Getenv("BAKEOFF_LONG") == "" {
		t.Skip("SKIPPED: BAKEOFF_LONG is not set")
	}
	if found, better := foundOf(t, "{workers: [2, 4, 7, 12], pool: [5, 10, 20]}", 0.04); found < 19 || better < 19 {
		t.Errorf("of 20: found %d times, confirmed %d times", found, better)
	}
}

// What is claimed comes from trials of their own: a setting that the search was right about, and that is slower afterwards, is
// called worse, and what the search found of it stays.
func TestTuneConfirmsInFreshTrials(t *testing.T) {
	text := fmt.Sprintf(swept, abFolder(t, "app"), "{workers: [2, 7]}")
	synctest.Test(t, func(t *testing.T) {
		w := tuneWorld(t, 1, text, func(t plan.Target) float64 { return 1000 * float64(10+t.Workers) })
		w.sick = func(target string, start int) bool {
			if target == "app-w7" && start == 3 { // the search has three blocks, and the third is up
				w.rates["app-w7"] = 8000
			}
			return false
		}
		got := w.tuned(t, tuneFlags{json: true}, text)
		one := got.json.Targets[0]
		if one.Best != "app-w7" || one.Verdict != string(verdict.Worse) || exitStatus(got.err) != exitMissed {
			t.Fatalf("status %d (%v): %+v", exitStatus(got.err), got.err, one)
		}
		if c := one.Comparison; c.Blocks != 6 || c.Ratio > 0.8 {
			t.Errorf("%+v", c)
		}
		if second := one.Settings[1]; second.Name != "app-w2" || second.Ratio.Value > 0.75 || second.Blocks != 3 {
			t.Errorf("%+v", second)
		}
	})
}

// Every run is an ordinary run directory with its report, has the seed and the trials of its own, and together they keep --max-time.
func TestTuneRuns(t *testing.T) {
	text := fmt.Sprintf(swept, abFolder(t, "app"), "{workers: [2, 4, 7, 12], pool: [5, 20]}")
	synctest.Test(t, func(t *testing.T) {
		most := 270 * time.Second
		got := tuneWorld(t, 2, text, peak(0.1)).tuned(t, tuneFlags{json: true, maxTime: most}, text)
		if got.err != nil || got.took > most {
			t.Fatalf("after %v of %v: %v\n%s", got.took, most, got.err, got.stderr)
		}
		seeds := map[uint64]bool{}
		var sizes []string
		for _, run := range append(slices.Clone(got.json.Search), got.json.Confirm) {
			r, err := record.Open(run.Dir)
			if err != nil {
				t.Fatal(err)
			}
			s, err := figures.Build(r)
			if err != nil || s.Run.Status != record.Complete || run.Status != record.Complete || run.Targets != len(s.Targets) {
				t.Errorf("%+v: %v, %s", run, err, s.Run.Status)
			}
			seeds[s.Run.Seed] = true
			if confirms := run.Dir == got.json.Confirm.Dir; confirms == (s.Run.Search != "") {
				t.Errorf("%s is marked as %q of a search", run.Dir, s.Run.Search)
			}
			if (s.Verdict == nil) != (s.Run.Search != "") {
				t.Errorf("%s, %q of a search, has the verdict %+v, %q", run.Dir, s.Run.Search, s.Verdict, s.NoVerdict)
			}
			sizes = append(sizes, fmt.Sprint(len(s.Targets)))
			if _, err := os.Stat(filepath.Join(run.Dir, "report.html")); err != nil {
				t.Error(err)
			}
			if !slices.ContainsFunc(s.Notes, func(note string) bool { return strings.Contains(note, "differ within the budget: ") }) {
				t.Errorf("what differs is not in the notes: %q", s.Notes)
			}
		}
		if strings.Join(sizes, " ") != "8 4 2 2" || len(seeds) != 4 {
			t.Errorf("runs of %v settings, %d seeds", sizes, len(seeds))
		}
		if entries, err := os.ReadDir(got.runs); err != nil || len(entries) != 4 {
			t.Errorf("%d run directories, %v", len(entries), err)
		}
		if !strings.Contains(got.stderr, "expected: search 8 targets x 2 blocks ") {
			t.Error(got.stderr)
		}
	})
}

// A search that takes longer than planned, because blocks are repeated, is ended in time for the run that confirms.
func TestTuneLeavesTime(t *testing.T) {
	text := fmt.Sprintf(swept, abFolder(t, "app"), "{workers: [2, 7]}")
	synctest.Test(t, func(t *testing.T) {
		w := tuneWorld(t, 1, text, func(t plan.Target) float64 { return 1000 * float64(10+t.Workers) })
		began := time.Now()
		checks := map[int]int{}
		w.sick = func(target string, start int) bool {
			if target == "app-w2" {
				checks[start]++
			}
			return checks[start] == 2 && start > 1 && time.Since(began) < 36*time.Second // found out after the load
		}
		dir := memoryDir(t)
		got := w.tunedIn(t, t.Context(), dir, tuneFlags{json: true, maxTime: 90 * time.Second}, text)
		if got.err != nil || got.json.Search[0].Status != record.Aborted || got.took > 90*time.Second {
			t.Fatalf("after %v: %v, %+v", got.took, got.err, got.json.Search)
		}
		if one := got.json.Targets[0]; one.Verdict != string(verdict.Better) || one.Comparison.Blocks != 6 || one.Settings[1].Blocks != 1 {
			t.Errorf("%+v", one)
		}
		nothingLeftToTune(t, w, dir, tuneFlags{maxTime: 90 * time.Second}, text, got) // it was ended in time, and is over
	})
}

// Text and Markdown have the verdict, every setting with its interval, and the runs.
func TestTuneSays(t *testing.T) {
	text := fmt.Sprintf(swept, abFolder(t, "app"), "{workers: [2, 7]}")
	synctest.Test(t, func(t *testing.T) {
		got := tuneWorld(t, 1, text, peak(0.2)).tuned(t, tuneFlags{}, text)
		if got.err != nil {
			t.Fatal(got.err)
		}
		for what, text := range map[string]string{"text": got.stdout, "Markdown": got.markdown} {
			text := strings.Join(strings.Fields(text), " ")
			for _, want := range []string{
				"app: app-w7 is better than app-w2: at least ", "app-w2 is the setting that the plan gives without a sweep", "workers 7", "best", "workers 2", "0.7", "Bonferroni",
				"What is claimed is from other trials.", "search 1", "small-search-1", "confirmed", "small-confirm", "budget for each target: 240 connections to the database and 12 workers",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("%s has no %q:\n%s", what, want, text)
				}
			}
		}
	})
}

// Where the plan's own setting is the best, it is compared with the second; several targets are confirmed in one run.
func TestTuneSeveral(t *testing.T) {
	one, two := abFolder(t, "one"), abFolder(t, "two")
	text := fmt.Sprintf(swept, one, "{workers: [2, 4, 7]}")
	text = strings.Replace(text, "\nwarmup", fmt.Sprintf("\n  - {name: other, recipe: %q, sweep: {pool: [3, 5]}}\n  - {name: still, recipe: %q}\nwarmup", two, two), 1)
	synctest.Test(t, func(t *testing.T) {
		w := tuneWorld(t, 3, text, func(t plan.Target) float64 {
			return map[string]float64{"app-w2": 12_000, "app-w4": 11_000, "other-pool3": 8000, "other-pool5": 5000}[t.Name]
		})
		got := w.tuned(t, tuneFlags{json: true}, text)
		if got.err != nil || len(got.json.Targets) != 2 || got.json.Confirm.Targets != 4 {
			t.Fatalf("%v: %+v", got.err, got.json)
		}
		first, second := got.json.Targets[0], got.json.Targets[1]
		if first.Best != "app-w2" || first.Rival != "app-w4" || first.Against != tune.AgainstSecond || first.Default != "app-w2" {
			t.Errorf("%+v", first)
		}
		if second.Best != "other-pool3" || second.Rival != "other-pool5" || second.Against != tune.AgainstDefault || second.Verdict != string(verdict.Better) {
			t.Errorf("%+v", second)
		}
		if w.starts["still"] > 0 {
			t.Error("a target with one setting was measured")
		}
	})
}

// A setting that breaks the contract leaves the search; where all do, nothing was found, and that has its exit status.
func TestTuneSick(t *testing.T) {
	text := fmt.Sprintf(swept, abFolder(t, "app"), "{workers: [2, 4, 7]}")
	for name, c := range map[string]struct {
		sick   func(target string, start int) bool
		best   string
		status int
	}{
		"the fastest":        {func(target string, _ int) bool { return target == "app-w7" }, "app-w4", exitDone},
		"all":                {func(string, int) bool { return true }, "", exitTooFew},
		"once it is found":   {func(target string, start int) bool { return target == "app-w7" && start > 9 }, "app-w7", exitTooFew},
		"none, and not told": {nil, "app-w7", exitDone},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := tuneWorld(t, 5, text, func(t plan.Target) float64 { return 1000 * float64(10+t.Workers) })
				w.sick = c.sick
				got := w.tuned(t, tuneFlags{json: true}, text)
				if exitStatus(got.err) != c.status || name == "all" && !strings.Contains(got.err.Error(), "small-search-1: complete)") {
					t.Fatalf("status %d: %v", exitStatus(got.err), got.err)
				}
				if c.best != "" && got.json.Targets[0].Best != c.best {
					t.Errorf("%+v", got.json.Targets[0])
				}
			})
		})
	}
}

// What cannot be done is refused before anything is started, with the sum and the way out.
func TestTuneRefuses(t *testing.T) {
	folder := abFolder(t, "app")
	for name, c := range map[string]struct {
		sweep, plan string
		flags       tuneFlags
		want        []string
	}{
		"no sweep":     {plan: strings.Replace(swept, "sweep: %s", "workers: %s", 1), sweep: "2", want: []string{"p.yaml: no target has several settings"}},
		"too long":     {plan: swept, sweep: "{workers: [2, 4, 7, 12]}", flags: tuneFlags{maxTime: time.Minute}, want: []string{"p.yaml: search 4 targets x 2 blocks ", " in all, longer than --max-time 1m"}},
		"unknown axis": {plan: swept, sweep: "{worker: [2]}", want: []string{"p.yaml:7:", "targets[0].sweep.worker: unknown key"}},
		"delta":        {plan: swept, sweep: "{workers: [2, 4]}", flags: tuneFlags{delta: "3"}, want: []string{`--delta is "3"`}},
		"pilots": {
			plan:  strings.Replace(swept, "phases: [{name: closed, model: closed, connections: 16, duration: 2s}]", "pilot: 2s\nphases: [{model: open, rate_of_pilot: 0.6, duration: 2s}]", 1),
			sweep: "{workers: [2, 4]}",
			want:  []string{"p.yaml:11:", "phases[0].rate_of_pilot: is not for bakeoff tune in the phase that decides: each stage of a search has a pilot of its own", "give a rate"},
		},
		"negative": {plan: swept, sweep: "{workers: [2, 4]}", flags: tuneFlags{maxTime: -1}, want: []string{"--max-time -1ns is negative"}},
	} {
		text := fmt.Sprintf(c.plan, folder, c.sweep)
		w := newABWorld(1, 1)
		got := w.tuned(t, c.flags, text)
		if exitStatus(got.err) != exitUsage || len(w.starts) > 0 {
			t.Errorf("%s: status %d, %d started", name, exitStatus(got.err), len(w.starts))
		}
		for _, want := range c.want {
			if got.err == nil || !strings.Contains(got.err.Error(), want) {
				t.Errorf("%s: %v, want %s", name, got.err, want)
			}
		}
	}
}

// A run of a sweep that does not fit into --max-time is refused with its sum; one that fits is not, nor one without a sweep.
func TestSweepFits(t *testing.T) {
	text := fmt.Sprintf(swept, abFolder(t, "app"), "{workers: [2, 4, 7]}")
	load := func(text string) planFile {
		p, err := plan.Load("p.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return planFile{Plan: p, given: []byte(text), name: "p.yaml"}
	}
	env := Env{Assets: os.DirFS("../.."), Getenv: func(name string) string {
		return map[string]string{"BAKEOFF_CACHE": t.TempDir(), "HOME": t.TempDir()}[name]
	}}
	err := (&runFlags{out: ".", maxTime: time.Minute}).fits(env, load(text))
	if exitStatus(err) != exitUsage || !strings.Contains(err.Error(), "p.yaml: 3 targets: ") || !strings.Contains(err.Error(), " before block 1 + 6 blocks of ") || !strings.Contains(err.Error(), ", longer than --max-time 1m") {
		t.Errorf("status %d: %v", exitStatus(err), err)
	}
	if err := (&runFlags{out: ".", maxTime: time.Hour}).fits(env, load(text)); err != nil {
		t.Error(err)
	}
	alone := strings.Replace(text, "sweep: {workers: [2, 4, 7]}", "workers: 2", 1)
	if err := (&runFlags{out: ".", maxTime: time.Second}).fits(env, load(alone)); err != nil {
		t.Error(err)
	}
}

// A tuning that is interrupted says where its runs are, and claims nothing.
func TestTuneInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := fmt.Sprintf(swept, abFolder(t, "app"), "{workers: [3, 4, 7, 12]}")
		whole := tuneWorld(t, 1, text, peak(0.05)).tuned(t, tuneFlags{}, text)
		if whole.err != nil || strings.Contains(whole.stderr, "without a result") {
			t.Fatalf("%v\n%s", whole.err, whole.stderr)
		}
		ctx, cancel := context.WithTimeout(t.Context(), whole.took-30*time.Second) // in the run that confirms
		defer cancel()
		got := tuneWorld(t, 1, text, peak(0.05)).tunedUntil(t, ctx, tuneFlags{}, text)
		listed, err := record.List(got.runs)
		if err != nil || got.err == nil || got.stdout != "" || len(listed) < 3 {
			t.Fatalf("%v, %v, %d runs, printed %q", got.err, err, len(listed), got.stdout)
		}
		for _, run := range listed {
			if !strings.Contains(got.stderr, "without a result of the search: "+run.Dir+"\n") {
				t.Errorf("%s is not named:\n%s", run.Dir, got.stderr)
			}
		}
	})
}

// Of capacities a bound counts where a block has no more, and a setting that no agent could bound from above ends the search: left
// out, the best one would come last.
func TestTuneCapacity(t *testing.T) {
	for _, c := range []struct {
		says   string
		second capacity.Result
		values int // of both settings; 0: the search ends
	}{
		{"each block is bounded", capacity.Result{Outcome: capacity.Found, Centre: 300}, 14},
		{"above the ceiling", capacity.Result{Outcome: capacity.AtLeast, Lower: 900}, 0},
		{"impossible", capacity.Result{Outcome: capacity.Impossible, Upper: 25}, 7},
	} {
		r := recordtest.Of(7, "app-w2", "app-w4")
		r.ClosedS, r.Head.Search = 1, "stage 1 of 1"
		r.WithCapacity(map[string]float64{"app-w2": 400, "app-w4": 500})
		r.Head.Pilot.Capacity["app-w4"] = c.second
		if c.second.Outcome != capacity.Found {
			r.Head.Order = slices.DeleteFunc(r.Head.Order, func(p record.Place) bool { return p.Target == "app-w4" })
		}
		reader, err := record.Open(r.Write(t))
		if err != nil {
			t.Fatal(err)
		}
		s, err := figures.Build(reader)
		if err != nil {
			t.Fatal(err)
		}
		var search tuning
		err = search.take(1, s)
		if ended := exitStatus(err) == exitTooFew && strings.Contains(err.Error(), "the agents are the limit: app-w4 met the objective up to their ceiling"); ended != (c.values == 0) {
			t.Errorf("%s: %v", c.says, err)
		}
		if len(search.values) != c.values {
			t.Errorf("%s: %d values: %+v", c.says, len(search.values), search.values)
		}
	}
}
