package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"bakeoff/internal/controller"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/platform/local"
)

// generator is what carries out phases: an engine in this process, or agents.
type generator interface {
	// run returns when the phase has ended; when ctx ends, with its error.
	run(ctx context.Context, phase load.Phase, sink func(agent int, w load.Window)) (ending, error)
	close() error
}

// ending says when a phase began and ended, and what went wrong beside the load.
type ending struct {
	began, ended time.Time // began is zero when nothing could be sent
	lost         []string
	spread       *time.Duration // of the actual starts of several agents
}

// generator makes the one the job asks for.
func (j *loadJob) generator(ctx context.Context, env Env) (generator, error) {
	if j.agents == 1 {
		return &alone{job: j, engine: engines()[j.task.Engine], guest: env.Guest}, nil
	}
	return startAgents(ctx, env, j)
}

// startAhead is how long before its first request a phase in this process is prepared.
const startAhead = 100 * time.Millisecond

// alone runs the engine in this process.
type alone struct {
	job    *loadJob
	engine load.Engine
	guest  bool // leaves the process's priority as it is
}

func (a *alone) run(ctx context.Context, phase load.Phase, sink func(int, load.Window)) (ending, error) {
	job := a.job.job(phase, load.Share{Of: 1})
	if !a.guest && phase.Model == load.Open {
		_ = fleet.GoFirst() // without it the lateness tells how well it went
	}
	job.Start = time.Now().Add(startAhead)
	err := a.engine.Run(ctx, job, func(w load.Window) { sink(0, w) })
	return ending{began: job.Start, ended: time.Now()}, err
}

func (a *alone) close() error { return nil }

// together runs agents as processes of this machine.
type together struct {
	job      *loadJob
	forget   func() error // removes the folder of their logs
	platform interface{ Close() error }
	fleet    *fleet.Fleet
}

// startAgents returns when all are connected.
func startAgents(ctx context.Context, env Env, j *loadJob) (*together, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("own path: %w", err)
	}
	cache, err := cacheDir(env)
	if err != nil {
		return nil, err
	}
	p, err := local.Open(ctx, local.Options{
		Self: []string{self, "guard"}, StateDir: filepath.Join(cache, "state"), Share: true, Label: "load", Lock: env.Getenv("BAKEOFF_LOCK"),
	})
	if err != nil {
		return nil, err
	}
	for _, other := range p.Others() {
		fmt.Fprintf(env.Stderr, "bakeoff: warning: run %s (process %d) is under way on this machine: the two disturb each other\n", other.Run, other.Controller.PID)
	}
	dir, forget, err := controller.TemporaryForLoad()
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	f, err := fleet.Start(ctx, fleet.Options{
		Platform: p, Self: []string{self}, Count: j.agents, LogDir: dir, Version: version(), Env: passedOn(env),
	})
	if err != nil {
		return nil, errors.Join(err, p.Close()) // the error names a log, so it stays
	}
	return &together{job: j, platform: p, fleet: f, forget: forget}, nil
}

// passedOn is the part of the environment that agents need: which certificates to trust, and
// what the collector of this program is asked for.
func passedOn(env Env) []string {
	var out []string
	for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR", "GOGC"} {
		if value := env.Getenv(name); value != "" {
			out = append(out, name+"="+value)
		}
	}
	return out
}

func (t *together) run(ctx context.Context, phase load.Phase, sink func(int, load.Window)) (ending, error) {
	task := t.job.task
	task.Phase = phase
	report, err := t.fleet.Run(ctx, task, func(s fleet.Snapshot) { sink(s.Agent, s.Window) })
	end := ending{began: report.Start, ended: report.End}
	if !report.Start.IsZero() {
		end.spread = &report.Skew
	}
	for _, l := range report.Lost {
		end.lost = append(end.lost, fmt.Sprintf("agent %d was lost: %s", l.Agent, l.Why))
	}
	return end, err
}

// close ends the agents and waits for them.
func (t *together) close() error {
	return errors.Join(t.fleet.Close(), t.platform.Close(), t.forget())
}
