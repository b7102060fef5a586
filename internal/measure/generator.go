package measure

import (
	"context"
	"fmt"
	"time"

	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/stats"
)

// A Generator carries out phases: an engine in this process, or agents.
type Generator interface {
	// Run returns when the phase has ended; when ctx ends, with its error.
	Run(ctx context.Context, phase load.Phase, sink func(agent int, w stats.Window)) (Ending, error)
}

// Ending says when a phase began and ended, and what went wrong apart from the load.
type Ending struct {
	Began, Ended time.Time // Began is zero when nothing could be sent
	Lost         []string
	Spread       *time.Duration // of the actual starts of several agents
}

// startAhead is how long before its first request a phase in this process is prepared.
const startAhead = 100 * time.Millisecond

// Alone runs the engine in this process.
type Alone struct {
	Job    *Job
	Engine load.Engine
	Guest  bool // leaves the process's priority as it is
}

// Run carries out one phase; see Generator.
func (a Alone) Run(ctx context.Context, phase load.Phase, sink func(int, stats.Window)) (Ending, error) {
	job := a.Job.job(phase, load.Share{Of: 1})
	if !a.Guest && phase.Model == load.Open {
		_ = fleet.GoFirst() // without it the lateness says how well it went
	}
	job.Start = time.Now().Add(startAhead)
	err := a.Engine.Run(ctx, job, func(w stats.Window) { sink(0, w) })
	return Ending{Began: job.Start, Ended: time.Now()}, err
}

// Together runs agents, which their owner has started and ends.
type Together struct {
	Job   *Job
	Fleet *fleet.Fleet
}

// Run carries out one phase; see Generator.
func (t Together) Run(ctx context.Context, phase load.Phase, sink func(int, stats.Window)) (Ending, error) {
	task := t.Job.Task
	task.Phase = phase
	report, err := t.Fleet.Run(ctx, task, func(s fleet.Snapshot) { sink(s.Agent, s.Window) })
	end := Ending{Began: report.Start, Ended: report.End}
	if !report.Start.IsZero() {
		end.Spread = &report.Skew
	}
	for _, l := range report.Lost {
		end.Lost = append(end.Lost, fmt.Sprintf("agent %d was lost: %s", l.Agent, l.Why))
	}
	return end, err
}
