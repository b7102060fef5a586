package plan

import (
	"strings"
	"testing"
	"time"

	"bakeoff/internal/capacity"
)

const withObjective = "primary: capacity\npilot: 3s\nobjective: {p99: 50ms}\n"

func TestObjective(t *testing.T) {
	p := small(t, 2, withObjective)
	if !p.Asks() || p.Objective != (Objective{P99: Duration(50 * time.Millisecond), Errors: 0.001, Stage: Duration(10 * time.Second), Connections: 256}) {
		t.Errorf("%+v", p.Objective)
	}
	if got := p.Objective.Meets(); got != (capacity.Objective{Percentile: 0.99, Bound: 50 * time.Millisecond, Errors: 0.001}) {
		t.Errorf("%+v", got)
	}
	if p.InFlight() != 256 {
		t.Errorf("%d in flight", p.InFlight())
	}
	again := load(t, string(p.YAML()))
	if again.Digest() != p.Digest() {
		t.Error("the resolved plan has another digest")
	}
	p = small(t, 2, "primary: capacity\npilot: 3s\nobjective: {p95: 1s, errors: 2%, stage: 30s, connections: 64}\n")
	if got := p.Objective.Meets(); got != (capacity.Objective{Percentile: 0.95, Bound: time.Second, Errors: 0.02}) || p.Objective.Stage != Duration(30*time.Second) {
		t.Errorf("%+v, %+v", got, p.Objective)
	}
	if short := p.Short(); short.Asks() || short.Objective != (Objective{}) {
		t.Errorf("a short plan searches for %+v", short.Objective)
	}
}

func TestObjectiveMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"objective: {p99: 50ms}\n":                                             "test.yaml:6:12: objective is for primary: capacity",
		"primary: capacity\npilot: 3s\n":                                       "a capacity needs an objective",
		"primary: capacity\nobjective: {p99: 50ms}\n":                          "it needs a pilot",
		"primary: capacity\npilot: 3s\nobjective: {errors: 1%}\n":              "an objective bounds one of p90, p95 and p99",
		"primary: capacity\npilot: 3s\nobjective: {p95: 1s, p99: 2s}\n":        "objective.p99 p95 and p99 exclude each other",
		"primary: capacity\npilot: 3s\nobjective: {p99: 0.1ms}\n":              "objective.p99 must be 1ms to 1m",
		"primary: capacity\npilot: 3s\nobjective: {p99: 50}\n":                 "has no unit",
		"primary: capacity\npilot: 3s\nobjective: {p99: 1s, errors: 20%}\n":    "objective.errors must be above 0% and at most 10%, but is 20%",
		"primary: capacity\npilot: 3s\nobjective: {p99: 1s, stage: 1s}\n":      "objective.stage must be 10s to 10m, but is 1s",
		"primary: capacity\npilot: 3s\nobjective: {p99: 1s, p98: 1s}\n":        "p98",
		"primary: capacity\npilot: 3s\nobjective: {p99: 10s}\n":                "objective bounds the response time by 10s, but the first phase has a time-out of 10s",
		"primary: capacity\npilot: 3s\nobjective: {p99: 1s, connections: 1}\n": "objective.connections 1 connections are fewer than the 2 agents",
	} {
		_, err := Load("test.yaml", []byte("name: small\nblocks: 5\ntargets: [a, b]\nphases: [{model: closed, connections: 8, duration: 2s}]\n\n"+text))
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), ": ", " "), strings.ReplaceAll(want, ": ", " ")) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// A capacity needs a closed phase, an engine of bakeoff's own, and the names of its stages.
func TestCapacityNeeds(t *testing.T) {
	for phases, want := range map[string]string{
		"[{model: open, rate: 10, duration: 2s}]":                          `"capacity" needs a closed phase`,
		"[{model: closed, connections: 8, duration: 2s, engine: jmeter}]":  "needs an engine of bakeoff's own",
		"[{name: stage-2, model: closed, connections: 8, duration: 2s}]":   "names of bakeoff's own",
		"[{name: search-14, model: closed, connections: 8, duration: 2s}]": "names of bakeoff's own",
		"[{name: stage-15, model: closed, connections: 8, duration: 2s}]":  "",
	} {
		_, err := Load("test.yaml", []byte("name: small\nblocks: 5\ntargets: [a, b]\n"+withObjective+"phases: "+phases+"\n"))
		if got := err != nil && strings.Contains(err.Error(), want); want != "" && !got || want == "" && err != nil {
			t.Errorf("%s: %v, want %q", phases, err, want)
		}
	}
}

// What is planned includes the search and the stages; the search of three targets takes at most 20 minutes.
func TestExpectedWithStages(t *testing.T) {
	o := Overhead{Trial: 5 * time.Second, Together: 5 * time.Second, Phase: time.Second, Turns: true, Slice: 10 * time.Millisecond}
	without := small(t, 3, "pilot: 3s\nturns: 250ms\n")
	with := small(t, 3, "turns: 250ms\n"+withObjective)
	stage := 3*(10*time.Second+10*10*time.Millisecond) + time.Second + Coolest // in slices of 1 s
	if got, want := with.Block(o)-without.Block(o), 4*stage; got != want {
		t.Errorf("a block takes %v longer, want %v", got, want)
	}
	search := 3 * capacity.MostSearch * (10*time.Second + time.Second + Coolest)
	if got, want := with.Expected(o)-without.Expected(o), search+5*4*stage+with.Rest()-without.Rest(); got != want {
		t.Errorf("the run takes %v longer, want %v", got, want)
	}
	if pilot := search + 3*(o.Trial+3*time.Second+time.Second+2*time.Second+time.Second); pilot > 20*time.Minute {
		t.Errorf("the pilot of three targets takes %v", pilot)
	}
	o.Turns = false
	if got, want := with.Block(o)-without.Block(o), 3*4*(10*time.Second+time.Second+Coolest); got != want {
		t.Errorf("a block without turns takes %v longer, want %v", got, want)
	}
}
