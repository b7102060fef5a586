package controller

import (
	"errors"
	"os"
	"strings"
	"testing"

	"bakeoff/internal/plan"
)

// planOf reads a small plan with some lines of its own.
func planOf(t *testing.T, lines string) Options {
	t.Helper()
	text := "name: test\nblocks: 2\ndeployment: {replicas: 3, workers: 2, pool: 8}\n" + lines +
		"phases: [{name: closed, model: closed, connections: 32, duration: 2s}]\n"
	p, err := plan.Load("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return Options{Plan: p, Recipes: os.DirFS("../../targets")}
}

// wantError fails unless the error holds every word; none means: no error.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if len(words) == 0 && err != nil {
		t.Errorf("refused: %v", err)
	}
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("error %v does not say %q", err, word)
		}
	}
}

func TestBudget(t *testing.T) {
	for name, c := range map[string]struct {
		lines string
		words []string
	}{
		"what the plan needs":    {"targets: [flask]\n", nil},
		"just enough":            {"database: {max_connections: 80}\ntargets: [flask]\n", nil},
		"one too few, with sum":  {"database: {max_connections: 79}\ntargets: [flask]\n", []string{"connection budget exceeded", "flask", "3 replicas x 16 = 48", "80 in all", "79"}},
		"no pool: in flight":     {"database: {max_connections: 63}\ntargets: [django]\n", []string{"django", "32 (one for each request in flight)", "64 in all"}},
		"no pool, but bounded":   {"database: {max_connections: 79}\ntargets: [{recipe: django, settings: {DATABASE_BOUND: semaphore}}]\n", []string{"3 replicas x 16 = 48"}},
		"every one that exceeds": {"database: {max_connections: 60}\ntargets: [flask, fastapi]\n", []string{"flask", "fastapi"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := planOf(t, c.lines)
			entrants, err := o.resolve()
			if err != nil {
				t.Fatal(err)
			}
			wantError(t, o.budget(entrants), c.words...)
		})
	}
}

func TestFair(t *testing.T) {
	for name, c := range map[string]struct {
		lines string
		words []string
	}{
		"alike":                 {"targets: [flask, fastapi, go-nethttp, node-fastify]\n", nil},
		"a pool and none":       {"targets: [flask, django]\n", []string{"unfair", "database connections in all", "flask has 48", "django has 32"}},
		"made alike":            {"targets: [flask, {recipe: django, settings: {DATABASE_BOUND: semaphore}}]\n", nil},
		"workers":               {"targets: [flask, {recipe: fastapi, workers: 4, pool: 4}]\n", []string{"workers per replica: flask has 2, fastapi has 4"}},
		"replicas":              {"targets: [flask, {recipe: fastapi, replicas: 6, workers: 1}]\n", []string{"replicas: flask has 3, fastapi has 6"}},
		"keep-alive":            {"targets: [flask, {name: other, recipe: flask, settings: {KEEPALIVE: \"5\"}}]\n", []string{"keep-alive time-out: flask has 1m15s, other has 5s"}},
		"allowed with a reason": {"allow_unfair: shows what workers give\ntargets: [flask, {recipe: fastapi, workers: 4}]\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := planOf(t, c.lines)
			entrants, err := o.resolve()
			if err != nil {
				t.Fatal(err)
			}
			wantError(t, o.fair(entrants), c.words...)
		})
	}
}

// Within a budget workers and connections may differ, and nothing else; beyond it a target is refused with its sum. A plan that
// sweeps and has none is refused with the one that it needs.
func TestSweepBudget(t *testing.T) {
	const three = "targets: [{recipe: flask, sweep: {workers: [2, 4, 7], pool: [2, 4]}}]\n"
	for name, c := range map[string]struct {
		lines string
		words []string
	}{
		"all within":           {"budget: {connections: 84, workers: 21}\n" + three, nil},
		"too many connections": {"budget: {connections: 83, workers: 21}\n" + three, []string{"over budget: flask-w7-pool4 may open 3 replicas x 28 = 84 connections to the database, budget.connections is 83"}},
		"too many workers":     {"budget: {connections: 84, workers: 20}\n" + three, []string{"over budget: flask-w7-pool2 has 3 replicas x 7 workers = 21, budget.workers is 20", "over budget: flask-w7-pool4"}},
		"allowed to be unfair": {"allow_unfair: to see what they give\nbudget: {connections: 84, workers: 20}\n" + three, []string{"over budget: flask-w7-pool2"}},
		"no budget":            {three, []string{"unfair: workers per replica: flask-w2-pool2 has 2, flask-w7-pool4 has 7 (make them equal, or say why with allow_unfair; settings of one target may differ within a budget: {connections: 84, workers: 21})"}},
		"replicas":             {"budget: {connections: 100, workers: 21}\ntargets: [flask, {recipe: fastapi, replicas: 1}]\n", []string{"unfair: replicas: flask has 3, fastapi has 1 (make them equal, or say why with allow_unfair)"}},
		"none needed":          {"targets: [{recipe: fastapi, sweep: {variant: [none, asyncmy]}}]\n", nil},
		"one for each request": {"budget: {connections: 31, workers: 6}\ntargets: [django]\n", []string{"over budget: django may open 32 (one for each request in flight) connections"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := planOf(t, c.lines)
			entrants, err := o.resolve()
			if err != nil {
				t.Fatal(err)
			}
			wantError(t, errors.Join(o.within(entrants), o.fair(entrants)), c.words...)
		})
	}
}

// What the settings of a sweep are, what each may have, and what differs, is said before the run.
func TestOutlineOfSweep(t *testing.T) {
	o := planOf(t, "budget: {connections: 84, workers: 21}\ntargets: [{recipe: flask, pool: 4, sweep: {workers: [2, 7]}}]\n")
	lines, err := o.Outline()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(lines, "\n")
	for _, want := range []string{
		"database connections of flask-w7: 3 replicas x 28 = 84", "settings of flask: 2: workers 2 or 7", "budget for each target: 84 connections to the database and 21 workers, all replicas together",
		"connections and workers differ within the budget: flask-w2 24 and 6, flask-w7 84 and 21",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	fair, err := planOf(t, "targets: [flask, fastapi]\n").Fairness()
	if err != nil || len(fair) != 1 || !strings.Contains(fair[0], "the same replicas, workers and database connections") {
		t.Errorf("%q, %v", fair, err)
	}
}

func TestUnknownNamesAreRefusedTogether(t *testing.T) {
	o := planOf(t, "targets: [flsk, {recipe: fastapi, variant: asyncmi}, {recipe: django, settings: {DATABASE_BUOND: semaphore}}]\n")
	_, err := o.resolve()
	wantError(t, err, "flsk", "did you mean flask", "asyncmi", "DATABASE_BUOND")
}

func TestExternalBalancerKnowsEachReplica(t *testing.T) {
	o := planOf(t, "balancer: {kind: external, url: \"http://127.0.0.1:8080\", replica_ports: [9001, 9002]}\ntargets: [flask]\n")
	entrants, err := o.resolve()
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, o.ports(entrants), "2 ports are given, flask has 3 replicas")
}
