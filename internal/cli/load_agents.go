package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"bakeoff/internal/fleet"
	"bakeoff/internal/platform/local"
	"bakeoff/internal/venue/machine"
)

// loadAgents are agents of load as processes of this machine.
type loadAgents struct {
	forget   func() error // removes the folder of their logs
	platform interface{ Close() error }
	fleet    *fleet.Fleet
}

// startAgents returns when all are connected.
func startAgents(ctx context.Context, env Env, count int) (*loadAgents, error) {
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
	dir, forget, err := machine.Temporary("load")
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	f, err := fleet.Start(ctx, fleet.Options{
		Platform: p, Self: []string{self}, Count: count, LogDir: dir, Version: version(), Env: passedOn(env),
	})
	if err != nil {
		return nil, errors.Join(err, p.Close()) // the error names a log, so it stays
	}
	return &loadAgents{platform: p, fleet: f, forget: forget}, nil
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

// close ends the agents and waits for them.
func (a *loadAgents) close() error {
	return errors.Join(a.fleet.Close(), a.platform.Close(), a.forget())
}
