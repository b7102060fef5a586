package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bakeoff/internal/calibrate"
	"bakeoff/internal/controller"
	"bakeoff/internal/endpoint"
	"bakeoff/internal/figures"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/report"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
	"bakeoff/internal/venue/machine"
)

const calibrateHelp = `calibrate measures this machine with servers of its own that look nothing up:

  - the ceiling: the most answers per second that the agents reach with a server that does
    nothing, through nginx and directly
  - a server that takes 10 ms, as the agents see it
  - a stall of 2 s under a constant rate: the p99 that they report, and the true one
  - two equal servers and one that does 5 % more work for each answer, in turns: the noise
    between equal servers, the smallest difference that can be shown, and whether the
    5 % are found

The result is kept in the cache folder for this machine, hardware and kernel, and copied into
every later run. A run is not decided by it, with one exception: if a target answers more
than 70 % of the ceiling in any trial, the agents may be the limit, and its figures are
lower bounds. The ceiling decides nothing if it is older than 30 days, or if the agents or
the compiler have changed since, and runs warn of that. --forget removes it.

The machine has to be at rest: it is watched for 5 s before anything is loaded. All of it
takes about 3 minutes, and at most 6: phases that others disturb are repeated. With --short
it takes less than a minute, to see that everything works. It is not kept.

exit status: 0 calibrated; 1 failed; 4 too few valid trials: the machine was disturbed;
5 a prerequisite is missing; 130 interrupted`

// calibrateFlags are the flags of bakeoff calibrate.
type calibrateFlags struct{ short, json, share, forget bool }

func calibrateCommand(env Env) *cobra.Command {
	var f calibrateFlags
	cmd := &cobra.Command{
		Use: "calibrate", Short: "measure what this machine's agents can do, and the smallest difference that it can show", Long: calibrateHelp, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.forget {
				return forgetCalibration(env)
			}
			return calibrateMachine(cmd.Context(), env, f)
		},
	}
	cmd.Flags().BoolVar(&f.short, "short", false, "take less than a minute, and keep nothing")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	cmd.Flags().BoolVar(&f.share, "share-machine", false, "calibrate even if a run is in progress on this machine; nothing is kept")
	cmd.Flags().BoolVar(&f.forget, "forget", false, "remove the calibration that is kept of this machine, and measure nothing")
	cmd.MarkFlagsMutuallyExclusive("forget", "short")
	cmd.MarkFlagsMutuallyExclusive("forget", "json")
	return cmd
}

// forgetCalibration removes what is kept of this machine: no trial is refused by its ceiling any more.
func forgetCalibration(env Env) error {
	cache, err := cacheDir(env)
	if err != nil {
		return err
	}
	there, err := calibrate.Forget(cache, new(machine.Venue).Machine().Fingerprint)
	if err != nil {
		return err
	}
	text := "there was no calibration of this machine"
	if there {
		text = "the calibration of this machine is removed"
	}
	_, err = fmt.Fprintln(env.Stdout, text)
	return err
}

// known is the calibration of this machine; nil where there is none. It warns of one whose ceiling decides nothing.
func known(env Env, cache, fingerprint string) *record.Calibration {
	c, err := calibrate.Kept(cache, fingerprint)
	if err != nil {
		fmt.Fprintf(env.Stderr, "bakeoff: warning: %v\n", err)
	}
	if c == nil {
		return nil
	}
	c.Same = c.Program != "" && c.Program == loadingProgram(env.Assets)
	if why := c.Void(time.Now(), version()); why != "" {
		fmt.Fprintf(env.Stderr, "bakeoff: warning: the calibration of %s is %s, and its ceiling decides nothing: bakeoff calibrate makes a new one\n",
			c.At.UTC().Format("2006-01-02"), show.Inert(why))
	}
	return c
}

// calibrateMachine is bakeoff calibrate.
func calibrateMachine(ctx context.Context, env Env, f calibrateFlags) (err error) {
	cache, err := cacheDir(env)
	if err != nil {
		return err
	}
	here := &machine.Venue{CacheDir: cache}
	if missing := here.MissingNginx(); len(missing) > 0 {
		return explain(error(&controller.MissingError{Missing: missing}))
	}
	closeMachine, err := openMachine(ctx, env, here, f.share, "calibrate")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeMachine()) }()
	dir, remove, err := here.Temporary("calibrate")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	progress := newProgress(env.Stderr, time.Now)
	c, err := (&calibration{env: env, here: here, dir: dir, shared: f.share, progress: progress}).run(ctx, f.short)
	progress.close()
	if err != nil {
		return explain(err)
	}
	return f.conclude(env, cache, c)
}

// conclude keeps and prints a calibration.
func (f calibrateFlags) conclude(env Env, cache string, c record.Calibration) error {
	kept := ""
	if !f.short && !f.share {
		var err error
		if kept, err = calibrate.Keep(cache, c); err != nil {
			return err
		}
	}
	if f.json {
		enc := json.NewEncoder(env.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(c)
	}
	return report.WriteCalibration(env.Stdout, c, kept)
}

const (
	// calibrators is the number of agents that plans have by default, and with the engine that they have by default.
	calibrators = 2
	engine      = "native"
	// nullInFlight is the most connections that a calibration opens.
	nullInFlight = 64
)

// calibration is one under way.
type calibration struct {
	env      Env
	here     *machine.Venue
	dir      string
	shared   bool
	progress *progress
}

func (c *calibration) run(ctx context.Context, short bool) (out record.Calibration, err error) {
	server, err := c.here.Null(ctx, "null", c.dir, nullInFlight)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, c.stop(ctx, server)) }()
	var agents *fleet.Fleet
	if agents, err = fleet.Start(ctx, fleet.Options{
		Platform: c.here.Platform, Self: []string{c.here.Self}, Count: calibrators, LogDir: c.dir, Version: version(), Env: passedOn(c.env),
	}); err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, agents.Close()) }()
	w := watched{here: c.here, agents: agents, sources: server.Sources(), rest: record.Baseline{WarnOnly: short || c.shared, Container: c.here.Hidden()}}
	c.progress.show(record.Progress{Text: "watching the machine at rest", Expect: restFor})
	if err = w.atRest(ctx); err != nil {
		return out, err
	}
	out, err = calibrate.Run(ctx, calibrate.Parts{
		Load: func(ctx context.Context, way, path string, p load.Phase) (calibrate.Loaded, error) {
			base := map[string]string{record.PathNginx: server.Front, record.PathDirect: server.Direct}[way]
			return w.sent(ctx, base+path, p)
		},
		Ask:      func(ctx context.Context, path string) error { return ask(ctx, server.Direct+path) },
		Compare:  c.compare,
		Progress: func(text string, expect time.Duration) { c.progress.show(record.Progress{Text: text, Expect: expect}) },
	}, short)
	out.Bakeoff, out.Fingerprint, out.Engine, out.Agents, out.Rest = version(), c.here.Machine().Fingerprint, engine, calibrators, w.rest
	out.Program = loadingProgram(c.env.Assets)
	return out, err
}

func (c *calibration) stop(ctx context.Context, n *machine.Null) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*controller.Grace)
	defer cancel()
	return n.Stop(ctx, controller.GraceInterrupted)
}

// send sends a phase to a URL, and what became of it.
func send(ctx context.Context, agents *fleet.Fleet, url string, p load.Phase, sink func(fleet.Snapshot)) (stats.Totals, error) {
	at, err := endpoint.At(ctx, net.DefaultResolver, url, nil)
	if err != nil {
		return stats.Totals{}, err
	}
	spec, err := json.Marshal(endpoint.Spec{Targets: [][]string{at.Target}, Status: "200"})
	if err != nil {
		return stats.Totals{}, fmt.Errorf("calibrate: %w", err)
	}
	r, err := agents.Run(ctx, fleet.Task{
		URLs: []string{at.Base}, Dial: []string{at.Dial}, Phase: p, Seed: 1, Engine: engine, Contract: endpoint.Contract, Workload: spec,
	}, sink)
	if err == nil && len(r.Lost) > 0 {
		err = fmt.Errorf("calibrate: agent %d: %s", r.Lost[0].Agent, r.Lost[0].Why)
	}
	return r.Totals(), err
}

// ask sends one request.
func ask(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("calibrate: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("calibrate: %w", err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// compare runs a plan of null servers, each a process of its own behind an nginx of its own, and judges it.
func (c *calibration) compare(ctx context.Context, d calibrate.Design) (v *figures.Verdict, err error) {
	var text strings.Builder
	fmt.Fprintf(&text, "name: calibrate\nblocks: %d\nturns: 250ms\nwarmup: 1s\nagents: {count: %d, engine: %s}\n", d.Blocks, calibrators, engine)
	fmt.Fprintf(&text, "phases: [{model: closed, connections: %d, duration: %s}]\ntargets:\n", d.Connections, d.Phase)
	here := &withServers{Venue: c.here}
	for _, t := range d.Targets {
		server, startErr := c.here.Null(ctx, t.Name, c.dir, d.Connections)
		if startErr != nil {
			return nil, startErr
		}
		defer func() { err = errors.Join(err, c.stop(ctx, server)) }() // of the result, not of the loop
		here.servers = append(here.servers, server.Sources()...)
		fmt.Fprintf(&text, "  - {name: %s, kind: url, url: %q}\n", t.Name, server.Front+t.Path)
	}
	p, err := plan.Load("calibrate", []byte(text.String()))
	if err != nil {
		return nil, err
	}
	at, err := controller.Run(ctx, controller.Options{
		Plan: p, PlanGiven: []byte(text.String()), PlanName: "calibrate", Venue: here, Load: loader(c.env, c.here, p, "", version()),
		Out: filepath.Join(c.dir, "runs"), Shared: c.shared, Version: version(), Progress: c.progress.show,
	})
	if err != nil {
		return nil, err
	}
	return verdictOf(at)
}

// verdictOf judges a run.
func verdictOf(dir string) (*figures.Verdict, error) {
	r, err := record.Open(dir)
	if err != nil {
		return nil, err
	}
	s, err := figures.Build(r)
	if err != nil {
		return nil, err
	}
	if s.Verdict == nil {
		return nil, fmt.Errorf("calibrate: %s", s.NoVerdict)
	}
	return s.Verdict, nil
}
