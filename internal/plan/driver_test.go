package plan

import (
	"strings"
	"testing"
)

const driverPhases = "phases: [{model: closed, connections: 8, duration: 2s}]\n"

// A driver stands next to targets of recipes; it has a name and nothing else, and is not among those that are ranked.
func TestDriver(t *testing.T) {
	p := load(t, "name: p\ntargets: [flask, {kind: driver}]\n"+driverPhases)
	d := p.Targets[1]
	if d.Name != "driver" || !d.Driver() || p.Targets[0].Driver() || p.Running() {
		t.Errorf("%+v", p.Targets)
	}
	if ranked := p.Ranked(); len(ranked) != 1 || ranked[0].Name != "flask" || len(p.Targets) != 2 {
		t.Errorf("ranked: %+v", ranked)
	}
	if again := load(t, string(p.YAML())); again.Digest() != p.Digest() {
		t.Errorf("resolved again it is another plan: %v", Diff(p, again))
	}
	if named := load(t, "name: p\ntargets: [flask, {kind: driver, name: db}]\n"+driverPhases); named.Targets[1].Name != "db" {
		t.Errorf("%+v", named.Targets)
	}
	if images, _ := p.Images(); strings.Join(images, " ") != "bakeoff database flask nginx" {
		t.Errorf("images: %q", images)
	}
}

func TestBadDrivers(t *testing.T) {
	for text, want := range map[string]string{
		"targets: [{kind: driver}]\n" + driverPhases:                                                                  "needs a target of a recipe",
		"targets: [flask, {kind: driver}, {kind: driver, name: b}]\n" + driverPhases:                                  "targets[2].kind: there is a driver already",
		"targets: [flask, {kind: driver, recipe: flask}]\n" + driverPhases:                                            "targets[1].recipe: is not for kind: driver",
		"targets: [flask, {kind: driver, workers: 2}]\n" + driverPhases:                                               "targets[1].workers: is not for kind: driver",
		"targets: [{name: x, kind: url, url: 'http://127.0.0.1:1/'}, {kind: driver}]\n" + driverPhases:                "is a driver, targets[0] is a running server",
		"primary: capacity\npilot: 3s\nobjective: {p99: 50ms}\ntargets: [flask, {kind: driver}]\n" + driverPhases:     "has no capacity",
		"targets: [flask, {kind: driver}]\nphases: [{model: closed, connections: 8, duration: 2s, engine: jmeter}]\n": "JMeter drives a phase",
		"targets: [flask, {kind: driver}]\ndataset: {lookups: server}\n" + driverPhases:                               "draws no keys",
		"targets: [flask, {kind: drive}]\n" + driverPhases:                                                            "recipe or url or driver",
	} {
		_, err := Load("p.yaml", []byte("name: p\n"+text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// A direct pair is two phases that differ in the way alone, of the same target in the same block.
func TestDirectPair(t *testing.T) {
	const text = "name: p\ndeployment: {replicas: 3}\ntargets: [flask]\nphases: [{model: open, rate: 50, duration: 3s, pair: direct}, {model: closed, connections: 8, duration: 2s}]\n"
	p := load(t, text)
	first, second := p.Phases[0], p.Phases[1]
	if len(p.Phases) != 3 || first.Direct || second.Name != "open-direct" || !second.Direct || p.Primary != Throughput {
		t.Fatalf("%s", p.YAML())
	}
	if second.Name, second.Direct = first.Name, false; first != second || first.Pair != "" {
		t.Errorf("they differ in more: %+v, %+v", first, second)
	}
	if again := load(t, string(p.YAML())); again.Digest() != p.Digest() || len(again.Phases) != 3 {
		t.Errorf("resolved again it is another plan: %v", Diff(p, again))
	}
	if short := p.Short(); short.Phases[1].Connections < 6 {
		t.Errorf("%d connections do not reach 3 replicas from 2 agents", short.Phases[1].Connections)
	}
	for phase, want := range map[string]string{
		"{model: closed, connections: 4, duration: 2s, pair: direct}":                                                                "4 connections do not reach every replica",
		"{model: closed, connections: 8, duration: 2s, pair: direct, direct: true}":                                                  "phases[0].direct: a direct pair has both",
		"{model: closed, connections: 8, duration: 2s, pair: direct, engine: jmeter}":                                                "JMeter drives this phase",
		"{model: closed, connections: 8, duration: 2s, direct: true}":                                                                `"throughput" needs a closed phase`,
		"{name: a, model: closed, connections: 8, duration: 2s, pair: direct}, {name: a-direct, model: open, rate: 5, duration: 2s}": `"a-direct" is the name of a phase`,
	} {
		more := ""
		if strings.Contains(want, "needs") {
			more = "primary: throughput\n"
		}
		_, err := Load("p.yaml", []byte("name: p\ndeployment: {replicas: 3}\ntargets: [flask]\n"+more+"phases: ["+phase+"]\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", phase, err, want)
		}
	}
	for text, want := range map[string]string{
		"balancer: {kind: direct}\ntargets: [flask]\n":                  "leaves the balancer out",
		"targets: [{name: x, kind: url, url: 'http://127.0.0.1:1/'}]\n": "is for kind: recipe",
	} {
		_, err := Load("p.yaml", []byte("name: p\n"+text+"phases: [{model: closed, connections: 8, duration: 2s, pair: direct}]\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
