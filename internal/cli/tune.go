package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"bakeoff/internal/controller"
	"bakeoff/internal/report"
	"bakeoff/internal/show"
	"bakeoff/internal/tune"
	"bakeoff/internal/verdict"
)

// tuneFlags are the flags of bakeoff tune.
type tuneFlags struct {
	out, delta, markdown string
	maxTime              time.Duration
	json, strict, share  bool
	resume               bool
}

const tuneHelp = `tune searches for the best setting of each target of a plan that has several: those of a sweep, or
targets with the same setting_of. All settings are measured in a few blocks, in turns where the
plan says so; the worse half is left out and the others are measured in more blocks, until one is
left. What counts is the plan's primary metric.

The figures of a search choose, so the best of them looks better than it is. Therefore the setting
that was found is measured once more, in a run of its own, against the one that the plan gives
without a sweep (or the second of the search, if the best is that one, or it is not among them).
What is claimed is the verdict of this run alone. Its trials are none of the search's.

Each stage of the search and the run that confirms are ordinary run directories, made on this
machine. The number of blocks of each is fixed before the first one, so that all fit into
--max-time; what takes longer even with the fewest blocks is refused, with the sum. Thresholds of
the plan are not looked at.

The same command with --resume resumes a tuning that was interrupted. Its runs in --out that are over
count as they are, and one that is not is resumed.

exit status: 0 done; 1 failed; 2 wrong usage or plan; 3 the setting that was found is shown to be
worse; 4 too few valid trials, or a capacity above the ceiling of the agents (with
--fail-on-inconclusive: or nothing is shown); 5 a prerequisite is missing; 130 interrupted`

const tuneExamples = `  bakeoff tune sweep
  bakeoff tune my-plan.yaml --max-time 30m --markdown tuned.md
  bakeoff tune my-plan.yaml --max-time 30m --markdown tuned.md --resume`

func tuneCommand(env Env) *cobra.Command {
	var f tuneFlags
	cmd := &cobra.Command{
		Use: "tune PLAN", Short: "find the best setting of each target, and confirm it in fresh trials",
		Long: tuneHelp, Example: tuneExamples, Args: exactly(1, "one plan"),
		RunE: func(cmd *cobra.Command, args []string) error {
			withoutPipes()
			return tunePlan(cmd.Context(), env, f, args[0], foresee, openPlan)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.out, "out", runsFolder, "folder in which to create the run directories")
	flags.StringVar(&f.delta, "delta", "", "the smallest difference that matters (default the plan's)")
	flags.DurationVar(&f.maxTime, "max-time", 0, "the most time for all runs together: fewer blocks, or a refusal (0: no limit)")
	flags.StringVar(&f.markdown, "markdown", "", "write the result as Markdown into this file")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.BoolVar(&f.strict, "fail-on-inconclusive", false, "exit with 4 when nothing is shown of a target")
	flags.BoolVar(&f.share, "share-machine", false, "run even if another run is in progress on this machine; both are marked")
	flags.BoolVar(&f.resume, "resume", false, "resume a tuning of the plan that was interrupted, from its runs in --out")
	return cmd
}

// knower says what is known of a run beforehand; foresee is the one of this machine.
type knower func(context.Context, Env, runFlags, planFile) (controller.Options, error)

// foresee is what is known of a run on this machine before its platform is opened; what can be refused, is.
func foresee(ctx context.Context, env Env, f runFlags, p planFile) (controller.Options, error) {
	o, _, err := f.options(env, p)
	if err == nil {
		err = explain(controller.Preflight(ctx, o))
	}
	return o, err
}

// tunePlan is bakeoff tune.
func tunePlan(ctx context.Context, env Env, f tuneFlags, path string, know knower, open opener) error {
	t := &tuning{env: env, run: runFlags{out: f.out, platform: onThisMachine, share: f.share, maxTime: f.maxTime}, open: open, began: time.Now()}
	if err := t.run.sane(); err != nil {
		return err
	}
	var err error
	if t.plan, err = f.template(env, path); err != nil {
		return err
	}
	o, err := know(ctx, env, t.run, t.plan)
	if err != nil {
		return err
	}
	if err := t.prepare(o); err != nil {
		return err
	}
	if t.left, err = newLeft(f.resume, f.out, o.Venue.Machine().Fingerprint); err != nil {
		return err
	}
	fmt.Fprintf(env.Stderr, "bakeoff: expected: %s\n", t.schedule)
	if err := t.search(ctx); err != nil {
		return t.cutShort(err)
	}
	if err := t.confirm(ctx); err != nil {
		return t.cutShort(err)
	}
	return f.conclude(env, t.result)
}

// template is the plan with the flags over it.
func (f *tuneFlags) template(env Env, path string) (planFile, error) {
	p, err := loadPlan(env, path)
	if err != nil {
		return p, err
	}
	return p, p.margin(f.delta)
}

// errMisled is returned when the setting that a search found is shown to be worse than what it was compared with.
var errMisled = errors.New("the search was misled")

// conclude prints and writes a result, and returns the error that gives the exit status.
func (f *tuneFlags) conclude(env Env, r tune.Result) error {
	if err := errors.Join(f.print(env.Stdout, r), f.write(r)); err != nil {
		return err
	}
	var worse, few, unclear error
	for _, t := range r.Targets {
		switch t.Verdict {
		case string(verdict.Worse):
			worse = errors.Join(worse, fmt.Errorf("%w: %s", errMisled, t.Line))
		case tooFewTrials:
			few = errors.Join(few, fmt.Errorf("%w: %s: %s", controller.ErrTooFewValid, t.Name, t.Line))
		case string(verdict.Inconclusive):
			unclear = errors.Join(unclear, fmt.Errorf("%w: %s", errInconclusive, t.Line))
		}
	}
	switch {
	case worse != nil:
		return worse
	case few != nil:
		return few
	case f.strict:
		return unclear
	}
	return nil
}

// print writes the result to stdout.
func (f *tuneFlags) print(w io.Writer, r tune.Result) error {
	if !f.json {
		return report.WriteTune(w, r, show.Columns(w))
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// write writes the file that is asked for, whole or not at all.
func (f *tuneFlags) write(r tune.Result) error {
	var text bytes.Buffer
	if err := report.WriteTuneMarkdown(&text, r); err != nil {
		return err
	}
	return writeAsked("--markdown", f.markdown, &text)
}
