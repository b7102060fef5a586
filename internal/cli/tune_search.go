package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bakeoff/internal/controller"
	"bakeoff/internal/figures"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/tune"
)

// errCeiling is returned where the agents cannot find out what a setting is capable of.
var errCeiling = errors.New("the agents are the limit")

// tooFewTrials is the verdict where there are too few valid trials for any.
const tooFewTrials = "too few valid trials"

// tuning is a search for the best setting of each target, and the run that confirms it.
type tuning struct {
	env      Env
	run      runFlags
	plan     planFile
	open     opener
	began    time.Time
	schedule plan.Schedule
	left     *left
	searches []*searched
	values   []tune.Value
	result   tune.Result
}

// searched is a target with several settings.
type searched struct {
	plan.Group
	tune.Search
}

// prepare decides what is done in how many blocks, before anything is measured.
func (t *tuning) prepare(o controller.Options) (err error) {
	if findings := t.plan.Untunable(); len(findings) > 0 {
		return usageError{plan.Locate(t.plan.name, t.plan.given, findings)}
	}
	t.schedule, err = t.plan.Tune(o.Overhead(), t.run.maxTime)
	var long *plan.TooLongError
	switch {
	case errors.Is(err, plan.ErrNothingToTune):
		return misused("give a target a sweep, such as sweep: {workers: [2, 4, 7]}", "%s: %w", t.plan.name, err)
	case errors.As(err, &long):
		return misused(fmt.Sprintf("at least --max-time %s, fewer values, or shorter phases", plan.Duration(t.schedule.Takes().Round(time.Second))), "%s: %w", t.plan.name, err)
	case err != nil:
		return err
	}
	for _, g := range t.plan.Groups() {
		if len(g.Settings) < 2 {
			continue
		}
		s := &searched{Group: g}
		for _, setting := range g.Settings {
			s.Left = append(s.Left, setting.Name)
		}
		t.searches = append(t.searches, s)
	}
	t.result = tune.Result{Plan: t.plan.Name, Metric: t.plan.Primary, Delta: float64(t.plan.Delta)}
	t.result.Fair, err = o.Fairness()
	return err
}

// search leaves one setting of each target.
func (t *tuning) search(ctx context.Context) error {
	for i, stage := range t.schedule.Search {
		var among []string
		for _, s := range t.searches {
			if len(s.Left) > 1 {
				among = append(among, s.Left...)
			}
		}
		part := t.plan.Part(fmt.Sprintf("search-%d", i+1), uint64(i+1), among, stage.Blocks)
		part.Description = fmt.Sprintf("A stage of a search for the best setting of each target of the plan %s. Its figures choose; they claim nothing.", t.plan.Name)
		summary, run, err := t.conduct(ctx, part, fmt.Sprintf("stage %d of %d", i+1, len(t.schedule.Search)), t.schedule.After(i))
		t.result.Search = append(t.result.Search, run)
		if err != nil {
			return err
		}
		if err := t.take(i+1, summary); err != nil {
			return err
		}
		if err := t.halve(); err != nil {
			return fmt.Errorf("%w (%s: %s)", err, run.Dir, cmp.Or(summary.Run.Reason, run.Status))
		}
	}
	return nil
}

// cutShort says where the runs are of a tuning that has no result, and how it goes on, where it can.
func (t *tuning) cutShort(err error) error {
	made := slices.DeleteFunc(append(slices.Clone(t.result.Search), t.result.Confirm), func(run tune.Run) bool { return run.Dir == "" })
	for _, run := range made {
		fmt.Fprintf(t.env.Stderr, "bakeoff: a run of it, without a result of the search: %s\n", run.Dir)
	}
	if len(made) > 0 && !errors.Is(err, controller.ErrTooFewValid) && !errors.Is(err, errCeiling) {
		fmt.Fprintln(t.env.Stderr, "bakeoff: the same command with --resume continues from what is there")
	}
	return err
}

// take remembers the figures of a stage; nothing is claimed of them. A capacity that is only bounded counts with its bound. A setting
// that meets the objective up to the ceiling of the agents ends the search: it may be the best, and has no figure.
func (t *tuning) take(stage int, s *figures.Summary) error {
	if above := s.AboveCeiling(); len(above) > 0 {
		return fmt.Errorf("%w: %s met the objective up to their ceiling, so its capacity cannot be compared with another one", errCeiling, above[0])
	}
	found, err := s.Standing()
	if found == nil {
		return err
	}
	t.result.Unit, t.result.Better = found.Unit, found.Better
	for _, v := range append(slices.Clone(found.Values), s.Bounded()...) {
		t.values = append(t.values, tune.Value{Stage: stage, Block: v.Block, Setting: v.Target, Value: v.Value})
	}
	return nil
}

// halve leaves out the worse half of the settings of each target.
func (t *tuning) halve() error {
	for _, s := range t.searches {
		if len(s.Left) < 2 {
			continue
		}
		s.Halve(plan.Half(len(s.Left)), t.values, t.result.Better)
		if !slices.ContainsFunc(t.values, func(v tune.Value) bool { return v.Setting == s.Left[0] }) {
			return fmt.Errorf("%w: no setting of %s has any in the search", controller.ErrTooFewValid, s.Name)
		}
	}
	return nil
}

// confirm measures what was found against what it is compared with, in a run of its own.
func (t *tuning) confirm(ctx context.Context) error {
	var among []string
	for _, s := range t.searches {
		found := t.found(s)
		t.result.Targets = append(t.result.Targets, found)
		among = append(among, found.Best, found.Rival)
	}
	part := t.plan.Part("confirm", uint64(len(t.schedule.Search)+1), among, t.schedule.Confirm.Blocks)
	part.Description = fmt.Sprintf("The setting of each target that a search found for the plan %s, and what it is compared with, in trials of their own.", t.plan.Name)
	summary, run, err := t.conduct(ctx, part, "", 0)
	t.result.Confirm = run
	if err != nil {
		return err
	}
	for i := range t.result.Targets {
		judge(&t.result.Targets[i], summary)
	}
	return nil
}

// found is what the search found of a target.
func (t *tuning) found(s *searched) tune.Target {
	ranked := s.Ranked()
	out := tune.Target{Name: s.Name, Best: ranked[0], Rival: ranked[1], Against: tune.AgainstSecond, Settings: tune.Compare(t.values, ranked)}
	if usual, known := t.plan.Default(s.Group); known {
		if out.Default = usual.Name; out.Default != out.Best {
			out.Rival, out.Against = out.Default, tune.AgainstDefault
		}
	}
	for i := range out.Settings {
		at := slices.IndexFunc(s.Settings, func(one plan.Target) bool { return one.Name == out.Settings[i].Name })
		out.Settings[i].Label = t.plan.Label(s.Group, s.Settings[at])
	}
	return out
}

// judge fills in what the confirming run says of the setting that was found.
func judge(t *tune.Target, s *figures.Summary) {
	t.Verdict, t.Line = tooFewTrials, "no verdict: "+s.NoVerdict
	if s.Verdict == nil {
		return
	}
	c, found := s.Verdict.Pair(t.Best, t.Rival)
	if !found || c.Blocks < s.Verdict.FewestBlocks {
		t.Line = fmt.Sprintf("no verdict: %d blocks with a valid trial of both, and a verdict takes %d", c.Blocks, s.Verdict.FewestBlocks)
		return
	}
	t.Comparison, t.Verdict, t.Line = &c, string(c.Verdict), s.Verdict.Subject(c)
}

// conduct runs a part of the plan, which part of the search it is, if any; after is the time that is needed for what follows. What an
// interrupted tuning left of it is not measured again. That a run has fewer blocks than planned is no error: what it has, counts.
func (t *tuning) conduct(ctx context.Context, part *plan.Plan, search string, after time.Duration) (*figures.Summary, tune.Run, error) {
	out := tune.Run{Targets: len(part.Targets), Blocks: part.Blocks}
	p := planFile{given: part.YAML(), name: "the plan " + part.Name, dir: t.plan.dir}
	var err error
	if p.Plan, err = plan.Load(p.name, p.given); err != nil {
		return nil, out, usageError{err}
	}
	begun, err := t.left.of(p.Plan)
	if err != nil {
		return nil, out, err
	}
	if begun.dir != "" {
		p.Plan, out.Blocks = begun.plan, begun.plan.Blocks
	}
	if out.Dir = begun.dir; begun.over {
		fmt.Fprintf(t.env.Stderr, "bakeoff: %s: %s counts as it is\n", part.Name, out.Dir)
	} else if out.Dir, err = t.measure(ctx, p, begun.dir, search, after); out.Dir == "" {
		return nil, out, err
	}
	s, readErr := t.read(&out)
	return s, out, errors.Join(failure(err), readErr)
}

// measure runs a part of the plan, or resumes the run of it in a directory.
func (t *tuning) measure(ctx context.Context, p planFile, resume, search string, after time.Duration) (dir string, err error) {
	flags := t.run
	flags.resume = resume
	if flags.maxTime > 0 {
		flags.maxTime = max(time.Second, time.Until(t.began.Add(flags.maxTime))-after)
	}
	o, closePlatform, err := t.open(ctx, t.env, flags, p)
	if err != nil {
		return "", err
	}
	o.Search = search
	fmt.Fprintf(t.env.Stderr, "bakeoff: %s: %d settings, %d blocks\n", p.Name, len(p.Targets), p.Blocks)
	if dir, err = runCollected(ctx, t.env, o, closePlatform, nil); dir == "" {
		return "", explain(err)
	}
	return dir, err
}

// read computes the figures of a part's run, and keeps its reports.
func (t *tuning) read(run *tune.Run) (*figures.Summary, error) {
	reader, err := record.Open(run.Dir)
	if err != nil {
		return nil, err
	}
	s, err := figures.Build(reader)
	if err != nil {
		return nil, err
	}
	run.Status = s.Run.Status
	others, othersErr := figures.OtherRuns(reader, s)
	return s, errors.Join(t.left.counts(reader), othersErr, keepReports(run.Dir, s, others))
}
