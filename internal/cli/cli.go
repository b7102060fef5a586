// Package cli is the command line: commands, flags, signals, exit codes. It is
// the only place that chooses a platform, and the only one that knows every
// engine and contract. stdout carries the result, stderr everything else.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Env is what a command sees of the world.
type Env struct {
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Assets         fs.FS // holds targets/ and plans/
	Getenv         func(string) string
	Guest          bool // the process is not this command's alone: its priority is left as it is
}

// Main runs one command and returns its exit status.
func Main(ctx context.Context, env Env) int {
	ctx, stop := withSignals(ctx, env.Stderr)
	defer stop()
	root := newRoot(env)
	err := root.ExecuteContext(ctx)
	return conclude(env.Stderr, root, err)
}

func newRoot(env Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "bakeoff",
		Short: "compare web frameworks under load, with honest statistics",
		Long: `bakeoff starts a database with a million rows, starts each framework in replicas
behind a balancer, checks their answers, loads them from several agents, watches
every tier, stops all of it, and reports what was measured.

exit status: 0 done; 1 failed (or a check failed); 2 wrong usage or plan; 3 a requirement was
missed, or a regression found; 4 finished, but a target lacks enough valid trials; 5 a
prerequisite is missing; 130 interrupted`,
		Version:       version(),
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{ownWords(err)} })
	root.AddCommand(
		runCommand(env), attachCommand(env), checkCommand(env), verifyCommand(env), reportCommand(env), listCommand(env), exportCommand(env), importCommand(env), collectorCommand(env),
		dataCommand(env), schemaCommand(env), initCommand(env), doctorCommand(env), cleanCommand(env), versionCommand(env),
		guardCommand(env), agentCommand(env), yardstickCommand(env), sampleCommand(env), conductCommand(env), keeperCommand(env), nullCommand(env), calibrateCommand(env), loadCommand(env), verdictCommand(env), abCommand(env), tuneCommand(env), auditCommand(env), compareCommand(env), dashboardCommand(env), renderCommand(env), imageCommand(env),
	)
	return root
}

func versionCommand(Env) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: noArgs,
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), version()) },
	}
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no argument, got %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

// exactly returns an argument check that names what is expected.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("%s takes %s, got %d arguments", cmd.CommandPath(), what, len(args))}
		}
		return nil
	}
}

// atMostOne returns an argument check that names what may be given.
func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usageError{fmt.Errorf("%s takes %s or nothing, got %d arguments", cmd.CommandPath(), what, len(args))}
		}
		return nil
	}
}

// parts makes a command of commands. It does nothing by itself, and a name that it does not have is a mistake.
func parts(cmd *cobra.Command, of ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(of...)
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := "'" + cmd.CommandPath() + " --help' lists what there is"
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = "did you mean " + cmd.CommandPath() + " " + near[0]
		}
		return misused(hint, "%s has no %q", cmd.CommandPath(), args[0])
	}
	return cmd
}

// cacheDir is where prepared targets, filled tables and the state of runs are kept.
func cacheDir(env Env) (string, error) {
	if dir := env.Getenv("BAKEOFF_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", misused(cacheHint, "no cache folder: %w", err)
	}
	return filepath.Join(dir, "bakeoff"), nil
}

// runsFolder is where run directories are, unless a flag says otherwise.
const runsFolder = "runs"

const cacheHint = "name a folder of your own with BAKEOFF_CACHE"

// writableCache is cacheDir, made, and tried by writing a file.
func writableCache(env Env) (string, error) {
	dir, err := cacheDir(env)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", misused(cacheHint, "cache folder: %w", err)
	}
	file, err := os.CreateTemp(dir, ".tmp-*")
	if err != nil {
		return "", misused(cacheHint, "cache folder: %w", err)
	}
	return dir, errors.Join(file.Close(), os.Remove(file.Name()))
}

// readPlan reads the plan file at path, or the plan of that name which the
// program carries.
func readPlan(env Env, path string) (name string, data []byte, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && filepath.Base(path) == path {
		carried, carriedErr := fs.ReadFile(env.Assets, "plans/"+trimYAML(path)+".yaml")
		if carriedErr == nil {
			return "plans/" + trimYAML(path) + ".yaml", carried, nil
		}
	}
	if err != nil {
		return "", nil, misused(carriedHint(env), "plan: %w", err)
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return "", nil, misused("a plan is a file, such as "+filepath.Clean(path)+".yaml; bakeoff verify takes a target's folder", "plan: %s is a folder", path)
	}
	data, err = readBounded(file, path)
	return path, data, err
}

func carriedHint(env Env) string { return "built-in plans: " + strings.Join(carriedPlans(env), ", ") }

// carriedPlans are the names of the plans inside the program, sorted.
func carriedPlans(env Env) []string {
	files, _ := fs.Glob(env.Assets, "plans/*.yaml") // the pattern is well formed
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = trimYAML(filepath.Base(file))
	}
	slices.Sort(names) // the files are sorted with their ending
	return names
}
