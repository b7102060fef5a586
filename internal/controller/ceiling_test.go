package controller

import (
	"strings"
	"testing"
	"testing/synctest"

	"bakeoff/internal/record"
)

// A calibration of the machine is copied into run.json, and its ceiling holds for the phases of plans with the same agents on
// the same way: the fake's 100 answers per second are 80 % of it.
func TestCalibratedCeiling(t *testing.T) {
	calibration := func() *record.Calibration {
		return &record.Calibration{Engine: "native", Agents: 2, Ceilings: map[string]float64{record.PathNginx: 125, record.PathDirect: 1000}}
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
				dir, err := Run(t.Context(), o)
				if (err != nil) != c.limit {
					t.Errorf("%v", err)
				}
				if kept := runOf(t, dir).Calibration; kept == nil || kept.Ceilings[record.PathNginx] != o.Calibration.Ceilings[record.PathNginx] {
					t.Errorf("run.json has %+v", kept)
				}
				for _, reason := range reasonsOf(t, dir) {
					if reason.Code != record.CodeGeneratorLimited || !strings.Contains(reason.Text, "of the 125 that the agents reach") {
						t.Errorf("%+v", reason)
					}
				}
			})
		})
	}
}
