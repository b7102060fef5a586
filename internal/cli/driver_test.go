package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestDriver takes a driver through a whole run next to a target: in turns, after a pilot, with a phase through the balancer and
// without it, and one of pings. TestRun has an open phase of both. The database counts of both what the agents sent, nobody is ranked against the driver, and the
// report has the shares of the time, which are those of a whole.
func TestDriver(t *testing.T) {
	s := newScene(t)
	text := planText("go-nethttp, {kind: driver}", 1, "pilot: 500ms", "warmup: 500ms", "turns: 150ms")
	text = strings.Replace(text, "duration: 1s}]",
		"duration: 900ms, pair: direct}, {name: ping, model: closed, connections: 4, duration: 900ms, ask: ping}]", 1)
	s.write("p.yaml", text)
	e, r, last := s.measured("run", "p.yaml")
	e.nothingLeft(0)
	wantAll(t, "stderr", e.stderr.String(), "] pilot, go-nethttp, starting\n", "] block 1 of 1, go-nethttp, starting\n")
	if pilot, piloted := r.Run().Pilot, len(last)-len(ofBlocks(last)); pilot == nil || len(pilot.Throughput) != piloted || pilot.Throughput["go-nethttp"] <= 0 {
		t.Errorf("%d trials of the pilot: %+v", piloted, pilot)
	}
	for _, a := range ofBlocks(last) {
		driver := a.said.Target == "driver"
		sent := map[int]int64{}
		for l, err := range a.Loads() {
			if err != nil {
				t.Fatal(err)
			}
			sent[l.Phase] += l.Books.Sent
		}
		for _, p := range a.said.Phases {
			n := sent[p.Number]
			reads, balanced := n, n
			if p.Ask != "" {
				reads = 0
			}
			if p.Direct {
				balanced = 0
			}
			if driver {
				balanced = -1
			}
			if p.Witness.DatabaseReads != reads || p.Witness.BalancerTotal != balanced || n == 0 || p.Direct != (p.Name == "closed-direct") {
				t.Errorf("%s, %s: sent %d, %+v", a.said.Target, p.Name, n, p.Witness)
			}
			if lookups := p.Witness.Lookups; p.Ask == "" && lookups != nil && *lookups != n {
				t.Errorf("%s, %s: sent %d, the database counted %d lookups", a.said.Target, p.Name, n, *lookups)
			}
		}
		if checks := a.said.Checks; driver && (len(checks) != 4 || len(a.said.Replicas) != 0) {
			t.Errorf("checks %+v, replicas %+v", checks, a.said.Replicas)
		}
	}
	var summary struct {
		Verdict struct{ Targets []struct{ Name string } }
		Shares  []struct {
			Phase, Target string
			Database      struct{ Median float64 } `json:"database_and_driver"`
			Balancer      struct {
				N      int
				Median float64
			}
			Pinged struct{ Median float64 } `json:"without_database"`
		} `json:"time_shares"`
	}
	out := s.run(0, "report", "--json", s.theRun()).stdout.String()
	if err := json.Unmarshal([]byte(out), &summary); err != nil {
		t.Fatal(err)
	}
	if got := summary.Verdict.Targets; len(got) != 1 || got[0].Name != "go-nethttp" {
		t.Errorf("ranked: %+v", got)
	}
	if len(summary.Shares) != 1 || summary.Shares[0].Phase != "closed" || summary.Shares[0].Target != "go-nethttp" {
		t.Fatalf("%+v", summary.Shares)
	}
	if one := summary.Shares[0]; !(one.Database.Median > 0.01 && one.Database.Median < 1.5 && one.Pinged.Median > 0.01 && one.Pinged.Median < 1.5) || one.Balancer.N != 1 || one.Balancer.Median > 0.95 {
		t.Errorf("%+v", one)
	}
	wantAll(t, "report", s.run(0, "report", "--full", s.theRun()).stdout.String(), "Shares of the time", "driver is no server", "not deployed")
	wantAll(t, "audit", s.run(0, "audit", s.theRun()).stdout.String(), "0 findings")
	verified := s.run(0, "verify", "p.yaml")
	wantAll(t, "verify", verified.stdout.String(), "driver")
}
