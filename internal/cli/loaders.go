package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"bakeoff/internal/controller"
	"bakeoff/internal/fleet"
	"bakeoff/internal/jmeter"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/target"
	"bakeoff/internal/venue/cluster"
)

// jvmWarmUp is how long fresh JMeter servers are loaded before anything is measured.
const jvmWarmUp = 15 * time.Second

// loaders are those of a plan's engines; nil where no phase needs them.
type loaders struct {
	fleet  *fleet.Fleet
	jmeter *jmeter.Loader
}

// jmeterSite is where JMeter comes from and runs.
type jmeterSite struct {
	jmeter.Preparation // its platform is that of the masters, too
	elsewhere          jmeter.Elsewhere
	host, keyDir       string
	clock              func([]int) time.Duration
	testPlan           string // where the file of agents.jmx is; empty: where the plan says
}

// startLoaders starts what the plan's phases need; dir is that of the plan's file. When it fails nothing is left running.
func startLoaders(ctx context.Context, p *plan.Plan, dir string, agents fleet.Options, site jmeterSite) (_ controller.Loader, err error) {
	l := &loaders{}
	if p.Uses(plan.Native) || p.Uses(plan.HTTP) {
		if l.fleet, err = fleet.Start(ctx, agents); err != nil {
			return nil, err
		}
	}
	if !p.Uses(plan.JMeter) {
		return l, nil
	}
	if l.jmeter, err = startJMeter(ctx, p, dir, agents, site); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func startJMeter(ctx context.Context, p *plan.Plan, dir string, agents fleet.Options, site jmeterSite) (*jmeter.Loader, error) {
	java, err := jmeter.FindJava(ctx, site.Getenv)
	if err != nil {
		return nil, err
	}
	at, err := jmeter.Prepare(ctx, site.Preparation)
	if err != nil {
		return nil, err
	}
	own, err := readOwn(p, cmp.Or(site.testPlan, ownPath(p, dir)), at)
	if err != nil {
		return nil, err
	}
	return jmeter.Start(ctx, jmeter.Options{
		Own: own, Platform: site.Platform, Elsewhere: site.elsewhere, Host: site.host, KeyDir: site.keyDir, Clock: site.clock,
		Home: at, Java: java, Count: agents.Count, LogDir: agents.LogDir, Workloads: workloads(), WarmUp: jvmWarmUp, Progress: site.Progress,
	})
}

// readOwn reads the test plan of a team's own; nil: the plan names none. Notes call it as the plan does where it was brought here.
func readOwn(p *plan.Plan, path string, at jmeter.Home) (*jmeter.OwnPlan, error) {
	if p.Agents.JMX == "" {
		return nil, nil
	}
	own, err := jmeter.ReadOwnPlan(path, at, p.AllowHosts)
	if err == nil && path == cluster.TestPlan {
		own.Path = p.Agents.JMX
	}
	return own, err
}

// ownPath is the test plan that a plan names; dir is that of the plan's file.
func ownPath(p *plan.Plan, dir string) string {
	if filepath.IsAbs(p.Agents.JMX) {
		return p.Agents.JMX
	}
	return filepath.Join(dir, p.Agents.JMX)
}

// loading is what JMeter costs in addition, as seen on two cores. A master starts in 3 s or more, and takes 5 s to end. A thousand threads
// share the cores with their target: they begin later than a few do, and end as much later as their last answers come.
func loading() plan.Loading {
	return plan.Loading{Servers: 12*time.Second + jvmWarmUp, Master: 10 * time.Second, Thread: 16 * time.Millisecond}
}

// refusals says what is wrong with a plan for its engines, which is known before anything is started.
func refusals(env Env, cache string) func(*plan.Plan, string) []plan.Finding {
	return func(p *plan.Plan, dir string) []plan.Finding {
		if p.Agents.JMX == "" || !p.Uses(plan.JMeter) {
			return nil
		}
		if err := jmeter.CheckOwnPlan(ownPath(p, dir), cache, env.Getenv, p.AllowHosts); err != nil {
			return []plan.Finding{{Path: "agents.jmx", Text: err.Error()}}
		}
		return nil
	}
}

// needsOf says what the machine lacks for the engines of a plan.
func needsOf(env Env, cache string) func(context.Context, *plan.Plan) []target.Need {
	return func(ctx context.Context, p *plan.Plan) []target.Need {
		missing := influxNeed(p)
		if !p.Uses(plan.JMeter) {
			return missing
		}
		return append(missing, jmeter.Missing(ctx, cache, env.Getenv)...)
	}
}

// listening has the JMeter of a plan write to a collector too, which is known when the load starts.
func listening(load func(context.Context, string, func(string)) (controller.Loader, error), c collectors) func(context.Context, string, func(string)) (controller.Loader, error) {
	return func(ctx context.Context, logDir string, tell func(string)) (controller.Loader, error) {
		l, err := load(ctx, logDir, tell)
		if ours, ok := l.(*loaders); ok && err == nil && ours.jmeter != nil {
			ours.jmeter.Listen(c.listener())
		}
		return l, err
	}
}

// Run implements controller.Loader; so do the others.
func (l *loaders) Run(ctx context.Context, t fleet.Task, sink func(fleet.Snapshot)) (fleet.Report, error) {
	if t.Engine == plan.JMeter {
		return l.jmeter.Run(ctx, t, sink)
	}
	return l.fleet.Run(ctx, t, sink)
}

// Turns are the fleet's alone.
func (l *loaders) Turns(ctx context.Context, tasks []fleet.Task, sink func(int, fleet.Snapshot)) (controller.Turns, error) {
	if l.fleet == nil {
		return nil, fmt.Errorf("engine %s takes no turns", plan.JMeter)
	}
	return l.fleet.Turns(ctx, tasks, sink)
}

// Heal replaces what either has lost.
func (l *loaders) Heal(ctx context.Context) error {
	if l.fleet != nil {
		if err := l.fleet.Heal(ctx); err != nil {
			return err
		}
	}
	if l.jmeter != nil {
		return l.jmeter.Heal(ctx)
	}
	return nil
}

// Processes are those of both.
func (l *loaders) Processes() (out []platform.Process) {
	if l.fleet != nil {
		out = append(out, l.fleet.Processes()...)
	}
	if l.jmeter != nil {
		out = append(out, l.jmeter.Processes()...)
	}
	return out
}

// Notes are those of both.
func (l *loaders) Notes() (out []string) {
	if l.fleet != nil {
		out = append(out, l.fleet.Notes()...)
	}
	if l.jmeter != nil {
		out = append(out, l.jmeter.Notes()...)
	}
	return out
}

// Close ends both.
func (l *loaders) Close() error {
	var errs []error
	if l.fleet != nil {
		errs = append(errs, l.fleet.Close())
	}
	if l.jmeter != nil {
		errs = append(errs, l.jmeter.Close())
	}
	return errors.Join(errs...)
}
