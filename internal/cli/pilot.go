package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"bakeoff/internal/controller"
	"bakeoff/internal/figures"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

const (
	// fewestPlanned to mostPlanned are the numbers of blocks for which a pilot says what they would show.
	fewestPlanned, mostPlanned = 6, 20
	// asked is the difference that is to be called better.
	asked = 0.05
)

// pilotPlan measures the spread between blocks of the plan, prints what 6 to 20 blocks would show, and leaves no run directory.
func pilotPlan(ctx context.Context, env Env, f runFlags, path string) (err error) {
	if f.short {
		return usageError{errors.New("--pilot is about the plan as it is, not about its short form")}
	}
	o, closePlatform, err := prepare(ctx, env, f, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closePlatform()) }()
	if o.Plan.Asks() {
		return usageError{errors.New("--pilot is about phases, but the plan has primary: capacity")}
	}
	if len(o.Plan.Ranked()) < 2 {
		return usageError{errors.New("--pilot compares targets, but the plan has only one")}
	}
	dir, remove, err := o.Venue.Temporary("pilot")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	whole := o.Plan
	o.Plan, o.Out = whole.Pilots(), dir
	o.PlanGiven = o.Plan.YAML()
	progress := newProgress(env.Stderr, time.Now)
	o.Progress = progress.show
	at, err := controller.Run(ctx, o)
	progress.close()
	if err != nil {
		return explain(err)
	}
	r, err := record.Open(at)
	if err != nil {
		return err
	}
	s, err := figures.Build(r)
	if err != nil {
		return err
	}
	return printPilot(env.Stdout, whole, o.Plan, s, o.Overhead())
}

// printPilot prints the spread of each pair in a run of the pilot plan, and what more blocks of the whole plan would show and take.
func printPilot(w io.Writer, whole, pilot *plan.Plan, s *figures.Summary, usual plan.Overhead) error {
	if s.Verdict == nil {
		return fmt.Errorf("the pilot has no block values: %s", s.NoVerdict)
	}
	spreads := show.Table{Left: 1, Head: []string{"pair", "spread of the ratio", "upper 80 % bound"}}
	worst := 0.0
	for _, c := range s.Verdict.Comparisons {
		sd := c.SD()
		if math.IsNaN(sd) {
			return fmt.Errorf("the pilot has too few valid blocks of %s and %s", c.A, c.B)
		}
		upper := verdict.UpperSD(sd, c.Blocks)
		worst = max(worst, upper)
		spreads.Rows = append(spreads.Rows, []string{c.A + "/" + c.B, show.Percent(math.Expm1(sd)), show.Percent(math.Expm1(upper))})
	}
	costs := costsOf(pilot, s, usual)
	margin := float64(whole.Delta)
	outlook := show.Table{Left: 0, Head: []string{"blocks", "shows 5 % better", "shows " + verdict.Margin(margin) + " equivalent", "takes"}}
	for _, one := range verdict.Outlooks(worst, margin, asked, len(s.Verdict.Comparisons), fewestPlanned, mostPlanned) {
		p := *whole
		p.Blocks = one.Blocks
		outlook.Rows = append(outlook.Rows, []string{
			fmt.Sprint(one.Blocks), fmt.Sprintf("%.0f %%", 100*one.Better), fmt.Sprintf("%.0f %%", 100*one.Equivalent), p.Expected(costs).Round(time.Second).String(),
		})
	}
	_, err := fmt.Fprintf(w, "pilot: %s, %s\n\n%s\n\nshare of runs, by the largest upper bound of the spread:\n\n%s\n",
		show.Plural(pilot.Blocks, "block"), s.Run.Primary, spreads.Text(0), outlook.Text(0))
	return err
}

// costsOf are the costs of a run in addition to its load, as the run of the pilot plan had them.
func costsOf(pilot *plan.Plan, s *figures.Summary, usual plan.Overhead) plan.Overhead {
	var trials float64 // seconds
	n := 0
	for _, step := range s.Time.Steps {
		trials += step.Seconds
	}
	n = len(s.Trials) + len(s.Pilot)
	seconds := func(s float64) time.Duration { return max(0, time.Duration(s*float64(time.Second))) }
	// The start of JVMs is in what was set up.
	load := plan.Overhead{Phase: usual.Phase, Turns: usual.Turns, Slice: usual.Slice, Loading: plan.Loading{Master: usual.Master, Thread: usual.Thread}}
	known := pilot.Expected(load) - pilot.Rest()
	out := load
	out.Setup = seconds(s.Time.WallS-trials) - min(pilot.Rest(), seconds(s.Time.WallS-trials))
	out.Trial = max(0, seconds(trials)-known) / time.Duration(max(n, 1))
	out.Together = out.Trial
	return out
}
