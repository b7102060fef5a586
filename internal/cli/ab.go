package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"bakeoff/internal/controller"
	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/report"
	"bakeoff/internal/scratch"
	"bakeoff/internal/verdict"
)

// abFlags are the flags of bakeoff ab.
type abFlags struct {
	target, plan, delta  string
	out, markdown, junit string
	maxTime              time.Duration
	json, strict, share  bool
}

const abHelp = `ab compares two versions of one target: it prepares both, runs them in turns against the same
database, and says whether HEAD is better than BASE, worse, equivalent to it, or neither is shown.

BASE and HEAD are folders of a target, or, with --target, names of commits of the git repository
that holds that folder. The files of a commit are written into a temporary folder: the working
tree is not touched, nothing is fetched, and uncommitted changes are not measured (they are, when
HEAD is the folder itself).

Without --plan, 10 blocks of 4 s are run on 20,000 rows, with one replica behind nginx. Fewer are
run when they do not fit into --max-time; their number is fixed before the first one. A run that
takes longer all the same, because blocks had to be repeated, is ended and judged by the blocks it
has. A plan for ab has one target: its variant, settings and numbers are those of both versions.

Thresholds of the plan are about head where they name no target, and may name base and head.

exit status: 0 HEAD is not shown to be worse; 1 failed; 2 wrong usage or plan; 3 HEAD is worse,
or a threshold is missed; 4 too few valid trials (with --fail-on-inconclusive: or nothing is
shown, or a threshold is undecided); 5 a prerequisite is missing; 130 interrupted`

const abExamples = `  bakeoff ab app-old app-new
  bakeoff ab main HEAD --target bench/app
  bakeoff ab origin/main bench/app --target bench/app --markdown comment.md --junit bakeoff.xml`

func abCommand(env Env) *cobra.Command {
	var f abFlags
	cmd := &cobra.Command{
		Use: "ab BASE HEAD", Short: "compare two versions of one target: is the new one slower?",
		Long: abHelp, Example: abExamples, Args: exactly(2, "two versions, BASE and HEAD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			withoutPipes()
			return compareVersions(cmd.Context(), env, f, args, openPlan)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.target, "target", "", "folder of the target in a git repository: BASE and HEAD name commits of it")
	flags.StringVar(&f.plan, "plan", "", "plan of one target, in whose place both versions are run")
	flags.StringVar(&f.delta, "delta", "", "the smallest difference that matters (default 3%, or the plan's)")
	flags.StringVar(&f.out, "out", runsFolder, "folder in which to create the run directory")
	flags.DurationVar(&f.maxTime, "max-time", 5*time.Minute, "run as many blocks as fit into this time, and end the run after it (0: no limit)")
	flags.StringVar(&f.markdown, "markdown", "", "write Markdown for a comment on a pull request into this file")
	flags.StringVar(&f.junit, "junit", "", "write a JUnit report into this file")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.BoolVar(&f.strict, "fail-on-inconclusive", false, "exit with 4 when nothing is shown")
	flags.BoolVar(&f.share, "share-machine", false, "run even if another run is in progress on this machine; both are marked")
	return cmd
}

// opener opens the platform for a plan; openPlan is the one of this machine.
type opener func(context.Context, Env, runFlags, planFile) (controller.Options, func() error, error)

// compareVersions is bakeoff ab.
func compareVersions(ctx context.Context, env Env, f abFlags, args []string, open opener) (err error) {
	run := runFlags{out: f.out, platform: "local", share: f.share, maxTime: f.maxTime}
	if err := run.sane(); err != nil {
		return err
	}
	p, err := f.template(env)
	if err != nil {
		return err
	}
	dir, remove, err := scratch.New("ab")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	found, err := findVersions(ctx, env, f.target, args, dir)
	if err != nil {
		return err
	}
	if p, err = p.withVersions(found, dir); err != nil {
		return err
	}
	o, closePlatform, err := open(ctx, env, run, p)
	if err != nil {
		return err
	}
	o.Revisions = found.revisions()
	at, err := runCollected(ctx, env, o, closePlatform, nil)
	if at == "" {
		return explain(err)
	}
	return f.conclude(env, at, err)
}

// runCollected runs a plan with its collectors and closes the platform. Events prints what is recorded; nil: nobody asks.
func runCollected(ctx context.Context, env Env, o controller.Options, closePlatform func() error, events *eventLines) (dir string, err error) {
	progress := newProgress(env.Stderr, time.Now)
	o.Progress = progress.show
	collecting, err := newCollectors(env, o.Plan, starterAt(o.Venue), progress.show)
	if err != nil {
		progress.close()
		return "", errors.Join(err, closePlatform())
	}
	var following followers
	opened := o.Opened
	o.Opened = func(dir string) {
		if opened != nil {
			opened(dir)
		}
		collecting.opened(ctx, dir)
		following.follow(dir, progress, events)
	}
	o.Load = listening(o.Load, collecting)
	dir, err = controller.Run(ctx, o)
	following.finish()
	collecting.finish()
	err = errors.Join(err, closePlatform())
	progress.close()
	collecting.say()
	return dir, err
}

// conclude prints and writes what a run that ended with err says, and returns the error that gives the exit status.
func (f *abFlags) conclude(env Env, dir string, err error) error {
	err = failure(err)
	reader, openErr := record.Open(dir)
	if openErr != nil {
		return errors.Join(err, fmt.Errorf("the run cannot be read: %v", openErr)) //nolint:errorlint // the folder is ours: no wrong usage
	}
	s, buildErr := figures.Build(reader)
	if buildErr != nil {
		return errors.Join(err, buildErr)
	}
	others, othersErr := figures.OtherRuns(reader, s)
	err = errors.Join(err, othersErr, keepReports(dir, s, others))
	err = errors.Join(err, f.write(s, err)) // before it is printed: that lasts as long as the reader likes
	if printErr := f.print(env.Stdout, reader, s, others); !nobodyReads(printErr) {
		err = errors.Join(err, printErr)
	}
	if err != nil {
		return err
	}
	return f.outcome(s)
}

// outcome is the error that gives the exit status of what was measured.
func (f *abFlags) outcome(s *figures.Summary) error {
	switch claim := s.AB.Claim(); {
	case claim == verdict.Worse:
		return fmt.Errorf("%w: %s", errWorse, s.AB.Line)
	case claim == "":
		return fmt.Errorf("%w: %s", controller.ErrTooFewValid, tooFew(s))
	case missed(s, false) != nil:
		return missed(s, false)
	case claim == verdict.Inconclusive && f.strict:
		return fmt.Errorf("%w: %s", errInconclusive, s.AB.Line)
	case f.strict && missed(s, true) != nil:
		return fmt.Errorf("%w: %w", errInconclusive, missed(s, true))
	}
	return nil
}

// tooFew says why there is no verdict, and what ended the run, if anything did: --max-time may do so before the first block.
func tooFew(s *figures.Summary) string {
	if s.Run.Reason == "" {
		return s.AB.TooFew
	}
	return s.AB.TooFew + "; " + s.Run.Reason
}

// failure is what is left of a run's error without that it has fewer blocks than planned, since those that it has decide: what
// else went wrong, such as its end, is not to be lost.
func failure(err error) error {
	switch several := err.(type) { //nolint:errorlint // each level is looked at
	case nil:
		return nil
	case interface{ Unwrap() []error }:
		var left []error
		for _, one := range several.Unwrap() {
			left = append(left, failure(one))
		}
		return errors.Join(left...)
	}
	inner := errors.Unwrap(err)
	if err == controller.ErrTooFewValid || err == controller.ErrMaxTime || inner != nil && failure(inner) == nil {
		return nil
	}
	return err
}

// errWorse is returned when the new version is shown to be worse, errInconclusive when nothing is shown and that is not enough.
var (
	errWorse        = errors.New("regression")
	errInconclusive = errors.New("--fail-on-inconclusive")
)

// print writes the outcome to stdout.
func (f *abFlags) print(w io.Writer, r *record.Reader, s *figures.Summary, others figures.Others) error {
	if !f.json {
		return writeScreen(w, r, s, others)
	}
	out := abJSON{
		Run: r.Dir(), Verdict: string(cmp.Or(s.AB.Claim(), "too few valid trials")), AB: *s.AB, Unit: "", Status: s.Run.Status,
		Thresholds: s.Thresholds,
	}
	if s.Verdict != nil {
		out.Metric, out.Unit, out.Delta, out.Values = s.Verdict.Metric, s.Verdict.Unit, s.Verdict.Delta, s.Verdict.Values
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

// abJSON is what --json prints.
type abJSON struct {
	Run     string  `json:"run"`     // directory
	Status  string  `json:"status"`  // of the run
	Verdict string  `json:"verdict"` // on head: better, worse, equivalent, inconclusive or "too few valid trials"
	Metric  string  `json:"metric"`
	Unit    string  `json:"unit"`
	Delta   float64 `json:"delta"`
	figures.AB
	Values     []figures.Value     `json:"values"`
	Thresholds []figures.Threshold `json:"thresholds,omitempty"`
}

// write writes the files that are asked for, each whole or not at all; aborted is what ended the run, nil where nothing did.
func (f *abFlags) write(s *figures.Summary, aborted error) error {
	var markdown, junit bytes.Buffer
	if err := errors.Join(report.WriteABMarkdown(&markdown, s), report.WriteABJUnit(&junit, s, f.strict, aborted)); err != nil {
		return err
	}
	if err := writeAsked("--markdown", f.markdown, &markdown); err != nil {
		return err
	}
	return writeAsked("--junit", f.junit, &junit)
}
