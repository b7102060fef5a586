package cli

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"bakeoff/internal/calibrate"
	"bakeoff/internal/controller"
	"bakeoff/internal/plan"
	"bakeoff/internal/show"
	"bakeoff/internal/target"
	"bakeoff/internal/venue/machine"
)

func doctorCommand(env Env) *cobra.Command {
	var packagesOnly bool
	cmd := &cobra.Command{
		Use:   "doctor [PLAN...]",
		Short: "show what is missing on this machine, and the command that installs it",
		Long: `doctor looks for everything that a plan needs: a database server, a balancer, and
the tools that the recipes of its targets need. It asks the collectors of a plan whether they answer, and
InfluxDB 2 for the bucket and for the database that is mapped onto it. The default PLAN is demo. It installs
nothing.

exit status: 0 nothing is missing; 5 something is`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"demo"}
			}
			return doctor(cmd.Context(), env, args, packagesOnly)
		},
	}
	cmd.Flags().BoolVar(&packagesOnly, "packages", false, "print only the names of the missing Debian packages")
	return cmd
}

func doctor(ctx context.Context, env Env, plans []string, packagesOnly bool) error {
	recipes, err := fs.Sub(env.Assets, "targets")
	if err != nil {
		return fmt.Errorf("targets: %w", err)
	}
	cache, err := cacheDir(env)
	if err != nil {
		return err
	}
	found := &controller.MissingError{}
	for _, path := range plans {
		p, err := loadPlan(env, path)
		if err != nil {
			return err
		}
		missing, err := controller.Missing(ctx, controller.Options{
			Plan: p.Plan, PlanGiven: p.given, PlanName: p.name, PlanDir: p.dir, Recipes: recipes, Venue: &machine.Venue{}, Needs: needsOf(env, cache),
		})
		if err != nil {
			return explain(err)
		}
		if !packagesOnly {
			collectors, err := collectorNeeds(ctx, env, p.Plan)
			if err != nil {
				return err
			}
			missing = append(missing, collectors...)
		}
		found.Missing = append(found.Missing, missing...)
		if !packagesOnly {
			printMissing(env, p.Plan, missing)
		}
	}
	if !packagesOnly {
		if err := printCalibration(env); err != nil {
			return err
		}
	}
	if packagesOnly {
		for _, name := range found.Packages() {
			fmt.Fprintln(env.Stdout, name)
		}
		return nil
	}
	if len(found.Missing) == 0 {
		return nil
	}
	return explain(error(found))
}

// printCalibration says whether there is a calibration of this machine.
func printCalibration(env Env) error {
	cache, err := cacheDir(env)
	if err != nil {
		return err
	}
	c, err := calibrate.Kept(cache, new(machine.Venue).Machine().Fingerprint)
	if err != nil {
		fmt.Fprintf(env.Stderr, "bakeoff: warning: %v\n", err)
	}
	if c == nil {
		fmt.Fprintln(env.Stdout, "calibration: none of this machine (bakeoff calibrate makes one in a few minutes; runs do without)")
		return nil
	}
	fmt.Fprintf(env.Stdout, "calibration: of %s\n", c.At.UTC().Format("2006-01-02 15:04"))
	return nil
}

func printMissing(env Env, p *plan.Plan, missing []target.Need) {
	if len(missing) == 0 {
		fmt.Fprintf(env.Stdout, "%s: nothing is missing\n", p.Name)
		return
	}
	for _, m := range missing {
		fmt.Fprintf(env.Stdout, "%s: missing: %s\n", p.Name, show.Inert(packaged(m))) // a recipe names what it needs
	}
}

// packaged is a need with the package that brings it, where there is one.
func packaged(n target.Need) string {
	if n.Package == "" {
		return n.What
	}
	return fmt.Sprintf("%s (Debian package %s)", n.What, n.Package)
}
