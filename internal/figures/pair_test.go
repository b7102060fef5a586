package figures

import (
	"encoding/json"
	"slices"
	"testing"

	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// A phase of pings is compared with the first one of lookups of its model, and is no primary phase.
func TestPingsAreCompared(t *testing.T) {
	r := recordtest.Of(2, "a")
	r.Change = func(tr *record.Trial) {
		for i := range tr.Phases {
			if tr.Phases[i].Name == "open" {
				tr.Phases[i].Model, tr.Phases[i].Rate, tr.Phases[i].Arrivals, tr.Phases[i].Connections = "closed", 0, "", 32
			}
			if tr.Phases[i].Name == "closed" {
				tr.Phases[i].Name, tr.Phases[i].Ask = "ping", "ping"
			}
		}
	}
	s := build(t, r.Write(t))
	if len(s.Pairs) != 1 || s.Pairs[0].Second != "ping" || s.Pairs[0].Phase != "open" || !near(s.Pairs[0].Ratio.Median, 1000.0/600) || !near(s.Pairs[0].PerAnswer.Median, 0.6) {
		t.Errorf("%+v", s.Pairs)
	}
	if p, found := s.Primary(); !found || p.Name != "open" {
		t.Errorf("primary phase %q", p.Name)
	}
}

// Two phases that differ in keep-alive alone are compared block by block; others of such a name are not.
func TestPairs(t *testing.T) {
	for plan, want := range map[string]int{
		`[{"name":"closed"},{"name":"closed-reconnect","reconnect":true}]`:                  2,
		`[{"name":"closed"},{"name":"closed-reconnect"}]`:                                   0,
		`[{"name":"closed","reconnect":true},{"name":"closed-reconnect","reconnect":true}]`: 0,
	} {
		r := recordtest.Of(3, "a", "b")
		r.OpenHz = 250 // a quarter of the answers
		r.Head.Plan = json.RawMessage(`{"name":"demo","blocks":3,"primary":"throughput","phases":` + plan + `}`)
		r.Change = func(tr *record.Trial) {
			i := slices.IndexFunc(tr.Phases, func(p record.Phase) bool { return p.Name == "open" })
			p := &tr.Phases[i]
			p.Name, p.Model, p.Rate, p.Arrivals, p.Connections = "closed-reconnect", "closed", 0, "", 32
		}
		s := build(t, r.Write(t))
		if len(s.Pairs) != want {
			t.Fatalf("%s: %d pairs, want %d", plan, len(s.Pairs), want)
		}
		for i, p := range s.Pairs {
			if p.Target != []string{"a", "b"}[i] || p.Phase != "closed" || p.Second != "closed-reconnect" || p.Ratio.N != 3 || !near(p.Ratio.Median, 0.25) || !near(p.PerAnswer.Median, 4) {
				t.Errorf("%+v", p)
			}
		}
	}
}

// Phases that differ in anything else are no pair.
func TestNoPairs(t *testing.T) {
	base := Phase{Name: "a", Model: "open", Connections: 32, Rate: 100, Arrivals: "poisson"}
	p := planned{Phases: []plannedPhase{{Name: "a"}, {Name: "a-reconnect", Reconnect: true}, {Name: "b", Reconnect: true}, {Name: "c", Engine: "http"}}}
	for says, c := range map[string]struct {
		change func(*Phase)
		want   bool
	}{
		"keep-alive":              {func(p *Phase) { p.Name = "a-reconnect" }, true},
		"pings":                   {func(p *Phase) { p.Name, p.Ask = "ping", "ping" }, true},
		"pings, other keep-alive": {func(p *Phase) { p.Name, p.Ask = "b", "ping" }, false},
		"pings, other engine":     {func(p *Phase) { p.Name, p.Ask = "c", "ping" }, false},
		"other model":             {func(p *Phase) { p.Name, p.Model = "a-reconnect", "closed" }, false},
		"other connections":       {func(p *Phase) { p.Name, p.Connections = "a-reconnect", 64 }, false},
		"other rate":              {func(p *Phase) { p.Name, p.Rate = "a-reconnect", 200 }, false},
		"other arrivals":          {func(p *Phase) { p.Name, p.Arrivals = "a-reconnect", "uniform" }, false},
		"other loader":            {func(p *Phase) { p.Name, p.Engine = "a-reconnect", "jmeter" }, false},
	} {
		second := base
		c.change(&second)
		if got := p.pair(base, second); got != c.want {
			t.Errorf("%s: %v", says, got)
		}
	}
}
