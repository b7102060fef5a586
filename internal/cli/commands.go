package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"bakeoff/internal/capacity"
	"bakeoff/internal/controller"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform/local"
	"bakeoff/internal/record"
	"bakeoff/internal/report"
	"bakeoff/internal/scratch"
	"bakeoff/internal/show"
	"bakeoff/internal/venue/machine"
)

func checkCommand(env Env) *cobra.Command {
	var f runFlags
	var pilot bool
	cmd := &cobra.Command{
		Use:   "check PLAN",
		Short: "check a plan: mistakes, connection budget, fairness, duration",
		Long: `check reads a plan and reports what is wrong with it: unknown or wrong fields, more
connections than the database allows, unfair differences between targets, hosts that
load must not go to, and what is missing on this machine. For a correct plan it prints
what will happen and how long it will take.

With --pilot it also runs 4 short blocks of the primary phase, without a run directory. It
prints how much the ratios of the targets vary and, for 6 to 20 blocks, how long they take
and how likely they are to show a target that is 5 % better, or two that are equivalent.
Choose the number of blocks from that, and write it into the plan before the run.`,
		Args: exactly(1, "one plan"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkPlan(cmd.Context(), env, f, args[0]); err != nil || !pilot {
				return err
			}
			f.platform, f.out, f.maxTime = "local", ".", 0
			return pilotPlan(cmd.Context(), env, f, args[0])
		},
	}
	cmd.Flags().BoolVar(&f.short, "short", false, "check the plan as run --short would run it")
	cmd.Flags().DurationVar(&f.maxTime, "max-time", 0, "refuse a sweep that takes longer, as run does (0: no limit)")
	cmd.Flags().BoolVar(&pilot, "pilot", false, "run a few short blocks to find out how many are needed")
	cmd.Flags().BoolVar(&f.share, "share-machine", false, "with --pilot: run even if another run is in progress on this machine; both are marked")
	return cmd
}

func checkPlan(ctx context.Context, env Env, f runFlags, path string) error {
	of, err := f.plan(env, path)
	if err != nil {
		return err
	}
	o, _, err := f.options(env, of)
	if err != nil {
		return err
	}
	if err := cmp.Or(explain(controller.Preflight(ctx, o)), f.fits(env, of)); err != nil {
		return err
	}
	outline, err := o.Outline()
	if err != nil {
		return err
	}
	p := o.Plan
	targets, rows := "targets", fmt.Sprintf(", %d rows", p.Dataset.Rows)
	if p.Running() {
		targets, rows = "running servers", ""
	}
	fmt.Fprintf(env.Stdout, "plan %s: %d %s, %d blocks, %s%s\n", p.Name, len(p.Targets), targets, p.Blocks, trialsInWords(p), rows)
	fmt.Fprintf(env.Stdout, "digest: %s\n", p.Digest())
	if text := o.TooFewBlocks(); text != "" {
		fmt.Fprintln(env.Stdout, text)
	}
	for _, line := range outline {
		fmt.Fprintln(env.Stdout, show.InertLines(line))
	}
	first := "; on a new machine more, for the targets and the table"
	if p.Running() {
		first = ""
	}
	fmt.Fprintf(env.Stdout, "expected duration: about %v (%v of it measured)%s\n",
		p.Expected(o.Overhead()).Round(time.Second), p.Measured(), first)
	if schedule, err := p.Tune(o.Overhead(), 0); err == nil {
		fmt.Fprintf(env.Stdout, "bakeoff tune, without --max-time: %s\n", schedule)
	}
	if turns, apart := o.BlockBothWays(); turns > 0 {
		fmt.Fprintf(env.Stdout, "a block takes about %v in turns, %v with one target after another\n", turns.Round(time.Second), apart.Round(time.Second))
	}
	if p.Asks() {
		fmt.Fprintf(env.Stdout, "search for the capacity: at most %d stages for each target before block 1, then %d in each block, of %v or as long as %d requests need\n",
			capacity.MostSearch, capacity.MostStages, p.Objective.Stage, p.Objective.Meets().Requests())
	}
	return nil
}

// trialsInWords counts the trials of a plan as its reports do, which leave the pilot out: "24 trials and 3 of the pilot".
func trialsInWords(p *plan.Plan) string {
	blocks := p.Blocks * len(p.Targets)
	out := show.Plural(blocks, "trial")
	if pilot := len(p.Trials()) - blocks; pilot > 0 {
		out += fmt.Sprintf(" and %d of the pilot", pilot)
	}
	return out
}

func verifyCommand(env Env) *cobra.Command {
	var f runFlags
	var asJSON, long bool
	cmd := &cobra.Command{
		Use:   "verify PLAN | verify FOLDER",
		Short: "start each target, check the whole contract, stop it",
		Long: `verify starts the targets of the plan one after another, checks every line of the
contract, counts the statements at the database, and stops the target. It sends no load.
A target that is a running server gets a few requests on several connections; they must
be answered as the plan expects. FOLDER is the folder of one target: its recipe is
checked as it is, on 20,000 rows, without a plan.

The result compares what a recipe declares (database connections, protocol, keep-alive,
access log) with what was measured. An idle connection must still be open after the
declared keep-alive or 5 s, whichever is shorter; with --long, after the full keep-alive.

exit status: 0 every target keeps the contract; 1 one does not; 2 wrong plan;
5 a prerequisite is missing; 130 interrupted`,
		Args: exactly(1, "one plan or one target's folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.platform, f.folders = "local", true
			return verifyPlan(cmd.Context(), env, f, asJSON, long, args[0])
		},
	}
	cmd.Flags().BoolVar(&f.short, "short", false, "20,000 rows, 1 worker")
	cmd.Flags().BoolVar(&long, "long", false, "wait for the full declared keep-alive")
	cmd.Flags().BoolVar(&f.share, "share-machine", false, "verify even if a run is in progress on this machine")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per target")
	return cmd
}

func verifyPlan(ctx context.Context, env Env, f runFlags, asJSON, long bool, path string) error {
	o, closePlatform, err := prepare(ctx, env, f, path)
	if err != nil {
		return err
	}
	progress := newProgress(env.Stderr, time.Now)
	o.Progress, o.LongKeepAlive = progress.show, long
	err = controller.Verify(ctx, o, func(f controller.Findings) {
		progress.clear()
		if asJSON {
			_ = json.NewEncoder(env.Stdout).Encode(f)
			return
		}
		printFindings(env.Stdout, f)
	})
	progress.close()
	return errors.Join(err, closePlatform())
}

func printFindings(w io.Writer, f controller.Findings) {
	failed := 0
	for _, c := range f.Checks {
		if !c.OK {
			failed++
		}
	}
	switch {
	case f.URL != "" && failed > 0:
		fmt.Fprintf(w, "%s: %s does not answer as expected: %d of %d checks failed\n", f.Target, f.URL, failed, len(f.Checks))
	case f.URL != "" && f.Error == "":
		fmt.Fprintf(w, "%s: %s answers as expected\n", f.Target, f.URL)
	case f.Error != "" && len(f.Checks) > 0:
		fmt.Fprintf(w, "%s: breaks the contract: %s\n", f.Target, show.InertLines(f.Error))
	case f.Error != "":
		fmt.Fprintf(w, "%s: could not be checked: %s\n", f.Target, show.InertLines(f.Error)) // the end of its log is in it
	case failed > 0:
		fmt.Fprintf(w, "%s: breaks the contract: %d of %d checks failed\n", f.Target, failed, len(f.Checks))
	default:
		fmt.Fprintf(w, "%s: keeps the contract: %d checks, %s ready\n", f.Target, len(f.Checks), show.Plural(f.Workers, "worker"))
	}
	table := show.Table{Left: 4}
	for _, c := range f.Checks {
		mark, where := "ok", c.Replica
		if !c.OK {
			mark = "FAILED"
		}
		if where == "" {
			where = "all"
		}
		if f.URL != "" {
			where = "" // there is one place to ask
		}
		table.Rows = append(table.Rows, []string{"  " + mark, c.Name, where, c.Detail})
	}
	if len(table.Rows) > 0 {
		fmt.Fprintln(w, table.Text(0))
	}
	printSeen(w, f.Seen)
}

// printSeen draws what is declared of a target against what was seen.
func printSeen(w io.Writer, seen []controller.Seen) {
	if len(seen) == 0 {
		return
	}
	table := show.Table{Left: 3, Rows: [][]string{{"  declared", "", "measured"}}}
	for _, s := range seen {
		table.Rows = append(table.Rows, []string{"  " + s.What, s.Declared, s.Seen})
	}
	fmt.Fprintln(w, table.Text(0))
}

func listCommand(env Env) *cobra.Command {
	var root string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "show the runs in a folder", Args: noArgs,
		Long: `list shows the runs in a folder: when each began, its plan and its status. --json also
has the digest of the plan.`,
		RunE: func(*cobra.Command, []string) error {
			if root == "" {
				return misused("such as --out runs", "--out is empty")
			}
			runs, err := record.List(root)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(env.Stdout).Encode(runs)
			}
			return report.WriteList(env.Stdout, runs, show.Columns(env.Stdout))
		},
	}
	cmd.Flags().StringVar(&root, "out", runsFolder, "folder of runs")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func schemaCommand(env Env) *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "print the JSON Schema of plans", Args: noArgs,
		Long: `schema prints the JSON Schema of plans, for editors that check and complete YAML by a
schema. check finds more mistakes than a schema can.`,
		RunE: func(*cobra.Command, []string) error {
			_, err := env.Stdout.Write(plan.Schema())
			return err
		},
	}
}

func cleanCommand(env Env) *cobra.Command {
	var cached bool
	var p place
	var out string
	cmd := &cobra.Command{
		Use: "clean [PLAN]", Short: "end the processes and remove the folders that killed runs left behind", Args: atMostOne("a plan"),
		Long: `clean ends the processes of runs that were killed together with their guard, and
removes their temporary folders. With --cache it also removes prepared targets that no run
uses, and filled tables; the next run prepares them again. With a plan whose database is
external it also puts rows back that killed runs have changed there, and removes accounts
of their trials.

With --context or --namespace it removes what runs left in a cluster instead: in that
namespace, or in all that bakeoff made and others where you may list all Jobs. Only objects with bakeoff's labels are
removed, and only after the record and every pod's log were fetched into --out. A run in
progress is left alone, unless --namespace names its namespace: then it is stopped first.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("context") || p.namespace != "" {
				return cleanAway(cmd.Context(), env, p, out)
			}
			if len(args) == 1 {
				if err := restore(cmd.Context(), env, args[0]); err != nil {
					return err
				}
			}
			cache, err := cacheDir(env)
			if err != nil {
				return err
			}
			if err := clean(cmd.Context(), env, cache); err != nil || !cached {
				return err
			}
			return cleanCache(env.Stdout, cache)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&cached, "cache", false, "also remove prepared targets and filled tables")
	flags.StringVar(&p.context, "context", "", "remove what runs left in the cluster of this context of the kubeconfig")
	flags.StringVar(&p.namespace, "namespace", "", "remove what runs left in this namespace of a cluster")
	flags.StringVar(&out, "out", runsFolder, "of a cluster: folder into which the runs are fetched")
	return cmd
}

func clean(ctx context.Context, env Env, cache string) error {
	swept, err := local.Sweep(ctx, filepath.Join(cache, "state"))
	if err != nil {
		return err
	}
	if env.Getenv("BAKEOFF_LOCK") == "" { // tests must not disturb others
		marked, err := local.SweepMarked(ctx)
		if err != nil {
			return err
		}
		swept.Runs, swept.Processes = append(swept.Runs, marked.Runs...), append(swept.Processes, marked.Processes...)
	}
	folders, err := scratch.Sweep()
	if err != nil {
		return err
	}
	printSwept(env.Stdout, swept, folders)
	return nil
}

// restore puts right what killed runs have left on the external database of a plan.
func restore(ctx context.Context, env Env, path string) error {
	p, err := loadPlan(env, path)
	if err != nil {
		return err
	}
	if p.Database.Kind != "external" {
		return misused("", "%s: its database is not external: what a killed run left ends with its processes", path)
	}
	done, err := machine.Restore(ctx, p.Plan)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "%s put back and %s removed on the database of %s\n", show.Plural(int(done.Rows), "row"), show.Plural(len(done.Accounts), "account"), path)
	return nil
}

func cleanCache(w io.Writer, cache string) error {
	cleaned, err := machine.CleanCache(cache)
	for _, dir := range cleaned.InUse {
		fmt.Fprintf(w, "left alone, in use: %s\n", dir)
	}
	fmt.Fprintf(w, "%d MB removed from %s\n", cleaned.Bytes/1_000_000, cache)
	return err
}

func printSwept(w io.Writer, swept local.Swept, folders []string) {
	for _, run := range swept.Runs {
		fmt.Fprintf(w, "ended what was left of run %s\n", run)
	}
	for _, dir := range folders {
		fmt.Fprintf(w, "removed %s\n", dir)
	}
	fmt.Fprintf(w, "%d processes ended, %d folders removed, %d living runs left alone\n", len(swept.Processes), len(folders), swept.Living)
}
