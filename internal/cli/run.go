package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bakeoff/internal/controller"
	"bakeoff/internal/fleet"
	"bakeoff/internal/jmeter"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform/local"
	"bakeoff/internal/record"
	"bakeoff/internal/scratch"
	"bakeoff/internal/strictyaml"
	"bakeoff/internal/target"
	"bakeoff/internal/venue/machine"
)

// runFlags are the flags of run and verify.
type runFlags struct {
	out, resume, platform string
	short, keep, share    bool
	strict                bool // a threshold that is undecided is as one that is missed
	dashboard, json       bool
	folders               bool // a target's folder may take the place of a plan
	maxTime               time.Duration
	place                      // in which cluster
	detach                bool // leave once the run in the cluster has begun
}

func runCommand(env Env) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run PLAN | run --resume RUN [PLAN]",
		Short: "run a plan and report what was measured",
		Long: `run prepares the targets of a plan, starts and fills a database, runs every trial
(fresh start, check, warm-up, measurement, check, stop), and prints a report. PLAN is a
file, or the name of a built-in plan. When the targets are running servers, nothing is
started: they are checked and loaded as they are.

Thresholds of the plan are met, missed or undecided; which, is in every report.

exit status: 0 done; 1 failed; 2 wrong plan; 3 a threshold is missed (with --strict: or
undecided); 4 finished, but a target lacks enough valid trials; 5 a prerequisite is missing;
130 interrupted`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.resume != "" && len(args) == 0 {
				return nil // the recorded plan
			}
			return exactly(1, "one plan")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.sane(); err != nil {
				return err
			}
			withoutPipes()
			if f.platform == inKubernetes {
				return runAway(cmd.Context(), env, f, strings.Join(args, ""))
			}
			return runPlan(cmd.Context(), env, f, strings.Join(args, ""))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.out, "out", runsFolder, "folder in which to create the run directory")
	flags.StringVar(&f.resume, "resume", "", "resume the run in this directory instead of starting a new one")
	flags.StringVar(&f.platform, "platform", onThisMachine, "where processes run: local, or kubernetes: in a cluster")
	flags.BoolVar(&f.short, "short", false, "20,000 rows, 2 blocks, 1 worker, short phases: to try out the plan, not to measure")
	flags.BoolVar(&f.keep, "keep", false, "leave the first trial running until interrupted and print its commands")
	flags.BoolVar(&f.share, "share-machine", false, "run even if another run is in progress on this machine; both are marked")
	flags.BoolVar(&f.strict, "strict", false, "exit with 3 also when a threshold of the plan is undecided")
	flags.BoolVar(&f.dashboard, "dashboard", false, "serve a web page that shows the run while it lasts; 'bakeoff dashboard' shows it afterwards")
	flags.BoolVar(&f.json, "json", false, "print every event of the record as a line of JSON while the run lasts, and its figures as the last line")
	flags.DurationVar(&f.maxTime, "max-time", 0, "run as many blocks as fit into this time, by the pilot, and end the run after it (0: no limit)")
	f.place.register(flags)
	flags.BoolVar(&f.detach, "detach", false, "in a cluster: leave once the run has begun, and print the line that follows it")
	helpWithPlans(env, cmd)
	return cmd
}

func runPlan(ctx context.Context, env Env, f runFlags, path string) error {
	o, closePlatform, err := prepare(ctx, env, f, path)
	if err != nil {
		return err
	}
	sayTooFew(env, o)
	if f.dashboard {
		root := o.Out
		if o.Resume != "" {
			root = filepath.Dir(o.Resume)
		}
		page, err := openPage(ctx, env, root)
		if err != nil {
			return errors.Join(err, closePlatform())
		}
		defer page.close(env)
		o.Opened = func(dir string) { page.server.Show(filepath.Base(dir)) }
	}
	var events *eventLines
	if f.json {
		events = &eventLines{w: env.Stdout}
	}
	dir, err := runCollected(ctx, env, o, closePlatform, events)
	if errors.Is(err, record.ErrComplete) {
		fmt.Fprintf(env.Stderr, "bakeoff: %s is complete: nothing to do\n", f.resume)
		dir, err = o.Resume, nil
	}
	if dir == "" {
		return explain(err)
	}
	env, unwritten := events.conclude(env)
	return errors.Join(err, unwritten, printResult(env, dir, f.strict, f.json))
}

// sayTooFew warns before a run that it cannot come to a verdict.
func sayTooFew(env Env, o controller.Options) {
	if text := o.TooFewBlocks(); text != "" {
		fmt.Fprintf(env.Stderr, "bakeoff: warning: %s\n", text)
	}
}

// prepare turns flags and a plan file into the options of a run, with the platform open.
func prepare(ctx context.Context, env Env, f runFlags, path string) (controller.Options, func() error, error) {
	p, err := f.plan(env, path)
	if err == nil {
		err = f.fits(env, p)
	}
	if err != nil {
		return controller.Options{}, nil, err
	}
	return openPlan(ctx, env, f, p)
}

// fits refuses a plan with a sweep that takes longer than --max-time: with fewer blocks its many targets would show nothing.
func (f *runFlags) fits(env Env, p planFile) error {
	if f.maxTime == 0 || f.resume != "" || !p.Swept() {
		return nil
	}
	o, _, err := f.options(env, p)
	if err != nil || p.Expected(o.Overhead()) <= f.maxTime {
		return err
	}
	return misused("fewer values, or bakeoff tune, which leaves the worse half out again and again", "%s: %w", p.name, &plan.TooLongError{Sum: p.Sum(o.Overhead()), Most: f.maxTime})
}

// openPlan turns flags and a plan into the options of a run, with the platform open.
func openPlan(ctx context.Context, env Env, f runFlags, of planFile) (controller.Options, func() error, error) {
	o, here, err := f.options(env, of)
	if err != nil {
		return o, nil, err
	}
	if f.platform != onThisMachine {
		return o, nil, usageError{fmt.Errorf("unknown platform %q (there are: %s, %s)", f.platform, onThisMachine, inKubernetes)}
	}
	if findings := machine.Check(of.Plan); len(findings) > 0 {
		return o, nil, usageError{plan.Locate(of.name, of.given, findings)}
	}
	if err := controller.Preflight(ctx, o); err != nil {
		return o, nil, explain(err)
	}
	o.Calibration = known(env, here.CacheDir, here.Machine().Fingerprint)
	closeMachine, err := openMachine(ctx, env, here, f.share, o.Plan.Name)
	if err != nil {
		return o, nil, err
	}
	o.Shared, o.Load = f.share, loader(env, here, o.Plan, o.PlanDir, o.Version)
	return o, closeMachine, nil
}

// openMachine opens the platform of this machine for a venue; label is what others see of it.
func openMachine(ctx context.Context, env Env, here *machine.Venue, share bool, label string) (closeMachine func() error, err error) {
	if _, err := writableCache(env); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("own path: %w", err)
	}
	p, err := local.Open(ctx, local.Options{
		Self: []string{self, "guard"}, StateDir: filepath.Join(here.CacheDir, "state"), Share: share, Label: label,
		Lock: env.Getenv("BAKEOFF_LOCK"), // for tests: they must neither wait for a real run nor disturb it
	})
	if err != nil {
		return nil, err
	}
	if _, err := scratch.Sweep(); err != nil {
		fmt.Fprintf(env.Stderr, "bakeoff: warning: %v\n", err)
	}
	here.Platform, here.Self = p, self
	here.Shared = func() []string {
		var out []string
		for _, other := range p.Others() {
			out = append(out, fmt.Sprintf("run %s (process %d)", other.Run, other.Controller.PID))
		}
		return out
	}
	return p.Close, nil
}

// loader starts what a plan's phases need on this machine; dir is that of the plan's file.
func loader(env Env, here *machine.Venue, p *plan.Plan, dir, version string) func(context.Context, string, func(string)) (controller.Loader, error) {
	return func(ctx context.Context, logDir string, tell func(string)) (controller.Loader, error) {
		return startLoaders(ctx, p, dir, fleet.Options{
			Platform: here.Platform, Self: []string{here.Self}, Count: p.Agents.Count, LogDir: logDir,
			Version: version, PlanDigest: p.Digest(), Env: passedOn(env),
		}, jmeterSite{Preparation: jmeter.Preparation{CacheDir: here.CacheDir, Platform: here.Platform, Getenv: env.Getenv, Progress: tell}})
	}
}

// options are those of a run on this machine, which has no platform yet: enough for what is
// known beforehand.
func (f *runFlags) options(env Env, p planFile) (controller.Options, *machine.Venue, error) {
	cache, err := cacheDir(env)
	if err != nil {
		return controller.Options{}, nil, err
	}
	recipes, err := fs.Sub(env.Assets, "targets")
	if err != nil {
		return controller.Options{}, nil, fmt.Errorf("targets: %w", err)
	}
	out, resume, err := f.paths()
	if err != nil {
		return controller.Options{}, nil, err
	}
	if err := planPorts(cmp.Or(p.name, p.Name), p.Plan); err != nil {
		return controller.Options{}, nil, err
	}
	here := &machine.Venue{CacheDir: cache}
	return controller.Options{
		Plan: p.Plan, PlanGiven: p.given, PlanName: p.name, PlanDir: p.dir, Recipes: recipes, Venue: here,
		Needs: needsOf(env, cache), Refuses: refusals(env, cache), Loading: loading(), Out: out, Resume: resume, Keep: f.keep, Short: f.short, MaxTime: f.maxTime, Version: version(),
	}, here, nil
}

// sane refuses values of flags that mean nothing.
func (f *runFlags) sane() error {
	switch {
	case f.maxTime < 0:
		return misused("such as --max-time 30m; 0: no limit", "--max-time %v is negative", f.maxTime)
	case f.out == "":
		return misused("such as --out runs", "--out is empty")
	case f.platform != inKubernetes && (f.context != "" || f.namespace != "" || f.detach):
		return misused("add --platform kubernetes", "--context, --namespace and --detach are for a run in a cluster")
	case f.platform == inKubernetes && f.keep:
		return misused("run that target on this machine, or look at its pods with kubectl while it is measured",
			"--keep is for a run on this machine: in a cluster nobody would end what was left running once this command is gone")
	case f.platform == inKubernetes && f.share:
		return misused("leave it out", "--share-machine is for a run on this machine: no run holds the nodes of a cluster, so there is nothing to share")
	case f.dashboard && f.detach:
		return misused("bakeoff dashboard --context C shows it", "--dashboard is for a run that is followed, and --detach leaves it alone")
	case f.platform == inKubernetes:
		return f.place.sane()
	}
	return nil
}

// paths are those of the flags as absolute paths: processes of a run have
// other working folders.
func (f *runFlags) paths() (out, resume string, err error) {
	if out, err = filepath.Abs(f.out); err != nil {
		return "", "", fmt.Errorf("--out: %w", err)
	}
	if f.resume != "" {
		if resume, err = filepath.Abs(f.resume); err != nil {
			return "", "", fmt.Errorf("--resume: %w", err)
		}
	}
	return out, resume, nil
}

// A planFile is a plan and where it came from.
type planFile struct {
	*plan.Plan
	given []byte // the file; nil where there is none
	name  string // of the file, for messages
	dir   string // of the file: what paths of recipes are relative to
}

// plan is the plan of path, in its short form where that is asked for or the run to resume is
// short; without a path it is the recorded one of that run.
func (f *runFlags) plan(env Env, path string) (planFile, error) {
	var begun controller.Begun
	if f.resume != "" {
		var err error
		if begun, err = controller.Recorded(f.resume); err != nil {
			return planFile{}, usageError{err}
		}
		if (begun.Platform == inKubernetes) != (f.platform == inKubernetes) && f.platform != "" {
			return planFile{}, misused("add --platform "+begun.Platform, "%s was begun with --platform %s", f.resume, begun.Platform)
		}
		f.short = f.short || begun.Short
	}
	if path == "" {
		return planFile{Plan: begun.Plan, dir: begun.PlanDir}, nil
	}
	load := loadPlan
	if f.folders && isFolder(path) {
		load = folderPlan
	}
	p, err := load(env, path)
	if f.folders && errors.Is(err, fs.ErrNotExist) {
		err = misused("a target of yours is named by its folder, such as ./mine; "+carriedHint(env), "%w", err)
	}
	if err == nil && f.short {
		p.Plan = p.Short()
	}
	return p, err
}

// loadPlan reads and checks a plan; its mistakes are usage errors.
func loadPlan(env Env, path string) (planFile, error) {
	name, data, err := readPlan(env, path)
	if err != nil {
		return planFile{}, err
	}
	p, err := plan.Load(name, data)
	if err != nil {
		return planFile{}, usageError{err}
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return planFile{}, fmt.Errorf("plan: %w", err)
	}
	return planFile{Plan: p, given: data, name: name, dir: dir}, nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// folderPlan is a plan for the recipe in a folder alone, on a table of 20,000 rows.
func folderPlan(_ Env, dir string) (planFile, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return planFile{}, fmt.Errorf("target: %w", err)
	}
	recipe, err := target.LoadFolder(dir, "")
	if err != nil {
		return planFile{}, usageError{err}
	}
	quoted, err := json.Marshal(dir)
	if err != nil {
		return planFile{}, fmt.Errorf("target: %w", err)
	}
	p, err := plan.Load(dir, fmt.Appendf(nil, `
name: %[1]s
blocks: 1
dataset: {rows: 20000}
targets: [{name: %[1]s, recipe: %[2]s}]
phases: [{model: closed, connections: 8, duration: 1s}]
`, recipe.Name, quoted))
	if err != nil {
		return planFile{}, usageError{err}
	}
	return planFile{Plan: p}, nil
}

func readBounded(r io.Reader, name string) ([]byte, error) {
	data, err := strictyaml.Read(name, r)
	if err != nil {
		return nil, usageError{err}
	}
	return data, nil
}

func trimYAML(name string) string { return strings.TrimSuffix(name, ".yaml") }

// explain gives errors of the preflight their exit status and hint.
func explain(err error) error {
	var wrong *controller.PlanError
	var missing *controller.MissingError
	switch {
	case errors.As(err, &wrong):
		return usageError{err}
	case errors.As(err, &missing):
		return missingError{err, installLine(missing.Packages())}
	}
	return err
}

// installLine is what installs Debian packages.
func installLine(packages []string) string {
	if len(packages) == 0 {
		return ""
	}
	line := "apt-get install -y --no-install-recommends " + strings.Join(packages, " ")
	if os.Geteuid() != 0 {
		line = "sudo " + line
	}
	return line
}
