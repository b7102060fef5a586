package cli

import (
	"context"
	"fmt"

	"bakeoff/internal/export"
	"bakeoff/internal/plan"
	"bakeoff/internal/show"
	"bakeoff/internal/target"
)

// collectorNeeds asks the collectors of a plan, and is what they lack, and what this machine lacks to ask them, such as a password;
// what they do not say is printed.
func collectorNeeds(ctx context.Context, env Env, p *plan.Plan) ([]target.Need, error) {
	var checks []func(context.Context) (export.Checked, error)
	if i := p.Collect.InfluxDB; i.URL != "" {
		checks = append(checks, func(ctx context.Context) (export.Checked, error) {
			to, err := influx(env, i, p.AllowHosts)
			if err != nil {
				return export.Checked{}, err
			}
			return to.Check(ctx)
		})
	}
	if o := p.Collect.OTLP; o.URL != "" {
		checks = append(checks, func(ctx context.Context) (export.Checked, error) {
			to, err := otlp(env, o, p.AllowHosts)
			if err != nil {
				return export.Checked{}, err
			}
			return to.Check(ctx)
		})
	}
	var out []target.Need
	for _, check := range checks {
		found, err := check(ctx)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			found.Missing = append(found.Missing, withHint(err))
		}
		for _, text := range found.Missing {
			out = append(out, target.Need{What: show.Inert(text)})
		}
		for _, text := range found.Unknown {
			fmt.Fprintf(env.Stdout, "%s: not known: %s\n", p.Name, show.Inert(text))
		}
	}
	return out, nil
}

// withHint is an error with what the user can do about it.
func withHint(err error) string {
	if hint := hintOf(err); hint != "" {
		return err.Error() + " (" + hint + ")"
	}
	return err.Error()
}
