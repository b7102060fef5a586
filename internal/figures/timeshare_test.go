package figures

import (
	"slices"
	"strings"
	"testing"

	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// drivenRun is a run of two targets and a driver, whose closed phase comes with another one: direct or of pings. The targets answer
// 1,000 a second, the driver 4,000, and in the other phase all as many as hz.
func drivenRun(hz int, change func(*record.Phase)) *recordtest.Run {
	r := recordtest.Of(3, "a", "driver", "b")
	r.Rate = func(target string, _ int) int {
		if target == "driver" {
			return 4000
		}
		return 1000
	}
	r.OpenHz = hz
	r.Head.Targets[1] = record.TargetInfo{Name: "driver", Kind: record.KindDriver, Title: "the database", Protocol: "text"}
	r.Change = func(tr *record.Trial) {
		i := slices.IndexFunc(tr.Phases, func(p record.Phase) bool { return p.Name == "open" })
		p := &tr.Phases[i]
		p.Name, p.Model, p.Rate, p.Arrivals, p.Connections = "other", "closed", 0, "", 32
		change(p)
	}
	return r
}

// A driver shows how much of the time of an answer is the database, a direct phase how much the balancer, and pings what is left
// without the database; nothing is said of what the plan does not have.
func TestTimeShares(t *testing.T) {
	for name, c := range map[string]struct {
		change               func(*record.Phase)
		balancer, rest, ping float64 // -1: not known
	}{
		"direct": {func(p *record.Phase) { p.Direct = true }, 1 - 1000.0/1250, 1000.0/1250 - 0.25, -1},
		"pings":  {func(p *record.Phase) { p.Ask = "ping" }, -1, 0.75, 1000.0 / 1250},
		"both":   {func(p *record.Phase) { p.Ask, p.Direct = "ping", true }, -1, 0.75, -1},
	} {
		s := build(t, drivenRun(1250, c.change).Write(t))
		if len(s.TimeShares) != 2 || s.TimeShares[0].Target != "a" || s.TimeShares[1].Target != "b" {
			t.Fatalf("%s: %+v", name, s.TimeShares)
		}
		for _, one := range s.TimeShares {
			if one.Phase != "closed" || !near(one.Time.Median, 0.032) || !near(one.Database.Median, 0.25) || one.Database.N != 3 {
				t.Errorf("%s: %+v", name, one)
			}
			for what, of := range map[string]struct {
				got  Spread
				want float64
			}{"balancer": {one.Balancer, c.balancer}, "rest": {one.Rest, c.rest}, "pings": {one.Pinged, c.ping}} {
				if known := of.want >= 0; known != (of.got.N == 3) || known && !near(of.got.Median, of.want) {
					t.Errorf("%s, %s: %+v, want %v", name, what, of.got, of.want)
				}
			}
		}
	}
	if plain := build(t, recordtest.Of(2, "a").Write(t)); plain.TimeShares != nil {
		t.Errorf("without a driver or a pair: %+v", plain.TimeShares)
	}
}

// In the open model the time is the median service time, in which what the agents were late is not; a block in which the driver has no valid trial has no share of it.
func TestTimeSharesOfOpenPhases(t *testing.T) {
	r := recordtest.Of(3, "a", "driver")
	r.Head.Targets[1].Kind = record.KindDriver
	r.Change = func(tr *record.Trial) {
		if tr.Target == "driver" && tr.Block == 2 {
			tr.Status = record.Invalid
		}
	}
	s := build(t, r.Write(t))
	i := slices.IndexFunc(s.TimeShares, func(one TimeShare) bool { return one.Phase == "open" })
	if i < 0 {
		t.Fatalf("%+v", s.TimeShares)
	}
	of := s.Phases[1].Targets[0]
	service, response := of.Service[percentileAt(50)].Median, of.Response[percentileAt(50)].Median
	if one := s.TimeShares[i]; one.Target != "a" || one.Database.N != 2 || one.Time.N != 3 || one.Time.Median != service || service >= response {
		t.Errorf("%+v, want a median of %v, not of %v", one, service, response)
	}
}

// A driver is measured, shown and counted, but it is in no ranking, no verdict and no limit.
func TestDriverIsNotRanked(t *testing.T) {
	s := build(t, drivenRun(1000, func(p *record.Phase) { p.Direct = true }).Write(t))
	if len(s.Targets) != 3 || len(s.Ranked()) != 2 || len(s.Phases[0].Targets) != 3 {
		t.Errorf("%d targets, %d ranked, %d in the phase", len(s.Targets), len(s.Ranked()), len(s.Phases[0].Targets))
	}
	if v := s.Verdict; v == nil || len(v.Targets) != 2 || len(v.Comparisons) != 1 || len(v.Values) != 6 {
		t.Errorf("%+v", v)
	}
	for _, l := range s.Limits {
		if l.Target == "driver" {
			t.Errorf("%+v", l)
		}
	}
	for _, p := range s.Pairs {
		if p.Target == "driver" {
			t.Errorf("%+v", p)
		}
	}
	if p, found := s.Primary(); !found || p.Name != "closed" {
		t.Errorf("the primary phase is %s", p.Name)
	}
}

// A direct phase differs in one thing from that through the balancer, and is primary to nothing.
func TestDirectPairs(t *testing.T) {
	base := Phase{Name: "a", Model: "closed", Connections: 32}
	p := planned{Phases: []plannedPhase{{Name: "a"}, {Name: "b", Reconnect: true}}}
	for says, c := range map[string]struct {
		first, second Phase
		want          bool
	}{
		"direct":                   {base, Phase{Name: "a-direct", Model: "closed", Connections: 32, Direct: true}, true},
		"the other way":            {Phase{Name: "a-direct", Model: "closed", Connections: 32, Direct: true}, base, false},
		"other connections":        {base, Phase{Name: "a-direct", Model: "closed", Connections: 8, Direct: true}, false},
		"direct pings":             {base, Phase{Name: "x", Model: "closed", Connections: 32, Direct: true, Ask: "ping"}, false},
		"direct, other keep-alive": {base, Phase{Name: "b", Model: "closed", Connections: 32, Direct: true}, false},
	} {
		if got := p.pair(c.first, c.second); got != c.want {
			t.Errorf("%s: %v", says, got)
		}
	}
}

// Where connections pause after an answer, they say nothing of what an answer takes; and phases that pause otherwise are no pair.
func TestTimeSharesWithoutPauses(t *testing.T) {
	for more, pairs := range map[string]int{
		`"phases":[{"name":"closed","think":"1s"}]`:                               0,
		`"phases":[{"name":"closed","think":"1s"},{"name":"other","think":"1s"}]`: 2,
		`"phases":[{"name":"other","think":"10s"}]`:                               0,
	} {
		r := drivenRun(1250, func(p *record.Phase) { p.Direct = true })
		r.Plan("throughput", more)
		s := build(t, r.Write(t))
		if none := strings.Contains(more, `"closed","think"`); len(s.Pairs) != pairs || (len(s.TimeShares) == 0) != none {
			t.Errorf("%s: %d pairs, %+v", more, len(s.Pairs), s.TimeShares)
		}
	}
}
