package controller

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/record"
)

// A calibration of the machine is copied into run.json, and its ceiling holds for the phases of plans with the same agents on
// the same way: the fake's 100 answers per second are 80 % of it. No trial is refused or repeated for that: the slower attempts would
// be kept. It is a warning, and the target is at the agents' limit in every block.
func TestCalibratedCeiling(t *testing.T) {
	calibration := func() *record.Calibration {
		return &record.Calibration{At: time.Now(), Bakeoff: "1", Engine: "native", Agents: 2, Ceilings: map[string]float64{record.PathNginx: 125, record.PathDirect: 1000}}
	}
	for name, c := range map[string]struct {
		lines  string
		change func(c *record.Calibration)
		limit  bool
	}{
		"the same":            {oneTarget + closedOnly, nil, true},
		"in turns":            {twoTargets + "turns: 250ms\n" + closedOnly, nil, true},
		"direct":              {oneTarget + "balancer: {kind: direct}\n" + closedOnly, nil, false},
		"other agents":        {oneTarget + "agents: {count: 3}\n" + closedOnly, nil, false},
		"another engine":      {oneTarget + "agents: {engine: http}\n" + closedOnly, nil, false},
		"a higher ceiling":    {oneTarget + closedOnly, func(c *record.Calibration) { c.Ceilings[record.PathNginx] = 1000 }, false},
		"an old one":          {oneTarget + closedOnly, func(c *record.Calibration) { c.At = c.At.Add(-record.CalibrationLasts - time.Second) }, false},
		"another version":     {oneTarget + closedOnly, func(c *record.Calibration) { c.Bakeoff = "2" }, false},
		"connections renewed": {oneTarget + strings.Replace(closedOnly, "}]", ", reconnect: true}]", 1), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				o := w.options(t, "blocks: 1\n"+c.lines)
				o.Calibration = calibration()
				if c.change != nil {
					c.change(o.Calibration)
				}
				dir, _ := conducted(t, o)
				if kept := runOf(t, dir).Calibration; kept == nil || kept.Ceilings[record.PathNginx] != o.Calibration.Ceilings[record.PathNginx] {
					t.Errorf("run.json has %+v", kept)
				}
				if trials := trialsOf(t, dir); len(trials) != len(o.Plan.Targets) || strings.Contains(strings.Join(trials, " "), "invalid") {
					t.Errorf("trials %q of %d targets, none of them refused or repeated", trials, len(o.Plan.Targets))
				}
				warnings := warningsOf(t, dir)
				for _, w := range warnings {
					if w.Code != record.CodeGeneratorLimited || !strings.Contains(w.Text, "of the 125 that the agents reach") {
						t.Errorf("%+v", w)
					}
				}
				s := summaryOf(t, dir)
				marked := strings.Contains(strings.Join(s.Marks, "\n"), "NEAR THE CEILING of the agents in phase closed: ")
				if (len(warnings) > 0) != c.limit || marked != c.limit {
					t.Errorf("warnings %+v, marks %q", warnings, s.Marks)
				}
			})
		})
	}
}

// What the agents reach on this machine says nothing of servers on another one.
func TestCeilingOfServers(t *testing.T) {
	for second, want := range map[string]float64{"127.0.0.3:80": 1000, "192.0.2.1:80": 0} {
		s := serversOf(t, &book{}, "targets:\n  - {name: a, kind: url, url: \"http://127.0.0.2/\"}\n  - {name: b, kind: url, url: \"http://127.0.0.3/\"}\n")
		w, err := record.Create(t.TempDir(), record.Run{
			Format: record.FormatVersion, Name: "a", Started: time.Now(), Targets: []record.TargetInfo{{Name: "a", Address: "127.0.0.2:80"}, {Name: "b", Address: second}},
			Calibration: &record.Calibration{At: time.Now(), Engine: "native", Agents: s.o.Plan.Agents.Count, Ceilings: map[string]float64{record.PathDirect: 1000}},
		}, nil, nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		r := &run{o: s.o, writer: w}
		if got := r.ceiling(load.Phase{Number: 1}); got != want {
			t.Errorf("with a server at %s: a ceiling of %v, want %v", second, got, want)
		}
		if err := w.Finish(record.Complete, ""); err != nil {
			t.Fatal(err)
		}
	}
}
