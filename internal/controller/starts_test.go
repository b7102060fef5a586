package controller

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/record"
)

func TestStartsOfAgentsAreRecorded(t *testing.T) {
	ms := time.Millisecond
	report := fleet.Report{
		Skew: 7 * ms,
		Agents: []fleet.AgentReport{
			{Agent: 0, Done: true, Began: 1 * ms, First: 3 * ms, Due: 2 * ms, ClockShift: -4 * ms, ClockError: 5 * ms},
			{Agent: 1, First: -1, Due: -1}, // lost
			{Agent: 2, Done: true, Began: 8 * ms, First: -1, Due: -1},
		},
	}
	got := recordPhase(load.Phase{Name: "open"}, false, report)
	want := []record.Start{
		{Agent: 0, BeganNS: 1e6, FirstNS: 3e6, DueNS: 2e6, ClockShiftNS: -4e6, ClockErrorNS: 5e6},
		{Agent: 2, BeganNS: 8e6, FirstNS: -1, DueNS: -1},
	}
	if diff := cmp.Diff(want, got.Starts); diff != "" || got.StartSpreadNS != 7e6 {
		t.Errorf("spread %d, starts %s", got.StartSpreadNS, diff)
	}
}

func TestNoteOfStarts(t *testing.T) {
	two := []record.Start{{Agent: 0, ClockErrorNS: 2e6}, {Agent: 1, ClockErrorNS: 3e6}}
	phase := func(name string, spread time.Duration, starts []record.Start) record.Trial {
		return record.Trial{Block: 2, Target: "flask", Attempt: 1, Phases: []record.Phase{{Name: name, StartSpreadNS: int64(spread), Starts: starts}}}
	}
	for name, c := range map[string]struct {
		platform string
		trials   []record.Trial
		want     []string
	}{
		"one agent": {"local", []record.Trial{phase("open", 0, two[:1])}, []string{startsNote + "9 s", "other"}},
		"no phase":  {"local", nil, []string{startsNote + "9 s", "other"}},
		"in time": {"local", []record.Trial{phase("closed", 900*time.Microsecond, two), phase("open", 400*time.Microsecond, two)}, []string{
			"other", "agents began each phase within 900µs of each other over 2 phases (target: at most 20ms)",
		}},
		"too late, elsewhere": {"cluster", []record.Trial{phase("closed", time.Millisecond, two), phase("open", 21*time.Millisecond, two)}, []string{
			"other", "agents began each phase within 21ms of each other over 2 phases (target: at most 20ms, exceeded; the worst: block 2, flask, attempt 1, phase open; each start is known to +-3ms)",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var s starts
			for _, trial := range c.trials {
				s.add(trial)
			}
			rec := record.Run{Platform: c.platform, Notes: []string{startsNote + "9 s", "other"}}
			s.note(&rec)
			if diff := cmp.Diff(c.want, rec.Notes); diff != "" {
				t.Error(diff)
			}
		})
	}
}
