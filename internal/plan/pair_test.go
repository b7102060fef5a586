package plan

import (
	"strings"
	"testing"
)

// A pair of connections is two phases that differ in nothing else, next to each other; the plan as resolved has both, and is the same plan.
func TestPair(t *testing.T) {
	const text = "name: p\ntargets: [flask]\nphases: [{model: closed, connections: 8, duration: 2s, pair: connections}, {model: open, rate: 5, duration: 3s}]\n" +
		"thresholds: ['closed-reconnect: throughput > 10', 'closed: throughput > 10']\n"
	p := load(t, text)
	if len(p.Phases) != 3 || p.Phases[2].Name != "open" {
		t.Fatalf("%s", p.YAML())
	}
	first, second := p.Phases[0], p.Phases[1]
	if first.Name != "closed" || first.Reconnect || second.Name != "closed-reconnect" || !second.Reconnect {
		t.Errorf("%+v, %+v", first, second)
	}
	if second.Name, second.Reconnect = first.Name, first.Reconnect; first != second || first.Pair != "" {
		t.Errorf("they differ in more: %+v, %+v", first, second)
	}
	again := load(t, string(p.YAML()))
	if again.Digest() != p.Digest() || len(again.Phases) != 3 {
		t.Errorf("resolved again it is another plan: %v", Diff(p, again))
	}
}

func TestBadPairs(t *testing.T) {
	for phase, want := range map[string]string{
		"{model: closed, connections: 8, duration: 2s, pair: keys}":                                                                                   "phases[0].pair",
		"{model: closed, connections: 8, duration: 2s, pair: connections, reconnect: true}":                                                           "phases[0].reconnect: a pair of connections has both",
		"{name: " + strings.Repeat("a", 60) + ", model: closed, connections: 8, duration: 2s, pair: connections}":                                     "is no name for its second phase",
		"{name: a, model: closed, connections: 8, duration: 2s, pair: connections}, {name: a-reconnect, model: closed, connections: 8, duration: 2s}": `"a-reconnect" is the name of a phase of the plan already`,
	} {
		_, err := Load("p.yaml", []byte("name: p\ntargets: [flask]\nphases: ["+phase+"]\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", phase, err, want)
		}
	}
}

// A plan with a phase of pings, as resolved, is read again.
func TestPingsResolved(t *testing.T) {
	p := load(t, "name: p\ntargets: [flask]\nphases: [{name: ping, model: closed, connections: 8, duration: 2s, ask: ping}, {model: closed, connections: 8, duration: 2s}]\n")
	if again := load(t, string(p.YAML())); again.Digest() != p.Digest() || p.Phases[0].Lookups != "client" || p.Phases[1].Lookups != "client" {
		t.Errorf("%v, %+v", Diff(p, again), p.Phases)
	}
}

// The digest of a plan with pings is what it was before targets could be drivers, so that older runs are resumed and compared; what they
// recorded of such a plan is read.
func TestDigestOfPings(t *testing.T) {
	const text = "name: p\ntargets: [flask, fastapi]\nphases: [{name: ping, model: closed, connections: 8, duration: 2s, ask: ping}, {model: closed, connections: 8, duration: 2s}]\n"
	for lines, want := range map[string]string{
		"": "1470173287e260c9fc217a405137669e67b83e5d8bbe04c25c1d4cc30175163b", "dataset: {lookups: server}\n": "41af22a8010c297d0ef39462a9ef920d6ee8871360abf4b0039d8b87d8c1b91a",
	} {
		p := load(t, text+lines)
		if got := p.Digest(); got != want {
			t.Errorf("%q: %s", lines, got)
		}
		if again, err := Load("run.json", p.canonical()); err != nil || again.Digest() != want {
			t.Errorf("%q, as it is recorded: %v", lines, err)
		}
	}
}

func TestBadAsks(t *testing.T) {
	for text, want := range map[string]string{
		"targets: [flask]\nphases: [{model: closed, connections: 8, duration: 2s, ask: demo}]\n":                                                                          "phases[0].ask",
		"targets: [flask]\nphases: [{model: closed, connections: 8, duration: 2s, ask: ping, lookups: server}, {name: b, model: closed, connections: 8, duration: 2s}]\n": "phases[0].lookups: is for lookups",
		"targets: [flask]\nphases: [{model: closed, connections: 8, duration: 2s, ask: ping, engine: jmeter}, {name: b, model: closed, connections: 8, duration: 2s}]\n":  "JMeter drives this phase",
		"targets: [flask]\nprimary: throughput\nphases: [{model: closed, connections: 8, duration: 2s, ask: ping}]\n":                                                     "needs a closed phase",
		"targets: [{name: x, kind: url, url: 'http://127.0.0.1:1/'}]\nphases: [{model: closed, connections: 8, duration: 2s, ask: ping}]\n":                               "phases[0].ask: is for kind: recipe",
	} {
		_, err := Load("p.yaml", []byte("name: p\n"+text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
