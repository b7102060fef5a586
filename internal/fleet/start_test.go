package fleet

import (
	"fmt"
	"testing"
	"time"

	"bakeoff/internal/load"
)

func TestStarted(t *testing.T) {
	ms := time.Millisecond
	for name, c := range map[string]struct {
		agent AgentReport
		want  time.Duration
	}{
		"no request":                     {AgentReport{Began: 3 * ms, First: -1, Due: -1}, 3 * ms},
		"none was due":                   {AgentReport{Began: 3 * ms, First: 9 * ms, Due: -1}, 3 * ms},
		"a late clock":                   {AgentReport{Began: 3 * ms, First: 1 * ms, Due: 0}, 3 * ms},
		"a late request":                 {AgentReport{Began: 3 * ms, First: 9 * ms, Due: 0}, 9 * ms},
		"a request late by its schedule": {AgentReport{Began: 3 * ms, First: 509 * ms, Due: 500 * ms}, 9 * ms},
	} {
		if got := c.agent.Started(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// An agent whose engine gets going late shows in the spread, as it does at the server. What the
// agents say of their starts is what the server saw, on the one clock of this machine.
func TestSpreadOfStartsIsWhatTheServerSaw(t *testing.T) {
	t.Parallel()
	for engine, late := range map[string]time.Duration{"metronome": 0, "sluggish": sluggishBy} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := newWitness(t)
			f := startFleet(t, 2, nil)
			task := constantTask(server.URL, 20, time.Second) // agent 0 at 0, 100 ms, ..., agent 1 at 50, 150 ms, ...
			task.Engine = engine
			r := await(t, run(t, f, task))
			if r.err != nil || len(r.report.Lost) > 0 {
				t.Fatalf("error %v, lost %+v", r.err, r.report.Lost)
			}
			first, second := r.report.Agents[0].Started(), r.report.Agents[1].Started()
			if r.report.Skew != (first-second).Abs() || second < late-50*time.Millisecond {
				t.Errorf("spread %v of starts after %v and %v, the second held up by %v", r.report.Skew, first, second, late)
			}
			for i, a := range r.report.Agents {
				due := time.Duration(i) * 50 * time.Millisecond
				if a.Due != due {
					t.Errorf("agent %d: due after %v, want %v", i, a.Due, due)
				}
				server.mu.Lock()
				arrived := server.first[fmt.Sprintf("k%d", i)].Sub(r.report.Start)
				server.mu.Unlock()
				// The permission comes before the sending, the sending before the arrival.
				if a.First < due || i == 1 && a.First < late || a.First > arrived+time.Millisecond {
					t.Errorf("agent %d: first request after %v by its own clock, after %v by the server's", i, a.First, arrived)
				}
			}
		})
	}
}

// Real engines of both models start together; the figures are printed.
func TestRealEnginesStartTogether(t *testing.T) {
	t.Parallel()
	server := newWitness(t)
	f := startFleet(t, 4, nil)
	for _, engine := range []string{"net/http", "native"} {
		for _, model := range []string{load.Open, load.Closed} {
			task := constantTask(server.URL, 400, 300*time.Millisecond)
			task.Engine, task.Phase.Model = engine, model
			if model == load.Closed {
				task.Phase.Rate, task.Phase.Think = 0, 10*time.Millisecond
			}
			r := await(t, run(t, f, task))
			if r.err != nil || len(r.report.Lost) > 0 {
				t.Fatalf("%s, %s: error %v, lost %+v", engine, model, r.err, r.report.Lost)
			}
			t.Logf("%s, %s: spread %v, clocks known to +-%v", engine, model, r.report.Skew, r.report.ClockError)
			for _, a := range r.report.Agents {
				if a.First < a.Due || a.Due < 0 || a.Began < 0 || a.ClockError <= 0 {
					t.Errorf("%s, %s: agent %+v", engine, model, a)
				}
			}
			if r.report.Skew > 2*time.Second || // how little it is, the benchmark asserts
				r.report.ClockError <= 0 {
				t.Errorf("%s, %s: spread %v, clocks known to +-%v", engine, model, r.report.Skew, r.report.ClockError)
			}
		}
	}
}

// A task may say which share of the whole each agent takes: here the second agent has the first request.
func TestSharesOfATask(t *testing.T) {
	t.Parallel()
	server := newWitness(t)
	f := startFleet(t, 2, nil)
	task := constantTask(server.URL, 20, 500*time.Millisecond)
	task.Shares = []int{1, 0}
	r := await(t, run(t, f, task))
	if r.err != nil || len(r.report.Lost) > 0 {
		t.Fatalf("error %v, lost %+v", r.err, r.report.Lost)
	}
	for i, want := range []time.Duration{50 * time.Millisecond, 0} {
		if due := r.report.Agents[i].Due; due != want {
			t.Errorf("agent %d: due after %v, want %v", i, due, want)
		}
	}
	if sum := r.report.Totals(); sum.Books.OK != 10 {
		t.Errorf("%+v", sum.Books)
	}
}

// An agent that has nothing to send in a phase says so: nothing was due, and it has sent nothing.
func TestAgentWithNothingToSend(t *testing.T) {
	t.Parallel()
	server := newWitness(t)
	f := startFleet(t, 2, nil)
	task := turnTasks(server)[0]
	task.Phase.Connections, task.Phase.Duration = 1, 200*time.Millisecond
	r := await(t, run(t, f, task))
	if r.err != nil || len(r.report.Lost) > 0 {
		t.Fatalf("error %v, lost %+v", r.err, r.report.Lost)
	}
	if a := r.report.Agents[0]; a.Due != 0 || a.First < 0 || a.Totals.Books.OK == 0 {
		t.Errorf("the agent with the connection: %+v", a)
	}
	if a := r.report.Agents[1]; a.Due != -1 || a.First != -1 || a.Totals.Books.Planned != 0 || !a.Done {
		t.Errorf("the agent without one: %+v", a)
	}
}
