package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"bakeoff/internal/fleet"
	"bakeoff/internal/platform/local"
	"bakeoff/internal/scratch"
)

// loadAgents are agents of load as processes of this machine.
type loadAgents struct {
	dir      string       // of their logs
	forget   func() error // removes it
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
		fmt.Fprintf(env.Stderr, "bakeoff: warning: run %s (process %d) is in progress on this machine: the two disturb each other\n", other.Run, other.Controller.PID)
	}
	dir, forget, err := scratch.New("load")
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	f, err := fleet.Start(ctx, fleet.Options{
		Platform: p, Self: []string{self}, Count: count, LogDir: dir, Version: version(), Env: passedOn(env),
	})
	if err != nil {
		return nil, errors.Join(err, p.Close()) // the error names a log, so it stays
	}
	return &loadAgents{dir: dir, platform: p, fleet: f, forget: forget}, nil
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

// inMessage is how large a body may be that agents get in a message.
const inMessage = 1 << 20

// spool puts a body that is too large for a message into a file next to the agents' logs.
func (a *loadAgents) spool(t *fleet.Task) error {
	if len(t.Body) <= inMessage {
		return nil
	}
	path := filepath.Join(a.dir, "body")
	if err := os.WriteFile(path, t.Body, 0o600); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	sum := sha256.Sum256(t.Body)
	t.Body, t.BodyFile = nil, fleet.File{Path: path, SHA256: hex.EncodeToString(sum[:])}
	return nil
}
