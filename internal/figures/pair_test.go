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
				tr.Phases[i].Model, tr.Phases[i].Rate = "closed", 0
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
			tr.Phases[i].Name, tr.Phases[i].Model, tr.Phases[i].Rate = "closed-reconnect", "closed", 0
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
